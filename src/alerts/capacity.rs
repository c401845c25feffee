//! Watches how far the ids of Kuma's tables are used up: it takes weeks, so it looks seldom.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::routing::Routing;
use tokio::sync::watch;

use crate::store::capacity::{self, Ids};
use crate::store::{Store, StoreError};

/// How long it waits between two looks.
const LOOK: Duration = Duration::from_secs(3_600);

/// How long it waits after a look that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// Looks again and again until the future is dropped, and publishes what it saw.
pub async fn run(store: Store, routing: Arc<Routing>, seen: watch::Sender<Arc<Ids>>) {
    loop {
        let pause = match look(&store, &routing, &seen).await {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::warn!(%error, "cannot look how far ids are used up");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
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
