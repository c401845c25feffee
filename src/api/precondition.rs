//! `ETag` and `If-Match`: an edit is made only of what its client had seen.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub(super) use super::monitors::refusal::if_match;
use super::problem::ApiError;

/// Whether what is there is what the client had seen; no tags: whatever is there will do.
pub(super) fn is_met(if_match: &[String], etag: &str) -> bool {
    if_match.is_empty() || if_match.iter().any(|tag| tag == "*" || tag == etag)
}

/// `what`: `the node node1`.
pub(super) fn stale(what: &str) -> ApiError {
    ApiError::Stale(format!("{what} is no longer what If-Match says; read it again"))
}

/// An answer with what validates it.
pub(super) fn tagged(code: StatusCode, etag: &str, body: impl Serialize) -> Response {
    let mut response = (code, Json(body)).into_response();
    if let Ok(tag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
