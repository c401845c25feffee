//! What people were told of checks while no table could take it: the incidents are entered as they were told, with who heard what.
//!
//! Of each check and channel the latest that was told counts. Told to be open: the incident opens, since when it was so, and who was
//! told is told no more; those who were not hear it from the outbox. Told to be over: it opens and ends, and likewise. What stands there
//! already is left alone, whoever entered it: a message is known by its id. A hundred checks at a time, so that nobody waits for ten
//! thousand.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::blackout::Change;
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::{tell_end, wait_for_others};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::incidents::bulk::{by_key, open_many, resolve_many};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

/// Checks that are entered in one transaction.
const AT_ONCE: usize = 100;

/// One message about checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlackoutNews {
    /// The latest event that was read before the outage ([`super::Outage::after_event`]).
    pub after_event: Option<i64>,
    /// The channel it was meant for.
    pub channel: String,
    /// The channel that carried it.
    pub via: String,
    /// Of the message.
    pub notice_id: String,
    /// By the database's clock as far as it was known.
    pub at: Wall,
    /// The vendor took it; otherwise it may have arrived, and is told again, marked.
    pub is_sent: bool,
    /// What a later message needs to refer to it.
    pub vendor_ref: Option<String>,
    /// What it told.
    pub changes: Vec<Change>,
}

/// What is said of a change.
pub fn news_summary(change: &Change) -> String {
    match (change.event, change.summary.as_str()) {
        (Event::Resolved, "") => "it is so no longer".to_owned(),
        (Event::Resolved, summary) => format!("no longer: {summary}"),
        (Event::Opened | Event::Worse | Event::Reminder | Event::Acknowledged | Event::Flapping, "") => {
            "told while the database was unreachable".to_owned()
        }
        (Event::Opened | Event::Worse | Event::Reminder | Event::Acknowledged | Event::Flapping, summary) => {
            summary.to_owned()
        }
    }
}

/// Enters what was told of checks. `subjects`: who is to hear of each, by its key. Nothing of it is told again.
pub async fn enter_news(
    store: &Store,
    routing: &Routing,
    (news, subjects): (&[BlackoutNews], &BTreeMap<String, Subject>),
) -> Result<(), StoreError> {
    let act = "enter what was told of checks";
    let mut told: BTreeMap<&str, Vec<Told<'_>>> = BTreeMap::new();
    for news in news {
        for change in &news.changes {
            told.entry(&change.key).or_default().push(Told { change, news });
        }
    }
    let mut all: Vec<_> = told.into_iter().collect();
    for (_, told) in &mut all {
        told.sort_by_key(|one| one.news.at);
        leave_out_overtaken(told);
    }
    for part in all.chunks(AT_ONCE) {
        let part: BTreeMap<&str, Vec<Told<'_>>> = part.iter().cloned().collect();
        in_transaction!(store, act, |session| enter_on(session, routing, (part.clone(), subjects)).await)?;
    }
    Ok(())
}

/// What a channel told later for sure says what is believed there.
fn leave_out_overtaken(told: &mut Vec<Told<'_>>) {
    let mut known = BTreeSet::new();
    for at in (0..told.len()).rev() {
        let Some(one) = told.get(at).copied() else { continue };
        let is_overtaken = known.contains(&one.news.via);
        if is_overtaken {
            told.remove(at);
        } else if one.news.is_sent {
            known.insert(&one.news.via);
        }
    }
}

#[derive(Clone, Copy)]
struct Told<'a> {
    change: &'a Change,
    news: &'a BlackoutNews,
}

impl Told<'_> {
    fn is_end(&self) -> bool {
        self.change.event == Event::Resolved
    }
}

/// One check's incident, as it is to be entered.
struct Entry<'a> {
    /// The latest.
    last: Told<'a>,
    told: Vec<Told<'a>>,
    /// It ended and came back in the dark.
    is_back: bool,
}

/// An incident that stands in the tables.
struct Standing {
    id: i64,
    opened_at: Wall,
    is_open: bool,
}

type ByKey<'a, T> = BTreeMap<&'a str, T>;

