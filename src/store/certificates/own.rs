//! The incident of a watchdog's own certificate.

use std::time::Duration;

use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use crate::store::capacity::date;
use crate::store::error::StoreError;
use crate::store::incidents::opening::{open_on, resolve_on};
use crate::store::pool::{Store, in_transaction};
use crate::store::value::values;

const ACT: &str = "settle the incident of the own certificate";

/// Then it is no longer a thing for next week.
const CRITICAL: Duration = Duration::from_secs(3 * 24 * 3_600);

/// Its key begins so, that no monitor's does; the watchdog's name follows.
pub(in crate::store) const PREFIX: &str = "certificate/watchdog-";

/// Opens the incident of a certificate that ends then, or ends it where none does soon. Says whether people are told
/// something new.
pub async fn settle(
    store: &Store,
    watchdog: &WatchdogId,
    (ending, now): (Option<Wall>, Wall),
    routing: &Routing,
) -> Result<bool, StoreError> {
    let key = format!("{PREFIX}{watchdog}");
    let Some(end) = ending else { return close(store, &key, watchdog).await };
    let left = u64::try_from(end.0.saturating_sub(now.0)).map_or(Duration::ZERO, Duration::from_millis);
    let severity = if left <= CRITICAL { Severity::Critical } else { Severity::Warning };
    let verb = if left.is_zero() { "ended" } else { "ends" };
    // The day rather than what is left: a summary that changes daily would be told daily.
    let summary = format!("the certificate of watchdog {watchdog} {verb} on {}", date(end));
    let alarm = Alarm { key, severity, summary, votes: (0, 0) };
    let opened =
        in_transaction!(store, ACT, |session| { open_on(session, &alarm, &Subject::of(&alarm), routing).await })?;
    Ok(opened.is_news)
}

async fn close(store: &Store, key: &str, watchdog: &WatchdogId) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM komainu_incident WHERE resolved_at IS NULL AND k = ?";
    let Some(row) = store.lease(ACT).await?.row(ACT, sql, values![key]).await? else { return Ok(false) };
    let (id, summary) = (row.int("id")?, format!("the certificate of watchdog {watchdog} was renewed"));
    in_transaction!(store, ACT, |session| resolve_on(session, id, &summary).await)
}
