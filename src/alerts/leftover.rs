//! Ends incidents of what is gone: nobody else would look at them again.

use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;

use crate::chores::Chores;
use crate::store::Store;
use crate::store::incidents::leftover;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(30);

/// Looks until it is dropped: what was not committed by then is found by the others.
pub async fn run(store: Store, routing: Arc<Routing>, chores: Chores) {
    loop {
        tokio::time::sleep(LOOK).await;
        let ended = leftover::end(&store, &routing.channels).await;
        chores.note(Chore::Leftovers, &ended);
        if let Ok(ended @ 1..) = ended {
            tracing::info!(ended, "incidents of what is gone");
        }
    }
}
