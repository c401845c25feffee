//! The one integration binary: what needs a database, processes or a network.
//!
//! Tests that need MariaDB are ignored in a bare `cargo test`; `tests/run` sees to it that there is one and runs them all.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails, and says so at the line that is wrong"
)]

mod alertmanager;
mod amtool;
mod channels;
mod cluster;
mod commands;
mod containers;
mod contract;
mod dashboard;
mod galera;
mod gateway;
mod page_readers;
mod replicas;
mod senders;
mod servers;
mod stack;
mod store_contract;
mod stories;
mod support;
