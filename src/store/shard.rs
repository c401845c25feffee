//! Reads who runs what: counted for each round, in full for the planner.

use komainu_watchdogs::facts::{MonitorRow, Shard, ShardGroup, Source};
use komainu_watchdogs::ids::{Generation, MonitorId};

use super::error::StoreError;
use super::session::Session;
use super::value::Row;
use super::watch::stamp;

const ACT: &str = "read the assignments";

/// All monitors, counted by likeness, and how many assignments are left over from monitors that are gone.
pub(crate) async fn groups(session: &mut Session) -> Result<(Vec<ShardGroup>, u32), StoreError> {
    let sql = "SELECT a.node_id, a.effective_node, a.source_node, a.source_incarnation, a.released_at, \
         COALESCE(a.pinned, 0) AS pinned, m.type, COUNT(CASE WHEN m.active = 1 THEN 1 END) AS active, \
         COUNT(*) AS monitors, COUNT(a.monitor_id) AS pairs \
         FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id \
         GROUP BY a.node_id, a.effective_node, a.source_node, a.source_incarnation, a.released_at, a.pinned, m.type";
    let rows = session.rows(ACT, sql, vec![]).await?;
    let groups = rows.iter().map(group).collect::<Result<_, _>>()?;
    let pairs = rows.iter().map(|row| row.small("pairs")).sum::<Result<u32, _>>()?;
    let sql = "SELECT COUNT(*) AS assignments FROM komainu_assignment";
    // Of the same snapshot as the pairs.
    let assignments = session.row(ACT, sql, vec![]).await?.map_or(Ok(0), |row| row.small("assignments"))?;
    Ok((groups, assignments.saturating_sub(pairs)))
}

fn group(row: &Row) -> Result<ShardGroup, StoreError> {
    Ok(ShardGroup {
        home: row.maybe_node("node_id")?,
        effective: row.maybe_node("effective_node")?,
        source: source(row)?,
        pinned: row.flag("pinned")?,
        kind: row.text("type")?,
        active: row.small("active")?,
        monitors: row.small("monitors")?,
    })
}

fn source(row: &Row) -> Result<Option<Source>, StoreError> {
    let (node, incarnation) = (row.maybe_node("source_node")?, row.maybe_hex("source_incarnation")?);
    let (Some(node), Some(incarnation)) = (node, incarnation) else { return Ok(None) };
    Ok(Some(Source { node, incarnation, released_at: Generation(row.count("released_at")?) }))
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
