//! Reads who runs what: counted for each round (`counts`), in full for the planner.

mod counts;

pub(crate) use counts::Counts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::facts::{MonitorRow, Shard, ShardGroup, Source};
use komainu_watchdogs::ids::{Generation, MonitorId};

use super::error::StoreError;
use super::only_kuma;
use super::session::Session;
use super::value::Row;
use super::watch::{stamp, text_list};

const ACT: &str = "read the assignments";

/// Monitors of which Kuma's own notifications tell.
const TOLD_BY_KUMA: &str = "SELECT DISTINCT monitor_id FROM monitor_notification";
const NOTHING: &str = "SELECT monitor_id FROM komainu_relay WHERE 1 = 0";

/// A tag of this name in Kuma's own UI names the labels that a monitor's node must bear.
pub(super) const TAG: &str = "run_on";

fn group(row: &Row) -> Result<ShardGroup, StoreError> {
    Ok(ShardGroup {
        home: row.maybe_node("node_id")?,
        effective: row.maybe_node("effective_node")?,
        source: source(row)?,
        pinned: row.flag("pinned")?,
        asked: row.flag("asked")?,
        kind: row.text("type")?,
        run_on: run_on(row)?,
        only_kuma: row.flag("only_kuma")?,
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
    let said: Vec<String> = text_list(&row.maybe_text("run_on")?.unwrap_or_default());
    let tagged = row.maybe_text("tagged")?.unwrap_or_default();
    Ok(said.into_iter().chain(labels_of(&tagged)).collect::<BTreeSet<_>>().into_iter().collect())
}

fn labels_of(tagged: &str) -> impl Iterator<Item = String> {
    tagged.split(',').map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned)
}

/// What a monitor of these asks of its node: as komainu's clients say it, and as people say it in Kuma's UI.
const AFFINITY_WITHIN: &str = "LEFT JOIN komainu_monitor k ON k.monitor_id = m.id AND k.run_on IS NOT NULL \
     LEFT JOIN (SELECT p.monitor_id, GROUP_CONCAT(p.value) AS tagged FROM tag g JOIN monitor_tag p ON p.tag_id = g.id \
     WHERE g.name = ? AND {inside} GROUP BY p.monitor_id) t ON t.monitor_id = m.id";

/// All monitors with their assignments, in one snapshot; on MariaDB in one round trip.
///
/// Each table is read by itself and put together here: for the server that is a third of the work of a join, and no
/// statement takes long. `has_notifications`: Kuma made the tables, its notifications among them.
pub(crate) async fn read(session: &mut Session, limit: Duration, has_notifications: bool) -> Result<Shard, StoreError> {
    let tagged = format!(
        "SELECT p.monitor_id, p.value FROM tag g JOIN monitor_tag p ON p.tag_id = g.id WHERE g.name = '{TAG}' \
         ORDER BY p.monitor_id"
    );
    let only_kuma = only_kuma::statement();
    let statements = [
        "SELECT generation, nonce FROM komainu_cluster WHERE id = 1",
        "SELECT id, type, `interval`, active FROM monitor ORDER BY id",
        "SELECT monitor_id, node_id, effective_node, pinned, asked, source_node, source_incarnation, released_at \
         FROM komainu_assignment ORDER BY monitor_id",
        "SELECT monitor_id, run_on FROM komainu_monitor WHERE run_on IS NOT NULL ORDER BY monitor_id",
        &tagged,
        &only_kuma,
        if has_notifications { TOLD_BY_KUMA } else { NOTHING },
    ];
    let sets = session.snapshot_within(ACT, limit, &statements).await?;
    let [head, monitors, assignments, said, tagged, only_kuma, told] =
        <[Vec<Row>; 7]>::try_from(sets).map_err(|sets| StoreError::unreadable(ACT, "answers", sets.len()))?;
    let stamp = stamp(head.first().ok_or(StoreError::SchemaMissing)?)?;
    let (mut labels, only_kuma) = (labels(&said, &tagged)?, only_kuma::of(&only_kuma)?);
    let told = told.iter().map(|row| row.int("monitor_id")).collect::<Result<BTreeSet<_>, _>>()?;
    let mut assignments = assignments.into_iter().peekable();
    let mut rows = Vec::with_capacity(monitors.len());
    for row in monitors {
        let id = row.int("id")?;
        // Both are sorted: assignments of monitors that are gone are passed over.
        while let Some(other) = assignments.peek()
            && other.int("monitor_id")? < id
        {
            assignments.next();
        }
        let is_its = |other: &Row| other.int("monitor_id").is_ok_and(|monitor| monitor == id);
        let assignment = assignments.next_if(is_its);
        let run_on = labels.remove(&id).unwrap_or_default().into_iter().collect();
        let read = monitor(&row, assignment.as_ref(), run_on)?;
        rows.push(MonitorRow { only_kuma: only_kuma.contains(&id), kuma_tells: told.contains(&id), ..read });
    }
    Ok(Shard { stamp, monitors: rows })
}

/// What monitors ask of their nodes, by their keys.
fn labels(said: &[Row], tagged: &[Row]) -> Result<BTreeMap<i64, BTreeSet<String>>, StoreError> {
    let mut labels: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for row in said {
        labels.entry(row.int("monitor_id")?).or_default().extend(text_list(&row.text("run_on")?));
    }
    for row in tagged {
        let value = row.maybe_text("value")?.unwrap_or_default();
        labels.entry(row.int("monitor_id")?).or_default().extend(labels_of(&value));
    }
    Ok(labels)
}

fn monitor(row: &Row, assignment: Option<&Row>, run_on: Vec<String>) -> Result<MonitorRow, StoreError> {
    let node = |column| assignment.map_or(Ok(None), |row| row.maybe_node(column));
    let flag = |column| assignment.map_or(Ok(false), |row| row.flag(column));
    Ok(MonitorRow {
        monitor: MonitorId(row.int("id")?),
        kind: row.text("type")?,
        interval_s: row.small("interval")?,
        active: row.flag("active")?,
        is_placed: assignment.is_some(),
        home: node("node_id")?,
        effective: node("effective_node")?,
        pinned: flag("pinned")?,
        asked: flag("asked")?,
        run_on,
        only_kuma: false,
        kuma_tells: false,
        source: assignment.map_or(Ok(None), source)?,
    })
}
