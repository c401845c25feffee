//! API keys, stored hashed.

use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::pool::Store;

/// What a key allows; each includes the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// GET.
    Read,
    /// Monitors, heartbeats, checks, silences, acknowledgements.
    Write,
    /// Everything.
    Admin,
}

impl Scope {
    /// As it stands in the column and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A key, without the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKeyInfo {
    /// The row's key.
    pub id: i64,
    /// For people; unique.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Wall,
}

/// Stores a key by its hash. [`StoreError::is_duplicate`] when the name is taken.
pub async fn create(store: &Store, name: &str, scope: Scope, hash: &str) -> Result<i64, StoreError> {
    let _ = (store, name, scope, hash);
    Err(StoreError::SchemaMissing)
}

/// The key with this hash.
pub async fn find_by_hash(store: &Store, hash: &str) -> Result<Option<ApiKeyInfo>, StoreError> {
    let _ = (store, hash);
    Err(StoreError::SchemaMissing)
}

/// All keys.
pub async fn list(store: &Store) -> Result<Vec<ApiKeyInfo>, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// Deletes the key of this name; `false`: there was none.
pub async fn delete(store: &Store, name: &str) -> Result<bool, StoreError> {
    let _ = (store, name);
    Err(StoreError::SchemaMissing)
}
