//! A database in memory: what the store's contract promises, in as few lines as it takes.
//!
//! Carries decisions out as [`Decision`] says: everything it assumed holds, or nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::decision::{Commit, Decision, Guard, Move, NodeSeen, Refusal, Revoke, StatusChange, Step};
use komainu_watchdogs::facts::{
    ClusterRow, Counts, IncidentRow, LeaderRow, Mode, MonitorRow, NodeRow, ObservationRow, Overlay, ProgressRow, Round,
    Shard, ShardGroup, Source, Target, WatchdogRow,
};
use komainu_watchdogs::ids::{Epoch, Generation, Incarnation, MonitorId, NodeId, Nonce, Stamp, WatchdogId};
use komainu_watchdogs::io::{Alarm, Errand, Found, LeadershipAct, LeadershipAnswer, Severity, Write};
use komainu_watchdogs::sampling::{Look, Part};
use komainu_watchdogs::tail::Counter;
use komainu_watchdogs::time::{Mono, Wall};

/// How long the monitors of these stories may take: two intervals of 60 s, and a timeout of 48 s.
const ALLOWED: Duration = Duration::from_secs(168);

/// All tables, and the advisory lock.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub(crate) is_down: bool,
    pub(crate) is_read_only: bool,
    pub(crate) cluster: ClusterRow,
    pub(crate) leader: LeaderRow,
    pub(crate) lock: Option<Incarnation>,
    pub(crate) watchdogs: BTreeMap<WatchdogId, WatchdogRow>,
    /// Of the watchdog that wrote last: the real one.
    pub(crate) own: Option<(WatchdogId, Counter)>,
    pub(crate) nodes: BTreeMap<NodeId, NodeRow>,
    pub(crate) observations: BTreeMap<(WatchdogId, Target), ObservationRow>,
    pub(crate) monitors: BTreeMap<MonitorId, MonitorRow>,
    /// The generation that wrote each assignment last; 0 where it is not named.
    pub(crate) written: BTreeMap<MonitorId, Generation>,
    /// All stamps of this database's past.
    pub(crate) history: BTreeMap<Generation, Nonce>,
    /// Monitors overdue, by node.
    pub(crate) overdue: BTreeMap<NodeId, u32>,
    /// Nodes of which nothing beats in time.
    pub(crate) silent: BTreeSet<NodeId>,
    /// Single monitors that are overdue, wherever they run.
    pub(crate) stopped: BTreeSet<MonitorId>,
    /// A broken rule: all readings look at the part that the first one looked at.
    pub(crate) reads_one_part: bool,
    first_looks: BTreeMap<NodeId, Look>,
    last_looks: BTreeMap<NodeId, Look>,
    pub(crate) incidents: BTreeMap<String, IncidentRow>,
}

impl Database {
    pub(crate) fn node(&mut self, node: &str) -> &mut NodeRow {
        self.nodes.get_mut(&NodeId::from(node)).unwrap()
    }

    pub(crate) fn read_round(&self, began_at: Mono, ended_at: Mono) -> Round {
        Round {
            began_at,
            ended_at,
            database_time: wall(began_at),
            cluster: self.cluster.clone(),
            leader: self.leader.clone(),
            watchdogs: self.watchdogs.values().cloned().collect(),
            own: self.own.as_ref().map(|(_, own)| *own),
            nodes: self.nodes.values().cloned().collect(),
            observations: self.observations.values().cloned().collect(),
        }
    }

    /// What an errand finds.
    pub(crate) fn find(&mut self, began_at: Mono, errand: Errand) -> Found {
        match errand {
            Errand::Counts => Found::Counts(Box::new(Counts { began_at, shards: self.shards(), leftover: 0 })),
            Errand::Progress => Found::Progress(self.progress(&BTreeMap::new())),
            Errand::Incidents => Found::Incidents(self.incidents.values().cloned().collect()),
        }
    }

