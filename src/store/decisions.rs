//! Carries out a decision of the leader: one transaction in which everything it assumed is looked at again.
//!
//! Owns the order of DESIGN §5 and of [`Decision`]: leadership, generation, guards, revokes, statuses, moves, the new
//! generation. It decides nothing; an assumption of the whole that does not hold rolls everything back and is named.

mod moves;
mod nodes;

pub(super) use moves::id_list;

use komainu_watchdogs::decision::{Decision, Refusal};
use komainu_watchdogs::facts::Mode;
use komainu_watchdogs::ids::Stamp;
use serde_json::json;

use self::moves::Moved;
use self::nodes::LockedNodes;
use super::audit::{self, Deed};
use super::cluster;
use super::error::StoreError;
use super::session::{Purpose, Session};
use super::value::values;
use super::watch::{WatchdogIdentity, cluster_row};

/// At most so many assignments of monitors that are gone are deleted at once.
const LEFTOVER_BATCH: u32 = 5_000;

/// What became of it.
pub(crate) enum Outcome {
    Done { stamp: Stamp, moved: u32 },
    Refused(Refusal),
}

/// Why the transaction is rolled back.
enum Stop {
    Refused(Refusal),
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

pub(crate) async fn commit(
    session: &mut Session,
    decision: &Decision,
    identity: &WatchdogIdentity,
) -> Result<Outcome, StoreError> {
    let act = "commit a decision";
    session.begin(act, Purpose::Write).await?;
    match carry_out(session, decision, identity).await {
        Ok((stamp, moved)) => session.end(act, Ok(Outcome::Done { stamp, moved })).await,
        Err(Stop::Failed(error)) => session.end(act, Err(error)).await,
        Err(Stop::Refused(refusal)) => {
            session.roll_back().await;
            Ok(Outcome::Refused(refusal))
        }
    }
}

async fn carry_out(
    session: &mut Session,
    decision: &Decision,
    identity: &WatchdogIdentity,
) -> Result<(Stamp, u32), Stop> {
    ensure_leader(session, decision).await?;
    let stands = ensure_generation(session, decision).await?;
    let mut nodes = LockedNodes::lock(session, decision).await?;
    nodes.ensure_guards(session, &decision.guards).await?;
    for revoke in &decision.revokes {
        nodes.revoke(session, revoke).await?;
    }
    for change in &decision.statuses {
        nodes::change_status(session, change).await?;
    }
    let moved = moves::carry_out(session, decision, &nodes, stands.generation.next()).await?;
    if decision.forget_leftover {
        forget_leftover(session).await?;
    }
    let changes_assignment = !decision.revokes.is_empty() || moved.total() > 0;
    let stamp = if changes_assignment { raise(session, decision, moved.total()).await? } else { stands };
    if changes_assignment || !decision.statuses.is_empty() {
        audit::append_in(session, &deed(decision, identity, stamp, &moved)).await?;
    }
    Ok((stamp, moved.total()))
}

/// The fence: not one row means that another leads. It also takes the row's lock, so that nobody can claim before
/// this transaction ends.
async fn ensure_leader(session: &mut Session, decision: &Decision) -> Result<(), Stop> {
    let sql = "UPDATE komainu_leader SET renewals = renewals + 1 WHERE id = 1 AND epoch = ? AND holder = ?";
    let found = session.execute("check the leadership", sql, values![decision.epoch, decision.holder]).await?;
    if found == 1 { Ok(()) } else { Err(Stop::Refused(Refusal::Deposed)) }
}

async fn ensure_generation(session: &mut Session, decision: &Decision) -> Result<Stamp, Stop> {
    let lock = session.dialect().for_update();
    let sql = format!("SELECT mode, frozen, pinned_node, generation, nonce FROM komainu_cluster WHERE id = 1{lock}");
    let row = session.row("check the generation", sql, vec![]).await?.ok_or(StoreError::SchemaMissing)?;
    let cluster = cluster_row(&row)?;
    // Under the row's lock: once a freeze was answered, nothing begins to move but what an operator sent somewhere.
    let is_held = cluster.mode == Mode::Observe || (cluster.frozen && !decision.is_allowed_while_frozen());
    if is_held && !(decision.moves.is_empty() && decision.revokes.is_empty()) {
        return Err(Stop::Refused(Refusal::Frozen));
    }
    // Hands may have raised it since: what they wrote is judged row by row. But it must be of this database's past.
    let stands = cluster.stamp;
    let is_ours = stands == decision.seen || nodes::is_known(session, decision.seen).await?;
    if is_ours { Ok(stands) } else { Err(Stop::Refused(Refusal::UnknownGeneration)) }
}

async fn raise(session: &mut Session, decision: &Decision, moved: u32) -> Result<Stamp, StoreError> {
    let reason = decision.moves.first().map_or("revoke", |step| step.reason.as_str());
    cluster::raise_generation(session, reason, moved).await
}

/// Monitors deleted in Kuma leave their assignments behind.
async fn forget_leftover(session: &mut Session) -> Result<(), StoreError> {
    let act = "forget assignments of monitors that are gone";
    for table in ["komainu_assignment", "komainu_monitor"] {
        let sql = format!(
            "SELECT t.monitor_id FROM {table} t LEFT JOIN monitor m ON m.id = t.monitor_id WHERE m.id IS NULL \
             ORDER BY t.monitor_id LIMIT {LEFTOVER_BATCH}"
        );
        let gone = session.rows(act, sql, vec![]).await?;
        let gone = gone.iter().map(|row| row.int("monitor_id")).collect::<Result<Vec<_>, _>>()?;
        if !gone.is_empty() {
            let sql = format!("DELETE FROM {table} WHERE monitor_id IN ({})", id_list(&gone));
            session.execute(act, super::session::Sql::Once(sql), vec![]).await?;
        }
    }
    Ok(())
}

fn deed(decision: &Decision, identity: &WatchdogIdentity, stamp: Stamp, moved: &Moved) -> Deed {
    let statuses = decision.statuses.iter().map(|change| {
        json!({ "node": change.node, "status": change.status, "overlay": change.overlay, "reason": change.reason })
    });
    let revokes = decision.revokes.iter().map(
        |revoke| json!({ "node": revoke.node, "incarnation": revoke.incarnation, "is_emptied": revoke.is_emptied }),
    );
    let after = json!({
        "epoch": decision.epoch,
        "generation": stamp.generation,
        "revokes": revokes.collect::<Vec<_>>(),
        "statuses": statuses.collect::<Vec<_>>(),
        "moves": moved.as_json(),
    });
    Deed {
        who: format!("{}/epoch {}", identity.watchdog, decision.epoch),
        what: "decision".to_owned(),
        subject: format!("generation {}", stamp.generation),
        before: None,
        after: Some(after.to_string()),
    }
}
