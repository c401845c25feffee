//! The audit trail: who did what. Rows are only ever added, and pruned by age.

use komainu_watchdogs::time::Wall;

use super::Page;
use super::error::StoreError;
use super::pool::Store;

/// Something that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// `key/NAME`, `cli/USER`, `w1/epoch 7`.
    pub who: String,
    /// `node.add`, `cluster.freeze`, `decision`.
    pub what: String,
    /// To what.
    pub subject: String,
    /// JSON, as it was.
    pub before: Option<String>,
    /// JSON, as it is.
    pub after: Option<String>,
}

/// A row of the trail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRow {
    /// The row's key.
    pub id: i64,
    /// By the database's clock.
    pub at: Wall,
    /// What was done.
    pub deed: Deed,
}

/// Adds a row.
pub async fn append(store: &Store, deed: &Deed) -> Result<(), StoreError> {
    let _ = (store, deed);
    Err(StoreError::SchemaMissing)
}

/// The trail, the latest first.
pub async fn list(store: &Store, cursor: Option<&str>, limit: u32) -> Result<Page<AuditRow>, StoreError> {
    let _ = (store, cursor, limit);
    Err(StoreError::SchemaMissing)
}
