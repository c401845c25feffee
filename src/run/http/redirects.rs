//! Where a redirect leads, and what of the request goes on: the rules of follow-redirects 1.16, which Kuma's client uses.
//!
//! Pure. Any 3xx with a Location is followed. The Host that a monitor sends is for its first request alone; a relative
//! Location leads to it. Credentials stay with their host (and the hosts below it), and never leave https for http.

use http::StatusCode;
use http::header::{self, HeaderName};
use reqwest::{Method, Url};

use super::super::failure::Failure;
use super::ask::Ask;

/// Of a body, which is gone where a redirect asks for GET.
const OF_BODY: &str = "content-";

/// What only the host may see that it was meant for.
const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// Where an answer leads, if it does: each byte of its Location as a letter of its own, as Node reads headers.
pub(super) fn location(status: StatusCode, headers: &http::HeaderMap) -> Option<String> {
    let location = headers.get(header::LOCATION).filter(|_| status.is_redirection())?;
    let location: String = location.as_bytes().iter().map(|&byte| char::from(byte)).collect();
    (!location.is_empty()).then_some(location)
}

/// What is asked next.
pub(super) fn follow(mut ask: Ask, status: StatusCode, location: &str) -> Result<Ask, Failure> {
    let becomes_get = match status.as_u16() {
        301 | 302 => ask.method == Method::POST,
        303 => ask.method != Method::GET && ask.method != Method::HEAD,
        _ => false,
    };
    if becomes_get {
        ask.method = Method::GET;
        ask.body = None;
        let of_body: Vec<_> = ask.headers.keys().filter(|name| name.as_str().starts_with(OF_BODY)).cloned().collect();
        for name in of_body {
            ask.headers.remove(name);
        }
    }
    let said_host = ask.host().map(str::to_owned);
    ask.headers.remove(header::HOST);
    ask.of_address = None;
    let host = said_host.clone().unwrap_or_else(|| host_of(&ask.url));
    let base = if names_scheme(location) { ask.url.clone() } else { with_host(&ask.url, said_host.as_deref()) };
    let next = base.join(location).map_err(|_| Failure::target("Redirected request failed: Invalid URL"))?;
    if !matches!(next.scheme(), "http" | "https") {
        let msg = format!("Redirected request failed: Unsupported protocol {}:", next.scheme());
        return Err(Failure::target(msg));
    }
    let leaves_https = next.scheme() != ask.url.scheme() && next.scheme() != "https";
    let next_host = host_of(&next);
    if leaves_https || (next_host != host && !is_below(&next_host, &host)) {
        for name in CREDENTIALS {
            ask.headers.remove(name);
        }
    }
    ask.url = next;
    // What stands in a Location is nobody's to use.
    let _cleared = ask.url.set_username("").and_then(|()| ask.url.set_password(None));
    Ok(ask)
}

/// `/^\w+:/`
fn names_scheme(location: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    location.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(is_word))
}

/// `host:port`, without the port that the scheme means.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// With the host that was sent, and its port if it names one.
fn with_host(url: &Url, said: Option<&str>) -> Url {
    let mut url = url.clone();
    let said = said.and_then(|said| Url::parse(&format!("{}://{said}", url.scheme())).ok());
    let Some(said) = said else { return url };
    if url.set_host(said.host_str()).is_ok() && said.port().is_some() {
        let _set = url.set_port(said.port());
    }
    url
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
}
