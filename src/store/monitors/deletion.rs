//! Deleting a monitor: at once what makes it one, afterwards its history.
//!
//! The transaction takes the row, its assignment, its tags and every small thing that hangs on it, and notes that its
//! beats and statistics are yet to go. Those go in batches, by whoever sweeps first; a process that dies meanwhile leaves
//! the note. Nodes notice within one slice; a beat that comes later finds no owner and is not stored.

use komainu_watchdogs::ids::MonitorId;

use super::listing::select_on;
use super::writing::matches;
use super::{Refusal, trail, world};
use crate::store::catalog::Catalog;
use crate::store::cluster;
use crate::store::dependencies;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// Rows of history deleted at once: some milliseconds of locks.
const BATCH: u32 = 2_000;

/// What grows with each run: too much for one transaction.
const HISTORY: [&str; 4] = ["heartbeat", "stat_minutely", "stat_hourly", "stat_daily"];

/// The rest that hangs on a monitor, of Kuma's tables and ours. By name: other tables with such a column are somebody
/// else's, a team's own reports perhaps.
const HANGING: [&str; 13] = [
    "monitor_tag",
    "monitor_notification",
    "monitor_group",
    "monitor_maintenance",
    "monitor_tls_info",
    "notification_sent_history",
    "komainu_assignment",
    "komainu_monitor",
    "komainu_down",
    "komainu_only_kuma",
    "komainu_told",
    "komainu_relay",
    "komainu_opinion",
];

/// Deletes one, if it is still one of `if_match` (empty: whatever it is).
pub async fn delete(
    store: &Store,
    by: &str,
    id: MonitorId,
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    let catalog = store.catalog().await?;
    in_transaction!(store, "delete a monitor", |session| delete_in(session, &catalog, by, id, if_match).await)
}

async fn delete_in(
    session: &mut Session,
    catalog: &Catalog,
    by: &str,
    id: MonitorId,
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    let act = "delete a monitor";
    // A plan that still knows its assignment is refused, or comes first.
    cluster::lock(session).await?;
    world::lock(session, &[id].into()).await?;
    let found = select_on(session, catalog, " AND m.id = ?", values![id], 1).await?.into_iter().next();
    let Some(view) = found else { return Ok(Err(Refusal::Unknown)) };
    if !matches(if_match, &view) {
        return Ok(Err(Refusal::Stale));
    }
    trail::note_deletion(session, by, &view).await?;
    dependencies::forget(session, &format!("monitor/{id}")).await?;
    let now = session.dialect().now_ms();
    let sql = format!("INSERT INTO komainu_deletion (monitor_id, deleted_at) VALUES (?, {now})");
    session.execute(act, sql, values![id]).await?;
    for table in HANGING.into_iter().filter(|table| catalog.has_column(table, "monitor_id")) {
        session.execute(act, format!("DELETE FROM `{table}` WHERE monitor_id = ?"), values![id]).await?;
    }
    if catalog.has_column("monitor", "parent") {
        session.execute(act, "UPDATE monitor SET parent = NULL WHERE parent = ?", values![id]).await?;
    }
    let sql = match session.dialect() {
        // Kuma's foreign key would take all of its beats along, within this one transaction.
        Dialect::MariaDb => "SET STATEMENT foreign_key_checks = 0 FOR DELETE FROM monitor WHERE id = ?",
        Dialect::Sqlite => "DELETE FROM monitor WHERE id = ?",
    };
    session.execute(act, Sql::Once(sql.to_owned()), values![id]).await?;
    Ok(Ok(()))
}

/// Deletes at most one batch of the history of monitors that are gone; says how many rows. Call it again while it is
/// not 0.
pub async fn sweep(store: &Store) -> Result<u64, StoreError> {
    let act = "delete the history of a monitor";
    let catalog = store.catalog().await?;
    let mut lease = store.lease(act).await?;
    let sql = "SELECT monitor_id FROM komainu_deletion ORDER BY deleted_at LIMIT 1";
    let Some(row) = lease.row(act, sql, vec![]).await? else { return Ok(0) };
    let id = row.int("monitor_id")?;
    for table in HISTORY.into_iter().filter(|table| catalog.has_table(table)) {
        let sql = match lease.dialect() {
            // With a subquery it would read the whole table for each batch.
            Dialect::MariaDb => format!("DELETE FROM {table} WHERE monitor_id = ? LIMIT {BATCH}"),
            Dialect::Sqlite => {
                format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE monitor_id = ? LIMIT {BATCH})")
            }
        };
        let gone = lease.execute(act, sql, values![id]).await?;
        if gone > 0 {
            return Ok(gone);
        }
    }
    lease.execute(act, "DELETE FROM komainu_deletion WHERE monitor_id = ?", values![id]).await
}
