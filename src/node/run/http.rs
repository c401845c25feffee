//! Monitors of type `http`: one request, with Kuma's options, whose status code must be an accepted one.
//!
//! No connection, TLS session or cookie outlives its run; what is kept are clients, one for each distinct set of
//! options, because building one is expensive. Redirects carry cookies within the run.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::ext::ReasonPhrase;
use komainu_watchdogs::ids::NodeId;
use percent_encoding::percent_decode_str;
use rand::distr::{Alphanumeric, SampleString};
use reqwest::cookie::{CookieStore, Jar};
use reqwest::{Client, Method, Request, Response, Url};

use super::body::{compact_json, kept};
use super::failure::Failure;
use super::names::Names;
use super::reading::{self, Stopped};
use super::room::{Held, NoRoom, Room};
use super::tls::{self, Certificates};
use super::{RunResult, millis_since};
use crate::clock;
use crate::node::spec;
use crate::store::monitors::MonitorSpec;

/// What a browser sends, as Kuma does: some sites answer 406 without it.
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.9";

/// A keyword is looked for in the first 16 MiB: hundreds of runs are under way at once.
const BODY_MOST: usize = 16 * 1_024 * 1_024;

/// Of a body of which only the beginning is kept: most are shorter, and so kept exactly as Kuma keeps them.
const BEGINNING: usize = 64 * 1_024;

/// Distinct sets of options that are kept at once; more of them at once are unheard of, so all are built anew then.
const CLIENTS_MOST: usize = 256;

/// What of an accepted answer somebody looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// Its head.
    Head,
    /// Its body.
    Body,
}

/// A well-formed, accepted answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// `200 - OK`.
    pub(super) summary: String,
    /// The body, if it was asked for.
    pub(super) body: String,
    /// From before the request to the body's end.
    pub(super) ping_ms: i64,
    /// What is kept of the body.
    pub(super) response: Option<String>,
    /// What the body takes of the node's room.
    pub(super) room: Held,
}

/// Asks once.
pub(super) async fn run(clients: &Clients, monitor: &MonitorSpec) -> Result<RunResult, Failure> {
    let answer = fetch(clients, monitor, Wanted::Head).await?;
    Ok(RunResult { response: answer.response, ..RunResult::up(answer.summary, answer.ping_ms) })
}

/// Asks once; an answer whose status code is not accepted is a failure.
pub(super) async fn fetch(clients: &Clients, monitor: &MonitorSpec, wanted: Wanted) -> Result<Answer, Failure> {
    if monitor.proxy_id.is_some() {
        return Err(Failure::own("a native node cannot ask through a proxy: move this monitor to an Uptime Kuma node"));
    }
    let request = request(monitor)?;
    let accepted = accepted_status_codes(monitor)?;
    let client = clients.of(monitor)?;
    let limit = spec::timeout(monitor);
    let asked = RUN.scope(ThisRun::default(), async {
        let began_at = clock::now();
        let response =
            client.execute(request).await.map_err(|error| Failure::request(&error, last_asked().as_ref(), limit))?;
        let (status, summary) = (response.status(), summary(&response));
        let is_accepted = spec::accepts_status(&accepted, status.as_u16());
        let is_kept = monitor.save_error_response && (monitor.save_response || !is_accepted);
        let most = match wanted {
            Wanted::Body if is_accepted => BODY_MOST,
            Wanted::Body | Wanted::Head if is_kept => beginning_of(monitor.response_max_length),
            Wanted::Body | Wanted::Head => 0,
        };
        let body = reading::read(response, most, &clients.room).await.map_err(|stopped| match stopped {
            Stopped::Broken(error) => Failure::request(&error, last_asked().as_ref(), limit),
            Stopped::NoRoom => NoRoom.into(),
        })?;
        let ping_ms = millis_since(began_at);
        let response = if is_kept { kept(&body.text, monitor.response_max_length, body.is_cut) } else { None };
        if !is_accepted {
            let msg = format!("Request failed with status code {}", status.as_u16());
            return Err(Failure { response, ..Failure::target(msg) });
        }
        Ok(Answer { summary, body: body.text, ping_ms, response, room: body.room })
    });
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(Failure::timeout(limit)))
}

