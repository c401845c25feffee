//! `/api/v1/checks`: what every watchdog looks at itself. Kuma's own column names, JSON columns as JSON, and a check's own
//! fields.
//!
//! A check is known by its name, and any instance takes any write; the watchdogs see it within their next look at the list.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use self::document::{CheckFields, CheckShown, NewCheck};
use super::auth::{Caller, Reader, Writer};
use super::body::Object;
use super::edit::Edit;
use super::monitors::refusal;
use super::monitors::shown::Sight;
use super::page::{DryRun, Items, PageAsked};
use super::precondition;
use super::problem::{ApiError, Problem};
use super::request::{Asked, Flag, Text, request};
use super::{Context, Ctx, channels};
use crate::check::Draft;
use crate::monitor::FieldFault;
use crate::store::Store;
use crate::store::checks::{self, Change, Check, CheckFilter, Refusal, Target, Wish, Written};

pub(super) mod answer;
pub(super) mod bulk;
mod document;
pub(super) mod history;
mod shown;
#[cfg(test)]
mod tests;
pub(super) mod trial;

/// As refusals name it.
const THING: &str = "check";

request! {
    pub(super) struct ChecksAsked {
        /// Of this type
        kind as "type": Option<Text<0, 20>>,
        /// Bearing this tag
        tag: Option<Text<0, 100>>,
        /// Of this set
        managed_by: Option<Text<0, 190>>,
        /// Paused, or not
        paused: Option<Flag>,
        /// Secrets too; for admins, and it stands in the audit trail
        secrets: Option<Flag>,
        ..page: PageAsked,
    }
}

/// Checks by name; all filters must hold.
#[utoipa::path(get, path = "/checks", tag = "checks", security(("key" = ["read"])),
    params(ChecksAsked),
    responses((status = 200, description = "A page of them", body = Items<CheckShown>)))]
pub(super) async fn list(
    Reader(caller): Reader,
    context: Ctx,
    Asked(asked): Asked<ChecksAsked>,
) -> Result<Json<Items<Value>>, ApiError> {
    let ChecksAsked { kind, tag, managed_by, paused, secrets, page } = asked;
    let filter = CheckFilter { kind, tag, managed_by, is_paused: paused };
    let page = checks::list(&context.reads, &filter, page.cursor.as_deref(), page.limit()).await?;
    let names: Vec<&str> = page.items.iter().map(|check| check.definition.name.as_str()).collect();
    let sight = sight(&context, &caller, secrets, &names).await?;
    let items = page.items.iter().map(|check| shown::show(check, sight)).collect();
    Ok(Json(Items { items, next: page.next }))
}

request! {
    pub(super) struct SecretsAsked {
        /// Secrets too; for admins, and it stands in the audit trail
        secrets: Option<Flag>,
    }
}

/// One check.
#[utoipa::path(get, path = "/checks/{name}", tag = "checks", security(("key" = ["read"])),
    params(("name" = String, Path, description = "Its name"), SecretsAsked),
    responses((status = 200, description = "The check, with its ETag", body = CheckShown)))]
pub(super) async fn show(
    Reader(caller): Reader,
    context: Ctx,
    Path(name): Path<String>,
    Asked(SecretsAsked { secrets }): Asked<SecretsAsked>,
) -> Result<Response, ApiError> {
    let check = find(&context.reads, &name).await?;
    let sight = sight(&context, &caller, secrets, &[&name]).await?;
    Ok(precondition::tagged(StatusCode::OK, &check.etag(), shown::show(&check, sight)))
}

async fn sight(
    context: &Context,
    caller: &Caller,
    wants_secrets: Option<bool>,
    names: &[&str],
) -> Result<Sight, ApiError> {
    let subject = match names {
        [one] => format!("check/{one}"),
        _ => "checks".to_owned(),
    };
    Sight::asked(context, (caller, wants_secrets), ("check.reveal", subject, json!({ "checks": names }))).await
}

/// Makes a check.
#[utoipa::path(post, path = "/checks", tag = "checks", security(("key" = ["write"])),
    params(DryRun),
    request_body = NewCheck,
    responses((status = 201, description = "Made", body = CheckShown),
        (status = 204, description = "It would be made"),
        (status = 409, description = "There is a check of this name already, or there are 10,000", body = Problem)))]
pub(super) async fn create(
    Writer(caller): Writer,
    context: Ctx,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let draft = read(&context, &fields.into_object())?;
    let name = draft.name.clone().unwrap_or_default();
    let wish = Wish { target: Target::New, draft, if_match: vec![] };
    let written = write(&context, &caller, wish, dry_run.unwrap_or_default()).await?;
    let written = written.map_err(|refused| refusal::one(refused, THING, &name))?;
    answer(&context, &caller, written.as_ref()).await
}

/// Makes the check of this name, or replaces what is there: what is not named is as in a new one.
#[utoipa::path(put, path = "/checks/{name}", tag = "checks", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name"),
        DryRun,
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only make it")),
    request_body = CheckFields,
    responses((status = 200, description = "As it is now", body = CheckShown),
        (status = 201, description = "Made", body = CheckShown),
        (status = 204, description = "It would be made, or replaced"),
        (status = 409, description = "There are 10,000 checks already", body = Problem),
        (status = 412, description = "It was changed since, or is there already", body = Problem)))]
