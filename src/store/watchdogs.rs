//! Watchdogs as operators see them.

use komainu_watchdogs::facts::WatchdogRow;
use komainu_watchdogs::ids::WatchdogId;

use super::error::StoreError;
use super::pool::Store;

/// A watchdog with what only people want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchdogInfo {
    /// Its row.
    pub row: WatchdogRow,
    /// The host it runs on.
    pub hostname: String,
    /// Of its program.
    pub version: String,
}

/// All registered watchdogs.
pub async fn list(store: &Store) -> Result<Vec<WatchdogInfo>, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// Forgets one, with its observations; `false`: there was none. A living one registers again at once.
pub async fn remove(store: &Store, watchdog: &WatchdogId) -> Result<bool, StoreError> {
    let _ = (store, watchdog);
    Err(StoreError::SchemaMissing)
}
