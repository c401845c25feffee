//! The model database: its tables, and what is read from them.
//!
//! A statement or transaction happens at one instant, as the serial order of the real ones. The node's statements are
//! in `leases`, the leader's transaction is in `decisions`. A copy of the whole is what a database that loses its tail
//! goes back to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::facts::{
    ClusterRow, Counts, IncidentRow, LeaderRow, Mode, MonitorRow, NodeRow, ObservationRow, ProgressRow, Round, Shard,
    ShardGroup, Source, WatchdogRow,
};
use komainu_watchdogs::ids::{Generation, Incarnation, MonitorId, NodeId, Nonce, Stamp, WatchdogId, Zone};
use komainu_watchdogs::io::{Alarm, Errand, Found, Severity, Write};
use komainu_watchdogs::tail::Counter;
use komainu_watchdogs::time::{Mono, Wall};

use super::events::{MS, SEC, Time};
use super::troubles::Trouble;

/// A watchdog's row that stands still for so long may be taken by another process.
const ROW_TAKEN_FOR: Time = 6 * SEC;

/// The run time limit of every monitor, part of what counts as overdue.
pub(crate) const RUN_LIMIT: Time = 2 * SEC;

#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(crate) kind: &'static str,
    /// Labels that its node must bear.
    pub(crate) run_on: Vec<String>,
    pub(crate) interval: Time,
    pub(crate) is_active: bool,
    pub(crate) is_deleted: bool,
    pub(crate) assignment: Option<Assignment>,
    /// The latest of start, activation and assignment, which lateness counts from.
    pub(crate) due_since: Time,
    pub(crate) last_beat_at: Time,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Assignment {
    pub(crate) home: Option<usize>,
    pub(crate) effective: Option<usize>,
    pub(crate) is_pinned: bool,
    /// An operator sent it to its home, and it is not there yet.
    pub(crate) is_asked: bool,
    pub(crate) source: Option<(usize, Incarnation, Generation)>,
    /// The generation that wrote it last.
    pub(crate) written: Generation,
}

impl Monitor {
    pub(crate) fn effective(&self) -> Option<usize> {
        self.assignment.as_ref().and_then(|assignment| assignment.effective)
    }

    pub(crate) fn runs(&self) -> bool {
        self.is_active && !self.is_deleted
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.assignment.as_ref().is_some_and(|assignment| assignment.is_pinned)
    }

    pub(crate) fn is_push(&self) -> bool {
        self.kind == "push"
    }
}

#[derive(Clone, Debug)]
pub(crate) struct WatchdogEntry {
    pub(crate) row: WatchdogRow,
    pub(crate) counter: Counter,
    pub(crate) written_at: Time,
}

/// The tables.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) cluster: ClusterRow,
    /// The nonce of each generation.
    pub(crate) history: Vec<Nonce>,
    pub(crate) leader: LeaderRow,
    pub(crate) watchdogs: Vec<WatchdogEntry>,
    pub(crate) nodes: Vec<NodeRow>,
    /// Which of the nodes have a row at all.
    pub(crate) is_present: Vec<bool>,
    /// Nodes whose clock has jumped since they last renewed.
    pub(crate) unmeasured: Vec<bool>,
    /// The holder had its lock when it renewed last.
    pub(crate) had_lock: Vec<bool>,
    pub(crate) observations: Vec<ObservationRow>,
    pub(crate) monitors: Vec<Monitor>,
    pub(crate) incidents: Vec<IncidentRow>,
}

/// What is not in the tables, and survives the loss of their tail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    pub(crate) is_down: bool,
    /// One higher with each start: connections of an earlier life are dead.
    pub(crate) life: u32,
    /// Answers and commits take long until then.
    pub(crate) slow_until: Time,
    /// Until then the clocks of nodes and database have not been compared since a jump.
    pub(crate) skewed_until: Time,
    pub(crate) wall_offset: i64,
    /// Statements that go wrong while others work.
    pub(crate) troubles: Vec<Trouble>,
    /// What each way takes on top, and until when.
    pub(crate) far: (Time, Time),
    /// Which watchdog process holds the advisory lock, on which of its connections.
    pub(crate) lock: Option<(usize, u32)>,
    /// Which node processes hold their locks.
    pub(crate) lease_locks: BTreeSet<Incarnation>,
}

impl Server {
    pub(crate) fn wall(&self, now: Time) -> Wall {
        Wall(i64::try_from(now / MS).unwrap() + self.wall_offset)
    }
}

pub(crate) fn node_id(node: usize) -> NodeId {
    NodeId::from(format!("n{}", node + 1))
}

pub(crate) fn node_index(node: &NodeId) -> usize {
    node.as_str()[1..].parse::<usize>().unwrap() - 1
}

pub(crate) fn dog_index(dog: &WatchdogId) -> usize {
    dog.as_str()[1..].parse::<usize>().unwrap() - 1
}

pub(crate) fn monitor_id(monitor: usize) -> MonitorId {
    MonitorId(i64::try_from(monitor).unwrap() + 1)
}

