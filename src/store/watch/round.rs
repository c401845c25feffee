//! Reads one round: the small tables that leases hang on, as rows of the decision core.

use komainu_watchdogs::facts::{
    ClusterRow, LeaderRow, LeaseLock, Mode, NodeRow, NodeStatus, Overlay, Round, WatchdogRow,
};
use komainu_watchdogs::ids::{Epoch, Generation, Stamp, WatchdogId, Zone};
use komainu_watchdogs::time::Mono;

use super::{observations, own_row};
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::session::Session;
use crate::store::tenure::lock_of;
use crate::store::value::Row;

const ACT: &str = "read the round";

/// All of it in one snapshot; on MariaDB in one round trip.
pub(super) async fn read(session: &mut Session, me: &WatchdogId) -> Result<Round, StoreError> {
    let heads = format!(
        "SELECT c.mode, c.frozen, c.pinned_node, c.generation, c.nonce, l.epoch, l.holder, l.watchdog_id, l.renewals, l.server, {} AS now \
         FROM komainu_cluster c JOIN komainu_leader l ON l.id = c.id WHERE c.id = 1",
        session.dialect().now_ms()
    );
    let nodes = nodes(session.dialect());
    let sets = session.snapshot(ACT, &[&heads, &nodes, WATCHDOGS]).await?;
    let [heads, nodes, watchdogs] =
        <[Vec<Row>; 3]>::try_from(sets).map_err(|sets| StoreError::unreadable(ACT, "answers", sets.len()))?;
    let head = heads.first().ok_or(StoreError::SchemaMissing)?;
    session.follow(head.maybe_text("server")?.as_deref());
    let mut observations = Vec::new();
    let (mut rows, mut own) = (Vec::new(), None);
    for row in &watchdogs {
        let watchdog = watchdog_row(row)?;
        if watchdog.watchdog == *me {
            own = Some(own_row::counter(row)?);
        }
        observations.extend(observations::of_row(&watchdog, &row.text("words")?));
        rows.push(watchdog);
    }
    Ok(Round {
        began_at: Mono::default(),
        ended_at: Mono::default(),
        database_time: head.wall("now")?,
        cluster: cluster_row(head)?,
        leader: leader_row(head)?,
        watchdogs: rows,
        own,
        nodes: nodes.iter().map(node_row).collect::<Result<_, _>>()?,
        observations,
    })
}

const WATCHDOGS: &str = "SELECT watchdog_id, incarnation, seq, zone, advertise, isolated, stopped, last_seen, words, \
     born, writes, lost_answered, lost_kept, lost_kept_at \
     FROM komainu_watchdog ORDER BY watchdog_id";

pub(in crate::store) fn cluster_row(row: &Row) -> Result<ClusterRow, StoreError> {
    let mode = if row.text("mode")? == "observe" { Mode::Observe } else { Mode::Active };
    let pinned_node = row.maybe_node("pinned_node")?;
    Ok(ClusterRow { mode, frozen: row.flag("frozen")?, pinned_node, stamp: stamp(row)? })
}

pub(in crate::store) fn stamp(row: &Row) -> Result<Stamp, StoreError> {
    Ok(Stamp { generation: Generation(row.count("generation")?), nonce: row.hex("nonce")? })
}

pub(in crate::store) fn leader_row(row: &Row) -> Result<LeaderRow, StoreError> {
    Ok(LeaderRow {
        epoch: Epoch(row.count("epoch")?),
        holder: row.maybe_hex("holder")?,
        watchdog: row.maybe_text("watchdog_id")?.map(WatchdogId::from),
        renewals: row.count("renewals")?,
    })
}

pub(in crate::store) fn watchdog_row(row: &Row) -> Result<WatchdogRow, StoreError> {
    Ok(WatchdogRow {
        watchdog: WatchdogId::from(row.text("watchdog_id")?),
        incarnation: row.hex("incarnation")?,
        seq: row.count("seq")?,
        zone: Zone::from(row.text("zone")?),
        advertise: row.text("advertise")?,
        isolated: row.flag("isolated")?,
        stopped: row.flag("stopped")?,
        last_seen: row.wall("last_seen")?,
    })
}

