//! The HTTP surface of a process: who may connect, for how long, and what is still answered when it stops.
//!
//! However many strangers connect, this host's own probes and its database keep their descriptors, and whoever sends whole
//! requests is answered: see [`crowd`]. A handshake happens in the connection's own task and place, within the time that the
//! first request has: a slow one stops nobody. Whose connection it is behind a proxy says [`proxies`].

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
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use self::crowd::Key;
use self::hall::{Guest, Hall};
use crate::clock;
use crate::tls::Credentials;

pub use self::crowd::Places;
pub use self::proxies::{ClientHeader, Proxies};

mod crowd;
mod hall;
mod proxies;

/// What was asked before a process stops is answered within this; whoever sends more slowly is cut off.
const IN_FLIGHT_LIMIT: Duration = Duration::from_secs(5);

/// Requests of one connection at once, where it speaks HTTP/2.
const STREAMS: u32 = 64;

/// After an accept that failed: descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Between two lines in the log that say that strangers had to go.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Connections above the places: who was sent away holds its descriptor until its task has ended.
const LEAVING: usize = 16;

/// Connections that the kernel keeps until they are taken, where its own limit allows that many; tokio asks for 128. What finds no room
/// there is dropped, and comes again after a second.
const WAITING: u32 = 4_096;

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

/// Looks at once, as many as are wanted and as a third of what is left of this process' descriptors allows: each is a socket, and those who
/// connect need theirs.
pub fn looks_at_once(wanted: u32) -> usize {
    let most = descriptors().saturating_sub(OWN_DESCRIPTORS) / 3;
    usize::try_from(most.min(wanted.into())).unwrap_or(usize::MAX).max(8)
}

impl Places {
    /// As many as this process' descriptors allow beside so many looks at once.
    pub fn beside(looks: usize) -> Self {
        let looks = u64::try_from(looks).unwrap_or(u64::MAX);
        let left = descriptors().saturating_sub(OWN_DESCRIPTORS).saturating_sub(looks);
        let most = usize::try_from(left).unwrap_or(MOST_PLACES).saturating_sub(LEAVING).clamp(64, MOST_PLACES);
        Self { most, most_of_one: most / 2 }
    }

    /// Half as many.
    #[must_use]
    pub fn halved(self) -> Self {
        Self { most: self.most / 2, most_of_one: self.most_of_one / 2 }
    }
}

/// How those who connect are taken.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// How many connections may be open at once.
    pub places: Places,
    /// What they are shown: with TLS, if there is an own certificate.
    pub credentials: Arc<Credentials>,
    /// Who may say whose connection it is.
    pub proxies: Proxies,
}

/// In the extensions of a request: peers must show a certificate here, and whoever sent it showed none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncertified;

/// What they are told.
pub(crate) const UNCERTIFIED: &str =
    "peers show a certificate here that [tls] client_ca signed, and this call showed none";

/// Opens the port.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A process that starts again finds its port free although connections of the one before it are not forgotten yet.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Answers until it is cancelled and what was begun before is answered.
pub async fn serve(listener: TcpListener, routes: Router, entrance: Entrance, stopping: CancellationToken) {
    let hall = Arc::new(Mutex::new(Hall::new(entrance.places)));
    let seats = Arc::new(Semaphore::new(entrance.places.most + LEAVING));
    let door = Door { hall, routes, entrance: Arc::new(entrance), stopping: stopping.clone() };
    let (guests, mut told_at) = (TaskTracker::new(), None);
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = next(&listener, &seats) => accepted,
        };
        let (stream, peer, seat) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                refused(&error).await;
                continue;
            }
        };
        let guest = door.hall().admit(peer.ip().to_canonical(), clock::now());
        if guest.as_ref().is_none_or(|guest| guest.is_in_anothers_place) {
            tell_of_crowd(&mut told_at, peer.ip());
        }
        if let Some(guest) = guest {
            let attended = Box::pin(door.clone().attend(stream, peer, guest));
            guests.spawn(async move {
                attended.await;
                // Not before the descriptor is closed.
                drop(seat);
            });
        }
    }
    drop(listener);
    guests.close();
    if tokio::time::timeout(IN_FLIGHT_LIMIT, guests.wait()).await.is_err() {
        tracing::warn!("requests were still in flight after {IN_FLIGHT_LIMIT:?}: they are cut off");
    }
}

