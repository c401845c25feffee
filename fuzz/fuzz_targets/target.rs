//! The target of `komainu::hostile` that this binary is named after.
#![no_main]

use std::sync::LazyLock;

use komainu::hostile::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let own = TARGETS.iter().find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    own.expect("a binary is named after a target").1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
