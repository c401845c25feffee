//! The outbox: what people are to be told, one row per event and channel.
//!
//! Owns entering deliveries, claiming them and noting what came of them. What is told together, held or dropped is
//! [`komainu_watchdogs::outbox`]'s to say.

pub(crate) mod entry;
