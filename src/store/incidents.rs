//! Incidents as people list and acknowledge them; they are opened and resolved below, in [`opening`].

pub(crate) mod bulk;
pub mod leftover;
pub(crate) mod opening;
mod returning;
mod taking;

use std::collections::BTreeMap;

use komainu_watchdogs::time::Wall;
use serde_json::json;

use super::audit::{Deed, append_in};
use super::error::StoreError;
use super::outbox::notes::{IS_NO_NOTE, Note};
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::value::{Row, values};
use super::{Page, key_of_cursor};

pub use self::taking::{Acknowledged, Late, Taking, Told, acknowledge, take, take_late};

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
    /// By the database's clock; of one that came back, when it did.
    pub opened_at: Wall,
    /// When it opened for the first time.
    pub first_opened_at: Wall,
    /// When somebody last saw it bad.
    pub last_bad_at: Wall,
    /// `None`: it is open.
    pub resolved_at: Option<Wall>,
    /// Whose hand resolved it; `None`: it is open, or ended by itself.
    pub resolved_by: Option<String>,
    /// Somebody takes care of it.
    pub acknowledged_at: Option<Wall>,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// How often it came back soon after it was over.
    pub flaps: u32,
}

/// Something that happened to an incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The row's key.
    pub id: i64,
    /// `opened`, `reminder`, `flapping`, `resolved`.
    pub kind: String,
    /// One sentence.
    pub summary: String,
    /// By the database's clock.
    pub at: Wall,
}

/// One event for one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The row's key.
    pub id: i64,
    /// Of which event.
    pub event_id: i64,
    /// The channel that is to carry it.
    pub channel: String,
    /// `waiting`, `held`, `sent`, `cancelled`, `failed`.
    pub state: String,
    /// The incident that explains it, while it is held.
    pub held_by: Option<i64>,
    /// The silence that holds it, by its UUID.
    pub silenced_by: Option<String>,
    /// The maintenance window that holds it back, by its name.
    pub maintained_by: Option<String>,
    /// When it is or was to be told.
    pub due_at: Wall,
    /// How often somebody began to send it.
    pub attempts: u32,
    /// It may have arrived twice.
    pub may_be_repeated: bool,
    /// Why an attempt failed.
    pub last_error: Option<String>,
    /// When it arrived.
    pub sent_at: Option<Wall>,
    /// When it was entered.
    pub entered_at: Wall,
    /// What the vendor said when it took it.
    pub answer: Option<String>,
    /// Names the message that told it.
    pub notice: Option<String>,
    /// What the vendor calls it.
    pub vendor_ref: Option<String>,
}

/// An incident with all that was and will be told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Story {
    /// The incident.
    pub incident: Incident,
    /// In order.
    pub events: Vec<Event>,
    /// In order.
    pub deliveries: Vec<Delivery>,
}

/// Which incidents a list shows; all conditions must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IncidentFilter {
    /// Open ones, or resolved ones.
    pub is_open: Option<bool>,
    /// Kind, or kind and subject.
    pub key: Option<String>,
}

const COLUMNS: &str = "id, k, severity, summary, votes_bad, votes_of, opened_at, first_opened_at, last_bad_at, resolved_at, \
     resolved_by, acknowledged_at, acknowledged_by, flaps";

/// The keys of the next so many open incidents of a kind after this key, and the key that the look after it begins behind:
/// in a mass outage they are as many as there are monitors.
pub(crate) async fn open_keys(
    store: &Store,
    kind: &str,
    (after, how_many): (&str, u32),
) -> Result<(Vec<String>, String), StoreError> {
    let act = "read the keys of open incidents";
    // A range of an index, in both databases: '0' follows '/'.
    let sql = format!(
        "SELECT k FROM komainu_incident WHERE resolved_at IS NULL AND k > ? AND k >= '{kind}/' AND k < '{kind}0' \
         ORDER BY k LIMIT ?"
    );
    let rows = store.lease(act).await?.rows(act, sql, values![after, how_many]).await?;
    let keys = rows.iter().map(|row| row.text("k")).collect::<Result<Vec<_>, _>>()?;
    // Fewer than were asked for: the next look begins at the front.
    let is_last = u32::try_from(keys.len()).is_ok_and(|keys| keys < how_many);
    let reached = keys.last().filter(|_| !is_last).cloned().unwrap_or_default();
    Ok((keys, reached))
}

/// How many incidents are open, by severity; read from an index alone.
pub async fn count_open(store: &Store) -> Result<BTreeMap<String, u64>, StoreError> {
    let act = "count the open incidents";
    let sql = "SELECT severity, COUNT(*) AS how_many FROM komainu_incident WHERE resolved_at IS NULL GROUP BY severity";
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.text("severity")?, row.count("how_many")?))).collect()
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
    let wants_notes = filter.key.as_deref().is_some_and(|key| Note::of_key(&format!("{key}/")).is_some());
    if !wants_notes {
        condition.push_str(" AND ");
        condition.push_str(IS_NO_NOTE);
    }
    values.extend(values![limit.saturating_add(1)]);
    let sql = format!("SELECT {COLUMNS} FROM komainu_incident WHERE id < ?{condition} ORDER BY id DESC LIMIT ?");
    let rows = store.lease(act).await?.rows(act, sql, values).await?;
    let items = rows.iter().map(incident).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(items, limit, |incident| incident.id.to_string()))
}

