//! What one watchdog believes of its own looks and of others' words, and when it looks.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::check::{
    Answer, Definition, Heard, Input, Look, Members, Outcome, Policy, Reason, State, Trouble,
};
use komainu_watchdogs::ids::Incarnation;

use super::checks_desk::{Desk, REFUSED, check, living, look, three};

#[test]
fn an_isolated_watchdog_abstains_and_judges_by_the_others_words() {
    let mut desk = Desk::settled();
    desk.tell(Input::Members(Members { is_isolated: true, ..three() }));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    desk.hear("w2", Outcome::Up, 9);
    desk.hear("w3", Outcome::Up, 9);
    assert_eq!(desk.reason(), Reason::Reached { reached: 2, voters: 2 });
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::CutOff));
}

#[test]
fn where_two_of_three_are_isolated_there_is_no_verdict() {
    let mut desk = Desk::settled();
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w2", "b", false), ("w3", "c", false)])));
    assert_eq!((desk.state(), desk.reason()), (State::Unknown, Reason::Isolated { voters: 1, living: 3 }));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(60);
    assert_eq!(desk.state(), State::Unknown);
    desk.tell(Input::Incidents(Vec::new()));
    assert_eq!(desk.raised, Vec::new(), "isolation is told by itself");
}

#[test]
fn a_peers_vote_is_as_old_as_it_says_and_as_its_answer_took() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    desk.hear_aged("w2", REFUSED, 2, 21_000);
    assert_eq!(desk.state(), State::Down);
    desk.run(10);
    assert_ne!(desk.state(), State::Down, "fresh for 30 s, of which 21 had passed");
}

#[test]
fn an_answer_that_took_long_is_no_younger_than_its_request() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    let said_after = desk.now - Duration::from_secs(31);
    let looks = vec![look(REFUSED, 2, 0, u64::MAX)];
    let heard = Heard { watchdog: "w2".into(), incarnation: Incarnation(8), said_after, looks, pending: Vec::new() };
    desk.tell(Input::Heard(heard));
    assert_ne!(desk.state(), State::Down);
}

#[test]
fn a_look_that_is_heard_again_gets_no_younger() {
    let mut desk = Desk::settled();
    let frozen = look(Outcome::Up, 2, 0, u64::MAX);
    for _ in 0..4 {
        let looks = vec![frozen.clone()];
        let said_after = desk.now;
        let heard =
            Heard { watchdog: "w2".into(), incarnation: Incarnation(7), said_after, looks, pending: Vec::new() };
        desk.tell(Input::Heard(heard));
        desk.run(10);
    }
    desk.hear("w3", Outcome::Up, 2);
    let fresh = desk.machine.verdict(desk.now, &"api".into()).unwrap().views;
    assert_eq!(fresh[1].stand, komainu_watchdogs::check::Stand::Stale);
}

#[test]
fn a_peer_that_says_too_much_is_heard_in_short_and_keeps_nobody_from_being_told() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(22);
    let (detail, address) = (format!("x{}", "\u{e4}".repeat(40_000)), Some("1".repeat(100_000)));
    let answer = Answer { detail, address, ..Answer::default() };
    let looks = vec![Look { answer, ..look(REFUSED, 2, 0, u64::MAX) }];
    let heard =
        Heard { watchdog: "w2".into(), incarnation: Incarnation(7), said_after: desk.now, looks, pending: Vec::new() };
    desk.tell(Input::Heard(heard));
    assert_eq!(desk.state(), State::Down);
    let summary = desk.machine.alarms(desk.now)[0].summary.clone();
    assert!(summary.len() < 400 && summary.contains("w2 in b: x\u{e4}"), "{} bytes", summary.len());
    let known = desk.machine.verdict(desk.now, &"api".into()).unwrap().views[1].look.clone().unwrap().answer;
    assert!(known.detail.len() <= 200 && known.address.unwrap().len() <= 64);
}

#[test]
fn what_a_process_said_that_is_no_more_does_not_replace_what_its_successor_said() {
    let mut desk = Desk::settled();
    let heard = |incarnation, said_after, outcome| {
        let looks = vec![look(outcome, 2, 0, 1)];
        Input::Heard(Heard {
            watchdog: "w2".into(),
            incarnation: Incarnation(incarnation),
            said_after,
            looks,
            pending: Vec::new(),
        })
    };
    let before = desk.now;
    desk.run(5);
    desk.tell(heard(9, desk.now, Outcome::Up));
    desk.tell(heard(7, before, REFUSED));
    let views = desk.machine.verdict(desk.now, &"api".into()).unwrap().views;
    assert_eq!(views[1].look.as_ref().unwrap().outcome, Outcome::Up);
}

