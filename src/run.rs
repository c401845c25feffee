//! One run of one monitor: asks the target, and says what came of it.
//!
//! A run knows neither the beat before nor retries nor "upside down": [`super::beat`] makes a beat of its result. It
//! never says *down* for trouble of the node itself (no permission, no file descriptors, no certificates): that is
//! [`RunStatus::Unable`].

pub mod body;
pub mod certificate;
mod conditions;
mod dns;
pub mod failure;
pub mod group;
mod hello;
pub mod http;
mod json;
mod json_query;
pub mod keyword;
mod manual;
pub mod names;
pub mod phases;
pub mod ping;
pub mod port;
pub mod queries;
mod reading;
mod room;
pub mod spec;
pub mod tls;
mod turns;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::check::Failure as Cause;
use komainu_watchdogs::time::Mono;

use self::certificate::Certificate;
use self::failure::{Failure, Fault};
use self::names::{Names, Refuses};
use self::phases::Phases;
use self::queries::{Program, Queries};
use self::room::Keeps;
use crate::clock;
use crate::store::monitors::MonitorSpec;

/// What a run says of its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunStatus {
    /// It answered as it should.
    Up,
    /// It did not.
    Down,
    /// Neither is known yet.
    Pending,
    /// It was not asked: people are working on it.
    Maintenance,
    /// The node could not ask: says nothing of the target.
    Unable,
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunResult {
    /// What it says of the target.
    pub status: RunStatus,
    /// For people: Kuma's words where Kuma has some.
    pub msg: String,
    /// How long the target took, in milliseconds; `None` if it did not answer.
    pub ping_ms: Option<i64>,
    /// What is kept of the answer's body, as Kuma keeps it.
    pub response: Option<String>,
    /// What the target's first TLS connection showed, if the run came that far.
    pub certificate: Option<Certificate>,
    /// Of [`RunStatus::Down`]: retries do not apply.
    pub is_final: bool,
    /// Of [`RunStatus::Unable`]: a stock Kuma could look at this target.
    pub is_only_kumas: bool,
    /// Why, if it is [`RunStatus::Down`] or [`RunStatus::Unable`].
    pub fault: Option<Fault>,
    /// Seconds that the beat speaks of; Kuma tells them for push monitors only.
    pub duration_s: i64,
}

impl RunResult {
    /// A result without a time.
    pub fn new(status: RunStatus, msg: impl Into<String>) -> Self {
        Self {
            status,
            msg: msg.into(),
            ping_ms: None,
            response: None,
            certificate: None,
            is_final: false,
            is_only_kumas: false,
            fault: None,
            duration_s: 0,
        }
    }

    fn up(msg: impl Into<String>, ping_ms: i64) -> Self {
        Self { ping_ms: Some(ping_ms), ..Self::new(RunStatus::Up, msg) }
    }
}

impl From<Failure> for RunResult {
    fn from(failure: Failure) -> Self {
        let status = if failure.is_own_trouble() { RunStatus::Unable } else { RunStatus::Down };
        let Failure { msg, ping_ms, response, fault, is_final } = failure;
        let is_only_kumas = fault == Fault::OnlyKumas;
        Self { ping_ms, response, is_final, is_only_kumas, fault: Some(fault), ..Self::new(status, msg) }
    }
}

/// Everything that runs share: HTTP clients, ICMP sockets, the addresses of names, and processes for queries.
pub struct Runs {
    http: Arc<http::Clients>,
    names: Names,
    ping: ping::Sockets,
    queries: Queries,
}

impl Runs {
    /// The runs of one node, which names itself so to HTTP servers; `evaluator` is how queries are evaluated.
    pub fn new(caller: http::Caller, evaluator: Program) -> Self {
        Self::with(http::Clients::new(caller, Names::of_system()), evaluator)
    }

