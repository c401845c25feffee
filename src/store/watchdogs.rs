//! Watchdogs as operators see them.

use komainu_watchdogs::facts::WatchdogRow;
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use serde_json::json;

use super::audit;
use super::error::StoreError;
use super::hands::deed;
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::value::values;
use super::watch::watchdog_row;

/// A watchdog with what only people want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchdogInfo {
    /// Its row.
    pub row: WatchdogRow,
    /// The host it runs on.
    pub hostname: String,
    /// Of its program.
    pub version: String,
}

/// All registered watchdogs.
pub async fn list(store: &Store) -> Result<Vec<WatchdogInfo>, StoreError> {
    let act = "read the watchdogs";
    let sql = "SELECT watchdog_id, incarnation, seq, zone, advertise, hostname, version, isolated, stopped, last_seen \
         FROM komainu_watchdog ORDER BY watchdog_id";
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    rows.iter()
        .map(|row| {
            let (hostname, version) = (row.text("hostname")?, row.text("version")?);
            Ok(WatchdogInfo { row: watchdog_row(row)?, hostname, version })
        })
        .collect()
}

/// What is known of a row that is to go: one that moved since is a living watchdog's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stillness {
    /// The process that wrote it.
    pub incarnation: Incarnation,
    /// Its counter.
    pub seq: u64,
}

/// Forgets one, with its observations; `false`: there was none, or its row moved. A living one registers again at once.
pub async fn remove(store: &Store, watchdog: &WatchdogId, seen: Stillness, by: &str) -> Result<bool, StoreError> {
    in_transaction!(store, "remove a watchdog", |session| remove_in(session, watchdog, seen, by).await)
}

async fn remove_in(
    session: &mut Session,
    watchdog: &WatchdogId,
    seen: Stillness,
    by: &str,
) -> Result<bool, StoreError> {
    let act = "remove a watchdog";
    // In the order in which the watchdog itself writes: its row first.
    let row = "DELETE FROM komainu_watchdog WHERE watchdog_id = ? AND incarnation = ? AND seq = ?";
    let found = session.execute(act, row, values![watchdog, seen.incarnation, seen.seq]).await? == 1;
    let observations = "DELETE FROM komainu_observation WHERE watchdog_id = ? \
         AND NOT EXISTS (SELECT 1 FROM komainu_watchdog w WHERE w.watchdog_id = ?)";
    session.execute(act, observations, values![watchdog, watchdog]).await?;
    session.execute(act, "DELETE FROM komainu_intake WHERE watchdog_id = ?", values![watchdog]).await?;
    if !found {
        return Ok(false);
    }
    let before = json!({"incarnation": seen.incarnation, "seq": seen.seq});
    audit::append_in(session, &deed(by, "watchdog.remove", watchdog.as_str(), Some(before), None)).await?;
    Ok(true)
}
