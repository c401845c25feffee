//! Reminders: what is open, not acknowledged, and was told before. Whether it is told again is
//! [`komainu_watchdogs::reminder`]'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::outbox::{Event, FLAPPING_FROM};
use komainu_watchdogs::reminder;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::entry::{self, Happening};
use crate::store::downtimes::monitor_of;
use crate::store::downtimes::spells::spells;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::{Row, values};

struct Told {
    incident: i64,
    key: String,
    subject: Subject,
    opened_at: Wall,
    reminded_at: Option<Wall>,
    channel: String,
    told_at: Wall,
    now: Wall,
}

/// Enters the reminders that are due; says how many incidents they are about.
pub async fn remind(store: &Store, routing: &Routing) -> Result<usize, StoreError> {
    let told = told(store).await?;
    let monitors: BTreeSet<_> = told.iter().filter_map(|told| monitor_of(&told.key)).collect();
    let spells = spells(store, &Vec::from_iter(monitors)).await?;
    let mut due: BTreeMap<i64, (Option<Wall>, BTreeMap<String, Duration>)> = BTreeMap::new();
    for told in told {
        let planned = routing.plan(&told.subject).into_iter().find(|planned| planned.channel == told.channel);
        let facts = reminder::Told {
            opened_at: told.opened_at,
            told_at: told.told_at,
            repeat: planned.and_then(|planned| planned.repeat),
            spell: monitor_of(&told.key).and_then(|monitor| spells.get(&monitor).copied()),
        };
        if reminder::is_due(&facts, told.now) {
            let (_, waits) = due.entry(told.incident).or_insert((told.reminded_at, BTreeMap::new()));
            waits.insert(told.channel, Duration::ZERO);
        }
    }
    let incidents = due.len();
    for (incident, (reminded_at, waits)) in due {
        in_transaction!(store, "enter a reminder", |session| {
            remind_on(session, (incident, reminded_at), &waits).await
        })?;
    }
    Ok(incidents)
}

/// When each channel was last told of each open incident; not where something still waits.
async fn told(store: &Store) -> Result<Vec<Told>, StoreError> {
    let act = "look for reminders";
    let sql = format!(
        "SELECT i.id, i.k, i.subject_json, i.opened_at, i.reminded_at, d.channel, MAX(d.sent_at) AS told_at, {} AS now \
         FROM komainu_incident i JOIN komainu_delivery d ON d.incident_id = i.id \
         WHERE i.resolved_at IS NULL AND i.acknowledged_at IS NULL AND i.flaps < {FLAPPING_FROM} \
         AND d.state IN ('waiting', 'held', 'sent') \
         GROUP BY i.id, i.k, i.subject_json, i.opened_at, i.reminded_at, d.channel \
         HAVING SUM(CASE WHEN d.state = 'sent' THEN 0 ELSE 1 END) = 0",
        store.dialect().now_ms()
    );
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    let told = |row: &Row| {
        let Ok(subject) = serde_json::from_str(&row.text("subject_json")?) else { return Ok(None) };
        Ok(Some(Told {
            incident: row.int("id")?,
            key: row.text("k")?,
            subject,
            opened_at: row.wall("opened_at")?,
            reminded_at: row.maybe_wall("reminded_at")?,
            channel: row.text("channel")?,
            told_at: row.wall("told_at")?,
            now: row.wall("now")?,
        }))
    };
    rows.iter().filter_map(|row| told(row).transpose()).collect()
}

/// Unless another watchdog did, or somebody acknowledged it meanwhile.
async fn remind_on(
    session: &mut Session,
    (incident, reminded_at): (i64, Option<Wall>),
    waits: &BTreeMap<String, Duration>,
) -> Result<(), StoreError> {
    let act = "enter a reminder";
    let dialect = session.dialect();
    let sql = format!(
        "UPDATE komainu_incident SET reminded_at = {} WHERE id = ? AND resolved_at IS NULL \
         AND acknowledged_at IS NULL AND reminded_at {} ?",
        dialect.now_ms(),
        dialect.is_same()
    );
    if session.execute(act, sql, values![incident, reminded_at]).await? == 0 {
        return Ok(());
    }
    let sql = "SELECT severity, summary, votes_bad, votes_of FROM komainu_incident WHERE id = ?";
    let Some(row) = session.row(act, sql, values![incident]).await? else { return Ok(()) };
    let happening = Happening {
        incident_id: incident,
        event: Event::Reminder,
        severity: row.text("severity")?,
        summary: row.text("summary")?,
        votes: (row.small("votes_bad")?, row.small("votes_of")?),
    };
    entry::enter_after(session, &happening, waits).await
}
