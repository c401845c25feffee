//! `/api/v1/monitors`: Kuma's own column names, plus who runs it.
//!
//! A monitor that is made here is a wish: the leader finds a node for it within its next round. An edit names what it
//! changes; with `If-Match` it is made only of what its client had seen.

use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde_json::{Map, Value, json};

use self::document::{Monitor, MonitorFields};
use self::shown::{MonitorPresenter, Sight};
use super::auth::{Caller, Reader, Writer};
use super::body::Object;
use super::fields::Fields;
use super::page::{Cut, Items, PageParams};
use super::problem::{ApiError, Problem};
use super::{Context, Ctx, channels};
use crate::monitor::{Draft, Fault, Table};
use crate::store::audit::{self, Deed};
use crate::store::monitors::{self, MonitorFilter, MonitorState, MonitorView, Target, Wish};
use crate::store::{BeatStatus, LastBeat, Store};

pub(super) mod beats;
pub(crate) mod bulk;
pub(super) mod by_ref;
mod document;
pub(super) mod refusal;
mod shown;
#[cfg(test)]
mod tests;
pub(super) mod uptime;
mod wait;

/// Monitors by rising id; all filters must hold.
#[utoipa::path(get, path = "/monitors", tag = "monitors", security(("key" = ["read"])),
    params(PageParams,
        ("node" = Option<String>, Query, description = "Run by this node"),
        ("home" = Option<String>, Query, description = "At home on this node"),
        ("type" = Option<String>, Query, description = "Of this type"),
        ("status" = Option<String>, Query, description = "up, down, pending, maintenance, paused or unknown"),
        ("active" = Option<bool>, Query, description = "Active, or not"),
        ("tag" = Option<String>, Query, description = "Bearing this tag"),
        ("text" = Option<String>, Query, description = "Whose name, address or host name holds this"),
        ("ref" = Option<String>, Query, description = "To which a client gave this name"),
        ("managed_by" = Option<String>, Query, description = "Of this set"),
        ("secrets" = Option<bool>, Query, description = "Secrets too; for admins, and it stands in the audit trail")),
    responses((status = 200, description = "One page", body = Items<Monitor>)))]
pub(super) async fn list(
    Reader(caller): Reader,
    context: Ctx,
    RawQuery(query): RawQuery,
) -> Result<Json<Items<Value>>, ApiError> {
    let mut fields = Fields::of_query(query.as_deref());
    let (cut, wants_secrets) = (Cut::take(&mut fields), fields.flag("secrets").unwrap_or_default());
    let filter = MonitorFilter {
        effective_node: fields.text("node", 50).map(NodeId::from),
        home: fields.text("home", 50).map(NodeId::from),
        active: fields.flag("active"),
        kind: fields.text("type", 20),
        tag: fields.text("tag", 255),
        search: fields.text("text", 150),
        reference: fields.text("ref", 400),
        managed_by: fields.text("managed_by", 190),
        state: read_state(&mut fields),
    };
    fields.finish()?;
    let store = &context.reads;
    let page = monitors::list(store, &filter, cut.cursor.as_deref(), cut.limit).await?;
    let ids: Vec<MonitorId> = page.items.iter().map(|view| view.spec.id).collect();
    let mut last: std::collections::BTreeMap<MonitorId, LastBeat> =
        store.last_beats(&ids).await?.into_iter().map(|beat| (beat.monitor, beat)).collect();
    let table = monitors::table(store).await?;
    let sight = sight(&context, &caller, wants_secrets, &ids).await?;
    let presenter = MonitorPresenter { table: &table, sight };
    let items = page.items.iter().map(|view| presenter.show(view, last.remove(&view.spec.id))).collect();
    Ok(Json(Items { items, next: page.next }))
}

fn read_state(fields: &mut Fields) -> Option<MonitorState> {
    let text = fields.text("status", 20)?;
    let state = match text.as_str() {
        "up" => MonitorState::Beat(BeatStatus::Up),
        "down" => MonitorState::Beat(BeatStatus::Down),
        "pending" => MonitorState::Beat(BeatStatus::Pending),
        "maintenance" => MonitorState::Beat(BeatStatus::Maintenance),
        "paused" => MonitorState::Paused,
        "unknown" => MonitorState::Unknown,
        _ => {
            fields.fault("status", "must be one of up, down, pending, maintenance, paused, unknown");
            return None;
        }
    };
    Some(state)
}

/// One monitor.
#[utoipa::path(get, path = "/monitors/{id}", tag = "monitors", security(("key" = ["read"])),
    params(("id" = String, Path, description = "Its id"),
        ("secrets" = Option<bool>, Query, description = "Secrets too; for admins, and it stands in the audit trail")),
    responses((status = 200, description = "The monitor, with its ETag", body = Monitor)))]
pub(super) async fn show(
    Reader(caller): Reader,
    context: Ctx,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let wants_secrets = read_secrets(query.as_deref())?;
    let view = find_view(&context.reads, parse_id(&id)?).await?;
    let sight = sight(&context, &caller, wants_secrets, &[view.spec.id]).await?;
    answer_with(&context.reads, sight, StatusCode::OK, &view, json!({})).await
}

fn read_secrets(query: Option<&str>) -> Result<bool, ApiError> {
    let mut fields = Fields::of_query(query);
    let wants_secrets = fields.flag("secrets").unwrap_or_default();
    fields.finish()?;
    Ok(wants_secrets)
}

