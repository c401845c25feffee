//! Whose word on a monitor counts, who is waited for, and who takes the question next.

use std::collections::BTreeSet;

use komainu_watchdogs::check::trial::supposed;
use komainu_watchdogs::check::{Answer, Definition, Failure, Members, Outcome, Policy, Quorum, Trouble};
use komainu_watchdogs::ids::{WatchdogId, Zone};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::opinion::{
    Opinion, Record, Seen, at_once, counted, is_claimed, is_decided, passes_on, patience,
};

use super::opinions::{answered, asked, at, seconds};

fn definition() -> Definition {
    Definition {
        name: "opinion".into(),
        version: 0,
        interval: seconds(60),
        timeout: seconds(5),
        quorum: Quorum::Majority,
        zones: BTreeSet::new(),
        severity: Severity::Critical,
        paused: false,
        upside_down: false,
    }
}

fn name(at: usize) -> WatchdogId {
    WatchdogId::from(format!("w{}", at + 1).as_str())
}

const UP: Option<Outcome> = Some(Outcome::Up);
const FAILED: Option<Outcome> = Some(Outcome::Failed(Failure::Refused));
const UNABLE: Option<Outcome> = Some(Outcome::Unable(Trouble::Route));

/// Those who answered, one in each of these zones; `None`: it has not answered.
fn hearing(zones: &[&str], said: &[Option<Outcome>]) -> (Opinion, bool) {
    let living = zones.iter().enumerate().map(|(at, zone)| (name(at), Zone::from(*zone), true)).collect();
    let members = Members { is_isolated: false, living, registered: zones.len() };
    let answered = said.iter().enumerate().filter_map(|(at, outcome)| Some((name(at), (*outcome)?)));
    let seen = answered.map(|(watchdog, outcome)| (watchdog, (outcome, Answer::default()))).collect();
    let silent = said.iter().enumerate().filter(|(_, outcome)| outcome.is_none());
    let awaited = silent.map(|(at, _)| name(at)).collect();
    let verdict = supposed(&definition(), &members, &seen, &Policy::default()).verdict;
    (Opinion::of(&verdict, &name(0)), is_decided(&definition(), &members, &seen, &awaited))
}

#[test]
fn nobody_is_waited_for_once_a_majority_is_clear() {
    let decided = |zones: &[&str], said: &[Option<Outcome>]| hearing(zones, said).1;
    let three = ["a", "b", "c"];
    assert!(decided(&three, &[UP, UP, None]), "the third can only add a line");
    assert!(decided(&three, &[FAILED, FAILED, None]));
    assert!(!decided(&three, &[UP, FAILED, None]) && !decided(&three, &[FAILED, None, None]));
    assert!(!decided(&["a", "a", "b"], &[FAILED, FAILED, None]), "it may be that zone's network");
    assert!(decided(&["a", "a", "a"], &[FAILED, FAILED, None]));
    assert!(!decided(&["a"; 5], &[UP, UP, FAILED, None, None]) && decided(&["a"; 5], &[UP, UP, UP, None, None]));
}

#[test]
fn nobody_is_waited_for_who_can_make_no_majority_any_more() {
    let decided = |said: &[Option<Outcome>]| hearing(&["a", "b", "c"], said).1;
    assert!(decided(&[None, UNABLE, UNABLE]), "one alone is none");
    assert!(!decided(&[None, UNABLE, None]));
}

#[test]
fn who_hears_too_few_leaves_the_question_to_those_whom_it_did_not_hear() {
    let unheard = |said: &[Option<Outcome>]| hearing(&["a", "b", "c"], said).0.unheard;
    assert_eq!([unheard(&[UP, None, None]), unheard(&[None, None, None])], [2, 2], "whoever asks is not another one");
    assert_eq!(unheard(&[UNABLE, UNABLE, None]), 0, "one more would make it no clearer");
    assert_eq!(unheard(&[UP, UP, None]), 0, "it is clear");
    let passes =
        |now, record: &Record, unheard, passed| passes_on(at(now), record, patience(seconds(5)), (unheard, passed));
    assert!(passes(10, &asked(), 2, 0) && passes(10, &asked(), 2, 1));
    assert!(!passes(10, &asked(), 2, 2), "all of them have asked");
    assert!(!passes(20, &asked(), 2, 0), "people wait for it no longer");
    assert!(!passes(10, &asked(), 0, 0), "those who answered could not look");
    assert!(!passes(10, &answered(Seen::Up), 2, 0), "what was seen before stands");
}

#[test]
fn who_heard_nobody_takes_one_question_at_a_time_until_it_hears_somebody() {
    assert_eq!([at_once(true, 32, 0), at_once(true, 3, 29)], [32, 3]);
    assert_eq!([at_once(false, 32, 0), at_once(false, 31, 1), at_once(false, 0, 0)], [1, 0, 0]);
}

#[test]
fn who_was_killed_with_a_question_is_followed_by_another_within_seconds() {
    assert!(!is_claimed(at(10), None));
    assert!(is_claimed(at(16), Some(at(10))));
    assert!(!is_claimed(at(17), Some(at(10))), "its claim was not renewed");
    assert!(!is_claimed(at(3), Some(at(10))), "nor does one hold that stands ahead of the clock");
}

#[test]
fn a_look_where_it_may_not_look_or_that_was_cut_short_is_no_vote() {
    assert_eq!(counted(Outcome::Failed(Failure::Forbidden), false), Outcome::Unable(Trouble::Permission));
    assert_eq!(counted(Outcome::Failed(Failure::AnswerTimeout), true), Outcome::Unable(Trouble::Lost));
    assert_eq!(counted(Outcome::Failed(Failure::AnswerTimeout), false), Outcome::Failed(Failure::AnswerTimeout));
    assert_eq!(counted(Outcome::Failed(Failure::ConnectTimeout), true), Outcome::Failed(Failure::ConnectTimeout));
}
