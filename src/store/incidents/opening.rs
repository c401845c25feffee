//! Opening and resolving: the incident, its event and the deliveries, in the transaction of whoever noticed.
//!
//! Owns the rows and their guards. Who is told what is [`komainu_watchdogs::outbox`]'s and
//! [`komainu_watchdogs::routing`]'s to say. Both calls run on a session whose write transaction has begun; a deadlock
//! rolls that back as a whole, and its owner tries again.

use std::collections::BTreeMap;

use komainu_watchdogs::facts::IncidentRow;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::{self, Entered, Event, FLAPPING_FROM, REOPEN_WITHIN, Standing};
use komainu_watchdogs::routing::{Planned, Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::{bulk, returning};
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::moment;
use crate::store::outbox::entry::{self, Happening};
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};

/// An incident that is open now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Opened {
    /// The key of the incident's row.
    pub(crate) incident_id: i64,
    /// This call opened it, or opened it again.
    pub(crate) is_news: bool,
}

/// Opens this incident, opens it again, or notes that it is still bad.
pub(crate) async fn open_on(
    session: &mut Session,
    alarm: &Alarm,
    subject: &Subject,
    routing: &Routing,
) -> Result<Opened, StoreError> {
    let Some(latest) = latest(session, &[&alarm.key]).await?.remove(&alarm.key) else {
        let (incident_id, is_news) = insert(session, alarm, subject).await?;
        if is_news {
            let happening = Happening::of(incident_id, Event::Opened, alarm);
            let planned = routing.plan(subject, moment::present(session, routing).await?);
            entry::enter(session, &happening, &planned).await?;
        }
        return Ok(Opened { incident_id, is_news });
    };
    let is_news = open_again(session, (alarm, subject), &latest, routing).await?;
    Ok(Opened { incident_id: latest.id, is_news })
}

/// Notes that an open incident is as bad as it was, in one statement: three watchdogs do so every few seconds, and those that
/// are far from the database would otherwise wait for each other. `false`: there is more to do.
pub(crate) async fn is_noted(session: &mut Session, alarm: &Alarm) -> Result<bool, StoreError> {
    let same = if outbox::tells_reasons(&alarm.key) { " AND summary = ?" } else { "" };
    let sql = format!(
        "UPDATE komainu_incident SET last_bad_at = {}(last_bad_at + 1, {}), summary = ?, votes_bad = ?, votes_of = ? \
         WHERE k = ? AND resolved_at IS NULL AND severity = ?{same}",
        session.dialect().greatest(),
        session.dialect().now_ms()
    );
    let mut values = values![&alarm.summary, alarm.votes.0, alarm.votes.1, &alarm.key, alarm.severity.as_str()];
    if !same.is_empty() {
        values.extend(values![&alarm.summary]);
    }
    Ok(session.execute("note an incident", sql, values).await? > 0)
}

/// Of one that is open, or was until a moment ago: notes that it is bad, or opens it again. Says whether that is news.
pub(super) async fn open_again(
    session: &mut Session,
    (alarm, subject): (&Alarm, &Subject),
    latest: &Latest,
    routing: &Routing,
) -> Result<bool, StoreError> {
    if latest.is_open {
        let is_worse = alarm.severity > latest.severity;
        if is_worse && !was_told_critical(session, latest.id).await? {
            let planned = routing.plan(subject, moment::present(session, routing).await?);
            tell_worse(session, alarm, latest, planned).await?;
        } else if outbox::tells_reasons(&alarm.key) && outbox::reason(&latest.summary) != outbox::reason(&alarm.summary)
        {
            let planned = routing.plan(subject, moment::present(session, routing).await?);
            tell_otherwise(session, alarm, latest, planned).await?;
        }
        note(session, alarm, latest.id).await?;
        return Ok(false);
    }
    returning::reopen_many(session, &[(alarm, subject, latest)], routing).await?;
    Ok(true)
}

/// The newest incident of a key.
pub(in crate::store) struct Latest {
    pub(in crate::store) id: i64,
    pub(in crate::store) is_open: bool,
    pub(super) severity: Severity,
    summary: String,
    pub(super) flaps: u32,
}

