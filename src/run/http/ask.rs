//! What one request asks: a monitor's columns as Kuma, and the HTTP client beneath it, make a request of them.
//!
//! Pure, but for the text that keeps caches out. Rules are those of Uptime Kuma 2.5.3 with axios 0.32.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use rand::distr::{Alphanumeric, SampleString};
use reqwest::{Method, Request, Url};
use serde_json::Value as Json;

use super::super::failure::Failure;
use super::super::json::{self, Script};
use crate::run::spec;
use crate::store::monitors::MonitorSpec;

/// What a browser sends, as Kuma does: some sites answer 406 without it.
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.9";

/// What axios says of a body that nothing is said of, also where there is none.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// A request, and what it becomes where it is redirected.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
    /// User and password of the address: for the first request alone.
    pub(super) of_address: Option<HeaderValue>,
}

impl Ask {
    /// The first request of a monitor; `usual`: headers that every request bears.
    pub(super) fn new(monitor: &MonitorSpec, usual: HeaderMap) -> Result<Self, Failure> {
        let mut url = url(monitor)?;
        let of_address = credentials_of(&mut url)?;
        let method = method(monitor)?;
        let mut headers = usual;
        headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        // As Kuma's, for no connection outlives its run; a server that ends its answer by closing closes soon.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(credentials) = authorization(monitor)? {
            headers.insert(header::AUTHORIZATION, credentials);
        }
        let body = Body::of(monitor)?;
        if let Some(kind) = body.kind() {
            headers.insert(header::CONTENT_TYPE, kind);
        } else if expects_body(&method) {
            headers.insert(header::CONTENT_TYPE, FORM);
        }
        add_own(&mut headers, monitor)?;
        let body = body.text(&headers);
        Ok(Self { method, url, headers, body, of_address })
    }

    /// As the client sends it.
    pub(super) fn request(&self, url: Url) -> Request {
        let mut request = Request::new(self.method.clone(), url);
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        // As Kuma's client does: they win over every header.
        if let Some(credentials) = &self.of_address {
            headers.insert(header::AUTHORIZATION, credentials.clone());
        }
        match &self.body {
            Some(text) => *request.body_mut() = Some(text.clone().into()),
            // As Node does: some servers answer 411 otherwise.
            None if says_length(&self.method) => {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            None => {}
        }
        request
    }

    /// The host that this request is said to be for, if it is not that of its address.
    pub(super) fn host(&self) -> Option<&str> {
        self.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::trim)
    }
}

/// Whether a request without a body says that it has none.
fn says_length(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::CONNECT].contains(method)
}

fn expects_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// Takes user and password out of an address: they go into a header.
fn credentials_of(url: &mut Url) -> Result<Option<HeaderValue>, Failure> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| Failure::target("Invalid URL: it cannot hold a user"))?;
    secret_header(&format!("Basic {}", BASE64_STANDARD.encode(pair))).map(Some)
}

