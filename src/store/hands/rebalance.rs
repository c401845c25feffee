//! Evening out: the planner's new homes, written as an operator's own moves.

use komainu_watchdogs::decision::Move;
use komainu_watchdogs::facts::Shard;
use komainu_watchdogs::ids::{Generation, MonitorId};

use super::moves::{Planned, Stood, Todo, write};
use super::{Outcome, Refusal, lock, refuses};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Purpose, Session, Sql};
use crate::store::shard;

/// All monitors with their assignments, as of one moment.
pub async fn read_shard(store: &Store) -> Result<Shard, StoreError> {
    let act = "read the assignments";
    let mut lease = store.lease(act).await?;
    lease.begin(act, Purpose::Snapshot).await?;
    let read = shard::read(&mut lease).await;
    lease.end(act, read).await
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

/// Writes the moves that were planned on this generation; [`Refusal::Outdated`] where another one stands by now.
pub async fn rebalance(store: &Store, seen: Generation, moves: &[Move], by: &str) -> Result<Outcome<()>, StoreError> {
    in_transaction!(store, "rebalance", |session| rebalance_in(session, seen, moves, by).await)
}

async fn rebalance_in(
    session: &mut Session,
    seen: Generation,
    moves: &[Move],
    by: &str,
) -> Result<Outcome<()>, StoreError> {
    let cluster = lock(session).await?;
    if let Some(refusal) = refuses(&cluster) {
        return Ok(Outcome::Refused(refusal));
    }
    if cluster.frozen {
        return Ok(Outcome::Refused(Refusal::Frozen));
    }
    if cluster.stamp.generation != seen {
        return Ok(Outcome::Refused(Refusal::Outdated));
    }
    let planned: Vec<Planned> = moves.iter().map(planned).collect();
    write::write(session, &planned, ("cluster.rebalance", by)).await?;
    Ok(Outcome::Done(()))
}

/// The generation is the one it was planned on, so every row stands as the plan saw it.
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