    fn shards(&self) -> Vec<ShardGroup> {
        let mut groups: Vec<ShardGroup> = Vec::new();
        for monitor in self.monitors.values() {
            let alone = ShardGroup {
                only_kuma: monitor.only_kuma,
                home: monitor.home.clone(),
                effective: monitor.effective.clone(),
                source: monitor.source.clone(),
                pinned: monitor.pinned,
                asked: monitor.asked,
                kind: monitor.kind.clone(),
                run_on: monitor.run_on.clone(),
                active: u32::from(monitor.active),
                monitors: 1,
                first: monitor.active.then_some(monitor.monitor),
                nobodys: (monitor.active && monitor.effective.is_none())
                    .then_some(monitor.monitor)
                    .into_iter()
                    .collect(),
            };
            let is_alike = |group: &&mut ShardGroup| {
                let (first, nobodys) = (group.first, group.nobodys.clone());
                let (active, monitors) = (group.active, group.monitors);
                ShardGroup { active, monitors, first, nobodys, ..alone.clone() } == **group
            };
            match groups.iter_mut().find(is_alike) {
                Some(group) => {
                    (group.active, group.monitors) = (group.active + alone.active, group.monitors + 1);
                    group.first = group.first.or(alone.first);
                    group.nobodys.extend(alone.nobodys);
                }
                None => groups.push(alone),
            }
        }
        groups
    }

    /// One row per node that has something to probe, as a GROUP BY gives it. Nothing is overdue that could have been run
    /// for less than [`ALLOWED`].
    pub(crate) fn progress(&mut self, looks: &BTreeMap<NodeId, Look>) -> Vec<ProgressRow> {
        if self.first_looks.is_empty() && looks.values().any(|look| look.part.is_some()) {
            self.first_looks.clone_from(looks);
        }
        self.last_looks.clone_from(looks);
        let parts = if self.reads_one_part { &self.first_looks } else { looks };
        let part = |node: &NodeId| parts.get(node).and_then(|look| look.part);
        // Of each node those that were looked at, and those of them that stopped.
        let mut looked: BTreeMap<&NodeId, (u32, u32)> = BTreeMap::new();
        for monitor in self.monitors.values().filter(|monitor| monitor.active && monitor.kind != "push") {
            let Some(node) = &monitor.effective else { continue };
            if part(node).is_none_or(|part| part.contains(monitor.monitor)) {
                let counted = looked.entry(node).or_default();
                *counted = (counted.0 + 1, counted.1 + u32::from(self.stopped.contains(&monitor.monitor)));
            }
        }
        let row = |(node, (probing, stopped)): (&NodeId, (u32, u32))| {
            let times = part(node).map_or(1, |part| part.of);
            let is_young = looks.get(node).and_then(|look| look.within).is_some_and(|span| span <= ALLOWED);
            let overdue = self.overdue.get(node).copied().unwrap_or(0).max(stopped).min(probing);
            let overdue = if is_young { 0 } else { overdue * times };
            let probing = probing * times;
            let is_silent = !is_young && self.silent.contains(node);
            let beating = if is_silent { 0 } else { probing - overdue };
            ProgressRow { node: node.clone(), probing, overdue, beating }
        };
        looked.into_iter().map(row).collect()
    }

    /// What the first reading of a part of a node looked at.
    pub(crate) fn first_part(&self, node: &str) -> Option<Part> {
        self.first_looks.get(&NodeId::from(node)).and_then(|look| look.part)
    }

    /// What the last one looked at.
    pub(crate) fn last_part(&self, node: &str) -> Option<Part> {
        self.last_looks.get(&NodeId::from(node)).and_then(|look| look.part)
    }

    pub(crate) fn read_shard(&self) -> Shard {
        Shard { stamp: self.cluster.stamp, monitors: self.monitors.values().cloned().collect() }
    }

    pub(crate) fn write(&mut self, now: Mono, write: &Write) {
        let report = &write.report;
        let before = self.own.as_ref().filter(|(writer, _)| *writer == report.watchdog);
        let before = before.zip(self.watchdogs.get(&report.watchdog)).map(|((_, own), row)| (own, row.last_seen));
        self.own = Some((report.watchdog.clone(), Counter::after(before, &write.claim, report.incarnation)));
        self.watchdogs.insert(
            report.watchdog.clone(),
            WatchdogRow {
                watchdog: report.watchdog.clone(),
                incarnation: report.incarnation,
                seq: report.seq,
                zone: report.zone.clone(),
                advertise: String::new(),
                isolated: report.isolated,
                stopped: write.stopped,
                last_seen: wall(now),
            },
        );
        self.observations.retain(|(watchdog, _), _| *watchdog != report.watchdog);
        for observation in &report.observations {
            let row = ObservationRow {
                watchdog: report.watchdog.clone(),
                incarnation: report.incarnation,
                seq: report.seq,
                observation: observation.clone(),
            };
            self.observations.insert((row.watchdog.clone(), row.observation.target.clone()), row);
        }
    }

