//! The database is down, and people are told exactly once: whoever dies, is cut off, or has just started.

use std::time::Duration;

use komainu_watchdogs::blackout::Doubt;

use super::dark::Dark;

#[test]
fn three_watchdogs_that_lost_the_database_tell_people_once_and_the_lowest_id_speaks() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(120);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
    let after = dark.told_after();
    assert!((15..18).contains(&after.as_secs()), "told after {after:?}: three intervals, and little more");
}

#[test]
fn nobody_speaks_of_an_outage_shorter_than_three_intervals() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(14);
    dark.database_returns();
    dark.run(60);
    assert_eq!(dark.told(), []);
    assert_eq!(dark.entered(), 0);
}

#[test]
fn a_watchdog_without_egress_leaves_it_to_the_next_at_once() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").has_egress = false;
    dark.database_stops();
    dark.run(120);
    assert_eq!(dark.told(), [("w2", Doubt::DatabaseUnreachable)]);
    assert!(dark.told_after() < Duration::from_secs(18));
}

#[test]
fn a_speaker_that_reaches_no_vendor_leaves_it_to_the_next() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").reaches_vendor = false;
    dark.database_stops();
    dark.run(120);
    assert_eq!(dark.told(), [("w2", Doubt::DatabaseUnreachable)]);
    assert!(dark.told_after() < Duration::from_secs(30));
}

#[test]
fn a_speaker_that_dies_after_it_was_heard_is_not_repeated() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run_until_told();
    dark.run(2);
    dark.kill("w1");
    dark.run(200);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
    dark.database_returns();
    dark.run(20);
    assert!(dark.entered() >= 1, "those who heard it enter it");
    assert_eq!(dark.names().len(), 1);
}

#[test]
fn a_speaker_that_dies_while_it_speaks_is_followed_once_after_thirty_seconds() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").speaks_for = Duration::from_secs(4);
    dark.database_stops();
    dark.run(18);
    dark.kill("w1");
    dark.run(200);
    assert_eq!(dark.told(), [("w2", Doubt::DatabaseUnreachable)]);
    let after = dark.told_after().as_secs();
    assert!((44..52).contains(&after), "told after {after} s");
}

#[test]
fn a_speaker_that_dies_the_moment_its_message_arrived_is_repeated_under_the_same_name() {
    let mut dark = Dark::watched_by(3);
    dark.dies_when_told = Some("w1");
    dark.dog("w1").speaks_for = Duration::ZERO;
    dark.database_stops();
    dark.run(200);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable), ("w2", Doubt::DatabaseUnreachable)]);
    assert_eq!(dark.names().len(), 1, "whoever remembers ids sees it once");
}

#[test]
fn a_dead_watchdog_is_known_all_the_same_and_two_of_three_are_a_majority() {
    let mut dark = Dark::watched_by(3);
    dark.kill("w1");
    dark.run(30);
    dark.database_stops();
    dark.run(120);
    assert_eq!(dark.told(), [("w2", Doubt::DatabaseUnreachable)]);
    assert!(dark.told_after() < Duration::from_secs(18));
}

#[test]
fn a_minority_that_lost_its_own_way_to_the_database_says_nothing() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").reaches_database = false;
    dark.run(300);
    assert_eq!(dark.told(), []);
}

#[test]
fn of_a_partition_only_the_side_with_the_majority_speaks() {
    let mut dark = Dark::watched_by(5);
    dark.cut_between(&["w1", "w2"], &["w3", "w4", "w5"]);
    dark.database_stops();
    dark.run(300);
    assert_eq!(dark.told(), [("w3", Doubt::DatabaseUnreachable)]);
}

#[test]
fn a_sole_survivor_speaks_after_a_minute_and_says_that_nobody_confirms_it() {
    let mut dark = Dark::watched_by(3);
    dark.kill("w1");
    dark.kill("w3");
    dark.run(30);
    dark.database_stops();
    dark.run(200);
    assert_eq!(dark.told(), [("w2", Doubt::UnconfirmedAlone)]);
    let after = dark.told_after().as_secs();
    assert!((75..79).contains(&after), "told after {after} s");
}

