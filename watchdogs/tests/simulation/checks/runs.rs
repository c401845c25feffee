//! The runs that every test run makes.

use super::judge::Variant;
use super::world;
use crate::simulation::counts::CheckCounts;

/// Worlds of each test run.
const SEEDS: u64 = 1_500;

/// In so many worlds each broken rule must show: no more than those of each test run.
const SEEN_WITHIN: u64 = SEEDS;

#[test]
fn whatever_fails_no_check_is_down_that_most_can_reach_and_none_that_nobody_can_is_not() {
    let mut counts = CheckCounts::default();
    let mut failed = Vec::new();
    for seed in 0..(SEEDS * crate::share_of_seeds()).div_ceil(100) {
        let (found, violation) = world::run(seed, None);
        counts.add(&found);
        failed.extend(violation.map(|what| format!("{seed} {what}")));
    }
    for (words, count) in counts.all() {
        println!("{count:>12} {words}");
    }
    let never: Vec<_> = counts.all().into_iter().filter(|(_, count)| *count == 0).collect();
    let shown: Vec<_> = failed.iter().take(40).collect();
    assert!(failed.is_empty(), "{} seeds failed: {shown:#?}", failed.len());
    assert!(crate::share_of_seeds() < 100 || never.is_empty(), "never happened: {never:?}");
}

/// A broken rule is caught by one of these invariants, on a seed on which the unbroken rule holds.
fn assert_seen(variant: Variant, invariants: &[&str]) {
    let caught = (0..SEEN_WITHIN).find_map(|seed| {
        let violation = world::run(seed, Some(variant)).1?;
        let is_meant = invariants.iter().any(|name| violation.starts_with(name));
        (is_meant && world::run(seed, None).1.is_none()).then_some((seed, violation))
    });
    println!("{variant:?}: {caught:?}");
    assert!(caught.is_some(), "{variant:?} was not caught by {invariants:?}");
}

#[test]
fn votes_that_do_not_expire_are_caught() {
    assert_seen(Variant::VotesDoNotExpire, &["no_false_alarm", "majority"]);
}

#[test]
fn a_tie_that_counts_is_caught() {
    assert_seen(Variant::TieCounts, &["majority"]);
}

#[test]
fn watchdogs_cut_off_from_the_world_that_vote_are_caught() {
    assert_seen(Variant::IsolatedVote, &["no_false_alarm", "majority"]);
}

#[test]
fn one_zone_that_is_enough_is_caught() {
    assert_seen(Variant::OneZoneIsEnough, &["two_zones"]);
}

#[test]
fn own_trouble_that_counts_is_caught() {
    assert_seen(Variant::OwnTroubleVotes, &["majority"]);
}

#[test]
fn a_network_that_is_back_too_late_for_a_look_and_proves_it_is_caught() {
    assert_seen(Variant::LateProof, &["own_trouble_is_no_vote", "majority"]);
}

#[test]
fn canaries_that_answered_before_and_are_not_asked_again_are_caught() {
    assert_seen(Variant::OldCanaries, &["own_trouble_is_no_vote", "majority"]);
}

#[test]
fn one_look_that_is_enough_is_caught() {
    assert_seen(Variant::OneLookIsEnough, &["two_looks"]);
}

#[test]
fn watchdogs_that_do_not_hear_each_other_are_caught() {
    assert_seen(Variant::NobodyHears, &["no_silence"]);
}