/// The next connection, once so few are open that its descriptor is none of this process' own; until then the kernel keeps it.
async fn next(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, seat))
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
    hall: Arc<Mutex<Hall>>,
    routes: Router,
    entrance: Arc<Entrance>,
    stopping: CancellationToken,
}

/// A connection of which everything is known that comes before the first request.
struct Opened {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    visitor: Visitor,
}

/// Whose connection it is.
#[derive(Clone, Copy)]
struct Visitor {
    key: Key,
    address: SocketAddr,
    is_uncertified: bool,
}

impl Door {
    fn hall(&self) -> MutexGuard<'_, Hall> {
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attend(self, stream: TcpStream, peer: SocketAddr, guest: Guest) {
        // Answers are small and each is waited for: Nagle's algorithm would hold some of them back for 40 ms.
        drop(stream.set_nodelay(true));
        let ends_at = self.hall().crowd.ends_at(guest.key).unwrap_or_else(clock::now);
        let opened = tokio::select! {
            opened = self.open(stream, peer, guest.key) => opened,
            // Whoever has asked nothing yet by then asks somebody else.
            () = self.stopping.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            () = guest.sent_away.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            () = clock::sleep_until(ends_at) => Err(io::ErrorKind::TimedOut.into()),
        };
        match opened {
            Ok(opened) => self.converse(opened, &guest.sent_away).await,
            Err(error) => tracing::debug!(%error, address = %peer.ip(), "a connection came to nothing"),
        }
        self.hall().leave(guest.key);
    }

    /// What comes before HTTP: who it is, and the handshake. It shares the time that the first head has.
    async fn open(&self, mut stream: TcpStream, peer: SocketAddr, key: Key) -> io::Result<Opened> {
        let address = self.entrance.proxies.announced(&mut stream, peer).await?;
        if address != peer {
            self.hall().rename(key, address.ip().to_canonical(), clock::now());
        }
        let plain = Visitor { key, address, is_uncertified: false };
        let Some(serving) = self.entrance.credentials.serving() else {
            return Ok(Opened { stream: Either::Left(stream), visitor: plain });
        };
        let stream = TlsAcceptor::from(serving.config).accept(stream).await?;
        let is_uncertified = serving.asks_peers && stream.get_ref().1.peer_certificates().is_none();
        Ok(Opened { stream: Either::Right(Box::new(stream)), visitor: Visitor { is_uncertified, ..plain } })
    }

    /// Answers one connection until it ends, has to go, or says nothing for too long.
    async fn converse(&self, Opened { stream, visitor }: Opened, sent_away: &CancellationToken) {
        let answering = {
            let door = self.clone();
            service_fn(move |request| door.clone().answer(request, visitor))
        };
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
        let connection = builder.serve_connection(TokioIo::new(stream), answering);
        let mut connection = std::pin::pin!(connection);
        let mut is_stopping = false;
        loop {
            let ends_at = self.hall().crowd.ends_at(visitor.key).unwrap_or_else(clock::now);
            tokio::select! {
                // Whatever broke off there is of no interest here.
                _ended = connection.as_mut() => break,
                () = sent_away.cancelled() => break,
                () = clock::sleep_until(ends_at) => {
                    if self.hall().crowd.ends_at(visitor.key).is_none_or(|ends_at| ends_at <= clock::now()) {
                        break;
                    }
                }
                () = self.stopping.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        visitor: Visitor,
    ) -> Result<Response<Body>, std::convert::Infallible> {
        let busy = Busy::begin(&self, visitor.key);
        let mut request = request.map(Body::new);
        let client = self.entrance.proxies.client(visitor.address, request.headers());
        request.extensions_mut().insert(ConnectInfo(client));
        if visitor.is_uncertified {
            request.extensions_mut().insert(Uncertified);
        }
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
    hall: Arc<Mutex<Hall>>,
    key: Key,
}

impl Busy {
    fn begin(door: &Door, key: Key) -> Self {
        door.hall().crowd.ask(key, clock::now());
        Self { hall: Arc::clone(&door.hall), key }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.hall.lock().unwrap_or_else(PoisonError::into_inner).crowd.answered(self.key, clock::now());
    }
}

#[cfg(test)]
mod tests;
