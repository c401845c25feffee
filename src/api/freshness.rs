//! How long ago the watchdog published its view: a loop that hangs publishes nothing, and must not look calm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::View;
use tokio::sync::watch;

use crate::clock;

/// When the last view came.
#[derive(Clone, Debug)]
pub(super) struct Freshness(Arc<AtomicU64>);

impl Freshness {
    /// Watches until the publisher is gone.
    pub(super) fn watch(mut view: watch::Receiver<Arc<View>>) -> Self {
        let published = Self(Arc::new(AtomicU64::new(clock::now().as_micros())));
        let watched = published.clone();
        tokio::spawn(async move {
            while view.changed().await.is_ok() {
                watched.0.store(clock::now().as_micros(), Ordering::Relaxed);
            }
        });
        published
    }

    /// Time since then.
    pub(super) fn age(&self) -> Duration {
        clock::now().since(Mono::micros(self.0.load(Ordering::Relaxed)))
    }
}