pub(crate) fn monitor_index(monitor: MonitorId) -> usize {
    usize::try_from(monitor.0).unwrap() - 1
}

impl Database {
    pub(crate) fn new(nodes: usize) -> Self {
        let row = |node| NodeRow { node: node_id(node), weight: 100, is_native: true, ..NodeRow::default() };
        Self {
            cluster: ClusterRow::default(),
            history: vec![Nonce(0)],
            leader: LeaderRow::default(),
            watchdogs: Vec::new(),
            nodes: (0..nodes).map(row).collect(),
            is_present: vec![true; nodes],
            unmeasured: vec![false; nodes],
            had_lock: vec![false; nodes],
            observations: Vec::new(),
            monitors: Vec::new(),
            incidents: Vec::new(),
        }
    }

    pub(crate) fn knows(&self, stamp: Stamp) -> bool {
        let nonce = usize::try_from(stamp.generation.0).ok().and_then(|generation| self.history.get(generation));
        nonce == Some(&stamp.nonce)
    }

    /// The next generation, with this nonce.
    pub(crate) fn raise_generation(&mut self, nonce: Nonce) {
        self.history.push(nonce);
        self.cluster.stamp = Stamp { generation: self.cluster.stamp.generation.next(), nonce };
    }

    pub(crate) fn round(&self, reader: &WatchdogId, now: Time, server: &Server) -> Round {
        let present = self.nodes.iter().zip(&self.is_present).filter(|(_, is_present)| **is_present);
        let nodes = present.map(|(row, _)| {
            let applied_is_known = row.applied.is_some_and(|applied| self.knows(applied));
            NodeRow { applied_is_known, lock: self.lease_lock(node_index(&row.node), server), ..row.clone() }
        });
        Round {
            began_at: Mono::default(),
            ended_at: Mono::default(),
            database_time: server.wall(now),
            cluster: self.cluster.clone(),
            leader: self.leader.clone(),
            watchdogs: self.watchdogs.iter().map(|entry| entry.row.clone()).collect(),
            own: self.entry_of(reader).map(|entry| entry.counter),
            nodes: nodes.collect(),
            observations: self.observations.clone(),
        }
    }

    pub(crate) fn entry_of(&self, watchdog: &WatchdogId) -> Option<&WatchdogEntry> {
        self.watchdogs.iter().find(|entry| entry.row.watchdog == *watchdog)
    }

    /// What an errand finds.
    pub(crate) fn find(
        &self,
        errand: Errand,
        spans: &BTreeMap<NodeId, Duration>,
        (now, server): (Time, &Server),
    ) -> Found {
        match errand {
            Errand::Counts => {
                let (shards, leftover) = (self.groups(), self.leftover());
                Found::Counts(Box::new(Counts { began_at: Mono::default(), shards, leftover }))
            }
            Errand::Progress => Found::Progress(self.progress(now, server, spans)),
            Errand::Incidents => Found::Incidents(self.incidents.clone()),
        }
    }

    fn leftover(&self) -> u32 {
        let is_leftover = |monitor: &&Monitor| monitor.is_deleted && monitor.assignment.is_some();
        u32::try_from(self.monitors.iter().filter(is_leftover).count()).unwrap()
    }

    fn source(&self, assignment: &Assignment) -> Option<Source> {
        let (node, incarnation, released_at) = assignment.source?;
        Some(Source { node: self.nodes[node].node.clone(), incarnation, released_at })
    }

    fn groups(&self) -> Vec<ShardGroup> {
        let mut groups: Vec<ShardGroup> = Vec::new();
        let name = |node: Option<usize>| node.map(|node| self.nodes[node].node.clone());
        let present = self.monitors.iter().enumerate().filter(|(_, monitor)| !monitor.is_deleted);
        for (index, monitor) in present {
            let assignment = monitor.assignment.as_ref();
            let group = ShardGroup {
                only_kuma: false,
                home: name(assignment.and_then(|assignment| assignment.home)),
                effective: name(assignment.and_then(|assignment| assignment.effective)),
                source: assignment.and_then(|assignment| self.source(assignment)),
                pinned: assignment.is_some_and(|assignment| assignment.is_pinned),
                asked: assignment.is_some_and(|assignment| assignment.is_asked),
                kind: monitor.kind.to_owned(),
                run_on: monitor.run_on.clone(),
                active: 0,
                monitors: 0,
                first: None,
                nobodys: Vec::new(),
            };
            let alike = groups.iter().position(|other| {
                (&other.home, &other.effective, &other.source) == (&group.home, &group.effective, &group.source)
                    && (other.pinned, other.asked, &other.kind) == (group.pinned, group.asked, &group.kind)
                    && other.run_on == group.run_on
            });
            let at = alike.unwrap_or_else(|| {
                groups.push(group);
                groups.len() - 1
            });
            let entry = &mut groups[at];
            entry.monitors += 1;
            entry.active += u32::from(monitor.is_active);
            if monitor.is_active {
                entry.first = entry.first.or(Some(monitor_id(index)));
                let is_nobodys = entry.effective.is_none();
                entry.nobodys.extend(is_nobodys.then_some(monitor_id(index)));
            }
        }
        groups
    }

