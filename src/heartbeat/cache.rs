//! What this watchdog knows of all heartbeats, and how long it may vouch for it.
//!
//! Filled by the refresher and, at once, by the intake with what was accepted here. A row replaces a known one only when
//! it is newer (`changed_at` rises at each change). Decides nothing but whether knowledge is fresh enough.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use komainu_watchdogs::heartbeat::limits::Gap;
use komainu_watchdogs::heartbeat::{OUTAGE_AFTER, State};
use komainu_watchdogs::time::{Mono, Wall};

use super::refresher::WakeSignal;
use crate::store::heartbeats::{CachedHeartbeat, Glance};

/// An accepted push shows everywhere within 1 s; a cache older than this may miss one.
const VOUCHED_FOR: Duration = Duration::from_millis(1_500);

/// A reading of a far database takes long, and so does the next: what is vouched for is older there, by no more than this.
const MOST_OF_A_WAY: Duration = Duration::from_millis(1_500);

/// All heartbeats as this watchdog knows them; cheap to clone.
#[derive(Clone)]
pub(super) struct HeartbeatCache {
    content: Arc<RwLock<Content>>,
    changed: WakeSignal,
}

#[derive(Default)]
struct Content {
    /// With all of `gaps` counted in.
    rows: HashMap<String, Entry>,
    gaps: Vec<Gap>,
    read: Option<Read>,
}

struct Entry {
    known: Arc<CachedHeartbeat>,
    learned_at: Mono,
}

/// The last reading.
#[derive(Clone, Copy)]
struct Read {
    began_at: Mono,
    database_us: i64,
    read_at: Mono,
    outage_since: Option<Wall>,
}

impl Read {
    fn database_at(self) -> Wall {
        Wall(self.database_us / 1_000)
    }

    fn server_us(self, now: Mono) -> i64 {
        let age = now.since(self.read_at).as_micros();
        self.database_us.saturating_add(i64::try_from(age).unwrap_or(i64::MAX))
    }

    fn vouched_for(self) -> Duration {
        VOUCHED_FOR + self.trip()
    }

    fn trip(self) -> Duration {
        2 * self.read_at.since(self.began_at).min(MOST_OF_A_WAY)
    }
}

/// What a watchdog can vouch for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vouched {
    /// It is up.
    Alive,
    /// It is late, failed, or was never seen.
    Not(State),
    /// People paused it: neither alarm nor calm.
    Paused,
    /// There is none of this name.
    NoSuch,
}

impl HeartbeatCache {
    /// `changed` is woken when there may be something to settle.
    pub(super) fn new(changed: WakeSignal) -> Self {
        Self { content: Arc::default(), changed }
    }

    /// One heartbeat, however old the knowledge.
    pub(super) fn find(&self, name: &str) -> Option<Arc<CachedHeartbeat>> {
        self.content.read().unwrap_or_else(PoisonError::into_inner).rows.get(name).map(|entry| Arc::clone(&entry.known))
    }

