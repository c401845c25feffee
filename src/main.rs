//! The `komainu` program.

fn main() {}
