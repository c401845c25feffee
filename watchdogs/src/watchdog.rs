//! One watchdog: paces its reads, writes and probes, forms verdicts each round, and leads if it may.
//!
//! Composes the machines of this crate and owns only their order. A round goes: write what I saw, read what all saw,
//! judge, raise or resolve incidents, and (as leader) write statuses, take leases away, move monitors. Nothing moves
//! before [`Policy::warmup_rounds`] probes of every node, nor on rows read before the last database error. Only the
//! round's own read and write are *the database*: everything else is an errand beside it, with a health of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::assess::Assessor;
use crate::check::Members;
use crate::clocks::Clocks;
use crate::doubt::Footing;
use crate::facts::{Report, Round, Target, Vote, WatchdogRow};
use crate::failover::Situation;
use crate::foreign::Foreign;
use crate::health::Health;
use crate::ids::{Incarnation, NodeId, WatchdogId, Zone};
use crate::incident::Incidents;
use crate::io::{Input, Output, ProbeOutcome, Write};
use crate::leader::Leader;
use crate::leadership::{Leadership, Turn};
use crate::others::Others;
use crate::policy::Policy;
use crate::roster::{Roster, Voters};
use crate::slowness::Slowness;
use crate::tail::{Remembrance, Tail};
use crate::time::Mono;
use crate::view::DatabaseView;

pub(crate) mod errands;
mod judging;
mod leading;

use errands::Errands;

/// Who this watchdog is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its configured id.
    pub watchdog: WatchdogId,
    /// Drawn anew by each process: the same watchdog, started again, has another.
    pub incarnation: Incarnation,
    /// Where it stands.
    pub zone: Zone,
    /// Addresses of the outside world; none: it is never isolated.
    pub canaries: Vec<String>,
}

/// The decision core of one watchdog process.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub struct Watchdog {
    pub(crate) identity: Identity,
    pub(crate) policy: Policy,
    pub(crate) healths: BTreeMap<Target, Health>,
    pub(crate) roster: Roster,
    pub(crate) others: Others,
    pub(crate) assessor: Assessor,
    pub(crate) round: Option<Box<Round>>,
    pub(crate) database: Database,
    pub(crate) foreign: Foreign,
    clocks: Clocks,
    pub(crate) slowness: Slowness,
    pub(crate) leader: Leader,
    pub(crate) judged_at: Option<Mono>,
    pub(crate) unwatched: crate::unwatched::Unwatched,
    leadership: Leadership,
    tail: Tail,
    pub(crate) errands: Errands,
    /// Every lease was watched until it could be said whether it lives.
    pub(crate) has_watched: bool,
    incidents: Incidents,
    /// The write under way: when it was ordered.
    writing: Option<Mono>,
    reading: bool,
    seq: u64,
    round_at: Mono,
    is_warm: bool,
    leader_seen: (Option<Incarnation>, u64, Mono),
    /// Rows read before this point do not show what was decided last.
    fresh_after: Mono,
    /// What was counted before this point is overtaken, by a decision or by an outage.
    counts_from: Mono,
    stopping: bool,
    outputs: VecDeque<Output>,
}

/// The database, as this watchdog fares with it.
#[derive(Debug)]
pub(crate) struct Database {
    /// The last write that was answered.
    pub(crate) written_at: Option<Mono>,
    /// Reads or writes have failed since this point.
    pub(crate) failing_since: Option<Mono>,
    /// The rows at hand were read after the last failure.
    pub(crate) is_current: bool,
}

impl Watchdog {
    /// A process that has just started. `jitter_seed` spreads what several watchdogs would do at once.
    pub fn new(identity: Identity, policy: Policy, now: Mono, jitter_seed: u64) -> Self {
        Self::after(&Remembrance::default(), (identity, policy), now, jitter_seed)
    }

