//! How a process of komainu ends: asked once it stops cleanly, asked twice it stops at once.
//!
//! Owns the signals, and how long requests in flight may still take. What else "cleanly" means is decided by whoever
//! holds the token.

use std::future::IntoFuture;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What was asked before a process stops is answered within this; whoever sends more slowly is cut off.
const IN_FLIGHT_LIMIT: Duration = Duration::from_secs(5);

/// A token that is cancelled by the first SIGTERM or SIGINT. The second one ends the process with exit code 130.
pub fn shutdown_on_signals() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        for asked in 1_u32.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked > 1 {
                tracing::warn!("asked to stop twice: stopping at once");
                std::process::exit(130);
            }
            tracing::info!("stopping");
            shutdown.cancel();
        }
    });
    Ok(token)
}

/// Drives a server that stops accepting with this token, until what is in flight then is answered, or
/// [`IN_FLIGHT_LIMIT`] is over.
pub async fn serve(server: impl IntoFuture<Output = io::Result<()>>, stopping: CancellationToken) {
    let limit = async {
        stopping.cancelled().await;
        tokio::time::sleep(IN_FLIGHT_LIMIT).await;
    };
    tokio::select! {
        ended = server.into_future() => {
            if let Err(error) = ended {
                tracing::error!(%error, "the HTTP server ended");
            }
        }
        () = limit => tracing::warn!("requests were still in flight after {IN_FLIGHT_LIMIT:?}: they are cut off"),
    }
}
