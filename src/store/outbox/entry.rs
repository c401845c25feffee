//! Entering events with their deliveries, and cancelling those that nobody has begun to send.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::outbox::{Entered, Event, Standing};
use komainu_watchdogs::routing::Planned;

use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};

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
    let event_id = enter_event(session, happening).await?;
    let deliveries: Vec<_> = waits.iter().map(|wait| (event_id, happening.incident_id, wait)).collect();
    enter_deliveries(session, &deliveries).await
}

/// Enters an event that nobody waits for; says its key.
pub(crate) async fn enter_event(session: &mut Session, happening: &Happening) -> Result<i64, StoreError> {
    let now = session.dialect().now_ms();
    let sql = format!("{INSERT_EVENT} (?, ?, ?, ?, ?, ?, {now})");
    session.insert("enter an event", sql, event_values(happening)).await
}

const INSERT_EVENT: &str =
    "INSERT INTO komainu_event (incident_id, kind, severity, summary, votes_bad, votes_of, at) VALUES";

fn event_values(happening: &Happening) -> Vec<Value> {
    let Happening { incident_id, event, severity, summary, votes } = happening;
    values![*incident_id, event.as_str(), severity, summary, votes.0, votes.1]
}

/// Enters many events, at most one of each incident, with their deliveries, in three statements. The caller has locked
/// the incidents.
pub(crate) async fn enter_many(
    session: &mut Session,
    happenings: &[(Happening, BTreeMap<String, Duration>)],
) -> Result<(), StoreError> {
    let act = "enter events";
    if happenings.is_empty() {
        return Ok(());
    }
    let now = session.dialect().now_ms();
    let row = format!("(?, ?, ?, ?, ?, ?, {now})");
    let sql = format!("{INSERT_EVENT} {}", vec![row; happenings.len()].join(", "));
    let values = happenings.iter().flat_map(|(happening, _)| event_values(happening)).collect();
    session.execute(act, Sql::Once(sql), values).await?;
    let incidents: Vec<i64> = happenings.iter().map(|(happening, _)| happening.incident_id).collect();
    let sql = format!(
        "SELECT incident_id, MAX(id) AS id FROM komainu_event WHERE incident_id IN ({}) GROUP BY incident_id",
        id_list(&incidents)
    );
    let rows = session.rows(act, Sql::Once(sql), vec![]).await?;
    let events = rows.iter().map(|row| Ok((row.int("incident_id")?, row.int("id")?)));
    let events = events.collect::<Result<BTreeMap<i64, i64>, StoreError>>()?;
    let mut deliveries = vec![];
    for (happening, waits) in happenings {
        if let Some(event) = events.get(&happening.incident_id) {
            deliveries.extend(waits.iter().map(|wait| (*event, happening.incident_id, wait)));
        }
    }
    // Each binds five values.
    for part in deliveries.chunks(1_000) {
        enter_deliveries(session, part).await?;
    }
    Ok(())
}

/// Event, incident, and a channel with its wait, each.
async fn enter_deliveries(
    session: &mut Session,
    deliveries: &[(i64, i64, (&String, &Duration))],
) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let now = session.dialect().now_ms();
    let rows = vec![format!("(?, ?, ?, 'waiting', ?, {now} + ?, {now})"); deliveries.len()].join(", ");
    let sql = format!(
        "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, created_at) \
         VALUES {rows}"
    );
    let sql = if deliveries.len() < 10 { Sql::Fixed(sql) } else { Sql::Once(sql) };
    let values = deliveries.iter().flat_map(|(event, incident, (channel, wait))| {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        values![*event, *incident, *channel, wait, wait]
    });
    let values = values.collect();
    session.execute("enter the deliveries", sql, values).await.map(|_| ())
}

/// What was entered for this incident so far, locked: nobody begins to send any of it meanwhile.
pub(crate) async fn of_incident(session: &mut Session, incident_id: i64) -> Result<Vec<Entered>, StoreError> {
    Ok(of_incidents(session, &[incident_id]).await?.remove(&incident_id).unwrap_or_default())
}

/// The same of many, by incident.
pub(crate) async fn of_incidents(
    session: &mut Session,
    incidents: &[i64],
) -> Result<BTreeMap<i64, Vec<Entered>>, StoreError> {
    let act = "read the deliveries of incidents";
    let (dialect, incidents) = (session.dialect(), id_list(incidents));
    let sql = format!(
        "SELECT id FROM komainu_delivery WHERE incident_id IN ({incidents}) ORDER BY id{}",
        dialect.for_update()
    );
    session.rows(act, Sql::Once(sql), vec![]).await?;
    let sql = format!(
        "SELECT d.id, d.incident_id, d.event_id, d.channel, d.state, d.group_wait_ms, d.sending_at, d.unanswered, e.kind, \
         CASE WHEN d.claimed_until > {} THEN 1 ELSE 0 END AS is_claimed \
         FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id WHERE d.incident_id IN ({incidents}) \
         ORDER BY d.id",
        dialect.now_ms()
    );
    let mut found: BTreeMap<i64, Vec<Entered>> = BTreeMap::new();
    for row in session.rows(act, Sql::Once(sql), vec![]).await? {
        found.entry(row.int("incident_id")?).or_default().push(entered(&row)?);
    }
    Ok(found)
}

fn entered(row: &Row) -> Result<Entered, StoreError> {
    // What is begun anew, in other company, or was overtaken meanwhile may have arrived before.
    let may_have_arrived = row.small("unanswered")? > 0;
    let is_begun = may_have_arrived || row.flag("is_claimed")? || row.maybe_wall("sending_at")?.is_some();
    let standing = match row.text("state")?.as_str() {
        "waiting" if is_begun => Standing::Begun,
        "waiting" => Standing::Untold,
        "held" => Standing::Held,
        "sent" => Standing::Told,
        "cancelled" if may_have_arrived => Standing::Unsure,
        _ => Standing::Dropped,
    };
    Ok(Entered {
        delivery: row.int("id")?,
        channel: row.text("channel")?,
        event_key: row.int("event_id")?,
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
