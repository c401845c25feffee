//! Beats: rows of Kuma's `heartbeat` table, written exactly as Kuma writes them.
//!
//! Owns the read of each monitor's last beat; [`keeper`] owns the guarded transaction that stores them. What a beat means
//! is the node's business.

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use super::decisions::id_list;
use super::error::StoreError;
use super::pool::Store;
use super::session::Sql;
use super::value::Row;

mod downs;
pub mod keeper;

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
    /// What the run found, in words for people.
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
    /// The node could not look: PENDING, says nothing of the target and is not counted in its statistics.
    pub is_own_trouble: bool,
}

/// The beat of one monitor that was stored last: clocks of nodes step, the order of storing does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastBeat {
    /// The row's key: the order of storing.
    pub id: i64,
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
    /// What the run found, in words for people.
    pub msg: String,
    /// How long the target took.
    pub ping_ms: Option<i64>,
    /// Of one that is PENDING: what was settled before. A node that could not look stores PENDING also after DOWN.
    pub settled: Option<BeatStatus>,
}

/// Monitors whose last beats are read by one statement.
const LAST_BATCH: usize = 1_000;

impl Store {
    /// The beat stored last of each of these monitors that has one.
    pub async fn last_beats(&self, monitors: &[MonitorId]) -> Result<Vec<LastBeat>, StoreError> {
        let act = "read the last beats";
        let catalog = self.catalog().await?;
        let (hint, changes) = (catalog.stored_hint(), catalog.change_hint());
        let mut lease = self.lease(act).await?;
        let time = self.dialect().datetime_ms("h.time");
        let mut beats = Vec::with_capacity(monitors.len());
        for part in monitors.chunks(LAST_BATCH) {
            let ids: Vec<i64> = part.iter().map(|monitor| monitor.0).collect();
            // One jump per monitor through the index on its id, and one more where that beat settles nothing: a DOWN that
            // a native node stored is noted, of what others stored the last change says it.
            let sql = format!(
                "SELECT h.id, h.monitor_id, h.status, h.important, {time} AS time_ms, h.down_count, h.retries, h.msg, \
                 h.ping, CASE WHEN h.status <> 2 THEN NULL WHEN d.monitor_id IS NOT NULL THEN 0 ELSE \
                 (SELECT c.status FROM heartbeat c{changes} WHERE c.monitor_id = m.id AND c.important = 1 \
                 ORDER BY c.time DESC, c.id DESC LIMIT 1) END AS settled \
                 FROM monitor m JOIN heartbeat h ON h.id = (SELECT l.id FROM heartbeat l{hint} \
                 WHERE l.monitor_id = m.id ORDER BY l.id DESC LIMIT 1) \
                 LEFT JOIN komainu_down d ON d.monitor_id = m.id WHERE m.id IN ({})",
                id_list(&ids)
            );
            for row in lease.rows(act, Sql::Once(sql), vec![]).await? {
                beats.push(last_beat(&row)?);
            }
        }
        Ok(beats)
    }
}

fn last_beat(row: &Row) -> Result<LastBeat, StoreError> {
    let code = row.int("status")?;
    let status = BeatStatus::from_code(code);
    Ok(LastBeat {
        id: row.int("id")?,
        monitor: MonitorId(row.int("monitor_id")?),
        status: status.ok_or_else(|| StoreError::unreadable("read the last beats", "status", code))?,
        important: row.flag("important")?,
        time: row.wall("time_ms")?,
        down_count: row.small("down_count")?,
        retries: row.small("retries")?,
        msg: row.text("msg")?,
        ping_ms: row.maybe_int("ping")?,
        settled: row.maybe_int("settled")?.and_then(BeatStatus::from_code),
    })
}
