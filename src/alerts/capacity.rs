//! Watches how far the ids of Kuma's tables are used up: it takes weeks, so it looks seldom.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;
use tokio::sync::watch;

use crate::chores::Chores;
use crate::store::capacity::{self, Ids};
use crate::store::{Store, StoreError};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3_600);

/// After one that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// Watches until it is dropped, and publishes what it saw.
pub async fn run(store: Store, routing: Arc<Routing>, chores: Chores, seen: watch::Sender<Arc<Ids>>) {
    loop {
        let looked = look(&store, &routing, &seen).await;
        chores.note(Chore::Ids, &looked);
        tokio::time::sleep(if looked.is_ok() { LOOK } else { AGAIN }).await;
    }
}

async fn look(store: &Store, routing: &Routing, seen: &watch::Sender<Arc<Ids>>) -> Result<(), StoreError> {
    let ids = capacity::read(store).await?;
    if capacity::settle(store, &ids, routing).await? {
        tracing::warn!(?ids.ranges, "what is told of ids that are used up changed");
    }
    seen.send_replace(Arc::new(ids));
    Ok(())
}
