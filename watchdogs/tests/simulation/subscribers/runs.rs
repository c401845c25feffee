//! Runs of many seeds, and each rule broken once.

use super::world::{SEEDS, Variant, run};
use crate::share_of_seeds;

#[test]
fn whoever_lives_hears_everything_and_alerts_go_first_whatever_the_mail_server_does_and_whoever_is_killed() {
    let mut counts = [0; 6];
    for seed in 0..SEEDS * share_of_seeds() / 100 {
        let found = run(seed, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let all = [found.letters, found.refusals, found.repeated, found.kills, found.rests, found.ended];
        for (count, more) in counts.iter_mut().zip(all) {
            *count += more;
        }
    }
    let [letters, refusals, repeated, kills, rests, ended] = counts;
    println!(
        "subscribers: {letters} letters, {refusals} refusals, {repeated} repeated, {kills} kills, {rests} rests for alerts, {ended} ended"
    );
    assert!(counts.iter().all(|count| *count > 0), "each of them is to be seen");
}

fn assert_caught(broken: Variant, words: &str) {
    let found = (0..SEEDS).find_map(|seed| run(seed, Some(broken)).err().filter(|error| error.contains(words)));
    assert!(found.is_some(), "{broken:?} is not caught: {words}");
}

#[test]
fn refusals_of_a_server_that_refuses_everybody_and_are_believed_are_caught() {
    assert_caught(Variant::RefusalsBelieved, "lives and was given up because of Refused");
}

#[test]
fn a_dead_address_that_is_never_believed_to_be_one_is_caught() {
    assert_caught(Variant::NeverBelieved, "knocked at for ever");
}

#[test]
fn letters_that_do_not_wait_for_alerts_are_caught() {
    assert_caught(Variant::AlertsOvertaken, "overtook alerts");
}

#[test]
fn a_letter_in_doubt_that_is_repeated_without_a_word_is_caught() {
    assert_caught(Variant::DoubtForgotten, "did not say so");
}
