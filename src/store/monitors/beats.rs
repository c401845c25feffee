//! A monitor's beats, as people read them. Those of native nodes and of Kuma's look alike.

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use crate::store::Page;
use crate::store::beats::BeatStatus;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::values;

/// A beat as people read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownBeat {
    /// The row's key.
    pub id: i64,
    /// What was found.
    pub status: BeatStatus,
    /// The state changed with it.
    pub important: bool,
    /// When the run began.
    pub time: Wall,
    /// What the run found, in words for people.
    pub msg: String,
    /// How long the target took.
    pub ping_ms: Option<i64>,
    /// Seconds since the beat before.
    pub duration_s: i64,
    /// Retries so far.
    pub retries: u32,
}

/// A monitor's beats, the latest first.
pub async fn beats(
    store: &Store,
    id: MonitorId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<ShownBeat>, StoreError> {
    let act = "read beats";
    let hint = store.catalog().await?.beat_hint();
    let time = store.dialect().datetime_ms("h.time");
    let (after, values) = match cursor {
        Some(cursor) => {
            let (at, key) = place(cursor)?;
            (format!(" AND ({time} < ? OR ({time} = ? AND h.id < ?))"), values![id, at, at, key])
        }
        None => (String::new(), values![id]),
    };
    let sql = format!(
        "SELECT h.id, h.status, h.important, {time} AS time_ms, h.msg, h.ping, h.duration, h.retries \
         FROM heartbeat h{hint} WHERE h.monitor_id = ?{after} ORDER BY h.time DESC, h.id DESC LIMIT {}",
        limit.saturating_add(1)
    );
    let rows = store.lease(act).await?.rows(act, sql, values).await?;
    let beats = rows.iter().map(|row| {
        let code = row.int("status")?;
        Ok(ShownBeat {
            id: row.int("id")?,
            status: BeatStatus::from_code(code).ok_or_else(|| StoreError::unreadable(act, "status", code))?,
            important: row.flag("important")?,
            time: row.wall("time_ms")?,
            msg: row.text("msg")?,
            ping_ms: row.maybe_int("ping")?,
            duration_s: row.maybe_int("duration")?.unwrap_or(0),
            retries: row.small("retries")?,
        })
    });
    let beats = beats.collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Page::cut(beats, limit, |beat| format!("{}.{}", beat.time.0, beat.id)))
}

fn place(cursor: &str) -> Result<(i64, i64), StoreError> {
    let parts = cursor.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    parts.ok_or_else(|| StoreError::UnknownCursor(cursor.to_owned()))
}
