//! What one watchdog knows, for whoever asks: `/status`, `/metrics`, the gateway's routes, the command line.
//!
//! Owns the shape. [`crate::watchdog::Watchdog::view`] fills it from the same rows the decisions are made of; nothing
//! is read anew for a request.

use serde::Serialize;

use crate::facts::{Mode, NodeStatus, Overlay, Vote};
use crate::ids::{Epoch, Generation, Incarnation, NodeId, WatchdogId};
use crate::io::Severity;
use crate::time::Wall;

/// The colour of the whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Watching really happens.
    Ok,
    /// It happens, but something is missing: one watchdog, a frozen cluster, an open incident.
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
    /// Who leads.
    pub leader: Option<LeaderView>,
    /// The database, as this watchdog sees it.
    pub database: DatabaseView,
    /// The assignment's number.
    pub generation: Generation,
    /// All registered watchdogs.
    pub watchdogs: Vec<WatchdogView>,
    /// All nodes.
    pub nodes: Vec<NodeView>,
    /// Monitors of the whole cluster.
    pub monitors: MonitorsView,
    /// Open incidents.
    pub incidents: Vec<IncidentView>,
    /// In observe mode or while frozen: what automation would do.
    pub would_move: Vec<WouldMove>,
    /// The database's time of the read this view rests on; `None`: it never read anything.
    pub checked_at: Option<Wall>,
    /// How long ago this watchdog last completed a round of verdicts, in milliseconds.
    pub verdict_age_ms: Option<u64>,
}

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LeaderView {
    /// Which watchdog.
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

/// One watchdog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WatchdogView {
    /// Its id.
    pub watchdog_id: WatchdogId,
    /// `up`, `down`, `isolated` or `stopped`.
    pub status: &'static str,
    /// When it last wrote its row.
    pub last_seen_ms: Wall,
    /// Where its peers reach it.
    #[serde(skip)]
    pub advertise: String,
}

/// One node.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NodeView {
    /// Its id.
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
    /// Active ones.
    pub active: u32,
    /// Active ones whose effective node holds a living lease.
    pub watched: u32,
    /// Active ones without a living owner.
    pub unwatched: u32,
    /// Active ones without a living owner for longer than the bound.
    pub orphaned: u32,
}

/// An open incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IncidentView {
    /// Kind and subject.
    pub key: String,
    /// How bad.
    pub severity: Severity,
    /// Since when, by the database's clock.
    pub since: Wall,
}

/// What automation would do if it might.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WouldMove {
    /// From this node; `None`: new, or nobody's.
    pub from: Option<NodeId>,
    /// How many.
    pub monitors: u32,
    /// Why.
    pub reason: crate::decision::MoveReason,
}
