//! Watches the beats for monitors that go down and come back.
//!
//! Each second the tail of the beats is read, some seconds deep, because ids commit out of order; each change of state is
//! looked at once. What that misses (a start, an outage, a pause, a deleted monitor) is found by two slower looks: at
//! what is open and at all monitors, part by part. All of them end in the same question to
//! [`crate::store::downtimes::settle`], which may be asked any number of times.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::telling::Part;

use crate::failing::Failing;
use crate::store::{Store, StoreError, downtimes};
use crate::voice::Voice;

/// How long it waits between two looks at the tail of the beats.
const LOOK: Duration = Duration::from_secs(1);

/// So many looks may pass between an id being given and its row being seen. Together they take longer than any statement
/// may, so no committed row is missed.
const DEPTH: usize = 10;

/// In each so-many-th look, the next part of the open incidents and the next part of all monitors are looked at too.
const SLOWER: u32 = 5;

/// How many monitors one part has: 4,000 are gone through in twenty seconds.
const PART: u32 = 1_000;

/// What a watchdog remembers from one look to the next.
#[derive(Debug, Default)]
struct Watcher {
    /// The largest id that each of the last looks saw, the oldest look first.
    marks: VecDeque<i64>,
    /// For each monitor, the id of the change that was looked at last.
    seen: BTreeMap<MonitorId, i64>,
    /// How far the look at all monitors came.
    reached: MonitorId,
    /// How far the look at what is open came.
    reached_open: String,
}

/// Looks again and again until the future is dropped; what was not committed by then, another watchdog finds.
pub async fn run(store: Store, routing: Arc<Routing>, voice: Voice) {
    let mut watcher = Watcher::default();
    let mut failing = Failing::default();
    for look in 0_u32.. {
        let looked = watcher.look(&store, &routing, look % SLOWER == 0).await;
        voice.note(Part::Beats, &looked);
        failing.note(looked, "cannot watch the beats");
        tokio::time::sleep(LOOK).await;
    }
}

impl Watcher {
    async fn look(&mut self, store: &Store, routing: &Routing, is_thorough: bool) -> Result<(), StoreError> {
        let changed = self.changed(store).await?;
        let mut monitors: Vec<_> = changed.keys().copied().collect();
        if is_thorough {
            let (down, reached) = downtimes::suspects(store, self.reached, PART).await?;
            monitors.extend(down);
            let (open, reached_open) = downtimes::open(store, &self.reached_open, PART).await?;
            monitors.extend(open);
            (self.reached, self.reached_open) = (reached, reached_open);
            monitors.sort();
            monitors.dedup();
        }
        let (opened, resolved) = downtimes::settle(store, &monitors, routing).await?;
        if opened + resolved > 0 {
            tracing::info!(opened, resolved, "incidents of monitors");
        }
        self.seen.extend(changed);
        Ok(())
    }

    /// What changed since it was last looked at.
    async fn changed(&mut self, store: &Store) -> Result<BTreeMap<MonitorId, i64>, StoreError> {
        // The first look begins at the end: what was before is found by the look at all monitors.
        let after = self.marks.front().copied().unwrap_or(i64::MAX);
        let tail = downtimes::tail(store, after).await?;
        if self.marks.len() >= DEPTH {
            self.marks.pop_front();
        }
        self.marks.push_back(tail.last_id);
        self.seen.retain(|monitor, _| tail.changes.contains_key(monitor));
        let is_new = |(monitor, id): &(MonitorId, i64)| self.seen.get(monitor) != Some(id);
        Ok(tail.changes.into_iter().filter(is_new).collect())
    }
}
