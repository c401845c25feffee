//! Monitors at whose targets a native node cannot look and a stock Kuma can: what native nodes found, and of which target.
//!
//! A row speaks only of the target that was found so: once the monitor has another address, or judges certificates otherwise, it
//! says nothing, whoever edited it. At most a row per monitor. What follows from it is the planner's to say.

use std::collections::BTreeSet;

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};

use super::decisions::id_list;
use super::error::StoreError;
use super::session::{Session, Sql};
use super::value::{Row, values};

/// More than this are not looked at: so many servers that only OpenSSL can speak to are a plan's business, not a planner's.
const MOST: u32 = 10_000;

const ACT: &str = "read which monitors only a stock Kuma can run";

/// What says it: compared here, because two tables' texts need not have one collation.
pub(super) fn statement() -> String {
    format!(
        "SELECT o.monitor_id, o.url, o.ignore_tls, m.url AS url_now, m.ignore_tls AS ignore_tls_now \
         FROM komainu_only_kuma o JOIN monitor m ON m.id = o.monitor_id ORDER BY o.monitor_id LIMIT {MOST}"
    )
}

/// Those of these rows that still speak of their monitor's target.
pub(super) fn of(rows: &[Row]) -> Result<BTreeSet<i64>, StoreError> {
    let mut found = BTreeSet::new();
    for row in rows {
        let is_same_address = row.maybe_text("url")? == row.maybe_text("url_now")?;
        if is_same_address && row.flag("ignore_tls")? == row.flag("ignore_tls_now")? {
            found.insert(row.int("monitor_id")?);
        }
    }
    Ok(found)
}

/// The monitors of which it is so now.
pub(super) async fn read(session: &mut Session) -> Result<BTreeSet<i64>, StoreError> {
    of(&session.rows(ACT, statement(), vec![]).await?)
}

/// A node found it of these; only of what is this process's.
pub(super) async fn note(
    session: &mut Session,
    (node, incarnation): (&NodeId, Incarnation),
    monitors: &BTreeSet<MonitorId>,
) -> Result<(), StoreError> {
    let act = "note which monitors only a stock Kuma can run";
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    forget(session, &ids).await?;
    let sql = format!(
        "INSERT INTO komainu_only_kuma (monitor_id, url, ignore_tls) SELECT m.id, m.url, m.ignore_tls FROM monitor m \
         JOIN komainu_assignment a ON a.monitor_id = m.id JOIN node n ON n.node_id = a.effective_node \
         WHERE m.id IN ({}) AND n.node_id = ? AND n.incarnation = ? ORDER BY m.id",
        id_list(&ids)
    );
    session.execute(act, Sql::Once(sql), values![node, incarnation]).await.map(drop)
}

/// It is to be found out anew.
pub(super) async fn forget(session: &mut Session, monitors: &[i64]) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM komainu_only_kuma WHERE monitor_id IN ({})", id_list(monitors));
    session.execute("forget which monitors only a stock Kuma can run", Sql::Once(sql), vec![]).await.map(drop)
}
