//! What one watchdog knows, for whoever asks: `/status`, `/metrics`, the gateway's routes, the command line.
//!
//! Owns the shape. [`crate::watchdog::Watchdog::view`] fills it from the same rows the decisions are made of; nothing
//! is read anew for a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assess::Assessment;
use crate::decision::MoveReason;
use crate::doubt::{self, Waiting};
use crate::facts::{Mode, NodeRow, NodeStatus, Overlay, Round, ShardGroup, Target, Vote, WatchdogRow};
use crate::failover::{field, misfits, would_move};
use crate::ids::{Epoch, Generation, Incarnation, NodeId, WatchdogId};
use crate::io::Severity;
use crate::quorum::Reach;
use crate::rota::Rota;
use crate::shard::Field;
use crate::status::Lease;
use crate::time::{Mono, Wall};
use crate::watchdog::Watchdog;

mod colour;

/// The colour of the whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Watching really happens.
    Ok,
    /// It happens, but something is missing: a watchdog, a node, a leader; or the cluster is frozen.
    Degraded,
    /// It does not: HTTP 503.
    #[default]
    Down,
}

/// One watchdog's knowledge at one moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct View {
    /// Ok, degraded or down.
    pub status: Health,
    /// Why it is not ok, one sentence each; empty when it is.
    pub reasons: Vec<String>,
    /// Observe or active.
    pub mode: Mode,
    /// An operator stopped all automatic moves.
    pub frozen: bool,
    /// An operator sends all traffic of people to this node.
    pub pinned_node: Option<NodeId>,
    /// The watchdog that leads; `None`: nobody does, as far as this one knows.
    pub leader: Option<LeaderView>,
    /// The database, as this watchdog sees it.
    pub database: DatabaseView,
    /// The assignment's number.
    pub generation: Generation,
    /// All registered watchdogs.
    pub watchdogs: Vec<WatchdogView>,
    /// All nodes that are entered.
    pub nodes: Vec<NodeView>,
    /// Monitors of the whole cluster.
    pub monitors: MonitorsView,
    /// The incidents that are open.
    pub incidents: Vec<IncidentView>,
    /// In observe mode or while frozen: what automation would do.
    pub would_move: Vec<WouldMove>,
    /// Monitors of lost nodes that would move, were it not for a doubt.
    pub waiting: Vec<Waiting>,
    /// The database's time of the read this view rests on; `None`: it never read anything.
    pub checked_at: Option<Wall>,
    /// How long ago this watchdog last completed a round of verdicts, in milliseconds.
    pub verdict_age_ms: Option<u64>,
    /// What the planner may do with each node, for whoever plans on an operator's behalf.
    #[serde(skip)]
    pub field: Field,
}

impl View {
    /// This watchdog's place among those that live.
    pub fn rota(&self, me: &WatchdogId) -> Rota {
        let living = self.watchdogs.iter().filter(|watchdog| !matches!(watchdog.status, "down" | "stopped"));
        Rota::of(me, living.map(|watchdog| &watchdog.watchdog_id))
    }
}

/// The leader, as `/status` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LeaderView {
    /// The watchdog that leads.
    pub watchdog_id: WatchdogId,
    /// Which process of it.
    #[serde(skip)]
    pub incarnation: Incarnation,
    /// Under which number.
    pub epoch: Epoch,
}

/// The database, as one watchdog sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseView {
    /// The last rounds of reads and writes succeeded.
    Up,
    /// The last attempt failed, for less than three intervals.
    Failing,
    /// It took no write for three intervals.
    #[default]
    Down,
}

/// A watchdog, as `/status` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WatchdogView {
    /// The watchdog's id.
    pub watchdog_id: WatchdogId,
    /// `up`, `down`, `isolated` or `stopped`.
    pub status: &'static str,
    /// When it last wrote its row.
    pub last_seen_ms: Wall,
    /// What it says of its peers; empty while its row stands still.
    pub sees: BTreeMap<WatchdogId, Vote>,
    /// Where its peers reach it.
    #[serde(skip)]
    pub advertise: String,
}