/// Of each of these keys the incident that is open, or was until a moment ago; locked.
pub(in crate::store) async fn latest(
    session: &mut Session,
    keys: &[&str],
) -> Result<BTreeMap<String, Latest>, StoreError> {
    let sql = format!(
        "SELECT id, k, resolved_at, severity, summary, flaps FROM komainu_incident{} WHERE k IN ({}) \
         AND (resolved_at IS NULL OR (resolved_at > {} - {} AND resolved_by IS NULL)) ORDER BY k, id{}",
        bulk::by_key(session.dialect()),
        vec!["?"; keys.len()].join(", "),
        session.dialect().now_ms(),
        REOPEN_WITHIN.as_millis(),
        session.dialect().for_update()
    );
    let sql = if keys.len() == 1 { Sql::Fixed(sql) } else { Sql::Once(sql) };
    let rows = session.rows("look for incidents", sql, keys.iter().flat_map(|&key| values![key]).collect()).await?;
    let latest = |row: &Row| {
        let is_open = row.maybe_wall("resolved_at")?.is_none();
        let severity = Severity::parse(&row.text("severity")?);
        let (id, summary, flaps) = (row.int("id")?, row.text("summary")?, row.small("flaps")?);
        Ok((row.text("k")?, Latest { id, is_open, severity, summary, flaps }))
    };
    // Of several the last one stays.
    rows.iter().map(latest).collect()
}

/// What was told as a warning is critical, and perhaps other people's business.
async fn tell_worse(
    session: &mut Session,
    alarm: &Alarm,
    latest: &Latest,
    planned: Vec<Planned>,
) -> Result<(), StoreError> {
    let entered = entry::of_incident(session, latest.id).await?;
    let change = outbox::worsening(&entered);
    if latest.flaps >= FLAPPING_FROM {
        // Whoever knows that it is open wants to hear of nothing but its end; the others do not know.
        let knows = |planned: &Planned| {
            let waits = |row: &Entered| row.channel == planned.channel && row.standing == Standing::Untold;
            change.believers.contains(&planned.channel)
                || entered.iter().any(|row| waits(row) && row.event != Event::Resolved)
        };
        let strangers: Vec<_> = planned.into_iter().filter(|planned| !knows(planned)).collect();
        return tell(session, Event::Opened, alarm, latest.id, &strangers).await;
    }
    entry::cancel(session, &change.cancel).await?;
    let (knowing, new): (Vec<_>, Vec<_>) =
        planned.into_iter().partition(|planned| change.believers.contains(&planned.channel));
    tell(session, Event::Worse, alarm, latest.id, &knowing).await?;
    tell(session, Event::Opened, alarm, latest.id, &new).await
}

/// It is bad for another reason than was said. Where nobody was told yet the message says what is so now; otherwise each
/// reason is told once, when it is certain.
async fn tell_otherwise(
    session: &mut Session,
    alarm: &Alarm,
    latest: &Latest,
    planned: Vec<Planned>,
) -> Result<(), StoreError> {
    let act = "look for what was said";
    let sql = "SELECT e.id, e.summary FROM komainu_event e JOIN komainu_incident i ON i.id = e.incident_id \
         WHERE e.incident_id = ? AND e.kind NOT IN ('ack', 'resolved') AND e.at >= i.opened_at ORDER BY e.id";
    let said = session.rows(act, sql, values![latest.id]).await?;
    let reason = outbox::reason(&alarm.summary);
    let summaries = said.iter().map(|row| row.text("summary")).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = said.last().map(|row| row.int("id")).transpose()? else { return Ok(()) };
    let entered = entry::of_incident(session, latest.id).await?;
    let change = outbox::worsening(&entered);
    if change.believers.is_empty() {
        let sql = "UPDATE komainu_event SET summary = ?, votes_bad = ?, votes_of = ? WHERE id = ?";
        let values = values![&alarm.summary, alarm.votes.0, alarm.votes.1, last];
        return session.execute("say what is so now", sql, values).await.map(|_| ());
    }
    let is_known = summaries.iter().any(|said| outbox::reason(said) == reason);
    if latest.flaps >= FLAPPING_FROM || is_known || outbox::is_provisional(&alarm.summary) {
        return Ok(());
    }
    entry::cancel(session, &change.cancel).await?;
    let (knowing, new): (Vec<_>, Vec<_>) =
        planned.into_iter().partition(|planned| change.believers.contains(&planned.channel));
    // Whoever knows it as a warning, and was to hear that it is critical, hears that with the new words.
    let is_worse = entered.iter().any(|row| row.event == Event::Worse && row.standing == Standing::Untold);
    let event = if is_worse { Event::Worse } else { Event::Reminder };
    tell(session, event, alarm, latest.id, &knowing).await?;
    tell(session, Event::Opened, alarm, latest.id, &new).await
}

async fn tell(
    session: &mut Session,
    event: Event,
    alarm: &Alarm,
    incident: i64,
    planned: &[Planned],
) -> Result<(), StoreError> {
    if planned.is_empty() {
        return Ok(());
    }
    entry::enter(session, &Happening::of(incident, event, alarm), planned).await
}

