//! Noting what came of a message that left.

use std::time::Duration;

use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};

use super::claim::Claim;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::incidents::opening::{open_on, resolve_on};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// A message that did not arrive, or of which nobody knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// In the vendor's words.
    pub error: String,
    /// It may have arrived all the same.
    pub may_have_arrived: bool,
    /// Nobody uses the channel for so long.
    pub pause: Duration,
    /// Nobody tries this message for so long; others overtake it.
    pub rest: Duration,
    /// To be opened with it: the channel has failed too often.
    pub incident: Option<(Alarm, Subject)>,
}

/// What becomes of a message that a channel refuses for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rescue {
    /// The incident of the channel.
    pub incident: (Alarm, Subject),
    /// Channels that get the message instead.
    pub instead: Vec<String>,
    /// Nobody uses the channel for so long, if nobody else can be told.
    pub pause: Duration,
    /// What nobody else can be told is tried again after this.
    pub rest: Duration,
    /// It was refused, and not merely left without an answer.
    pub is_refused: bool,
    /// It is about nothing that is wrong: nobody needs it instead, and it is not tried again.
    pub is_note: bool,
}

/// As much of a vendor's answer is kept.
const ANSWER_CHARS: usize = 300;

/// What a vendor said to a message that it took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Accepted {
    /// What it calls the message.
    pub vendor_ref: Option<String>,
    /// In its own words, without secrets.
    pub answer: String,
}

/// A message that is refused as a whole, and may pass in smaller ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Half {
    /// In the vendor's words.
    pub error: String,
    /// At most so many together from now on.
    pub company: usize,
}

/// A message that some of a channel's readers have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partly {
    /// Everybody who has it.
    pub told_to: Vec<String>,
    /// What was said of the others.
    pub error: String,
    /// The others may be taken after this; `None`: never, and those who have it are all who get it.
    pub rest: Option<Duration>,
    /// Those who are not taken for good: the channel's incident, and who is told instead.
    pub rescue: Option<Rescue>,
}

/// It arrived. So the channel works: its incident, if it has one, is over.
///
/// Notes it whoever claims it by now: the fewer it is repeated to, the better.
pub async fn note_sent(store: &Store, claim: &Claim, accepted: &Accepted) -> Result<(), StoreError> {
    in_transaction!(store, "note a sent message", |session| sent_on(session, claim, accepted).await)
}

/// It was taken back from where it was read.
pub async fn note_taken_back(store: &Store, claim: &Claim) -> Result<(), StoreError> {
    let act = "note that a message was taken back";
    let sql = format!(
        "UPDATE komainu_delivery{} SET answer = CONCAT(COALESCE(answer, ''), ' (taken back afterwards)') WHERE id IN ({})",
        store.dialect().by_primary(),
        id_list(&claim.deliveries)
    );
    store.lease(act).await?.execute(act, Sql::Once(sql), vec![]).await.map(|_| ())
}

async fn sent_on(session: &mut Session, claim: &Claim, accepted: &Accepted) -> Result<(), StoreError> {
    let act = "note a sent message";
    let now = session.dialect().now_ms();
    let answer: String = accepted.answer.chars().take(ANSWER_CHARS).collect();
    let sql = format!(
        "UPDATE komainu_delivery{} SET state = 'sent', sent_at = {now}, vendor_ref = ?, answer = ?, claimed_by = NULL, \
         claimed_until = NULL WHERE id IN ({}) AND state = 'waiting' AND notice_id = ?",
        session.dialect().by_primary(),
        id_list(&claim.deliveries)
    );
    session.execute(act, Sql::Once(sql), values![accepted.vendor_ref.as_deref(), answer, &claim.notice]).await?;
    let sql =
        format!("UPDATE komainu_channel SET failures = 0, refused_alone = 0, last_sent_at = {now} WHERE name = ?");
    session.execute(act, sql, values![&claim.channel]).await?;
    let sql = "SELECT id FROM komainu_incident WHERE k = ? AND resolved_at IS NULL";
    let row = session.row(act, sql, values![channel_key(&claim.channel)]).await?;
    if let Some(row) = row {
        resolve_on(session, row.int("id")?, &format!("channel {} delivers again", claim.channel)).await?;
    }
    Ok(())
}

