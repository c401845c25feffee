//! What was told while the database was down, entered once it takes writes: and what waits, to be told if it goes away.
//!
//! The same thing may be entered by several watchdogs, or by one that was started anew: an outage is one incident
//! `database`, a message is known by its id, and what stands there already is left alone.

use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::incidents::opening::{is_noted, open_on, resolve_on};
use super::outbox::entry::{Happening, enter_event};
use super::outbox::names;
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::value::{Row, Value, values};

mod news;

pub use self::news::{BlackoutNews, enter_news, news_summary};

/// The incident's key.
pub const KEY: &str = "database";

/// More than this is told as a number anyway.
const MOST_UNDELIVERED: u32 = 200;

/// What is due later than this is not urgent: the end of something that flaps.
const SOON_MS: i64 = 60_000;

/// Where no earlier process read how far the events had come: no outage is told, entered and over sooner, so an incident
/// that was resolved before is an earlier one's.
const LEAST_OUTAGE_MS: i64 = 10_000;

/// A delivery that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Undelivered {
    /// The key of the delivery's row.
    pub delivery: i64,
    /// The channel that is to carry it.
    pub channel: String,
    /// `opened`, `reminder`, `flapping` or `resolved`.
    pub event: String,
    /// When that happened.
    pub at: Wall,
    /// The key of the incident's row.
    pub incident: i64,
    /// Kind and subject.
    pub key: String,
    /// `critical` or `warning`.
    pub severity: String,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// Watchdogs that see it, of how many that may vote.
    pub votes: (u32, u32),
    /// When it opened.
    pub opened_at: Wall,
    /// Of a monitor.
    #[serde(default)]
    pub name: Option<String>,
}

/// One outage: people were told of it, or could not be before it was over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outage {
    /// When it began, by the database's clock as far as it was known.
    pub began_at: Wall,
    /// The latest event that was read before it began: what was resolved by a later one was resolved since. [`i64::MAX`]: an
    /// earlier outage's end was still to come then.
    pub after_event: Option<i64>,
    /// What they were told, or are to be told now.
    pub summary: String,
    /// Watchdogs that agreed, of how many that were known.
    pub votes: (u32, u32),
    /// What went where; empty: it is over, and nobody knows of it.
    pub told: Vec<BlackoutDelivery>,
}

/// One thing that went to one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlackoutDelivery {
    /// The delivery that was waiting; `None`: that the database is down.
    pub delivery: Option<i64>,
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
}

/// What waits to be told, what is due first, but for the database's own incident: that it is away has a line of its own, and the
/// end of one outage would be read as that of the next. And after which event a resolved outage is one that has not begun yet
/// ([`Outage::after_event`]).
pub async fn undelivered(store: &Store) -> Result<(Vec<Undelivered>, i64), StoreError> {
    let act = "read what waits to be told";
    let dialect = store.dialect();
    let sql = format!(
        "SELECT d.id, d.channel, d.incident_id, e.kind, e.severity, e.summary, e.votes_bad, e.votes_of, e.at, i.k, \
         i.opened_at FROM komainu_delivery d{waiting} {straight} komainu_event e ON e.id = d.event_id \
         {straight} komainu_incident i ON i.id = d.incident_id \
         WHERE d.state = 'waiting' AND d.due_at < {now} + {SOON_MS} AND i.k <> ? \
         ORDER BY d.due_at, d.id LIMIT {MOST_UNDELIVERED}",
        waiting = dialect.by_index("komainu_delivery_waiting"),
        straight = dialect.straight(),
        now = dialect.now_ms(),
    );
    let mut lease = store.lease(act).await?;
    let latest = "SELECT COALESCE(MAX(id), 0) AS id, (SELECT COUNT(*) FROM komainu_incident WHERE k = ? AND resolved_at IS NULL) \
         AS still_open FROM komainu_event"
        .to_owned();
    let mut answers = lease.each(act, vec![(latest, values![KEY]), (sql, values![KEY])]).await?.into_iter();
    let latest = answers.next().and_then(|answer| answer.rows.into_iter().next());
    let latest = latest.ok_or_else(|| StoreError::unreadable(act, "id", "nothing"))?;
    let after_event = if latest.int("still_open")? > 0 { i64::MAX } else { latest.int("id")? };
    let rows = answers.next().map(|answer| answer.rows).unwrap_or_default();
    let mut undelivered = rows.iter().map(row_of).collect::<Result<Vec<_>, _>>()?;
    let names = names(&mut lease, undelivered.iter().map(|row| row.key.as_str())).await?;
    for row in &mut undelivered {
        row.name = names.get(&row.key).cloned();
    }
    Ok((undelivered, after_event))
}

