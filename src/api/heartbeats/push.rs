//! `POST /heartbeats/{name}`: a signed push. 200 means that it is committed.

use axum::Json;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::seconds;
use crate::api::Ctx;
use crate::api::openapi::Millis;
use crate::api::problem::{ApiError, Problem};
use crate::heartbeat::secret::{HEADER, LEGACY_HEADER, Proof};

/// Of the whole body.
const LIMIT: usize = 64 * 1024;

#[derive(Serialize, ToSchema)]
#[schema(as = AcceptedPush)]
struct PushReceipt<'a> {
    #[schema(value_type = String)]
    name: &'a str,
    /// The sender's, as it counts.
    time: f64,
    #[schema(value_type = String)]
    state: &'static str,
    /// By when the next push must be here: milliseconds UTC.
    #[schema(value_type = Option<Millis>, required)]
    deadline: Option<Wall>,
}

/// What a program says.
#[derive(ToSchema)]
#[expect(dead_code, reason = "parsed once the signature was looked at; this is what the document says of it")]
struct SentPush {
    /// Unix seconds, to the microsecond; later than that of the last accepted push, within 300 s of the server's.
    time: f64,
    #[schema(pattern = "^(ok|start|fail)$", default = "ok")]
    status: Option<String>,
    message: Option<String>,
    duration_ms: Option<i64>,
    exit_code: Option<i64>,
    /// The same in the start and the end of one run.
    run_id: Option<String>,
}

/// Takes a signed push. 200 means that it is committed.
#[utoipa::path(post, path = "/heartbeats/{name}", tag = "watching",
    params(("name" = String, Path, description = "Its name"),
        ("x-hub-signature-256" = Option<String>, Header, description = "`sha256=` and the hex HMAC-SHA256 of the raw body with the secret"),
        ("x-hub-signature" = Option<String>, Header, description = "The same with SHA-1, where the heartbeat allows it")),
    request_body = SentPush,
    responses((status = 200, description = "It counts", body = PushReceipt<'_>),
        (status = 400, description = "Malformed, or its time is outside the window; `server_time` is the server's", body = Problem),
        (status = 403, description = "The signature is missing or wrong, or there is no such heartbeat", body = Problem),
        (status = 409, description = "Replayed; `last_time` is that of the last push that counted", body = Problem),
        (status = 408, description = "It did not come within 5 s", body = Problem),
        (status = 413, description = "Over 64 KiB", body = Problem),
        (status = 429, description = "Over 50 a second of this name", body = Problem),
        (status = 503, description = "It cannot be stored", body = Problem)))]
pub(in crate::api) async fn take(
    context: Ctx,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, stream) = request.into_parts();
    let bytes = context.budgets.strangers.read(stream, LIMIT).await?;
    let proof = Proof { sha256: text(&parts.headers, HEADER), sha1: text(&parts.headers, LEGACY_HEADER) };
    let accepted = context.state.heartbeats.push(&name, proof, &bytes).await?;
    let record = &accepted.known.vitals.record;
    let shown = PushReceipt {
        name: &name,
        time: seconds(accepted.time_us),
        state: record.state.as_str(),
        deadline: record.deadline(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response())
}

/// A header that is there but cannot be read is a wrong signature, not a missing one: both are refused alike.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}
