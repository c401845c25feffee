//! What one watchdog enters and tells of checks.

use komainu_watchdogs::check::{Input, Known, Members, Outcome, State};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::time::Wall;

use super::checks_desk::{Desk, REFUSED, living, open, three};

#[test]
fn a_down_that_stood_in_the_store_is_not_told_again_after_a_restart() {
    let mut desk = Desk::new();
    desk.tell(Input::Stored(vec![Known { check: "api".into(), state: State::Down, since: Wall(5) }]));
    assert_eq!(desk.state(), State::Unknown, "nothing is known yet");
    desk.targets.insert("api".into(), REFUSED);
    desk.run(3);
    desk.hear("w2", REFUSED, 2);
    assert_eq!((desk.state(), desk.changed.len()), (State::Down, 0));
    let since = |desk: &Desk| desk.machine.standing(&"api".into()).unwrap().since;
    assert_eq!(since(&desk), Some(Wall(5)), "also where it is not read again, because the database is away");
    desk.tell(Input::Stored(vec![Known { check: "api".into(), state: State::Down, since: Wall(5) }]));
    assert_eq!(since(&desk), Some(Wall(5)));
}

#[test]
fn a_verdict_that_somebody_else_entered_first_is_no_news_and_not_taken_back() {
    let mut desk = Desk::settled();
    let down = Known { check: "api".into(), state: State::Down, since: Wall(5) };
    desk.tell(Input::Stored(vec![down.clone()]));
    assert_eq!(desk.changed, Vec::new(), "it has not heard what the other has");
    desk.pass(10);
    desk.hear("w2", REFUSED, 2);
    desk.hear("w3", REFUSED, 2);
    assert_eq!((desk.state(), desk.changed.len()), (State::Down, 0));
}

#[test]
fn a_verdict_that_could_not_be_entered_is_entered_ten_seconds_later() {
    let mut desk = Desk::settled();
    let stands = || vec![Known { check: "api".into(), state: State::Down, since: Wall(5) }];
    desk.tell(Input::Stored(stands()));
    desk.run(5);
    desk.tell(Input::Stored(stands()));
    assert_eq!(desk.changed, Vec::new());
    desk.run(5);
    desk.tell(Input::Stored(stands()));
    assert_eq!((desk.changed[0].1.from, desk.changed[0].1.to), (State::Down, State::Up));
}

#[test]
fn a_check_that_is_down_is_an_incident_that_says_who_sees_it_and_who_does_not() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(21);
    desk.hear("w2", REFUSED, 2);
    desk.hear("w3", Outcome::Up, 9);
    desk.tell(Input::Incidents(Vec::new()));
    let Alarm { key, severity, summary, votes } = desk.raised[0].clone();
    assert_eq!((key.as_str(), severity, votes), ("check/api", Severity::Critical, (2, 3)));
    assert_eq!(
        summary,
        "2 of 3 watchdogs see it fail (w1 in a: connection refused; w2 in b: connection refused); reached from w3 in c"
    );
}

#[test]
fn while_not_all_have_looked_twice_since_the_first_success_an_incident_says_what_it_said_before() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(21);
    desk.hear("w2", REFUSED, 2);
    desk.hear("w3", REFUSED, 2);
    desk.tell(Input::Incidents(Vec::new()));
    desk.run(3);
    desk.hear("w2", Outcome::Up, 1);
    desk.tell(Input::Incidents(vec![open("check/api", Wall(9))]));
    let said = desk.machine.alarms(desk.now);
    assert!(said[0].summary.starts_with("2 of 3 watchdogs see it fail (w1 in a: "), "{}", said[0].summary);
    for _ in 0..5 {
        desk.run(1);
        desk.hear("w3", Outcome::Up, 1);
        desk.tell(Input::Incidents(vec![open("check/api", Wall(9))]));
        assert_eq!((desk.state(), desk.machine.alarms(desk.now)), (State::Down, said.clone()));
    }
    assert_eq!(desk.raised.last(), said.first());
}

#[test]
fn an_incident_of_a_check_is_over_when_it_is_up_and_not_when_it_is_unknown() {
    let mut desk = Desk::settled();
    let rows = || vec![open("check/api", Wall(9))];
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w2", "b", false), ("w3", "c", false)])));
    for _ in 0..10 {
        desk.tell(Input::Incidents(rows()));
        desk.run(1);
    }
    assert_eq!(desk.resolved, Vec::<String>::new());
    desk.tell(Input::Members(three()));
    desk.hear("w2", Outcome::Up, 9);
    for _ in 0..10 {
        desk.tell(Input::Incidents(rows()));
        desk.run(1);
    }
    assert_eq!(desk.resolved, ["check/api"]);
}

#[test]
fn a_minority_is_a_warning_with_a_key_of_its_own() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(45);
    desk.hear("w2", Outcome::Up, 9);
    desk.hear("w3", Outcome::Up, 9);
    assert_eq!(desk.state(), State::Partial);
    desk.tell(Input::Incidents(Vec::new()));
    let keys: Vec<_> = desk.raised.iter().map(|alarm| (alarm.key.as_str(), alarm.severity)).collect();
    assert_eq!(keys, [("partial/api", Severity::Warning)]);
}

#[test]
fn checks_without_a_fresh_majority_for_three_intervals_are_told_as_one() {
    let mut desk = Desk::settled();
    desk.run(40);
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised, Vec::new());
    desk.run(60);
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised[0].key, "checks");
    assert_eq!(desk.raised[0].summary, "1 cannot be judged, too few watchdogs look at them: api");
}

#[test]
fn a_sole_witness_says_so() {
    let mut desk = Desk::settled();
    desk.tell(Input::Members(Members { registered: 3, ..living(&[("w1", "a", true)]) }));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    assert!(desk.machine.alarms(desk.now)[0].summary.ends_with("(sole witness: w1)"));
}

#[test]
fn a_report_says_what_is_new_since_a_number() {
    let mut desk = Desk::settled();
    let all = desk.machine.report(desk.now, 0, 9);
    assert_eq!(all.len(), 1);
    assert_eq!(desk.machine.report(desk.now, all[0].number, 9), Vec::new());
    desk.run(20);
    assert_eq!(desk.machine.report(desk.now, all[0].number, 9).len(), 1);
}
