//! One watchdog looks at checks and asks scripted peers.

use std::time::Duration;

use komainu_watchdogs::check::{
    Answer, CheckName, Definition, Failure, Heard, Input, Outcome, Policy, Reason, State, Trouble,
};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Mono;

use super::checks_desk::{Desk, HANGS, REFUSED, check};

#[test]
fn whoever_sees_the_first_failure_asks_the_others_at_once() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(20);
    let first = desk.looks[0].0;
    let (asked_at, peers, checks) = desk.asks[0].clone();
    assert!(asked_at.since(first) <= Duration::from_millis(50));
    assert_eq!((peers, checks), (vec!["w2".to_owned(), "w3".to_owned()], vec!["api".to_owned()]));
}

#[test]
fn a_first_failure_is_looked_at_again_after_a_second_and_two_of_three_make_it_down() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.hear("w2", REFUSED, 1);
    assert_eq!(desk.state(), State::Up);
    desk.pass(1_200);
    assert_eq!(desk.looks.len(), 2);
    assert_eq!(desk.looks[1].0.since(desk.looks[0].0), Duration::from_secs(1));
    assert_eq!(desk.state(), State::Up, "its own two looks are one vote");
    desk.hear("w2", REFUSED, 2);
    assert_eq!(desk.state(), State::Down);
    let (_, transition) = desk.changed[0].clone();
    assert_eq!((transition.from, transition.to), (State::Up, State::Down));
    assert_eq!(transition.reason, Reason::Failed { failed: 2, voters: 3 });
    assert_eq!(transition.first_failing, Some("w1".into()));
    assert_eq!(transition.votes.len(), 3);
}

#[test]
fn while_it_is_down_the_first_success_asks_the_others() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.run(26);
    desk.hear("w2", REFUSED, 2);
    assert_eq!(desk.state(), State::Down);
    desk.forget();
    desk.run(12);
    desk.hear("w2", REFUSED, 3);
    assert_eq!(desk.asks, Vec::new(), "what is known is not asked");
    desk.targets.clear();
    desk.run(20);
    assert_eq!(desk.asks[0].1, ["w2", "w3"]);
    assert_eq!(desk.state(), State::Down);
    desk.hear("w2", Outcome::Up, 2);
    assert_eq!(desk.state(), State::Up);
}

#[test]
fn peers_that_have_looked_twice_since_are_not_asked_again() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.pass(100);
    desk.hear("w2", Outcome::Up, 9);
    desk.hear("w3", Outcome::Up, 9);
    desk.run(5);
    assert_eq!(desk.asks.len(), 1);
    desk.run(15);
    assert_eq!(desk.asks.len(), 1, "a lone dissenter does not make the others look for ever");
}

#[test]
fn a_look_that_takes_unusually_long_makes_the_others_look_before_it_has_ended() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.run(3);
    let (asked_at, peers, _) = desk.asks[0].clone();
    assert_eq!(asked_at.since(desk.looks[0].0), Duration::from_millis(2_020));
    assert_eq!(peers, ["w2", "w3"]);
    assert_eq!(desk.state(), State::Up, "a slow look is no failure");
}

#[test]
fn being_asked_makes_a_look_now_that_counts_as_the_second_if_it_took_a_while() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    assert_eq!(desk.looks.len(), 1);
    desk.pass(1_500);
    desk.end("api", HANGS);
    assert_eq!(desk.answers[0].2[0].failures, 2);
    assert_eq!(desk.asks, Vec::new(), "who asks, asks all");
}

#[test]
fn whoever_waited_long_enough_to_ask_the_others_and_then_as_long_again_has_seen_it_fail_twice() {
    let failures = |after| {
        let mut desk = Desk::settled();
        desk.hanging.insert("api".into());
        while desk.looks.is_empty() {
            desk.pass(100);
        }
        desk.pass(after);
        desk.end("api", HANGS);
        desk.machine.report(desk.now, 0, 9)[0].failures
    };
    assert_eq!((failures(1_900), failures(2_500), failures(4_500)), (1, 1, 2));
}