fn secret_header(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failure::target("the credentials contain characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn method(monitor: &MonitorSpec) -> Result<Method, Failure> {
    let name = spec::text(Some(&monitor.method)).unwrap_or("GET").to_ascii_uppercase();
    Method::from_bytes(name.as_bytes()).map_err(|_| Failure::target(format!("{name:?} is no HTTP method")))
}

fn url(monitor: &MonitorSpec) -> Result<Url, Failure> {
    let text = spec::text(monitor.url.as_ref()).ok_or_else(|| Failure::target("no URL is configured"))?;
    let mut url = Url::parse(text).map_err(|error| Failure::target(format!("Invalid URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::target(format!("Unsupported protocol {}:", url.scheme())));
    }
    if monitor.cache_bust {
        let busting = Alphanumeric.sample_string(&mut rand::rng(), 11).to_ascii_lowercase();
        url.query_pairs_mut().append_pair("uptime_kuma_cachebuster", &busting);
    }
    Ok(url)
}

fn authorization(monitor: &MonitorSpec) -> Result<Option<HeaderValue>, Failure> {
    let text = |column: &Option<String>| column.clone().unwrap_or_default();
    let credentials = match spec::text(monitor.auth_method.as_ref()) {
        Some("basic") => {
            let pair = format!("{}:{}", text(&monitor.basic_auth_user), text(&monitor.basic_auth_pass));
            format!("Basic {}", BASE64_STANDARD.encode(pair))
        }
        Some("bearer") => format!("Bearer {}", text(&monitor.bearer_token)),
        Some("mtls" | "null") | None => return Ok(None),
        Some(other) => {
            let msg = format!("a native node cannot authenticate by {other}: move this monitor to an Uptime Kuma node");
            return Err(Failure::own(msg));
        }
    };
    secret_header(&credentials).map(Some)
}

/// What a monitor's body is.
enum Body {
    Nothing,
    Json(Script),
    Form(String),
    Xml(String),
}

impl Body {
    fn of(monitor: &MonitorSpec) -> Result<Self, Failure> {
        let Some(text) = monitor.body.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::Nothing);
        };
        match spec::text(monitor.http_body_encoding.as_ref()) {
            None | Some("json") => json::parse(text).map(Self::Json).map_err(|fault| {
                let shown = text.get(..fault.at).map_or(0, |before| before.chars().count());
                Failure::target(format!("Your JSON body is invalid. It ceases to be JSON at position {shown}"))
            }),
            Some("form") => Ok(Self::Form(text.to_owned())),
            Some("xml") => Ok(Self::Xml(text.to_owned())),
            Some(other) => Err(Failure::target(format!("the body encoding {other} is unknown"))),
        }
    }

    fn kind(&self) -> Option<HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Json(_) => Some(HeaderValue::from_static("application/json")),
            Self::Form(_) => Some(FORM),
            Self::Xml(_) => Some(HeaderValue::from_static("text/xml; charset=utf-8")),
        }
    }

    /// As axios writes it: what JavaScript takes for false is no body, and a text that is said to be JSON becomes it.
    fn text(self, headers: &HeaderMap) -> Option<String> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.contains("application/json");
        let text = match self {
            Self::Nothing => return None,
            Self::Json(value) if value.is_falsy() => return None,
            Self::Json(Script::Text(text)) => text.to_text(),
            Self::Json(value) => return Some(value.to_json()),
            Self::Form(text) | Self::Xml(text) => text,
        };
        if !is_json {
            return Some(text);
        }
        let is_json_already = json::parse(&text).is_ok();
        Some(if is_json_already { text.trim().to_owned() } else { json::text_json(&text) })
    }
}

/// The monitor's own headers, which win over all others.
fn add_own(headers: &mut HeaderMap, monitor: &MonitorSpec) -> Result<(), Failure> {
    let Some(text) = spec::text(monitor.headers.as_ref()) else { return Ok(()) };
    let invalid = |what: &str| Failure::target(format!("the monitor's headers are invalid: {what}"));
    let pairs: serde_json::Map<String, Json> =
        serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    for (name, value) in pairs {
        let known = HeaderName::try_from(name.as_str()).map_err(|_| invalid(&format!("{name:?} is no name")))?;
        let texts = match &value {
            Json::Array(items) => items.iter().map(json::plain_text).collect(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
                json::plain_text(&value).map(|text| vec![text])
            }
        };
        let texts: Vec<String> = texts.ok_or_else(|| invalid(&format!("the value of {name} is no text")))?;
        headers.remove(&known);
        // An empty one says that none is wanted.
        if known == header::USER_AGENT && texts.iter().all(String::is_empty) {
            continue;
        }
        for text in texts {
            headers.append(&known, header_value(&text));
        }
    }
    Ok(())
}

/// In Latin 1, without what no header may hold: what axios makes of it.
fn header_value(text: &str) -> HeaderValue {
    let is_fit = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    let bytes: Vec<u8> = text.chars().filter_map(|letter| u8::try_from(letter).ok()).filter(is_fit).collect();
    HeaderValue::from_bytes(bytes.trim_ascii()).unwrap_or_else(|_| HeaderValue::from_static(""))
}
