//! Entering events with their deliveries, and cancelling those that nobody has begun to send.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::outbox::{Entered, Event, Standing};
use komainu_watchdogs::routing::Planned;

use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, values};

/// Something that happened to an incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Happening {
    pub(crate) incident_id: i64,
    pub(crate) event: Event,
    pub(crate) severity: String,
    pub(crate) summary: String,
    pub(crate) votes: (u32, u32),
}

impl Happening {
    pub(crate) fn of(incident_id: i64, event: Event, alarm: &Alarm) -> Self {
        let severity = alarm.severity.as_str().to_owned();
        Self { incident_id, event, severity, summary: alarm.summary.clone(), votes: alarm.votes }
    }
}

/// Enters an event and a delivery for each planned channel.
pub(crate) async fn enter(session: &mut Session, happening: &Happening, planned: &[Planned]) -> Result<(), StoreError> {
    let waits = planned.iter().map(|planned| (planned.channel.clone(), planned.group_wait)).collect();
    enter_after(session, happening, &waits).await
}

/// Enters an event and a delivery for each of these channels, due after its wait.
pub(crate) async fn enter_after(
    session: &mut Session,
    happening: &Happening,
    waits: &BTreeMap<String, Duration>,
) -> Result<(), StoreError> {
    let now = session.dialect().now_ms();
    let sql = format!(
        "INSERT INTO komainu_event (incident_id, kind, severity, summary, votes_bad, votes_of, at) \
         VALUES (?, ?, ?, ?, ?, ?, {now})"
    );
    let Happening { incident_id, event, severity, summary, votes } = happening;
    let values = values![*incident_id, event.as_str(), severity, summary, votes.0, votes.1];
    let event_id = session.insert("enter an event", sql, values).await?;
    if waits.is_empty() {
        return Ok(());
    }
    let rows = vec![format!("(?, ?, ?, 'waiting', ?, {now} + ?, {now})"); waits.len()].join(", ");
    let sql = format!(
        "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, created_at) \
         VALUES {rows}"
    );
    let values = waits.iter().flat_map(|(channel, wait)| {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        values![event_id, *incident_id, channel, wait, wait]
    });
    let values = values.collect();
    session.execute("enter the deliveries", sql, values).await.map(|_| ())
}

/// What was entered for this incident so far, locked: nobody begins to send any of it meanwhile.
pub(crate) async fn of_incident(session: &mut Session, incident_id: i64) -> Result<Vec<Entered>, StoreError> {
    let act = "read the deliveries of an incident";
    let sql =
        format!("SELECT id FROM komainu_delivery WHERE incident_id = ? ORDER BY id{}", session.dialect().for_update());
    session.rows(act, sql, values![incident_id]).await?;
    let sql = format!(
        "SELECT d.id, d.channel, d.state, d.group_wait_ms, d.sending_at, e.kind, \
         CASE WHEN d.claimed_until > {} THEN 1 ELSE 0 END AS is_claimed \
         FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id WHERE d.incident_id = ? ORDER BY d.id",
        session.dialect().now_ms()
    );
    session.rows(act, sql, values![incident_id]).await?.iter().map(entered).collect()
}

fn entered(row: &Row) -> Result<Entered, StoreError> {
    let is_begun = row.flag("is_claimed")? || row.maybe_wall("sending_at")?.is_some();
    let standing = match row.text("state")?.as_str() {
        "waiting" if is_begun => Standing::Begun,
        "waiting" => Standing::Untold,
        "held" => Standing::Held,
        "sent" => Standing::Told,
        _ => Standing::Dropped,
    };
    Ok(Entered {
        delivery: row.int("id")?,
        channel: row.text("channel")?,
        // What a newer komainu tells is taken for an opening: its end is told too.
        event: Event::parse(&row.text("kind")?).unwrap_or(Event::Opened),
        standing,
        group_wait: Duration::from_millis(row.count("group_wait_ms")?),
    })
}

/// Cancels deliveries that the caller has locked.
pub(crate) async fn cancel(session: &mut Session, deliveries: &[i64]) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let sql = format!("UPDATE komainu_delivery SET state = 'cancelled' WHERE id IN ({})", id_list(deliveries));
    session.execute("cancel deliveries", Sql::Once(sql), vec![]).await.map(|_| ())
}
