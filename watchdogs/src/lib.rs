//! The decision core of komainu: what a watchdog and a node decide, without any I/O.
//!
//! Every type here is a small machine or a pure function. Nothing in this crate opens a socket, reads a clock or draws
//! a random number; its dependency list keeps it so. The driver of a watchdog ([`watchdog::Watchdog`]) and of a node
//! ([`tenure::Tenure`]) keeps this contract:
//!
//! 1. After every `handle(..)`, drain `poll_output()` to `None`, then sleep until `poll_timeout()`.
//! 2. `now` comes in as a parameter: [`time::Mono`] for deadlines, [`time::Wall`] for display.
//! 3. A stale lease is never trusted: one's own deadline counts from *before* the request was sent; another's lease is
//!    judged by watching its counter on one's own clock.
//! 4. Every decision carries its reason as an enum; the log, the status and the message print that same value.
//! 5. Inputs may be lost, late or repeated: `handle` is idempotent; a hint only wakes, state decides.
#![warn(missing_docs)]

pub mod alarms;
pub mod assess;
pub mod beginning;
pub mod blackout;
pub mod capacity;
pub mod certificate;
pub mod check;
pub mod clocks;
pub mod decision;
pub mod dependency;
pub mod doubt;
pub mod downtime;

pub mod facts;
pub mod failover;
mod foreign;
pub mod health;
pub mod heartbeat;
pub mod ids;
pub mod incident;
pub mod io;
pub mod leader;
pub mod leadership;
pub mod opinion;
mod others;
pub mod outbox;
pub mod pace;
pub mod policy;
mod progress;
pub mod quorum;
pub mod refill;
pub mod reminder;
pub mod roster;
pub mod rota;
pub mod routing;
pub mod sampling;
pub mod shard;
mod slowness;
pub mod status;
pub mod steps;
pub mod subscription;
pub mod tail;
pub mod telling;
pub mod tenure;
pub mod time;
mod unwatched;
pub mod upkeep;
pub mod view;
pub mod watch;
pub mod watchdog;
