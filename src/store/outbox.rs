//! The outbox: what people are to be told, one row per event and channel.
//!
//! Owns entering deliveries, reading what waits, claiming it and noting what came of it. What is told together, held or
//! dropped is [`komainu_watchdogs::outbox`]'s to say; any watchdog may carry it out, and the guards of the statements
//! here let one of them do so at a time.

mod claim;
pub(crate) mod entry;
mod facts;
mod outcome;
mod queue;
mod reminders;

pub use claim::{Begin, Claim, begin_sending, claim, prepare_channel};
pub use facts::{Fact, facts};
pub use outcome::{Refusal, Rescue, give_up, note_refused, note_sent};
pub use queue::{Backlog, Snapshot, backlog, change, snapshot};
pub use reminders::remind;

use std::time::Duration;

/// A claim's lease. Sending takes less than half of it.
pub const CLAIM_LASTS: Duration = Duration::from_secs(30);
