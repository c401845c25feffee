//! komainu: watchdogs for clusters of Uptime Kuma. The whole application boots in-process from this crate.

pub mod clock;
pub mod keys;
pub mod node;
pub mod signature;
pub mod store;
