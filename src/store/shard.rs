//! Reads who runs what: counted for each round (`counts`), in full for the planner.

mod counts;

pub(crate) use counts::Counts;

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::facts::{MonitorRow, Shard, ShardGroup, Source};
use komainu_watchdogs::ids::{Generation, MonitorId};

use super::error::StoreError;
use super::session::Session;
use super::value::Row;
use super::watch::{kinds, stamp};

const ACT: &str = "read the assignments";

/// A tag of this name in Kuma's own UI names the labels that a monitor's node must bear.
pub(super) const TAG: &str = "run_on";

/// What a monitor asks of its node: as komainu's clients say it, and as people say it in Kuma's UI.
pub(super) const AFFINITY: &str = "LEFT JOIN komainu_monitor k ON k.monitor_id = m.id AND k.run_on IS NOT NULL \
     LEFT JOIN (SELECT p.monitor_id, GROUP_CONCAT(p.value) AS tagged FROM tag g JOIN monitor_tag p ON p.tag_id = g.id \
     WHERE g.name = ? GROUP BY p.monitor_id) t ON t.monitor_id = m.id";

fn group(row: &Row) -> Result<ShardGroup, StoreError> {
    Ok(ShardGroup {
        home: row.maybe_node("node_id")?,
        effective: row.maybe_node("effective_node")?,
        source: source(row)?,
        pinned: row.flag("pinned")?,
        asked: row.flag("asked")?,
        kind: row.text("type")?,
        run_on: run_on(row)?,
        active: row.small("active")?,
        monitors: row.small("monitors")?,
        first: row.maybe_int("first")?.map(MonitorId),
        nobodys: Vec::new(),
    })
}

fn source(row: &Row) -> Result<Option<Source>, StoreError> {
    let (node, incarnation) = (row.maybe_node("source_node")?, row.maybe_hex("source_incarnation")?);
    let (Some(node), Some(incarnation)) = (node, incarnation) else { return Ok(None) };
    Ok(Some(Source { node, incarnation, released_at: Generation(row.count("released_at")?) }))
}

/// The labels that a monitor's node must bear: a JSON list, and the values of its tags, each a list with commas.
pub(super) fn run_on(row: &Row) -> Result<Vec<String>, StoreError> {
    let said: Vec<String> = kinds(&row.maybe_text("run_on")?.unwrap_or_default());
    let tagged = row.maybe_text("tagged")?.unwrap_or_default();
    let tagged = tagged.split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned);
    Ok(said.into_iter().chain(tagged).collect::<BTreeSet<_>>().into_iter().collect())
}

/// The same, of some monitors only.
const AFFINITY_WITHIN: &str = "LEFT JOIN komainu_monitor k ON k.monitor_id = m.id AND k.run_on IS NOT NULL \
     LEFT JOIN (SELECT p.monitor_id, GROUP_CONCAT(p.value) AS tagged FROM tag g JOIN monitor_tag p ON p.tag_id = g.id \
     WHERE g.name = ? AND {inside} GROUP BY p.monitor_id) t ON t.monitor_id = m.id";

/// All monitors with their assignments, in one snapshot; on MariaDB in one round trip.
pub(crate) async fn read(session: &mut Session, limit: Duration) -> Result<Shard, StoreError> {
    let affinity = AFFINITY.replacen('?', &format!("'{TAG}'"), 1);
    let sql = format!(
        "SELECT m.id, m.type, m.`interval`, m.active, a.monitor_id, a.node_id, a.effective_node, a.pinned, a.asked, \
         a.source_node, a.source_incarnation, a.released_at, k.run_on, t.tagged \
         FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id {affinity} ORDER BY m.id"
    );
    let head = "SELECT generation, nonce FROM komainu_cluster WHERE id = 1";
    let sets = session.snapshot_within(ACT, limit, &[head, &sql]).await?;
    let [head, rows] =
        <[Vec<Row>; 2]>::try_from(sets).map_err(|sets| StoreError::unreadable(ACT, "answers", sets.len()))?;
    let stamp = stamp(head.first().ok_or(StoreError::SchemaMissing)?)?;
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
        asked: row.flag("asked")?,
        run_on: run_on(row)?,
        source: source(row)?,
    })
}
