//! What one watchdog makes of each node, round by round: its status, and since when.
//!
//! Joins lease ([`crate::roster`]), reach ([`crate::quorum`]) and progress into a status ([`crate::status`]) and keeps
//! the points in time that graces and cool-offs count from, all on this watchdog's own clock. Every watchdog computes
//! the same from the same rows; only the leader writes it down.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decision::StatusReason;
use crate::facts::{NodeRow, NodeStatus, Vote};
use crate::ids::NodeId;
use crate::policy::Policy;
use crate::quorum::{Ballot, Reach, Tally, count, is_blind_by_most};
use crate::refill::Refill;
use crate::status::{Lease, Progress, decide_status};
use crate::time::Mono;

/// One reading may fall into the moment in which everything is stored that waited.
const STALE_READINGS: u32 = 2;

/// Fewer monitors than these may all wait for targets that hang.
const ENOUGH: u32 = 5;

/// All nodes, as one watchdog sees them.
#[derive(Debug, Default)]
pub struct Assessor {
    nodes: BTreeMap<NodeId, Assessment>,
    refill: Refill,
}

/// One node, as one watchdog sees it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub struct Assessment {
    /// Whether its lease holds.
    pub lease: Lease,
    /// What the majority makes of its reach.
    pub reach: Reach,
    /// One zone contradicts another, or the votes stay split.
    pub is_disputed: bool,
    /// It told a majority that the database does not answer it.
    pub is_blind: bool,
    /// Watchdogs that cannot reach it, of how many that may vote.
    pub votes_down: (u32, u32),
    /// How far behind it is.
    pub progress: Progress,
    /// Monitors of it that are overdue.
    pub overdue: u32,
    /// Whether any of its monitors beats in time.
    pub beats: Beats,
    /// The status that follows.
    pub status: NodeStatus,
    /// Why it has this status.
    pub reason: StatusReason,
    /// This round's evidence says so; otherwise the status is what it was.
    pub is_decided: bool,
    /// Since when its lease is over.
    pub ended_since: Option<Mono>,
    /// Since when the majority reaches it.
    pub reached_since: Option<Mono>,
    /// Since when its monitors make no progress.
    pub stale_since: Option<Mono>,
    /// Since when the majority does not reach it.
    pub unreachable_since: Option<Mono>,
    /// How often it renewed its lease while it was unreachable.
    pub renewals_unreached: u64,
    /// Since when its status is online.
    pub online_since: Option<Mono>,
    /// When its status was last online.
    pub last_online: Option<Mono>,
    /// Its counter stood still for so long that it has fenced itself.
    pub is_fenced: bool,
    /// Its counter moved within the last renewals.
    pub is_renewing: bool,
    /// It did not hold its lease when the first node was back after none ran anything, and has not since.
    pub was_lost_with_all: bool,
    fresh_since: Option<Mono>,
    /// Readings in a row that showed no progress.
    stale_readings: u32,
    tally: Tally,
    /// The lease's counter when it was found unreachable.
    unreachable_seq: Option<u64>,
}

/// Whether anything of a node beats in time. No more than a word in `/status`: what follows from a lack of progress rests
/// on what is overdue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Beats {
    /// Some do, or there are so few that all may hang at their targets.
    #[default]
    Some,
    /// None does.
    None,
}

/// How far behind a node's monitors are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Behind {
    /// Active ones that probe.
    pub probing: u32,
    /// Those of them that are overdue.
    pub overdue: u32,
    /// Those of them that beat in time.
    pub beating: u32,
}

/// What a round says of one node.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Its row in the database.
    pub row: &'a NodeRow,
    /// Its lease, as watched.
    pub lease: Lease,
    /// Its counter stood still for so long that it has fenced itself.
    pub is_fenced: bool,
    /// Its counter moved within the last renewals: only then is a lack of progress its own, and not its end.
    pub is_renewing: bool,
    /// The voters' words; `None`: too few may vote.
    pub ballots: Option<Vec<Ballot>>,
    /// How far behind its monitors are; `None`: not read this round.
    pub progress: Option<Behind>,
}

impl Assessment {
    fn new(row: &NodeRow) -> Self {
        Self {
            lease: Lease::Unknown,
            reach: Reach::Unknown,
            is_disputed: false,
            is_blind: false,
            votes_down: (0, 0),
            progress: Progress::Ok,
            overdue: 0,
            beats: Beats::default(),
            status: row.status,
            reason: StatusReason::AllWell,
            is_decided: false,
            ended_since: None,
            reached_since: None,
            stale_since: None,
            unreachable_since: None,
            renewals_unreached: 0,
            online_since: None,
            last_online: None,
            is_fenced: false,
            is_renewing: false,
            was_lost_with_all: false,
            fresh_since: None,
            stale_readings: 0,
            tally: Tally::default(),
            unreachable_seq: None,
        }
    }