fn accepted_status_codes(monitor: &MonitorSpec) -> Result<Vec<String>, Failure> {
    serde_json::from_str(&monitor.accepted_statuscodes_json)
        .map_err(|error| Failure::target(format!("the accepted status codes are not a JSON list of texts: {error}")))
}

/// Enough bytes of a body for so many characters of it, also where Kuma keeps them without the white space of JSON.
fn beginning_of(characters: u32) -> usize {
    let characters = usize::try_from(characters).unwrap_or(BODY_MOST);
    characters.saturating_mul(4).saturating_add(BEGINNING).min(BODY_MOST)
}

fn request(monitor: &MonitorSpec) -> Result<Request, Failure> {
    let mut url = url(monitor)?;
    let of_address = credentials_of(&mut url)?;
    let method = method(monitor)?;
    let says_length = says_length(&method);
    let mut request = Request::new(method, url);
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
    if let Some(credentials) = authorization(monitor)? {
        headers.insert(header::AUTHORIZATION, credentials);
    }
    let body = body(monitor)?;
    if let Some((content_type, _)) = &body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.extend(own_headers(monitor)?);
    // As Kuma's client does: they win over every header.
    if let Some(credentials) = of_address {
        headers.insert(header::AUTHORIZATION, credentials);
    }
    match body {
        Some((_, text)) => *request.body_mut() = Some(text.into()),
        None if says_length => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        None => {}
    }
    Ok(request)
}

/// Whether a request without a body says that it has none, as Node does: some servers answer 411 otherwise.
fn says_length(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::CONNECT].contains(method)
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
        return Err(Failure::target(format!("Invalid URL: {} is neither http nor https", url.scheme())));
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

fn body(monitor: &MonitorSpec) -> Result<Option<(&'static str, String)>, Failure> {
    let Some(text) = spec::text(monitor.body.as_ref()) else { return Ok(None) };
    match spec::text(monitor.http_body_encoding.as_ref()) {
        None | Some("json") => {
            let json =
                compact_json(text).map_err(|error| Failure::target(format!("Your JSON body is invalid. {error}")))?;
            Ok(Some(("application/json", json)))
        }
        Some("form") => Ok(Some(("application/x-www-form-urlencoded", text.to_owned()))),
        Some("xml") => Ok(Some(("text/xml; charset=utf-8", text.to_owned()))),
        Some(other) => Err(Failure::target(format!("the body encoding {other} is unknown"))),
    }
}

/// The monitor's own headers, which win over all others.
fn own_headers(monitor: &MonitorSpec) -> Result<HeaderMap, Failure> {
    let Some(text) = spec::text(monitor.headers.as_ref()) else { return Ok(HeaderMap::new()) };
    let invalid = |what: &str| Failure::target(format!("the monitor's headers are invalid: {what}"));
    let pairs: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = HeaderName::try_from(name.as_str()).map_err(|_| invalid(&format!("{name:?} is no name")))?;
        let value = HeaderValue::try_from(value).map_err(|_| invalid(&format!("the value of {name} is none")))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// `200 - OK`, with the reason that the server itself gives.
fn summary(response: &Response) -> String {
    let status = response.status();
    let own = response.extensions().get::<ReasonPhrase>().map(|reason| String::from_utf8_lossy(reason.as_bytes()));
    format!("{} - {}", status.as_u16(), own.as_deref().or(status.canonical_reason()).unwrap_or_default())
}

/// What belongs to one run.
#[derive(Default)]
struct ThisRun {
    cookies: Jar,
    /// Where the last redirect led.
    led_to: Mutex<Option<Url>>,
}

tokio::task_local! {
    /// The run that this task is in.
    static RUN: ThisRun;
}

/// Who was asked last, if a redirect led there: the one that failed.
fn last_asked() -> Option<Url> {
    RUN.try_with(|run| run.led_to.lock().unwrap_or_else(PoisonError::into_inner).clone()).ok().flatten()
}

/// Gives clients that many runs share the cookies of the run at hand.
struct CookiesOfThisRun;

impl CookieStore for CookiesOfThisRun {
    fn set_cookies(&self, cookies: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        // Outside of a run (a canary's probe) there are none.
        let _ = RUN.try_with(|run| run.cookies.set_cookies(cookies, url));
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        RUN.try_with(|run| run.cookies.cookies(url)).ok().flatten()
    }
}

/// The options that belong to a client and not to a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Options {
    ignore_tls: bool,
    max_redirects: usize,
    family: Option<IpAddr>,
    certificates: Certificates,
}

