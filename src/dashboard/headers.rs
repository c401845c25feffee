//! What every answer of the dashboard says to the browser: nothing from elsewhere, nothing framed, nothing kept.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::compression::CompressionLayer;

/// Scripts, styles and pictures are this origin's own files; no page may be put into a frame, and no form leads elsewhere.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self'; \
                      style-src 'self'; script-src 'self'; connect-src 'self'";

/// The policy of a page whose script asks these origins too whether they are there.
pub(super) fn policy<'a>(origins: impl IntoIterator<Item = &'a str>) -> String {
    origins.into_iter().fold(POLICY.to_owned(), |policy, origin| format!("{policy} {origin}"))
}

/// The security headers, and `no-store` where the answer says nothing else.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with it a form of this very page says that it comes from nowhere (`Origin: null`), where the connection is not
        // encrypted and so bears no `Sec-Fetch-Site`.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Pages are text: a tenth of it remains.
pub(super) fn compressed() -> CompressionLayer {
    CompressionLayer::new()
}
