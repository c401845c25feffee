//! Criticals that their channel has not taken in time: others are told too.

use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::attempt::CRITICAL_WITHIN;
use komainu_watchdogs::routing::{Routing, Subject};

use super::outcome::tell_instead;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::incidents::opening::open_on;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, values};

/// As many as are told elsewhere at a time.
const MOST: u32 = 1_000;

/// A critical that waits for too long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overdue {
    /// The key of the delivery's row.
    pub delivery: i64,
    /// The channel that did not take it.
    pub channel: String,
    /// Why, as far as is known.
    pub error: Option<String>,
}

/// Criticals that have waited since they were due, and on this channel, for longer than they may. Ends are not urgent, nor is
/// that somebody takes care of it.
pub async fn overdue(store: &Store) -> Result<Vec<Overdue>, StoreError> {
    let act = "look for criticals that wait too long";
    let before = format!("{} - {}", store.dialect().now_ms(), CRITICAL_WITHIN.as_millis());
    let sql = format!(
        "SELECT d.id, d.channel, d.last_error FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
         WHERE d.state = 'waiting' AND d.elsewhere_at IS NULL AND d.due_at < {before} AND d.created_at < {before} \
         AND e.severity = ? AND e.kind NOT IN ('ack', 'resolved') ORDER BY d.due_at LIMIT {MOST}"
    );
    let rows = store.lease(act).await?.rows(act, sql, values![Severity::Critical.as_str()]).await?;
    let overdue = |row: &Row| {
        Ok(Overdue { delivery: row.int("id")?, channel: row.text("channel")?, error: row.maybe_text("last_error")? })
    };
    rows.iter().map(overdue).collect()
}

/// Tells them through these channels too, and opens the incident of theirs; says how many there were. They go on waiting
/// for their own. `deliveries`: of one channel.
pub async fn tell_elsewhere(
    store: &Store,
    deliveries: &[i64],
    instead: &[String],
    incident: &(Alarm, Subject),
    routing: &Routing,
) -> Result<u64, StoreError> {
    in_transaction!(store, "tell criticals elsewhere", |session| {
        elsewhere_on(session, (deliveries, instead), incident, routing).await
    })
}

async fn elsewhere_on(
    session: &mut Session,
    (deliveries, instead): (&[i64], &[String]),
    (alarm, subject): &(Alarm, Subject),
    routing: &Routing,
) -> Result<u64, StoreError> {
    let deliveries = id_list(deliveries);
    let sql = format!(
        "UPDATE komainu_delivery{} SET elsewhere_at = {} WHERE id IN ({deliveries}) AND state = 'waiting' \
         AND elsewhere_at IS NULL",
        session.dialect().by_primary(),
        session.dialect().now_ms()
    );
    let noted = session.execute("note what is told elsewhere", Sql::Once(sql), vec![]).await?;
    if noted > 0 {
        tell_instead(session, &deliveries, instead).await?;
        open_on(session, alarm, subject, routing).await?;
    }
    Ok(noted)
}
