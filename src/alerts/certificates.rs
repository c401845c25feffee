//! Watches the certificates that monitors saw, part by part: they expire over days.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::routing::Routing;

use crate::failing::Failing;
use crate::store::{Store, StoreError, certificates};

/// How long it waits between two parts.
const LOOK: Duration = Duration::from_secs(5);

/// How many monitors one part has: 4,000 are gone through within a minute and a half.
const PART: u32 = 250;

/// Looks again and again until the future is dropped; what was not committed by then, another watchdog finds.
pub async fn run(store: Store, routing: Arc<Routing>) {
    let mut reached = (MonitorId(0), String::new());
    let mut failing = Failing::default();
    loop {
        let looked = look(&store, &routing, &reached).await;
        reached = failing.note(looked, "cannot look at certificates").unwrap_or(reached);
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks at the next part of all monitors and of what is open; says where the parts after them begin.
async fn look(
    store: &Store,
    routing: &Routing,
    (after, after_open): &(MonitorId, String),
) -> Result<(MonitorId, String), StoreError> {
    let (mut monitors, reached) = certificates::next(store, *after, PART).await?;
    let (open, reached_open) = certificates::open(store, after_open, PART).await?;
    monitors.extend(open);
    monitors.sort();
    monitors.dedup();
    let (opened, resolved) = certificates::settle(store, &monitors, routing).await?;
    if opened + resolved > 0 {
        tracing::info!(opened, resolved, "incidents of certificates");
    }
    Ok((reached, reached_open))
}
