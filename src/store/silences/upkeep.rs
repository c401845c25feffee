//! Silences come to their ends: those that last until something is over, and the word before an end.
//!
//! Any watchdog looks; the guards of the rows let one of them act. Each silence that ends soon while it holds something bad is an incident
//! `silence/UUID`, so that whoever made it, and whoever will be told what it held, can lengthen it or look.

use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::{COLUMNS, holds_on, now_on, silence};
use crate::silence::{KIND, MOST_SILENCES, Silence, WARN_BEFORE};
use crate::store::error::StoreError;
use crate::store::incidents::opening::{open_on, resolve_on};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::values;

const ACT: &str = "look after silences";

/// Ends what lasted until something is over, warns of ends that come soon, and takes warnings back whose silence is over.
pub async fn look_after(store: &Store, routing: &Routing) -> Result<(), StoreError> {
    let (due, over) = look(store).await?;
    for silence in &due {
        in_transaction!(store, ACT, |session| end_or_warn(session, silence, routing).await)?;
    }
    for incident in over {
        in_transaction!(store, ACT, |session| resolve_on(session, incident, "the silence is over").await)?;
    }
    Ok(())
}

/// Silences that may end by themselves or end soon, and incidents of those that are over.
async fn look(store: &Store) -> Result<(Vec<Silence>, Vec<i64>), StoreError> {
    let mut lease = store.lease(ACT).await?;
    let now = now_on(&mut lease).await?;
    let soon = now + WARN_BEFORE;
    let sql = format!(
        "{COLUMNS} WHERE ends_at > ? AND starts_at <= ? AND (until_resolved = 1 OR (ends_at <= ? AND warned_at IS NULL)) \
         ORDER BY id LIMIT {MOST_SILENCES}"
    );
    let rows = lease.rows(ACT, sql, values![now, now, soon]).await?;
    let due = rows.iter().map(silence).collect::<Result<Vec<_>, _>>()?;
    let sql = format!(
        "SELECT i.id FROM komainu_incident i LEFT JOIN komainu_silence s ON i.k = CONCAT('{KIND}/', s.uid) AND s.ends_at > ? \
         WHERE i.resolved_at IS NULL AND i.k >= '{KIND}/' AND i.k < '{KIND}0' AND s.id IS NULL"
    );
    let rows = lease.rows(ACT, sql, values![now]).await?;
    let over = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    Ok((due, over))
}

async fn end_or_warn(session: &mut Session, silence: &Silence, routing: &Routing) -> Result<(), StoreError> {
    let now = now_on(session).await?;
    if silence.made.until_resolved && is_all_over(session, silence).await? {
        let sql = "UPDATE komainu_silence SET ends_at = ?, changed_at = ?, ended_by = 'resolved' WHERE id = ? AND ends_at > ?";
        return session.execute(ACT, sql, values![now, now, silence.id, now]).await.map(|_| ());
    }
    if silence.made.ends_at > now + WARN_BEFORE {
        return Ok(());
    }
    warn(session, (silence, now), routing).await
}

/// Nothing that it is about is open.
async fn is_all_over(session: &mut Session, silence: &Silence) -> Result<bool, StoreError> {
    let Some(key) = silence.made.only_key() else { return Ok(false) };
    let sql = "SELECT id FROM komainu_incident WHERE k = ? AND resolved_at IS NULL LIMIT 1";
    Ok(session.row(ACT, sql, values![key]).await?.is_none())
}

/// Once for each silence. One that is shorter than the warning's time, or comes again each night, ends without one.
async fn warn(session: &mut Session, (silence, now): (&Silence, Wall), routing: &Routing) -> Result<(), StoreError> {
    let made = &silence.made;
    let is_short = made.ends_at.since(made.starts_at) <= WARN_BEFORE;
    let holds = holds_on(session, silence.id).await?;
    if is_short || made.recurrence.is_some() || holds.incidents == 0 {
        return Ok(());
    }
    let sql = "UPDATE komainu_silence SET warned_at = ? WHERE id = ? AND warned_at IS NULL AND ends_at > ?";
    if session.execute(ACT, sql, values![now, silence.id, now]).await? == 0 {
        return Ok(());
    }
    let minutes = made.ends_at.since(now).as_secs().div_ceil(60);
    let what = if holds.incidents == 1 { "1 incident".to_owned() } else { format!("{} incidents", holds.incidents) };
    let first: Vec<_> = holds.keys.iter().take(3).map(String::as_str).collect();
    let alarm = Alarm {
        key: format!("{KIND}/{}", silence.uid),
        severity: Severity::Warning,
        summary: format!(
            "the silence of {} ends in {minutes} min and {what} will be told that it holds ({}{}): {}",
            made.author,
            first.join(", "),
            if holds.keys.len() > first.len() { ", …" } else { "" },
            made.comment
        ),
        votes: (0, 0),
    };
    open_on(session, &alarm, &Subject::of(&alarm), routing).await.map(|_| ())
}
