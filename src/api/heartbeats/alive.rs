//! `GET|HEAD /heartbeats/{name}`: 200 while it is alive, 404 when it is late, failed, never seen or unknown, 503 when this
//! watchdog cannot say, or nobody is to: it is paused. For outside uptime services: the same for both methods, never cached, never redirected.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::heartbeat::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::problem::{ApiError, Problem};
use crate::api::{Ctx, peer};
use crate::heartbeat::{Alive, PeerAnswer, peer_path};

#[derive(Serialize, ToSchema)]
#[schema(as = Alive)]
struct AliveView<'a> {
    #[schema(value_type = String)]
    name: &'a str,
    /// `null`: nobody knows, or it is paused.
    #[schema(required)]
    alive: Option<bool>,
    /// `up`, `late`, `failed`, `new`, `paused`; `null`: there is no such heartbeat, or nobody knows.
    #[schema(value_type = Option<String>, required)]
    state: Option<&'static str>,
}

/// Whether a heartbeat is alive, for outside uptime services. HEAD answers the same status.
#[utoipa::path(get, path = "/heartbeats/{name}", tag = "watching",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is alive", body = AliveView<'_>),
        (status = 404, description = "It is late, failed, never seen or unknown", body = AliveView<'_>),
        (status = 503, description = "This watchdog cannot say, or it is paused", body = AliveView<'_>)))]
pub(in crate::api) async fn show(context: Ctx, Path(name): Path<String>) -> Response {
    let (code, alive, state) = match context.state.heartbeats.alive(&name).await {
        Alive::Yes => (StatusCode::OK, Some(true), Some("up")),
        Alive::No(state) => (StatusCode::NOT_FOUND, Some(false), state.map(State::as_str)),
        Alive::Paused => (StatusCode::SERVICE_UNAVAILABLE, None, Some("paused")),
        Alive::Unknown => (StatusCode::SERVICE_UNAVAILABLE, None, None),
    };
    let shown = Json(AliveView { name: &name, alive, state });
    let mut response = (code, [(header::CACHE_CONTROL, "no-store")], shown).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

/// For a peer that lost the database: what this watchdog knows of a heartbeat by itself.
#[utoipa::path(get, path = "/peer/v1/heartbeats/{name}", tag = "peers",
    params(("name" = String, Path, description = "Its name"), peer::SignedParams),
    responses((status = 200, description = "What it knows, signed", body = peer::SignedReport),
        (status = 403, description = "The signature is missing or does not fit", body = Problem)))]
pub(in crate::api) async fn tell_peer(
    _: peer::Certified,
    context: Ctx,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let answer = PeerAnswer::of(&name, context.state.heartbeats.vouched(&name));
    peer::answer(&context, &headers, &peer_path(&name), &answer)
}