    /// How a heartbeat is; `None`: knowledge is too old to say.
    pub(super) fn vouched(&self, name: &str, now: Mono) -> Option<Vouched> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let read = content.read.filter(|read| now.since(read.began_at) <= read.vouched_for())?;
        let Some(entry) = content.rows.get(name) else { return Some(Vouched::NoSuch) };
        let record = &entry.known.vitals.record;
        if record.is_paused {
            return Some(Vouched::Paused);
        }
        // Late in truth, unless no push could be taken meanwhile: only a reading after the deadline may say so.
        if record.is_overdue(read.database_at()) {
            return read.outage_since.is_none().then_some(Vouched::Not(State::Late));
        }
        Some(match record.state {
            State::Up => Vouched::Alive,
            state @ (State::New | State::Late | State::Failed) => Vouched::Not(state),
        })
    }

    /// The database's clock now; `None`: it was never read.
    pub(super) fn server_us(&self, now: Mono) -> Option<i64> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        content.read.map(|read| read.server_us(now))
    }

    /// How long no push could be taken until now, as far as this watchdog can see; or how long it sees nothing.
    pub(super) fn outage(&self, now: Mono) -> Option<Duration> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let read = content.read?;
        let blind = Some(now.since(read.began_at)).filter(|age| *age > OUTAGE_AFTER + read.trip());
        let refused = read.outage_since.map(|since| Wall(read.server_us(now) / 1_000).since(since));
        refused.max(blind)
    }

    /// How many are in each state; those that are paused are in none.
    pub(super) fn by_state(&self) -> BTreeMap<State, u64> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts: BTreeMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
        for Entry { known, .. } in content.rows.values().filter(|entry| !entry.known.vitals.record.is_paused) {
            *counts.entry(known.vitals.record.state).or_default() += 1;
        }
        counts
    }

    pub(super) fn paused(&self) -> u64 {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let paused = content.rows.values().filter(|entry| entry.known.vitals.record.is_paused).count();
        u64::try_from(paused).unwrap_or(u64::MAX)
    }

    /// How many heartbeats are known.
    pub(super) fn len(&self) -> usize {
        self.content.read().unwrap_or_else(PoisonError::into_inner).rows.len()
    }

    /// What has something to be done about it now, and when the next has.
    pub(super) fn needs(&self, now: Mono) -> (Vec<String>, Option<Wall>) {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let Some(read) = content.read else { return (Vec::new(), None) };
        let (server, is_outage) = (Wall(read.server_us(now) / 1_000), read.outage_since.is_some());
        let mut names = Vec::new();
        let mut next: Option<Wall> = None;
        for Entry { known, .. } in content.rows.values() {
            let record = &known.vitals.record;
            if known.need(server, is_outage).is_some() {
                names.push(known.definition.name.clone());
                continue;
            }
            let deadline = match record.state {
                State::New | State::Up if record.is_paused => None,
                // What has passed waits for the end of the outage.
                State::New | State::Up => record.deadline().filter(|deadline| *deadline > server),
                State::Late | State::Failed => None,
            };
            next = next.into_iter().chain(deadline).min();
        }
        names.sort_unstable();
        (names, next)
    }

    /// What was accepted here.
    pub(super) fn learn(&self, known: Vec<CachedHeartbeat>, learned_at: Mono) {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        for known in known {
            content.put(known, learned_at);
        }
        drop(content);
        self.changed.send();
    }

    /// What was read: everything, or what changed.
    pub(super) fn apply(&self, glance: Glance, is_whole: bool) {
        let read = Read {
            began_at: glance.began_at,
            database_us: glance.database_us,
            read_at: glance.read_at,
            outage_since: glance.outage_since,
        };
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        if is_whole {
            // Also over what is known as newer: after a database was restored its rows are older, and true. Only what was
            // accepted while this was read stays.
            content.rows.retain(|_, entry| entry.learned_at >= glance.began_at);
        }
        content.count(glance.gaps);
        for known in glance.rows {
            content.put(known, glance.began_at);
        }
        content.read = Some(read);
        drop(content);
        self.changed.send();
    }
}

impl Content {
    /// Counts gaps in what is known already.
    fn count(&mut self, gaps: Vec<Gap>) {
        let newest = |gaps: &[Gap]| gaps.last().map(|gap| gap.id);
        if newest(&gaps) == newest(&self.gaps) {
            return;
        }
        self.gaps = gaps;
        for entry in self.rows.values_mut() {
            Arc::make_mut(&mut entry.known).count(&self.gaps);
        }
    }

    fn put(&mut self, mut known: CachedHeartbeat, learned_at: Mono) {
        known.count(&self.gaps);
        let is_newer = |present: &Entry| present.known.vitals.changed_at > known.vitals.changed_at;
        if self.rows.get(&known.definition.name).is_some_and(is_newer) {
            return;
        }
        self.rows.insert(known.definition.name.clone(), Entry { known: Arc::new(known), learned_at });
    }
}