fn row_of(row: &Row) -> Result<Undelivered, StoreError> {
    Ok(Undelivered {
        delivery: row.int("id")?,
        channel: row.text("channel")?,
        event: row.text("kind")?,
        at: row.wall("at")?,
        incident: row.int("incident_id")?,
        key: row.text("k")?,
        severity: row.text("severity")?,
        summary: row.text("summary")?,
        votes: (row.small("votes_bad")?, row.small("votes_of")?),
        opened_at: row.wall("opened_at")?,
        name: None,
    })
}

/// Enters an outage with everything that was told of it. Nothing of it is told again.
pub async fn enter(store: &Store, routing: &Routing, outage: &Outage) -> Result<(), StoreError> {
    let act = "enter what was told";
    in_transaction!(store, act, |session| enter_on(session, routing, outage).await)
}

/// An outage that was entered lasts: says how many see it by now.
pub async fn lasts(store: &Store, routing: &Routing, (summary, votes): (String, (u32, u32))) -> Result<(), StoreError> {
    let alarm = alarm(summary, votes);
    let act = "say that an outage lasts";
    if is_noted(&mut *store.lease(act).await?, &alarm).await? {
        return Ok(());
    }
    in_transaction!(store, act, |session| open_on(session, &alarm, &Subject::of(&alarm), routing).await.map(|_| ()))
}

fn alarm(summary: String, votes: (u32, u32)) -> Alarm {
    Alarm { key: KEY.to_owned(), severity: Severity::Critical, summary, votes }
}

/// One after the other: what is not there yet cannot be locked. Nobody who holds this row asks for an incident.
async fn wait_for_others(session: &mut Session) -> Result<(), StoreError> {
    let sql = format!("SELECT id FROM komainu_cluster WHERE id = 1{}", session.dialect().for_update());
    session.row("wait for others who enter", sql, vec![]).await.map(|_| ())
}

async fn enter_on(session: &mut Session, routing: &Routing, outage: &Outage) -> Result<(), StoreError> {
    wait_for_others(session).await?;
    if outage.told.is_empty() {
        return enter_untold(session, routing, outage).await;
    }
    let mut event = None;
    for told in &outage.told {
        match told.delivery {
            Some(delivery) => mark(session, delivery, told).await?,
            None if is_entered(session, told).await? => {}
            None => {
                let (incident_id, event_id) = match event {
                    Some(known) => known,
                    None => *event.insert(incident(session, routing, outage).await?),
                };
                enter_told(session, (incident_id, event_id), told).await?;
            }
        }
    }
    Ok(())
}

/// Opened and over in one: people hear of it once, by its end. Unless somebody else entered it.
async fn enter_untold(session: &mut Session, routing: &Routing, outage: &Outage) -> Result<(), StoreError> {
    if same(session, outage).await?.is_none() {
        let incident_id = open(session, routing, outage).await?;
        resolve_on(session, incident_id, &outage.summary).await?;
    }
    Ok(())
}

/// A delivery that was waiting when the database went away. It may have been held, told or taken back since: people were
/// told of it all the same. Who was told by another channel hears the rest from that one.
async fn mark(session: &mut Session, delivery: i64, told: &BlackoutDelivery) -> Result<(), StoreError> {
    let act = "mark what was told";
    let sql =
        format!("SELECT event_id, incident_id FROM komainu_delivery WHERE id = ?{}", session.dialect().for_update());
    let Some(row) = session.row(act, sql, values![delivery]).await? else { return Ok(()) };
    let (incident_id, event_id) = (row.int("incident_id")?, row.int("event_id")?);
    if !told.is_sent {
        if told.via == told.channel {
            mark_unsure(session, delivery, told).await?;
        } else {
            enter_unsure(session, (incident_id, event_id), told).await?;
        }
        // It may have been taken back since: what may have arrived ends for whoever read it, too.
        return tell_end(session, (incident_id, event_id), &told.via).await;
    }
    // What may have arrived where it was meant for goes on being told there.
    let sql = "UPDATE komainu_delivery SET state = 'sent', channel = ?, sent_at = ?, notice_id = ?, vendor_ref = ?, \
         claimed_by = NULL, claimed_until = NULL WHERE id = ? AND state IN ('waiting', 'held', 'cancelled') \
         AND (channel = ? OR sending_at IS NULL)";
    let vendor_ref = told.vendor_ref.as_deref();
    let values = values![&told.via, told.at, &told.notice_id, vendor_ref, delivery, &told.via];
    let was_marked = session.execute(act, sql, values).await? > 0;
    let sql = "SELECT id FROM komainu_delivery WHERE event_id = ? AND channel = ? AND state = 'sent' LIMIT 1";
    if !was_marked && session.row(act, sql, values![event_id, &told.via]).await?.is_none() {
        enter_sent(session, (incident_id, event_id), told).await?;
    }
    tell_end(session, (incident_id, event_id), &told.via).await
}

