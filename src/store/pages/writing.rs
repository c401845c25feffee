//! Making, changing, replacing and deleting pages.

use serde_json::{Map, Value as Json};

use super::{Change, Page, Refusal, SELECT, definition, faulty, fresh_id, is_met, lock, page, raise, trail};
use crate::monitor::FieldFault;
use crate::pages::{Definition, MOST_GRAPHS, MOST_OF_ALL, MOST_PAGES, made};
use crate::store::error::StoreError;
use crate::store::insert::inserted;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// Which page is meant, and what is to become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A new one; its place must be free.
    New,
    /// The one that stands there, in what is named.
    Existing,
    /// What is named and nothing else, whether there is one or not; a password that is not named stays.
    Whole,
}

/// One page as a client wants it.
#[derive(Clone, PartialEq, Debug)]
pub struct Wish {
    /// Which one.
    pub target: Target,
    /// Its place.
    pub slug: String,
    /// What of it; a password as its hash.
    pub fields: Map<String, Json>,
    /// What the client had seen: one of these; empty: whatever is there.
    pub if_match: Vec<String>,
}

const COLUMNS: [&str; 9] =
    ["slug", "definition", "logo", "managed_by", "revision", "created_at", "created_by", "changed_at", "changed_by"];

/// Does what is wished, or says why not. `by`: as the audit trail names who asks.
pub async fn write(store: &Store, by: &str, wish: &Wish) -> Result<Result<Change, Refusal>, StoreError> {
    in_transaction!(store, "write a page", |session| write_in(session, by, wish, true).await)
}

/// Judges what is wished as [`write`] would now, and writes nothing.
pub async fn rehearse(store: &Store, wish: &Wish) -> Result<Result<Change, Refusal>, StoreError> {
    in_transaction!(store, "judge a page", |session| write_in(session, "", wish, false).await)
}

