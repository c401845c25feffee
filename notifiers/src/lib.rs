//! How komainu tells people: the words of a message, and the channels that carry it.
//!
//! Owns what a message looks like on each channel and how each vendor is spoken to. Does not decide what is wrong (that
//! is the decision core's), nor who is told, when, or how often: the outbox does.
//!
//! A new channel takes four steps: a file with `Config`, pure `payload()` and `send()`, in that order; golden payloads
//! and a local server that answers as the vendor documents, below `tests/`; a variant in [`Settings`]; a section in
//! the configuration of `komainu`.
#![warn(missing_docs)]

pub mod channel;
pub mod error;
mod http;
pub mod kind;
pub mod mail;
pub mod notice;
pub mod pushbullet;
pub mod secret;
pub mod slack;
pub mod template;
pub mod webhook;
mod words;

pub use channel::{Channel, ChannelError, Settings};
pub use error::{DeliveryError, with_causes};
pub use kind::Kind;
pub use notice::{Answer, Doubt, EventKind, Item, Lateness, Notice, Severity};
pub use secret::Secret;

/// What a vendor said to a message it took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// What a later message of the same incident needs to refer to this one (Slack: channel and timestamp).
    pub vendor_ref: Option<String>,
    /// The vendor's own answer, for `komainu notify test`.
    pub answer: String,
    /// Readers of the channel who were refused, where it has several: the message is theirs still.
    pub missed: Vec<Missed>,
    /// Where somebody was missed: who has it, those of [`Notice::told_to`] included.
    pub reached: Vec<String>,
}

/// A reader whom the vendor did not take, beside others whom it took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missed {
    /// A mail address.
    pub reader: String,
    /// Whether it may be taken later.
    pub error: DeliveryError,
}