/// Its own channel may have told it: it is told again under its id, and marked.
async fn mark_unsure(session: &mut Session, delivery: i64, told: &BlackoutDelivery) -> Result<(), StoreError> {
    let act = "mark what may have been told";
    // What was taken back, and came again since, is not over for whoever read it; unless they were told more meanwhile.
    let sql = "UPDATE komainu_delivery SET state = 'waiting', may_be_repeated = 1, notice_id = ?, sending_at = ? \
         WHERE id = ? AND sending_at IS NULL AND claimed_until IS NULL AND (state IN ('waiting', 'held') \
         OR (state = 'cancelled' AND EXISTS (SELECT 1 FROM komainu_event e JOIN komainu_incident i ON i.id = e.incident_id \
         WHERE e.id = komainu_delivery.event_id AND e.kind <> 'resolved' AND i.resolved_at IS NULL) \
         AND NOT EXISTS (SELECT 1 FROM komainu_delivery o WHERE o.incident_id = komainu_delivery.incident_id \
         AND o.channel = komainu_delivery.channel AND o.event_id > komainu_delivery.event_id \
         AND (o.state = 'sent' OR o.sending_at IS NOT NULL))))";
    session.execute(act, sql, values![&told.notice_id, told.at, delivery]).await?;
    // Nor is it unheard of for having been taken back.
    let sql = "UPDATE komainu_delivery SET unanswered = 1 WHERE id = ? AND state = 'cancelled' AND unanswered = 0";
    session.execute(act, sql, values![delivery]).await.map(|_| ())
}

/// Another channel may have told it, and is not to tell it again: whoever goes by that hears of its end.
async fn enter_unsure(session: &mut Session, at: (i64, i64), told: &BlackoutDelivery) -> Result<(), StoreError> {
    let act = "enter what a channel may have told";
    let (incident_id, event_id) = at;
    let now = session.dialect().now_ms();
    let sql = format!(
        "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, notice_id, unanswered, created_at) \
         SELECT e.id, e.incident_id, ?, 'cancelled', ?, ?, 1, {now} FROM komainu_event e WHERE e.id = ? AND e.incident_id = ? \
         AND NOT EXISTS (SELECT 1 FROM komainu_delivery o WHERE o.event_id = ? AND o.channel = ?)"
    );
    let values = values![&told.via, told.at, &told.notice_id, event_id, incident_id, event_id, &told.via];
    session.execute(act, sql, values).await.map(|_| ())
}

/// A channel that the tables did not expect to tell it has told it.
async fn enter_sent(
    session: &mut Session,
    (incident_id, event_id): (i64, i64),
    told: &BlackoutDelivery,
) -> Result<(), StoreError> {
    let act = "enter what a channel was told";
    let sql = format!(
        "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, notice_id, vendor_ref, \
         may_be_repeated, created_at, sent_at) VALUES (?, ?, ?, 'sent', ?, ?, ?, 1, {}, ?)",
        session.dialect().now_ms()
    );
    let vendor_ref = told.vendor_ref.as_deref();
    let values = values![event_id, incident_id, &told.via, told.at, &told.notice_id, vendor_ref, told.at];
    session.execute(act, sql, values).await.map(|_| ())
}

/// Who was told of what is over by now hears of the end, unless that is told already.
async fn tell_end(session: &mut Session, (incident_id, event_id): (i64, i64), channel: &str) -> Result<(), StoreError> {
    let now = session.dialect().now_ms();
    let sql = format!(
        "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, created_at) \
         SELECT MAX(e.id), e.incident_id, ?, 'waiting', {now}, {now} FROM komainu_event e \
         JOIN komainu_incident i ON i.id = e.incident_id \
         WHERE e.incident_id = ? AND e.id > ? AND e.kind = 'resolved' AND i.resolved_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM komainu_delivery o WHERE o.incident_id = ? AND o.channel = ? \
         AND o.event_id > ? AND o.state <> 'cancelled') GROUP BY e.incident_id"
    );
    let values = values![channel, incident_id, event_id, incident_id, channel, event_id];
    session.execute("tell the end of what was told", sql, values).await.map(|_| ())
}

async fn is_entered(session: &mut Session, told: &BlackoutDelivery) -> Result<bool, StoreError> {
    let sql = "SELECT d.id FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
         WHERE i.k = ? AND d.channel = ? AND d.notice_id = ? AND (d.state = 'sent' OR ? = 0) LIMIT 1";
    let values = values![KEY, &told.via, &told.notice_id, told.is_sent];
    Ok(session.row("look for what was told", sql, values).await?.is_some())
}

