//! N watchdogs and K nodes, a model database and a bad network, in a simulated world: whatever happens, the invariants of
//! the design hold, and everything settles after healing.
//!
//! The watchdogs and nodes are the real ones ([`komainu_watchdogs::watchdog::Watchdog`] and
//! [`komainu_watchdogs::tenure::Tenure`]); everything around them is here, and deterministic: a failing seed fails
//! again. Keep it in `simulation/kept_seeds.txt`.
#![expect(clippy::unwrap_used, reason = "a broken simulation must stop")]
#![expect(clippy::indexing_slicing, reason = "processes, nodes and monitors are numbered")]
#![expect(clippy::print_stdout, reason = "the counts are for people to read")]

mod simulation {
    pub(crate) mod chaos;
    pub(crate) mod counts;
    pub(crate) mod decisions;
    pub(crate) mod dog;
    pub(crate) mod events;
    pub(crate) mod healing;
    pub(crate) mod invariants;
    pub(crate) mod leases;
    pub(crate) mod ledger;
    pub(crate) mod model_store;
    pub(crate) mod network;
    pub(crate) mod node;
    pub(crate) mod operator;
    pub(crate) mod prng;
    pub(crate) mod variants;
    pub(crate) mod world;
}

use std::thread;

use simulation::counts::Counts;
use simulation::world::{Outcome, run};

/// Seeds of each test run.
const SEEDS: u64 = 200;

/// Runs with fewer steps would show little.
const LEAST_STEPS: u64 = 500;

/// One thread per core of the smallest machine this runs on.
const THREADS: u64 = 2;

/// Seeds that failed once.
fn kept_seeds() -> Vec<u64> {
    let text = include_str!("simulation/kept_seeds.txt");
    text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

#[test]
fn whatever_happens_the_invariants_hold_and_everything_settles_after_healing() {
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    for seed in kept_seeds() {
        note(seed, &run(seed, None), &mut counts, &mut failed);
    }
    let workers = (0..THREADS).map(|first| thread::spawn(move || run_share(first)));
    for worker in workers.collect::<Vec<_>>() {
        let (share, failures) = worker.join().unwrap();
        counts.add(&share);
        failed.extend(failures);
    }
    let never: Vec<_> = counts.all().into_iter().filter(|(_, count)| *count == 0).collect();
    for (words, count) in counts.all() {
        println!("{count:>12} {words}");
    }
    let shown: Vec<_> = failed.iter().take(40).collect();
    assert!(failed.is_empty(), "{} seeds failed; keep them in kept_seeds.txt: {shown:#?}", failed.len());
    assert!(never.is_empty(), "never happened: {never:?}");
}

fn run_share(first: u64) -> (Counts, Vec<String>) {
    let (mut counts, mut failed) = (Counts::default(), Vec::new());
    for seed in (first..SEEDS).step_by(usize::try_from(THREADS).unwrap()) {
        note(seed, &run(seed, None), &mut counts, &mut failed);
    }
    (counts, failed)
}

fn note(seed: u64, outcome: &Outcome, counts: &mut Counts, failed: &mut Vec<String>) {
    counts.add(&outcome.counts);
    match &outcome.violation {
        Some(violation) => failed.push(format!("{seed} at {} us: {}", violation.at, violation.what)),
        None if outcome.counts.steps < LEAST_STEPS => {
            failed.push(format!("{seed} took {} steps", outcome.counts.steps))
        }
        None => {}
    }
}
