//! The outbox: what people are to be told, one row per event and channel.
//!
//! Owns entering deliveries, reading what waits, claiming it and noting what came of it. What is told together, held or
//! dropped is [`komainu_watchdogs::outbox`]'s to say; any watchdog may carry it out, and the guards of the statements
//! here let one of them do so at a time.

mod channels;
mod claim;
mod climbs;
pub(crate) mod entry;
mod explaining;
mod facts;
mod naming;
pub mod notes;
mod outcome;
mod overdue;
mod queue;
pub(super) mod reminders;
mod telling;

pub use channels::{ChannelState, channels};
pub use claim::{Begin, Claim, begin_sending, claim, prepare_channel, renew};
pub use climbs::climb;
pub use facts::{Fact, facts};
pub(crate) use naming::names;
pub(crate) use outcome::channel_key;
pub use outcome::{
    Accepted, Half, Partly, Refusal, Rescue, abandon, give_up, halve, note_partly, note_refused, note_sent,
    note_taken_back,
};
pub use overdue::{Overdue, overdue, tell_elsewhere};
pub use queue::{Backlog, Snapshot, backlog, change, pressing, slot, snapshot, take_turn};
pub use reminders::{Reminded, remind};
pub use telling::{note_tried, telling};

use std::time::Duration;

/// A claim's lease. Sending takes less than half of it, or keeps it alive.
pub const CLAIM_LASTS: Duration = Duration::from_secs(30);
