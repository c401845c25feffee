//! What watchdogs say of what they look at: single views, and the report in which one says all of them at once.

use serde::{Deserialize, Serialize};

use crate::blackout::DatabaseReport;
use crate::ids::{Incarnation, NodeId, WatchdogId, Zone};
use crate::view::Health;

/// What one watchdog says of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// Not probed often enough to say.
    #[default]
    Unknown,
    /// The target answers.
    Up,
    /// It failed `failure_threshold` times in a row.
    Down,
}

/// Something that is probed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A node's `/api/v1/health`.
    Node(NodeId),
    /// A peer's `/peer/v1/report`.
    Watchdog(WatchdogId),
    /// An address of the outside world, by its configured form (`tcp://1.1.1.1:443`).
    Canary(String),
}

/// One watchdog's present view of one target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// What was looked at.
    pub target: Target,
    /// Up, down, or not known yet.
    pub vote: Vote,
    /// Failures in a row, counted up to the threshold.
    pub failures: u32,
    /// Why the last probe failed; empty while it answers.
    pub detail: String,
    /// It is down, and its host itself said that nobody listens there.
    #[serde(default)]
    pub is_refused: bool,
    /// It answers, and says that the database does not answer it.
    #[serde(default)]
    pub is_blind: bool,
}

/// Everything one watchdog says at one moment: what it writes to the database and what it answers its peers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Who says it.
    pub watchdog: WatchdogId,
    /// Which process of that name.
    pub incarnation: Incarnation,
    /// Higher is later, within one incarnation.
    pub seq: u64,
    /// Where it stands.
    pub zone: Zone,
    /// It sees no canary of the outside world, so its own network may be at fault: its votes do not count.
    pub isolated: bool,
    /// Its last round of database reads and writes succeeded.
    pub database_ok: bool,
    /// What it sees.
    pub observations: Vec<Observation>,
    /// What it says about the database, to its peers only; `None`: a version that says none. `word` is its name between
    /// watchdogs, which earlier versions know.
    #[serde(default, rename = "word")]
    pub database_report: Option<DatabaseReport>,
    /// How it finds the cluster, to its peers only; `None`: a version that says none.
    #[serde(default)]
    pub seen: Option<Seen>,
}

/// How one watchdog finds the cluster, in short: for peers that cannot look themselves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Ok, degraded or down.
    pub status: Health,
    /// Why it is not ok.
    pub reasons: Vec<String>,
}

/// A row of `komainu_observation`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservationRow {
    /// Who saw it.
    pub watchdog: WatchdogId,
    /// Which process of that name.
    pub incarnation: Incarnation,
    /// That process's [`Report::seq`] when it wrote the row.
    pub seq: u64,
    /// What it saw.
    pub observation: Observation,
}
