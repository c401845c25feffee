//! Runs of many seeds, and each rule broken once.

use super::world::{Variant, World};
use crate::share_of_seeds;

const SEEDS: u64 = 2_000;
const SECONDS: i64 = 900;

fn run(seed: u64, broken: Option<Variant>) -> (World, Result<(), String>) {
    let mut world = World::new(seed, broken);
    let held = world.run(SECONDS);
    (world, held)
}

#[test]
fn second_opinions_delay_nothing_without_bound_and_page_nobody_without_a_majority() {
    let (mut answers, mut disputes, mut pages, mut late) = (0, 0, 0, 0);
    for seed in 0..SEEDS * share_of_seeds() / 100 {
        let (world, held) = run(seed, None);
        assert_eq!(held, Ok(()), "seed {seed} at {} ms", world.now);
        answers += world.judge.answers;
        disputes += world.judge.disputes;
        pages += world.judge.pages;
        late += world.judge.late;
    }
    println!(
        "second opinions: {answers} answers, {disputes} disagreements, {pages} pages, {late} of them without an answer in time"
    );
    assert!([answers, disputes, pages, late].iter().all(|count| *count > 0), "each of them is to be seen");
}

fn assert_caught(broken: Variant, words: &str) {
    let found = (0..SEEDS).find_map(|seed| run(seed, Some(broken)).1.err().filter(|error| error.contains(words)));
    assert!(found.is_some(), "{broken:?} is not caught: {words}");
}

#[test]
fn a_message_that_waits_for_ever_is_caught() {
    assert_caught(Variant::WaitsForEver, "nobody is told");
}

#[test]
fn an_answer_about_an_earlier_change_that_counts_is_caught() {
    assert_caught(Variant::OldAnswersCount, "said of another change");
}

#[test]
fn a_tie_that_pages_is_caught() {
    assert_caught(Variant::TieCounts, "no majority confirmed");
}

#[test]
fn a_contradiction_that_nobody_looks_at_again_is_caught() {
    assert_caught(Variant::NeverLooksAgain, "nobody is paged");
}

#[test]
fn a_question_that_stays_with_who_was_killed_is_caught() {
    assert_caught(Variant::ClaimsStand, "still disputed");
}