/// The key of a channel's incident.
pub(crate) fn channel_key(channel: &str) -> String {
    format!("channel/{channel}")
}

/// It did not arrive, or nobody knows; it is tried again.
pub async fn note_refused(
    store: &Store,
    claim: &Claim,
    refusal: &Refusal,
    routing: &Routing,
) -> Result<(), StoreError> {
    in_transaction!(store, "note a refused message", |session| refused_on(session, claim, refusal, routing).await)
}

async fn refused_on(
    session: &mut Session,
    claim: &Claim,
    refusal: &Refusal,
    routing: &Routing,
) -> Result<(), StoreError> {
    let act = "note a refused message";
    let now = session.dialect().now_ms();
    // What certainly did not arrive may be told in other company; what may have arrived stays as it was.
    let afresh = match (refusal.may_have_arrived, claim.is_repeated) {
        (true, _) => "",
        (false, true) => ", unanswered = unanswered - 1",
        (false, false) => ", unanswered = unanswered - 1, sending_at = NULL, notice_id = NULL",
    };
    let sql = format!(
        "UPDATE komainu_delivery{} SET claimed_by = NULL, claimed_until = NULL, last_error = ?, \
         failed_at = {now}, retry_at = {now} + ?{afresh} WHERE id IN ({}) AND state = 'waiting' AND claimed_by = ? \
         AND notice_id = ?",
        session.dialect().by_primary(),
        id_list(&claim.deliveries)
    );
    let values = values![&refusal.error, millis(refusal.rest), claim.by, &claim.notice];
    session.execute(act, Sql::Once(sql), values).await?;
    note_failure(session, &claim.channel, &refusal.error, refusal.pause).await?;
    if let Some((alarm, subject)) = &refusal.incident {
        open_on(session, alarm, subject, routing).await?;
    }
    Ok(())
}

/// The channel refuses it for good: somebody has to act, and others are told instead.
pub async fn give_up(
    store: &Store,
    claim: &Claim,
    error: &str,
    rescue: &Rescue,
    routing: &Routing,
) -> Result<(), StoreError> {
    in_transaction!(store, "give a message up", |session| give_up_on(session, claim, (error, rescue), routing).await)
}

async fn give_up_on(
    session: &mut Session,
    claim: &Claim,
    (error, rescue): (&str, &Rescue),
    routing: &Routing,
) -> Result<(), StoreError> {
    let act = "give a message up";
    let deliveries = id_list(&claim.deliveries);
    let sql = format!(
        "UPDATE komainu_delivery{} SET state = 'failed', claimed_by = NULL, claimed_until = NULL, last_error = ? \
         WHERE id IN ({deliveries}) AND state = 'waiting' AND claimed_by = ? AND notice_id = ?",
        session.dialect().by_primary()
    );
    let failed = session.execute(act, Sql::Once(sql), values![error, claim.by, &claim.notice]).await?;
    if failed == 0 {
        return Ok(());
    }
    tell_instead(session, &deliveries, &rescue.instead).await?;
    let is_kept = !rescue.is_note && keep_alone(session, claim, rescue).await?;
    let pause = if is_kept { rescue.pause } else { Duration::ZERO };
    note_failure(session, &claim.channel, error, pause).await?;
    if rescue.is_refused {
        let sql = "UPDATE komainu_channel SET refused_alone = refused_alone + 1 WHERE name = ?";
        session.execute(act, sql, values![&claim.channel]).await?;
    }
    let (alarm, subject) = &rescue.incident;
    open_on(session, alarm, subject, routing).await.map(|_| ())
}