async fn write_in(
    session: &mut Session,
    by: &str,
    wish: &Wish,
    is_meant: bool,
) -> Result<Result<Change, Refusal>, StoreError> {
    let (revision, now) = lock(session).await?;
    let before = find(session, &wish.slug).await?;
    let after = match planned(wish, before.as_ref()) {
        Ok(after) => after,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let change = match &before {
        None => Change::Created,
        Some(before) if before.definition == after => return Ok(Ok(Change::Unchanged)),
        Some(_) => Change::Updated,
    };
    if let Some(fault) = crowd(session, &after).await? {
        return Ok(Err(Refusal::Faults(vec![(0, fault)])));
    }
    if is_meant {
        let (created_at, created_by) = match &before {
            Some(before) => (before.created_at, before.created_by.as_str()),
            None => (now, by),
        };
        let (slug, stored) = (&after.slug, after.stored());
        let managed_by = after.managed_by.clone();
        let row = values![slug, stored, after.logo.clone(), managed_by, revision + 1, created_at, created_by, now, by];
        let act = "write a page";
        session.execute(act, "DELETE FROM komainu_page WHERE slug = ?", values![slug]).await?;
        let (sql, values) = inserted(session.dialect(), "komainu_page", &COLUMNS, vec![row]);
        session.execute(act, Sql::Once(sql), values).await?;
        raise(session, revision + 1).await?;
        trail::note_page(session, by, before.as_ref().map(|before| &before.definition), Some(&after)).await?;
    }
    Ok(Ok(change))
}

pub(in crate::store) async fn find(session: &mut Session, slug: &str) -> Result<Option<Page>, StoreError> {
    let row = session.row("read a page", format!("{SELECT} WHERE slug = ?"), values![slug]).await?;
    row.as_ref().map(page).transpose()
}

/// What is wrong by itself is told before what contradicts what is there.
fn planned(wish: &Wish, before: Option<&Page>) -> Result<Definition, Refusal> {
    let blank = Definition { slug: wish.slug.clone(), ..Definition::default() };
    let base = match (wish.target, before.map(|before| before.definition.clone())) {
        (Target::Existing, Some(before)) => before,
        // Its fields are judged although there is nothing to be changed.
        (Target::Existing, None) => Definition { title: "?".to_owned(), ..blank },
        (Target::New, _) | (Target::Whole, None) => blank,
        // Ids stay with what they stand for.
        (Target::Whole, Some(Definition { id, password, groups, .. })) => Definition { id, password, groups, ..blank },
    };
    let mut said = wish.fields.clone();
    if wish.target == Target::Whole {
        said.entry("groups").or_insert(Json::Null);
    }
    let made = made(&said, &base, &mut fresh_id);
    let misplaced = crate::pages::slug_fault(&wish.slug).map(|message| FieldFault::new("slug", message));
    let faults: Vec<_> = misplaced.into_iter().chain(made.as_ref().err().cloned().unwrap_or_default()).collect();
    let Ok(after) = made else { return Err(faulty(faults)) };
    if !faults.is_empty() {
        return Err(faulty(faults));
    }
    if !is_met(&wish.if_match, before.map(Page::etag).as_deref()) {
        return Err(Refusal::Stale);
    }
    match (wish.target, before) {
        (Target::Existing, None) => Err(Refusal::Unknown),
        (Target::New, Some(_)) => {
            Err(faulty(vec![FieldFault::conflict("slug", format!("there is a page {} already", wish.slug))]))
        }
        (Target::Existing, Some(_)) | (Target::New, None) | (Target::Whole, _) => Ok(after),
    }
}

/// What a cluster has no room for.
async fn crowd(session: &mut Session, after: &Definition) -> Result<Option<FieldFault>, StoreError> {
    let sql = "SELECT definition FROM komainu_page WHERE slug <> ?";
    let rows = session.rows("count pages", sql, values![&after.slug]).await?;
    let others = rows.iter().map(definition).collect::<Result<Vec<_>, _>>()?;
    let all = || others.iter().chain([after]);
    let components = all().flat_map(Definition::components).count();
    let graphs = all().flat_map(Definition::components).filter(|component| component.graph).count();
    let fault = if others.len() >= MOST_PAGES {
        Some(FieldFault::conflict("slug", format!("a cluster has at most {MOST_PAGES} pages")))
    } else if components > MOST_OF_ALL {
        Some(FieldFault::conflict("groups", format!("all pages together have at most {MOST_OF_ALL} components")))
    } else if graphs > MOST_GRAPHS {
        let words = format!("all pages together have at most {MOST_GRAPHS} components with a graph");
        Some(FieldFault::conflict("groups", words))
    } else {
        None
    };
    Ok(fault)
}

/// Deletes one with all that was written on it, and whoever subscribed to it.
pub async fn delete(
    store: &Store,
    by: &str,
    slug: &str,
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    in_transaction!(store, "delete a page", |session| delete_in(session, by, slug, if_match).await)
}

async fn delete_in(
    session: &mut Session,
    by: &str,
    slug: &str,
    if_match: &[String],
) -> Result<Result<(), Refusal>, StoreError> {
    let act = "delete a page";
    let (revision, _) = lock(session).await?;
    let Some(gone) = find(session, slug).await? else { return Ok(Err(Refusal::Unknown)) };
    if !is_met(if_match, Some(&gone.etag())) {
        return Ok(Err(Refusal::Stale));
    }
    let updates =
        "DELETE FROM komainu_page_update WHERE notice_id IN (SELECT id FROM komainu_page_notice WHERE slug = ?)";
    session.execute(act, updates, values![slug]).await?;
    session.execute(act, "DELETE FROM komainu_page_notice WHERE slug = ?", values![slug]).await?;
    session.execute(act, "DELETE FROM komainu_page_news WHERE slug = ?", values![slug]).await?;
    session.execute(act, "DELETE FROM komainu_page_subscriber WHERE slug = ?", values![slug]).await?;
    session.execute(act, "DELETE FROM komainu_page WHERE slug = ?", values![slug]).await?;
    raise(session, revision + 1).await?;
    trail::note_page(session, by, Some(&gone.definition), None).await?;
    Ok(Ok(()))
}
