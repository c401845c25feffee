//! The monitors this node runs: what it knows of each, when each is due, and what a run's result becomes.
//!
//! Pure: the loop around it ([`super::runner`]) starts the runs, stores the beats and reads the clock. Life of a
//! monitor here: *started* with its row; its last beat is *read* from the database; it is *due*, runs, and its result
//! becomes a beat that is remembered. When a beat is thrown away, its memory is read anew.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::tenure::Fence;
use komainu_watchdogs::time::{Mono, Wall};

use self::memory::{HeldMonitor, Memory};
use super::beat::{self, Previous, Rules, Times};
use super::beginner::RunNews;
use super::push::{self, Report};
use super::schedule::{Schedule, StartSpread, spread};
use super::storage::Queued;
use crate::run::RunResult;
use crate::run::certificate::Certificate;
use crate::run::spec;
use crate::store::beats::{BeatStatus, LastBeat};
use crate::store::monitors::MonitorSpec;

mod memory;
mod turn;

/// Names one run, so that a result of a monitor that was stopped meanwhile is recognised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RunId(u64);

/// Names one read of last beats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadId(u64);

/// What the loop does next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Start this run.
    Run(Launch),
    /// Nothing is due before this point.
    Wait(Option<Mono>),
    /// The lease does not allow runs: call [`Shard::fence`], and [`Shard::resume`] once it does.
    Fenced,
}

/// A run to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The monitor that is run.
    pub monitor: Arc<MonitorSpec>,
    /// Tells this run from all others of the process.
    pub run: RunId,
    /// Its failure would be news, so it deserves a second look at the node's own network.
    pub is_failure_news: bool,
    /// The beat before it.
    pub previous: Option<Previous>,
    /// When that was made here, or the monitor began: by the node's clock that does not step.
    pub heard_at: Mono,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub enum RunOutcome {
    /// This, of its target.
    Result(RunResult),
    /// The right to run ended before anything was asked.
    NotAllowed,
    /// There is nothing to say yet: look again after so long.
    LookAgain(Duration),
}

/// What came of a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// This beat, to be stored.
    Beat(Box<Queued>),
    /// No monitor here has this token.
    Unknown,
    /// The beat before it is not read yet: ask again once it is.
    Unread,
}

/// A run that ended.
#[derive(Clone, Debug)]
pub struct RunDone {
    /// The monitor that is run.
    pub monitor: MonitorId,
    /// Tells this run from all others of the process.
    pub run: RunId,
    /// When it began, on the node's clock.
    pub began_at: Mono,
    /// When it began and ended, for the beat.
    pub times: Times,
    /// What came of it.
    pub outcome: RunOutcome,
}

impl RunDone {
    /// Takes out what the run saw of a certificate.
    pub fn certificate(&mut self) -> Option<Certificate> {
        match &mut self.outcome {
            RunOutcome::Result(result) => result.certificate.take(),
            RunOutcome::NotAllowed | RunOutcome::LookAgain(_) => None,
        }
    }
}

/// The monitors of one node.
#[derive(Debug, Default)]
pub struct Shard {
    held: HashMap<MonitorId, HeldMonitor>,
    unread: BTreeSet<MonitorId>,
    /// Push monitors by their tokens.
    tokens: HashMap<String, MonitorId>,
    schedule: Schedule,
    start_spread: StartSpread,
    is_fenced: bool,
    said: Vec<RunNews>,
    runs: u64,
    reads: u64,
}

impl Shard {
    /// No monitor yet.
    pub fn new(start_spread: StartSpread) -> Self {
        Self { start_spread, ..Self::default() }
    }

    /// How many monitors are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// One of the monitors, to ask after the lease.
    pub fn any(&self) -> Option<MonitorId> {
        self.held.keys().next().copied()
    }

    /// Monitors became this node's.
    pub fn start(&mut self, now: Mono, specs: Vec<MonitorSpec>) {
        let mut started = Vec::new();
        for spec in specs {
            if spec::is_supported(&spec) {
                started.push((spec.id, spec::interval(&spec)));
                self.unread.insert(spec.id);
            } else {
                tracing::warn!(monitor.id = %spec.id, kind = spec.kind, "a native node cannot run this kind of monitor");
            }
            self.schedule.remove(spec.id);
            self.tokens.extend(token_of(&spec).map(|token| (token.to_owned(), spec.id)));
            self.held.insert(spec.id, HeldMonitor::new(now, spec));
        }
        self.said.push(RunNews::Started);
        self.begin(now, &started);
    }

    /// Monitors are not this node's any more. Their runs' results will be refused.
    pub fn stop(&mut self, monitors: &BTreeSet<MonitorId>) -> Vec<RunId> {
        let mut stopped = Vec::new();
        for monitor in monitors {
            self.schedule.remove(*monitor);
            self.unread.remove(monitor);
            let Some(mut held) = self.held.remove(monitor) else { continue };
            Self::end_turn(&mut held, &mut self.said);
            self.forget_token(&held.spec);
            stopped.extend(held.run);
        }
        stopped
    }

