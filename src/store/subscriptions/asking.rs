//! Strangers who subscribe, confirm it, and leave.
//!
//! Whoever asks is answered alike, whether the address is there already, was written to within the hour, or belongs to somebody who was written to
//! often enough by way of other pages. Nothing is changed for an address before its owner confirmed it; a new wish of a subscriber waits beside what
//! holds.

use std::time::Duration;

use komainu_watchdogs::time::Wall;

use super::{MOST_SUBSCRIBERS, Wish};
use crate::pages::Way;
use crate::store::error::StoreError;
use crate::store::insert::inserted;
use crate::store::pages::{fresh_id, lock};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// One address of a page is asked to confirm once in this time.
pub const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(3_600);

/// What was not confirmed within it ends. Mail that was greylisted, and people who read it in the evening, are within it.
pub const CONFIRMED_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// One mailbox is asked so often in an hour, by way of all pages.
const MOST_OF_MAILBOX: u32 = 3;

/// The same of one host, where webhooks of many may be.
const MOST_OF_HOST: u32 = 100;

/// A page asks so many in an hour.
const MOST_OF_PAGE: u32 = 500;

/// Rows of one page, with those that were never confirmed.
const MOST_ROWS: u32 = MOST_SUBSCRIBERS + 5_000;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The page.
    pub slug: &'a str,
    /// How they are told.
    pub way: Way,
    /// Where.
    pub address: &'a str,
    /// What the page knows the address by.
    pub address_hash: &'a str,
    /// Whose it is.
    pub person_hash: &'a str,
    /// What they want to hear.
    pub wish: &'a Wish,
}

/// What became of it; whoever asked is told the first two alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// They are asked to confirm it.
    Noted,
    /// They were asked a moment ago.
    Quiet,
    /// The page has no room for more.
    Full,
    /// There is no such page.
    NoPage,
}

/// What became of a confirmation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confirmed {
    /// It holds from now on.
    Now(Way),
    /// It holds since it was confirmed before.
    Already,
    /// There is nothing to be confirmed, or not any more.
    Over,
    /// The page has no room for more.
    Full,
}

/// Notes what somebody asks for.
pub async fn ask(store: &Store, asking: Asking<'_>) -> Result<Asked, StoreError> {
    in_transaction!(store, "note a subscription", |session| ask_in(session, asking).await)
}

async fn ask_in(session: &mut Session, asking: Asking<'_>) -> Result<Asked, StoreError> {
    let act = "note a subscription";
    // One after the other: what is counted below holds for all who ask at once.
    let (_, now) = lock(session).await?;
    let sql = "SELECT 1 AS one FROM komainu_page WHERE slug = ?";
    if session.row(act, sql, values![asking.slug]).await?.is_none() {
        return Ok(Asked::NoPage);
    }
    let since = Wall(now.0.saturating_sub(millis(ASKED_AGAIN_AFTER)));
    let lock = session.dialect().for_update();
    let sql = format!("SELECT id, asked_at FROM komainu_page_subscriber WHERE address_hash = ?{lock}");
    let known = session.row(act, sql, values![asking.address_hash]).await?;
    if known.as_ref().map(|row| row.wall("asked_at")).transpose()?.is_some_and(|asked_at| asked_at > since) {
        return Ok(Asked::Quiet);
    }
    let most = if asking.way == Way::Mail { MOST_OF_MAILBOX } else { MOST_OF_HOST };
    let of_person = "SELECT COUNT(*) AS many FROM komainu_page_subscriber WHERE person_hash = ? AND asked_at > ?";
    if count(session, of_person, values![asking.person_hash, since]).await? >= most {
        return Ok(Asked::Quiet);
    }
    let of_page = "SELECT COUNT(*) AS many FROM komainu_page_subscriber WHERE slug = ? AND asked_at > ?";
    let rows = "SELECT COUNT(*) AS many FROM komainu_page_subscriber WHERE slug = ?";
    let is_crowded = count(session, of_page, values![asking.slug, since]).await? >= MOST_OF_PAGE;
    if is_crowded || (known.is_none() && count(session, rows, values![asking.slug]).await? >= MOST_ROWS) {
        return Ok(Asked::Full);
    }
    let wish = serde_json::to_string(asking.wish).unwrap_or_default();
    if let Some(known) = known {
        let sql = "UPDATE komainu_page_subscriber SET wish = ?, asked_at = ?, greet_at = ?, greet_attempts = 0, greeting_at = NULL WHERE id = ?";
        session.execute(act, sql, values![wish, now, now, known.int("id")?]).await?;
    } else {
        insert(session, asking, now, By::Visitor).await?;
    }
    Ok(Asked::Noted)
}

/// Who enters a subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) enum By<'a> {
    /// Somebody who looked at the page; they are asked to confirm it.
    Visitor,
    /// Somebody with a key, who may answer for it that they want it.
    Key { who: &'a str, is_confirmed: bool },
}

