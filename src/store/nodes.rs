//! Nodes as operators see and change them. The leader's and the node's own writes are elsewhere.

use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{Incarnation, NodeId};
use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::pool::Store;

/// A node to be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNode {
    /// Its id.
    pub node_id: NodeId,
    /// For people.
    pub name: String,
    /// Where its HTTP surface answers (`http://10.0.0.5:3001`).
    pub address: String,
    /// Its share of the load; 100 is usual.
    pub weight: u32,
    /// Monitors it takes at most; `None`: the policy's limit.
    pub capacity: Option<u32>,
    /// Types of monitor it can run; empty: all.
    pub kinds: Vec<String>,
}

/// What an operator may change; `None` leaves as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeChange {
    /// For people.
    pub name: Option<String>,
    /// Where its HTTP surface answers.
    pub address: Option<String>,
    /// Its share of the load.
    pub weight: Option<u32>,
    /// Monitors it takes at most; `Some(None)`: the policy's limit.
    pub capacity: Option<Option<u32>>,
    /// Types of monitor it can run.
    pub kinds: Option<Vec<String>>,
}

/// A node as people see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// Its id.
    pub node_id: NodeId,
    /// For people.
    pub name: String,
    /// Where its HTTP surface answers.
    pub address: String,
    /// As it stands in `node.status`.
    pub status: String,
    /// Drained, being drained, or neither.
    pub overlay: Overlay,
    /// The process that holds the lease.
    pub incarnation: Option<Incarnation>,
    /// Where that process runs.
    pub hostname: String,
    /// Its share of the load.
    pub weight: u32,
    /// Monitors it takes at most.
    pub capacity: Option<u32>,
    /// Types of monitor it can run; empty: all.
    pub kinds: Vec<String>,
    /// Active monitors it runs.
    pub monitors: u32,
    /// Active monitors at home on it.
    pub home_monitors: u32,
    /// When it last renewed.
    pub last_seen: Option<Wall>,
}

/// What became of a wish to delete a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// There was none.
    Unknown,
    /// It still holds its lease: stop it first.
    Alive,
    /// So many monitors are at home on it or run by it: drain it first.
    HasMonitors(u32),
}

/// All nodes.
pub async fn list(store: &Store) -> Result<Vec<NodeInfo>, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// One node.
pub async fn get(store: &Store, node: &NodeId) -> Result<Option<NodeInfo>, StoreError> {
    Ok(list(store).await?.into_iter().find(|info| info.node_id == *node))
}

/// Adds one; `false`: there is one of this id.
pub async fn add(store: &Store, new: &NewNode) -> Result<bool, StoreError> {
    let _ = (store, new);
    Err(StoreError::SchemaMissing)
}

/// Changes one; `false`: there is none.
pub async fn edit(store: &Store, node: &NodeId, change: &NodeChange) -> Result<bool, StoreError> {
    let _ = (store, node, change);
    Err(StoreError::SchemaMissing)
}

/// Deletes one that is neither alive nor at home to anything.
pub async fn delete(store: &Store, node: &NodeId) -> Result<Deletion, StoreError> {
    let _ = (store, node);
    Err(StoreError::SchemaMissing)
}

/// Lays an overlay over its status (drain: `Draining`, resume: `None`); `false`: there is none.
pub async fn set_overlay(store: &Store, node: &NodeId, overlay: Overlay) -> Result<bool, StoreError> {
    let _ = (store, node, overlay);
    Err(StoreError::SchemaMissing)
}

/// Asks the leader to bring its monitors home now; `false`: there is none.
pub async fn ask_recover(store: &Store, node: &NodeId) -> Result<bool, StoreError> {
    let _ = (store, node);
    Err(StoreError::SchemaMissing)
}
