//! `/api/v1/heartbeats`: making and changing heartbeats, and their history. Below: taking pushes, and who is alive.
//!
//! A secret is shown twice in its life at most: when the heartbeat is made, and when the secret is rotated.

pub(super) mod alive;
mod draft;
pub(super) mod push;
pub(super) mod refusal;
mod shown;
#[cfg(test)]
mod tests;

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::heartbeat::State;
use komainu_watchdogs::time::Wall;
use serde_json::Value;

use self::draft::{HeartbeatChanges, NewHeartbeat};
use self::shown::{HeartbeatView, MadeHeartbeat, PushShown};
use super::auth::{Reader, Writer};
use super::body::Object;
use super::edit::Edit;
use super::page::{DryRun, Items, PageAsked};
use super::precondition;
use super::problem::{ApiError, Problem};
use super::request::{Asked, Field, Flag, Sent, Shape, Whole, request};
use super::{Context, Ctx};
use crate::clock;
use crate::heartbeat::{MOST_OVERLAP_S, reschedule, secret};
use crate::store::Store;
use crate::store::heartbeats::{self, Definition, Heartbeat};

/// How long the old secret holds after a rotation, unless told otherwise.
const OVERLAP_S: i64 = 86_400;

request! {
    pub(super) struct HeartbeatsAsked {
        /// Only those in this state
        state: Option<StateName>,
        /// Only those that are paused, or are not
        paused: Option<Flag>,
        ..page: PageAsked,
    }
}

struct StateName;

impl Field for StateName {
    type Value = State;

    fn read(sent: &Value) -> Result<State, String> {
        sent.as_str().and_then(State::parse).ok_or_else(|| "must be new, up, late or failed".to_owned())
    }

    fn shape() -> Shape {
        Shape::words(&["new", "up", "late", "failed"])
    }
}

/// Heartbeats by name.
#[utoipa::path(get, path = "/heartbeats", tag = "heartbeats", security(("key" = ["read"])),
    params(HeartbeatsAsked),
    responses((status = 200, description = "A page of them", body = Items<HeartbeatView>)))]
pub(super) async fn list(
    _: Reader,
    context: Ctx,
    Asked(HeartbeatsAsked { state, paused, page }): Asked<HeartbeatsAsked>,
) -> Result<Json<Items<HeartbeatView>>, ApiError> {
    let page = heartbeats::list(&context.reads, (state, paused), page.cursor.as_deref(), page.limit()).await?;
    Ok(Json(Items::of(page)))
}

/// One heartbeat, without its secret.
#[utoipa::path(get, path = "/heartbeats/{name}", tag = "heartbeats", security(("key" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The heartbeat, with its ETag", body = HeartbeatView)))]
pub(super) async fn show(_: Reader, context: Ctx, Path(name): Path<String>) -> Result<Response, ApiError> {
    let shown = find(&context.reads, &name).await?;
    Ok(precondition::tagged(StatusCode::OK, &shown.etag.clone(), shown))
}

/// Makes a heartbeat. The answer holds its secret.
#[utoipa::path(post, path = "/heartbeats", tag = "heartbeats", security(("key" = ["write"])),
    params(DryRun),
    request_body = NewHeartbeat,
    responses((status = 201, description = "Made", body = MadeHeartbeat),
        (status = 204, description = "It would be made"),
        (status = 409, description = "There is a heartbeat of this name already", body = Problem)))]
pub(super) async fn create(
    Writer(caller): Writer,
    context: Ctx,
    Asked(DryRun { dry_run }): Asked<DryRun>,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let definition = Definition {
        nonce: secret::draw_nonce(),
        ..draft::read_new(fields, now(&context), &context.state.telling.routing.channels)?
    };
    let name = &definition.name;
    let taken = || ApiError::conflict("name", format!("there is a heartbeat {name} already"));
    if dry_run.unwrap_or_default() {
        let is_taken = heartbeats::get(&context.state.store, name).await?.is_some();
        return if is_taken { Err(taken()) } else { Ok(StatusCode::NO_CONTENT.into_response()) };
    }
    let first_deadline = definition.first_due.map(|due| due + definition.grace());
    match heartbeats::create(&context.state.store, &definition, first_deadline, &caller.who()).await {
        Err(error) if error.is_duplicate() => return Err(taken()),
        made => made?,
    }
    context.state.heartbeats.refresh().await;
    let shown = find(&context.state.store, name).await?.with_secret(context.state.heartbeats.secret(&definition));
    let mut headers = no_store();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/heartbeats/{name}")) {
        headers.insert(header::LOCATION, location);
    }
    Ok((StatusCode::CREATED, headers, Json(shown)).into_response())
}