    /// The same, with what an earlier process of this watchdog had been answered.
    pub fn after(earlier: &Remembrance, (identity, policy): (Identity, Policy), now: Mono, jitter_seed: u64) -> Self {
        let canaries = identity.canaries.iter().map(|canary| (Target::Canary(canary.clone()), Health::new(now)));
        let mut watchdog = Self {
            healths: canaries.collect(),
            leadership: Leadership::new(now, jitter_seed),
            leader: Leader::new(identity.incarnation),
            identity,
            policy,
            roster: Roster::default(),
            others: Others::default(),
            assessor: Assessor::default(),
            round: None,
            database: Database { written_at: None, failing_since: None, is_current: false },
            foreign: Foreign::default(),
            clocks: Clocks::default(),
            slowness: Slowness::default(),
            judged_at: None,
            unwatched: crate::unwatched::Unwatched::default(),
            tail: Tail::after(earlier),
            errands: Errands::new(now),
            has_watched: false,
            incidents: Incidents::default(),
            writing: None,
            reading: false,
            seq: 0,
            round_at: now,
            is_warm: false,
            leader_seen: (None, 0, now),
            fresh_after: now,
            counts_from: now,
            stopping: false,
            outputs: VecDeque::new(),
        };
        watchdog.tick(now);
        watchdog
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Mono, input: Input) {
        match input {
            Input::Round(round) => self.handle_round(now, round),
            Input::RoundFailed(_) => {
                self.reading = false;
                self.handle_database_error(now);
            }
            Input::Written(result) => self.handle_written(now, &result),
            Input::Probed(target, outcome) => self.handle_probed(now, &target, &outcome),
            Input::Reported(report) => {
                self.others.hear(now, &report);
                self.roster.handle_report(&report);
            }
            Input::Leadership { began_at, answer } => self.handle_leadership(now, began_at, answer),
            Input::Shard(shard) => self.handle_shard(now, shard),
            Input::Committed { began_at, commit } => self.handle_committed(now, began_at, &commit),
            Input::Errand(errand, result) => self.handle_errand(now, errand, result),
            Input::Told(key, result) => self.handle_told(now, &key, &result),
            Input::TailEntered(answered, result) => self.tail.handle_entered(now, answered, result.is_ok()),
            Input::Chore(chore, result) => self.handle_chore(now, chore, &result),
            Input::Stop => self.handle_stop(now),
            Input::Tick => {}
        }
        self.tick(now);
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle`] with [`Input::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Mono {
        if self.stopping {
            return Mono::micros(u64::MAX);
        }
        let probes = self.healths.values().filter_map(Health::due_at);
        let rounds = (!self.reading || self.writing.is_none()).then_some(self.round_at);
        let errands = self.errands.due_at();
        probes.chain(rounds).chain(errands).chain([self.leadership.due_at(&self.policy)]).min().unwrap_or(self.round_at)
    }

    /// What this watchdog says: to the database, and to the peers that ask it.
    pub fn report(&self) -> Report {
        Report {
            watchdog: self.identity.watchdog.clone(),
            incarnation: self.identity.incarnation,
            seq: self.seq,
            zone: self.identity.zone.clone(),
            isolated: self.is_isolated(),
            database_ok: self.database.failing_since.is_none() && self.database.written_at.is_some(),
            observations: self.healths.iter().map(|(target, health)| health.observation(target.clone())).collect(),
            database_report: None,
            seen: None,
        }
    }

    /// What the next process of this watchdog has to know of what was answered.
    pub fn remembrance(&self) -> Remembrance {
        self.tail.remembrance()
    }

    /// When the last write that was committed was ordered.
    pub fn written_at(&self) -> Option<Mono> {
        self.database.written_at
    }

    /// It reaches neither its canaries nor most of everything else.
    pub(crate) fn is_isolated(&self) -> bool {
        let (canaries, others): (Vec<_>, Vec<_>) =
            self.healths.iter().partition(|(target, _)| matches!(target, Target::Canary(_)));
        let is_down = |(_, health): &&(&Target, &Health)| health.vote() == Vote::Down || health.is_unable(&self.policy);
        let lost = others.iter().filter(is_down).count();
        !canaries.is_empty() && canaries.iter().all(|canary| is_down(&canary)) && 2 * lost >= others.len()
    }

    /// Who may vote on checks, as far as the tables say.
    pub fn members(&self) -> Members {
        let voters = self.voters();
        let may_vote = |id: &WatchdogId| voters.voting.iter().any(|row| &row.watchdog == id);
        let living = self.roster.living(&self.identity.watchdog, &self.policy);
        Members {
            is_isolated: self.is_isolated(),
            living: living.map(|row| (row.watchdog.clone(), row.zone.clone(), may_vote(&row.watchdog))).collect(),
            registered: voters.registered,
        }
    }

    pub(crate) fn voters(&self) -> Voters {
        self.roster.voters(&self.identity.watchdog, self.is_isolated(), &self.policy)
    }

    /// Registered watchdogs whose row stands still.
    pub(crate) fn silent_watchdogs(&self) -> Vec<WatchdogRow> {
        let is_silent = |row: &&WatchdogRow| {
            row.watchdog != self.identity.watchdog && !row.stopped && !self.roster.is_moving(row, &self.policy)
        };
        self.roster.watchdogs().iter().filter(is_silent).cloned().collect()
    }

    /// Everything a decision is made of; `None` while the rows at hand are not to be trusted.
    pub(crate) fn situation<'a>(
        &'a self,
        now: Mono,
        round: &'a Round,
        overwritten: &'a BTreeSet<NodeId>,
    ) -> Situation<'a> {
        Situation {
            now,
            round,
            counts: &self.errands.counts,
            is_counted: self.is_counted(),
            assessor: &self.assessor,
            is_sole_witness: self.voters().is_sole_witness(),
            footing: self.footing(now),
            overwritten,
            policy: &self.policy,
        }
    }

    /// What this watchdog stands on when it judges others.
    fn footing(&self, now: Mono) -> Footing {
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let voters = self.voters();
        let mut canaries = self.healths.iter().filter(|(target, _)| matches!(target, Target::Canary(_))).peekable();
        Footing {
            registered: small(voters.registered),
            cut_off: small(voters.living.saturating_sub(voters.voting.len())),
            reaches_world: canaries.peek().is_none() || canaries.any(|(_, health)| health.vote() == Vote::Up),
            is_database_well: self.database_view(now) == DatabaseView::Up && self.slowness.trip().is_none(),
        }
    }

    /// Who runs what was counted after the last decision, and after the last failure of the database.
    pub(crate) fn is_counted(&self) -> bool {
        self.errands.counted_at.is_some() && self.errands.counts.began_at >= self.counts_from
    }

    /// Nobody has led for longer than the grace, as far as this watchdog saw.
    pub(crate) fn is_leaderless(&self, now: Mono) -> bool {
        now.since(self.leader_seen.2) > self.policy.leaderless_grace
    }

    fn handle_written(&mut self, now: Mono, result: &Result<(), String>) {
        match (result, self.writing.take()) {
            (Ok(()), Some(ordered_at)) => {
                // An answer that waited while this process was stopped says nothing about the time since.
                self.database.written_at = Some(ordered_at);
                self.tail.handle_written(ordered_at);
                self.note_success(now);
            }
            (Ok(()), None) => {}
            (Err(_), _) => self.handle_database_error(now),
        }
    }

    fn note_success(&mut self, now: Mono) {
        let Some(since) = self.database.failing_since.take() else {
            return;
        };
        // What was probed while the database was gone may have failed for the same reason.
        if now.since(since) >= 3 * self.policy.round_interval {
            self.start_anew(now);
        }
    }

    fn handle_database_error(&mut self, now: Mono) {
        self.database.failing_since.get_or_insert(now);
        self.database.is_current = false;
        self.counts_from = now;
        self.errands.upkeep.reset();
        self.roster.reset();
        self.leadership.reset_watch();
        self.leader_seen.2 = now;
    }

    fn handle_probed(&mut self, now: Mono, target: &Target, outcome: &ProbeOutcome) {
        if let Some(health) = self.healths.get_mut(target) {
            health.handle(now, outcome, &self.policy);
        }
    }

    fn handle_stop(&mut self, now: Mono) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        if let Some(epoch) = self.leadership.epoch(now, &self.policy) {
            let turn = Turn::SteppedDown(epoch, "this watchdog stops".to_owned());
            self.take_turn(now, Some(turn));
        }
        let release = self.leadership.retire();
        self.outputs.push_back(Output::Leadership(release));
        self.write(now, true);
    }

    fn write(&mut self, now: Mono, stopped: bool) {
        self.seq += 1;
        self.outputs.push_back(Output::Write(Box::new(Write {
            report: self.report(),
            claim: self.tail.claim(),
            stopped,
        })));
        self.writing = Some(now);
    }

    fn tick(&mut self, now: Mono) {
        if self.stopping {
            return;
        }
        let turn = self.leadership.expire(now, &self.policy);
        self.take_turn(now, turn);
        if let Some(act) = self.leadership.poll(now, &self.policy) {
            self.outputs.push_back(Output::Leadership(act));
        }
        if now >= self.round_at {
            self.begin_round(now);
        }
        self.outputs.extend(self.errands.poll(now));
        for (target, health) in &mut self.healths {
            if health.try_begin(now) {
                self.outputs.push_back(Output::Probe(target.clone()));
            }
        }
    }

    fn begin_round(&mut self, now: Mono) {
        self.round_at = now + self.policy.round_interval;
        if self.writing.is_none() {
            self.write(now, false);
        }
        if !self.reading {
            self.reading = true;
            self.outputs.push_back(Output::ReadRound);
        }
    }
}
