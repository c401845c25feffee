//! What shows whether people can be told; what follows from it is [`komainu_watchdogs::telling`]'s to say.

use std::collections::BTreeSet;

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::telling::Facts;

use super::channel_key;
use crate::store::error::StoreError;
use crate::store::incidents::opening::resolve_on;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::values;

/// As many of what is due longest are looked at: what is stuck is among them.
const MOST_LOOKED_AT: u32 = 1_000;

/// Nothing that opens waits longer for company. What seems to was written by a clock that has jumped since, and is due.
const LONGEST_WAIT_MS: u32 = 600_000;

/// Reads it, and makes sure that the outbox can be written too.
pub async fn telling(store: &Store) -> Result<Facts, StoreError> {
    let act = "look whether people can be told";
    let mut lease = store.lease(act).await?;
    // Changes nothing, and is refused where a change would be.
    lease.execute(act, "UPDATE komainu_delivery SET attempts = attempts WHERE id = 0", vec![]).await?;
    Ok(Facts { failing: failing(&mut lease).await?, untold: untold(&mut lease).await? })
}

/// A success takes the count back, so a failure is what came of the last attempt, however long ago that is.
async fn failing(session: &mut Session) -> Result<BTreeSet<String>, StoreError> {
    let sql = "SELECT name FROM komainu_channel WHERE failures > 0";
    let rows = session.rows("look for channels that fail", sql, vec![]).await?;
    rows.iter().map(|row| row.text("name")).collect()
}

/// Reminders and acknowledgements say what was told before, and of ends nobody has to be woken.
async fn untold(session: &mut Session) -> Result<BTreeSet<i64>, StoreError> {
    let now = session.dialect().now_ms();
    let sql = format!(
        "SELECT d.incident_id FROM (SELECT event_id, incident_id FROM komainu_delivery \
         WHERE state = 'waiting' AND (due_at <= {now} OR due_at > {now} + {LONGEST_WAIT_MS}) \
         ORDER BY due_at LIMIT {MOST_LOOKED_AT}) d \
         JOIN komainu_event e ON e.id = d.event_id WHERE e.severity = ? AND e.kind NOT IN ('reminder', 'ack', 'resolved') \
         AND NOT EXISTS (SELECT 1 FROM komainu_delivery o WHERE o.incident_id = d.incident_id \
         AND o.event_id = d.event_id AND o.state = 'sent')"
    );
    let rows = session.rows("look for criticals that are untold", sql, values![Severity::Critical.as_str()]).await?;
    rows.iter().map(|row| row.int("incident_id")).collect()
}

/// Somebody tried the channel by hand, and it took the message: so it works, what rests may go, and its incident, if it has
/// one, is over.
/// A channel that no watchdog has used yet is not known, and has nothing to be over.
pub async fn note_tried(store: &Store, channel: &str) -> Result<(), StoreError> {
    in_transaction!(store, "note that a channel works", |session| tried_on(session, channel).await)
}

async fn tried_on(session: &mut Session, channel: &str) -> Result<(), StoreError> {
    let act = "note that a channel works";
    let now = session.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_channel SET failures = 0, refused_alone = 0, next_at = CASE WHEN next_at > {now} THEN {now} \
         ELSE next_at END WHERE name = ?"
    );
    session.execute(act, sql, values![channel]).await?;
    let rested = format!(
        "UPDATE komainu_delivery{} SET retry_at = NULL WHERE state = 'waiting' AND channel = ? AND retry_at IS NOT NULL",
        session.dialect().by_primary()
    );
    session.execute(act, rested, values![channel]).await?;
    let sql = "SELECT id FROM komainu_incident WHERE k = ? AND resolved_at IS NULL";
    let row = session.row(act, sql, values![channel_key(channel)]).await?;
    match row {
        Some(row) => resolve_on(session, row.int("id")?, &format!("channel {channel} took a test")).await.map(|_| ()),
        None => Ok(()),
    }
}