/// A restored database may have the number of an acknowledgement, but not with this nonce.
fn nodes(dialect: Dialect) -> String {
    let is_held = match dialect {
        Dialect::MariaDb => format!("IS_USED_LOCK({}) IS NOT NULL", lock_of("n.incarnation")),
        Dialect::Sqlite => "0".to_owned(),
    };
    format!(
        "SELECT n.node_id, n.address, n.status, n.komainu_status, n.overlay, n.incarnation, n.is_released, \
         n.lease_seq, n.applied_generation, n.applied_nonce, g.generation AS known, n.weight, n.capacity, n.kinds, \
         n.labels, n.drains_pinned, n.runner, CASE WHEN n.had_lock = 1 THEN {is_held} END AS has_lock, \
         n.losses, n.lost_at_ms, n.emptied, n.recover_asked, n.foreign_beats, n.last_seen_ms, \
         CASE WHEN n.noting_incarnation = n.incarnation \
         THEN n.clock_off_ms ELSE n.clock_ms - n.last_seen_ms END AS clock_off_ms FROM node n \
         LEFT JOIN komainu_generation g ON g.generation = n.applied_generation AND g.nonce = n.applied_nonce \
         ORDER BY n.node_id"
    )
}

fn lease_lock(row: &Row) -> Result<LeaseLock, StoreError> {
    Ok(match row.maybe_int("has_lock")? {
        None => LeaseLock::Unknown,
        Some(0) => LeaseLock::Free,
        Some(_) => LeaseLock::Held,
    })
}

fn node_row(row: &Row) -> Result<NodeRow, StoreError> {
    let decided = row.maybe_text("komainu_status")?;
    let stands = row.maybe_text("status")?;
    Ok(NodeRow {
        node: row.node("node_id")?,
        address: row.text("address")?,
        status: decided.as_deref().and_then(NodeStatus::parse).unwrap_or_default(),
        // A status that komainu has not decided yet is the fork's own, from before.
        has_foreign_status: decided.is_some() && stands != decided,
        overlay: overlay(&row.text("overlay")?),
        incarnation: row.maybe_hex("incarnation")?,
        is_released: row.flag("is_released")?,
        lease_seq: row.count("lease_seq")?,
        lock: lease_lock(row)?,
        applied: applied(row)?,
        applied_is_known: row.maybe_int("known")?.is_some(),
        weight: row.small("weight")?,
        capacity: row.maybe_int("capacity")?.map(|_| row.small("capacity")).transpose()?,
        kinds: text_list(&row.text("kinds")?),
        labels: text_list(&row.maybe_text("labels")?.unwrap_or_default()),
        drains_pinned: row.flag("drains_pinned")?,
        is_native: row.maybe_text("runner")?.as_deref() == Some("native"),
        losses: row.small("losses")?,
        lost_at: row.maybe_wall("lost_at_ms")?,
        emptied: row.maybe_hex("emptied")?,
        recover_asked: row.flag("recover_asked")?,
        foreign_beats: row.count("foreign_beats")?,
        clock_off_ms: row.maybe_int("clock_off_ms")?,
        last_seen: row.maybe_wall("last_seen_ms")?,
    })
}

pub(in crate::store) fn applied(row: &Row) -> Result<Option<Stamp>, StoreError> {
    let generation = row.maybe_int("applied_generation")?;
    let nonce = row.maybe_hex("applied_nonce")?;
    let (Some(_), Some(nonce)) = (generation, nonce) else { return Ok(None) };
    Ok(Some(Stamp { generation: Generation(row.count("applied_generation")?), nonce }))
}

pub(in crate::store) fn overlay(text: &str) -> Overlay {
    match text {
        "draining" => Overlay::Draining,
        "drained" => Overlay::Drained,
        _ => Overlay::None,
    }
}

pub(in crate::store) fn overlay_text(overlay: Overlay) -> &'static str {
    match overlay {
        Overlay::None => "none",
        Overlay::Draining => "draining",
        Overlay::Drained => "drained",
    }
}

/// A JSON array of words; anything else reads as none of them.
pub(in crate::store) fn text_list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}
