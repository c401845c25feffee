//! What a watchdog makes of a round: who votes, which leases are fresh, what each node is, what is wrong.
//!
//! Decides no move: that is the leader's, in `leading`.

use std::collections::{BTreeMap, BTreeSet};

use super::Watchdog;
use crate::alarms::{self, Surroundings, alarms};
use crate::assess::{Behind, Evidence};
use crate::facts::{Mode, NodeRow, NodeStatus, ProgressRow, Round, ShardGroup, Target};
use crate::failover::{field, misfits, overloaded};
use crate::health::Health;
use crate::ids::NodeId;
use crate::io::{Alarm, Output, Severity};
use crate::quorum::{Ballot, is_refused_by_most};
use crate::status::Lease;
use crate::time::Mono;
use crate::upkeep::Chore;

/// The incident that says that nothing is watched.
const DATABASE: &str = "database";

impl Watchdog {
    pub(super) fn handle_round(&mut self, now: Mono, round: Box<Round>) {
        self.reading = false;
        self.slowness.note(round.ended_at.since(round.began_at));
        self.roster.handle_round(&round);
        self.outputs.extend(self.tail.handle_round(now, &round).map(Output::LostTail));
        self.leadership.see(round.began_at, round.ended_at, &round.leader);
        self.database.is_current = true;
        self.note_success(now);
        if self.judged_at.is_some_and(|at| now.since(at) >= self.policy.voter_watch) {
            self.start_anew(now);
        }
        if self.judged_at.is_none_or(|at| now.since(at) >= self.policy.verdict_limit()) {
            self.has_watched = false;
        }
        self.update_targets(now, &round);
        self.errands.beginnings.handle_round(now, &round);
        self.foreign.handle_round(now, &round);
        self.clocks.handle_round(now, &round);
        self.watch_leader(now, &round);
        self.judge(now, &round);
        self.count_unwatched(now, &round);
        self.is_warm |= self.has_probed_all(&round);
        if self.is_warm {
            self.raise_and_resolve(now, &round);
        }
        self.judged_at = Some(now);
        self.round = Some(round);
        self.lead(now);
    }

    fn count_unwatched(&mut self, now: Mono, round: &Round) {
        if self.errands.counted_at.is_none() {
            return;
        }
        let mut known = std::mem::take(&mut self.unwatched);
        let is_unwatched = |group: &&ShardGroup| !crate::view::is_watched(self, round, group);
        known.note(now, self.errands.counts.shards.iter().filter(is_unwatched));
        self.unwatched = known;
        let unwatched = crate::view::count_monitors(self, round).unwatched;
        let is_known = |row: &NodeRow| row.incarnation.is_none() || self.lease_of(row) != Lease::Unknown;
        self.has_watched |= unwatched == 0 || round.nodes.iter().all(is_known);
    }

    fn judge(&mut self, now: Mono, round: &Round) {
        let voters = self.voters();
        let is_suspended = voters.is_suspended();
        let progress = self.errands.progress.take();
        for row in round.nodes.iter().filter(|row| self.roster.has_lost_lock(row)) {
            if let Some(health) = self.healths.get_mut(&Target::Node(row.node.clone())) {
                health.hurry(now);
            }
        }
        let evidence: Vec<_> = round
            .nodes
            .iter()
            .map(|row| {
                let target = Target::Node(row.node.clone());
                let mine = self.healths.get(&target).map(Health::word).unwrap_or_default();
                let ballots = self.roster.ballots(&voters, &self.identity.watchdog, &target, mine);
                let ballots = (!is_suspended).then_some(ballots);
                Evidence {
                    row,
                    lease: self.lease_with(row, ballots.as_deref(), voters.is_majority()),
                    is_fenced: self.roster.is_fenced(row, &self.policy),
                    ballots,
                    is_renewing: self.roster.is_renewing(&row.node, &self.policy),
                    progress: progress.as_deref().map(|rows| progress_of(row, rows)),
                }
            })
            .collect();
        self.assessor.handle(now, &evidence, &self.policy);
    }

    fn lease_of(&self, row: &NodeRow) -> Lease {
        self.roster.lease(row, &self.policy)
    }

    /// A process that was killed need not be watched for a whole lease, where everything says that it was.
    fn lease_with(&self, row: &NodeRow, ballots: Option<&[Ballot]>, is_majority: bool) -> Lease {
        let lease = self.lease_of(row);
        let is_killed = !lease.is_over()
            && is_majority
            && self.roster.is_without_lock(row, &self.policy)
            && ballots.is_some_and(is_refused_by_most);
        if is_killed { Lease::Killed } else { lease }
    }

    fn has_probed_all(&self, round: &Round) -> bool {
        round.nodes.iter().all(|row| {
            let health = self.healths.get(&Target::Node(row.node.clone()));
            health.is_some_and(|health| health.outcomes() >= self.policy.warmup_rounds)
        })
    }

