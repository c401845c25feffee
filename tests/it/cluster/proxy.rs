//! A TCP proxy whose packets can vanish: connections stay open, nothing gets through, nothing is reset.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The proxy; ends with the test's runtime.
pub(crate) struct Proxy {
    port: u16,
    is_open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Forwards a free loopback port to `upstream`.
    pub(crate) async fn start(upstream: u16) -> Self {
        Self::start_afar(upstream, Duration::ZERO).await
    }

    /// The same; everything takes this long in either direction.
    pub(crate) async fn start_afar(upstream: u16, way: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), is_open: Arc::new(watch::Sender::new(true)) };
        let is_open = Arc::clone(&proxy.is_open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream, way, is_open.subscribe()));
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

    /// What was held back, and all that follows, gets through again.
    pub(crate) fn heal(&self) {
        self.is_open.send_replace(true);
    }
}

async fn serve(client: TcpStream, upstream: u16, way: Duration, mut is_open: watch::Receiver<bool>) {
    // A new connection of a vanished host gets no answer either.
    if is_open.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let upward = pump(client_read, server_write, way, is_open.clone());
    let downward = pump(server_read, client_write, way, is_open);
    tokio::join!(upward, downward);
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    way: Duration,
    mut is_open: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        // Also the end of a connection is not seen through a network that swallows packets.
        if is_open.wait_for(|open| *open).await.is_err() || read == 0 {
            return;
        }
        tokio::time::sleep(way).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
