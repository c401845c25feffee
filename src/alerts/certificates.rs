//! Watches the certificates that monitors saw, part by part: they expire over days.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;

use crate::chores::Chores;
use crate::store::{Store, StoreError, certificates};

/// Between two parts.
const LOOK: Duration = Duration::from_secs(5);

/// Monitors of one part: 4,000 are gone through within a minute and a half.
const PART: u32 = 250;

/// Watches until it is dropped: what was not committed by then is found by the others.
pub async fn run(store: Store, routing: Arc<Routing>, chores: Chores) {
    let mut reached = (MonitorId(0), String::new());
    loop {
        let looked = look(&store, &routing, &reached).await;
        chores.note(Chore::Certificates, &looked);
        reached = looked.unwrap_or(reached);
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
