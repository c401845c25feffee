//! komainu: watchdogs for clusters of Uptime Kuma. The whole application boots in-process from this crate.

pub mod alerts;
pub mod answers;
pub mod api;
mod asset;
pub mod blackout;
mod byte_order_mark;
pub mod channels;
pub mod check;
pub mod chores;
pub mod cli;
pub mod clock;
pub mod config;
mod dashboard;
pub mod deadman;
pub mod driver;
mod duration;
mod failing;
mod final_slash;
pub mod heartbeat;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod keys;
pub mod lifecycle;
pub mod looks;
pub mod lost_tail;
pub mod monitor;
pub mod node;
pub mod oncall;
pub mod opinion;
pub mod outbox;
pub mod pages;
pub mod probe;
mod rate_limit;
pub mod run;
mod sealed;
pub mod sender;
pub mod server_watch;
pub mod signature;
pub mod silence;
pub mod state_dir;
pub mod steps;
pub mod store;
pub mod subscriptions;
pub mod surface;
pub mod tls;
pub mod voice;

/// The tests' own, here as in `tests/it`.
#[cfg(test)]
#[path = "../tests/it/cluster/ports.rs"]
mod ports;
