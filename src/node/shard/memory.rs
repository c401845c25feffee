//! What a shard remembers of each monitor: its row, its last beat, what this node made of it.
//!
//! A last beat is *unread*, being *read*, or *known*; what is thrown away on its way into the database makes it unread
//! again. When a monitor runs is not decided here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::{Mono, Wall};

use super::{ReadId, RunId, Shard};
use crate::node::beat::Previous;
use crate::store::beats::LastBeat;
use crate::store::monitors::MonitorSpec;

/// Only beats of monitors held for this long are looked at for a foreign hand: a former owner's last beats, on
/// another clock, are past by then.
const LONG_HELD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Held {
    pub(super) spec: Arc<MonitorSpec>,
    pub(super) memory: Memory,
    pub(super) run: Option<RunId>,
    /// Due, but its last beat is not read yet.
    pub(super) is_waiting: bool,
    /// How long after the next run the one after it follows, where that is not the interval.
    pub(super) then: Option<Duration>,
    pub(super) gained_at: Mono,
    /// Times of the last beats that this node made, the newest last.
    pub(super) made: Vec<Wall>,
    pub(super) foreign_at: Option<Wall>,
}

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

impl Held {
    pub(super) fn new(now: Mono, spec: MonitorSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            memory: Memory::Unread,
            run: None,
            is_waiting: false,
            then: None,
            gained_at: now,
            made: Vec::new(),
            foreign_at: None,
        }
    }

    /// Remembers the last few: a last beat read a moment ago may be the one before the newest.
    pub(super) fn note_made(&mut self, time: Wall) {
        if self.made.len() >= 4 {
            self.made.remove(0);
        }
        self.made.push(time);
    }

    pub(super) fn note_if_foreign(&mut self, now: Mono, last: Wall) -> bool {
        let Some(newest) = self.made.last() else { return false };
        // Kuma's column keeps whole seconds.
        let is_newer = last.0 > newest.0 + 1_000;
        if now.since(self.gained_at) < LONG_HELD || !is_newer || self.foreign_at == Some(last) {
            return false;
        }
        self.foreign_at = Some(last);
        true
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
            held.memory = Memory::Known { previous, is_fresh: true };
            if std::mem::take(&mut held.is_waiting) {
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

    fn being_read(&mut self, monitor: MonitorId, read: ReadId) -> Option<&mut Held> {
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
