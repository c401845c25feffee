//! `GET|HEAD /heartbeats/{name}`: 200 while it is alive, 404 when it is late, failed, never seen or unknown, 503 when this
//! watchdog cannot say. For outside uptime services: the same for both methods, never cached, never redirected.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::heartbeat::State;
use serde::Serialize;

use crate::api::problem::ApiError;
use crate::api::{Ctx, peer};
use crate::heartbeat::{Alive, PeerAnswer, peer_path};

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    /// `null`: nobody knows.
    alive: Option<bool>,
    /// `up`, `late`, `failed`, `new`; `null`: there is no such heartbeat, or nobody knows.
    state: Option<&'static str>,
}

pub(in crate::api) async fn show(context: Ctx, Path(name): Path<String>) -> Response {
    let (code, alive, state) = match context.state.heartbeats.alive(&name).await {
        Alive::Yes => (StatusCode::OK, Some(true), Some("up")),
        Alive::No(state) => (StatusCode::NOT_FOUND, Some(false), state.map(State::as_str)),
        Alive::Unknown => (StatusCode::SERVICE_UNAVAILABLE, None, None),
    };
    let shown = Json(Shown { name: &name, alive, state });
    let mut response = (code, [(header::CACHE_CONTROL, "no-store")], shown).into_response();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

/// For a peer that lost the database: what this watchdog knows by itself.
pub(in crate::api) async fn tell_peer(
    context: Ctx,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let answer = PeerAnswer::of(&name, context.state.heartbeats.vouched(&name));
    peer::answer(&context, &headers, &peer_path(&name), &answer)
}