    /// Compares with the rows of one slice (`id % of == slice`): edited monitors are restarted. Returns the runs this
    /// ended, and whether monitors came or went, which is for the tenure to judge.
    pub fn compare(&mut self, now: Mono, (slice, of): (u32, u32), rows: Vec<MonitorSpec>) -> (Vec<RunId>, bool) {
        let mut ended = Vec::new();
        let mut restarted = Vec::new();
        let mut missing: HashSet<_> = self.held.keys().copied().filter(|id| is_in_slice(*id, slice, of)).collect();
        let mut has_come = false;
        for row in rows {
            missing.remove(&row.id);
            let Some(held) = self.held.get_mut(&row.id) else {
                has_come = true;
                continue;
            };
            if *held.spec == row {
                continue;
            }
            ended.extend(held.run.take());
            self.schedule.remove(row.id);
            if spec::is_supported(&row) {
                restarted.push((row.id, spec::interval(&row)));
                if matches!(held.memory, Memory::Unread) {
                    self.unread.insert(row.id);
                }
            }
            let token = token_of(&row).map(|token| (token.to_owned(), row.id));
            held.is_only_kumas = false;
            let before = std::mem::replace(&mut held.spec, Arc::new(row));
            self.forget_token(&before);
            self.tokens.extend(token);
        }
        self.begin(now, &restarted);
        (ended, has_come || !missing.is_empty())
    }

    /// Beats of these monitors were thrown away: forget them, and run the monitors again soon.
    pub fn redo(&mut self, now: Mono, monitors: &[MonitorId]) {
        self.forget(monitors);
        let again: Vec<_> = monitors
            .iter()
            .filter_map(|monitor| self.held.get(monitor))
            .map(|held| (held.spec.id, spec::interval(&held.spec)))
            .collect();
        self.spread(now, &again);
    }

    /// The lease allows runs again: all go on, spread, whatever their interval.
    pub fn resume(&mut self, now: Mono) {
        self.is_fenced = false;
        let mut all: Vec<_> = self
            .held
            .values()
            .filter(|held| spec::is_supported(&held.spec))
            .map(|held| (held.spec.id, spec::interval(&held.spec)))
            .collect();
        all.sort_unstable();
        self.begin(now, &all);
    }

    /// The lease ended: nothing runs until [`Self::resume`]. Returns the runs this ended: their results would be
    /// thrown away, and a slow one must not keep its monitor from a new run.
    pub fn fence(&mut self) -> Vec<RunId> {
        self.is_fenced = true;
        self.held.values_mut().filter_map(|held| held.run.take()).collect()
    }

    /// Whether the shard is suspended.
    pub fn is_fenced(&self) -> bool {
        self.is_fenced
    }

    /// What to do next. `may_run` is asked right before each run.
    pub fn next(&mut self, now: Mono, may_run: impl Fn(MonitorId) -> Result<(), Fence>) -> Next {
        while !self.is_fenced {
            let Some(monitor) = self.schedule.pop_due(now) else { return Next::Wait(self.schedule.next_at()) };
            let Some(held) = self.held.get_mut(&monitor) else { continue };
            if held.run.is_some() {
                // A redo or a resume while it runs: its end schedules the next run.
                continue;
            }
            let Memory::Known { previous, .. } = &held.memory else {
                held.is_waiting = true;
                continue;
            };
            match may_run(monitor) {
                Ok(()) if Self::is_its_turn((monitor, &mut held.turn), &mut self.said) => {}
                Ok(()) => continue,
                Err(Fence::NotMine) => {
                    // The order to stop it is on its way.
                    self.schedule.set(monitor, now + Duration::from_secs(1));
                    continue;
                }
                Err(Fence::NotRegistered | Fence::LeaseTooOld | Fence::NotReconciled) => {
                    self.schedule.set(monitor, now);
                    return Next::Fenced;
                }
            }
            let was_down = previous.as_ref().is_some_and(|previous| previous.settled == BeatStatus::Down);
            let is_failure_news = held.spec.upside_down || !was_down;
            let previous = previous.clone();
            self.runs += 1;
            let run = RunId(self.runs);
            held.run = Some(run);
            let (monitor, heard_at) = (Arc::clone(&held.spec), held.heard_at);
            return Next::Run(Launch { monitor, run, is_failure_news, previous, heard_at });
        }
        Next::Fenced
    }