    pub(crate) fn lead(&mut self, me: (&WatchdogId, Incarnation), act: LeadershipAct) -> LeadershipAnswer {
        let (watchdog, incarnation) = me;
        match act {
            LeadershipAct::Attempt => {
                let locked = *self.lock.get_or_insert(incarnation) == incarnation;
                LeadershipAnswer::Attempted { locked, row: self.leader.clone() }
            }
            LeadershipAct::Claim { seen, with_lock } => {
                if self.leader.epoch != seen || (with_lock && self.lock != Some(incarnation)) {
                    return LeadershipAnswer::ClaimLost;
                }
                self.leader.epoch = Epoch(seen.0 + 1);
                self.leader.holder = Some(incarnation);
                self.leader.watchdog = Some(watchdog.clone());
                self.leader.renewals += 1;
                LeadershipAnswer::Claimed(self.leader.epoch)
            }
            LeadershipAct::Renew { epoch, with_lock } => {
                if with_lock && self.lock != Some(incarnation) {
                    LeadershipAnswer::Deposed("the lock is lost".to_owned())
                } else if self.raise_renewals(epoch, incarnation) {
                    LeadershipAnswer::Renewed
                } else {
                    LeadershipAnswer::Deposed("not one row".to_owned())
                }
            }
            LeadershipAct::Release => {
                self.lock = self.lock.filter(|&holder| holder != incarnation);
                LeadershipAnswer::Released
            }
        }
    }

    pub(crate) fn raise_renewals(&mut self, epoch: Epoch, holder: Incarnation) -> bool {
        let is_mine = self.leader.epoch == epoch && self.leader.holder == Some(holder);
        self.leader.renewals += u64::from(is_mine);
        is_mine
    }

    /// All of a decision, or nothing.
    pub(crate) fn commit(&mut self, now: Mono, decision: &Decision) -> Commit {
        let mut after = self.clone();
        match after.try_commit(now, decision) {
            Ok(moved) => {
                *self = after;
                Commit::Done { stamp: self.cluster.stamp, moved }
            }
            Err(refusal) => Commit::Refused(refusal),
        }
    }

    fn try_commit(&mut self, now: Mono, decision: &Decision) -> Result<u32, Refusal> {
        if !self.raise_renewals(decision.epoch, decision.holder) {
            return Err(Refusal::Deposed);
        }
        if self.history.get(&decision.seen.generation) != Some(&decision.seen.nonce) {
            return Err(Refusal::UnknownGeneration);
        }
        let is_frozen = self.cluster.frozen && !decision.is_allowed_while_frozen();
        let is_held = is_frozen || self.cluster.mode == Mode::Observe;
        if is_held && !(decision.moves.is_empty() && decision.revokes.is_empty()) {
            return Err(Refusal::Frozen);
        }
        if let Some(guard) = decision.guards.iter().find(|guard| !self.holds(guard)) {
            return Err(Refusal::GuardFailed(guard.clone()));
        }
        for revoke in &decision.revokes {
            self.revoke(revoke)?;
        }
        for change in &decision.statuses {
            self.change_status(now, change);
        }
        let changed: Vec<NodeId> = self.changed_since(&decision.nodes);
        let stands = |step: &&Move| !step.nodes().any(|node| changed.contains(node));
        let planned: Vec<_> = decision.moves.iter().filter(stands).collect();
        let moved = planned.into_iter().filter(|step| self.step(step, decision.seen.generation)).count();
        if moved > 0 || !decision.revokes.is_empty() {
            self.raise_generation();
        }
        Ok(small(moved))
    }

    pub(crate) fn raise_generation(&mut self) {
        let generation = self.cluster.stamp.generation.next();
        self.cluster.stamp = Stamp { generation, nonce: Nonce(generation.0 * 7_919) };
        self.history.insert(generation, self.cluster.stamp.nonce);
    }

    /// A hand touches this monitor, and nothing else.
    pub(crate) fn touch(&mut self, monitor: MonitorId) {
        self.raise_generation();
        self.written.insert(monitor, self.cluster.stamp.generation);
    }

    fn changed_since(&self, seen: &[NodeSeen]) -> Vec<NodeId> {
        let stands = |one: &&NodeSeen| self.nodes.get(&one.node).map(NodeSeen::from).as_ref() == Some(*one);
        seen.iter().filter(|one| !stands(one)).map(|one| one.node.clone()).collect()
    }

