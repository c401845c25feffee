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
//! A node may also be gone because it was cut off, and live on. Which it was nobody can know before it is heard of again; then what
//! was put aside over it is taken back ([`Aside`]).
//!
//! The marks cost no write for a beat, and none for a monitor that was never lost while it started. Which beats came after a start
//! the order of storing says: clocks of two hosts are not compared.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::MonitorId;
use crate::time::Mono;

/// What was started with others is given so long to show that it ends nobody: the span over which a node begins what it gains.
const QUIET: Duration = Duration::from_secs(5);

/// A run that has not ended its node by then hardly does so any more; a target that does not answer keeps a run for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many turns, and not more, for those that are begun apart for the first time: nobody watches them meanwhile.
const TURNS: usize = 100;

/// What is known of a monitor when a node gains it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// The newest of all beats when a node last noted that it starts it.
    pub started_after: Option<i64>,
    /// With how many a process that is gone last began it apart, itself included, without taking that back.
    pub begun_with: Option<u32>,
    /// Its last beat. Beats are numbered in the order of storing, and nobody stores one of a monitor that is another's by then.
    pub last_beat: Option<i64>,
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
        let Some(started_after) = self.started_after else { return Beginning::AtOnce };
        let has_run_since = self.last_beat.is_some_and(|last| last > started_after);
        match self.begun_with {
            _ if has_run_since => Beginning::AtOnce,
            None => Beginning::Apart,
            Some(0 | 1) => Beginning::PutAside,
            Some(_) => Beginning::Alone,
        }
    }
}

/// A monitor that was put aside, as watchdogs find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aside {
    /// A watchdog has paused it, and told people.
    pub is_told: bool,
    /// It is to be run.
    pub is_active: bool,
    /// The process over which it was put aside holds its node's row again, or has taken its mark back.
    pub is_disproved: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsideStep {
    /// It is paused, and people are told.
    Pause,
    /// It stays as it is.
    Keep,
    /// Somebody resumed it, or it was paused before: it is as any other.
    Forget,
    /// It is resumed: the node was cut off, and lived through the run.
    TakeBack,
}

impl Aside {
    /// Hands win: what somebody resumed is not paused again over what was.
    pub fn step(&self) -> AsideStep {
        match (self.is_told, self.is_active, self.is_disproved) {
            (false, true, false) => AsideStep::Pause,
            (false, _, true) | (false, false, false) | (true, true, _) => AsideStep::Forget,
            (true, false, true) => AsideStep::TakeBack,
            (true, false, false) => AsideStep::Keep,
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