/// Since it opened: how bad it is may change to and fro, and is told once.
async fn was_told_critical(session: &mut Session, id: i64) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS one FROM komainu_event e JOIN komainu_incident i ON i.id = e.incident_id \
         WHERE e.incident_id = ? AND e.severity = ? AND e.at >= i.opened_at LIMIT 1";
    let row = session.row("look for an event", sql, values![id, Severity::Critical.as_str()]).await?;
    Ok(row.is_some())
}

pub(super) fn details(alarm: &Alarm) -> Vec<Value> {
    values![alarm.severity.as_str(), &alarm.summary, alarm.votes.0, alarm.votes.1]
}

pub(super) const INSERT: &str = "INSERT INTO komainu_incident \
     (severity, summary, votes_bad, votes_of, k, subject_json, opened_at, last_bad_at) VALUES";

/// Not a plain INSERT: one that fails on a duplicate keeps a shared lock, and two of those wait for each other. SQLite
/// has one writer, who has just looked.
pub(super) fn or_note(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MariaDb => " ON DUPLICATE KEY UPDATE last_bad_at = GREATEST(last_bad_at + 1, VALUES(last_bad_at))",
        Dialect::Sqlite => "",
    }
}

/// Its key, and whether this call made it: somebody else may have been faster.
async fn insert(session: &mut Session, alarm: &Alarm, subject: &Subject) -> Result<(i64, bool), StoreError> {
    let act = "open an incident";
    let now = session.dialect().now_ms();
    let sql = format!("{INSERT} (?, ?, ?, ?, ?, ?, {now}, {now}){}", or_note(session.dialect()));
    let values = [details(alarm), values![&alarm.key, as_json(subject)]].concat();
    // One row: inserted; two: the one that was there.
    let is_new = session.execute(act, sql, values).await? == 1;
    let sql = "SELECT id FROM komainu_incident WHERE k = ? AND resolved_at IS NULL";
    let row = session.row(act, sql, values![&alarm.key]).await?;
    let row = row.ok_or_else(|| StoreError::unreadable(act, "id", "none"))?;
    Ok((row.int("id")?, is_new))
}

pub(super) fn as_json(subject: &Subject) -> String {
    serde_json::to_string(subject).expect("a subject is strings and lists of strings")
}

async fn note(session: &mut Session, alarm: &Alarm, id: i64) -> Result<(), StoreError> {
    // Always later than before, also within one millisecond: a resolve that read the earlier value must fail.
    let sql = format!(
        "UPDATE komainu_incident SET last_bad_at = {}(last_bad_at + 1, {}), severity = ?, summary = ?, votes_bad = ?, \
         votes_of = ? WHERE id = ?",
        session.dialect().greatest(),
        session.dialect().now_ms()
    );
    session.execute("note an incident", sql, [details(alarm), values![id]].concat()).await.map(|_| ())
}

/// An open incident, as whoever judges it needs it.
pub(crate) fn incident_row(row: &Row) -> Result<IncidentRow, StoreError> {
    Ok(IncidentRow {
        key: row.text("k")?,
        severity: row.text("severity")?,
        opened_at: row.wall("opened_at")?,
        first_opened_at: row.maybe_wall("first_opened_at")?,
        last_bad_at: row.wall("last_bad_at")?,
    })
}

/// Resolves the open incident of this key if it was last seen bad exactly then. `why`: what is told, if not that it is so no longer.
pub(crate) async fn resolve_seen(
    session: &mut Session,
    (key, why): (&str, Option<&str>),
    last_bad_at: Wall,
) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT id, summary FROM komainu_incident WHERE resolved_at IS NULL AND k = ? AND last_bad_at = ?{}",
        session.dialect().for_update()
    );
    let row = session.row("resolve an incident", sql, values![key, last_bad_at]).await?;
    let Some(row) = row else { return Ok(false) };
    // What was wrong is said once more, and must not read as if it still were.
    let summary = match why {
        Some(why) => why.to_owned(),
        None => format!("no longer: {}", row.text("summary")?),
    };
    resolve_on(session, row.int("id")?, &summary).await
}

/// Resolves this incident; `false`: it is over already. `summary`: what was wrong, or that it is well again.
pub(crate) async fn resolve_on(session: &mut Session, incident_id: i64, summary: &str) -> Result<bool, StoreError> {
    let ends = BTreeMap::from([(incident_id, summary.to_owned())]);
    Ok(bulk::resolve_many(session, &ends).await? > 0)
}
