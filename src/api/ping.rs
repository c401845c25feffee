//! `/ping`: whether anybody is there, for whoever balances between watchdogs or their public ports. It says nothing of the cluster: `/status` does.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Whether this process answers.
#[utoipa::path(get, path = "/ping", tag = "watching", responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
pub(super) async fn show() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], "pong").into_response()
}
