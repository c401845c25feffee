//! Beats: rows of Kuma's `heartbeat` table, written exactly as Kuma writes them.
//!
//! Owns the guarded insert and the read of each monitor's last beat. What a beat means is the node's business.

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};
use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::pool::Store;

/// `heartbeat.status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BeatStatus {
    /// 0
    Down,
    /// 1
    Up,
    /// 2: failed, but not often enough yet.
    Pending,
    /// 3
    Maintenance,
}

impl BeatStatus {
    /// As it stands in the column.
    pub fn code(self) -> i64 {
        match self {
            Self::Down => 0,
            Self::Up => 1,
            Self::Pending => 2,
            Self::Maintenance => 3,
        }
    }

    /// The status of that code.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Down, Self::Up, Self::Pending, Self::Maintenance].into_iter().find(|status| status.code() == code)
    }
}

/// The result of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beat {
    /// Of which monitor.
    pub monitor: MonitorId,
    /// What was found.
    pub status: BeatStatus,
    /// The state changed with it.
    pub important: bool,
    /// For people.
    pub msg: String,
    /// When the run began.
    pub time: Wall,
    /// How long the target took.
    pub ping_ms: Option<i64>,
    /// Seconds since the beat before.
    pub duration_s: i64,
    /// Down beats since the last notification.
    pub down_count: u32,
    /// Retries so far.
    pub retries: u32,
    /// When the run ended.
    pub end_time: Wall,
    /// The answer's body, where the monitor asks to keep it.
    pub response: Option<String>,
}

/// The latest beat of one monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastBeat {
    /// Of which monitor.
    pub monitor: MonitorId,
    /// What was found.
    pub status: BeatStatus,
    /// The state changed with it.
    pub important: bool,
    /// When the run began (MariaDB keeps whole seconds).
    pub time: Wall,
    /// Down beats since the last notification.
    pub down_count: u32,
    /// Retries so far.
    pub retries: u32,
    /// For people.
    pub msg: String,
    /// How long the target took.
    pub ping_ms: Option<i64>,
}

impl Store {
    /// The latest beat of each of these monitors that has one.
    pub async fn last_beats(&self, monitors: &[MonitorId]) -> Result<Vec<LastBeat>, StoreError> {
        let _ = monitors;
        Err(StoreError::SchemaMissing)
    }

    /// Stores those of these beats whose monitor this process still owns, in one guarded statement; says how many.
    /// Never retried here: the caller looks at its lease again first.
    pub async fn store_beats(
        &self,
        node: &NodeId,
        incarnation: Incarnation,
        beats: &[Beat],
    ) -> Result<u64, StoreError> {
        let _ = (node, incarnation, beats);
        Err(StoreError::SchemaMissing)
    }
}
