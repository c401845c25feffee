//! Reminders: what is open and not acknowledged, as it is now. Whether it is told again is
//! [`komainu_watchdogs::reminder`]'s to say.
//!
//! Looked at part by part: in a mass outage tens of thousands are open.

pub(in crate::store) mod subjects;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::outbox::{Event, FLAPPING_FROM};
use komainu_watchdogs::reminder::{self, LastTold};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::entry::{self, Happening};
use crate::store::decisions::id_list;
use crate::store::downtimes::monitor_of;
use crate::store::downtimes::spells::spells;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, values};

/// Incidents looked at together.
const PART: usize = 1_000;

/// Incidents told again in one transaction: some ten milliseconds of locks.
const TOGETHER: usize = 250;

/// What a look at a part of the open incidents came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reminded {
    /// The next look begins behind this incident; 0: at the front.
    pub reached: i64,
    /// Incidents that people are told of again.
    pub incidents: usize,
}

/// An incident that is open.
struct Open {
    id: i64,
    subject: Subject,
    opened_at: Wall,
    reminded_at: Option<Wall>,
    now: Wall,
}

/// An incident, when it was last told again, and where it is to be told now.
type Due = (i64, (Option<Wall>, BTreeMap<String, Duration>));

/// Enters the reminders that are due among the next open incidents after this one.
pub async fn remind(store: &Store, routing: &Routing, after: i64) -> Result<Reminded, StoreError> {
    let mut part = open(store, after).await?;
    let reached = part.last().filter(|_| part.len() == PART).map_or(0, |last| last.id);
    subjects::renew(store, part.iter_mut().map(|open| &mut open.subject).collect()).await?;
    let monitors: BTreeSet<_> = part.iter().filter_map(|open| monitor_of(&open.subject.key)).collect();
    let spells = spells(store, &Vec::from_iter(monitors)).await?;
    let mut told = told(store, &part).await?;
    let mut due: Vec<Due> = vec![];
    for Open { id, subject, opened_at, reminded_at, now } in part {
        let spell = monitor_of(&subject.key).and_then(|monitor| spells.get(&monitor).copied());
        let open = reminder::Open { opened_at, told: told.remove(&id).unwrap_or_default(), spell };
        let channels = reminder::due(&open, &routing.plan(&subject, now), now);
        if !channels.is_empty() {
            let waits = channels.into_iter().map(|channel| (channel, Duration::ZERO)).collect();
            due.push((id, (reminded_at, waits)));
        }
    }
    let mut incidents = 0;
    for part in due.chunks(TOGETHER) {
        let part: BTreeMap<_, _> = part.iter().cloned().collect();
        incidents += in_transaction!(store, "enter reminders", |session| remind_of(session, &part).await)?;
    }
    Ok(Reminded { reached, incidents })
}

async fn open(store: &Store, after: i64) -> Result<Vec<Open>, StoreError> {
    let act = "look for reminders";
    let dialect = store.dialect();
    // By an index whose rows of one value stand in the order of their ids.
    let sql = format!(
        "SELECT id, severity, subject_json, opened_at, reminded_at, {} AS now FROM komainu_incident{} \
         WHERE resolved_at IS NULL AND acknowledged_at IS NULL AND id > ? ORDER BY id LIMIT {PART}",
        dialect.now_ms(),
        dialect.by_index("komainu_incident_resolved")
    );
    let rows = store.lease(act).await?.rows(act, sql, values![after]).await?;
    let read = |row: &Row| {
        let Ok(subject) = serde_json::from_str::<Subject>(&row.text("subject_json")?) else { return Ok(None) };
        Ok(Some(Open {
            id: row.int("id")?,
            subject: Subject { severity: Severity::parse(&row.text("severity")?), ..subject },
            opened_at: row.wall("opened_at")?,
            reminded_at: row.maybe_wall("reminded_at")?,
            now: row.wall("now")?,
        }))
    };
    rows.iter().filter_map(|row| read(row).transpose()).collect()
}

/// What each channel was told of these incidents. What failed for good was told elsewhere, and is tried again like the rest.
async fn told(store: &Store, part: &[Open]) -> Result<BTreeMap<i64, BTreeMap<String, LastTold>>, StoreError> {
    let act = "look for reminders";
    let mut told: BTreeMap<i64, BTreeMap<String, LastTold>> = BTreeMap::new();
    if part.is_empty() {
        return Ok(told);
    }
    let ids: Vec<i64> = part.iter().map(|open| open.id).collect();
    let sql = format!(
        "SELECT incident_id, channel, MAX(COALESCE(sent_at, failed_at, created_at)) AS at, \
         MAX(CASE WHEN state IN ('waiting', 'held') THEN 1 ELSE 0 END) AS waits \
         FROM komainu_delivery WHERE incident_id IN ({}) AND state <> 'cancelled' GROUP BY incident_id, channel",
        id_list(&ids)
    );
    for row in store.lease(act).await?.rows(act, Sql::Once(sql), vec![]).await? {
        let one = if row.flag("waits")? { LastTold::Waits } else { LastTold::At(row.wall("at")?) };
        told.entry(row.int("incident_id")?).or_default().insert(row.text("channel")?, one);
    }
    Ok(told)
}

/// Leaves out what another watchdog told again, and what somebody acknowledged meanwhile. Says how many it entered.
async fn remind_of(
    session: &mut Session,
    due: &BTreeMap<i64, (Option<Wall>, BTreeMap<String, Duration>)>,
) -> Result<usize, StoreError> {
    let act = "enter reminders";
    let dialect = session.dialect();
    let sql = format!(
        "SELECT id, reminded_at, severity, summary, votes_bad, votes_of, flaps FROM komainu_incident{} \
         WHERE id IN ({}) AND resolved_at IS NULL AND acknowledged_at IS NULL ORDER BY id{}",
        dialect.by_primary(),
        id_list(&due.keys().copied().collect::<Vec<_>>()),
        dialect.for_update()
    );
    let mut happenings = vec![];
    for row in session.rows(act, Sql::Once(sql), vec![]).await? {
        let Some((reminded_at, waits)) = due.get(&row.int("id")?) else { continue };
        if row.maybe_wall("reminded_at")? == *reminded_at {
            happenings.push((happening(&row)?, waits.clone()));
        }
    }
    if happenings.is_empty() {
        return Ok(0);
    }
    let ids: Vec<i64> = happenings.iter().map(|(happening, _)| happening.incident_id).collect();
    let sql = format!(
        "UPDATE komainu_incident{} SET reminded_at = {} WHERE id IN ({})",
        dialect.by_primary(),
        dialect.now_ms(),
        id_list(&ids)
    );
    session.execute(act, Sql::Once(sql), vec![]).await?;
    entry::enter_many(session, &happenings).await?;
    Ok(happenings.len())
}

fn happening(row: &Row) -> Result<Happening, StoreError> {
    let (summary, flaps) = (row.text("summary")?, row.small("flaps")?);
    Ok(Happening {
        incident_id: row.int("id")?,
        event: Event::Reminder,
        severity: row.text("severity")?,
        summary: if flaps >= FLAPPING_FROM { format!("{summary} (it came back {flaps} times)") } else { summary },
        votes: (row.small("votes_bad")?, row.small("votes_of")?),
    })
}