    fn handle(&mut self, now: Mono, evidence: &Evidence<'_>, policy: &Policy) {
        self.lease = evidence.lease;
        self.was_lost_with_all &= self.lease != Lease::Fresh;
        self.fresh_since = (self.lease == Lease::Fresh).then(|| self.fresh_since.unwrap_or(now));
        (self.is_fenced, self.is_renewing) = (evidence.is_fenced, evidence.is_renewing);
        self.count(evidence.ballots.as_deref(), policy);
        if let Some(Behind { probing, overdue, beating }) = evidence.progress {
            self.overdue = overdue;
            self.beats = if beating > 0 || probing < ENOUGH { Beats::Some } else { Beats::None };
            let is_behind = 2 * overdue > probing && evidence.is_renewing;
            self.stale_readings = if is_behind { self.stale_readings.saturating_add(1) } else { 0 };
            let is_stale = self.stale_readings >= STALE_READINGS;
            self.progress = if is_stale { Progress::Stale } else { Progress::Ok };
        }
        let decided = decide_status(self.lease, self.reach, self.progress);
        self.is_decided = decided.is_some();
        match decided {
            Some(found) => {
                let has_just_come = self.fresh_since.is_some_and(|since| now.since(since) < policy.stall_grace);
                let was_killed = self.reason == StatusReason::ProcessGone;
                (self.status, self.reason) = Self::settle(found, evidence.row, has_just_come);
                // Once its lease was taken away only that can be seen; what it was is known.
                if was_killed && self.reason == StatusReason::LeaseEndedUnreachable {
                    self.reason = StatusReason::ProcessGone;
                }
            }
            None => self.keep(evidence.row.status),
        }
        self.note_times(now);
        self.note_renewals(evidence.row.lease_seq);
    }

    /// Unchanged means: as it is written. What this watchdog itself thought may be long overtaken by what a leader saw
    /// since. While only observing nobody writes, and the own view stands.
    fn keep(&mut self, written: NodeStatus) {
        let reason = match written {
            NodeStatus::New => return,
            NodeStatus::Online => StatusReason::AllWell,
            NodeStatus::Unreachable => StatusReason::Unreachable,
            NodeStatus::Stalled => StatusReason::LeaseEndedReachable,
            NodeStatus::Offline => StatusReason::LeaseEndedUnreachable,
        };
        if written != self.status {
            (self.status, self.reason) = (written, reason);
        }
    }

    /// A node that was never seen stays new until it is, and is not called unreachable at once for probes that failed
    /// before it was started; one emptied for lack of progress stays stalled.
    fn settle(
        (status, reason): (NodeStatus, StatusReason),
        row: &NodeRow,
        has_just_come: bool,
    ) -> (NodeStatus, StatusReason) {
        let was_never_seen = row.status == NodeStatus::New && row.incarnation.is_none() && row.lease_seq == 0;
        let is_vacant = row.incarnation.is_none() && row.emptied.is_some();
        match status {
            NodeStatus::Stalled | NodeStatus::Offline if was_never_seen => (NodeStatus::New, reason),
            NodeStatus::Unreachable if row.status == NodeStatus::New && has_just_come => (NodeStatus::New, reason),
            NodeStatus::Online if is_emptied(row) => (NodeStatus::Stalled, StatusReason::NoProgress),
            // Its lease ended because it was taken away.
            NodeStatus::Stalled if is_vacant => (status, StatusReason::NoProgress),
            NodeStatus::New
            | NodeStatus::Online
            | NodeStatus::Unreachable
            | NodeStatus::Stalled
            | NodeStatus::Offline => (status, reason),
        }
    }

    fn count(&mut self, ballots: Option<&[Ballot]>, policy: &Policy) {
        match ballots {
            Some(ballots) => {
                let down = ballots.iter().filter(|ballot| ballot.word.vote == Vote::Down).count();
                self.votes_down = (small(down), small(ballots.len()));
                self.tally.handle(count(ballots), policy);
            }
            None => self.tally.suspend(),
        }
        self.is_blind = ballots.is_some_and(is_blind_by_most);
        self.reach = self.tally.reach();
        self.is_disputed = self.tally.is_disagreement();
    }

    fn note_times(&mut self, now: Mono) {
        let since = |holds: bool, since: Option<Mono>| holds.then(|| since.unwrap_or(now));
        self.ended_since = since(self.lease.is_over(), self.ended_since);
        self.reached_since = since(self.reach == Reach::Up, self.reached_since);
        self.stale_since = since(self.progress == Progress::Stale, self.stale_since);
        self.unreachable_since = since(self.status == NodeStatus::Unreachable, self.unreachable_since);
        self.online_since = since(self.status == NodeStatus::Online, self.online_since);
        if self.status == NodeStatus::Online {
            self.last_online = Some(now);
        }
    }

    fn note_renewals(&mut self, lease_seq: u64) {
        let is_unreachable = self.status == NodeStatus::Unreachable;
        self.unreachable_seq = is_unreachable.then(|| self.unreachable_seq.unwrap_or(lease_seq));
        self.renewals_unreached = self.unreachable_seq.map_or(0, |seq| lease_seq.saturating_sub(seq));
    }

