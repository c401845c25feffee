//! The rows of nodes within a decision: locked in one order, guarded, revoked, given their status.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::decision::{Decision, Guard, Move, NodeSeen, Refusal, Revoke, StatusChange, Step};
use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{Incarnation, NodeId, Stamp};

use super::Stop;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::session::{Session, Statement};
use crate::store::value::{Row, Value, values};
use crate::store::watch::{applied, overlay, overlay_text, text_list};

/// A row as it stands under our lock.
struct LockedNode {
    incarnation: Option<Incarnation>,
    lease_seq: u64,
    applied: Option<Stamp>,
    /// An acknowledgement of an assignment that this database never made, or lost, is worth nothing.
    applied_is_known: bool,
}

/// All rows that a decision looks at or changes.
pub(super) struct LockedNodes {
    rows: BTreeMap<NodeId, LockedNode>,
    /// Those of the plan that are not what it saw.
    changed: BTreeSet<NodeId>,
}

/// Locks them by rising id, before any assignment: whoever stores beats takes the same order.
pub(super) fn locking(dialect: Dialect, decision: &Decision) -> Statement {
    let named = named(decision);
    let marks = if named.is_empty() { "NULL".to_owned() } else { vec!["?"; named.len()].join(", ") };
    let sql = format!(
        "SELECT node_id, incarnation, lease_seq, applied_generation, applied_nonce, \
         EXISTS (SELECT 1 FROM komainu_generation g WHERE g.generation = node.applied_generation \
         AND g.nonce = node.applied_nonce) AS applied_is_known \
         FROM node{} WHERE node_id IN ({marks}) ORDER BY node_id{}",
        dialect.by_primary(),
        dialect.for_update()
    );
    (sql, named.into_iter().map(Value::from).collect())
}

/// Writes the rows that the decision rests on, where locks hold on one server alone (Galera): a node that registers on
/// another one meets it.
pub(super) fn fencing(decision: &Decision) -> Statement {
    let named = named(decision);
    let marks = if named.is_empty() { "NULL".to_owned() } else { vec!["?"; named.len()].join(", ") };
    let sql = format!("UPDATE node SET fence = fence + 1 WHERE node_id IN ({marks})");
    (sql, named.into_iter().map(Value::from).collect())
}

/// All nodes as they are now. Whoever changes their overlay, types or labels holds the lock on the cluster's row, as this
/// transaction does.
pub(super) fn looking() -> Statement {
    ("SELECT node_id, overlay, drains_pinned, kinds, labels FROM node".to_owned(), Vec::new())
}

impl LockedNodes {
    /// Of the answers to [`locking`] and [`looking`].
    pub(super) fn of(locked: &[Row], stand: &[Row], decision: &Decision) -> Result<Self, StoreError> {
        let rows =
            locked.iter().map(|row| Ok((row.node("node_id")?, of_row(row)?))).collect::<Result<_, StoreError>>()?;
        let stand = stand.iter().map(as_seen).collect::<Result<Vec<_>, _>>()?;
        let changed = decision.nodes.iter().filter(|one| !stand.contains(one)).map(|one| one.node.clone()).collect();
        Ok(Self { rows, changed })
    }

    /// Whether a step is still what was planned, as far as its nodes go.
    pub(super) fn stands(&self, step: &Move) -> bool {
        !step.nodes().any(|node| self.changed.contains(node))
    }

    /// Who holds the lease of this node now, after the revokes of this decision.
    pub(super) fn holder(&self, node: &NodeId) -> Option<Incarnation> {
        self.rows.get(node).and_then(|row| row.incarnation)
    }

    pub(super) fn ensure_guards(&self, guards: &[Guard]) -> Result<(), Stop> {
        match guards.iter().find(|guard| !self.holds(guard)) {
            Some(guard) => Err(Stop::Refused(Refusal::GuardFailed(guard.clone()))),
            None => Ok(()),
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Acknowledged { node, incarnation, generation } => self.rows.get(node).is_some_and(|row| {
                let is_late_enough = row.applied.is_some_and(|stamp| stamp.generation >= *generation);
                row.incarnation == Some(*incarnation) && is_late_enough && row.applied_is_known
            }),
            Guard::Superseded { node, incarnation } => self.holder(node).is_some_and(|holder| holder != *incarnation),
            Guard::Vacant { node, lease_seq } => {
                let row = self.rows.get(node);
                row.is_some_and(|row| row.incarnation.is_none() && row.lease_seq == *lease_seq)
            }
        }
    }

