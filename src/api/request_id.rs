//! `x-request-id`: taken from the caller when it is plain, drawn otherwise, sent back always, and written into the
//! bodies of errors.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::Instrument;

use super::problem::{self, Problem};

const HEADER: &str = "x-request-id";

/// Longer ids bloat the log.
const MOST_CHARS: usize = 64;

#[derive(Serialize)]
struct ProblemWithId<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    request_id: &'a str,
}

pub(super) async fn attach(request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).and_then(plain).unwrap_or_else(draw);
    let span = tracing::info_span!("request", http.request_id = %id, http.method = %request.method(), http.path = path_to_log(request.uri().path()));
    let mut response = problem::of_framework(next.run(request).instrument(span).await).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = write(&problem, &id, response);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// The token of a push monitor is a secret, also at a process that knows no push monitors; so is what a subscriber of a page confirms and leaves with.
fn path_to_log(path: &str) -> &str {
    const PUSH: &str = "/api/push/";
    if path.starts_with("/pages/") {
        let end = ["/confirm/", "/unsubscribe/"].iter().find_map(|deed| Some(path.find(deed)? + deed.len()));
        return end.and_then(|end| path.get(..end)).unwrap_or(path);
    }
    let is_push = path.get(..PUSH.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(PUSH));
    if is_push { "/api/push/..." } else { path }
}

/// The headers that the error set stay; the body is ours.
fn write(problem: &Problem, id: &str, response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    let Ok(body) = serde_json::to_vec(&ProblemWithId { problem, request_id: id }) else { return parts.into_response() };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response::from_parts(parts, Body::from(body))
}

fn plain(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.:".contains(letter));
    (is_plain && !text.is_empty() && text.len() <= MOST_CHARS).then(|| text.to_owned())
}

fn draw() -> String {
    hex::encode(rand::random::<[u8; 8]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_opens_does_not_stand_in_the_log() {
        for (path, logged) in [
            ("/api/push/s3cr3t", "/api/push/..."),
            ("/pages/shop/unsubscribe/s3cr3t", "/pages/shop/unsubscribe/"),
            ("/pages/shop/confirm/s3cr3t", "/pages/shop/confirm/"),
            ("/pages/shop/history/2026-11", "/pages/shop/history/2026-11"),
            ("/api/v1/pages", "/api/v1/pages"),
        ] {
            assert_eq!(path_to_log(path), logged);
        }
    }
}