#[test]
fn looks_come_once_an_interval_and_share_it_with_the_others() {
    let mut desk = Desk::settled();
    desk.run(60);
    let millis = desk.looked_at();
    assert_eq!(millis.len(), 3);
    assert!(millis.windows(2).all(|pair| pair[1] - pair[0] == 20_000), "{millis:?}");
    desk.forget();
    desk.tell(Input::Members(living(&[("w1", "a", true), ("w0", "b", true)])));
    desk.run(60);
    let millis = desk.looked_at();
    assert!(millis.windows(2).all(|pair| pair[1] - pair[0] <= 20_500), "none skipped: {millis:?}");
    assert!((3..=4).contains(&millis.len()), "{millis:?}");
}

#[test]
fn a_check_once_a_day_is_looked_at_soon_after_a_start_and_confirmed() {
    let mut desk = Desk::with(Policy::default(), &[]);
    let daily = |number: u32| Definition { interval: Duration::from_secs(86_400), ..check(&format!("daily{number}")) };
    desk.tell(Input::Defined((0..2_000).map(daily).collect()));
    desk.run(1);
    assert!((30..130).contains(&desk.looks.len()), "spread: {}", desk.looks.len());
    desk.run(31);
    assert_eq!(desk.looks.len(), 4_000, "each twice");
}

#[test]
fn at_most_so_many_looks_run_at_once_and_none_starves() {
    let policy = Policy { budget: 2, ..Policy::default() };
    let mut desk = Desk::with(policy, &[]);
    let names = ["a", "b", "c", "d", "e"];
    desk.hanging = names.iter().map(|&name| name.to_owned()).collect();
    desk.tell(Input::Defined(names.iter().map(|name| check(name)).collect()));
    desk.run(1);
    assert_eq!((desk.running.len(), desk.machine.load()), (2, (2, 3)));
    for _ in 0..10 {
        let name = desk.running.keys().next().unwrap().clone();
        desk.pass(300);
        desk.end(&name, Outcome::Up);
    }
    let seen: BTreeSet<_> = desk.looks.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(seen.len(), 5);
}

#[test]
fn a_look_that_never_ends_is_own_trouble_and_gives_its_place_back() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    desk.run(36);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::Lost));
}

#[test]
fn a_look_during_which_this_process_stood_still_is_own_trouble() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.now += Duration::from_secs(60);
    desk.end("api", REFUSED);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::Stalled));
    assert_eq!(desk.state(), State::Unknown, "what it knew is old");
    assert_eq!(desk.changed, Vec::new());
}

#[test]
fn an_edit_of_the_target_begins_anew() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    let number = desk.running["api"];
    desk.tell(Input::Defined(vec![Definition { version: 2, ..check("api") }]));
    desk.pass(10);
    desk.tell(Input::Looked { check: "api".into(), number, outcome: REFUSED, answer: Answer::default() });
    assert_eq!(desk.machine.report(desk.now, 0, 9), Vec::new(), "a look at what was before says nothing");
    assert_eq!(desk.looks.len(), 2, "and what is now is looked at at once");
}

#[test]
fn a_paused_check_is_looked_at_by_nobody() {
    let mut desk = Desk::settled();
    desk.tell(Input::Defined(vec![Definition { paused: true, ..check("api") }]));
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    desk.run(60);
    assert_eq!((desk.looks.len(), desk.reason()), (0, Reason::Paused));
}

#[test]
fn watchdogs_outside_a_checks_zones_do_not_look() {
    let mut desk = Desk::with(Policy::default(), &[]);
    let elsewhere = Definition { zones: BTreeSet::from(["b".into(), "c".into()]), ..check("api") };
    desk.tell(Input::Defined(vec![elsewhere]));
    desk.run(60);
    assert_eq!(desk.looks.len(), 0);
    desk.hear("w2", REFUSED, 2);
    desk.hear("w3", REFUSED, 2);
    assert_eq!(desk.state(), State::Down, "and judge by those inside");
}
