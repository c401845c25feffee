//! Keeps the cache fresh: reads what changed twice a second, and at once when somebody asks for it.
//!
//! Everything is read anew when rows disappeared, when the database's clock went backwards, after any error, and now and
//! then.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::time::{Mono, Wall};
use tokio::sync::{Notify, watch};

use super::cache::HeartbeatCache;
use crate::clock;
use crate::store::heartbeats::CacheReader;
use crate::store::{Store, StoreError};

/// Between two readings, together with the reading itself below the 500 ms that are promised.
const PAUSE: Duration = Duration::from_millis(400);

/// However often somebody asks: strangers can, by names that nobody knows.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// Longer than a transaction of ours may idle before it commits what it changed (5 s).
const OVERLAP: Duration = Duration::from_secs(6);

/// For what no other sign shows.
const EVERYTHING_AGAIN: Duration = Duration::from_secs(30);

/// How long somebody who asked waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// Wakes a task, and lets others wait for what it then does.
#[derive(Clone)]
pub(super) struct WakeSignal {
    sent: Arc<Notify>,
    done: Arc<watch::Sender<Option<Mono>>>,
}

impl Default for WakeSignal {
    fn default() -> Self {
        Self { sent: Arc::default(), done: Arc::new(watch::Sender::new(None)) }
    }
}

impl WakeSignal {
    pub(super) fn send(&self) {
        self.sent.notify_one();
    }

    pub(super) async fn received(&self) {
        self.sent.notified().await;
    }

    /// Wakes it, and waits for a reading that began after this moment; `false`: there was none for a while.
    pub(super) async fn refreshed_after(&self, moment: Mono) -> bool {
        self.send();
        let mut done = self.done.subscribe();
        let is_later = |began: &Option<Mono>| began.is_some_and(|began| began >= moment);
        tokio::time::timeout(PATIENCE, done.wait_for(is_later)).await.is_ok_and(|waited| waited.is_ok())
    }

    fn finished(&self, began_at: Mono) {
        self.done.send_replace(Some(began_at));
    }
}

/// What the last reading said.
struct Last {
    database_at: Wall,
    whole_at: Mono,
}

/// Works until it is dropped.
pub(super) async fn run(store: Store, cache: HeartbeatCache, wake: WakeSignal) {
    let mut connection = None;
    let mut last: Option<Last> = None;
    let mut is_failing = false;
    loop {
        let read = read(&store, &mut connection, &cache, &mut last).await;
        match read {
            Ok(began_at) => {
                is_failing = false;
                wake.finished(began_at);
            }
            Err(error) => {
                (connection, last) = (None, None);
                if !is_failing {
                    tracing::warn!(%error, "cannot read the heartbeats");
                }
                is_failing = true;
            }
        }
        tokio::time::sleep(LEAST_PAUSE).await;
        // Woken or not: it is time.
        let _ = tokio::time::timeout(PAUSE.saturating_sub(LEAST_PAUSE), wake.received()).await;
    }
}

async fn read(
    store: &Store,
    connection: &mut Option<CacheReader>,
    cache: &HeartbeatCache,
    last: &mut Option<Last>,
) -> Result<Mono, StoreError> {
    let connected = match connection {
        Some(connected) => connected,
        None => connection.insert(CacheReader::connect(store).await?),
    };
    let is_due = |last: &Last| clock::now().since(last.whole_at) >= EVERYTHING_AGAIN;
    if let Some(known) = last.as_mut().filter(|last| !is_due(last)) {
        let since = Wall(known.database_at.0 - i64::try_from(OVERLAP.as_millis()).unwrap_or(i64::MAX));
        let glance = connected.glance(Some(since)).await?;
        let (began_at, database_at) = (glance.began_at, glance.database_at());
        let count = usize::try_from(glance.count).unwrap_or(usize::MAX);
        let went_back = database_at < known.database_at;
        known.database_at = database_at;
        cache.apply(glance, false);
        if !went_back && count == cache.len() {
            return Ok(began_at);
        }
    }
    let glance = connected.glance(None).await?;
    let began_at = glance.began_at;
    *last = Some(Last { database_at: glance.database_at(), whole_at: began_at });
    cache.apply(glance, true);
    Ok(began_at)
}
