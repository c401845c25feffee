//! Reads one round: the small tables, as rows of the decision core.

use komainu_watchdogs::facts::{
    ClusterRow, IncidentRow, LeaderRow, Mode, NodeRow, NodeStatus, Observation, ObservationRow, Overlay, Round, Target,
    Vote, WatchdogRow,
};
use komainu_watchdogs::ids::{Epoch, Generation, Stamp, WatchdogId, Zone};
use komainu_watchdogs::time::{Mono, Wall};

use crate::store::error::StoreError;
use crate::store::session::Session;
use crate::store::value::Row;
use crate::store::{progress, shard};

const ACT: &str = "read the round";

/// `beat_hint`: read the progress of the nodes too, through this index.
pub(super) async fn read(
    session: &mut Session,
    (me, counts): (&WatchdogId, &mut shard::Counts),
    beat_hint: Option<&str>,
) -> Result<Round, StoreError> {
    let (cluster, leader, database_time) = heads(session).await?;
    let nodes = nodes(session).await?;
    let watchdogs = watchdogs(session).await?;
    let observations = observations(session).await?;
    let incidents = incidents(session).await?;
    let (shards, leftover) = counts.read(session, me).await?;
    let progress = match beat_hint {
        Some(hint) => Some(progress::read(session, hint).await?),
        None => None,
    };
    Ok(Round {
        began_at: Mono::default(),
        ended_at: Mono::default(),
        database_time,
        cluster,
        leader,
        watchdogs,
        nodes,
        observations,
        shards,
        leftover,
        progress,
        incidents,
    })
}

async fn heads(session: &mut Session) -> Result<(ClusterRow, LeaderRow, Wall), StoreError> {
    let sql = format!(
        "SELECT c.mode, c.frozen, c.pinned_node, c.generation, c.nonce, l.epoch, l.holder, l.watchdog_id, l.renewals, {} AS now \
         FROM komainu_cluster c JOIN komainu_leader l ON l.id = c.id WHERE c.id = 1",
        session.dialect().now_ms()
    );
    let row = session.row(ACT, sql, vec![]).await?.ok_or(StoreError::SchemaMissing)?;
    Ok((cluster_row(&row)?, leader_row(&row)?, row.wall("now")?))
}

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

async fn watchdogs(session: &mut Session) -> Result<Vec<WatchdogRow>, StoreError> {
    let sql = "SELECT watchdog_id, incarnation, seq, zone, advertise, isolated, stopped, last_seen \
         FROM komainu_watchdog ORDER BY watchdog_id";
    session.rows(ACT, sql, vec![]).await?.iter().map(watchdog_row).collect()
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

async fn nodes(session: &mut Session) -> Result<Vec<NodeRow>, StoreError> {
    // A restored database may have the number, but not with this nonce.
    let sql = "SELECT n.node_id, n.address, n.status, n.komainu_status, n.overlay, n.incarnation, n.is_released, \
         n.lease_seq, n.applied_generation, n.applied_nonce, g.generation AS known, n.weight, n.capacity, n.kinds, \
         n.labels, n.drains_pinned, n.runner, \
         n.losses, n.lost_at_ms, n.emptied, n.recover_asked, n.foreign_beats, n.last_seen_ms FROM node n \
         LEFT JOIN komainu_generation g ON g.generation = n.applied_generation AND g.nonce = n.applied_nonce \
         ORDER BY n.node_id";
    session.rows(ACT, sql, vec![]).await?.iter().map(node_row).collect()
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
        applied: applied(row)?,
        applied_is_known: row.maybe_int("known")?.is_some(),
        weight: row.small("weight")?,
        capacity: row.maybe_int("capacity")?.map(|_| row.small("capacity")).transpose()?,
        kinds: kinds(&row.text("kinds")?),
        labels: kinds(&row.maybe_text("labels")?.unwrap_or_default()),
        drains_pinned: row.flag("drains_pinned")?,
        is_native: row.maybe_text("runner")?.as_deref() == Some("native"),
        losses: row.small("losses")?,
        lost_at: row.maybe_wall("lost_at_ms")?,
        emptied: row.maybe_hex("emptied")?,
        recover_asked: row.flag("recover_asked")?,
        foreign_beats: row.count("foreign_beats")?,
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
pub(in crate::store) fn kinds(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}

async fn observations(session: &mut Session) -> Result<Vec<ObservationRow>, StoreError> {
    let sql = "SELECT watchdog_id, kind, target, incarnation, seq, vote, failures, detail FROM komainu_observation \
         ORDER BY watchdog_id, kind, target";
    let rows = session.rows(ACT, sql, vec![]).await?;
    rows.iter().filter_map(|row| observation_row(row).transpose()).collect()
}

/// A kind of target that a newer komainu writes is not ours to judge.
fn observation_row(row: &Row) -> Result<Option<ObservationRow>, StoreError> {
    let name = row.text("target")?;
    let target = match row.text("kind")?.as_str() {
        "node" => Target::Node(name.into()),
        "watchdog" => Target::Watchdog(name.into()),
        "canary" => Target::Canary(name),
        _ => return Ok(None),
    };
    let vote = match row.text("vote")?.as_str() {
        "up" => Vote::Up,
        "down" => Vote::Down,
        _ => Vote::Unknown,
    };
    let observation = Observation { target, vote, failures: row.small("failures")?, detail: row.text("detail")? };
    Ok(Some(ObservationRow {
        watchdog: WatchdogId::from(row.text("watchdog_id")?),
        incarnation: row.hex("incarnation")?,
        seq: row.count("seq")?,
        observation,
    }))
}

pub(super) fn vote_text(vote: Vote) -> &'static str {
    match vote {
        Vote::Unknown => "unknown",
        Vote::Up => "up",
        Vote::Down => "down",
    }
}

async fn incidents(session: &mut Session) -> Result<Vec<IncidentRow>, StoreError> {
    // Not by the virtual column: a consistent read through its index has been seen to miss a row just inserted.
    let sql = "SELECT k, severity, opened_at, last_bad_at FROM komainu_incident WHERE resolved_at IS NULL ORDER BY k";
    let rows = session.rows(ACT, sql, vec![]).await?;
    rows.iter()
        .map(|row| {
            Ok(IncidentRow {
                key: row.text("k")?,
                severity: row.text("severity")?,
                opened_at: row.wall("opened_at")?,
                last_bad_at: row.wall("last_bad_at")?,
            })
        })
        .collect()
}
