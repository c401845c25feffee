//! Who plays in the scripted world: nodes that hold leases, and watchdogs that vote.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::facts::{NodeRow, Observation, ObservationRow, Target, Vote, WatchdogRow};
use komainu_watchdogs::ids::{Incarnation, NodeId, Stamp, WatchdogId};
use komainu_watchdogs::time::Mono;

use super::database::{Database, wall};

/// A process that runs monitors, as far as a watchdog can tell.
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(crate) struct Node {
    pub(crate) incarnation: Incarnation,
    pub(crate) renews: bool,
    pub(crate) answers: bool,
    /// While it does not answer, its host says that nobody listens there.
    pub(crate) refuses: bool,
    pub(crate) acknowledges: bool,
    /// While it answers, it says that the database does not answer it.
    pub(crate) is_blind: bool,
    /// How long it takes to answer a probe.
    pub(crate) answer_takes_ms: u64,
    /// It takes its row again when that has been vacant for one lease.
    pub(crate) registers: bool,
    pub(super) vacant: Option<(Mono, u64)>,
}

/// A played watchdog.
pub(crate) struct Peer {
    pub(crate) incarnation: Incarnation,
    pub(crate) zone: &'static str,
    pub(crate) lives: bool,
    pub(crate) isolated: bool,
    pub(crate) leads: bool,
    /// What it says of a node, whatever it is; otherwise it says the truth.
    pub(crate) says: BTreeMap<NodeId, Vote>,
    /// Packets to these are lost on its way: it hears no refusal of theirs.
    pub(crate) silent: BTreeSet<NodeId>,
    pub(super) seq: u64,
}

impl Node {
    pub(super) fn renew(&mut self, now: Mono, row: &mut NodeRow, stamp: Stamp) {
        if row.incarnation == Some(self.incarnation) {
            row.lease_seq += 1;
            row.last_seen = Some(wall(now));
            if self.acknowledges {
                row.applied = Some(stamp);
            }
            return;
        }
        let vacant = row.incarnation.is_none().then_some((now, row.lease_seq));
        let watched = self.vacant.filter(|(_, lease_seq)| *lease_seq == row.lease_seq);
        self.vacant = vacant.and(watched.or(vacant));
        let has_waited = self.vacant.is_some_and(|(since, _)| now.since(since) >= Duration::from_secs(11));
        if self.registers && (has_waited || (row.incarnation.is_none() && row.is_released)) {
            self.register(row);
        }
    }

    pub(crate) fn register(&mut self, row: &mut NodeRow) {
        row.incarnation = Some(self.incarnation);
        row.lease_seq += 1;
        row.is_released = false;
        row.applied = None;
        self.vacant = None;
    }
}

impl Peer {
    pub(super) fn write(
        &mut self,
        now: Mono,
        watchdog: &WatchdogId,
        nodes: &BTreeMap<NodeId, Node>,
        database: &mut Database,
    ) {
        self.seq += 1;
        database.watchdogs.insert(
            watchdog.clone(),
            WatchdogRow {
                watchdog: watchdog.clone(),
                incarnation: self.incarnation,
                seq: self.seq,
                zone: self.zone.into(),
                advertise: String::new(),
                isolated: self.isolated,
                stopped: false,
                last_seen: wall(now),
            },
        );
        for (node, process) in nodes {
            let truth = if process.answers { Vote::Up } else { Vote::Down };
            let vote = self.says.get(node).copied().unwrap_or(truth);
            let target = Target::Node(node.clone());
            let failures = u32::from(vote == Vote::Down) * 3;
            let is_refused = vote == Vote::Down && process.refuses && !self.silent.contains(node);
            let is_blind = vote == Vote::Up && process.is_blind;
            let detail = String::new();
            let observation = Observation { target: target.clone(), vote, failures, detail, is_refused, is_blind };
            let row = ObservationRow {
                watchdog: watchdog.clone(),
                incarnation: self.incarnation,
                seq: self.seq,
                observation,
            };
            database.observations.insert((watchdog.clone(), target), row);
        }
    }
}