    fn holds(&self, guard: &Guard) -> bool {
        let row = |node: &NodeId| self.nodes.get(node).unwrap();
        match guard {
            Guard::Acknowledged { node, incarnation, generation } => {
                let row = row(node);
                let has_applied = row.applied.is_some_and(|applied| applied.generation >= *generation);
                row.incarnation == Some(*incarnation) && row.applied_is_known && has_applied
            }
            Guard::Superseded { node, incarnation } => row(node).incarnation.is_some_and(|one| one != *incarnation),
            Guard::Vacant { node, lease_seq } => row(node).incarnation.is_none() && row(node).lease_seq == *lease_seq,
        }
    }

    fn revoke(&mut self, revoke: &Revoke) -> Result<(), Refusal> {
        let row = self.nodes.get_mut(&revoke.node).unwrap();
        let stands = revoke.lease_seq.is_none_or(|seq| seq == row.lease_seq);
        if row.incarnation != Some(revoke.incarnation) || !stands {
            return Err(Refusal::NodeLives(revoke.node.clone()));
        }
        row.incarnation = None;
        row.is_released = false;
        if revoke.is_emptied {
            row.emptied = Some(revoke.incarnation);
        }
        Ok(())
    }

    fn change_status(&mut self, now: Mono, change: &StatusChange) {
        let is_emptied = change.overlay == Overlay::Drained && change.overlay_seen != Overlay::Drained;
        if is_emptied && self.owns(&change.node) {
            return;
        }
        let row = self.nodes.get_mut(&change.node).unwrap();
        if row.overlay != change.overlay_seen {
            return;
        }
        (row.status, row.has_foreign_status) = (change.status, false);
        row.overlay = change.overlay;
        if change.is_loss {
            row.losses = if change.forgets_losses { 1 } else { row.losses + 1 };
            row.lost_at = Some(wall(now));
        }
        if change.recovered {
            (row.recover_asked, row.emptied) = (false, None);
        }
    }

    fn owns(&self, node: &NodeId) -> bool {
        let is_source = |row: &MonitorRow| row.source.as_ref().is_some_and(|source| source.node == *node);
        self.monitors.values().any(|row| row.effective.as_ref() == Some(node) || is_source(row))
    }

    fn step(&mut self, step: &Move, read_at: Generation) -> bool {
        let seen = |node: &Option<NodeId>| node.as_ref().and_then(|node| self.nodes.get(node)?.incarnation);
        let holder = seen(&step.from);
        let released_at = self.cluster.stamp.generation.next();
        let monitor = self.monitors.get_mut(&step.monitor).unwrap();
        let seen = (&step.from, &step.home, step.pinned, step.asked);
        let written = self.written.get(&step.monitor).copied().unwrap_or_default();
        if (&monitor.effective, &monitor.home, monitor.pinned, monitor.asked) != seen || written > read_at {
            return false;
        }
        self.written.insert(step.monitor, released_at);
        monitor.asked &= step.to.is_none() || step.to != monitor.home;
        monitor.effective.clone_from(&step.to);
        monitor.is_placed = true;
        monitor.source = None;
        match step.step {
            Step::Place => monitor.home.clone_from(&step.to),
            Step::Arrive => {}
            Step::Failover => assert_eq!(holder, None, "a failover leaves no holder behind"),
            Step::Release => {
                let node = step.from.clone().unwrap();
                let incarnation = holder.expect("what is released has a holder that can acknowledge");
                monitor.source = Some(Source { node, incarnation, released_at });
            }
        }
        true
    }

    pub(crate) fn raise(&mut self, now: Mono, alarm: &Alarm) {
        let severity = match alarm.severity {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let row = self.incidents.entry(alarm.key.clone()).or_insert_with(|| IncidentRow {
            key: alarm.key.clone(),
            severity: severity.to_owned(),
            opened_at: wall(now),
            first_opened_at: None,
            last_bad_at: wall(now),
        });
        row.last_bad_at = wall(now);
    }

    /// Whether it was still as it had been read.
    pub(crate) fn resolve(&mut self, key: &str, last_bad_at: Wall) -> bool {
        let stands = self.incidents.get(key).is_some_and(|row| row.last_bad_at == last_bad_at);
        if stands {
            self.incidents.remove(key);
        }
        stands
    }
}

/// The database's clock: it began long before this process's own.
pub(crate) fn wall(now: Mono) -> Wall {
    Wall(1_763_800_000_000 + i64::try_from(now.as_micros() / 1_000).unwrap())
}

pub(crate) fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}