/// Changes the fields that are named; `null` takes one away.
#[utoipa::path(patch, path = "/heartbeats/{name}", tag = "heartbeats", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name"),
        DryRun,
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    request_body = HeartbeatChanges,
    responses((status = 200, description = "As it is now", body = HeartbeatView),
        (status = 204, description = "It would be changed"),
        (status = 409, description = "Somebody else changed it meanwhile", body = Problem),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn change(
    Writer(caller): Writer,
    context: Ctx,
    edit: Edit,
    Object(fields): Object,
) -> Result<Response, ApiError> {
    let Edit { name, is_rehearsal, if_match, .. } = edit;
    let store = &context.state.store;
    let missing = || ApiError::not_found("heartbeat", &name);
    let before = heartbeats::get(store, &name).await?.ok_or_else(missing)?.definition;
    let definition =
        draft::read_changed(fields, before.clone(), now(&context), &context.state.telling.routing.channels)?;
    if !precondition::is_met(&if_match, &before.etag()) {
        return Err(stale(&name));
    }
    if is_rehearsal {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let by = caller.who();
    let changed = heartbeats::update(store, &name, &by, |heartbeat, now| {
        if !precondition::is_met(&if_match, &heartbeat.definition.etag()) {
            return Err(stale(&name));
        }
        if heartbeat.definition.revision != before.revision {
            return Err(ApiError::conflict(
                "name",
                "somebody else changed this heartbeat meanwhile; read it and try again",
            ));
        }
        Ok(reschedule::after_edit(heartbeat, &definition, now))
    });
    changed.await?.ok_or_else(missing)??;
    context.state.heartbeats.refresh().await;
    let shown = find(&context.state.store, &name).await?;
    Ok(precondition::tagged(StatusCode::OK, &shown.etag.clone(), shown))
}

fn stale(name: &str) -> ApiError {
    precondition::stale(&format!("the heartbeat {name}"))
}

/// Deletes a heartbeat, and ends its incident.
#[utoipa::path(delete, path = "/heartbeats/{name}", tag = "heartbeats", security(("key" = ["write"])),
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
    let if_match = precondition::if_match(&headers)?;
    let is_wanted = |heartbeat: &Heartbeat| precondition::is_met(&if_match, &heartbeat.definition.etag());
    let gone = heartbeats::delete_if(&context.state.store, &name, &caller.who(), is_wanted).await?;
    gone.ok_or_else(|| ApiError::not_found("heartbeat", &name))?.map_err(|_| stale(&name))?;
    context.state.heartbeats.refresh().await;
    Ok(StatusCode::NO_CONTENT)
}

request! {
    /// How a secret is replaced.
    pub(super) struct Rotation {
        /// How long the old secret still holds; 0: not at all.
        overlap_s: Option<Whole<0, MOST_OVERLAP_S>> = OVERLAP_S,
    }
}

/// Draws a new secret, which the answer holds.
#[utoipa::path(post, path = "/heartbeats/{name}/rotate", tag = "heartbeats", security(("key" = ["write"])),
    params(("name" = String, Path, description = "Its name")),
    request_body = Rotation,
    responses((status = 200, description = "The heartbeat with its new secret", body = MadeHeartbeat)))]
pub(super) async fn rotate(
    Writer(caller): Writer,
    context: Ctx,
    Path(name): Path<String>,
    Sent(Rotation { overlap_s }): Sent<Rotation>,
) -> Result<(HeaderMap, Json<HeartbeatView>), ApiError> {
    let overlap_s = overlap_s.unwrap_or(OVERLAP_S);
    let nonce = secret::draw_nonce();
    if !heartbeats::rotate(&context.state.store, &name, &nonce, overlap_s * 1_000, &caller.who()).await? {
        return Err(ApiError::not_found("heartbeat", &name));
    }
    context.state.heartbeats.refresh().await;
    let derived = context.state.heartbeats.secret(&Definition { name: name.clone(), nonce, ..Definition::default() });
    Ok((no_store(), Json(find(&context.state.store, &name).await?.with_secret(derived))))
}

/// The accepted pushes, the latest first.
#[utoipa::path(get, path = "/heartbeats/{name}/pushes", tag = "heartbeats", security(("key" = ["read"])),
    params(PageAsked, ("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "A page of them", body = Items<PushShown>)))]
pub(super) async fn pushes(
    _: Reader,
    context: Ctx,
    Path(name): Path<String>,
    Asked(page): Asked<PageAsked>,
) -> Result<Json<Items<PushShown>>, ApiError> {
    find(&context.reads, &name).await?;
    let page = heartbeats::list_pushes(&context.reads, &name, page.cursor.as_deref(), page.limit()).await?;
    Ok(Json(Items::of(page)))
}

async fn find(store: &Store, name: &str) -> Result<HeartbeatView, ApiError> {
    let found = heartbeats::get(store, name).await?;
    found.map(HeartbeatView::from).ok_or_else(|| ApiError::not_found("heartbeat", name))
}

fn now(context: &Context) -> Wall {
    context.state.heartbeats.server_us().map_or_else(clock::wall, |us| Wall(us / 1_000))
}

/// A secret is nothing for caches.
fn no_store() -> HeaderMap {
    HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
}
