//! The cluster as a whole: mode, freeze, adoption.
//!
//! Each of these acts raises the generation, so that a decision that was planned before it is refused.

use komainu_watchdogs::facts::{ClusterRow, LeaderRow};
use komainu_watchdogs::ids::NodeId;

use super::error::StoreError;
use super::pool::Store;

/// Where the homes of monitors come from at adoption.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Homes {
    /// The leader places every monitor that has none.
    ByLeader,
    /// All on this node, which runs them now.
    All(NodeId),
    /// The fork's `monitor.node_id` and `monitor.assigned_node`.
    FromFork,
}

/// What adoption wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Adoption {
    /// Monitors that got a home now.
    pub homed: u32,
    /// Monitors that have none yet: the leader places them.
    pub homeless: u32,
}

/// Mode, freeze, stamp.
pub async fn get(store: &Store) -> Result<ClusterRow, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// Who leads.
pub async fn leader(store: &Store) -> Result<LeaderRow, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// Stops all automatic moves; `false`: they were stopped already.
pub async fn freeze(store: &Store) -> Result<bool, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// Allows them again; `false`: they were allowed.
pub async fn thaw(store: &Store) -> Result<bool, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// Writes homes and starts automation.
pub async fn adopt(store: &Store, homes: &Homes) -> Result<Adoption, StoreError> {
    let _ = (store, homes);
    Err(StoreError::SchemaMissing)
}
