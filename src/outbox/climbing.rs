//! Looks which ladders are to be climbed, and enters the steps that are due. Any watchdog does; the guards of
//! [`crate::store::outbox::climb`] let one of them enter each.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::failing::Failing;
use crate::store::outbox as store;

/// Between two looks: a step is entered within this, and a courier is woken within a second more.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn run(outbox: &Outbox, shutdown: &CancellationToken) {
    if outbox.on_call.ladders.is_empty() {
        return;
    }
    let mut failing = Failing::default();
    loop {
        let waits = *outbox.is_told_elsewhere.borrow();
        if !waits {
            let looked = store::climb(&outbox.store, &outbox.routing, &outbox.on_call).await;
            if let Some(steps) = failing.note(looked, "cannot look which ladders are to be climbed")
                && steps > 0
            {
                tracing::info!(steps, "nobody took care of it: others are told");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