#[test]
fn a_refusal_says_nothing_of_the_time_before_it() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    desk.pass(1_500);
    desk.end("api", REFUSED);
    assert_eq!(desk.answers[0].2[0].failures, 1);
}

#[test]
fn a_refusal_that_came_late_is_looked_at_again_a_second_after_it_came() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(100);
    }
    desk.pass(1_030);
    desk.end("api", REFUSED);
    desk.pass(990);
    assert_eq!(desk.looks.len(), 1);
    desk.pass(20);
    assert_eq!(desk.looks.len(), 2);
}

#[test]
fn being_asked_about_what_fails_at_once_makes_a_second_look_a_second_later() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    assert_eq!(desk.answers[0].2[0].failures, 1);
    desk.pass(900);
    desk.tell(Input::Asked { ticket: 2, checks: vec!["api".into()] });
    assert_eq!((desk.looks.len(), desk.answers.len()), (1, 1), "it waits for the look that is on its way");
    desk.pass(150);
    assert_eq!(desk.looks.len(), 2);
    assert_eq!((desk.answers[1].1, desk.answers[1].2[0].failures), (2, 2));
}

#[test]
fn a_look_asked_for_twice_within_a_second_is_one_look() {
    let mut desk = Desk::settled();
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
    desk.pass(500);
    desk.tell(Input::Asked { ticket: 2, checks: vec!["api".into()] });
    desk.pass(200);
    assert_eq!((desk.looks.len(), desk.answers.len()), (1, 2));
    desk.pass(400);
    desk.tell(Input::Asked { ticket: 3, checks: vec!["api".into()] });
    assert_eq!(desk.looks.len(), 2);
}

#[test]
fn who_asks_is_answered_within_two_seconds_with_what_is_still_looked_at() {
    let mut desk = Desk::settled();
    desk.hanging.insert("api".into());
    desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into(), "unheard-of".into()] });
    desk.run(2);
    let (_, ticket, looks, pending) = desk.answers[0].clone();
    assert_eq!((ticket, looks, pending), (1, Vec::new(), vec![CheckName::from("api")]));
}

#[test]
fn what_a_peer_still_looks_at_is_asked_for_again() {
    let mut desk = Desk::settled();
    desk.targets.insert("api".into(), REFUSED);
    while desk.asks.is_empty() {
        desk.pass(100);
    }
    let pending = vec!["api".into()];
    let heard =
        Heard { watchdog: "w2".into(), incarnation: Incarnation(7), said_after: desk.now, looks: Vec::new(), pending };
    desk.forget();
    desk.tell(Input::Heard(heard));
    desk.pass(50);
    assert_eq!(desk.asks[0].1, ["w2"]);
}

#[test]
fn own_trouble_is_no_vote_and_looked_at_again_within_a_minute() {
    let mut desk = Desk::with(Policy::default(), &[]);
    desk.tell(Input::Defined(vec![Definition { interval: Duration::from_secs(86_400), ..check("api") }]));
    desk.targets.insert("api".into(), Outcome::Unable(Trouble::Descriptors));
    desk.hear("w2", Outcome::Up, 2);
    desk.hear("w3", Outcome::Up, 2);
    desk.run(100);
    assert_eq!((desk.state(), desk.looks.len()), (State::Up, 2));
    assert_eq!(desk.asks, Vec::new());
}

#[test]
fn a_failure_that_may_be_ones_own_networks_waits_for_a_canary() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), HANGS);
    desk.run(1);
    assert_eq!((desk.canaries, desk.asks.len()), (1, 0), "the others are not asked for what may be one's own");
    desk.answer_canary();
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, HANGS);
}

