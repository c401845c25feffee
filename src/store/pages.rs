//! Public pages: what people chose for them, and what people wrote on them.
//!
//! What a page may be is decided by [`crate::pages`]; here its row is locked, handed to that judgement, and written with its row of the
//! audit trail. Every writer locks the row of `komainu_page_revision` first and raises it, so that writers come one after another, the
//! bounds hold, and whoever knows the number knows all that was written up to it.

mod figures;
mod notices;
mod reader;
mod trail;
mod writing;

use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::pool::Store;
use super::session::Session;
use super::value::{Row, Value, values};
use crate::monitor::FieldFault;
use crate::pages::Definition;

pub use super::monitors::{Change, Refusal};
pub use figures::{Figures, check_days, heartbeat_days, hours, monitor_days, monitors_of};
pub use notices::{Posted, Which, delete_notice, notice, notices, post, update};
pub(super) use notices::{post_in, read as notices_that, update_in};
pub use reader::{Everything, by_refs, everything, ref_of, revision};
pub(super) use reader::{definitions, refs_in};
pub(super) use writing::find;
pub use writing::{Target, Wish, delete, rehearse, write};

/// A page as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// What people chose.
    pub definition: Definition,
    /// The number of the write that made it so.
    pub revision: u64,
    /// By the database's clock.
    pub created_at: Wall,
    /// As the audit trail names who made it.
    pub created_by: String,
    /// By the database's clock.
    pub changed_at: Wall,
    /// Who changed it last.
    pub changed_by: String,
}

impl Page {
    /// Another one after each edit. With its quotes, as it stands in the header.
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.created_at.0, self.revision)
    }
}

const SELECT: &str = "SELECT slug, definition, logo, managed_by, revision, created_at, created_by, changed_at, changed_by \
     FROM komainu_page";

fn page(row: &Row) -> Result<Page, StoreError> {
    let definition = definition(row)?;
    let (slug, logo, managed_by) = (row.text("slug")?, row.maybe_text("logo")?, row.maybe_text("managed_by")?);
    Ok(Page {
        definition: Definition { slug, logo, managed_by, ..definition },
        revision: row.count("revision")?,
        created_at: row.wall("created_at")?,
        created_by: row.text("created_by")?,
        changed_at: row.wall("changed_at")?,
        changed_by: row.text("changed_by")?,
    })
}

/// Without its picture.
fn definition(row: &Row) -> Result<Definition, StoreError> {
    serde_json::from_str(&row.text("definition")?)
        .map_err(|_| StoreError::unreadable("read a page", "definition", "no page that this version knows"))
}

/// One of them.
pub async fn get(store: &Store, slug: &str) -> Result<Option<Page>, StoreError> {
    let act = "read a page";
    let row = store.lease(act).await?.row(act, format!("{SELECT} WHERE slug = ?"), values![slug]).await?;
    row.as_ref().map(page).transpose()
}

/// Some of them in the order of their places; of this set, if one is named.
pub async fn list(
    store: &Store,
    managed_by: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<super::Page<Page>, StoreError> {
    let act = "read pages";
    let mut values = values![cursor.unwrap_or_default()];
    let condition = if managed_by.is_some() { " AND managed_by = ?" } else { "" };
    values.extend(managed_by.map(Value::from));
    values.push(Value::from(limit.saturating_add(1)));
    let sql = format!("{SELECT} WHERE slug > ?{condition} ORDER BY slug LIMIT ?");
    let rows = store.lease(act).await?.rows(act, sql, values).await?;
    let items = rows.iter().map(page).collect::<Result<Vec<_>, _>>()?;
    Ok(super::Page::cut(items, limit, |page| page.definition.slug.clone()))
}

/// Keeps all other writers out until the transaction ends; says where they have come to, and the database's clock.
pub(super) async fn lock(session: &mut Session) -> Result<(u64, Wall), StoreError> {
    let act = "lock the pages";
    let (now, lock) = (session.dialect().now_ms(), session.dialect().for_update());
    let sql = format!("SELECT revision, {now} AS now_ms FROM komainu_page_revision WHERE id = 1{lock}");
    let row = session.row(act, sql, vec![]).await?;
    let row = row.ok_or_else(|| StoreError::unreadable(act, "revision", "nothing"))?;
    Ok((row.count("revision")?, row.wall("now_ms")?))
}

pub(super) async fn raise(session: &mut Session, revision: u64) -> Result<(), StoreError> {
    let sql = "UPDATE komainu_page_revision SET revision = ? WHERE id = 1";
    session.execute("raise the pages' revision", sql, values![revision]).await.map(|_| ())
}

/// Whether it is what the client had seen; `*`: whatever there is, but something.
fn is_met(if_match: &[String], etag: Option<&str>) -> bool {
    if_match.is_empty() || etag.is_some_and(|etag| if_match.iter().any(|tag| tag == "*" || tag == etag))
}

/// 96 random bits, as public ids are.
pub(crate) fn fresh_id() -> String {
    hex::encode(rand::random::<[u8; 12]>())
}

fn faulty(faults: Vec<FieldFault>) -> Refusal {
    Refusal::Faults(faults.into_iter().map(|fault| (0, fault)).collect())
}
