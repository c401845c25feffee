//! Ends incidents of what is gone: nobody else would look at them again.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::routing::Routing;

use crate::store::Store;
use crate::store::incidents::leftover;

/// How long it waits between two looks.
const LOOK: Duration = Duration::from_secs(30);

/// Looks again and again until the future is dropped; what was not committed by then, another watchdog finds.
pub async fn run(store: Store, routing: Arc<Routing>) {
    loop {
        tokio::time::sleep(LOOK).await;
        match leftover::end(&store, &routing.channels).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "incidents of what is gone"),
            // The other looks at incidents say aloud that the database fails.
            Err(error) => tracing::debug!(%error, "cannot look for leftover incidents"),
        }
    }
}