/// One incident with its events and deliveries.
pub async fn get(store: &Store, id: i64) -> Result<Option<Story>, StoreError> {
    let act = "read an incident";
    let mut lease = store.lease(act).await?;
    let sql = format!("SELECT {COLUMNS} FROM komainu_incident WHERE id = ?");
    let Some(row) = lease.row(act, sql, values![id]).await? else { return Ok(None) };
    let incident = incident(&row)?;
    let sql = "SELECT id, kind, summary, at FROM komainu_event WHERE incident_id = ? ORDER BY id";
    let events = lease.rows(act, sql, values![id]).await?;
    let sql = "SELECT d.id, d.event_id, d.channel, d.state, d.held_by, d.due_at, d.attempts, d.may_be_repeated, d.last_error, \
         d.sent_at, s.uid AS silenced_by, s.name AS maintained_by, d.answer, d.created_at, d.notice_id, d.vendor_ref FROM komainu_delivery d LEFT JOIN komainu_silence s ON s.id = d.silenced_by \
         WHERE d.incident_id = ? ORDER BY d.id";
    let deliveries = lease.rows(act, sql, values![id]).await?;
    Ok(Some(Story {
        incident,
        events: events.iter().map(event).collect::<Result<_, _>>()?,
        deliveries: deliveries.iter().map(delivery).collect::<Result<_, _>>()?,
    }))
}

fn event(row: &Row) -> Result<Event, StoreError> {
    Ok(Event { id: row.int("id")?, kind: row.text("kind")?, summary: row.text("summary")?, at: row.wall("at")? })
}

fn delivery(row: &Row) -> Result<Delivery, StoreError> {
    let state = row.text("state")?;
    let maintained_by = row.maybe_text("maintained_by")?.filter(|_| state == "held");
    Ok(Delivery {
        id: row.int("id")?,
        event_id: row.int("event_id")?,
        channel: row.text("channel")?,
        held_by: row.maybe_int("held_by")?.filter(|_| state == "held"),
        silenced_by: row.maybe_text("silenced_by")?.filter(|_| state == "held" && maintained_by.is_none()),
        maintained_by,
        state,
        due_at: row.wall("due_at")?,
        attempts: row.small("attempts")?,
        may_be_repeated: row.flag("may_be_repeated")?,
        last_error: row.maybe_text("last_error")?,
        sent_at: row.maybe_wall("sent_at")?,
        entered_at: row.wall("created_at")?,
        answer: row.maybe_text("answer")?,
        notice: row.maybe_text("notice_id")?,
        vendor_ref: row.maybe_text("vendor_ref")?,
    })
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
        first_opened_at: row.maybe_wall("first_opened_at")?.map_or_else(|| row.wall("opened_at"), Ok)?,
        last_bad_at: row.wall("last_bad_at")?,
        resolved_at: row.maybe_wall("resolved_at")?,
        resolved_by: row.maybe_text("resolved_by")?,
        acknowledged_at: row.maybe_wall("acknowledged_at")?,
        acknowledged_by: row.maybe_text("acknowledged_by")?,
        flaps: row.small("flaps")?,
    })
}

/// Resolves an open incident by hand, in the audit trail too; it is told as its end. `false`: there is none, or it is
/// over. Where what is wrong still is, the next look opens a new one.
pub async fn resolve(store: &Store, id: i64, who: &str, why: &str) -> Result<bool, StoreError> {
    in_transaction!(store, "resolve an incident", |session| resolve_in(session, id, (who, why)).await)
}

async fn resolve_in(session: &mut Session, id: i64, (who, why): (&str, &str)) -> Result<bool, StoreError> {
    let act = "resolve an incident";
    let sql = format!("SELECT k, summary FROM komainu_incident WHERE id = ?{}", session.dialect().for_update());
    let Some(row) = session.row(act, sql, values![id]).await? else { return Ok(false) };
    let (key, summary) = (row.text("k")?, row.text("summary")?);
    let told = format!("resolved by {who}: {why} (it was: {summary})");
    if !opening::resolve_on(session, id, &told).await? {
        return Ok(false);
    }
    session.execute(act, "UPDATE komainu_incident SET resolved_by = ? WHERE id = ?", values![who, id]).await?;
    let deed = Deed {
        who: who.to_owned(),
        what: "incident.resolve".to_owned(),
        subject: id.to_string(),
        before: Some(json!({"key": key, "summary": summary}).to_string()),
        after: Some(json!({"key": key, "why": why}).to_string()),
    };
    append_in(session, &deed).await?;
    Ok(true)
}