    /// The looks of one watchdog, which refuses some addresses.
    pub fn of_watchdog(caller: http::Caller, evaluator: Program, refuses: Refuses) -> Self {
        let names = Names::of_system().refusing(refuses);
        let http = http::Clients::keeping(Keeps::OF_WATCHDOGS, caller, names);
        Self { ping: ping::Sockets::of_watchdog(), ..Self::with(http, evaluator) }
    }

    fn with(http: http::Clients, evaluator: Program) -> Self {
        let names = http.names().clone();
        Self { http: Arc::new(http), names, ping: ping::Sockets::default(), queries: Queries::new(evaluator) }
    }

    /// The HTTP clients, which the canaries use as well.
    pub fn http(&self) -> &Arc<http::Clients> {
        &self.http
    }

    /// Runs a monitor once, all kinds but groups and pushes. Ends within the monitor's timeout.
    pub async fn run(&self, monitor: &MonitorSpec) -> RunResult {
        let outcome = match monitor.kind.as_str() {
            "http" | "keyword" | "json-query" => return self.run_http(monitor).await,
            "dns" => dns::run(&self.names, monitor).await,
            "manual" => Ok(manual::run(monitor)),
            "port" => port::run(&self.names, monitor).await,
            "ping" => ping::run((&self.ping, &self.names), monitor).await,
            other => Err(Failure::own(format!(
                "a native node cannot run monitors of type {other}: move this one to an Uptime Kuma node"
            ))),
        };
        outcome.unwrap_or_else(RunResult::from)
    }

    /// The same, with where its time went.
    pub async fn look(&self, monitor: &MonitorSpec) -> (RunResult, Phases) {
        Box::pin(phases::noting(self.run(monitor))).await
    }

    /// The kinds that begin with an HTTP request, which may go over TLS.
    async fn run_http(&self, monitor: &MonitorSpec) -> RunResult {
        let url = monitor.url.as_deref().and_then(|url| url::Url::parse(url).ok());
        let asking = async {
            match monitor.kind.as_str() {
                "keyword" => keyword::run(&self.http, monitor).await,
                "json-query" => json_query::run(&self.http, &self.queries, monitor).await,
                _ => http::run(&self.http, monitor).await,
            }
        };
        let (outcome, certificate) = tls::noting(url.as_ref().and_then(url::Url::host_str), Box::pin(asking)).await;
        RunResult { certificate, ..outcome.unwrap_or_else(RunResult::from) }
    }
}

/// Whole milliseconds since `began_at`.
fn millis_since(began_at: Mono) -> i64 {
    whole_millis(clock::now().since(began_at))
}

fn whole_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Whether an address is of the family that a monitor asks for (Kuma's `ip_family`).
fn is_of_family(monitor: &MonitorSpec, address: IpAddr) -> bool {
    match monitor.ip_family.as_deref() {
        Some("ipv4") => address.is_ipv4(),
        Some("ipv6") => address.is_ipv6(),
        Some(_) | None => true,
    }
}

/// The addresses of a host, with a port. Accepts what people type: a name, an address, `[::1]`.
async fn resolve(
    names: &Names,
    monitor: &MonitorSpec,
    host: &str,
    port: u16,
) -> Result<Vec<std::net::SocketAddr>, Failure> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = names.lookup(host).await.map_err(|error| Failure::resolve(host, &error))?;
    let fitting = found.into_iter().filter(|address| is_of_family(monitor, *address));
    let addresses: Vec<_> = fitting.map(|address| std::net::SocketAddr::new(address, port)).collect();
    if addresses.is_empty() {
        let family = monitor.ip_family.as_deref().unwrap_or("any");
        return Err(Failure::found(Cause::NoName, format!("{host} has no address of family {family}")));
    }
    Ok(addresses)
}

/// For [`crate::hostile`]: columns of JSON, read as a run reads them.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_columns(monitor: &MonitorSpec) {
    http::read_columns(monitor);
    if let Ok(conditions) = conditions::Conditions::read(&monitor.conditions) {
        let _ = conditions.take("record");
    }
}
