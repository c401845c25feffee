//! Looks what is still open, part by part, and enters the reminders that are due. Any watchdog does; the guards of
//! [`crate::store::outbox::remind`] let one of them enter each.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::failing::Failing;
use crate::store::outbox as store;

/// Between two looks: the shortest pause of a reminder is minutes, and where so much is open that one look sees a part,
/// a look at all of it may take some, too.
const LOOK: Duration = Duration::from_secs(10);

/// The same where something was due, and more may be: couriers use the same connections.
const BREATH: Duration = Duration::from_secs(1);

pub(super) async fn run(outbox: &Outbox, shutdown: &CancellationToken) {
    let (mut reached, mut failing) = (0, Failing::default());
    loop {
        let mut pause = LOOK;
        let waits = *outbox.is_told_elsewhere.borrow();
        if !waits {
            let looked = store::remind(&outbox.store, &outbox.routing, reached).await;
            if let Some(reminded) = failing.note(looked, "cannot look for reminders") {
                reached = reminded.reached;
                if reminded.incidents > 0 {
                    pause = BREATH;
                    tracing::info!(incidents = reminded.incidents, "reminders entered");
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