/// What no other channel tells goes on waiting: perhaps the refusal was not for good. Of what may have arrived, only what
/// is still bad. Says whether there is any.
async fn keep_alone(session: &mut Session, claim: &Claim, rescue: &Rescue) -> Result<bool, StoreError> {
    let act = "keep what nobody else tells";
    let still_bad = if rescue.is_refused { "" } else { " AND i.resolved_at IS NULL AND e.kind <> 'resolved'" };
    let sql = format!(
        "SELECT d.id FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
         JOIN komainu_event e ON e.id = d.event_id WHERE d.id IN ({}) AND d.state = 'failed'{still_bad} \
         AND NOT EXISTS (SELECT 1 FROM komainu_delivery o WHERE o.incident_id = d.incident_id \
         AND o.event_id = d.event_id AND o.channel <> d.channel AND o.state IN ('waiting', 'held', 'sent'))",
        id_list(&claim.deliveries)
    );
    let rows = session.rows(act, Sql::Once(sql), vec![]).await?;
    let alone = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    if alone.is_empty() {
        return Ok(false);
    }
    let afresh = match (rescue.is_refused, claim.is_repeated) {
        (false, _) => "",
        (true, true) => ", unanswered = unanswered - 1",
        (true, false) => ", unanswered = unanswered - 1, sending_at = NULL, notice_id = NULL",
    };
    let now = session.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_delivery SET state = 'waiting', failed_at = {now}, retry_at = {now} + ?{afresh} \
         WHERE id IN ({})",
        id_list(&alone)
    );
    session.execute(act, Sql::Once(sql), values![millis(rescue.rest)]).await?;
    Ok(true)
}

/// What is in it may go in smaller messages, at once.
pub async fn halve(store: &Store, claim: &Claim, half: &Half) -> Result<(), StoreError> {
    let act = "halve a message";
    let sql = format!(
        "UPDATE komainu_delivery{} SET claimed_by = NULL, claimed_until = NULL, sending_at = NULL, notice_id = NULL, \
         unanswered = unanswered - 1, last_error = ?, company = ? WHERE id IN ({}) AND state = 'waiting' \
         AND claimed_by = ? AND notice_id = ?",
        store.dialect().by_primary(),
        id_list(&claim.deliveries)
    );
    let company = u64::try_from(half.company).unwrap_or(u64::MAX);
    let values = values![&half.error, company, claim.by, &claim.notice];
    store.lease(act).await?.execute(act, Sql::Once(sql), values).await.map(|_| ())
}

/// Some of the channel's readers have it.
pub async fn note_partly(store: &Store, claim: &Claim, partly: &Partly, routing: &Routing) -> Result<(), StoreError> {
    in_transaction!(store, "note who has a message", |session| partly_on(session, claim, partly, routing).await)
}

async fn partly_on(session: &mut Session, claim: &Claim, partly: &Partly, routing: &Routing) -> Result<(), StoreError> {
    let act = "note who has a message";
    let (now, deliveries) = (session.dialect().now_ms(), id_list(&claim.deliveries));
    // The rest of its readers get the same message, later, and for them it is no repetition.
    let (state, rest) = match partly.rest {
        Some(rest) => ("'waiting'", Some(i64::try_from(rest.as_millis()).unwrap_or(i64::MAX))),
        None => ("'sent'", None),
    };
    let sql = format!(
        "UPDATE komainu_delivery{} SET state = {state}, sent_at = CASE WHEN ? IS NULL THEN {now} END, \
         retry_at = {now} + ?, told_to = ?, last_error = ?, unanswered = unanswered - 1, claimed_by = NULL, \
         claimed_until = NULL WHERE id IN ({deliveries}) AND state = 'waiting' AND notice_id = ?",
        session.dialect().by_primary()
    );
    let told_to = serde_json::to_string(&partly.told_to).expect("a list of strings can be written");
    let values = values![rest, rest, told_to, &partly.error, &claim.notice];
    if session.execute(act, Sql::Once(sql), values).await? == 0 {
        return Ok(());
    }
    let sql = format!(
        "UPDATE komainu_channel SET failures = 0, refused_alone = 0, last_sent_at = {now}, last_error = ?, \
         last_error_at = {now} WHERE name = ?"
    );
    session.execute(act, sql, values![&partly.error, &claim.channel]).await?;
    if let Some(rescue) = &partly.rescue {
        tell_instead(session, &deliveries, &rescue.instead).await?;
        let (alarm, subject) = &rescue.incident;
        open_on(session, alarm, subject, routing).await?;
    }
    Ok(())
}

