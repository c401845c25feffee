//! The history of accepted pushes, as people read it.

use komainu_watchdogs::time::Wall;

use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::values;
use crate::store::{Page, key_of_cursor};

/// One accepted push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushRow {
    /// The row's key.
    pub id: i64,
    /// Drawn for it.
    pub push_id: String,
    /// When it arrived, by the database's clock.
    pub at: Wall,
    /// The sender's time.
    pub time_us: i64,
    /// `ok`, `start` or `fail`.
    pub status: String,
    /// Of which run.
    pub run_id: Option<String>,
    /// How long the run took.
    pub duration_ms: Option<i64>,
    /// How it ended.
    pub exit_code: Option<i64>,
    /// What the program said, for people.
    pub message: Option<String>,
    /// Who took it.
    pub watchdog_id: String,
}

/// The pushes of a heartbeat, the latest first; not those of an earlier one of that name.
pub async fn list(store: &Store, name: &str, cursor: Option<&str>, limit: u32) -> Result<Page<PushRow>, StoreError> {
    let act = "read the pushes";
    let before = key_of_cursor(cursor)?.unwrap_or(i64::MAX);
    let sql = "SELECT id, push_id, at, time_us, status, run_id, duration_ms, exit_code, message, watchdog_id \
         FROM komainu_push WHERE name = ? AND id < ? AND at >= (SELECT created_at FROM komainu_heartbeat WHERE name = ?) \
         ORDER BY id DESC LIMIT ?";
    let rows = store.lease(act).await?.rows(act, sql, values![name, before, name, limit.saturating_add(1)]).await?;
    let items = rows.iter().map(|row| {
        Ok(PushRow {
            id: row.int("id")?,
            push_id: row.text("push_id")?,
            at: row.wall("at")?,
            time_us: row.int("time_us")?,
            status: row.text("status")?,
            run_id: row.maybe_text("run_id")?,
            duration_ms: row.maybe_int("duration_ms")?,
            exit_code: row.maybe_int("exit_code")?,
            message: row.maybe_text("message")?,
            watchdog_id: row.text("watchdog_id")?,
        })
    });
    let items = items.collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Page::cut(items, limit, |row| row.id.to_string()))
}
