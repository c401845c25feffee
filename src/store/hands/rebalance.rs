//! Evening out: the planner's new homes, written as an operator's own moves.

use std::collections::BTreeSet;

use komainu_watchdogs::decision::Move;
use komainu_watchdogs::facts::Shard;
use komainu_watchdogs::ids::{Generation, MonitorId, NodeId};

use super::moves::{Planned, Stood, Todo, write};
use super::{HandOutcome, Refusal, Target, lock, refuses, targets};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{STATEMENT_TIMEOUT, Session, Sql};
use crate::store::shard;
use crate::store::value::values;

/// Monitors of one statement.
const CHUNK: usize = 10_000;

/// All monitors with their assignments, as of one moment.
pub async fn read_shard(store: &Store) -> Result<Shard, StoreError> {
    let has_notifications = store.catalog().await?.has_notifications();
    shard::read(&mut *store.lease("read the assignments").await?, STATEMENT_TIMEOUT, has_notifications).await
}

/// The names of these monitors, by rising key.
pub async fn names(store: &Store, monitors: &[MonitorId]) -> Result<Vec<(MonitorId, String)>, StoreError> {
    if monitors.is_empty() {
        return Ok(vec![]);
    }
    let act = "read the names of monitors";
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    let sql = format!("SELECT id, name FROM monitor WHERE id IN ({}) ORDER BY id", id_list(&ids));
    let rows = store.lease(act).await?.rows(act, Sql::Once(sql), vec![]).await?;
    rows.iter().map(|row| Ok((MonitorId(row.int("id")?), row.text("name")?))).collect()
}

/// Writes the moves that were planned on this generation; [`Refusal::Outdated`] where one of these monitors was moved
/// since, or one of the nodes takes none any more.
pub async fn rebalance(
    store: &Store,
    seen: Generation,
    moves: &[Move],
    by: &str,
) -> Result<HandOutcome<()>, StoreError> {
    in_transaction!(store, "rebalance", |session| rebalance_in(session, seen, moves, by).await)
}

async fn rebalance_in(
    session: &mut Session,
    seen: Generation,
    moves: &[Move],
    by: &str,
) -> Result<HandOutcome<()>, StoreError> {
    let cluster = lock(session).await?;
    if let Some(refusal) = refuses(&cluster) {
        return Ok(HandOutcome::Refused(refusal));
    }
    if cluster.frozen {
        return Ok(HandOutcome::Refused(Refusal::Frozen));
    }
    if cluster.stamp.generation != seen && !stand_as_seen(session, seen, moves).await? {
        return Ok(HandOutcome::Refused(Refusal::Outdated));
    }
    let planned: Vec<Planned> = moves.iter().map(planned).collect();
    write::write(session, &planned, ("cluster.rebalance", by)).await?;
    Ok(HandOutcome::Done(()))
}

/// Other hands may have been at work since; what counts is what is to be moved, and where to.
async fn stand_as_seen(session: &mut Session, seen: Generation, moves: &[Move]) -> Result<bool, StoreError> {
    let takers: BTreeSet<NodeId> =
        targets(session).await?.into_iter().filter(Target::takes).map(|it| it.node).collect();
    if !moves.iter().filter_map(|step| step.to.as_ref()).all(|to| takers.contains(to)) {
        return Ok(false);
    }
    let ids: Vec<i64> = moves.iter().map(|step| step.monitor.0).collect();
    for part in ids.chunks(CHUNK) {
        let sql = format!(
            "SELECT COUNT(*) AS unchanged FROM komainu_assignment WHERE generation <= ? AND monitor_id IN ({})",
            id_list(part)
        );
        let row = session.row("look at the monitors again", Sql::Once(sql), values![seen]).await?;
        let unchanged = row.map_or(Ok(0), |row| row.small("unchanged"))?;
        if usize::try_from(unchanged).is_ok_and(|unchanged| unchanged < part.len()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Every row stands as the plan saw it.
fn planned(step: &Move) -> Planned {
    let stood = Stood {
        id: step.monitor,
        has_row: true,
        home: step.home.clone(),
        effective: step.from.clone(),
        pinned: step.pinned,
    };
    Planned { stood, to: step.to.clone(), pinned: step.pinned, todo: Todo::Write }
}
