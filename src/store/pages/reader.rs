//! All pages with all that was written on them, as a watchdog keeps them in memory.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use super::{Page, SELECT, definition, notices, page};
use crate::pages::{Definition, Notice};
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};

const ACT: &str = "read all pages";

/// Notices of all pages that are kept in memory: the latest.
const MOST_NOTICES: u32 = 4_000;

/// Refs of one statement.
const MANY: usize = 500;

/// What there is of pages.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Everything {
    /// Of the last write that is surely in it.
    pub revision: u64,
    /// By the database's clock.
    pub read_at: Wall,
    /// In the order of their places.
    pub pages: Vec<Page>,
    /// The latest first.
    pub notices: Vec<Notice>,
}

/// The number that each write raises, and the database's clock.
pub async fn revision(store: &Store) -> Result<(u64, Wall), StoreError> {
    revision_in(&mut *store.lease(ACT).await?).await
}

async fn revision_in(session: &mut Session) -> Result<(u64, Wall), StoreError> {
    let sql =
        format!("SELECT revision, {} AS now_ms FROM komainu_page_revision WHERE id = 1", session.dialect().now_ms());
    let row = session.row(ACT, sql, vec![]).await?;
    let row = row.ok_or_else(|| StoreError::unreadable(ACT, "revision", "nothing"))?;
    Ok((row.count("revision")?, row.wall("now_ms")?))
}

/// The ref of a monitor, if it bears one.
pub async fn ref_of(store: &Store, monitor: MonitorId) -> Result<Option<String>, StoreError> {
    let act = "read the ref of a monitor";
    let sql = "SELECT ref FROM komainu_monitor WHERE monitor_id = ?";
    let row = store.lease(act).await?.row(act, sql, values![monitor]).await?;
    row.map_or(Ok(None), |row| row.maybe_text("ref"))
}

/// All of it. The number is read first: what is written meanwhile is read again.
pub async fn everything(store: &Store) -> Result<Everything, StoreError> {
    let mut lease = store.lease(ACT).await?;
    let (revision, read_at) = revision_in(&mut lease).await?;
    let rows = lease.rows(ACT, format!("{SELECT} ORDER BY slug"), vec![]).await?;
    // One that only a newer komainu can read does not take the others away.
    let pages = rows.iter().filter_map(|row| page(row).ok()).collect();
    let notices = notices::read(&mut lease, " ORDER BY id DESC LIMIT ?", values![MOST_NOTICES]).await?;
    Ok(Everything { revision, read_at, pages, notices })
}

/// What people chose for each page, by its place; without pictures.
pub(in crate::store) async fn definitions(session: &mut Session) -> Result<BTreeMap<String, Definition>, StoreError> {
    let rows = session.rows(ACT, "SELECT slug, definition FROM komainu_page ORDER BY slug", vec![]).await?;
    // One that only a newer komainu can read does not take the others away.
    let known = |row: &Row| Some((row.text("slug").ok()?, definition(row).ok()?));
    Ok(rows.iter().filter_map(known).collect())
}

/// Which monitors bear these refs just now.
pub async fn by_refs(store: &Store, names: &[String]) -> Result<BTreeMap<String, MonitorId>, StoreError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    refs_in(&mut *store.lease("read monitors by their refs").await?, names).await
}

pub(in crate::store) async fn refs_in(
    session: &mut Session,
    names: &[String],
) -> Result<BTreeMap<String, MonitorId>, StoreError> {
    let act = "read monitors by their refs";
    let mut found = BTreeMap::new();
    for part in names.chunks(MANY) {
        let places = vec!["?"; part.len()].join(", ");
        let sql = format!("SELECT ref, monitor_id FROM komainu_monitor WHERE ref IN ({places})");
        let values = part.iter().map(Value::from).collect();
        for row in session.rows(act, Sql::Once(sql), values).await? {
            found.insert(row.text("ref")?, MonitorId(row.int("monitor_id")?));
        }
    }
    Ok(found)
}
