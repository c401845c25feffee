//! Tells of this watchdog's own certificate before it ends: whoever calls it then would not reach it.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;

use crate::chores::Chores;
use crate::clock;
use crate::store::{Store, certificates};
use crate::tls::Credentials;

/// Between two looks: a certificate that was renewed is soon no incident any more.
const LOOK: Duration = Duration::from_secs(60);

/// Looks until it is dropped.
pub async fn run(
    store: Store,
    routing: Arc<Routing>,
    chores: Chores,
    (watchdog, credentials): (WatchdogId, Arc<Credentials>),
) {
    loop {
        let ending = credentials.ends_at().filter(|_| credentials.ends_soon(clock::wall()).is_some());
        let told = certificates::settle_own(&store, &watchdog, (ending, clock::wall()), &routing).await;
        chores.note(Chore::OwnCertificate, &told);
        if let Ok(true) = told {
            tracing::warn!("what is told of the own certificate changed");
        }
        tokio::time::sleep(LOOK).await;
    }
}
