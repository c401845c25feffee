//! Monitors of type `http`: one request, with Kuma's options, whose status code must be an accepted one.
//!
//! No connection, TLS session or cookie outlives its run; what is kept are clients, one for each distinct set of
//! options, because building one is expensive. Redirects are followed here, one request after the other.

mod ask;
mod clients;
mod redirects;
mod unpacking;

use http::StatusCode;
use hyper::ext::ReasonPhrase;
use komainu_watchdogs::check::Failure as Cause;
use reqwest::Response;
use reqwest::cookie::Jar;

use self::ask::Ask;
pub use self::clients::{Caller, Clients};
use super::body::kept;
use super::failure::Failure;
use super::phases;
use super::reading::{self, Body, Stopped};
use super::room::HeldRoom;
use super::{RunResult, millis_since};
use crate::clock;
use crate::run::spec;
use crate::store::monitors::MonitorSpec;

/// What Node reads of an answer's head: names and values.
const HEAD_MOST: usize = 16 * 1_024;

/// Of a body of which only the beginning is kept: most are shorter, and so kept exactly as Kuma keeps them.
const BEGINNING: usize = 64 * 1_024;

/// What of an accepted answer somebody looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted<'t> {
    /// Nothing but the head of the answer.
    Head,
    /// The body too, which is read to its end.
    Body,
    /// The same, and whether a text stands in it.
    Text(&'t str),
}

/// A well-formed, accepted answer.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    /// `200 - OK`.
    pub(super) summary: String,
    /// The body, if it was asked for.
    pub(super) body: String,
    /// There was more of it than is kept.
    pub(super) is_cut: bool,
    /// The text that was looked for stands in it.
    pub(super) has_text: bool,
    /// From before the request to the body's end.
    pub(super) ping_ms: i64,
    /// What is kept of the body.
    pub(super) response: Option<String>,
    /// What the body takes of the node's room.
    pub(super) room: HeldRoom,
}

/// One run of a monitor that asks over HTTP.
pub(super) async fn run(clients: &Clients, monitor: &MonitorSpec) -> Result<RunResult, Failure> {
    let answer = fetch(clients, monitor, Wanted::Head).await?;
    Ok(RunResult { response: answer.response, ..RunResult::up(answer.summary, answer.ping_ms) })
}

/// Asks once; an answer whose status code is not accepted is a failure.
pub(super) async fn fetch(clients: &Clients, monitor: &MonitorSpec, wanted: Wanted<'_>) -> Result<HttpAnswer, Failure> {
    if monitor.proxy_id.is_some() {
        return Err(Failure::own("a native node cannot ask through a proxy: move this monitor to an Uptime Kuma node"));
    }
    let mut ask = Ask::new(monitor, clients.usual_headers())?;
    let accepted = accepted_status_codes(monitor)?;
    let limit = spec::timeout(monitor);
    let asked = clients::COOKIES.scope(Jar::default(), async {
        let began_at = clock::now();
        let response = follow(clients, monitor, &mut ask).await?;
        let (status, summary) = (response.status(), summary(&response));
        phases::answered(status.as_u16());
        let is_accepted = spec::accepts_status(&accepted, status.as_u16());
        let is_kept = monitor.save_error_response && (monitor.save_response || !is_accepted);
        let most = match wanted {
            Wanted::Body | Wanted::Text(_) if is_accepted => clients.keeps().body,
            Wanted::Body | Wanted::Text(_) | Wanted::Head if is_kept => {
                beginning_of(monitor.response_max_length).min(clients.keeps().body)
            }
            Wanted::Body | Wanted::Text(_) | Wanted::Head => 0,
        };
        let sought = if let Wanted::Text(text) = wanted { text } else { "" };
        let answer = unpacking::unpacked(response, &ask.method, clients.turns());
        let body =
            reading::read(answer, (most, sought), (clients.room(), clients.turns())).await.map_err(|stopped| {
                match stopped {
                    Stopped::Broken(error) => Failure::request(&error, &ask.url, limit),
                    Stopped::NoRoom(no_room) => no_room.into(),
                }
            })?;
        let ping_ms = millis_since(began_at);
        let response = if is_kept { kept(&body.text, monitor.response_max_length, body.is_cut) } else { None };
        if !is_accepted {
            let msg = format!("Request failed with status code {}", status.as_u16());
            return Err(Failure { response, ..Failure::found(Cause::Status, msg) });
        }
        let Body { text: body, is_cut, has_text, room } = body;
        Ok(HttpAnswer { summary, body, is_cut, has_text, ping_ms, response, room })
    });
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(Failure::timeout(limit)))
}

/// For [`crate::hostile`]: what is asked where columns say anything.
#[cfg(any(test, fuzzing))]
pub(super) fn read_columns(monitor: &MonitorSpec) {
    if let Ok(ask) = Ask::new(monitor, ::http::HeaderMap::new()) {
        let _ = ask.request(ask.url.clone());
    }
}

/// Asks, and asks on where an answer leads, as often as the monitor allows; `ask` becomes what was asked last.
async fn follow(clients: &Clients, monitor: &MonitorSpec, ask: &mut Ask) -> Result<Response, Failure> {
    let mut left = monitor.maxredirects;
    loop {
        let response = clients.send(monitor, ask).await?;
        ensure_is_answer(&response)?;
        let location = redirects::location(response.status(), response.headers());
        let Some(location) = location.filter(|_| monitor.maxredirects > 0) else { return Ok(response) };
        if left == 0 {
            return Err(Failure::found(Cause::TooMuch, "Maximum number of redirects exceeded"));
        }
        left -= 1;
        *ask = redirects::follow(ask.clone(), response.status(), &location)?;
    }
}

fn ensure_is_answer(response: &Response) -> Result<(), Failure> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::target(
            "the server switched protocols, which nobody had asked for (RFC 9110, section 7.8)",
        ));
    }
    let length: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if length > HEAD_MOST { Err(Failure::found(Cause::TooMuch, "Parse Error: Header overflow")) } else { Ok(()) }
}

fn accepted_status_codes(monitor: &MonitorSpec) -> Result<Vec<String>, Failure> {
    serde_json::from_str(&monitor.accepted_statuscodes_json)
        .map_err(|error| Failure::target(format!("the accepted status codes are not a JSON list of texts: {error}")))
}

/// Enough bytes of a body for so many characters of it, also where Kuma keeps them without the white space of JSON.
fn beginning_of(characters: u32) -> usize {
    usize::try_from(characters).unwrap_or(usize::MAX).saturating_mul(4).saturating_add(BEGINNING)
}

/// `200 - OK`, with the reason that the server itself gives.
fn summary(response: &Response) -> String {
    let status = response.status();
    let own = response.extensions().get::<ReasonPhrase>().map(|reason| String::from_utf8_lossy(reason.as_bytes()));
    format!("{} - {}", status.as_u16(), own.as_deref().or(status.canonical_reason()).unwrap_or_default())
}
