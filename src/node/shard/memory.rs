//! What a shard remembers of each monitor: its row, its last beat, what this node made of it.
//!
//! A last beat is *unread*, being *read*, or *known*; what is thrown away on its way into the database makes it unread
//! again. When a monitor runs is not decided here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::beginning::Past;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::{Mono, Wall};

use super::turn::Turn;
use super::{ReadId, RunId, Shard};
use crate::node::beat::Previous;
use crate::run::spec;
use crate::store::beats::LastBeat;
use crate::store::monitors::MonitorSpec;

/// Only beats of monitors held for this long are looked at for a foreign hand: a former owner's last beats, on
/// another clock, are past by then.
const LONG_HELD: Duration = Duration::from_secs(60);

/// What is on its way into the database, and was read a moment ago, is at most a lease and a read old: so many beats of a
/// monitor that is run every second, and of one that is run more slowly.
const MADE_FAST: usize = 16;
const MADE: usize = 4;

/// Runs closer to each other than this are fast.
const FAST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct HeldMonitor {
    pub(super) spec: Arc<MonitorSpec>,
    pub(super) memory: Memory,
    pub(super) run: Option<RunId>,
    /// Due, but its last beat is not read yet.
    pub(super) is_waiting: bool,
    /// How long after the next run the one after it follows, where that is not the interval.
    pub(super) then: Option<Duration>,
    /// Whether it is begun with all others.
    pub(super) turn: Turn,
    /// It is said that only a stock Kuma can look at this target.
    pub(super) is_only_kumas: bool,
    pub(super) gained_at: Mono,
    /// Times of the last beats that this node made, the newest last.
    pub(super) made: Vec<Wall>,
    /// The beat stored last that is accounted for: read at the beginning, made here, or counted as foreign.
    pub(super) known_id: i64,
    /// When the last beat was made here, or from when on a push could be taken: whoever pushes had no chance before.
    pub(super) heard_at: Mono,
}

/// By then whoever pushes has found the way to a node that took over: gateways learn of it within seconds.
const FOUND: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) enum Memory {
    Unread,
    Reading(ReadId),
    Known {
        previous: Option<Previous>,
        /// It was read, not made here.
        is_fresh: bool,
    },
}

impl HeldMonitor {
    pub(super) fn new(now: Mono, spec: MonitorSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            memory: Memory::Unread,
            run: None,
            is_waiting: false,
            then: None,
            turn: Turn::Unknown(Past::default()),
            is_only_kumas: false,
            gained_at: now,
            made: Vec::new(),
            known_id: 0,
            heard_at: now,
        }
    }

    /// A push can be taken from now on. Returns when one is overdue.
    pub(super) fn await_push(&mut self, now: Mono) -> Mono {
        self.heard_at = now.max(self.gained_at + FOUND);
        self.heard_at + spec::interval(&self.spec)
    }

    /// A beat was made. The last few are remembered: what was read a moment ago may be one before the newest.
    pub(super) fn note_made(&mut self, now: Mono, time: Wall) {
        let most = if spec::interval(&self.spec) < FAST { MADE_FAST } else { MADE };
        if self.made.len() >= most {
            self.made.remove(0);
        }
        self.made.push(time);
        self.heard_at = now;
    }

    /// By the order of storing: this node's own clock may have stepped between two beats.
    pub(super) fn note_if_foreign(&mut self, now: Mono, last: &LastBeat) -> bool {
        let Some(newest) = self.made.last() else { return false };
        if last.id <= self.known_id {
            return false;
        }
        self.known_id = last.id;
        // Kuma's column keeps whole seconds.
        let is_own = self.made.iter().any(|made| (made.0 - last.time.0).abs() <= 1_000);
        // Pushes come faster than any number of them is remembered.
        let is_earlier_push = self.spec.kind == "push" && last.time.0 <= newest.0;
        now.since(self.gained_at) >= LONG_HELD && !is_own && !is_earlier_push
    }
}

impl Shard {
    /// Monitors whose last beat must be read, at most so many.
    pub fn unread(&mut self, most: usize) -> Option<(ReadId, Vec<MonitorId>)> {
        let monitors: Vec<_> = self.unread.iter().take(most).copied().collect();
        if monitors.is_empty() {
            return None;
        }
        self.reads += 1;
        let read = ReadId(self.reads);
        for monitor in &monitors {
            self.unread.remove(monitor);
            if let Some(held) = self.held.get_mut(monitor) {
                held.memory = Memory::Reading(read);
            }
        }
        Some((read, monitors))
    }

    /// The last beats were read; monitors without one never had any.
    pub fn remember(&mut self, now: Mono, read: ReadId, asked: &[MonitorId], last: &[LastBeat]) {
        let last: HashMap<_, _> = last.iter().map(|last| (last.monitor, last)).collect();
        for monitor in asked {
            let Some(held) = self.being_read(*monitor, read) else { continue };
            let previous = last.get(monitor).map(|last| Previous::from(*last));
            held.known_id = last.get(monitor).map_or(held.known_id, |last| held.known_id.max(last.id));
            held.decide_turn(last.get(monitor).map(|last| last.id));
            held.memory = Memory::Known { previous, is_fresh: true };
            let was_waiting = std::mem::take(&mut held.is_waiting);
            if held.spec.kind == "push" {
                let late_at = held.await_push(now);
                self.schedule.set(*monitor, late_at);
            } else if was_waiting {
                self.schedule.set(*monitor, now);
            }
        }
    }

    /// The last beats could not be read.
    pub fn remember_failed(&mut self, read: ReadId, asked: &[MonitorId]) {
        for monitor in asked {
            if let Some(held) = self.being_read(*monitor, read) {
                held.memory = Memory::Unread;
                self.unread.insert(*monitor);
            }
        }
    }

    fn being_read(&mut self, monitor: MonitorId, read: ReadId) -> Option<&mut HeldMonitor> {
        self.held.get_mut(&monitor).filter(|held| matches!(held.memory, Memory::Reading(current) if current == read))
    }

    /// What is remembered of these monitors is not what is stored.
    pub fn forget(&mut self, monitors: &[MonitorId]) {
        for monitor in monitors {
            if let Some(held) = self.held.get_mut(monitor) {
                held.memory = Memory::Unread;
                self.unread.insert(*monitor);
            }
        }
    }
}
