//! Watchdogs as operators see them.

use komainu_watchdogs::facts::WatchdogRow;
use komainu_watchdogs::ids::WatchdogId;

use super::error::StoreError;
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

/// Forgets one, with its observations; `false`: there was none. A living one registers again at once.
pub async fn remove(store: &Store, watchdog: &WatchdogId) -> Result<bool, StoreError> {
    in_transaction!(store, "remove a watchdog", |session| remove_in(session, watchdog).await)
}

async fn remove_in(session: &mut Session, watchdog: &WatchdogId) -> Result<bool, StoreError> {
    let act = "remove a watchdog";
    // In the order in which the watchdog itself writes: its row first.
    let row = "DELETE FROM komainu_watchdog WHERE watchdog_id = ?";
    let found = session.execute(act, row, values![watchdog]).await? == 1;
    let observations = "DELETE FROM komainu_observation WHERE watchdog_id = ?";
    session.execute(act, observations, values![watchdog]).await?;
    Ok(found)
}
