//! The HTTP surface of a process: who may connect, for how long, and what is still answered when it stops.
//!
//! However many strangers connect, this host's own probes and its database keep their descriptors, and whoever sends whole
//! requests is answered: see [`crowd`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use self::crowd::{Admission, Crowd, Key};
use crate::clock;

pub use self::crowd::Places;

mod crowd;

/// What was asked before a process stops is answered within this; whoever sends more slowly is cut off.
const IN_FLIGHT_LIMIT: Duration = Duration::from_secs(5);

/// Requests of one connection at once, where it speaks HTTP/2.
const STREAMS: u32 = 64;

/// After an accept that failed: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Between two lines in the log that say that strangers had to go.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Descriptors for everything but connections of others: the database, probes and what is sent to people, files.
const OWN_DESCRIPTORS: u64 = 256;

/// More than this are of no use to one process.
const MOST_PLACES: usize = 8_192;

/// Descriptors that this process may have, after it raised its limit as far as it may.
pub fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        // Only the soft limit is raised, which needs no right. Where that fails, the limit stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

impl Places {
    /// As many as this process' descriptors allow.
    pub fn available() -> Self {
        let left = descriptors().saturating_sub(OWN_DESCRIPTORS);
        let most = usize::try_from(left).unwrap_or(MOST_PLACES).clamp(64, MOST_PLACES);
        Self { most, most_of_one: most / 2 }
    }
}

/// Answers until it is cancelled and what was begun before is answered.
pub async fn serve(listener: TcpListener, routes: Router, places: Places, stopping: CancellationToken) {
    let door = Door { crowd: Arc::new(Mutex::new(Crowd::new(places))), routes, stopping: stopping.clone() };
    let (guests, mut told_at) = (TaskTracker::new(), None);
    let mut leaving = std::collections::HashMap::<Key, CancellationToken>::new();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                refused(&error).await;
                continue;
            }
        };
        let admission = door.crowd().admit(peer.ip().to_canonical(), clock::now());
        let key = match admission {
            Admission::Welcome(key) => key,
            Admission::InsteadOf(key, leaver) => {
                tell_of_crowd(&mut told_at, peer.ip());
                if let Some(leaver) = leaving.remove(&leaver) {
                    leaver.cancel();
                }
                key
            }
            Admission::Full => {
                tell_of_crowd(&mut told_at, peer.ip());
                continue;
            }
        };
        let sent_away = CancellationToken::new();
        leaving.insert(key, sent_away.clone());
        if leaving.len() > 2 * places.most {
            let crowd = door.crowd();
            leaving.retain(|key, _| crowd.ends_at(*key).is_some());
        }
        guests.spawn(door.clone().attend(stream, (key, peer), sent_away));
    }
    drop(listener);
    guests.close();
    if tokio::time::timeout(IN_FLIGHT_LIMIT, guests.wait()).await.is_err() {
        tracing::warn!("requests were still in flight after {IN_FLIGHT_LIMIT:?}: they are cut off");
    }
}

/// The connection was gone before it was taken, or this process has no descriptor for it.
async fn refused(error: &io::Error) {
    let is_theirs = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    );
    if !is_theirs {
        tracing::debug!(%error, "a connection could not be taken");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn tell_of_crowd(told_at: &mut Option<komainu_watchdogs::time::Mono>, address: IpAddr) {
    let now = clock::now();
    if told_at.is_none_or(|told_at| now.since(told_at) >= TELL_AGAIN) {
        *told_at = Some(now);
        tracing::warn!(last = %address, "more connections than there is room for: idle ones have to go");
    }
}

#[derive(Clone)]
struct Door {
    crowd: Arc<Mutex<Crowd>>,
    routes: Router,
    stopping: CancellationToken,
}

impl Door {
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one connection until it ends, has to go, or says nothing for too long.
    async fn attend(self, stream: TcpStream, (key, peer): (Key, SocketAddr), sent_away: CancellationToken) {
        // Answers are small and each is waited for: Nagle's algorithm would hold some of them back for 40 ms.
        drop(stream.set_nodelay(true));
        let answering = {
            let door = self.clone();
            service_fn(move |request| door.clone().answer(request, key, peer))
        };
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
        let connection = builder.serve_connection(TokioIo::new(stream), answering);
        let mut connection = std::pin::pin!(connection);
        let mut is_stopping = false;
        loop {
            let ends_at = self.crowd().ends_at(key).unwrap_or_else(clock::now);
            tokio::select! {
                // Whatever broke off there is of no interest here.
                _ended = connection.as_mut() => break,
                () = sent_away.cancelled() => break,
                () = clock::sleep_until(ends_at) => {
                    if self.crowd().ends_at(key).is_none_or(|ends_at| ends_at <= clock::now()) {
                        break;
                    }
                }
                () = self.stopping.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        self.crowd().leave(key);
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        key: Key,
        peer: SocketAddr,
    ) -> Result<Response<Body>, std::convert::Infallible> {
        let busy = Busy::begin(&self, key);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.routes.clone().oneshot(request).await?;
        // Until the answer was taken.
        Ok(response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _until_the_end = &busy;
                frame
            }))
        }))
    }
}

/// A request that is being answered.
struct Busy {
    crowd: Arc<Mutex<Crowd>>,
    key: Key,
}

impl Busy {
    fn begin(door: &Door, key: Key) -> Self {
        door.crowd().ask(key, clock::now());
        Self { crowd: Arc::clone(&door.crowd), key }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner).answered(self.key, clock::now());
    }
}

#[cfg(test)]
mod tests;
