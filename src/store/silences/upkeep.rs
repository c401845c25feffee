//! Silences come to their ends: those that last until something is over, and the word before an end.
//!
//! Any watchdog looks; the guards of the rows let one of them act. Each silence that ends soon while it holds something bad is an incident
//! `silence/UUID`, so that whoever made it, and whoever will be told what it held, can lengthen it or look.

use std::collections::BTreeSet;

use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::{COLUMNS, Holds, MOST_IN_FORCE, held_on, now_on, silence};
use crate::silence::{KIND, NewSilence, Silence, WARN_BEFORE};
use crate::store::error::StoreError;
use crate::store::incidents::opening::{open_on, resolve_on};
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::values;

const ACT: &str = "look after silences";

/// What a look found to do.
#[derive(Default)]
struct Due {
    /// What they are about is over, each with its key.
    over: Vec<(i64, String)>,
    /// They end soon, and hold something.
    ending: Vec<(Silence, Holds)>,
    /// Incidents whose silence is over.
    stale: Vec<i64>,
}

/// Ends what lasted until something is over, warns of ends that come soon, and takes warnings back whose silence is over. Reads, and
/// writes only where there is something to do: every watchdog looks all the time.
pub async fn look_after(store: &Store, routing: &Routing) -> Result<(), StoreError> {
    let (due, now) = look(store).await?;
    for (silence, key) in due.over {
        end(store, (silence, &key)).await?;
    }
    for (silence, holds) in &due.ending {
        in_transaction!(store, ACT, |session| warn(session, (silence, holds, now), routing).await)?;
    }
    for incident in due.stale {
        in_transaction!(store, ACT, |session| resolve_on(session, incident, "the silence is over").await)?;
    }
    Ok(())
}

async fn look(store: &Store) -> Result<(Due, Wall), StoreError> {
    let mut lease = store.lease(ACT).await?;
    let now = now_on(&mut lease).await?;
    let soon = now + WARN_BEFORE;
    let sql = format!(
        "{COLUMNS} WHERE ends_at > ? AND starts_at <= ? AND (until_resolved = 1 OR (ends_at <= ? AND warned_at IS NULL)) \
         ORDER BY id LIMIT {MOST_IN_FORCE}"
    );
    let rows = lease.rows(ACT, sql, values![now, now, soon]).await?;
    let silences = rows.iter().map(silence).collect::<Result<Vec<_>, _>>()?;
    let mut due = Due { over: over(&mut lease, &silences).await?, ..Due::default() };
    let is_worth_a_word = |silence: &&Silence| {
        // One that is shorter than the warning's time, or comes again each night, ends without one.
        let NewSilence { starts_at, ends_at, recurrence, .. } = &silence.made;
        *ends_at <= soon && ends_at.since(*starts_at) > WARN_BEFORE && recurrence.is_none()
    };
    let ending: Vec<Silence> = silences.iter().filter(is_worth_a_word).cloned().collect();
    let mut held = held_on(&mut lease, &ending).await?;
    due.ending =
        ending.into_iter().filter_map(|silence| held.remove(&silence.id).map(|holds| (silence, holds))).collect();
    due.ending.retain(|(_, holds)| holds.incidents > 0);
    let sql = format!(
        "SELECT i.id FROM komainu_incident i LEFT JOIN komainu_silence s ON i.k = CONCAT('{KIND}/', s.uid) AND s.ends_at > ? AND s.warned_at IS NOT NULL \
         WHERE i.resolved_at IS NULL AND i.k >= '{KIND}/' AND i.k < '{KIND}0' AND s.id IS NULL"
    );
    let rows = lease.rows(ACT, sql, values![now]).await?;
    due.stale = rows.iter().map(|row| row.int("id")).collect::<Result<_, _>>()?;
    Ok((due, now))
}

/// Those that last until something is over that is not open any more.
async fn over(session: &mut Session, silences: &[Silence]) -> Result<Vec<(i64, String)>, StoreError> {
    let lasting = silences.iter().filter(|silence| silence.made.until_resolved);
    let mut lasting: Vec<_> =
        lasting.filter_map(|silence| Some((silence.id, silence.made.only_key()?.to_owned()))).collect();
    if lasting.is_empty() {
        return Ok(lasting);
    }
    let places = vec!["?"; lasting.len()].join(", ");
    let sql = format!("SELECT k FROM komainu_incident WHERE resolved_at IS NULL AND k IN ({places})");
    let rows = session.rows(ACT, Sql::Once(sql), lasting.iter().map(|(_, key)| key.into()).collect()).await?;
    let open = rows.iter().map(|row| row.text("k")).collect::<Result<BTreeSet<_>, _>>()?;
    lasting.retain(|(_, key)| !open.contains(key));
    Ok(lasting)
}

/// Unless it opened again, or somebody else ended it, meanwhile.
async fn end(store: &Store, (silence, key): (i64, &str)) -> Result<(), StoreError> {
    let now = store.dialect().now_ms();
    let sql = format!(
        "UPDATE komainu_silence SET ends_at = {now}, changed_at = {now}, ended_by = 'resolved' WHERE id = ? AND ends_at > {now} \
         AND NOT EXISTS (SELECT 1 FROM komainu_incident WHERE k = ? AND resolved_at IS NULL)"
    );
    store.lease(ACT).await?.execute(ACT, sql, values![silence, key]).await.map(|_| ())
}

/// Once for each silence.
async fn warn(
    session: &mut Session,
    (silence, holds, now): (&Silence, &Holds, Wall),
    routing: &Routing,
) -> Result<(), StoreError> {
    let made = &silence.made;
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
            "{} ends in {minutes} min and {what} will be told that it holds ({}{}): {}",
            made.window.as_ref().map_or_else(
                || format!("the silence of {}", made.author),
                |window| format!("the maintenance {} of {}", window.name, made.author)
            ),
            first.join(", "),
            if holds.keys.len() > first.len() { ", …" } else { "" },
            made.comment
        ),
        votes: (0, 0),
    };
    open_on(session, &alarm, &Subject::of(&alarm), routing).await.map(|_| ())
}
