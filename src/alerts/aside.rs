//! Pauses monitors that nodes put aside, tells people, and ends the incident when somebody resumed them.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;

use crate::chores::Chores;
use crate::store::{Store, StoreError, aside};

/// Between two looks: no node runs such a monitor meanwhile.
const LOOK: Duration = Duration::from_secs(5);

/// Looks until it is dropped.
pub async fn run(store: Store, routing: Arc<Routing>, chores: Chores) {
    loop {
        chores.note(Chore::Aside, &look(&store, &routing).await);
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(store: &Store, routing: &Routing) -> Result<(), StoreError> {
    let settled = aside::settle(store, routing).await?;
    if settled.paused > 0 {
        tracing::warn!(monitors = settled.paused, "monitors over which nodes were lost are paused");
    }
    if settled.taken_back > 0 {
        tracing::warn!(
            monitors = settled.taken_back,
            "monitors are resumed: the node over which they were paused lives"
        );
    }
    Ok(())
}
