//! `/api/v1/monitors`: Kuma's own column names, plus who runs it.
//!
//! A monitor that is made here is a wish: the leader finds a node for it within its next round. An edit names what it
//! changes; with `If-Match` it is made only of what its client had seen.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde_json::{Map, Value, json};

use self::document::{Monitor, MonitorFields};
use self::shown::{MonitorPresenter, Sight};
use super::auth::{Caller, Reader, Writer};
use super::body::Object;
use super::fields::Fields;
use super::page::{Items, PageAsked};
use super::problem::{ApiError, Problem};
use super::request::{Asked, Field, Flag, Shape, Text, request};
use super::{Context, Ctx, channels};
use crate::monitor::{Draft, FieldFault, Table};
use crate::opinion::SecondOpinion;
use crate::store::monitors::{self, MonitorFilter, MonitorState, MonitorView, Target, Wish};
use crate::store::{BeatStatus, LastBeat, Store};

pub(super) mod beats;
pub(crate) mod bulk;
pub(super) mod by_ref;
pub(super) mod certificate;
pub(super) mod document;
mod opinion;
pub(super) mod places;
pub(super) mod refusal;
pub(super) mod series;
pub(super) mod shown;
#[cfg(test)]
mod tests;
pub(super) mod uptime;
mod wait;

/// As refusals name it.
const THING: &str = "monitor";

request! {
    pub(super) struct MonitorsAsked {
        /// Run by this node
        node: Option<Text<0, 50>>,
        /// At home on this node
        home: Option<Text<0, 50>>,
        /// Of this type
        kind as "type": Option<Text<0, 20>>,
        /// up, down, pending, maintenance, paused or unknown
        status: Option<StateName>,
        /// Active, or not
        active: Option<Flag>,
        /// Bearing this tag
        tag: Option<Text<0, 255>>,
        /// Whose name, address or host name holds this
        text: Option<Text<0, 150>>,
        /// To which a client gave this name
        reference as "ref": Option<Text<0, 400>>,
        /// Of this set
        managed_by: Option<Text<0, 190>>,
        /// Secrets too; for admins, and it stands in the audit trail
        secrets: Option<Flag>,
        ..page: PageAsked,
    }
}

/// Monitors by rising id; all filters must hold.
#[utoipa::path(get, path = "/monitors", tag = "monitors", security(("key" = ["read"])),
    params(MonitorsAsked),
    responses((status = 200, description = "One page", body = Items<Monitor>)))]
pub(super) async fn list(
    Reader(caller): Reader,
    context: Ctx,
    Asked(asked): Asked<MonitorsAsked>,
) -> Result<Json<Items<Value>>, ApiError> {
    let MonitorsAsked { secrets, page, .. } = asked;
    let filter = MonitorFilter {
        effective_node: asked.node.map(NodeId::from),
        home: asked.home.map(NodeId::from),
        active: asked.active,
        kind: asked.kind,
        tag: asked.tag,
        search: asked.text,
        reference: asked.reference,
        managed_by: asked.managed_by,
        state: asked.status,
    };
    let store = &context.reads;
    let page = monitors::list(store, &filter, page.cursor.as_deref(), page.limit()).await?;
    let ids: Vec<MonitorId> = page.items.iter().map(|view| view.spec.id).collect();
    let mut last: std::collections::BTreeMap<MonitorId, LastBeat> =
        store.last_beats(&ids).await?.into_iter().map(|beat| (beat.monitor, beat)).collect();
    let table = monitors::table(store).await?;
    let sight = sight(&context, &caller, secrets, &ids).await?;
    let presenter = MonitorPresenter { table: &table, wishes: &context.state.second_opinion, sight };
    let items = page.items.iter().map(|view| presenter.show(view, last.remove(&view.spec.id))).collect();
    Ok(Json(Items { items, next: page.next }))
}

struct StateName;