    /// A run ended. Its beat, unless the result is not wanted any more.
    pub fn finish(&mut self, now: Mono, done: RunDone) -> Option<Queued> {
        let held = self.held.get_mut(&done.monitor).filter(|held| held.run == Some(done.run))?;
        held.run = None;
        if !matches!(done.outcome, RunOutcome::NotAllowed) {
            Self::end_turn(held, &mut self.said);
        }
        let result = match done.outcome {
            RunOutcome::Result(result) => result,
            RunOutcome::NotAllowed => {
                self.schedule.set(done.monitor, now);
                return None;
            }
            RunOutcome::LookAgain(after) => {
                self.schedule.set(done.monitor, now + after);
                return None;
            }
        };
        let Memory::Known { previous, is_fresh } = &held.memory else {
            // What it would be judged against was lost while it ran; it runs again as soon as that is read.
            held.is_waiting = true;
            return None;
        };
        let is_fresh = *is_fresh;
        if result.is_only_kumas && !std::mem::replace(&mut held.is_only_kumas, true) {
            self.said.push(RunNews::OnlyKuma(done.monitor));
        }
        let (beat, memory) = beat::next(previous.as_ref(), Rules::from(&*held.spec), result, done.times);
        held.memory = Memory::Known { previous: Some(memory), is_fresh: false };
        held.note_made(now, beat.time);
        let interval = held.then.take().unwrap_or_else(|| spec::interval(&held.spec));
        let delay = beat::delay(beat.status, interval, spec::retry_interval(&held.spec));
        self.schedule.set(done.monitor, (done.began_at + delay).max(now + Duration::from_millis(1)));
        Some(Queued { beat, is_fresh })
    }

    /// The monitor with this token, if it is held.
    pub fn pushed_to(&self, token: &str) -> Option<&MonitorSpec> {
        let monitor = self.tokens.get(token)?;
        self.held.get(monitor).map(|held| &*held.spec)
    }

    /// A push came, at `now` on the node's clock and `at` for the beat. What was being looked at is past.
    pub fn push(&mut self, (now, at): (Mono, Wall), token: &str, report: Report, is_maintained: bool) -> Pushed {
        let held = self.tokens.get(token).and_then(|monitor| self.held.get_mut(monitor));
        let Some(held) = held else { return Pushed::Unknown };
        let Memory::Known { previous, is_fresh } = &held.memory else { return Pushed::Unread };
        let is_fresh = *is_fresh;
        // Two pushes of one millisecond would be one to who looks for a beat by its time.
        let at = (at.0..at.0 + 100).map(Wall).find(|at| !held.made.contains(at)).unwrap_or(at);
        let (beat, memory) = push::beat_of(previous.as_ref(), Rules::from(&*held.spec), report, is_maintained, at);
        held.memory = Memory::Known { previous: Some(memory), is_fresh: false };
        held.note_made(now, beat.time);
        if held.run.take().is_some() {
            self.schedule.set(held.spec.id, now + spec::interval(&held.spec));
        }
        Pushed::Beat(Box::new(Queued { beat, is_fresh }))
    }

    /// A run ended without a result (its task panicked): it is run again at its interval.
    pub fn abandon(&mut self, now: Mono, run: RunId) {
        let held = self.held.values_mut().find(|held| held.run == Some(run));
        if let Some(held) = held {
            held.run = None;
            Self::end_turn(held, &mut self.said);
            self.schedule.set(held.spec.id, now + spec::interval(&held.spec));
        }
    }

    /// How many of these last beats were made by somebody else while this node held the monitor for long.
    pub fn count_foreign(&mut self, now: Mono, last: &[LastBeat]) -> u64 {
        let foreign = last
            .iter()
            .filter(|last| self.held.get_mut(&last.monitor).is_some_and(|held| held.note_if_foreign(now, last)));
        u64::try_from(foreign.count()).unwrap_or(u64::MAX)
    }

    fn forget_token(&mut self, spec: &MonitorSpec) {
        if let Some(token) = token_of(spec)
            && self.tokens.get(token) == Some(&spec.id)
        {
            self.tokens.remove(token);
        }
    }

    /// Monitors begin, or begin anew. Whoever pushes has an interval for it from where they can: nobody could before.
    fn begin(&mut self, now: Mono, monitors: &[(MonitorId, Duration)]) {
        let is_pushed = |monitor: &MonitorId| self.held.get(monitor).is_some_and(|held| held.spec.kind == "push");
        let (pushed, asked): (Vec<_>, Vec<_>) = monitors.iter().copied().partition(|(monitor, _)| is_pushed(monitor));
        for (monitor, _) in pushed {
            if let Some(held) = self.held.get_mut(&monitor) {
                let late_at = held.await_push(now);
                self.schedule.set(monitor, late_at);
            }
        }
        self.spread(now, &asked);
    }

    fn spread(&mut self, now: Mono, monitors: &[(MonitorId, Duration)]) {
        for start in spread(now, monitors, self.start_spread) {
            if let Some(held) = self.held.get_mut(&start.monitor) {
                held.then = Some(start.then);
                held.is_waiting = false;
                self.schedule.set(start.monitor, start.at);
            }
        }
    }
}

fn token_of(spec: &MonitorSpec) -> Option<&str> {
    spec.push_token.as_deref().filter(|token| spec.kind == "push" && !token.is_empty())
}

fn is_in_slice(monitor: MonitorId, slice: u32, of: u32) -> bool {
    monitor.0.rem_euclid(i64::from(of.max(1))) == i64::from(slice)
}

#[cfg(test)]
mod tests;