#[test]
fn of_two_watchdogs_one_speaks_at_once_if_both_lost_it_and_late_if_the_other_is_gone() {
    let mut dark = Dark::watched_by(2);
    dark.database_stops();
    dark.run(200);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);

    let mut dark = Dark::watched_by(2);
    dark.kill("w1");
    dark.database_stops();
    dark.run(200);
    assert_eq!(dark.told(), [("w2", Doubt::UnconfirmedAlone)]);

    let mut dark = Dark::watched_by(2);
    dark.dog("w1").reaches_database = false;
    dark.run(200);
    assert_eq!(dark.told(), []);
}

#[test]
fn half_of_four_is_no_majority_and_speaks_late_rather_than_never() {
    let mut dark = Dark::watched_by(4);
    dark.kill("w3");
    dark.kill("w4");
    dark.run(30);
    dark.database_stops();
    dark.run(200);
    assert_eq!(dark.told(), [("w1", Doubt::UnconfirmedAlone)]);
}

#[test]
fn one_watchdog_alone_in_its_cluster_is_a_majority() {
    let mut dark = Dark::watched_by(1);
    dark.database_stops();
    dark.run(60);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
}

#[test]
fn an_outage_that_is_over_before_anybody_spoke_is_entered_all_the_same() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").speaks_for = Duration::from_secs(4);
    dark.database_stops();
    dark.run(18);
    // Its message never left, and the next would speak at 45 s.
    dark.kill("w1");
    dark.run(12);
    dark.database_returns();
    dark.run(100);
    assert_eq!(dark.told(), []);
    assert_eq!(dark.entered(), 2, "from then on it is the outbox's to tell");
}

#[test]
fn what_was_told_is_entered_when_the_database_returns_and_a_second_outage_is_told_anew() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(60);
    dark.database_returns();
    dark.run(20);
    assert_eq!(dark.entered(), 3, "each that knows of it enters it; the tables keep one");
    dark.database_stops();
    dark.run(60);
    assert_eq!(dark.told().len(), 2);
    assert_eq!(dark.names().len(), 2, "two outages, two names");
}

#[test]
fn a_database_that_comes_and_goes_within_seconds_is_one_outage() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(30);
    for _ in 0..5 {
        dark.database_returns();
        dark.run(2);
        dark.database_stops();
        dark.run(30);
    }
    assert_eq!(dark.told().len(), 1);
}

#[test]
fn a_watchdog_that_starts_while_the_database_is_down_speaks_if_nobody_has() {
    let mut dark = Dark::watched_by(3);
    dark.kill("w1");
    dark.kill("w2");
    dark.kill("w3");
    dark.database_stops();
    dark.run(60);
    dark.start("w2");
    dark.start("w3");
    dark.run(60);
    assert_eq!(dark.told(), [("w2", Doubt::DatabaseUnreachable)]);
}

#[test]
fn a_speaker_that_is_started_anew_remembers_what_it_told() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(60);
    for name in ["w1", "w2", "w3"] {
        dark.kill(name);
    }
    dark.start("w1");
    dark.start("w3");
    dark.run(200);
    assert_eq!(dark.told(), [("w1", Doubt::DatabaseUnreachable)]);
}

#[test]
fn what_was_told_of_an_earlier_outage_silences_nobody() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(60);
    // It sleeps through the return, and wakes in the next outage with its old spool.
    dark.kill("w1");
    dark.database_returns();
    dark.run(60);
    dark.database_stops();
    dark.run(5);
    dark.start("w1");
    dark.run(120);
    assert_eq!(dark.told().len(), 2, "{:?}", dark.told());
    dark.database_returns();
    dark.run(20);
    assert_eq!(dark.names().len(), 2);
}

#[test]
fn what_a_watchdog_started_anew_remembers_is_not_believed_where_one_that_was_frozen_knows_better() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(60);
    dark.kill("w1");
    dark.database_returns();
    dark.run(60);
    // The next outage begins while nobody looks; one of them was well after the first.
    dark.kill("w3");
    dark.database_stops();
    dark.freeze("w2", 20);
    dark.start("w1");
    dark.start("w3");
    dark.run(200);
    dark.assert_two_outages_were_told();
}

#[test]
fn what_a_watchdog_started_anew_remembers_is_not_believed_where_one_that_left_it_to_others_knows_better() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(60);
    dark.kill("w1");
    dark.dog("w3").can_judge = false;
    dark.database_returns();
    dark.run(60);
    dark.kill("w2");
    dark.database_stops();
    dark.start("w1");
    dark.run(200);
    dark.assert_two_outages_were_told();
}