impl StateName {
    const ALL: [(&str, MonitorState); 6] = [
        ("up", MonitorState::Beat(BeatStatus::Up)),
        ("down", MonitorState::Beat(BeatStatus::Down)),
        ("pending", MonitorState::Beat(BeatStatus::Pending)),
        ("maintenance", MonitorState::Beat(BeatStatus::Maintenance)),
        ("paused", MonitorState::Paused),
        ("unknown", MonitorState::Unknown),
    ];
}

impl Field for StateName {
    type Value = MonitorState;

    fn read(sent: &Value) -> Result<MonitorState, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| sent == *name);
        found
            .map(|(_, state)| state)
            .ok_or_else(|| format!("must be one of {}", Self::ALL.map(|(name, _)| name).join(", ")))
    }

    fn shape() -> Shape {
        Shape::words(&Self::ALL.map(|(name, _)| name))
    }
}

request! {
    pub(super) struct SecretsAsked {
        /// Secrets too; for admins, and it stands in the audit trail
        secrets: Option<Flag>,
    }
}

/// One monitor.
#[utoipa::path(get, path = "/monitors/{id}", tag = "monitors", security(("key" = ["read"])),
    params(("id" = String, Path, description = "Its id"), SecretsAsked),
    responses((status = 200, description = "The monitor, with its ETag", body = Monitor)))]
pub(super) async fn show(
    Reader(caller): Reader,
    context: Ctx,
    Path(id): Path<String>,
    Asked(SecretsAsked { secrets }): Asked<SecretsAsked>,
) -> Result<Response, ApiError> {
    let view = find_view(&context.reads, parse_id(&id)?).await?;
    let sight = sight(&context, &caller, secrets, &[view.spec.id]).await?;
    answer_with((&context.reads, &context.state.second_opinion), sight, StatusCode::OK, &view, json!({})).await
}

async fn sight(
    context: &Context,
    caller: &Caller,
    wants_secrets: Option<bool>,
    monitors: &[MonitorId],
) -> Result<Sight, ApiError> {
    let subject = match monitors {
        [one] => format!("monitor/{one}"),
        _ => "monitors".to_owned(),
    };
    Sight::asked(context, (caller, wants_secrets), ("monitor.reveal", subject, json!({ "monitors": monitors }))).await
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
    let written = written.map_err(|refused| refusal::one(refused, THING, &name))?;
    let first = written.first().ok_or_else(|| ApiError::Internal("nothing was written".to_owned()))?;
    find_view(store, first.id).await
}

/// Says everything that is wrong with it at once.
async fn read(context: &Context, sent: &Map<String, Value>) -> Result<Draft, ApiError> {
    let table = monitors::table(&context.state.store).await?;
    let (draft, faults) = read_what_can_be(sent, &table, &context.state.telling.routing.channels);
    if faults.is_empty() { Ok(draft) } else { Err(refusal::error_of(faults)) }
}

/// The fields that can be read, and what is wrong with the others.
fn read_what_can_be(sent: &Map<String, Value>, table: &Table, channels: &[String]) -> (Draft, Vec<FieldFault>) {
    let (draft, mut faults) = Draft::read_what_can_be(sent, table);
    let named = draft.channels.as_deref().unwrap_or_default();
    faults.extend(channels::fault(named, channels).map(|message| FieldFault::new("channels", message)));
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
    done.map_err(|refused| refusal::one(refused, THING, &id.to_string()))?;
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
    answer_with((&context.state.store, &context.state.second_opinion), Sight::of(caller), code, view, json!({})).await
}

async fn answer_with(
    (store, wishes): (&Store, &SecondOpinion),
    sight: Sight,
    code: StatusCode,
    view: &MonitorView,
    more: Value,
) -> Result<Response, ApiError> {
    let last = store.last_beats(&[view.spec.id]).await?.into_iter().next();
    let table = monitors::table(store).await?;
    let mut shown = MonitorPresenter { table: &table, wishes, sight }.show(view, last);
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