/// Enters one; the row's key, and the id by which others know it.
pub(super) async fn insert(
    session: &mut Session,
    asking: Asking<'_>,
    now: Wall,
    by: By<'_>,
) -> Result<(i64, String), StoreError> {
    let columns = [
        "public_id",
        "slug",
        "kind",
        "address",
        "address_hash",
        "person_hash",
        "state",
        "components",
        "language",
        "nonce",
        "wish",
        "asked_at",
        "greet_at",
        "told",
        "created_at",
        "created_by",
        "confirmed_at",
    ];
    let (id, Asking { slug, way, address, address_hash, person_hash, wish }) = (fresh_id(), asking);
    let (created_by, is_confirmed) = match by {
        By::Visitor => (None, false),
        By::Key { who, is_confirmed } => (Some(who.to_owned()), is_confirmed),
    };
    let text = |value: serde_json::Result<String>| value.unwrap_or_default();
    let (components, waits) = (text(serde_json::to_string(&wish.components)), text(serde_json::to_string(wish)));
    let (state, waits) = if is_confirmed { ("confirmed", None) } else { ("asked", Some(waits)) };
    let (greet_at, confirmed_at) = (waits.is_some().then_some(now), waits.is_none().then_some(now));
    let (kind, language) = (way.as_str(), wish.language.code());
    let mut row =
        values![&id, slug, kind, address, address_hash, person_hash, state, components, language, &wish.nonce];
    row.extend(values![waits, now, greet_at, 0_i64, now, created_by, confirmed_at]);
    let (sql, values) = inserted(session.dialect(), "komainu_page_subscriber", &columns, vec![row]);
    Ok((session.insert("enter a subscriber", Sql::Once(sql), values).await?, id))
}

pub(super) async fn count(
    session: &mut Session,
    sql: &'static str,
    values: Vec<crate::store::value::Value>,
) -> Result<u32, StoreError> {
    session.row("count subscribers", sql, values).await?.map_or(Ok(0), |row| row.small("many"))
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Confirms the wish of that nonce.
pub async fn confirm(store: &Store, slug: &str, (id, nonce): (&str, &str)) -> Result<Confirmed, StoreError> {
    in_transaction!(store, "confirm a subscription", |session| confirm_in(session, slug, (id, nonce)).await)
}

async fn confirm_in(session: &mut Session, slug: &str, (id, nonce): (&str, &str)) -> Result<Confirmed, StoreError> {
    let act = "confirm a subscription";
    let (now, locked) = (session.dialect().now_ms(), session.dialect().for_update());
    let sql = format!(
        "SELECT id, kind, state, nonce, wish, asked_at, {now} AS now_ms FROM komainu_page_subscriber WHERE public_id = ? AND slug = ?{locked}"
    );
    let Some(row) = session.row(act, sql, values![id, slug]).await? else { return Ok(Confirmed::Over) };
    let (state, now) = (row.text("state")?, row.wall("now_ms")?);
    let Some(way) = Way::parse(&row.text("kind")?) else { return Ok(Confirmed::Over) };
    if state == "confirmed" && row.text("nonce")? == nonce {
        return Ok(Confirmed::Already);
    }
    let wish: Option<Wish> = row.maybe_text("wish")?.and_then(|text| serde_json::from_str(&text).ok());
    let is_late = now.0.saturating_sub(row.wall("asked_at")?.0) > millis(CONFIRMED_WITHIN);
    let Some(wish) = wish.filter(|wish| wish.nonce == nonce && !is_late) else { return Ok(Confirmed::Over) };
    let others = "SELECT COUNT(*) AS many FROM komainu_page_subscriber WHERE slug = ? AND state = 'confirmed'";
    let is_new = state != "confirmed";
    if is_new && count(session, others, values![slug]).await? >= MOST_SUBSCRIBERS {
        return Ok(Confirmed::Full);
    }
    let components = serde_json::to_string(&wish.components).unwrap_or_default();
    let sql = "UPDATE komainu_page_subscriber SET state = 'confirmed', components = ?, language = ?, nonce = ?, wish = NULL, greet_at = NULL, \
               greet_attempts = 0, greeting_at = NULL, confirmed_at = ?, ended_at = NULL, attempts = 0, failures = 0, trouble = NULL, retry_at = NULL WHERE id = ?";
    session.execute(act, sql, values![components, wish.language.code(), nonce, now, row.int("id")?]).await?;
    if is_new {
        from_now_on(session, row.int("id")?).await?;
    }
    Ok(Confirmed::Now(way))
}

/// What was said before is not told.
pub(super) async fn from_now_on(session: &mut Session, id: i64) -> Result<(), StoreError> {
    let sql =
        "UPDATE komainu_page_subscriber SET told = (SELECT COALESCE(MAX(id), 0) FROM komainu_page_news) WHERE id = ?";
    session.execute("begin a subscription", sql, values![id]).await.map(|_| ())
}

/// Ends it, and forgets the address; `false`: it had ended before.
pub async fn leave(store: &Store, slug: &str, id: &str) -> Result<bool, StoreError> {
    let act = "end a subscription";
    let sql = "DELETE FROM komainu_page_subscriber WHERE public_id = ? AND slug = ?";
    let gone = in_transaction!(store, act, |session| session.execute(act, sql, values![id, slug]).await)?;
    Ok(gone > 0)
}
