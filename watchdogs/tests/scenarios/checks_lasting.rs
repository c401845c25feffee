//! What must not go on for ever, grow without bound, or outlive what it came from.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::check::{CheckName, Definition, Heard, Input, Known, Outcome, Policy, Reason, State};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Wall;

use super::checks_desk::{Desk, HANGS, REFUSED, check, living, look, three};

fn hourly(count: usize, version: u64) -> Vec<Definition> {
    let of = |number| Definition { version, interval: Duration::from_secs(3_600), ..check(&format!("check{number}")) };
    (0..count).map(of).collect()
}

fn stands(state: State) -> Input {
    Input::Stored(vec![Known { check: "api".into(), state, since: Wall(5) }])
}

#[test]
fn whoever_fetches_page_by_page_after_an_edit_of_all_checks_misses_none() {
    let mut desk = Desk::with(Policy::default(), &[]);
    desk.tell(Input::Defined(hourly(600, 1)));
    desk.run(40);
    desk.tell(Input::Defined(hourly(600, 2)));
    desk.run(40);
    let (mut seen, mut after) = (BTreeSet::<CheckName>::new(), 0);
    loop {
        let page = desk.machine.report(desk.now, after, 200);
        let Some(last) = page.last() else { break };
        assert_eq!(page.iter().map(|look| look.number).max(), Some(last.number), "the last one is where to go on");
        after = last.number;
        seen.extend(page.into_iter().map(|look| look.check));
    }
    assert_eq!(seen.len(), 600);
}

#[test]
fn one_deaf_watchdog_of_three_says_once_that_it_does_not_know_and_not_again() {
    let mut desk = Desk::new();
    let (mut stored, mut unknown_for) = (State::Up, 0);
    for _ in 0..600 {
        desk.tell(stands(stored));
        desk.run(1);
        let entered = desk.changed.iter().any(|(at, _)| desk.now.since(*at) <= Duration::from_secs(1));
        stored = if entered { State::Unknown } else { stored };
        // The two others hear each other, and enter up again.
        unknown_for = if stored == State::Unknown { unknown_for + 1 } else { 0 };
        stored = if unknown_for > 10 { State::Up } else { stored };
    }
    assert_eq!((desk.state(), desk.changed.len()), (State::Unknown, 1), "{:?}", desk.changed.len());
    desk.hear("w2", Outcome::Up, 9);
    assert_eq!(desk.state(), State::Up);
    desk.run(60);
    assert_eq!((desk.state(), desk.changed.len()), (State::Unknown, 2), "what it knew since, it no longer knows");
}

#[test]
fn a_new_check_that_others_know_a_moment_sooner_is_not_entered_as_unknown() {
    let mut desk = Desk::new();
    for _ in 0..20 {
        desk.tell(Input::Stored(vec![]));
        desk.run(1);
    }
    // The others have looked twice just now, and one of them entered it.
    for _ in 0..5 {
        desk.tell(stands(State::Up));
        desk.run(1);
    }
    desk.hear("w2", Outcome::Up, 2);
    assert_eq!((desk.state(), desk.changed.len()), (State::Up, 0), "{:?}", desk.changed);
}

#[test]
fn that_a_check_is_unknown_is_entered_again_when_it_could_not_be_entered() {
    let mut desk = Desk::new();
    for _ in 0..30 {
        desk.tell(stands(State::Up));
        desk.run(1);
    }
    assert!(desk.changed.len() > 1, "nobody contradicted it");
}

#[test]
fn questions_about_looks_that_wait_make_no_longer_line() {
    let policy = Policy { budget: 2, ..Policy::default() };
    let mut desk = Desk::with(policy, &[]);
    let names: Vec<_> = (0..60).map(|number| format!("check{number}")).collect();
    desk.hanging = names.iter().cloned().collect();
    desk.tell(Input::Defined(names.iter().map(|name| check(name)).collect()));
    desk.run(3);
    for ticket in 0..20 {
        let checks = names.iter().map(|name| name.as_str().into()).collect();
        desk.tell(Input::Asked { ticket, checks });
    }
    assert_eq!(desk.machine.load(), (2, 58));
}

