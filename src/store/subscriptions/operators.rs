//! What keys see of subscribers, and do with them.

use komainu_watchdogs::time::Wall;
use serde_json::json;

use super::MOST_SUBSCRIBERS;
use super::asking::{Asking, By, count, from_now_on, insert};
use crate::monitor::FieldFault;
use crate::pages::{Language, Way};
use crate::store::audit::{self, Deed};
use crate::store::error::StoreError;
use crate::store::pages::{Refusal, lock};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::{Row, values};
use crate::store::{Page, key_of_cursor};

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscriber {
    /// The row's key.
    pub id: i64,
    /// As keys name it.
    pub public_id: String,
    /// How they are told.
    pub way: Way,
    /// Where: personal.
    pub address: String,
    /// `asked`, `confirmed`, `ended`.
    pub state: String,
    /// Public ids; none: all.
    pub components: Vec<String>,
    /// What they are told in.
    pub language: Language,
    /// Why the last message did not arrive.
    pub trouble: Option<String>,
    /// What was said before it they have heard.
    pub told: i64,
    /// By the database's clock.
    pub created_at: Wall,
    /// `None`: a visitor of the page.
    pub created_by: Option<String>,
    /// By the database's clock.
    pub confirmed_at: Option<Wall>,
    /// By the database's clock.
    pub ended_at: Option<Wall>,
    /// Part of the tag.
    asked_at: Wall,
    /// Another one for each wish that was confirmed.
    nonce: String,
}

impl Subscriber {
    /// Another one after each wish, confirmation and end. With its quotes, as it stands in the header.
    pub fn etag(&self) -> String {
        let nonce = self.nonce.get(..8).unwrap_or_default();
        format!("\"{}-{}-{}-{nonce}\"", self.public_id, self.state, self.asked_at.0)
    }
}

const SELECT: &str = "SELECT id, public_id, kind, address, state, components, language, nonce, trouble, told, asked_at, created_at, created_by, \
     confirmed_at, ended_at FROM komainu_page_subscriber";

fn subscriber(row: &Row) -> Result<Option<Subscriber>, StoreError> {
    let Some(way) = Way::parse(&row.text("kind")?) else { return Ok(None) };
    Ok(Some(Subscriber {
        id: row.int("id")?,
        public_id: row.text("public_id")?,
        way,
        address: row.text("address")?,
        state: row.text("state")?,
        components: serde_json::from_str(&row.text("components")?).unwrap_or_default(),
        language: Language::parse(&row.text("language")?).unwrap_or_default(),
        trouble: row.maybe_text("trouble")?,
        told: row.int("told")?,
        created_at: row.wall("created_at")?,
        created_by: row.maybe_text("created_by")?,
        confirmed_at: row.maybe_wall("confirmed_at")?,
        ended_at: row.maybe_wall("ended_at")?,
        asked_at: row.wall("asked_at")?,
        nonce: row.text("nonce")?,
    }))
}

/// Those of a page in the order in which they came.
pub async fn list(store: &Store, slug: &str, cursor: Option<&str>, limit: u32) -> Result<Page<Subscriber>, StoreError> {
    let act = "read subscribers";
    let after = key_of_cursor(cursor)?.unwrap_or(0);
    let sql = format!("{SELECT} WHERE slug = ? AND id > ? ORDER BY id LIMIT ?");
    let rows = store.lease(act).await?.rows(act, sql, values![slug, after, limit.saturating_add(1)]).await?;
    let found = rows.iter().filter_map(|row| subscriber(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(found, limit, |subscriber| subscriber.id.to_string()))
}

/// One of them.
pub async fn get(store: &Store, slug: &str, id: &str) -> Result<Option<Subscriber>, StoreError> {
    let act = "read a subscriber";
    let sql = format!("{SELECT} WHERE slug = ? AND public_id = ?");
    let row = store.lease(act).await?.row(act, sql, values![slug, id]).await?;
    row.map_or(Ok(None), |row| subscriber(&row))
}

/// Who is added, and how.
#[derive(Clone, Copy, Debug)]
pub struct Adding<'a> {
    /// As a visitor would ask for it.
    pub asking: Asking<'a>,
    /// Whoever adds them answers for it that they want it.
    pub is_confirmed: bool,
    /// It is written, and not only judged.
    pub is_meant: bool,
}