    fn progress(&self, now: Time, server: &Server, spans: &BTreeMap<NodeId, Duration>) -> Vec<ProgressRow> {
        let present = self.nodes.iter().enumerate().filter(|(node, _)| self.is_present[*node]);
        let rows = present.map(|(node, row)| {
            let mut progress = ProgressRow { node: row.node.clone(), probing: 0, overdue: 0, beating: 0 };
            for monitor in &self.monitors {
                if monitor.runs() && !monitor.is_push() && monitor.effective() == Some(node) {
                    let since = monitor.due_since.max(monitor.last_beat_at);
                    let allowed = 2 * monitor.interval + RUN_LIMIT;
                    let is_late = now.saturating_sub(since) > allowed;
                    let span = spans.get(&row.node).map_or(Time::MAX, |span| span.as_micros().try_into().unwrap());
                    progress.probing += 1;
                    let is_overdue = (is_late || now < server.skewed_until || self.unmeasured[node]) && span > allowed;
                    progress.overdue += u32::from(is_overdue);
                    progress.beating += u32::from(!is_overdue);
                }
            }
            progress
        });
        rows.collect()
    }

    pub(crate) fn shard(&self, hides_pins: bool) -> Shard {
        let row = |(index, monitor): (usize, &Monitor)| {
            let assignment = monitor.assignment.clone().unwrap_or_default();
            MonitorRow {
                only_kuma: false,
                kuma_tells: false,
                monitor: monitor_id(index),
                kind: monitor.kind.to_owned(),
                interval_s: u32::try_from(monitor.interval / SEC).unwrap(),
                active: monitor.is_active,
                is_placed: monitor.assignment.is_some(),
                home: assignment.home.map(|node| self.nodes[node].node.clone()),
                effective: assignment.effective.map(|node| self.nodes[node].node.clone()),
                pinned: assignment.is_pinned && !hides_pins,
                asked: assignment.is_asked,
                run_on: monitor.run_on.clone(),
                source: self.source(&assignment),
            }
        };
        let present = self.monitors.iter().enumerate().filter(|(_, monitor)| !monitor.is_deleted);
        Shard { stamp: self.cluster.stamp, monitors: present.map(row).collect() }
    }

    /// One watchdog's round; `false`: another living process writes that row.
    pub(crate) fn write(&mut self, write: &Write, now: Time, server: &Server) -> bool {
        let report = &write.report;
        let row = WatchdogRow {
            watchdog: report.watchdog.clone(),
            incarnation: report.incarnation,
            seq: report.seq,
            zone: report.zone.clone(),
            advertise: String::new(),
            isolated: report.isolated,
            stopped: write.stopped,
            last_seen: server.wall(now),
        };
        if let Some(entry) = self.watchdogs.iter_mut().find(|entry| entry.row.watchdog == row.watchdog) {
            let is_other = entry.row.incarnation != row.incarnation && !entry.row.stopped;
            if is_other && now.saturating_sub(entry.written_at) < ROW_TAKEN_FOR {
                return false;
            }
            let before = Some((&entry.counter, entry.row.last_seen));
            let counter = Counter::after(before, &write.claim, row.incarnation);
            *entry = WatchdogEntry { row, counter, written_at: now };
        } else {
            let counter = Counter::after(None, &write.claim, row.incarnation);
            self.watchdogs.push(WatchdogEntry { row, counter, written_at: now });
            self.watchdogs.sort_by(|one, other| one.row.watchdog.cmp(&other.row.watchdog));
        }
        self.observations.retain(|row| row.watchdog != report.watchdog);
        self.observations.extend(report.observations.iter().map(|observation| ObservationRow {
            watchdog: report.watchdog.clone(),
            incarnation: report.incarnation,
            seq: report.seq,
            observation: observation.clone(),
        }));
        true
    }

    pub(crate) fn raise(&mut self, alarm: &Alarm, at: Wall) {
        if let Some(open) = self.incidents.iter_mut().find(|row| row.key == alarm.key) {
            // Always later than before, whatever the clock says: a resolve that read the earlier value must fail.
            open.last_bad_at = at.max(Wall(open.last_bad_at.0 + 1));
            return;
        }
        let severity = match alarm.severity {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
        };
        self.incidents.push(IncidentRow {
            key: alarm.key.clone(),
            severity: severity.to_owned(),
            opened_at: at,
            first_opened_at: None,
            last_bad_at: at,
        });
    }

    pub(crate) fn resolve(&mut self, key: &str, last_bad_at: Wall) {
        self.incidents.retain(|row| row.key != key || row.last_bad_at != last_bad_at);
    }

    pub(crate) fn has_held_mode(&self) -> bool {
        self.cluster.frozen || self.cluster.mode == Mode::Observe
    }
}

pub(crate) fn zone(index: usize) -> Zone {
    Zone::from(format!("z{index}"))
}