#[test]
fn a_check_that_was_paused_has_been_without_votes_only_since_it_is_no_more() {
    let mut desk = Desk::settled();
    desk.tell(Input::Defined(vec![Definition { paused: true, ..check("api") }]));
    desk.run(600);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised, Vec::new());
    desk.run(61);
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised[0].key, "checks");
}

#[test]
fn when_an_isolation_ends_checks_have_been_without_votes_only_since_then() {
    let mut desk = Desk::settled();
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w2", "b", false), ("w3", "c", false)])));
    desk.run(600);
    desk.tell(Input::Members(three()));
    assert!(matches!(desk.reason(), Reason::TooFewFresh { .. }));
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised, Vec::new());
}

#[test]
fn who_was_asked_before_an_edit_looks_anew_also_in_that() {
    let mut desk = Desk::settled();
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.pass(200);
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    desk.hanging.insert("api".into());
    desk.tell(Input::Defined(vec![Definition { version: 2, ..check("api") }]));
    desk.pass(1_500);
    desk.end("api", HANGS);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].failures, 1);
}

#[test]
fn a_verdict_whose_row_is_gone_is_entered_again() {
    let mut desk = Desk::settled();
    desk.tell(stands(State::Up));
    desk.tell(Input::Stored(Vec::new()));
    desk.run(11);
    let entered: Vec<_> = desk.changed.iter().map(|(_, entered)| (entered.from, entered.to)).collect();
    assert_eq!(entered, [(State::Unknown, State::Up)]);
}

#[test]
fn a_verdict_that_is_entered_again_holds_since_it_does_and_waits_for_no_reading() {
    let mut desk = Desk::settled();
    let since = desk.machine.standing(&"api".into()).unwrap().since;
    desk.tell(stands(State::Down));
    desk.pass(10_000);
    assert_eq!((desk.changed[0].1.to, Some(desk.changed[0].1.at)), (State::Up, since));
    assert_eq!(desk.changed.len(), 1);
}

#[test]
fn a_process_that_stood_still_goes_by_the_votes_that_are_fresh() {
    let mut desk = Desk::settled();
    let since = desk.machine.standing(&"api".into()).unwrap().since;
    desk.now += Duration::from_secs(8);
    desk.tell(Input::Tick);
    assert_eq!(desk.state(), State::Up);
    assert_eq!(desk.machine.standing(&"api".into()).unwrap().since, since);
    assert_eq!(desk.changed, Vec::new());
    desk.targets.insert("api".into(), REFUSED);
    desk.now += Duration::from_secs(60);
    desk.tell(Input::Tick);
    assert_eq!(desk.state(), State::Unknown, "and by none that is not");
}

#[test]
fn a_zone_that_falls_silent_makes_what_the_others_see_down_without_anything_new() {
    let mut desk = Desk::with(Policy::default(), &[]);
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w2", "a", true), ("w3", "c", true)])));
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(25);
    desk.hear("w2", REFUSED, 9);
    assert_eq!(desk.state(), State::Partial, "it may still be heard of: {:?}", desk.reason());
    desk.hanging.insert("api".into());
    desk.run(6);
    assert_eq!(desk.state(), State::Down);
}

#[test]
fn a_look_that_came_a_long_way_is_no_older_than_the_one_before_it() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    desk.hear("w2", REFUSED, 2);
    assert_eq!(desk.state(), State::Down);
    let said_after = desk.now - Duration::from_secs(160);
    let looks = vec![look(REFUSED, 3, 0, u64::MAX)];
    let incarnation = Incarnation(7);
    desk.tell(Input::Heard(Heard { watchdog: "w2".into(), incarnation, said_after, looks, pending: Vec::new() }));
    assert_eq!(desk.state(), State::Down);
}
