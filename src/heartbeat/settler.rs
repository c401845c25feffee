//! Marks what is late and opens and resolves incidents: sleeps until the next deadline, then sees to it.
//!
//! What there is to do is read off the cache, also after a crash between a push and its incident; the store judges it
//! again under the rows' locks. So all watchdogs may do this at once, each taking what no other holds.

use std::time::Duration;

use komainu_watchdogs::heartbeat::Need;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::telling::Part;
use komainu_watchdogs::time::Wall;

use super::cache::HeartbeatCache;
use super::refresher::WakeSignal;
use super::teller::Teller;
use super::words::Plain;
use crate::clock;
use crate::store::heartbeats::{CachedHeartbeat, SettleConnection};
use crate::store::{Store, StoreError};
use crate::voice::Voice;

/// Of one transaction: each opens an incident with its deliveries, some milliseconds, and all stay locked meanwhile.
const MOST_NAMES: usize = 100;

/// Between two looks, however many pushes come in.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// A clock that jumps must not make this sleep for long.
const MOST_PAUSE: Duration = Duration::from_secs(1);

/// After an error, before the database is asked again.
const AFTER_ERROR: Duration = Duration::from_millis(500);

pub(super) struct Settler {
    pub(super) store: Store,
    pub(super) routing: Routing,
    pub(super) cache: HeartbeatCache,
    /// Woken when rows were changed here.
    pub(super) wake: WakeSignal,
    pub(super) voice: Voice,
}

impl Settler {
    /// Works until it is dropped.
    pub(super) async fn run(self, changed: WakeSignal) {
        let mut connection = None;
        let mut teller = Teller::default();
        loop {
            self.see_to_outage(&mut connection, &mut teller).await;
            let (names, next) = self.cache.needs(clock::now());
            if names.is_empty() {
                self.voice.note(Part::Deadlines, &Ok::<_, StoreError>(()));
                let pause = self.until(next);
                tokio::time::sleep(LEAST_PAUSE.min(pause)).await;
                // Woken or not: it is time to look again.
                let _ = tokio::time::timeout(pause.saturating_sub(LEAST_PAUSE), changed.received()).await;
                continue;
            }
            let settled = self.settle(&mut connection, &names).await;
            self.voice.note(Part::Deadlines, &settled);
            if let Err(error) = settled {
                tracing::warn!(%error, heartbeats = names.len(), "could not settle heartbeats");
                connection = None;
                tokio::time::sleep(AFTER_ERROR).await;
            }
            // What was done must show before the next look, or it would be tried again.
            if !self.wake.refreshed_after(clock::now()).await {
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }

    async fn see_to_outage(&self, connection: &mut Option<SettleConnection>, teller: &mut Teller) {
        let (now, outage) = (clock::now(), self.cache.outage(clock::now()));
        if !teller.is_due(outage, now) {
            return;
        }
        let told = match connected(connection, &self.store).await {
            Ok(connected) => teller.tell(connected, (outage, now), &self.routing).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "could not look after the incident of pushes");
            *connection = None;
        }
    }

    fn until(&self, next: Option<Wall>) -> Duration {
        let server = self.cache.server_us(clock::now());
        let left = next.zip(server).map(|(next, server_us)| {
            // A moment later, so that the database's clock shows the deadline too.
            next.since(Wall(server_us / 1_000)) + Duration::from_millis(2)
        });
        left.unwrap_or(MOST_PAUSE).min(MOST_PAUSE)
    }

    async fn settle(&self, connection: &mut Option<SettleConnection>, names: &[String]) -> Result<(), StoreError> {
        for part in names.chunks(MOST_NAMES) {
            match connected(connection, &self.store).await?.settle(part, &Plain, &self.routing).await {
                Ok(done) => done.iter().for_each(|(need, known)| announce(*need, known)),
                // Rolled back as a whole: the next look finds it again.
                Err(error) if error.is_contention() => tracing::debug!(%error, "heartbeats are settled elsewhere"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn connected<'a>(
    connection: &'a mut Option<SettleConnection>,
    store: &Store,
) -> Result<&'a mut SettleConnection, StoreError> {
    match connection {
        Some(connected) => Ok(connected),
        none => Ok(none.insert(SettleConnection::connect(store).await?)),
    }
}

fn announce(need: Need, known: &CachedHeartbeat) {
    let name = &known.definition.name;
    match need {
        Need::Recount => tracing::info!(heartbeat.name = name, "the deadline of a heartbeat was counted anew"),
        Need::MarkLate => tracing::warn!(heartbeat.name = name, "heartbeat is late"),
        Need::OpenIncident => tracing::warn!(heartbeat.name = name, "heartbeat failed"),
        Need::ResolveIncident if known.definition.is_paused => {
            tracing::info!(heartbeat.name = name, "heartbeat is paused, its incident is over");
        }
        Need::ResolveIncident => tracing::info!(heartbeat.name = name, "heartbeat is well again"),
    }
}