async fn enter_on(
    session: &mut Session,
    routing: &Routing,
    (mut told, subjects): (ByKey<'_, Vec<Told<'_>>>, &BTreeMap<String, Subject>),
) -> Result<(), StoreError> {
    wait_for_others(session).await?;
    leave_out_entered(session, &mut told).await?;
    let entries = told.into_iter().filter_map(|(key, told)| {
        let last = *told.last()?;
        let is_back = told.iter().any(|one| one.change.is_back);
        Some((key, Entry { last, told, is_back }))
    });
    let mut entries: ByKey<'_, Entry<'_>> = entries.collect();
    if entries.is_empty() {
        return Ok(());
    }
    let standing = standing(session, &entries).await?;
    // What opened after people were told that it is over is another.
    let is_later = |key: &str, entry: &Entry<'_>| {
        let open = standing.get(key).filter(|standing| standing.is_open);
        entry.last.is_end() && open.is_some_and(|standing| standing.opened_at > entry.last.news.at)
    };
    entries.retain(|key, entry| !is_later(key, entry));
    end_what_came_back(session, &entries, &standing).await?;
    open(session, routing, (&entries, subjects, &standing)).await?;
    let incidents = self::standing(session, &entries).await?;
    date_back(session, &entries, &incidents).await?;
    for one in entries.values().flat_map(|entry| &entry.told).filter(|one| !one.is_end()) {
        let incident = incidents.get(one.change.key.as_str()).map(|standing| standing.id);
        if let Some(incident) = incident {
            enter_opening(session, incident, one).await?;
        }
    }
    end(session, &entries, &incidents).await
}

/// What this watchdog, or another one, entered already. What is known by now to have arrived stands for what was not.
async fn leave_out_entered(session: &mut Session, told: &mut ByKey<'_, Vec<Told<'_>>>) -> Result<(), StoreError> {
    let notices: BTreeSet<_> = told.values().flatten().map(|one| one.news.notice_id.as_str()).collect();
    let sql = format!(
        "SELECT i.k, d.channel, d.notice_id, CASE WHEN d.state = 'sent' THEN 1 ELSE 0 END AS is_sent \
         FROM komainu_incident i{} JOIN komainu_delivery d ON d.incident_id = i.id \
         WHERE i.k IN ({}) AND d.notice_id IN ({}) AND (d.state = 'sent' OR d.sending_at IS NOT NULL OR d.unanswered > 0)",
        by_key(session.dialect()),
        places(told.len()),
        places(notices.len())
    );
    let values = told.keys().chain(&notices).map(|text| Value::from(*text)).collect();
    let mut entered = BTreeMap::<_, bool>::new();
    for row in session.rows("look for what was told of checks", Sql::Once(sql), values).await? {
        let known = (row.text("k")?, row.text("channel")?, row.text("notice_id")?);
        *entered.entry(known).or_default() |= row.flag("is_sent")?;
    }
    told.retain(|key, told| {
        told.retain(|one| {
            let known = entered.get(&((*key).to_owned(), one.news.via.clone(), one.news.notice_id.clone()));
            known.is_none_or(|was_sent| one.news.is_sent && !was_sent)
        });
        !told.is_empty()
    });
    Ok(())
}

/// Of each the first incident that is open, or ended since the outage began: never one that came later. Where the order of events is
/// not known, times must do.
async fn standing(
    session: &mut Session,
    entries: &ByKey<'_, Entry<'_>>,
) -> Result<BTreeMap<String, Standing>, StoreError> {
    let after =
        entries.values().filter_map(|entry| entry.last.news.after_event).filter(|event| *event < i64::MAX).min();
    let first = entries.values().map(|entry| entry.last.change.began_at).min().unwrap_or_default();
    let sql = format!(
        "SELECT i.id, i.k, i.opened_at, i.resolved_at, CASE WHEN EXISTS (SELECT 1 FROM komainu_event e \
         WHERE e.incident_id = i.id AND e.kind = 'resolved' AND e.id > ?) THEN 1 ELSE 0 END AS ended_since \
         FROM komainu_incident i{} WHERE i.k IN ({}) AND (i.resolved_at IS NULL OR i.resolved_at > ? OR EXISTS \
         (SELECT 1 FROM komainu_event e WHERE e.incident_id = i.id AND e.kind = 'resolved' AND e.id > ?)) \
         ORDER BY i.k, i.id{}",
        by_key(session.dialect()),
        places(entries.len()),
        session.dialect().for_update()
    );
    let after_event = after.unwrap_or(i64::MAX);
    let mut values = values![after_event];
    values.extend(entries.keys().map(|key| Value::from(*key)));
    values.extend(values![first, after_event]);
    let mut found = BTreeMap::new();
    for row in session.rows("look for incidents of checks", Sql::Once(sql), values).await? {
        let (key, resolved_at) = (row.text("k")?, row.maybe_wall("resolved_at")?);
        let began_at = entries.get(key.as_str()).map(|entry| entry.last.change.began_at).unwrap_or_default();
        let is_since = match (after, resolved_at) {
            (_, None) => true,
            (Some(_), Some(_)) => row.flag("ended_since")?,
            (None, Some(resolved_at)) => resolved_at > began_at,
        };
        if is_since {
            let (id, opened_at) = (row.int("id")?, row.wall("opened_at")?);
            found.entry(key).or_insert(Standing { id, opened_at, is_open: resolved_at.is_none() });
        }
    }
    Ok(found)
}