#[test]
fn a_watchdog_that_was_frozen_wakes_without_a_word() {
    let mut dark = Dark::watched_by(1);
    dark.freeze("w1", 60);
    dark.run(10);
    assert_eq!(dark.told(), []);
}

#[test]
fn what_was_waiting_when_the_database_went_away_is_told_with_it() {
    let mut dark = Dark::watched_by(3);
    dark.everybody_wants(&[("database", "ops"), ("database", "mail"), ("delivery/7", "mail")]);
    dark.database_stops();
    dark.run(120);
    assert_eq!(dark.lines(), [("database", "mail"), ("database", "ops"), ("delivery/7", "mail")]);
    dark.assert_each_line_once();
}

#[test]
fn an_outage_without_any_uplink_is_entered_when_the_database_is_back_first() {
    let mut dark = Dark::watched_by(3);
    dark.all_dogs(|dog| (dog.has_egress, dog.reaches_vendor) = (false, false));
    dark.database_stops();
    dark.run(7_200);
    assert_eq!((dark.told(), dark.entered()), (vec![], 0));
    dark.database_returns();
    dark.run(20);
    assert_eq!(dark.entered(), 3, "each knows of it; the tables keep one");
    dark.run(600);
    assert_eq!((dark.told(), dark.entered()), (vec![], 3), "and no second time");
}

#[test]
fn an_outage_without_any_uplink_is_told_when_the_uplink_is_back_first() {
    let mut dark = Dark::watched_by(3);
    dark.all_dogs(|dog| (dog.has_egress, dog.reaches_vendor) = (false, false));
    dark.database_stops();
    dark.run(7_200);
    dark.all_dogs(|dog| (dog.has_egress, dog.reaches_vendor) = (true, true));
    dark.run(120);
    assert_eq!(dark.told().len(), 1);
    assert!(dark.told_after() < Duration::from_secs(7_250), "{:?}", dark.told_after());
    dark.database_returns();
    dark.run(20);
    assert_eq!(dark.entered(), 3);
}

#[test]
fn hosts_that_were_all_cut_off_from_everything_enter_that_nothing_was_watched() {
    let mut dark = Dark::watched_by(3);
    let all = ["w1", "w2", "w3"];
    dark.cut_between(&all, &all);
    dark.all_dogs(|dog| (dog.has_egress, dog.reaches_vendor) = (false, false));
    dark.database_stops();
    dark.run(3_600);
    dark.heal();
    dark.database_returns();
    dark.run(20);
    assert_eq!((dark.entered(), dark.withdrawn()), (3, 0));
}

#[test]
fn a_host_that_alone_was_cut_off_from_everything_enters_nothing() {
    let mut dark = Dark::watched_by(3);
    dark.cut_between(&["w1"], &["w2", "w3"]);
    (dark.dog("w1").has_egress, dark.dog("w1").reaches_vendor) = (false, false);
    dark.dog("w1").reaches_database = false;
    dark.run(3_600);
    dark.heal();
    dark.dog("w1").reaches_database = true;
    dark.run(20);
    assert_eq!((dark.entered(), dark.withdrawn(), dark.told()), (0, 1, vec![]));
}

#[test]
fn what_a_vendor_never_answers_is_repeated_three_times_by_all_together_and_once_by_each_who_has_not() {
    let mut dark = Dark::watched_by(3);
    dark.all_dogs(|dog| dog.hears_vendor = false);
    dark.database_stops();
    dark.run(600);
    let told = dark.told();
    let by = |name: &str| told.iter().filter(|(by, _)| *by == name).count();
    assert!((4..=6).contains(&told.len()), "{told:?}");
    assert!(by("w1") >= 2 && by("w2") >= 1 && by("w3") >= 1, "{told:?}");
    assert_eq!(dark.names().len(), 1, "whoever remembers ids sees it once");
}

#[test]
fn a_speaker_that_hears_no_answers_does_not_keep_the_next_one_from_telling() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").hears_vendor = false;
    dark.database_stops();
    dark.run(600);
    let told = dark.told();
    assert_eq!(told.last().map(|(by, _)| *by), Some("w2"), "{told:?}");
    assert!(told.len() <= 5, "{told:?}");
}
