//! API keys, stored hashed. Each that comes or goes leaves a row in the audit trail, in the same transaction.

use komainu_watchdogs::time::Wall;

use serde_json::json;

use super::audit::{Deed, append_in};
use super::error::StoreError;
use super::pool::{Store, in_transaction};
use super::session::Session;
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
pub async fn create(store: &Store, name: &str, scope: Scope, hash: &str, by: &str) -> Result<i64, StoreError> {
    in_transaction!(store, "store an API key", |session| create_in(session, name, scope, hash, by).await)
}

async fn create_in(session: &mut Session, name: &str, scope: Scope, hash: &str, by: &str) -> Result<i64, StoreError> {
    let now = session.dialect().now_ms();
    let sql = format!("INSERT INTO komainu_api_key (name, scope, hash, created_at) VALUES (?, ?, ?, {now})");
    let id = session.insert("store an API key", sql, values![name, scope.as_str(), hash]).await?;
    append_in(session, &deed(by, "apikey.create", name, None, Some(scope))).await?;
    Ok(id)
}

/// The key with this hash.
pub async fn find_by_hash(store: &Store, hash: &str) -> Result<Option<ApiKeyInfo>, StoreError> {
    let act = "look up an API key";
    let row = store.lease(act).await?.row(act, format!("{COLUMNS} WHERE hash = ?"), values![hash]).await?;
    row.as_ref().map(info).transpose()
}

/// More keys are nobody's; those made first count.
const MOST: u32 = 10_000;

/// All keys by their hashes.
pub async fn hashes(store: &Store) -> Result<Vec<(String, ApiKeyInfo)>, StoreError> {
    let act = "look up an API key";
    let sql = format!("SELECT hash, id, name, scope, created_at FROM komainu_api_key ORDER BY id LIMIT {MOST}");
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.text("hash")?, info(row)?))).collect()
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
pub async fn delete(store: &Store, name: &str, by: &str) -> Result<bool, StoreError> {
    in_transaction!(store, "delete an API key", |session| delete_in(session, name, by).await)
}

async fn delete_in(session: &mut Session, name: &str, by: &str) -> Result<bool, StoreError> {
    let act = "delete an API key";
    let found = format!("{COLUMNS} WHERE name = ?{}", session.dialect().for_update());
    let Some(row) = session.row(act, found, values![name]).await? else { return Ok(false) };
    session.execute(act, "DELETE FROM komainu_api_key WHERE name = ?", values![name]).await?;
    append_in(session, &deed(by, "apikey.delete", name, Some(info(&row)?.scope), None)).await?;
    Ok(true)
}

fn deed(by: &str, what: &str, name: &str, before: Option<Scope>, after: Option<Scope>) -> Deed {
    let text = |scope: Option<Scope>| scope.map(|scope| json!({"name": name, "scope": scope.as_str()}).to_string());
    Deed {
        who: by.to_owned(),
        what: what.to_owned(),
        subject: name.to_owned(),
        before: text(before),
        after: text(after),
    }
}
