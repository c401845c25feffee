//! What a watchdog reads and writes beside its rounds: when, and what it makes of the answers.
//!
//! None of it is a lease's business. An answer that does not come, or comes late, leaves what was known before, and its
//! own health ([`crate::upkeep`]) says so.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Watchdog;
use crate::facts::{Counts, IncidentRow, ProgressRow};
use crate::io::{Errand, Found, Output};
use crate::policy::Policy;
use crate::progress::Beginnings;
use crate::sampling;
use crate::time::Mono;
use crate::upkeep::{Chore, Upkeep};

/// What was brought, and what is to be fetched next.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    pub(crate) counts: Counts,
    /// When all monitors were counted last.
    pub(crate) counted_at: Option<Mono>,
    pub(crate) incidents: Vec<IncidentRow>,
    /// Not judged yet.
    pub(crate) progress: Option<Vec<ProgressRow>>,
    /// What the last reading found, judged or not; nothing: that is not known.
    last_progress: Vec<ProgressRow>,
    pub(crate) beginnings: Beginnings,
    pub(crate) upkeep: Upkeep,
    /// Readings of the progress so far: each looks at another part of a large node.
    turn: u32,
    /// When each is sent next; `None`: its answer is awaited.
    due: BTreeMap<Errand, Option<Mono>>,
}

/// Progress is read once it is known how many monitors each node has, unless that cannot be counted.
const SOON: Duration = Duration::from_millis(500);

const ALL: [Errand; 3] = [Errand::Counts, Errand::Progress, Errand::Incidents];

impl Errands {
    /// All of them at once.
    pub(crate) fn new(now: Mono) -> Self {
        Self { due: ALL.into_iter().map(|errand| (errand, Some(now))).collect(), ..Self::default() }
    }

    /// What was counted before is overtaken.
    pub(crate) fn count_anew(&mut self, now: Mono) {
        if let Some(Some(at)) = self.due.get_mut(&Errand::Counts) {
            *at = now;
        }
    }

    pub(crate) fn due_at(&self) -> Option<Mono> {
        self.due.values().flatten().min().copied()
    }

    /// Those that are due.
    pub(crate) fn poll(&mut self, now: Mono) -> Vec<Output> {
        let mut outputs = Vec::new();
        let knows_sizes = self.counted_at.is_some() || self.upkeep.failing_since(Chore::Counts).is_some();
        for (errand, due) in &mut self.due {
            if due.is_some_and(|at| at <= now) {
                if *errand == Errand::Progress && !knows_sizes {
                    *due = Some(now + SOON);
                    continue;
                }
                *due = None;
                outputs.push(match errand {
                    Errand::Progress => {
                        self.turn = self.turn.wrapping_add(1);
                        let spans = self.beginnings.spans(now);
                        let last = &self.last_progress;
                        Output::ReadProgress(sampling::looks(&self.counts.shards, &spans, last, self.turn))
                    }
                    Errand::Counts | Errand::Incidents => Output::Errand(*errand),
                });
            }
        }
        outputs
    }

    /// Nothing that was read before says anything of what comes.
    pub(crate) fn begin_progress(&mut self, now: Mono) {
        self.beginnings.begin(now);
        self.progress = None;
        self.last_progress.clear();
    }

    fn take(&mut self, now: Mono, errand: Errand, result: Result<Found, String>, policy: &Policy) {
        let pause = if errand == Errand::Progress { policy.probe_interval } else { policy.round_interval };
        self.due.insert(errand, Some(now + pause));
        let was_failing = self.upkeep.failing_since(errand.into()).is_some();
        self.upkeep.note(now, errand.into(), result.as_ref().map(|_| ()).map_err(String::as_str));
        match result {
            Ok(Found::Counts(counts)) => {
                self.counts = *counts;
                self.counted_at = Some(now);
            }
            Ok(Found::Incidents(rows)) => self.incidents = rows,
            // Whatever kept this from being read may have kept the nodes from writing.
            Ok(Found::Progress(_)) if was_failing => self.begin_progress(now),
            Ok(Found::Progress(rows)) => {
                self.last_progress.clone_from(&rows);
                self.progress = Some(rows);
            }
            Err(_) => {}
        }
    }
}

impl Watchdog {
    pub(super) fn handle_errand(&mut self, now: Mono, errand: Errand, result: Result<Found, String>) {
        let is_answered = result.is_ok();
        self.errands.take(now, errand, result, &self.policy);
        if errand == Errand::Counts {
            // What was counted may show what stood before the last transaction. A count that failed is tried again after its pause.
            if is_answered && self.errands.counts.began_at < self.counts_from {
                self.errands.count_anew(self.counts_from.max(now));
            }
            self.lead(now);
        }
    }

    pub(super) fn handle_told(&mut self, now: Mono, key: &str, result: &Result<(), String>) {
        self.incidents.handle_answer(key, result.is_ok());
        self.handle_chore(now, Chore::Telling, result);
    }

    pub(super) fn handle_chore(&mut self, now: Mono, chore: Chore, result: &Result<(), String>) {
        self.errands.upkeep.note(now, chore, result.as_ref().map(|&()| ()).map_err(String::as_str));
    }

    /// Kind and subject of the incidents that are open, as last read.
    pub fn open_incidents(&self) -> impl Iterator<Item = &str> {
        self.errands.incidents.iter().map(|row| row.key.as_str())
    }

    /// Since when everything that `/status` vouches for is known: the leases are watched, it is counted who runs what,
    /// and what is wrong can be entered. `None`: it never was.
    pub fn verdict_at(&self) -> Option<Mono> {
        let (judged_at, counted_at) = (self.judged_at?, self.errands.counted_at?);
        let upkeep = &self.errands.upkeep;
        let silent = [Chore::Telling, Chore::Incidents].into_iter().filter_map(|chore| upkeep.failing_since(chore));
        silent.chain([judged_at, counted_at]).min()
    }
}