/// What stood open before ended in the dark, and whoever was told so was told of its return.
async fn end_what_came_back(
    session: &mut Session,
    entries: &ByKey<'_, Entry<'_>>,
    standing: &BTreeMap<String, Standing>,
) -> Result<(), StoreError> {
    let mut ends = BTreeMap::new();
    let mut told = vec![];
    for (key, entry) in entries.iter().filter(|(_, entry)| entry.is_back && !entry.last.is_end()) {
        let earlier = standing.get(*key).filter(|standing| standing.is_open);
        if let Some(standing) = earlier.filter(|standing| standing.opened_at < entry.last.change.began_at) {
            ends.insert(standing.id, "it was so no longer, and came back".to_owned());
            told.extend(entry.told.iter().map(|one| (standing.id, one)));
        }
    }
    resolve_many(session, &ends).await?;
    for (incident, one) in told {
        mark(session, incident, (one, true)).await?;
    }
    Ok(())
}

async fn open(
    session: &mut Session,
    routing: &Routing,
    (entries, subjects, standing): (&ByKey<'_, Entry<'_>>, &BTreeMap<String, Subject>, &BTreeMap<String, Standing>),
) -> Result<(), StoreError> {
    // What came back was ended a moment ago, here or by whoever read the tables.
    let is_new = |key: &str, entry: &Entry<'_>| {
        let comes_back = entry.is_back && !entry.last.is_end();
        standing.get(key).is_none_or(|standing| comes_back && standing.opened_at < entry.last.change.began_at)
    };
    let new = entries.iter().filter(|(key, entry)| is_new(key, entry)).map(|(_, entry)| entry.last.change);
    let new = new.map(|change| {
        let alarm = Alarm {
            key: change.key.clone(),
            severity: change.severity,
            summary: news_summary(&Change { event: Event::Opened, ..change.clone() }),
            votes: change.votes,
        };
        let subject = subjects.get(&change.key).cloned().unwrap_or_else(|| Subject::of(&alarm));
        (alarm, subject)
    });
    open_many(session, &new.collect::<Vec<_>>(), routing).await.map(|_| ())
}

/// They opened when it began to be so, not when it was entered.
async fn date_back(
    session: &mut Session,
    entries: &ByKey<'_, Entry<'_>>,
    incidents: &BTreeMap<String, Standing>,
) -> Result<(), StoreError> {
    let open = incidents.iter().filter(|(_, standing)| standing.is_open);
    let began = open.filter_map(|(key, standing)| Some((standing.id, entries.get(key.as_str())?.last.change.began_at)));
    let began: Vec<_> = began.collect();
    if began.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE komainu_incident SET opened_at = {}(opened_at, CASE id {}ELSE opened_at END) WHERE id IN ({})",
        session.dialect().least(),
        "WHEN ? THEN ? ".repeat(began.len()),
        id_list(&began.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    );
    let values = began.iter().flat_map(|(id, began_at)| values![*id, *began_at]).collect();
    session.execute("date incidents of checks back", Sql::Once(sql), values).await.map(|_| ())
}

/// Whoever was told that it opened is told no more; or hears of its end, if it is over by now.
async fn enter_opening(session: &mut Session, incident: i64, one: &Told<'_>) -> Result<(), StoreError> {
    let news = one.news;
    if mark(session, incident, (one, false)).await? == 0 && news.is_sent {
        let now = session.dialect().now_ms();
        let sql = format!(
            "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, notice_id, vendor_ref, \
             may_be_repeated, created_at, sent_at) SELECT MAX(e.id), e.incident_id, ?, 'sent', ?, ?, ?, 1, {now}, ? \
             FROM komainu_event e WHERE e.incident_id = ? AND e.kind <> 'resolved' AND NOT EXISTS \
             (SELECT 1 FROM komainu_delivery o WHERE o.incident_id = ? AND o.channel = ? AND o.state = 'sent' \
             AND o.event_id = (SELECT MAX(l.id) FROM komainu_event l WHERE l.incident_id = ? AND l.kind <> 'resolved')) \
             GROUP BY e.incident_id"
        );
        let vendor_ref = news.vendor_ref.as_deref();
        let mut values = values![&news.via, news.at, &news.notice_id, vendor_ref, news.at, incident];
        values.extend(values![incident, &news.via, incident]);
        session.execute("enter what a channel was told of a check", sql, values).await?;
    }
    let sql = "SELECT MAX(id) AS id FROM komainu_event WHERE incident_id = ? AND kind <> 'resolved'";
    let row = session.row("look for an event", sql, values![incident]).await?;
    match row.map(|row| row.maybe_int("id")).transpose()?.flatten() {
        Some(event) => tell_end(session, (incident, event), &news.via).await,
        None => Ok(()),
    }
}

