//! Incidents as people list and acknowledge them; opening and resolving is [`super::Watch`]'s.

use komainu_watchdogs::time::Wall;

use super::Page;
use super::error::StoreError;
use super::pool::Store;

/// One incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incident {
    /// The row's key.
    pub id: i64,
    /// Kind and subject: `node/node1`.
    pub key: String,
    /// `critical` or `warning`.
    pub severity: String,
    /// One sentence.
    pub summary: String,
    /// Watchdogs that see it.
    pub votes_bad: u32,
    /// Watchdogs that may vote.
    pub votes_of: u32,
    /// By the database's clock.
    pub opened_at: Wall,
    /// When somebody last saw it bad.
    pub last_bad_at: Wall,
    /// `None`: it is open.
    pub resolved_at: Option<Wall>,
    /// Somebody takes care of it.
    pub acknowledged_at: Option<Wall>,
    /// Who.
    pub acknowledged_by: Option<String>,
}

/// Which incidents a list shows; all conditions must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IncidentFilter {
    /// Open ones, or resolved ones.
    pub is_open: Option<bool>,
    /// Kind, or kind and subject.
    pub key: Option<String>,
}

/// Incidents, the latest first.
pub async fn list(
    store: &Store,
    filter: &IncidentFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Incident>, StoreError> {
    let _ = (store, filter, cursor, limit);
    Err(StoreError::SchemaMissing)
}

/// Notes who takes care of it; `false`: there is none, or it is resolved.
pub async fn acknowledge(store: &Store, id: i64, who: &str) -> Result<bool, StoreError> {
    let _ = (store, id, who);
    Err(StoreError::SchemaMissing)
}
