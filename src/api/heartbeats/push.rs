//! `POST /heartbeats/{name}`: a signed push. 200 means that it is committed.

use axum::Json;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::time::Wall;
use serde::Serialize;

use super::shown::seconds;
use crate::api::problem::ApiError;
use crate::api::{Ctx, body};
use crate::heartbeat::secret::{HEADER, LEGACY_HEADER, Proof};

/// Of the whole body.
const LIMIT: usize = 64 * 1024;

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    /// The sender's, as it counts.
    time: f64,
    state: &'static str,
    /// By when the next push must be here: milliseconds UTC.
    deadline: Option<Wall>,
}

pub(in crate::api) async fn take(
    context: Ctx,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, stream) = request.into_parts();
    let bytes = body::read(stream, LIMIT).await?;
    let proof = Proof { sha256: text(&parts.headers, HEADER), sha1: text(&parts.headers, LEGACY_HEADER) };
    let accepted = context.state.heartbeats.push(&name, proof, &bytes).await?;
    let record = &accepted.known.vitals.record;
    let shown =
        Shown { name: &name, time: seconds(accepted.time_us), state: record.state.as_str(), deadline: record.deadline };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response())
}

/// A header that is there but cannot be read is a wrong signature, not a missing one: both are refused alike.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}