/// A node, as `/status` shows it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NodeView {
    /// The node's id.
    pub node_id: NodeId,
    /// As the leader decided it.
    pub status: NodeStatus,
    /// Drained, being drained, or neither.
    pub overlay: Overlay,
    /// Active monitors whose effective node it is.
    pub monitors: u32,
    /// Active monitors whose home it is.
    pub home_monitors: u32,
    /// Monitors it takes, divided by which `monitors` gives `load`.
    pub capacity: u32,
    /// `monitors / capacity`.
    pub load: f64,
    /// What the majority says of its reach.
    pub reach: Vote,
    /// Watchdogs that cannot reach it, of how many that may vote.
    pub votes_down: (u32, u32),
    /// Its lease, as this watchdog watched it: `fresh`, `ended` or `unknown`.
    pub lease: &'static str,
    /// Active probing monitors of it that are overdue.
    pub overdue: u32,
    /// Where its HTTP surface answers.
    #[serde(skip)]
    pub address: String,
    /// When it last renewed.
    pub last_seen_ms: Option<Wall>,
}

/// Monitors of the whole cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct MonitorsView {
    /// Monitors that are to run.
    pub active: u32,
    /// Active ones whose effective node holds a living lease.
    pub watched: u32,
    /// Active ones without a living owner.
    pub unwatched: u32,
    /// Active ones without a living owner for longer than the bound.
    pub orphaned: u32,
    /// Active ones of a type that no node which takes monitors can run.
    pub unplaceable: u32,
}

/// An open incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IncidentView {
    /// Kind and subject.
    pub key: String,
    /// Whether somebody is to get up for it.
    pub severity: Severity,
    /// Since when, by the database's clock; of one that came back, since when again.
    pub since: Wall,
    /// When it opened for the first time.
    pub first_since: Wall,
}

/// What automation would do if it might.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WouldMove {
    /// From this node; `None`: new, or nobody's.
    pub from: Option<NodeId>,
    /// How many monitors would be moved.
    pub monitors: u32,
    /// Why they would be moved.
    pub reason: MoveReason,
}

/// Active monitors, and how many of them a living node runs.
pub(crate) fn count_monitors(watchdog: &Watchdog, round: &Round) -> MonitorsView {
    let mut view = MonitorsView::default();
    for group in &watchdog.errands.counts.shards {
        view.active += group.active;
        if is_watched(watchdog, round, group) {
            view.watched += group.active;
        } else {
            view.unwatched += group.active;
        }
    }
    view
}

/// Whether a living node runs them.
pub(crate) fn is_watched(watchdog: &Watchdog, round: &Round, group: &ShardGroup) -> bool {
    let owner = round.nodes.iter().find(|row| Some(&row.node) == group.effective.as_ref());
    let owner = owner.filter(|row| row.runs(&group.kind));
    owner.and_then(|row| watchdog.assessor.of(&row.node)).is_some_and(Assessment::is_watching)
}

