//! Incidents as people list and acknowledge them; they are opened and resolved below, in [`opening`].

pub(crate) mod opening;

use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::pool::Store;
use super::value::{Row, values};
use super::{Page, key_of_cursor};

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
    let act = "read the incidents";
    let mut condition = String::new();
    let mut values = values![key_of_cursor(cursor)?.unwrap_or(i64::MAX)];
    match filter.is_open {
        Some(true) => condition.push_str(" AND resolved_at IS NULL"),
        Some(false) => condition.push_str(" AND resolved_at IS NOT NULL"),
        None => {}
    }
    if let Some(key) = &filter.key {
        condition.push_str(" AND (k = ? OR SUBSTR(k, 1, LENGTH(?) + 1) = ? || '/')");
        values.extend(values![key, key, key]);
    }
    values.extend(values![limit.saturating_add(1)]);
    let sql = format!(
        "SELECT id, k, severity, summary, votes_bad, votes_of, opened_at, last_bad_at, resolved_at, acknowledged_at, \
         acknowledged_by FROM komainu_incident WHERE id < ?{condition} ORDER BY id DESC LIMIT ?"
    );
    let rows = store.lease(act).await?.rows(act, sql, values).await?;
    let items = rows.iter().map(incident).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(items, limit, |incident| incident.id.to_string()))
}

fn incident(row: &Row) -> Result<Incident, StoreError> {
    Ok(Incident {
        id: row.int("id")?,
        key: row.text("k")?,
        severity: row.text("severity")?,
        summary: row.text("summary")?,
        votes_bad: row.small("votes_bad")?,
        votes_of: row.small("votes_of")?,
        opened_at: row.wall("opened_at")?,
        last_bad_at: row.wall("last_bad_at")?,
        resolved_at: row.maybe_wall("resolved_at")?,
        acknowledged_at: row.maybe_wall("acknowledged_at")?,
        acknowledged_by: row.maybe_text("acknowledged_by")?,
    })
}

/// Notes who takes care of it; `false`: there is none, or it is resolved.
pub async fn acknowledge(store: &Store, id: i64, who: &str) -> Result<bool, StoreError> {
    let act = "acknowledge an incident";
    let sql = format!(
        "UPDATE komainu_incident SET acknowledged_at = {}, acknowledged_by = ? WHERE id = ? AND resolved_at IS NULL",
        store.dialect().now_ms()
    );
    Ok(store.lease(act).await?.execute(act, sql, values![who, id]).await? == 1)
}
