//! What grows is cut, in small batches that block nobody.

use std::time::Duration;

use super::error::StoreError;
use super::pool::Store;

/// How long what grows is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Beats, where no Kuma cleans them.
    pub beats: Duration,
    /// Resolved incidents.
    pub incidents: Duration,
    /// The audit trail.
    pub audit: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        // Kuma keeps beats for 180 days; the trail must outlive the yearly question "who moved this?".
        Self { beats: days(180), incidents: days(365), audit: days(400) }
    }
}

impl Store {
    /// Deletes at most one batch of each kind of row that is too old; says how many. Call it again while it is not 0.
    pub async fn prune(&self, retention: &Retention) -> Result<u64, StoreError> {
        let _ = retention;
        Err(StoreError::SchemaMissing)
    }

    /// Deletes at most one batch of beats older than this, if there is no Kuma that does; says how many.
    pub async fn prune_beats(&self, older_than: Duration) -> Result<u64, StoreError> {
        let _ = older_than;
        Err(StoreError::SchemaMissing)
    }
}
