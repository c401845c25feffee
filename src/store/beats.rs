//! Beats: rows of Kuma's `heartbeat` table, written exactly as Kuma writes them.
//!
//! Owns the guarded insert and the read of each monitor's last beat. What a beat means is the node's business.

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};
use komainu_watchdogs::time::Wall;

use serde_json::{Value as Json, json};

use super::decisions::id_list;
use super::dialect::Dialect;
use super::error::StoreError;
use super::pool::Store;
use super::session::Sql;
use super::value::{Row, values};

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

/// Text columns take 65,535 bytes; a message is for people.
const LONGEST_MESSAGE: usize = 16_000;
const LONGEST_RESPONSE: usize = 65_535;
/// Monitors whose last beats are read by one statement.
const LAST_BATCH: usize = 1_000;

impl Store {
    /// The latest beat of each of these monitors that has one.
    pub async fn last_beats(&self, monitors: &[MonitorId]) -> Result<Vec<LastBeat>, StoreError> {
        let act = "read the last beats";
        let hint = self.catalog().await?.beat_hint();
        let mut lease = self.lease(act).await?;
        let time = self.dialect().datetime_ms("h.time");
        let mut beats = Vec::with_capacity(monitors.len());
        for part in monitors.chunks(LAST_BATCH) {
            let ids: Vec<i64> = part.iter().map(|monitor| monitor.0).collect();
            // One jump per monitor through the index (monitor_id, time, id).
            let sql = format!(
                "SELECT h.monitor_id, h.status, h.important, {time} AS time_ms, h.down_count, h.retries, h.msg, \
                 h.ping FROM monitor m JOIN heartbeat h ON h.id = (SELECT l.id FROM heartbeat l{hint} \
                 WHERE l.monitor_id = m.id ORDER BY l.time DESC, l.id DESC LIMIT 1) WHERE m.id IN ({})",
                id_list(&ids)
            );
            for row in lease.rows(act, Sql::Once(sql), vec![]).await? {
                beats.push(last_beat(&row)?);
            }
        }
        Ok(beats)
    }

    /// Stores those of these beats whose monitor this process still owns, in one guarded statement; says how many.
    /// Never retried here: the caller looks at its lease again first.
    pub async fn store_beats(
        &self,
        node: &NodeId,
        incarnation: Incarnation,
        beats: &[Beat],
    ) -> Result<u64, StoreError> {
        if beats.is_empty() {
            return Ok(0);
        }
        let keeps_response = self.catalog().await?.has_column("heartbeat", "response");
        let mut lease = self.lease("store beats").await?;
        let sql = guarded_insert(self.dialect(), keeps_response);
        let values = values![as_json(beats), node, incarnation];
        lease.execute("store beats", sql, values).await
    }
}

fn last_beat(row: &Row) -> Result<LastBeat, StoreError> {
    let code = row.int("status")?;
    let status = BeatStatus::from_code(code);
    Ok(LastBeat {
        monitor: MonitorId(row.int("monitor_id")?),
        status: status.ok_or_else(|| StoreError::unreadable("read the last beats", "status", code))?,
        important: row.flag("important")?,
        time: row.wall("time_ms")?,
        down_count: row.small("down_count")?,
        retries: row.small("retries")?,
        msg: row.text("msg")?,
        ping_ms: row.maybe_int("ping")?,
    })
}

/// The node's row is looked at first, then the assignments, both under a shared lock that lasts until the beats are
/// committed: a decision that takes the monitors away comes either before, and nothing is stored, or after.
fn guarded_insert(dialect: Dialect, keeps_response: bool) -> String {
    let (column, value) = if keeps_response { (", response", ", b.response") } else { ("", "") };
    // Bound first to last: the beats, the node, its incarnation. Only this order of tables keeps the order of locks.
    format!(
        "INSERT INTO heartbeat (monitor_id, status, important, msg, time, ping, duration, down_count, retries, \
         end_time{column}) \
         SELECT b.monitor_id, b.status, b.important, b.msg, b.time, b.ping, b.duration, b.down_count, b.retries, \
         b.end_time{value} FROM {node_first} {straight} komainu_assignment a ON a.monitor_id = b.monitor_id \
         {straight} monitor m ON m.id = a.monitor_id \
         WHERE n.node_id = ? AND n.incarnation = ? AND a.effective_node = n.node_id AND m.active = 1{lock}",
        node_first = format_args!("node n {} {}", dialect.straight(), rows_of_json(dialect)),
        straight = dialect.straight(),
        lock = dialect.in_share_mode(),
    )
}

/// The bound JSON array as a table `b`, in the array's order.
fn rows_of_json(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MariaDb => {
            "JSON_TABLE(?, '$[*]' COLUMNS (monitor_id BIGINT PATH '$.m', status INT PATH '$.s', \
             important INT PATH '$.i', msg TEXT CHARACTER SET utf8mb4 PATH '$.t', \
             time VARCHAR(30) PATH '$.b', ping BIGINT PATH '$.p', duration INT PATH '$.d', down_count INT PATH '$.c', \
             retries INT PATH '$.r', end_time VARCHAR(30) PATH '$.e', \
             response MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.x')) b"
        }
        Dialect::Sqlite => {
            "(SELECT value ->> 'm' AS monitor_id, value ->> 's' AS status, value ->> 'i' AS important, \
             value ->> 't' AS msg, value ->> 'b' AS time, value ->> 'p' AS ping, value ->> 'd' AS duration, \
             value ->> 'c' AS down_count, value ->> 'r' AS retries, value ->> 'e' AS end_time, \
             value ->> 'x' AS response FROM json_each(?)) b"
        }
    }
}

/// By rising monitor, so that two writers lock in one order.
fn as_json(beats: &[Beat]) -> String {
    let mut sorted: Vec<&Beat> = beats.iter().collect();
    sorted.sort_by_key(|beat| (beat.monitor, beat.time));
    Json::Array(sorted.into_iter().map(beat_json).collect()).to_string()
}

/// NULL is a key that is missing: both databases read it alike.
fn beat_json(beat: &Beat) -> Json {
    let response = beat.response.as_ref().filter(|text| text.len() <= LONGEST_RESPONSE);
    let cells = [
        ("m", Some(json!(beat.monitor.0))),
        ("s", Some(json!(beat.status.code()))),
        ("i", Some(json!(i64::from(beat.important)))),
        ("t", Some(json!(beat.msg.chars().take(LONGEST_MESSAGE).collect::<String>()))),
        ("b", Some(json!(datetime(beat.time)))),
        ("p", beat.ping_ms.map(|ping| json!(ping))),
        ("d", Some(json!(beat.duration_s))),
        ("c", Some(json!(beat.down_count))),
        ("r", Some(json!(beat.retries))),
        ("e", Some(json!(datetime(beat.end_time)))),
        ("x", response.map(|text| json!(text))),
    ];
    Json::Object(cells.into_iter().filter_map(|(key, cell)| Some((key.to_owned(), cell?))).collect())
}

/// As Kuma writes it: UTC, with milliseconds. MariaDB's DATETIME keeps the seconds of it.
fn datetime(at: Wall) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_kuma_writes_it() {
        assert_eq!(datetime(Wall(1_763_800_000_250)), "2025-11-22 08:26:40.250");
        assert_eq!(datetime(Wall(1_763_800_000_000)), "2025-11-22 08:26:40.000");
    }
}
