//! Rows can be written and nothing can be judged: told like a dead database, and left to the tables where they serve.

use std::time::Duration;

use komainu_watchdogs::blackout::{Doubt, Trouble};
use komainu_watchdogs::incident::CALM;

use super::dark::Dark;

#[test]
fn that_nobody_can_judge_is_told_like_a_dead_database_and_entered_while_it_lasts() {
    let mut dark = Dark::watched_by(3);
    dark.all_dogs(|dog| dog.can_judge = false);
    dark.run(60);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
    assert_eq!(dark.troubles(), [Trouble::NoVerdict]);
    assert_eq!(dark.entered(), 3, "rows can be written");
    dark.all_dogs(|dog| dog.can_judge = true);
    dark.run(60);
    assert_eq!((dark.told().len(), dark.entered()), (1, 3));
}

#[test]
fn what_waits_in_a_database_that_takes_writes_is_left_to_the_outbox() {
    let mut dark = Dark::watched_by(3);
    dark.everybody_wants(&[("database", "ops"), ("delivery/7", "ops")]);
    dark.all_dogs(|dog| dog.can_judge = false);
    dark.run(60);
    assert_eq!(dark.lines(), [("database", "ops")]);
    // Then it dies altogether: now nobody else tells it.
    dark.database_stops();
    dark.run(60);
    assert_eq!(dark.lines(), [("database", "ops"), ("delivery/7", "ops")]);
    dark.assert_each_line_once();
}

#[test]
fn while_most_cannot_judge_they_say_so_again_and_again_or_whoever_can_would_call_it_over() {
    let mut dark = Dark::watched_by(3);
    for name in ["w1", "w2"] {
        dark.dog(name).can_judge = false;
    }
    dark.run(120);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
    for name in ["w1", "w2"] {
        let pause = dark.says_that_it_lasts_each(name);
        assert!(pause.is_some_and(|pause| pause < CALM), "{name}: {pause:?}");
    }
    assert_eq!(dark.says_that_it_lasts_each("w3"), None, "it judges");
}

#[test]
fn while_most_cannot_judge_and_reach_no_vendor_the_tables_say_so_to_whoever_can_tell() {
    let mut dark = Dark::watched_by(3);
    for name in ["w1", "w2"] {
        dark.dog(name).can_judge = false;
        dark.dog(name).reaches_vendor = false;
    }
    dark.run(120);
    assert_eq!(dark.told(), []);
    let pauses: Vec<_> = ["w1", "w2"].iter().filter_map(|name| dark.says_that_it_lasts_each(name)).collect();
    assert!(!pauses.is_empty() && pauses.iter().all(|pause| *pause < CALM), "{pauses:?}");
}

#[test]
fn one_that_was_started_anew_while_most_cannot_judge_counts_at_once() {
    let mut dark = Dark::watched_by(3);
    for name in ["w1", "w2"] {
        dark.dog(name).can_judge = false;
    }
    dark.run(60);
    // Its peer has no majority meanwhile.
    dark.kill("w2");
    dark.start("w2");
    dark.run(60);
    for name in ["w1", "w2"] {
        let pause = dark.says_that_it_lasts_each(name);
        // It takes some seconds to see that it fails too, and no three intervals.
        assert!(pause.is_some_and(|pause| pause < Duration::from_secs(10)), "{name}: {pause:?}");
    }
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
}

#[test]
fn what_was_told_is_forgotten_by_the_few_who_cannot_judge_yet_and_the_next_outage_is_told() {
    let mut dark = Dark::watched_by(3);
    dark.all_dogs(|dog| dog.can_judge = false);
    dark.run(60);
    // Those who can judge again call it over; the last one cannot.
    for name in ["w1", "w2"] {
        dark.dog(name).can_judge = true;
    }
    dark.run(30);
    dark.database_stops();
    dark.run(120);
    dark.assert_two_outages_were_told();
}

#[test]
fn a_database_that_takes_no_writes_is_not_asked_to_take_that_it_lasts() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(120);
    assert_eq!(dark.says_that_it_lasts_each("w1"), None);
}

#[test]
fn what_one_channel_did_not_take_is_the_outboxs_once_it_was_told_and_entered_that_nobody_can_judge() {
    let mut dark = Dark::watched_by(3);
    dark.everybody_wants(&[("database", "mail"), ("database", "ops")]);
    dark.unreached = Some("mail");
    dark.all_dogs(|dog| dog.can_judge = false);
    dark.run(60);
    dark.unreached = None;
    dark.run(120);
    assert_eq!(dark.lines(), [("database", "ops")]);
    // It dies altogether: the tables tell nobody any more.
    dark.database_stops();
    dark.run(120);
    assert_eq!(dark.lines(), [("database", "mail"), ("database", "ops")]);
    dark.assert_each_line_once();
}

#[test]
fn a_minority_that_cannot_judge_says_nothing() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").can_judge = false;
    dark.run(300);
    assert_eq!((dark.told(), dark.entered()), (vec![], 0));
}

#[test]
fn watchdogs_of_which_some_cannot_write_and_some_cannot_judge_are_a_majority_together() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").can_judge = false;
    dark.dog("w2").reaches_database = false;
    dark.run(60);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
    assert_eq!(dark.troubles(), [Trouble::NoWrites]);
}