    /// Whether the node is certainly running its monitors.
    pub fn is_watching(&self) -> bool {
        self.lease == Lease::Fresh && self.progress == Progress::Ok
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Assessor {
    /// Takes in one round's evidence on all nodes.
    pub fn handle(&mut self, now: Mono, evidence: &[Evidence<'_>], policy: &Policy) {
        self.nodes.retain(|node, _| evidence.iter().any(|one| &one.row.node == node));
        for one in evidence {
            let assessment = self.nodes.entry(one.row.node.clone()).or_insert_with(|| Assessment::new(one.row));
            assessment.handle(now, one, policy);
        }
        if self.refill.handle(now, &self.nodes) {
            for node in self.nodes.values_mut() {
                node.was_lost_with_all = node.lease != Lease::Fresh;
            }
        }
    }

    /// What is to be known where no node ran anything a while ago.
    pub fn refill(&self) -> Refill {
        self.refill
    }

    /// Reach is not known any more: an outage of one's own says nothing about the nodes.
    pub fn reset_reach(&mut self) {
        for assessment in self.nodes.values_mut() {
            assessment.tally = Tally::default();
            assessment.reach = Reach::Unknown;
        }
    }

    /// What is made of one node; `None`: it is not entered.
    pub fn of(&self, node: &NodeId) -> Option<&Assessment> {
        self.nodes.get(node)
    }

    /// What is made of all nodes.
    pub fn all(&self) -> impl Iterator<Item = (&NodeId, &Assessment)> {
        self.nodes.iter()
    }

    /// Another node went stale at about the same time: the common cause is elsewhere.
    pub fn is_stale_together(&self, node: &NodeId, policy: &Policy) -> bool {
        let Some(since) = self.of(node).and_then(|assessment| assessment.stale_since) else {
            return false;
        };
        self.nodes.iter().any(|(other, assessment)| {
            other != node
                && assessment.stale_since.is_some_and(|other_since| {
                    other_since.since(since).max(since.since(other_since)) <= policy.stale_together
                })
        })
    }
}

/// Its holder was emptied for lack of progress, and no operator has asked for its recovery since.
pub fn is_emptied(row: &NodeRow) -> bool {
    row.incarnation.is_some() && row.emptied == row.incarnation && !row.recover_asked
}

/// How long a node must be online until its monitors come home, after so many losses.
pub fn cool_off(losses: u32, policy: &Policy) -> Duration {
    match losses.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            let factor = 1_u32.checked_shl(doublings.min(16)).unwrap_or(u32::MAX);
            policy.cool_off_first.saturating_mul(factor).min(policy.cool_off_most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::Word;

    fn row(status: NodeStatus) -> NodeRow {
        NodeRow { status, incarnation: Some(crate::ids::Incarnation(7)), lease_seq: 3, ..NodeRow::default() }
    }

    fn hear(
        assessor: &mut Assessor,
        second: u64,
        row: &NodeRow,
        lease: Lease,
        vote: Vote,
    ) -> (NodeStatus, StatusReason) {
        let ballots = Some(vec![Ballot { zone: "a".into(), word: Word { vote, ..Word::default() } }]);
        let evidence = [Evidence { row, lease, is_fenced: false, is_renewing: true, ballots, progress: None }];
        assessor.handle(Mono::secs(second), &evidence, &Policy::default());
        let node = assessor.of(&row.node).unwrap();
        (node.status, node.reason)
    }

    #[test]
    fn what_a_leader_wrote_since_counts_while_a_watchdog_cannot_say_itself() {
        let mut follower = Assessor::default();
        let seen = hear(&mut follower, 1, &row(NodeStatus::Online), Lease::Ended, Vote::Down);
        assert_eq!(seen, (NodeStatus::Offline, StatusReason::LeaseEndedUnreachable));
        // The node came back, the leader wrote so, and this watchdog has just lost its own watch of the lease.
        let seen = hear(&mut follower, 60, &row(NodeStatus::Online), Lease::Unknown, Vote::Up);
        assert_eq!(seen, (NodeStatus::Online, StatusReason::AllWell));
    }

    #[test]
    fn where_nobody_writes_statuses_a_watchdog_keeps_its_own_view() {
        let mut observer = Assessor::default();
        hear(&mut observer, 1, &row(NodeStatus::New), Lease::Fresh, Vote::Up);
        let seen = hear(&mut observer, 2, &row(NodeStatus::New), Lease::Unknown, Vote::Up);
        assert_eq!(seen, (NodeStatus::Online, StatusReason::AllWell));
    }

    #[test]
    fn the_cool_off_doubles_with_each_loss_up_to_an_hour() {
        let policy = Policy::default();
        assert_eq!(cool_off(0, &policy), Duration::ZERO);
        assert_eq!(cool_off(1, &policy), Duration::from_secs(30));
        assert_eq!(cool_off(3, &policy), Duration::from_secs(120));
        assert_eq!(cool_off(40, &policy), Duration::from_secs(3_600));
    }
}
