//! Ctrl-C and SIGTERM as a cancellation.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled by the first signal. The second ends the process at once: whoever asks twice does not want to wait.
pub(super) fn shutdown() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        for asked in 0_u8.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked > 0 {
                std::process::exit(1);
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}