    fn update_targets(&mut self, now: Mono, round: &Round) {
        let nodes = round.nodes.iter().map(|row| Target::Node(row.node.clone()));
        let peers = round
            .watchdogs
            .iter()
            .filter(|row| row.watchdog != self.identity.watchdog && !row.stopped)
            .map(|row| Target::Watchdog(row.watchdog.clone()));
        let wanted: BTreeSet<_> = nodes.chain(peers).collect();
        self.healths.retain(|target, _| matches!(target, Target::Canary(_)) || wanted.contains(target));
        for target in wanted {
            self.healths.entry(target).or_insert_with(|| Health::new(now));
        }
    }

    fn watch_leader(&mut self, now: Mono, round: &Round) {
        let seen = (round.leader.holder, round.leader.renewals);
        if seen != (self.leader_seen.0, self.leader_seen.1) {
            self.leader_seen = (seen.0, seen.1, now);
        }
    }

    fn raise_and_resolve(&mut self, now: Mono, round: &Round) {
        let voters = self.voters();
        let silent = self.silent_watchdogs();
        let foreign = self.foreign.nodes(now, round);
        let clocks = self.clocks.nodes(now, round);
        let overwritten = self.foreign.overwritten(now);
        let situation = self.situation(now, round, &overwritten);
        let overloaded = overloaded(&situation, self.leader.overloaded());
        // While only observing, somebody else runs them.
        let is_active = round.cluster.mode == Mode::Active;
        let misfits = if is_active { misfits(&situation, &field(&situation)) } else { BTreeMap::new() };
        let around = Surroundings {
            voters: &voters,
            silent: &silent,
            is_leaderless: self.is_leaderless(now),
            overloaded: &overloaded,
            misfits: &misfits,
            foreign: &foreign,
            clocks: &clocks,
            me: &self.identity.watchdog,
        };
        let mut found = alarms(&situation, &around);
        found.extend(self.errands.upkeep.alarms(now));
        found.extend(self.still_blind(now));
        let open: Vec<_> = self
            .errands
            .incidents
            .iter()
            .filter(|row| self.may_judge(&row.key) && !is_absorbed(&row.key, &found))
            .cloned()
            .collect();
        let outputs = self.incidents.handle_round(now, found, &open);
        if outputs.is_empty() && !self.incidents.is_awaiting() {
            // What could not be entered is no wish any more: it passed, or somebody else entered it.
            self.handle_chore(now, Chore::Telling, &Ok(()));
        }
        self.outputs.extend(outputs);
    }

    /// People were told that nothing is watched, and as far as this watchdog knows that is still so.
    fn still_blind(&self, now: Mono) -> Option<Alarm> {
        let verdict_at = self.verdict_at()?;
        let is_open = self.errands.incidents.iter().any(|row| row.key == DATABASE);
        let is_blind = is_open && now.since(verdict_at) >= self.policy.verdict_limit();
        let text = format!("nothing has been judged for {} s", now.since(verdict_at).as_secs());
        is_blind.then(|| Alarm { key: DATABASE.to_owned(), severity: Severity::Critical, summary: text, votes: (0, 0) })
    }

    /// Whether an incident is of a kind that is judged here, and whether it can be judged now. Only the leader knows
    /// whether there was room for everything. What a node is that cannot be said was well or ill as it was.
    fn may_judge(&self, key: &str) -> bool {
        let (kind, subject) = key.split_once('/').unwrap_or((key, ""));
        let mut nodes = self.assessor.all();
        let can_say = match kind {
            "capacity" => self.leader.is_leading() && self.is_counted(),
            "node" | "progress" => self.assessor.of(&NodeId::from(subject)).is_none_or(|node| node.is_decided),
            "nodes" => nodes.all(|(_, node)| node.is_decided || node.status == NodeStatus::New),
            _ => true,
        };
        // How far ids are used up, and what the database forgot, is no business of a round.
        key != crate::capacity::KEY && key != crate::tail::KEY && alarms::is_of_rounds(key) && can_say
    }

    /// After a time without rounds (an outage of the database, or of this process) nothing seen before it counts.
    pub(super) fn start_anew(&mut self, now: Mono) {
        for health in self.healths.values_mut() {
            health.reset(now);
        }
        self.assessor.reset_reach();
        self.errands.begin_progress(now);
        self.incidents.reset();
        self.is_warm = false;
    }
}

/// While no node runs anything, one incident stands for all of theirs: they are not raised again, nor are they over.
fn is_absorbed(key: &str, found: &[Alarm]) -> bool {
    let is_of_a_node = ["node/", "progress/", "disagreement/"].iter().any(|kind| key.starts_with(kind));
    is_of_a_node && found.iter().any(|alarm| alarm.key == "nodes")
}

/// A node without a row has nothing to probe.
fn progress_of(row: &NodeRow, rows: &[ProgressRow]) -> Behind {
    let found = rows.iter().find(|one| one.node == row.node);
    found.map_or_else(Behind::default, |&ProgressRow { probing, overdue, beating, .. }| Behind {
        probing,
        overdue,
        beating,
    })
}
