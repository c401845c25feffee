//! Only pages of this very origin may send what changes something: no other site can make a browser do it.
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site`, and older ones in `Origin`. Whoever says neither is no browser, and
//! has the API.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::frame::refusal;

const REFUSAL: &str =
    "This was sent from another site, or by a program. Open the dashboard itself and try again; programs use the API.";

/// Refuses what another site sent.
pub(super) async fn ensure_own(request: Request, next: Next) -> Response {
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_reading || is_own(request.headers()) {
        return next.run(request).await;
    }
    refusal(StatusCode::FORBIDDEN, REFUSAL)
}

fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => text(header::ORIGIN.as_str()).is_some_and(|origin| is_at(origin, text(header::HOST.as_str()))),
    }
}

/// Whether an origin (`https://host:port`) is that of the host that was asked.
fn is_at(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
}

/// Whether somebody came by a link on another site: then the browser kept the session's cookie back.
pub(super) fn is_by_a_strangers_link(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_page_itself_may_send() {
        assert!(is_own(&headers(&[("sec-fetch-site", "same-origin")])));
        for site in ["same-site", "cross-site", "none", ""] {
            let of_own = [("sec-fetch-site", site), ("origin", "http://w1:8900"), ("host", "w1:8900")];
            assert!(!is_own(&headers(&of_own)), "{site}");
        }
    }

    #[test]
    fn a_browser_that_does_not_know_the_header_says_its_origin() {
        let own = |origin: &str| is_own(&headers(&[("origin", origin), ("host", "w1:8900")]));
        assert!(own("http://w1:8900") && own("https://W1:8900"));
        for foreign in ["null", "http://w1", "http://w1:8901", "http://w1:8900.evil.example", "w1:8900", ""] {
            assert!(!own(foreign), "{foreign}");
        }
        assert!(!is_own(&headers(&[("host", "w1:8900")])), "a program");
    }
}