/// The outage's incident, if there is one already: it is open, or was resolved since this outage began. Events say that by
/// their order, whatever became of the clock meanwhile. Where none was known, times must do: one that was resolved later
/// than it is now was written by a clock that has been set back since, and is compared with nothing, for told twice is
/// better than not at all.
async fn same(session: &mut Session, outage: &Outage) -> Result<Option<i64>, StoreError> {
    let (since, value) = if let Some(event) = outage.after_event {
        let since = "EXISTS (SELECT 1 FROM komainu_event e WHERE e.incident_id = komainu_incident.id \
             AND e.kind = 'resolved' AND e.id > ?)";
        (since.to_owned(), Value::Int(event))
    } else {
        let now = session.dialect().now_ms();
        (format!("(resolved_at > ? + {LEAST_OUTAGE_MS} AND resolved_at <= {now})"), outage.began_at.into())
    };
    let sql = format!(
        "SELECT id FROM komainu_incident WHERE k = ? AND (resolved_at IS NULL OR {since}) \
         ORDER BY id DESC LIMIT 1{}",
        session.dialect().for_update()
    );
    let row = session.row("look for an outage", sql, values![KEY, value]).await?;
    row.map(|row| row.int("id")).transpose()
}

/// The outage's incident and its latest event.
async fn incident(session: &mut Session, routing: &Routing, outage: &Outage) -> Result<(i64, i64), StoreError> {
    let act = "enter an outage";
    let incident_id = match same(session, outage).await? {
        Some(known) => known,
        None => open(session, routing, outage).await?,
    };
    let latest = |which: &str| {
        format!(
            "SELECT MAX(e.id) AS id FROM komainu_event e JOIN komainu_incident i ON i.id = e.incident_id \
             WHERE e.incident_id = ? AND {which}"
        )
    };
    let bad = session.row(act, latest("e.kind <> 'resolved'"), values![incident_id]).await?;
    let end = session.row(act, latest("e.kind = 'resolved' AND i.resolved_at IS NULL"), values![incident_id]).await?;
    let key = |row: Option<Row>| row.map_or(Ok(None), |row| row.maybe_int("id"));
    let (bad, end) = (key(bad)?, key(end)?);
    match bad.filter(|bad| Some(*bad) > end) {
        Some(event_id) => Ok((incident_id, event_id)),
        // It opened again, and the outbox had nobody to tell: whoever is told by others from here hears of this end, too.
        None => Ok((incident_id, opened_again(session, incident_id, outage).await?)),
    }
}

async fn opened_again(session: &mut Session, incident_id: i64, outage: &Outage) -> Result<i64, StoreError> {
    let alarm = alarm(outage.summary.clone(), outage.votes);
    enter_event(session, &Happening::of(incident_id, Event::Opened, &alarm)).await
}

async fn open(session: &mut Session, routing: &Routing, outage: &Outage) -> Result<i64, StoreError> {
    let alarm = alarm(outage.summary.clone(), outage.votes);
    let opened = open_on(session, &alarm, &Subject::of(&alarm), routing).await?;
    let sql = "UPDATE komainu_incident SET opened_at = ? WHERE id = ? AND opened_at > ?";
    let values = values![outage.began_at, opened.incident_id, outage.began_at];
    session.execute("date an outage back", sql, values).await?;
    Ok(opened.incident_id)
}

/// The waiting delivery of that channel was told already; or it gets one that was.
async fn enter_told(session: &mut Session, at: (i64, i64), told: &BlackoutDelivery) -> Result<(), StoreError> {
    let (_, event_id) = at;
    let act = "enter what a channel was told";
    if !told.is_sent && told.via != told.channel {
        enter_unsure(session, at, told).await?;
        return tell_end(session, at, &told.via).await;
    }
    if !told.is_sent {
        // As if the outbox had begun to send it: it is sent again under its id, and marked.
        let sql = "UPDATE komainu_delivery SET may_be_repeated = 1, notice_id = ?, sending_at = ? \
             WHERE event_id = ? AND channel = ? AND state = 'waiting' AND sending_at IS NULL AND claimed_until IS NULL";
        let values = values![&told.notice_id, told.at, event_id, &told.channel];
        session.execute(act, sql, values).await?;
        return tell_end(session, at, &told.via).await;
    }
    // What may have arrived where it was meant for goes on being told there.
    let sql = "UPDATE komainu_delivery SET state = 'sent', sent_at = ?, notice_id = ?, vendor_ref = ?, channel = ?, \
         claimed_by = NULL, claimed_until = NULL WHERE event_id = ? AND channel = ? AND state = 'waiting' \
         AND (channel = ? OR sending_at IS NULL)";
    let vendor_ref = told.vendor_ref.as_deref();
    let values = values![told.at, &told.notice_id, vendor_ref, &told.via, event_id, &told.channel, &told.via];
    if session.execute(act, sql, values).await? == 0 {
        enter_sent(session, at, told).await?;
    }
    tell_end(session, at, &told.via).await
}
