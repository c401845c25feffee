//! Looks what is still open, part by part, and enters the reminders that are due. Any watchdog does; the guards of
//! [`crate::store::outbox::remind`] let one of them enter each.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::store::outbox as store;

/// Between two looks: the shortest pause of a reminder is minutes, and where so much is open that one look sees a part,
/// a look at all of it may take some, too.
const LOOK: Duration = Duration::from_secs(10);

/// The same where something was due, and more may be: couriers use the same connections.
const BREATH: Duration = Duration::from_secs(1);

pub(super) async fn run(outbox: &Outbox, shutdown: &CancellationToken) {
    let (mut reached, mut is_failing) = (0, false);
    loop {
        let mut pause = LOOK;
        let waits = *outbox.is_told_elsewhere.borrow();
        if !waits {
            match store::remind(&outbox.store, &outbox.routing, reached).await {
                Ok(reminded) => {
                    (reached, is_failing) = (reminded.reached, false);
                    if reminded.incidents > 0 {
                        pause = BREATH;
                        tracing::info!(incidents = reminded.incidents, "reminders entered");
                    }
                }
                Err(error) if is_failing => tracing::debug!(%error, "cannot look for reminders"),
                Err(error) => {
                    is_failing = true;
                    tracing::warn!(%error, "cannot look for reminders");
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
