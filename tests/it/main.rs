//! The one integration binary: what needs a database, processes or a network.
//!
//! Tests that need MariaDB are ignored in a bare `cargo test`; `tests/run` starts one and runs them all.

mod store_contract;
mod support;