/// What this caller sees. That secrets were shown stands in the audit trail before they are.
async fn sight(
    context: &Context,
    caller: &Caller,
    wants_secrets: bool,
    monitors: &[MonitorId],
) -> Result<Sight, ApiError> {
    if !wants_secrets {
        return Ok(Sight::of(caller));
    }
    caller.ensure_admin()?;
    let subject = match monitors {
        [one] => format!("monitor/{one}"),
        _ => "monitors".to_owned(),
    };
    let after = Some(json!({ "monitors": monitors }).to_string());
    let deed = Deed { who: caller.who(), what: "monitor.reveal".to_owned(), subject, before: None, after };
    audit::append(&context.state.store, &deed).await?;
    Ok(Sight::Secrets)
}

/// Makes a monitor. The leader finds a node for it within its next round.
#[utoipa::path(post, path = "/monitors", tag = "monitors", security(("key" = ["write"])),
    request_body = MonitorFields,
    responses((status = 201, description = "Made", body = Monitor),
        (status = 409, description = "Its ref or push token is taken", body = Problem)))]
pub(super) async fn create(Writer(caller): Writer, context: Ctx, Object(fields): Object) -> Result<Response, ApiError> {
    let view = write(&context, &caller, Target::New, vec![], fields).await?;
    let mut response = answer(&context, &caller, StatusCode::CREATED, &view).await?;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/monitors/{}", view.spec.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Changes the fields that are named.
#[utoipa::path(patch, path = "/monitors/{id}", tag = "monitors", security(("key" = ["write"])),
    params(("id" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "Only if the monitor is still one of these ETags")),
    request_body = MonitorFields,
    responses((status = 200, description = "As it is now", body = Monitor),
        (status = 409, description = "It contradicts what is there", body = Problem),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn change(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    headers: HeaderMap,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let target = Target::Existing(parse_id(&id)?);
    let view = write(&context, &caller, target, refusal::if_match(&headers)?, fields).await?;
    answer(&context, &caller, StatusCode::OK, &view).await
}

async fn write(
    context: &Context,
    caller: &Caller,
    target: Target,
    if_match: Vec<String>,
    fields: Fields,
) -> Result<MonitorView, ApiError> {
    let store = &context.state.store;
    let draft = read(context, &fields.into_object()).await?;
    let name = if let Target::Existing(id) = target { id.to_string() } else { String::new() };
    let written = monitors::write(store, &caller.who(), &[Wish { target, draft, if_match }]).await?;
    let written = written.map_err(|refused| refusal::one(refused, &name))?;
    let first = written.first().ok_or_else(|| ApiError::Internal("nothing was written".to_owned()))?;
    find_view(store, first.id).await
}

/// Says everything that is wrong with it at once.
async fn read(context: &Context, sent: &Map<String, Value>) -> Result<Draft, ApiError> {
    let table = monitors::table(&context.state.store).await?;
    let (draft, faults) = read_what_can_be(sent, &table, &context.state.channels);
    if faults.is_empty() { Ok(draft) } else { Err(refusal::error_of(faults)) }
}

/// The fields that can be read, and what is wrong with the others.
fn read_what_can_be(sent: &Map<String, Value>, table: &Table, channels: &[String]) -> (Draft, Vec<Fault>) {
    let (draft, mut faults) = Draft::read_what_can_be(sent, table);
    let named = draft.channels.as_deref().unwrap_or_default();
    faults.extend(channels::fault(named, channels).map(|message| Fault::new("channels", message)));
    (draft, faults)
}

/// Deletes a monitor with everything that hangs on it; its beats and statistics go afterwards.
#[utoipa::path(delete, path = "/monitors/{id}", tag = "monitors", security(("key" = ["write"])),
    params(("id" = String, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "Only if the monitor is still one of these ETags")),
    responses((status = 204, description = "It is gone"),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn remove(
    Writer(caller): Writer,
    context: Ctx,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    delete(&context, &caller, parse_id(&id)?, &headers).await
}

async fn delete(context: &Ctx, caller: &Caller, id: MonitorId, headers: &HeaderMap) -> Result<StatusCode, ApiError> {
    let done = monitors::delete(&context.state.store, &caller.who(), id, &refusal::if_match(headers)?).await?;
    done.map_err(|refused| refusal::one(refused, &id.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find_view(store: &Store, id: MonitorId) -> Result<MonitorView, ApiError> {
    monitors::get(store, id).await?.ok_or_else(|| ApiError::not_found("monitor", &id.to_string()))
}

/// The monitor, with what validates it.
/// What was just written is read on the connections of writers: it must not be refused for want of one.
async fn answer(
    context: &Context,
    caller: &Caller,
    code: StatusCode,
    view: &MonitorView,
) -> Result<Response, ApiError> {
    answer_with(&context.state.store, Sight::of(caller), code, view, json!({})).await
}

async fn answer_with(
    store: &Store,
    sight: Sight,
    code: StatusCode,
    view: &MonitorView,
    more: Value,
) -> Result<Response, ApiError> {
    let last = store.last_beats(&[view.spec.id]).await?.into_iter().next();
    let table = monitors::table(store).await?;
    let mut shown = MonitorPresenter { table: &table, sight }.show(view, last);
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    let mut response = (code, Json(shown)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&view.etag()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// What is no number is no monitor's id, so there is no such monitor.
fn parse_id(text: &str) -> Result<MonitorId, ApiError> {
    text.parse().map(MonitorId).map_err(|_| ApiError::not_found("monitor", text))
}
