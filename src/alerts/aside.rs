//! Pauses monitors that nodes put aside, tells people, and ends the incident when somebody resumed them.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::routing::Routing;

use crate::store::{Store, StoreError, aside};

/// How long it waits between two looks. Meanwhile no node runs a monitor that was put aside.
const LOOK: Duration = Duration::from_secs(5);

/// Looks again and again until the future is dropped.
pub async fn run(store: Store, routing: Arc<Routing>) {
    let mut is_failing = false;
    loop {
        tokio::time::sleep(LOOK).await;
        match look(&store, &routing).await {
            Ok(()) => is_failing = false,
            Err(error) if is_failing => tracing::debug!(%error, "cannot look for monitors that were put aside"),
            Err(error) => {
                is_failing = true;
                tracing::warn!(%error, "cannot look for monitors that were put aside");
            }
        }
    }
}

async fn look(store: &Store, routing: &Routing) -> Result<(), StoreError> {
    let settled = aside::settle(store, routing).await?;
    if settled.paused > 0 {
        tracing::warn!(monitors = settled.paused, "monitors over which nodes were lost are paused");
    }
    Ok(())
}
