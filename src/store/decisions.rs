//! Carries out a decision of the leader: one transaction in which everything it assumed is looked at again.
//!
//! Owns the order of DESIGN §5 and of [`Decision`]: leadership, generation, guards, revokes, statuses, moves, the new
//! generation. It decides nothing; an assumption of the whole that does not hold rolls everything back and is named.
//! On MariaDB it is three round trips: what is locked and read, what is written, and the end.

mod moves;
mod nodes;

pub(super) use moves::id_list;

use komainu_watchdogs::decision::{Decision, Refusal};
use komainu_watchdogs::facts::Mode;
use komainu_watchdogs::ids::{Generation, Nonce, Stamp};
use serde_json::json;

use self::moves::Moved;
use self::nodes::LockedNodes;
use super::audit::{self, Deed};
use super::cluster;
use super::error::StoreError;
use super::session::Session;
use super::value::{Row, values};
use super::watch::{WatchdogIdentity, cluster_row};

const ACT: &str = "commit a decision";

/// At most so many assignments of monitors that are gone are deleted at once.
const LEFTOVER_BATCH: u32 = 5_000;

/// What became of it.
pub(crate) enum DecisionOutcome {
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
) -> Result<DecisionOutcome, StoreError> {
    match carry_out(session, decision, identity).await {
        Ok((stamp, moved)) => Ok(DecisionOutcome::Done { stamp, moved }),
        Err(Stop::Failed(error)) => {
            session.roll_back().await;
            Err(error)
        }
        Err(Stop::Refused(refusal)) => {
            session.roll_back().await;
            Ok(DecisionOutcome::Refused(refusal))
        }
    }
}

async fn carry_out(
    session: &mut Session,
    decision: &Decision,
    identity: &WatchdogIdentity,
) -> Result<(Stamp, u32), Stop> {
    let (stands, mut nodes) = lock(session, decision).await?;
    nodes.ensure_guards(&decision.guards)?;
    let moved = write(session, decision, &mut nodes, stands.generation.next()).await?;
    if decision.forget_leftover {
        forget_leftover(session).await?;
    }
    let changes_assignment = !decision.revokes.is_empty() || moved.total() > 0;
    let mut last = Vec::new();
    let mut stamp = stands;
    if changes_assignment {
        stamp = Stamp { generation: stands.generation.next(), nonce: Nonce(rand::random()) };
        let reason = decision.moves.first().map_or("revoke", |step| step.reason.as_str());
        last.extend(cluster::raised(session.dialect(), stamp, reason, moved.total()));
    }
    if changes_assignment || !decision.statuses.is_empty() {
        last.push(audit::appended(session.dialect(), &deed(decision, identity, stamp, &moved)));
    }
    session.commit_with(ACT, last).await?;
    Ok((stamp, moved.total()))
}

/// Begins the transaction, and takes all locks in their order: the leader's row, the cluster's, the nodes'.
async fn lock(session: &mut Session, decision: &Decision) -> Result<(Stamp, LockedNodes), Stop> {
    let dialect = session.dialect();
    // The fence: not one row means that another leads. It also takes the row's lock, so that nobody can claim before this
    // transaction ends.
    let fence =
        "UPDATE komainu_leader SET renewals = renewals + 1 WHERE id = 1 AND epoch = ? AND holder = ?".to_owned();
    let generation = format!(
        "SELECT mode, frozen, pinned_node, generation, nonce, \
         EXISTS (SELECT 1 FROM komainu_generation WHERE generation = ? AND nonce = ?) AS is_known \
         FROM komainu_cluster WHERE id = 1{}",
        dialect.for_update()
    );
    let statements = vec![
        (fence, values![decision.epoch, decision.holder]),
        (generation, values![decision.seen.generation, decision.seen.nonce]),
        nodes::locking(dialect, decision),
        nodes::looking(),
    ];
    let is_galera = session.is_galera();
    let statements = statements.into_iter().chain(is_galera.then(|| nodes::fencing(decision))).collect();
    let answers = session.begin_each(ACT, statements).await?;
    let [fence, generation, locked, seen, ..] = answers.as_slice() else {
        return Err(StoreError::unreadable(ACT, "answers", answers.len()).into());
    };
    if fence.changed != 1 {
        return Err(Stop::Refused(Refusal::Deposed));
    }
    let stands = ensure_generation(generation.rows.first().ok_or(StoreError::SchemaMissing)?, decision)?;
    Ok((stands, LockedNodes::of(&locked.rows, &seen.rows, decision)?))
}

/// Leases taken away, statuses, moves, in this order.
async fn write(
    session: &mut Session,
    decision: &Decision,
    nodes: &mut LockedNodes,
    makes: Generation,
) -> Result<Moved, Stop> {
    let dialect = session.dialect();
    let mut statements: Vec<_> = decision.revokes.iter().map(|revoke| nodes.revoke(revoke)).collect();
    for change in &decision.statuses {
        statements.extend(nodes::change_status(session, change).await?);
    }
    let before = statements.len();
    let moves = moves::planned(dialect, decision, nodes, makes)?;
    statements.extend(moves.iter().flat_map(|(_, statements)| statements.clone()));
    let answers = session.each(ACT, statements).await?;
    for (revoke, answer) in decision.revokes.iter().zip(&answers) {
        if answer.changed != 1 {
            return Err(Stop::Refused(Refusal::NodeLives(revoke.node.clone())));
        }
    }
    let changed = answers.into_iter().skip(before).map(|answer| answer.changed);
    Ok(Moved::of(moves, changed))
}

fn ensure_generation(row: &Row, decision: &Decision) -> Result<Stamp, Stop> {
    let cluster = cluster_row(row)?;
    // Under the row's lock: once a freeze was answered, nothing begins to move but what an operator sent somewhere.
    let is_held = cluster.mode == Mode::Observe || (cluster.frozen && !decision.is_allowed_while_frozen());
    if is_held && !(decision.moves.is_empty() && decision.revokes.is_empty()) {
        return Err(Stop::Refused(Refusal::Frozen));
    }
    // Hands may have raised it since: what they wrote is judged row by row. But it must be of this database's past.
    let stands = cluster.stamp;
    let is_ours = stands == decision.seen || row.flag("is_known")?;
    if is_ours { Ok(stands) } else { Err(Stop::Refused(Refusal::UnknownGeneration)) }
}

/// Monitors deleted in Kuma leave their assignments behind.
async fn forget_leftover(session: &mut Session) -> Result<(), StoreError> {
    let act = "forget assignments of monitors that are gone";
    for table in ["komainu_assignment", "komainu_monitor", "komainu_only_kuma", "komainu_told", "komainu_relay"] {
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
