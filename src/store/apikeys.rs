//! API keys, stored hashed.

use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::pool::Store;
use super::value::{Row, values};

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

const COLUMNS: &str = "SELECT id, name, scope, created_at FROM komainu_api_key";

/// Stores a key by its hash. [`StoreError::is_duplicate`] when the name is taken.
pub async fn create(store: &Store, name: &str, scope: Scope, hash: &str) -> Result<i64, StoreError> {
    let act = "store an API key";
    let now = store.dialect().now_ms();
    let sql = format!("INSERT INTO komainu_api_key (name, scope, hash, created_at) VALUES (?, ?, ?, {now})");
    store.lease(act).await?.insert(act, sql, values![name, scope.as_str(), hash]).await
}

/// The key with this hash.
pub async fn find_by_hash(store: &Store, hash: &str) -> Result<Option<ApiKeyInfo>, StoreError> {
    let act = "look up an API key";
    let row = store.lease(act).await?.row(act, format!("{COLUMNS} WHERE hash = ?"), values![hash]).await?;
    row.as_ref().map(info).transpose()
}

/// All keys.
pub async fn list(store: &Store) -> Result<Vec<ApiKeyInfo>, StoreError> {
    let act = "read the API keys";
    let rows = store.lease(act).await?.rows(act, format!("{COLUMNS} ORDER BY name"), vec![]).await?;
    rows.iter().map(info).collect()
}

fn info(row: &Row) -> Result<ApiKeyInfo, StoreError> {
    let scope = row.text("scope")?;
    let unreadable = || StoreError::unreadable("read the API keys", "scope", &scope);
    Ok(ApiKeyInfo {
        id: row.int("id")?,
        name: row.text("name")?,
        scope: Scope::parse(&scope).ok_or_else(unreadable)?,
        created_at: row.wall("created_at")?,
    })
}

/// Deletes the key of this name; `false`: there was none.
pub async fn delete(store: &Store, name: &str) -> Result<bool, StoreError> {
    let act = "delete an API key";
    let sql = "DELETE FROM komainu_api_key WHERE name = ?";
    Ok(store.lease(act).await?.execute(act, sql, values![name]).await? == 1)
}
