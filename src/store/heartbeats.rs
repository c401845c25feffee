//! Heartbeats of programs: their rows, their pushes, and what marks them late.
//!
//! Which push counts and who is late is decided by `komainu_watchdogs::heartbeat`; here the rows are locked, handed to that
//! judgement, and written.

mod admin;
mod cache_reader;
mod columns;
mod intake;
mod outage;
mod pushes;
mod settle;
mod trail;

use std::time::Duration;

use komainu_watchdogs::heartbeat::limits::{Gap, MOST_GAPS};
use komainu_watchdogs::heartbeat::{Need, Record};
use komainu_watchdogs::time::Wall;

use super::dialect::Dialect;
use super::error::StoreError;
use super::pool::Store;
use super::session::Session;

pub use admin::{Changed, create, delete, delete_if, get, list, rotate, update};
pub use cache_reader::{CacheReader, Glance};
pub use intake::{Arrival, Batch, IntakeConnection, Judged};
pub use pushes::{PushRow, list as list_pushes};
pub use settle::{SettleConnection, Words};

/// A connection on which nothing waits for a locked table for longer than for a locked row.
async fn connect(store: &Store) -> Result<Session, StoreError> {
    let mut session = Session::connect(store.url()).await?;
    if session.dialect() == Dialect::MariaDb {
        session.batch("set up the session", "SET SESSION lock_wait_timeout = 3").await?;
    }
    Ok(session)
}

/// What people chose for a heartbeat.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Definition {
    /// Its name: the key.
    pub name: String,
    /// What it is good for, in words for people.
    pub description: String,
    /// Due so long after the last push; or by `cron`.
    pub period_s: Option<u32>,
    /// Due by this expression; or by `period_s`.
    pub cron: Option<String>,
    /// Of the expression.
    pub time_zone: Option<String>,
    /// Silence beyond the due time that is forgiven.
    pub grace_s: u32,
    /// How long a run may take.
    pub max_runtime_s: Option<u32>,
    /// When the first push is due; `None`: it is waited for without end.
    pub first_due: Option<Wall>,
    /// Of its incident: `critical` or `warning`.
    pub severity: String,
    /// Channels of its own; empty: the routes decide.
    pub channels: Vec<String>,
    /// Tags that routes may go by.
    pub tags: Vec<String>,
    /// The set that made it: who else edits it edits against a file.
    pub managed_by: Option<String>,
    /// What its secret is derived with.
    pub nonce: String,
    /// The one before, and until when it still holds.
    pub old_nonce: Option<(String, Wall)>,
    /// Whether legacy signatures count.
    pub allow_sha1: bool,
    /// Never late, and nobody is told of it.
    pub is_paused: bool,
    /// Raised by each edit of the schedule.
    pub revision: u64,
    /// By the database's clock.
    pub created_at: Wall,
}

impl Definition {
    /// Another one after each edit. With its quotes, as it stands in the header.
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.created_at.0, self.revision)
    }

    /// Silence beyond the due time that is forgiven.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s.into())
    }

    /// How long a run may take.
    pub fn max_runtime(&self) -> Option<Duration> {
        self.max_runtime_s.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// How a heartbeat is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vitals {
    /// What decides about the next push and about lateness.
    pub record: Record,
    /// When the last `ok` arrived.
    pub last_ok_at: Option<Wall>,
    /// When the last push arrived.
    pub last_at: Option<Wall>,
    /// The last push.
    pub last_push_id: Option<String>,
    /// Its open incident.
    pub incident_id: Option<i64>,
    /// Later at each change of the row, by the database's clock.
    pub changed_at: Wall,
    /// The last gap that is counted in its limits.
    pub gap_id: i64,
    /// The same, as it is stored.
    pub stored_gap_id: i64,
}

impl Vitals {
    /// With those of these gaps counted in its limits that are not yet.
    fn count(&mut self, gaps: &[Gap], created_at: Wall) {
        let uncounted = gaps.get(gaps.partition_point(|gap| gap.id <= self.gap_id)..).unwrap_or_default();
        let Some(newest) = uncounted.last() else { return };
        self.record.limits = self.record.limits.after_gaps(uncounted, self.last_at.unwrap_or(created_at));
        self.gap_id = newest.id;
    }
}

/// A heartbeat as the watchdogs keep it in memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CachedHeartbeat {
    /// What people chose; without the description.
    pub definition: Definition,
    /// How it is.
    pub vitals: Vitals,
}

impl CachedHeartbeat {
    /// With these gaps counted in.
    pub(crate) fn count(&mut self, gaps: &[Gap]) {
        self.vitals.count(gaps, self.definition.created_at);
    }

    /// What there is to do about it.
    pub(crate) fn need(&self, now: Wall, is_outage: bool) -> Option<Need> {
        let Self { vitals, .. } = self;
        // Only the last gaps are remembered: long before this one's are forgotten, they are written down.
        let lags =
            vitals.gap_id.saturating_sub(vitals.stored_gap_id) > i64::try_from(MOST_GAPS / 2).unwrap_or(i64::MAX);
        if lags && vitals.record.deadline().is_some() {
            return Some(Need::Recount);
        }
        vitals.record.need(now, vitals.incident_id.is_some(), is_outage)
    }
}

/// What the last push told people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastPush {
    /// How long the run took.
    pub duration_ms: Option<i64>,
    /// How it ended.
    pub exit_code: Option<i64>,
    /// What the program said, for people.
    pub message: Option<String>,
}

/// All of a row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Heartbeat {
    /// What people chose.
    pub definition: Definition,
    /// How it is.
    pub vitals: Vitals,
    /// What the last push told people.
    pub last: LastPush,
}
