//! Reads who runs what: counted for each round, in full for the planner.

use komainu_watchdogs::facts::{MonitorRow, Shard, ShardGroup, Source};
use komainu_watchdogs::ids::{Generation, MonitorId};

use super::error::StoreError;
use super::session::Session;
use super::value::Row;
use super::watch::stamp;

const ACT: &str = "read the assignments";

/// Assigned monitors, counted by likeness.
pub(crate) async fn groups(session: &mut Session) -> Result<Vec<ShardGroup>, StoreError> {
    let sql = "SELECT a.node_id, a.effective_node, a.source_node, a.source_incarnation, a.released_at, a.pinned, \
         (m.type = 'push') AS is_push, COUNT(CASE WHEN m.active = 1 THEN 1 END) AS active, COUNT(*) AS monitors \
         FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
         GROUP BY a.node_id, a.effective_node, a.source_node, a.source_incarnation, a.released_at, a.pinned, \
         (m.type = 'push')";
    let rows = session.rows(ACT, sql, vec![]).await?;
    rows.iter().map(group).collect()
}

fn group(row: &Row) -> Result<ShardGroup, StoreError> {
    Ok(ShardGroup {
        home: row.maybe_node("node_id")?,
        effective: row.maybe_node("effective_node")?,
        source: source(row)?,
        pinned: row.flag("pinned")?,
        is_push: row.flag("is_push")?,
        active: row.small("active")?,
        monitors: row.small("monitors")?,
    })
}

fn source(row: &Row) -> Result<Option<Source>, StoreError> {
    let (node, incarnation) = (row.maybe_node("source_node")?, row.maybe_hex("source_incarnation")?);
    let (Some(node), Some(incarnation)) = (node, incarnation) else { return Ok(None) };
    Ok(Some(Source { node, incarnation, released_at: Generation(row.count("released_at")?) }))
}

/// Monitors without an assignment, and assignments without a monitor.
pub(crate) async fn unmatched(session: &mut Session, groups: &[ShardGroup]) -> Result<(u32, u32), StoreError> {
    let sql = "SELECT (SELECT COUNT(*) FROM monitor) AS monitors, \
         (SELECT COUNT(*) FROM komainu_assignment) AS assignments";
    let Some(row) = session.row(ACT, sql, vec![]).await? else { return Ok((0, 0)) };
    // Of the same snapshot as the groups, which hold exactly the pairs.
    let pairs = groups.iter().map(|group| group.monitors).sum::<u32>();
    Ok((row.small("monitors")?.saturating_sub(pairs), row.small("assignments")?.saturating_sub(pairs)))
}

/// All monitors with their assignments.
pub(crate) async fn read(session: &mut Session) -> Result<Shard, StoreError> {
    let head = session.row(ACT, "SELECT generation, nonce FROM komainu_cluster WHERE id = 1", vec![]).await?;
    let stamp = stamp(&head.ok_or(StoreError::SchemaMissing)?)?;
    let sql = "SELECT m.id, m.type, m.`interval`, m.active, a.monitor_id, a.node_id, a.effective_node, a.pinned, \
         a.source_node, a.source_incarnation, a.released_at \
         FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id ORDER BY m.id";
    let rows = session.rows(ACT, sql, vec![]).await?;
    let monitors = rows.iter().map(monitor).collect::<Result<_, _>>()?;
    Ok(Shard { stamp, monitors })
}

fn monitor(row: &Row) -> Result<MonitorRow, StoreError> {
    Ok(MonitorRow {
        monitor: MonitorId(row.int("id")?),
        kind: row.text("type")?,
        interval_s: row.small("interval")?,
        active: row.flag("active")?,
        is_placed: row.maybe_int("monitor_id")?.is_some(),
        home: row.maybe_node("node_id")?,
        effective: row.maybe_node("effective_node")?,
        pinned: row.flag("pinned")?,
        source: source(row)?,
    })
}