impl Watchdog {
    /// What this watchdog knows, for whoever asks.
    pub fn view(&self, now: Mono) -> View {
        let database = self.database_view(now);
        let Some(round) = &self.round else {
            let reasons = vec!["this watchdog has not read the database yet".to_owned()];
            return View { reasons, database, ..View::default() };
        };
        let mut monitors = count_monitors(self, round);
        monitors.orphaned = self.unwatched.orphaned(now, &self.policy);
        let overwritten = self.foreign.overwritten(now);
        let situation = self.situation(now, round, &overwritten);
        let field = field(&situation);
        let unwatched = misfits(&situation, &field).into_iter().filter(|(misfit, _)| misfit.is_unwatched);
        monitors.unplaceable = unwatched.map(|(_, active)| active).sum();
        let is_held =
            round.cluster.mode == Mode::Observe || round.cluster.frozen || !self.foreign.nodes(now, round).is_empty();
        let mut view = View {
            status: Health::Ok,
            reasons: Vec::new(),
            mode: round.cluster.mode,
            frozen: round.cluster.frozen,
            pinned_node: round.cluster.pinned_node.clone(),
            leader: self.leader_view(now, round),
            database,
            generation: round.cluster.stamp.generation,
            watchdogs: self.watchdog_views(round),
            nodes: round.nodes.iter().filter_map(|row| self.node_view(round, row)).collect(),
            monitors,
            incidents: self.errands.incidents.iter().map(incident_view).collect(),
            would_move: if is_held { would_move(&situation, &field) } else { Vec::new() },
            waiting: if is_held || !situation.has_taker() { Vec::new() } else { doubt::waiting(&situation) },
            field,
            checked_at: Some(round.database_time),
            verdict_age_ms: self.verdict_at().map(|at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX)),
        };
        self.colour(now, &mut view);
        if view.database == DatabaseView::Down {
            self.others.lend((now, self.policy.verdict_limit()), self.roster.watchdogs(), &mut view);
        }
        view
    }

    pub(crate) fn database_view(&self, now: Mono) -> DatabaseView {
        let limit = self.policy.verdict_limit();
        let age = self.database.written_at.map(|at| now.since(at));
        match age {
            Some(age) if age < limit => {
                let trip = self.slowness.trip().unwrap_or_default();
                let is_late = age > 3 * (self.policy.round_interval + trip);
                if is_late || self.database.failing_since.is_some() { DatabaseView::Failing } else { DatabaseView::Up }
            }
            Some(_) | None => DatabaseView::Down,
        }
    }

    fn leader_view(&self, now: Mono, round: &Round) -> Option<LeaderView> {
        let incarnation = round.leader.holder?;
        let watchdog_id = round.leader.watchdog.clone()?;
        (!self.is_leaderless(now)).then_some(LeaderView { watchdog_id, incarnation, epoch: round.leader.epoch })
    }

    fn watchdog_views(&self, round: &Round) -> Vec<WatchdogView> {
        let status = |row: &WatchdogRow| {
            let is_me = row.incarnation == self.identity.incarnation;
            if row.stopped {
                "stopped"
            } else if !is_me && !self.roster.is_moving(row, &self.policy) {
                "down"
            } else if row.isolated || (is_me && self.is_isolated()) {
                "isolated"
            } else {
                "up"
            }
        };
        let view = |row: &WatchdogRow| WatchdogView {
            watchdog_id: row.watchdog.clone(),
            status: status(row),
            last_seen_ms: row.last_seen,
            sees: if matches!(status(row), "down" | "stopped") { BTreeMap::new() } else { self.peers_seen_by(row) },
            advertise: row.advertise.clone(),
        };
        round.watchdogs.iter().map(view).collect()
    }

    /// What a watchdog said last of its peers; this one's own word is not asked of any table.
    fn peers_seen_by(&self, row: &WatchdogRow) -> BTreeMap<WatchdogId, Vote> {
        if row.watchdog != self.identity.watchdog {
            return self.roster.peers_seen_by(row);
        }
        let own = self.healths.iter().filter_map(|(target, health)| match target {
            Target::Watchdog(peer) => Some((peer.clone(), health.observation(target.clone()).vote)),
            Target::Node(_) | Target::Canary(_) => None,
        });
        own.collect()
    }

    fn node_view(&self, round: &Round, row: &NodeRow) -> Option<NodeView> {
        let node = self.assessor.of(&row.node)?;
        let sum = |of: fn(&ShardGroup) -> &Option<NodeId>| -> u32 {
            let groups = self.errands.counts.shards.iter().filter(|group| of(group).as_ref() == Some(&row.node));
            groups.map(|group| group.active).sum()
        };
        let monitors = sum(|group| &group.effective);
        let capacity = row.capacity.unwrap_or(self.policy.monitor_limit_per_node);
        Some(NodeView {
            node_id: row.node.clone(),
            // While only observing, nobody writes statuses: what they would be is shown.
            status: if round.cluster.mode == Mode::Observe { node.status } else { row.status },
            overlay: row.overlay,
            monitors,
            home_monitors: sum(|group| &group.home),
            capacity,
            load: f64::from(monitors) / f64::from(capacity.max(1)),
            reach: match node.reach {
                Reach::Up => Vote::Up,
                Reach::Down => Vote::Down,
                Reach::Unknown | Reach::Undecided => Vote::Unknown,
            },
            votes_down: node.votes_down,
            // A lease that was taken away is over, also before its vacant row was watched for as long.
            lease: if row.incarnation.is_none() { Lease::Ended.as_str() } else { node.lease.as_str() },
            overdue: node.overdue,
            address: row.address.clone(),
            last_seen_ms: row.last_seen,
        })
    }
}

fn incident_view(row: &crate::facts::IncidentRow) -> IncidentView {
    let severity = if row.severity == "critical" { Severity::Critical } else { Severity::Warning };
    let first_since = row.first_opened_at.unwrap_or(row.opened_at);
    IncidentView { key: row.key.clone(), severity, since: row.opened_at, first_since }
}