/// Adds one, and says under which id.
pub async fn add(store: &Store, by: &str, adding: Adding<'_>) -> Result<Result<String, Refusal>, StoreError> {
    in_transaction!(store, "add a subscriber", |session| add_in(session, by, adding).await)
}

async fn add_in(session: &mut Session, by: &str, adding: Adding<'_>) -> Result<Result<String, Refusal>, StoreError> {
    let act = "add a subscriber";
    let Asking { slug, way, address_hash, .. } = adding.asking;
    // One after the other: what is counted below holds for all who add at once.
    let (_, now) = lock(session).await?;
    let sql = "SELECT 1 AS one FROM komainu_page WHERE slug = ?";
    if session.row(act, sql, values![slug]).await?.is_none() {
        return Ok(Err(Refusal::Unknown));
    }
    let known = "SELECT COUNT(*) AS many FROM komainu_page_subscriber WHERE address_hash = ?";
    let rows = "SELECT COUNT(*) AS many FROM komainu_page_subscriber WHERE slug = ?";
    let conflict = |words: String| Ok(Err(Refusal::Faults(vec![(0, FieldFault::conflict("address", words))])));
    if count(session, known, values![address_hash]).await? > 0 {
        return conflict("this page has a subscriber with it already".to_owned());
    }
    if count(session, rows, values![slug]).await? >= MOST_SUBSCRIBERS {
        return conflict(format!("a page has at most {MOST_SUBSCRIBERS} subscribers"));
    }
    if !adding.is_meant {
        return Ok(Ok(String::new()));
    }
    let by_key = By::Key { who: by, is_confirmed: adding.is_confirmed };
    let (key, id) = insert(session, adding.asking, now, by_key).await?;
    from_now_on(session, key).await?;
    note(session, (by, "page.subscribe"), (slug, &id, way)).await?;
    Ok(Ok(id))
}

/// Takes one away, with the address.
pub async fn remove(
    store: &Store,
    by: &str,
    (slug, id): (&str, &str),
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    in_transaction!(store, "remove a subscriber", |session| remove_in(session, by, (slug, id), if_match).await)
}

async fn remove_in(
    session: &mut Session,
    by: &str,
    (slug, id): (&str, &str),
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    let act = "remove a subscriber";
    let lock = session.dialect().for_update();
    let row = session.row(act, format!("{SELECT} WHERE slug = ? AND public_id = ?{lock}"), values![slug, id]).await?;
    let Some(gone) = row.map_or(Ok(None), |row| subscriber(&row))? else { return Ok(Err(Refusal::Unknown)) };
    if !if_match.is_empty() && !if_match.iter().any(|tag| tag == "*" || *tag == gone.etag()) {
        return Ok(Err(Refusal::Stale));
    }
    session.execute(act, "DELETE FROM komainu_page_subscriber WHERE id = ?", values![gone.id]).await?;
    note(session, (by, "page.unsubscribe"), (slug, id, gone.way)).await?;
    Ok(Ok(()))
}

/// Who did it, and to whom by the id: an address never stands in the trail.
async fn note(
    session: &mut Session,
    (by, what): (&str, &str),
    (slug, id, way): (&str, &str, Way),
) -> Result<(), StoreError> {
    let after = json!({"id": id, "kind": way.as_str()}).to_string();
    let deed = Deed {
        who: by.to_owned(),
        what: what.to_owned(),
        subject: format!("page/{slug}"),
        before: None,
        after: Some(after),
    };
    audit::append_in(session, &deed).await
}
