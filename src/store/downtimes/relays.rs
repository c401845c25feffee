//! Who tells what a native node found of a monitor that has notifications of Kuma's: a stock node sends these, and where none
//! does, a watchdog takes it. The row of `komainu_relay` is the one's or the other's.
//!
//! When it is whose is [`komainu_watchdogs::downtime::ByKuma`]'s to say.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::downtime::{ByKuma, Relay, Taker};
use komainu_watchdogs::ids::MonitorId;

use crate::store::catalog::Catalog;
use crate::store::decisions::id_list;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};

/// In the place of a stock node's process: it is told through komainu's channels.
const KOMAINU: &str = "komainu";

/// A claim that was not renewed for so long is somebody's who was lost.
const CLAIM_MS: i64 = 60_000;

/// What is asked for beside the rest of a monitor `m`, whose note is `d`.
pub(super) fn columns(catalog: &Catalog, dialect: Dialect) -> String {
    if !catalog.has_notifications() {
        return ", 0 AS has_kumas, NULL AS changed_by".to_owned();
    }
    format!(
        ", EXISTS (SELECT 1 FROM monitor_notification x WHERE x.monitor_id = m.id) AS has_kumas, \
         CASE WHEN d.at IS NOT NULL THEN (SELECT MAX(c.id) FROM heartbeat c{changes} WHERE c.monitor_id = m.id \
         AND c.important = 1) END AS changed_by, \
         (SELECT r.beat FROM komainu_relay r WHERE r.monitor_id = m.id) AS relay_beat, \
         (SELECT r.holder FROM komainu_relay r WHERE r.monitor_id = m.id) AS relay_holder, \
         (SELECT r.at FROM komainu_relay r WHERE r.monitor_id = m.id) AS relay_at, \
         (SELECT r.is_done FROM komainu_relay r WHERE r.monitor_id = m.id) AS relay_done, \
         (SELECT MAX(s.last_seen_ms) FROM node s WHERE s.runner = 'kuma' AND s.incarnation IS NOT NULL) AS stock_seen_at, \
         {now} AS now_ms",
        changes = catalog.change_hint(),
        now = dialect.now_ms(),
    )
}

/// What Kuma's notifications do about a monitor.
pub(super) fn by_kuma(row: &Row) -> Result<ByKuma, StoreError> {
    if !row.flag("has_kumas")? {
        return Ok(ByKuma::No);
    }
    let changed_by = row.maybe_int("changed_by")?;
    let is_of_this = changed_by.is_some() && row.maybe_int("relay_beat")? == changed_by;
    let taker = match row.maybe_text("relay_holder")?.filter(|_| is_of_this) {
        None => Taker::Nobody,
        Some(holder) if holder == KOMAINU => Taker::Komainu,
        Some(_) if row.flag("relay_done")? => Taker::Sent,
        Some(_) => Taker::Sending(row.wall("relay_at")?),
    };
    let relay = Relay {
        found_at: row.maybe_wall("noted_at")?,
        runs_natively: row.maybe_text("runner")?.as_deref() == Some("native"),
        taker,
        stock_seen_at: row.maybe_wall("stock_seen_at")?,
    };
    Ok(ByKuma::of(&relay, row.wall("now_ms")?))
}

/// Takes these changes, by the beats that stored them; says which of the monitors a stock node has, or has told. The
/// caller is within a transaction: what it takes nobody tells beside it.
pub(super) async fn take(
    session: &mut Session,
    changes: &BTreeMap<MonitorId, i64>,
) -> Result<BTreeSet<MonitorId>, StoreError> {
    let act = "take over what Kuma's notifications do not tell";
    if changes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let dialect = session.dialect();
    let (ignore, now) = (dialect.insert_ignore(), dialect.now_ms());
    let ids: Vec<i64> = changes.keys().map(|monitor| monitor.0).collect();
    // Rows first: what is not there cannot be locked.
    let rows = vec!["(?, 0, '', 0, 1)"; ids.len()].join(", ");
    let sql = format!("{ignore} INTO komainu_relay (monitor_id, beat, holder, at, is_done) VALUES {rows}");
    session.execute(act, Sql::Once(sql), ids.iter().copied().map(Value::Int).collect()).await?;
    let sql = format!(
        "SELECT monitor_id, beat, holder, is_done, at, {now} AS now_ms FROM komainu_relay WHERE monitor_id IN ({}) \
         ORDER BY monitor_id{}",
        id_list(&ids),
        dialect.for_update()
    );
    let (mut taken, mut free) = (BTreeSet::new(), vec![]);
    for row in session.rows(act, Sql::Once(sql), vec![]).await? {
        let monitor = MonitorId(row.int("monitor_id")?);
        let is_of_this = changes.get(&monitor) == Some(&row.int("beat")?);
        let is_held = !row.flag("is_done")? && row.int("now_ms")? - row.int("at")? < CLAIM_MS;
        let is_told = is_of_this && row.flag("is_done")? && row.text("holder")? != KOMAINU;
        if is_held || is_told {
            taken.insert(monitor);
        } else {
            free.push(monitor);
        }
    }
    if !free.is_empty() {
        let ids: Vec<i64> = free.iter().map(|monitor| monitor.0).collect();
        let when = free.iter().map(|_| "WHEN ? THEN ?").collect::<Vec<_>>().join(" ");
        let sql = format!(
            "UPDATE komainu_relay SET beat = CASE monitor_id {when} END, holder = '{KOMAINU}', at = {now}, is_done = 1 \
             WHERE monitor_id IN ({})",
            id_list(&ids)
        );
        let beats = free.iter().filter_map(|monitor| Some(values![monitor.0, *changes.get(monitor)?]));
        session.execute(act, Sql::Once(sql), beats.flatten().collect()).await?;
    }
    Ok(taken)
}