    /// Takes a lease away: the statement, of which not one row means that the node lives.
    pub(super) fn revoke(&mut self, revoke: &Revoke) -> Statement {
        let seq = if revoke.lease_seq.is_some() { " AND lease_seq = ?" } else { "" };
        let emptied = if revoke.is_emptied { ", emptied = incarnation" } else { "" };
        // `emptied` is assigned first: MariaDB evaluates from left to right.
        let sets = format!("is_released = 0{emptied}, incarnation = NULL");
        let sql = format!("UPDATE node SET {sets} WHERE node_id = ? AND incarnation = ?{seq}");
        let mut values = values![&revoke.node, revoke.incarnation];
        values.extend(revoke.lease_seq.map(Value::from));
        if let Some(row) = self.rows.get_mut(&revoke.node) {
            row.incarnation = None;
        }
        (sql, values)
    }
}

fn named(decision: &Decision) -> BTreeSet<&NodeId> {
    let guards = decision.guards.iter().map(|guard| match guard {
        Guard::Acknowledged { node, .. } | Guard::Superseded { node, .. } | Guard::Vacant { node, .. } => node,
    });
    let sources = decision.moves.iter().filter(|step| matches!(step.step, Step::Release | Step::Failover));
    let revoked = decision.revokes.iter().map(|revoke| &revoke.node);
    let changed = decision.statuses.iter().map(|change| &change.node);
    guards.chain(revoked).chain(changed).chain(sources.filter_map(|step| step.from.as_ref())).collect()
}

fn of_row(row: &Row) -> Result<LockedNode, StoreError> {
    Ok(LockedNode {
        incarnation: row.maybe_hex("incarnation")?,
        lease_seq: row.count("lease_seq")?,
        applied: applied(row)?,
        applied_is_known: row.flag("applied_is_known")?,
    })
}

fn as_seen(row: &Row) -> Result<NodeSeen, StoreError> {
    Ok(NodeSeen {
        node: row.node("node_id")?,
        overlay: overlay(&row.text("overlay")?),
        drains_pinned: row.flag("drains_pinned")?,
        kinds: text_list(&row.text("kinds")?),
        labels: text_list(&row.maybe_text("labels")?.unwrap_or_default()),
    })
}

/// Whether monitors are there, or were there and may be running still. Rows of monitors that are gone do not count.
async fn owns(session: &mut Session, node: &NodeId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS one FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
         WHERE a.effective_node = ? OR a.source_node = ? LIMIT 1";
    Ok(session.row("look for monitors of a node", sql, values![node, node]).await?.is_some())
}

/// An operator who changed the overlay meanwhile wins, and so does one who sent monitors there: then nothing is changed.
pub(super) async fn change_status(
    session: &mut Session,
    change: &StatusChange,
) -> Result<Option<Statement>, StoreError> {
    let is_emptied = change.overlay == Overlay::Drained && change.overlay_seen != Overlay::Drained;
    if is_emptied && owns(session, &change.node).await? {
        return Ok(None);
    }
    let dialect = session.dialect();
    let now = dialect.now_ms();
    let mut sets = vec![
        "status = ?".to_owned(),
        "komainu_status = ?".to_owned(),
        "overlay = ?".to_owned(),
        format!("modified_date = {}", dialect.now_datetime()),
    ];
    if change.forgets_losses {
        sets.extend(["losses = 0".to_owned(), "lost_at_ms = NULL".to_owned()]);
    }
    if change.is_loss {
        let losses = if change.forgets_losses { "losses = 1" } else { "losses = losses + 1" };
        sets.retain(|set| !set.starts_with("losses") && !set.starts_with("lost_at_ms"));
        sets.extend([losses.to_owned(), format!("lost_at_ms = {now}")]);
    }
    if change.recovered {
        sets.extend(["recover_asked = 0".to_owned(), "emptied = NULL".to_owned()]);
    }
    let sql = format!("UPDATE node SET {} WHERE node_id = ? AND overlay = ?", sets.join(", "));
    let status = change.status.as_str();
    let (overlay, overlay_seen) = (overlay_text(change.overlay), overlay_text(change.overlay_seen));
    let values = values![status, status, overlay, &change.node, overlay_seen];
    Ok(Some((sql, values)))
}