/// Enters the same events for other channels. Nobody is told twice, also when two fallbacks point at each other; nor what is
/// overtaken where something later was told. Whoever hears of what is over by then hears of the end too.
pub(super) async fn tell_instead(
    session: &mut Session,
    deliveries: &str,
    instead: &[String],
) -> Result<(), StoreError> {
    let now = session.dialect().now_ms();
    for channel in instead {
        let sql = format!(
            "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, created_at, \
             instead_of) SELECT d.event_id, d.incident_id, ?, 'waiting', d.group_wait_ms, d.due_at, {now}, d.channel FROM komainu_delivery d \
             WHERE d.id IN ({deliveries}) AND NOT EXISTS (SELECT 1 FROM komainu_delivery o \
             WHERE o.incident_id = d.incident_id AND o.event_id >= d.event_id AND o.channel = ?)"
        );
        session.execute("tell others instead", Sql::Once(sql), values![channel, channel]).await?;
        let sql = format!(
            "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, created_at, \
             instead_of) SELECT MAX(e.id), d.incident_id, ?, 'waiting', MAX(d.group_wait_ms), {now}, {now}, MAX(d.channel) \
             FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
             JOIN komainu_event e ON e.incident_id = d.incident_id AND e.id > d.event_id AND e.kind = 'resolved' \
             WHERE d.id IN ({deliveries}) AND i.resolved_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM komainu_delivery o \
             WHERE o.incident_id = d.incident_id AND o.event_id > d.event_id AND o.channel = ? AND o.state <> 'cancelled') \
             GROUP BY d.incident_id"
        );
        session.execute("tell others the end too", Sql::Once(sql), values![channel, channel]).await?;
    }
    Ok(())
}

/// No configuration has this channel any more: what waits for it since before `overdue` goes to these instead. Says how
/// many deliveries that were.
pub async fn abandon(store: &Store, channel: &str, overdue: Duration, instead: &[String]) -> Result<usize, StoreError> {
    in_transaction!(store, "abandon a channel", |session| abandon_on(session, (channel, overdue), instead).await)
}

async fn abandon_on(
    session: &mut Session,
    (channel, overdue): (&str, Duration),
    instead: &[String],
) -> Result<usize, StoreError> {
    let act = "abandon a channel";
    // A channel that somebody used or tried in that time is in another watchdog's configuration.
    let (now, overdue) = (session.dialect().now_ms(), overdue.as_millis());
    let sql = format!(
        "SELECT id FROM komainu_delivery WHERE state IN ('waiting', 'held') AND channel = ? AND due_at < {now} - {overdue} \
         AND NOT EXISTS (SELECT 1 FROM komainu_channel c WHERE c.name = komainu_delivery.channel AND (c.next_at > {now} \
         OR c.last_error_at > {now} - {overdue} OR c.last_sent_at > {now} - {overdue})){}",
        session.dialect().for_update()
    );
    let rows = session.rows(act, sql, values![channel]).await?;
    let ids = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    let deliveries = id_list(&ids);
    tell_instead(session, &deliveries, instead).await?;
    let sql = format!(
        "UPDATE komainu_delivery{} SET state = 'failed', last_error = 'no configuration has this channel any more' \
         WHERE id IN ({deliveries})",
        session.dialect().by_primary()
    );
    session.execute(act, Sql::Once(sql), vec![]).await?;
    Ok(ids.len())
}

async fn note_failure(session: &mut Session, channel: &str, error: &str, pause: Duration) -> Result<(), StoreError> {
    let now = session.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_channel SET failures = failures + 1, last_error = ?, last_error_at = {now}, \
         paused_at = CASE WHEN next_at > {now} + ? THEN paused_at ELSE {now} END, next_at = {}(next_at, {now} + ?) \
         WHERE name = ?",
        session.dialect().greatest()
    );
    session
        .execute("note a channel's failure", sql, values![error, millis(pause), millis(pause), channel])
        .await
        .map(|_| ())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
