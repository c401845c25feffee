//! Where the time of a run went: finding the name, connecting, TLS, waiting for the answer, reading it.
//!
//! Whoever wants to know runs the look within [`noting`]; the code that asks says where it has got to ([`enter`]). A run
//! that is cut off shows in which phase that was. Outside of [`noting`] nothing is kept, so that a node's runs pay nothing.

use std::cell::RefCell;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use komainu_watchdogs::time::Mono;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls12Resumption, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tower::{Layer, Service};

use super::whole_millis;
use crate::clock;

/// What a run is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// An answer of the name service.
    Name,
    /// A TCP connection.
    Connect,
    /// The end of the TLS handshake.
    Tls,
    /// The first byte of the answer; of a ping or a question to a name server the answer itself.
    FirstByte,
    /// The rest of the answer.
    Body,
}

/// Milliseconds that each phase took, all requests of the run together; what it never came to is `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Finding the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_ms: Option<i64>,
    /// Connecting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<i64>,
    /// The TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<i64>,
    /// From the request to the first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<i64>,
    /// From the first byte to the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_ms: Option<i64>,
    /// All of it.
    pub total_ms: i64,
    /// The last address that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The status of the last HTTP answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// In which phase the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_in: Option<Phase>,
}

impl Phases {
    fn of(&mut self, phase: Phase) -> &mut Option<i64> {
        match phase {
            Phase::Name => &mut self.name_ms,
            Phase::Connect => &mut self.connect_ms,
            Phase::Tls => &mut self.tls_ms,
            Phase::FirstByte => &mut self.first_byte_ms,
            Phase::Body => &mut self.body_ms,
        }
    }
}

/// One run so far.
struct Noted {
    began_at: Mono,
    entered_at: Mono,
    phases: Phases,
}

impl Noted {
    fn begin(now: Mono) -> Self {
        Self { began_at: now, entered_at: now, phases: Phases::default() }
    }

    fn leave(&mut self, now: Mono) {
        if let Some(phase) = self.phases.ended_in {
            let spent = whole_millis(now.since(self.entered_at));
            let sum = self.phases.of(phase);
            *sum = Some(sum.unwrap_or(0) + spent);
        }
        self.entered_at = now;
    }
}

tokio::task_local! {
    static NOTED: RefCell<Noted>;
}

/// Runs `asking`, and says where its time went.
pub(super) async fn noting<F: Future>(asking: F) -> (F::Output, Phases) {
    NOTED
        .scope(RefCell::new(Noted::begin(clock::now())), async {
            let output = asking.await;
            let now = clock::now();
            let phases = NOTED.with(|noted| {
                let mut noted = noted.borrow_mut();
                noted.leave(now);
                Phases { total_ms: whole_millis(now.since(noted.began_at)), ..noted.phases.clone() }
            });
            (output, phases)
        })
        .await
}

/// The run of this task has come to this phase.
pub(super) fn enter(phase: Phase) {
    // Nobody notes the runs of a node.
    let _ = NOTED.try_with(|noted| {
        let mut noted = noted.borrow_mut();
        noted.leave(clock::now());
        noted.phases.ended_in = Some(phase);
    });
}

/// The run of this task asks this address.
pub(super) fn ask(address: IpAddr) {
    let _ = NOTED.try_with(|noted| noted.borrow_mut().phases.address = Some(address));
}

/// The run of this task was answered with this status of HTTP, and now reads the rest.
pub(super) fn answered(status: u16) {
    enter(Phase::Body);
    let _ = NOTED.try_with(|noted| noted.borrow_mut().phases.status = Some(status));
}

/// Begins the phase in which an HTTP client connects, and the one that follows it.
#[derive(Clone, Debug)]
pub(super) struct Connecting;

impl<S> Layer<S> for Connecting {
    type Service = NotedConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NotedConnector(inner)
    }
}

/// An HTTP client's connector whose phases are noted.
#[derive(Clone, Debug)]
pub(super) struct NotedConnector<S>(S);

impl<S, R> Service<R> for NotedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            enter(Phase::Connect);
            let connected = connecting.await?;
            enter(Phase::FirstByte);
            Ok(connected)
        })
    }
}

/// No session is resumed. That a store of sessions is asked which key exchange a server likes is the first thing that a
/// handshake does, and the only sign of its beginning.
pub(super) fn without_resumption() -> Resumption {
    Resumption::store(Arc::new(NoSessions)).tls12_resumption(Tls12Resumption::Disabled)
}

#[derive(Debug)]
struct NoSessions;

impl ClientSessionStore for NoSessions {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        enter(Phase::Tls);
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}
