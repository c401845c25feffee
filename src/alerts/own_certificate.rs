//! Tells of this watchdog's own certificate before it ends: whoever calls it then would not reach it.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::routing::Routing;

use crate::clock;
use crate::store::{Store, certificates};
use crate::tls::Credentials;

/// How long it waits between two looks, so that the incident of a renewed certificate soon ends.
const LOOK: Duration = Duration::from_secs(60);

/// Looks again and again until the future is dropped.
pub async fn run(store: Store, routing: Arc<Routing>, (watchdog, credentials): (WatchdogId, Arc<Credentials>)) {
    loop {
        let ending = credentials.ends_at().filter(|_| credentials.ends_soon(clock::wall()).is_some());
        match certificates::settle_own(&store, &watchdog, (ending, clock::wall()), &routing).await {
            Ok(false) => {}
            Ok(true) => tracing::warn!("what is told of the own certificate changed"),
            // The other looks at incidents say aloud that the database fails.
            Err(error) => tracing::debug!(%error, "cannot tell of the own certificate"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