/// What waits for that channel was told, or may have been. Says how many.
async fn mark(session: &mut Session, incident: i64, (one, is_end): (&Told<'_>, bool)) -> Result<u64, StoreError> {
    let act = "mark what was told of a check";
    let news = one.news;
    // Whoever believes that it is open is still to hear of the end, whoever else was told instead.
    if is_end && news.via != news.channel {
        return Ok(0);
    }
    let which = if is_end { "= 'resolved'" } else { "<> 'resolved'" };
    // What was held because of something else was news there once that was over.
    let state = if is_end { "= 'waiting'" } else { "IN ('waiting', 'held')" };
    let of = format!(
        "incident_id = ? AND channel = ? AND state {state} \
         AND event_id IN (SELECT id FROM komainu_event WHERE incident_id = ? AND kind {which})"
    );
    if !news.is_sent {
        if news.via != news.channel {
            return Ok(0);
        }
        let sql = format!(
            "UPDATE komainu_delivery SET state = 'waiting', may_be_repeated = 1, notice_id = ?, sending_at = ? WHERE {of} \
             AND sending_at IS NULL AND claimed_until IS NULL"
        );
        let values = values![&news.notice_id, news.at, incident, &news.channel, incident];
        return session.execute(act, sql, values).await;
    }
    // Whoever was told since that it is open, or is being told, is still to hear of the end.
    let otherwise = "AND NOT EXISTS (SELECT 1 FROM komainu_delivery o JOIN komainu_event b ON b.id = o.event_id \
         WHERE o.incident_id = ? AND o.channel = ? AND b.kind <> 'resolved' AND (o.sent_at > ? \
         OR (o.state = 'waiting' AND (o.sending_at IS NOT NULL OR o.claimed_until IS NOT NULL))))";
    let sql = format!(
        "UPDATE komainu_delivery SET state = 'sent', sent_at = ?, notice_id = ?, vendor_ref = ?, channel = ?, \
         claimed_by = NULL, claimed_until = NULL WHERE {of} AND (channel = ? OR sending_at IS NULL) {}",
        if is_end { otherwise } else { "" }
    );
    let vendor_ref = news.vendor_ref.as_deref();
    let mut values = values![news.at, &news.notice_id, vendor_ref, &news.via, incident, &news.channel, incident];
    values.extend(values![&news.via]);
    if is_end {
        values.extend(values![incident, &news.via, news.at]);
    }
    session.execute(act, sql, values).await
}

/// What people were told to be over ends, when they were told so.
async fn end(
    session: &mut Session,
    entries: &ByKey<'_, Entry<'_>>,
    incidents: &BTreeMap<String, Standing>,
) -> Result<(), StoreError> {
    let over = entries.iter().filter(|(_, entry)| entry.last.is_end());
    let over: Vec<_> = over.filter_map(|(key, entry)| Some((incidents.get(*key)?.id, entry))).collect();
    if over.is_empty() {
        return Ok(());
    }
    let ends = over.iter().map(|(id, entry)| (*id, news_summary(entry.last.change))).collect();
    resolve_many(session, &ends).await?;
    let (least, greatest) = (session.dialect().least(), session.dialect().greatest());
    let sql = format!(
        "UPDATE komainu_incident SET resolved_at = {greatest}(opened_at, {least}(resolved_at, CASE id {}ELSE resolved_at END)) \
         WHERE resolved_at IS NOT NULL AND id IN ({})",
        "WHEN ? THEN ? ".repeat(over.len()),
        id_list(&over.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    );
    let values = over.iter().flat_map(|(id, entry)| values![*id, entry.last.news.at]).collect();
    session.execute("date the ends of incidents of checks", Sql::Once(sql), values).await?;
    for (incident, entry) in over {
        for one in entry.told.iter().filter(|one| one.is_end()) {
            mark(session, incident, (one, true)).await?;
        }
    }
    Ok(())
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}
