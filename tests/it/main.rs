//! The one integration binary: what needs a database, processes or a network.
//!
//! Tests that need MariaDB are ignored in a bare `cargo test`; `tests/run` sees to it that there is one and runs them all.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod store_contract;
mod stories;
mod support;