pub(super) async fn put(
    Writer(caller): Writer,
    context: Ctx,
    edit: Edit,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let Edit { name, is_rehearsal, if_match, wants_new } = edit;
    let draft = read_named(&context, &name, fields.into_object())?;
    let target = if wants_new { Target::New } else { Target::Whole };
    let written = write(&context, &caller, Wish { target, draft, if_match }, is_rehearsal).await?;
    let is_there = |refused: &Refusal| matches!(refused, Refusal::Faults(faults) if faults.iter().any(|(_, fault)| fault.field == "name"));
    let written = written.map_err(|refused| {
        if wants_new && is_there(&refused) { refusal::stale(THING) } else { refusal::one(refused, THING, &name) }
    })?;
    answer(&context, &caller, written.as_ref()).await
}

/// Changes the fields that are named; `null` takes one back to what it starts with.
#[utoipa::path(patch, path = "/checks/{name}", tag = "checks", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name"),
        DryRun,
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    request_body = CheckFields,
    responses((status = 200, description = "As it is now", body = CheckShown),
        (status = 204, description = "It would be changed"),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn change(
    Writer(caller): Writer,
    context: Ctx,
    edit: Edit,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let Edit { name, is_rehearsal, if_match, .. } = edit;
    let draft = read_named(&context, &name, fields.into_object())?;
    let written = write(&context, &caller, Wish { target: Target::Existing, draft, if_match }, is_rehearsal).await?;
    let written = written.map_err(|refused| refusal::one(refused, THING, &name))?;
    answer(&context, &caller, written.as_ref()).await
}

/// Deletes a check with all that was known of it, and ends its incidents.
#[utoipa::path(delete, path = "/checks/{name}", tag = "checks", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name"),
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    responses((status = 204, description = "It is gone"),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn remove(
    Writer(caller): Writer,
    context: Ctx,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let if_match = refusal::if_match(&headers)?;
    let done = checks::delete(&context.state.store, &caller.who(), &name, &if_match).await?;
    done.map_err(|refused| refusal::one(refused, THING, &name))?;
    context.state.looks.refresh();
    Ok(StatusCode::NO_CONTENT)
}

/// One of those that the path names: the body may say the same name again.
fn read_named(context: &Context, name: &str, mut object: Map<String, Value>) -> Result<Draft, ApiError> {
    let said = object.insert("name".to_owned(), json!(name));
    if said.is_some_and(|said| !said.is_null() && said != name) {
        return Err(ApiError::field("name", "is another one than in the path; a check keeps its name"));
    }
    read(context, &object)
}

/// Says everything that is wrong with it at once.
fn read(context: &Context, object: &Map<String, Value>) -> Result<Draft, ApiError> {
    let (draft, faults) = read_what_can_be(object, &context.state.telling.routing.channels);
    if faults.is_empty() { Ok(draft) } else { Err(refusal::error_of(faults)) }
}

/// The fields that can be read, and what is wrong with the others.
fn read_what_can_be(object: &Map<String, Value>, channels: &[String]) -> (Draft, Vec<FieldFault>) {
    let (draft, mut faults) = Draft::read_what_can_be(object);
    faults.extend(lost_channels(&draft, channels));
    (draft, faults)
}

/// It names channels that this watchdog does not have.
fn lost_channels(draft: &Draft, channels: &[String]) -> Option<FieldFault> {
    let named = draft.channels.as_deref().unwrap_or_default();
    channels::fault(named, channels).map(|message| FieldFault::new("channels", message))
}

/// What became of it; `None`: it was only judged.
async fn write(
    context: &Context,
    caller: &Caller,
    wish: Wish,
    is_rehearsal: bool,
) -> Result<Result<Option<Written>, Refusal>, ApiError> {
    let (store, guard) = (&context.state.store, &context.state.guard);
    if is_rehearsal {
        return Ok(checks::rehearse(store, &[wish], guard).await?.map(|_| None));
    }
    let written = checks::write(store, &caller.who(), &[wish], guard).await?;
    context.state.looks.refresh();
    Ok(written.map(|written| written.into_iter().next()))
}

/// The check as it is now; what was just written is read on the connections of writers.
async fn answer(context: &Context, caller: &Caller, written: Option<&Written>) -> Result<Response, ApiError> {
    let Some(written) = written else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let check = find(&context.state.store, &written.name).await?;
    let is_new = written.change == Change::Created;
    let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = precondition::tagged(code, &check.etag(), shown::show(&check, Sight::of(caller)));
    if is_new && let Ok(location) = HeaderValue::from_str(&format!("/api/v1/checks/{}", written.name)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn find(store: &Store, name: &str) -> Result<Check, ApiError> {
    checks::get(store, name).await?.ok_or_else(|| ApiError::not_found(THING, name))
}
