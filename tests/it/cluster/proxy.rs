//! A TCP proxy whose packets can vanish or take their time: connections stay open, nothing is reset.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Packets on their way in one direction.
const IN_FLIGHT: usize = 1_024;

/// The proxy; ends with the test's runtime.
pub(crate) struct Proxy {
    port: u16,
    is_open: Arc<watch::Sender<bool>>,
    way: Arc<watch::Sender<Duration>>,
}

impl Proxy {
    /// Forwards a free loopback port to `upstream`.
    pub(crate) async fn start(upstream: u16) -> Self {
        Self::start_afar(upstream, Duration::ZERO).await
    }

    /// The same; everything takes this long in either direction.
    pub(crate) async fn start_afar(upstream: u16, way: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_open, way) = (Arc::new(watch::Sender::new(true)), Arc::new(watch::Sender::new(way)));
        let proxy = Self { port, is_open: Arc::clone(&is_open), way: Arc::clone(&way) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream, way.subscribe(), is_open.subscribe()));
            }
        });
        proxy
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing gets through, in either direction, and nobody is told.
    pub(crate) fn vanish(&self) {
        self.is_open.send_replace(false);
    }

    /// From now on everything takes this long in either direction.
    pub(crate) fn move_away(&self, way: Duration) {
        self.way.send_replace(way);
    }

    /// What was held back, and all that follows, gets through again.
    pub(crate) fn heal(&self) {
        self.is_open.send_replace(true);
    }
}

async fn serve(client: TcpStream, upstream: u16, way: watch::Receiver<Duration>, mut is_open: watch::Receiver<bool>) {
    // A new connection of a vanished host gets no answer either.
    if is_open.wait_for(|open| *open).await.is_err() {
        return;
    }
    // A connection is there for its client after a trip there and one back.
    let there_and_back = 2 * *way.borrow();
    tokio::time::sleep(there_and_back).await;
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let upward = pump(client_read, server_write, way.clone(), is_open.clone());
    let downward = pump(server_read, client_write, way, is_open);
    tokio::join!(upward, downward);
}

/// Each packet takes its way by itself: many may be on it.
async fn pump(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: watch::Receiver<Duration>,
    is_open: watch::Receiver<bool>,
) {
    let (packets, coming) = mpsc::channel(IN_FLIGHT);
    let reading = async move {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            let due_at = Instant::now() + *way.borrow();
            if packets.send((due_at, buffer[..read].to_vec())).await.is_err() || read == 0 {
                return;
            }
        }
    };
    tokio::join!(reading, arrive(coming, to, is_open));
}

async fn arrive(
    mut coming: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut is_open: watch::Receiver<bool>,
) {
    while let Some((due_at, packet)) = coming.recv().await {
        tokio::time::sleep_until(due_at).await;
        // Also the end of a connection is not seen through a network that swallows packets.
        if is_open.wait_for(|open| *open).await.is_err() || packet.is_empty() {
            return;
        }
        if to.write_all(&packet).await.is_err() {
            return;
        }
    }
}