impl Options {
    fn of(monitor: &MonitorSpec) -> Self {
        let is_mtls = spec::text(monitor.auth_method.as_ref()) == Some("mtls");
        let pem = |column: &Option<String>| spec::text(column.as_ref()).filter(|_| is_mtls).map(str::to_owned);
        Self {
            ignore_tls: monitor.ignore_tls,
            max_redirects: usize::try_from(monitor.maxredirects).unwrap_or(0),
            family: match monitor.ip_family.as_deref() {
                Some("ipv4") => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                Some("ipv6") => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
                Some(_) | None => None,
            },
            certificates: Certificates {
                ca: pem(&monitor.tls_ca),
                cert: pem(&monitor.tls_cert),
                key: pem(&monitor.tls_key),
            },
        }
    }
}

/// HTTP clients by their options.
pub struct Clients {
    user_agent: HeaderValue,
    names: Names,
    room: Room,
    built: Mutex<HashMap<Options, Client>>,
}

impl Clients {
    /// No client yet; `node` is named in the User-Agent of all.
    pub fn new(node: &NodeId, names: Names) -> Self {
        let text = format!("komainu/{} ({node})", env!("CARGO_PKG_VERSION"));
        let nameless = || HeaderValue::from_static(concat!("komainu/", env!("CARGO_PKG_VERSION")));
        Self {
            user_agent: HeaderValue::from_str(&text).unwrap_or_else(|_| nameless()),
            names,
            room: Room::default(),
            built: Mutex::new(HashMap::new()),
        }
    }

    /// A client without special options, that asks once and follows nothing.
    pub fn plain(&self) -> Result<Client, Failure> {
        let options =
            Options { ignore_tls: false, max_redirects: 0, family: None, certificates: Certificates::default() };
        self.with(options)
    }

    fn of(&self, monitor: &MonitorSpec) -> Result<Client, Failure> {
        self.with(Options::of(monitor))
    }

    fn with(&self, options: Options) -> Result<Client, Failure> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = built.get(&options) {
            return Ok(client.clone());
        }
        let client = build(&options, &self.user_agent, self.names.clone())?;
        if built.len() >= CLIENTS_MOST {
            built.clear();
        }
        built.insert(options, client.clone());
        Ok(client)
    }
}

/// Follows so many, and notes where they led.
fn following(most: usize) -> reqwest::redirect::Policy {
    let limited = reqwest::redirect::Policy::limited(most);
    reqwest::redirect::Policy::custom(move |attempt| {
        let led_to = attempt.url().clone();
        // Outside of a run (a canary's probe) nobody asks.
        let _ = RUN.try_with(|run| *run.led_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(led_to));
        limited.redirect(attempt)
    })
}

fn build(options: &Options, user_agent: &HeaderValue, names: Names) -> Result<Client, Failure> {
    let redirects = match options.max_redirects {
        0 => reqwest::redirect::Policy::none(),
        most => following(most),
    };
    Client::builder()
        .tls_backend_preconfigured(tls::client_config(options.ignore_tls, &options.certificates)?)
        .user_agent(user_agent)
        .redirect(redirects)
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .dns_resolver(names)
        .http1_only()
        .pool_max_idle_per_host(0)
        .local_address(options.family)
        .cookie_provider(Arc::new(CookiesOfThisRun))
        .build()
        .map_err(|error| Failure::own(format!("this node could not set up HTTP: {error}")))
}
