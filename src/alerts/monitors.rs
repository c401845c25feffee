//! Watches the beats for monitors that go down and come back.
//!
//! Each second what was stored last is looked at, and what may have appeared among the beats of the last looks. Every
//! change is settled by the watchdog whose turn it is ([`Rota`]) at once, and by each of the others a little later,
//! unless it is settled by then. What that misses (a start, an outage, a pause, a deleted monitor) is found by two slower
//! looks: at what is open and at all monitors, part by part. All of them end in the same question to
//! [`crate::store::downtimes::settle`], which may be asked any number of times.

mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::rota::Rota;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::telling::Part;

use self::window::Window;
use crate::failing::Failing;
use crate::opinion::SecondOpinion;
use crate::store::downtimes::Change;
use crate::store::{Store, StoreError, downtimes, opinions};
use crate::voice::Voice;

/// How long it waits between two looks at the tail of the beats.
const LOOK: Duration = Duration::from_secs(1);

/// Looks by which each further watchdog comes later than the one whose turn a change is.
const LATER: u64 = 2;

/// In each so-many-th look, the next part of the open incidents and the next part of all monitors are looked at too.
const SLOWER: u64 = 5;

/// How many monitors one part has: 4,000 are gone through in twenty seconds.
const PART: u32 = 1_000;

/// What a watchdog remembers from one look to the next.
#[derive(Debug, Default)]
struct Watcher {
    /// How far the beats were looked at.
    window: Window,
    /// Looks so far.
    looks: u64,
    /// Changes that are to be settled; at most one for each monitor.
    waiting: BTreeMap<MonitorId, Waiting>,
    /// How far the look at all monitors came.
    reached: MonitorId,
    /// How far the look at what is open came.
    reached_open: String,
}

/// A change that is to be settled.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    change: Change,
    /// At this look.
    due_at: u64,
    /// Another watchdog may have settled it.
    is_anothers: bool,
}

/// Looks again and again until the future is dropped; what was not committed by then, another watchdog finds. `rota`: this
/// watchdog's place among those that live, now.
pub async fn run(
    store: Store,
    (routing, wishes): (Arc<Routing>, Arc<SecondOpinion>),
    voice: Voice,
    rota: impl Fn() -> Rota + Send + Sync,
) {
    let mut watcher = Watcher::default();
    let mut failing = Failing::default();
    loop {
        let looked = watcher.look(&store, (&routing, &wishes), rota()).await;
        voice.note(Part::Beats, &looked);
        failing.note(looked, "cannot watch the beats");
        tokio::time::sleep(LOOK).await;
    }
}

impl Watcher {
    async fn look(&mut self, store: &Store, with: (&Routing, &SecondOpinion), rota: Rota) -> Result<(), StoreError> {
        let is_thorough = self.looks.is_multiple_of(SLOWER);
        self.looks += 1;
        self.read_changes(store, rota).await?;
        let due: Vec<Waiting> = self.waiting.values().filter(|waiting| waiting.due_at <= self.looks).copied().collect();
        let mut monitors = to_settle(store, &due).await?;
        if is_thorough {
            let (down, reached) = downtimes::suspects(store, self.reached, PART).await?;
            monitors.extend(down);
            let (open, reached_open) = downtimes::open(store, &self.reached_open, PART).await?;
            monitors.extend(open);
            (self.reached, self.reached_open) = (reached, reached_open);
            monitors.sort();
            monitors.dedup();
        }
        let (opened, resolved) = downtimes::settle(store, &monitors, with).await?;
        // What Kuma tells is not held back, and contradicted all the same.
        opinions::settle(store, &monitors, with).await?;
        if opened + resolved > 0 {
            tracing::info!(opened, resolved, "incidents of monitors");
        }
        for waiting in due {
            self.waiting.remove(&waiting.change.monitor);
        }
        Ok(())
    }

    /// Adds to what is to be settled whatever changed since it was last looked at.
    async fn read_changes(&mut self, store: &Store, rota: Rota) -> Result<(), StoreError> {
        let (last, marks) = downtimes::ends(store, &self.window.spans()).await?;
        let differing = self.window.differing(&marks);
        for span in differing.into_iter().chain(self.window.next(last)) {
            let changes = downtimes::changes(store, span).await?;
            for change in self.window.note(span, changes) {
                self.wait_for(change, rota);
            }
        }
        self.window.end_look();
        Ok(())
    }

    fn wait_for(&mut self, change: Change, rota: Rota) {
        let before_me = rota.before_me(change.monitor.0);
        let new = Waiting { change, due_at: self.looks + LATER * before_me, is_anothers: before_me > 0 };
        // One that changes again and again is not put off for that.
        let waiting = self.waiting.entry(change.monitor).or_insert(new);
        waiting.change = change;
    }
}

/// The monitors of which a change is to be settled still.
async fn to_settle(store: &Store, due: &[Waiting]) -> Result<Vec<MonitorId>, StoreError> {
    let (others, mine): (Vec<&Waiting>, Vec<&Waiting>) = due.iter().partition(|waiting| waiting.is_anothers);
    let others: Vec<Change> = others.iter().map(|waiting| waiting.change).collect();
    let mut monitors = downtimes::unsettled(store, &others).await?;
    monitors.extend(mine.iter().map(|waiting| waiting.change.monitor));
    Ok(monitors)
}
