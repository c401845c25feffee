//! Deleting a node: only one that nothing depends on any more.
//!
//! Whether a process of it still lives is courtesy, not safety: a node that owns nothing runs nothing, and one whose row
//! is gone stops at its next renewal.

use komainu_watchdogs::ids::{Generation, NodeId};
use serde_json::json;

use crate::store::audit;
use crate::store::cluster;
use crate::store::dependencies;
use crate::store::error::StoreError;
use crate::store::hands::{PinnedMonitor, deed, pinned_to};
use crate::store::monitors::places;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::{Row, values};

/// What became of a wish to delete a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// There was none.
    Unknown,
    /// It still holds its lease: stop it first.
    Alive,
    /// People's traffic is pinned to it: unpin that first.
    TakesTraffic,
    /// It still runs so many monitors, or they are on their way from it or to it: drain it first.
    Runs(u32),
    /// The same, and these are pinned there: no drain takes them along unless it is told to.
    RunsPinned(u32, Vec<PinnedMonitor>),
    /// So many are at home on it while others run them: they get their home elsewhere, or the node stays.
    IsHome(u32),
    /// So many that are pinned to it run elsewhere: move or unpin them first.
    HasPins(u32),
}

/// How a node is to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeletionWish {
    /// Monitors at home on it are at home where they run, from now on.
    pub rehome: bool,
    /// Its lease is over, as a watchdog watched it: nobody gave it back, and nobody is there.
    pub is_lease_over: bool,
}

/// Deletes one that is neither alive nor depended upon.
pub async fn delete(store: &Store, node: &NodeId, wish: DeletionWish, by: &str) -> Result<Deletion, StoreError> {
    in_transaction!(store, "delete a node", |session| delete_in(session, node, wish, by).await)
}

async fn delete_in(session: &mut Session, node: &NodeId, wish: DeletionWish, by: &str) -> Result<Deletion, StoreError> {
    let act = "delete a node";
    cluster::lock(session).await?;
    let lock = session.dialect().for_update();
    let sql = format!(
        "SELECT n.node_name, n.address, n.incarnation, \
         (SELECT COUNT(*) FROM komainu_cluster c WHERE c.pinned_node = n.node_id) AS takes_traffic \
         FROM node n WHERE n.node_id = ?{lock}"
    );
    let Some(row) = session.row(act, sql, values![node]).await? else { return Ok(Deletion::Unknown) };
    if row.maybe_text("incarnation")?.is_some() && !wish.is_lease_over {
        return Ok(Deletion::Alive);
    }
    if row.flag("takes_traffic")? {
        return Ok(Deletion::TakesTraffic);
    }
    let bonds = Bonds::read(session, node).await?;
    if let Some(refusal) = bonds.refusal(wish.rehome) {
        let pinned = pinned_to(session, node).await?;
        if let (Deletion::Runs(count), false) = (&refusal, pinned.is_empty()) {
            return Ok(Deletion::RunsPinned(*count, pinned));
        }
        return Ok(refusal);
    }
    let made = cluster::raise_generation(session, "node_deleted", 0).await?;
    if bonds.homes > 0 {
        rehome(session, node, made.generation).await?;
    }
    session.execute(act, "DELETE FROM node WHERE node_id = ?", values![node]).await?;
    dependencies::forget(session, &format!("node/{node}")).await?;
    let before = json!({"name": row.text("node_name")?, "address": row.text("address")?, "home_monitors": bonds.homes});
    audit::append_in(session, &deed(by, "node.delete", node.as_str(), Some(before), None)).await?;
    Ok(Deletion::Deleted)
}

/// Monitors that depend on a node.
struct Bonds {
    runs: u32,
    homes: u32,
    pins: u32,
}

impl Bonds {
    async fn read(session: &mut Session, node: &NodeId) -> Result<Self, StoreError> {
        // One that is nobody's and at home here may arrive at any moment.
        let is_here = "(a.effective_node = ? OR a.source_node = ? OR (a.effective_node = '' AND a.node_id = ?))";
        let sql = format!(
            "SELECT COUNT(CASE WHEN {is_here} THEN 1 END) AS runs, COUNT(CASE WHEN a.node_id = ? THEN 1 END) AS homes, \
             COUNT(CASE WHEN a.node_id = ? AND a.pinned = 1 THEN 1 END) AS pins \
             FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
             WHERE a.node_id = ? OR a.effective_node = ? OR a.source_node = ?"
        );
        let counted = session.row("count a node's monitors", sql, vec![node.into(); 8]).await?;
        let count = |column| counted.as_ref().map_or(Ok(0), |row: &Row| row.small(column));
        Ok(Self { runs: count("runs")?, homes: count("homes")?, pins: count("pins")? })
    }

    fn refusal(&self, rehome: bool) -> Option<Deletion> {
        match self {
            Self { runs: 1.., .. } => Some(Deletion::Runs(self.runs)),
            Self { homes: 1.., .. } if !rehome => Some(Deletion::IsHome(self.homes)),
            Self { pins: 1.., .. } => Some(Deletion::HasPins(self.pins)),
            Self { .. } => None,
        }
    }
}

/// Whoever runs them is their home. Nobody notices: the effective node stays.
async fn rehome(session: &mut Session, node: &NodeId, made: Generation) -> Result<(), StoreError> {
    // MariaDB assigns from left to right: the home is read off before it is taken away.
    let sql = format!(
        "UPDATE komainu_assignment SET {}, node_id = assigned_node, assigned_node = NULL, asked = 0, reason = 'operator', \
         generation = ?, changed_at = {} WHERE node_id = ?",
        places::kept(session.dialect()),
        session.dialect().now_ms()
    );
    session.execute("give monitors another home", sql, values![made, node]).await.map(|_| ())
}
