//! How a node begins a monitor that it gains: at once, apart from others, or not at all.
//!
//! A monitor may end the process that runs it, whatever its node guards against; every node that takes it over would die in
//! its turn. Nobody can ask the dead, so two marks in the assignment speak for them: when it was last *started*, which each
//! node notes of what it gains, and with how many others it was last *begun apart*, which is taken back once that run is over.
//! A monitor that was started and has no beat since may have ended its node, as may all that were started with it: the next
//! one begins these apart, after everything else, one after another ([`Turns`]). One that was begun by itself and still
//! bears that mark when its node is gone has ended it, and is put aside. Where very many come into question they are begun in
//! groups, and of a group that ended its node each by itself.
//!
//! The marks cost no write for a beat, and none for a monitor that was never lost while it started.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::MonitorId;
use crate::time::{Mono, Wall};

/// A beat bears its node's clock, which may be off by so much before it counts as wrong, and whole seconds.
const CLOCKS: Duration = Duration::from_secs(6);

/// What was started with others is given so long to show that it ends nobody: the span over which a node begins what it gains.
const QUIET: Duration = Duration::from_secs(5);

/// A run that has not ended its node by then hardly does so any more; a target that does not answer keeps a run for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many turns, and not more, for those that are begun apart for the first time: nobody watches them meanwhile.
const TURNS: usize = 100;

/// What is known of a monitor when a node gains it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// When a node last noted that it starts it.
    pub started_at: Option<Wall>,
    /// With how many a process that is gone last began it apart, itself included, without taking that back.
    pub begun_with: Option<u32>,
    /// Its last beat.
    pub ran_at: Option<Wall>,
}

/// How it is begun.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Beginning {
    /// With all others.
    AtOnce,
    /// After all others, with few of its kind.
    Apart,
    /// After those, by itself.
    Alone,
    /// Not: nodes were lost over it.
    PutAside,
}

impl Past {
    /// How such a monitor is begun.
    pub fn beginning(&self) -> Beginning {
        let Some(started_at) = self.started_at else { return Beginning::AtOnce };
        let has_run_since = self.ran_at.is_some_and(|ran_at| ran_at + CLOCKS >= started_at);
        match self.begun_with {
            _ if has_run_since => Beginning::AtOnce,
            None => Beginning::Apart,
            Some(0 | 1) => Beginning::PutAside,
            Some(_) => Beginning::Alone,
        }
    }
}

/// Who is begun apart, one after another.
#[derive(Debug, Default)]
pub struct Turns {
    apart: VecDeque<MonitorId>,
    alone: VecDeque<MonitorId>,
    /// Of those apart so many are begun together: by how many waited at most.
    width: usize,
    current: BTreeSet<MonitorId>,
    since: Mono,
    quiet_until: Mono,
}

impl Turns {
    /// Monitors were gained: their first runs end this node now, if they do.
    pub fn handle_start(&mut self, now: Mono) {
        self.quiet_until = self.quiet_until.max(now + QUIET);
    }

    /// This one is to be begun apart, or alone.
    pub fn wait(&mut self, monitor: MonitorId, is_alone: bool) {
        self.forget(monitor);
        let waiting = if is_alone { &mut self.alone } else { &mut self.apart };
        waiting.push_back(monitor);
        self.width = self.width.max(self.apart.len().div_ceil(TURNS));
    }

    /// It is not this node's any more, or its run is over. Says whether it was being begun.
    pub fn forget(&mut self, monitor: MonitorId) -> bool {
        self.apart.retain(|waiting| *waiting != monitor);
        self.alone.retain(|waiting| *waiting != monitor);
        self.current.remove(&monitor)
    }

    /// Whose turn it is now; none: nobody's.
    pub fn next(&mut self, now: Mono) -> BTreeSet<MonitorId> {
        if self.next_at().is_none_or(|at| at > now) {
            return BTreeSet::new();
        }
        let is_apart = !self.apart.is_empty();
        let waiting = if is_apart { &mut self.apart } else { &mut self.alone };
        let width = if is_apart { self.width.min(waiting.len()) } else { 1 };
        let turn: BTreeSet<_> = waiting.drain(..width).collect();
        if self.apart.is_empty() {
            self.width = 0;
        }
        (self.current, self.since) = (turn.clone(), now);
        turn
    }

    /// When somebody's turn comes, if nothing happens before.
    pub fn next_at(&self) -> Option<Mono> {
        let is_waiting = !(self.apart.is_empty() && self.alone.is_empty());
        let free_at = if self.current.is_empty() { Mono::default() } else { self.since + PATIENCE };
        is_waiting.then(|| free_at.max(self.quiet_until))
    }
}
