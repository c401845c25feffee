//! Each seed and mutations of it, the same each time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{TARGETS, Target};
use crate::clock;

/// Of each seed: all targets together take seconds.
const MUTANTS: usize = 400;

/// Longer than any text of ours, and short enough for many.
const LONGEST: usize = 64 * 1024;

/// What parsers stumble over.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\"",
    b"\\",
    b"[",
    b"{",
    b"}",
    b"]",
    b",",
    b":",
    b"\n",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"1e400",
    b"-0",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"null",
    b"* ",
    b"*/0",
    b"&a ",
    b"*a",
    b"<<: ",
    b"\xf0\x9f\x92\xa5",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn mutated(random: &mut StdRng, seeds: &[Vec<u8>], seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        let until = (at + random.random_range(1..=16)).min(bytes.len());
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let part = bytes[at..until].repeat(random.random_range(1..4_000));
                bytes.splice(at..at, part);
            }
            3 => drop(bytes.splice(at..at, TOKENS[random.random_range(0..TOKENS.len())].iter().copied())),
            4 => drop(bytes.splice(at..until, TOKENS[random.random_range(0..TOKENS.len())].iter().copied())),
            _ => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len());
                bytes.splice(at..at, other[from..].iter().copied());
            }
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

fn stands(name: &str, target: Target, bytes: &[u8]) {
    let began_at = clock::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    let shown = bytes[..bytes.len().min(2_000)].escape_ascii();
    assert!(outcome.is_ok(), "{name} fell over {} bytes: {shown}", bytes.len());
    let took = clock::now().since(began_at);
    assert!(took < Duration::from_secs(10), "{name} took {took:?} for {} bytes: {shown}", bytes.len());
}

#[test]
fn no_reader_falls_over_what_strangers_send_or_what_becomes_of_it() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has seeds");
        let mut random = StdRng::seed_from_u64(12);
        for seed in &seeds {
            stands(name, target, seed);
            for _ in 0..MUTANTS {
                stands(name, target, &mutated(&mut random, &seeds, seed));
            }
        }
        stands(name, target, &random.random::<[u8; 32]>());
    }
}

#[test]
fn every_target_is_a_binary_of_the_fuzzer() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
