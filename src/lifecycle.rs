//! How a process of komainu ends: asked once it stops cleanly, asked twice it stops at once.
//!
//! Owns the signals. What "cleanly" means is decided by whoever
//! holds the token.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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
