//! A lost tail in the tables: which of what was answered is not there any more, what each watchdog found, and the incident.
//!
//! What is looked for bears an id that was drawn for it, so nothing is compared by times; they only bound where it is looked
//! for, and those are of the same clock that stamped the rows. How a loss is known is
//! [`komainu_watchdogs::tail`]'s; its words are [`finding`]'s.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::tail::{KEY, LostTail};
use komainu_watchdogs::time::Wall;

use self::finding::{Finding, Seen, summary};
use super::error::StoreError;
use super::incidents::opening::{Opened, open_on};
use super::pool::{Store, in_transaction};
use super::session::{Session, Sql};
use super::value::{Row, Value, values};

pub mod finding;

const ACT: &str = "enter what the database lost";

/// Ids looked for at once.
const PART: usize = 500;

/// Transactions are stamped when they begin, and committed in another order.
const BEFORE: Duration = Duration::from_secs(10);

/// Findings of so many watchdogs are told together.
const MOST_SEEN: u32 = 100;

/// Of these pushes and deeds of people the ones that are there. `from`: when the last write that is known to be there was made.
pub async fn there(store: &Store, ids: Ids<'_>, from: Wall) -> Result<BTreeSet<String>, StoreError> {
    let (table, column, ids) = match ids {
        Ids::Pushes(ids) => ("komainu_push", "push_id", ids),
        Ids::Deeds(ids) => ("komainu_audit", "deed_id", ids),
    };
    let act = "look for what was answered";
    let from = from.0.saturating_sub(i64::try_from(BEFORE.as_millis()).unwrap_or(i64::MAX));
    let mut found = BTreeSet::new();
    for part in ids.chunks(PART) {
        let marks = vec!["?"; part.len()].join(", ");
        let sql = format!("SELECT {column} AS id FROM {table} WHERE at >= ? AND {column} IN ({marks})");
        let values = [values![from], part.iter().map(Value::from).collect()].concat();
        for row in store.lease(act).await?.rows(act, Sql::Once(sql), values).await? {
            found.insert(row.text("id")?);
        }
    }
    Ok(found)
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Ids<'a> {
    /// The ids of pushes.
    Pushes(&'a [String]),
    /// Those of rows of the audit trail.
    Deeds(&'a [String]),
}

/// Enters what a watchdog found, once, and opens the incident with what all have found; says whether people are told something new.
pub async fn enter(
    store: &Store,
    watchdog: &WatchdogId,
    (loss, finding): (&LostTail, &Finding),
    routing: &Routing,
) -> Result<bool, StoreError> {
    in_transaction!(store, ACT, |session| enter_in(session, watchdog, (loss, finding), routing).await)
}

async fn enter_in(
    session: &mut Session,
    watchdog: &WatchdogId,
    (loss, finding): (&LostTail, &Finding),
    routing: &Routing,
) -> Result<bool, StoreError> {
    let dialect = session.dialect();
    let sql = format!(
        "{} INTO komainu_lost_tail (watchdog_id, answered, began_at, ended_at, found, found_at) VALUES (?, ?, ?, ?, ?, {})",
        dialect.insert_ignore(),
        dialect.now_ms()
    );
    let text = serde_json::to_string(finding).expect("names and numbers have a JSON form");
    if session.execute(ACT, sql, values![watchdog, loss.answered, loss.from, loss.until, text]).await? == 0 {
        return Ok(false);
    }
    let registered = registered(session).await?;
    let opened = open(session, &[Seen::of(watchdog, loss, finding)], registered, routing).await?;
    // Whoever opens it at the same time waits for the other one, and then sees what that one found.
    let all = seen_since(session, opened.incident_id).await?;
    if all.len() > 1 {
        open(session, &all, registered, routing).await?;
    }
    Ok(opened.is_news)
}

async fn open(session: &mut Session, seen: &[Seen], registered: u32, routing: &Routing) -> Result<Opened, StoreError> {
    let found: BTreeSet<_> = seen.iter().map(|seen| &seen.watchdog).collect();
    let votes = (u32::try_from(found.len()).unwrap_or(u32::MAX), registered);
    let alarm = Alarm { key: KEY.to_owned(), severity: Severity::Critical, summary: summary(seen), votes };
    open_on(session, &alarm, &Subject::of(&alarm), routing).await
}

/// What watchdogs found since this incident opened; the one that opened it entered its finding in the same transaction.
async fn seen_since(session: &mut Session, incident: i64) -> Result<Vec<Seen>, StoreError> {
    let sql = "SELECT t.watchdog_id, t.began_at, t.ended_at, t.found FROM komainu_lost_tail t \
         JOIN komainu_incident i ON i.id = ? WHERE t.found_at >= i.opened_at - ? ORDER BY t.watchdog_id, t.answered LIMIT ?";
    let before = u32::try_from(BEFORE.as_millis()).unwrap_or(u32::MAX);
    let rows = session.rows(ACT, sql, values![incident, before, MOST_SEEN]).await?;
    rows.iter().map(seen).collect()
}

fn seen(row: &Row) -> Result<Seen, StoreError> {
    Ok(Seen {
        watchdog: row.text("watchdog_id")?.into(),
        from: row.wall("began_at")?,
        until: row.wall("ended_at")?,
        // What another version found says at least who and when.
        finding: serde_json::from_str(&row.text("found")?).unwrap_or_default(),
    })
}

async fn registered(session: &mut Session) -> Result<u32, StoreError> {
    let sql = "SELECT COUNT(*) AS number FROM komainu_watchdog WHERE stopped = 0";
    session.row(ACT, sql, vec![]).await?.map_or(Ok(0), |row| row.small("number"))
}