#[test]
fn a_failure_beside_canaries_that_do_not_answer_is_own_trouble() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), HANGS);
    desk.run(1);
    let before = Mono::secs(999);
    desk.tell(Input::Canary { asked_at: before, is_answered: true });
    assert_eq!(desk.machine.report(desk.now, 0, 9), Vec::new(), "an answer from before the look proves nothing");
    desk.tell(Input::Canary { asked_at: desk.canary_asked_at, is_answered: false });
    desk.run(5);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::CutOff));
    assert_eq!(desk.asks, Vec::new());
}

#[test]
fn statistics_count_a_failure_that_was_doubted_once_and_as_what_it_turned_out_to_be() {
    let doubted = || {
        let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
        desk.tell(Input::Defined(vec![check("api")]));
        desk.hanging.insert("api".into());
        for _ in 0..3 {
            desk.run(1);
            desk.answer_canary();
        }
        desk.run(2);
        desk.end("api", HANGS);
        assert_eq!(desk.counted, Vec::new(), "nobody knows yet what it was");
        desk
    };
    let mut desk = doubted();
    desk.run(5);
    assert_eq!(desk.counted, [Outcome::Unable(Trouble::CutOff)]);
    let mut desk = doubted();
    desk.pass(100);
    desk.answer_canary();
    assert_eq!(desk.counted, [HANGS]);
}

#[test]
fn statistics_count_a_look_that_was_lost_as_that_and_its_late_end_not_at_all() {
    let mut desk = Desk::with(Policy::default(), &[]);
    desk.hanging.insert("api".into());
    desk.tell(Input::Defined(vec![check("api")]));
    desk.run(1);
    let number = desk.running["api"];
    desk.run(16);
    assert_eq!(desk.counted, [Outcome::Unable(Trouble::Lost)]);
    desk.tell(Input::Looked { check: "api".into(), number, outcome: Outcome::Up, answer: Answer::default() });
    assert_eq!(desk.counted.len(), 1);
}

#[test]
fn a_look_that_began_while_cut_off_and_fails_after_that_is_own_trouble() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.hanging.insert("api".into());
    desk.run(4);
    assert_eq!(desk.canaries, 4, "they are asked while it hangs");
    desk.tell(Input::Canary { asked_at: desk.canary_asked_at - Duration::from_secs(1), is_answered: false });
    desk.answer_canary();
    desk.run(1);
    desk.end("api", HANGS);
    desk.run(6);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::CutOff));
}

#[test]
fn a_target_that_refuses_needs_no_canary() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), REFUSED);
    desk.run(1);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, REFUSED);
}

/// A watchdog with canaries whose one check is well where its target does not answer.
fn upside_down(sees: Outcome) -> Desk {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.targets.insert("api".into(), sees);
    desk.tell(Input::Defined(vec![Definition { upside_down: true, ..check("api") }]));
    desk.run(1);
    desk
}

#[test]
fn what_is_upside_down_is_well_when_it_fails_and_only_beside_a_canary_where_it_may_be_ones_own_network() {
    let mut desk = upside_down(HANGS);
    assert_eq!((desk.canaries, desk.machine.report(desk.now, 0, 9)), (1, Vec::new()));
    desk.answer_canary();
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Up);
    let mut desk = upside_down(HANGS);
    desk.run(6);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Unable(Trouble::CutOff));
    let desk = upside_down(REFUSED);
    assert_eq!(desk.machine.report(desk.now, 0, 9)[0].outcome, Outcome::Up, "its host said so itself");
}

#[test]
fn what_is_upside_down_fails_when_it_answers_and_is_not_well_where_nobody_may_look() {
    let seen = |sees| {
        let desk = upside_down(sees);
        desk.machine.report(desk.now, 0, 9)[0].outcome
    };
    assert_eq!(seen(Outcome::Up), Outcome::Failed(Failure::Content));
    assert_eq!(seen(Outcome::Failed(Failure::Forbidden)), Outcome::Failed(Failure::Forbidden));
    assert_eq!(seen(Outcome::Unable(Trouble::Route)), Outcome::Unable(Trouble::Route));
}
