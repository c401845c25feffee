//! Which failures may be an outage of the watchdog's own, and are no vote.

use std::time::Duration;

use komainu_watchdogs::check::{Definition, Input, Outcome, Policy, Trouble};

use super::checks_desk::{Desk, HANGS, check};

const CUT_OFF: Outcome = Outcome::Unable(Trouble::CutOff);

/// A watchdog with a canary looks at api, which does not answer, and gives up after so many milliseconds. The canary is asked after half
/// a second, then each second, and at the end; `answers`: after how many milliseconds each of these is answered, if at all.
fn hung(timeout: u64, answers: &[Option<u64>]) -> Desk {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![Definition { timeout: Duration::from_millis(timeout), ..check("api") }]));
    desk.hanging.insert("api".into());
    while desk.looks.is_empty() {
        desk.pass(1);
    }
    let mut asked = Vec::new();
    for _ in 0..timeout / 10 {
        desk.pass(10);
        if desk.canaries > asked.len() {
            asked.push(desk.canary_asked_at);
        }
        answer(&mut desk, &asked, answers);
    }
    desk.end("api", HANGS);
    for _ in 0..400 {
        desk.pass(10);
        if desk.canaries > asked.len() {
            asked.push(desk.canary_asked_at);
        }
        answer(&mut desk, &asked, answers);
    }
    desk
}

fn answer(desk: &mut Desk, asked: &[komainu_watchdogs::time::Mono], answers: &[Option<u64>]) {
    for (asked_at, after) in asked.iter().zip(answers) {
        let since = u64::try_from(desk.now.since(*asked_at).as_millis()).unwrap();
        if after.is_some_and(|after| (after..after + 10).contains(&since)) {
            desk.tell(Input::Canary { asked_at: *asked_at, is_answered: true });
        }
    }
}

#[test]
fn a_canary_that_answers_while_the_target_does_not_shows_that_the_network_was_well() {
    assert_eq!(hung(2_000, &[Some(20); 3]).counted, [HANGS]);
    assert_eq!(hung(5_000, &[Some(20); 6]).counted, [HANGS]);
}

#[test]
fn a_network_that_came_back_after_the_last_try_of_a_look_proves_nothing() {
    assert_eq!(hung(2_000, &[None, Some(20), Some(20)]).counted, [CUT_OFF]);
    assert_eq!(
        hung(3_500, &[None, Some(20), Some(20), Some(20), Some(20)]).counted,
        [CUT_OFF],
        "and one at 3 s comes too late"
    );
}

#[test]
fn a_look_that_tried_again_after_the_network_came_back_counts() {
    let back = [&[None; 2][..], &[Some(20); 6][..]].concat();
    assert_eq!(hung(7_000, &back).counted, [HANGS]);
    assert_eq!(hung(5_000, &back).counted, [CUT_OFF], "where there was hardly time for an answer it does not");
}

#[test]
fn a_canary_that_answered_at_the_second_try_only_proves_nothing() {
    assert_eq!(hung(5_000, &[Some(1_020), None, None, None, None]).counted, [CUT_OFF]);
}

#[test]
fn an_outage_that_begins_while_a_target_is_slow_is_own_trouble() {
    assert_eq!(hung(10_000, &[Some(20)]).counted, [CUT_OFF]);
    let back = [&[Some(20); 2][..], &[None; 4][..], &[Some(20); 5][..]].concat();
    assert_eq!(hung(10_000, &back).counted, [CUT_OFF], "also when the network is back before the look gives up");
}

#[test]
fn a_canary_that_misses_once_keeps_nobody_from_seeing_a_target_that_hangs() {
    let lossy = [Some(20), None, Some(20), Some(20), None, Some(20), None, Some(20), Some(20), None, Some(20)];
    assert_eq!(hung(10_000, &lossy).counted, [HANGS]);
}

#[test]
fn what_cannot_be_proved_any_more_is_not_waited_for() {
    let mut desk = Desk::with(Policy::default(), &["tcp://1.1.1.1:443"]);
    desk.tell(Input::Defined(vec![check("api")]));
    desk.targets.insert("api".into(), HANGS);
    desk.pass(900);
    assert_eq!(desk.counted, [], "its name is unknown, and the canary may yet answer");
    desk.pass(200);
    assert_eq!(desk.counted, [CUT_OFF]);
}

#[test]
fn a_look_that_was_asked_for_counts_for_two_only_if_it_asked_its_target_twice() {
    let failures = |timeout| {
        let mut desk = Desk::with(Policy::default(), &[]);
        let definition = Definition { timeout: Duration::from_millis(timeout), ..check("api") };
        desk.tell(Input::Defined(vec![definition]));
        desk.run(25);
        desk.hanging.insert("api".into());
        desk.pass(1_500);
        desk.tell(Input::Asked { ticket: 1, checks: vec!["api".into()] });
        desk.pass(timeout);
        desk.end("api", HANGS);
        desk.machine.report(desk.now, 0, 9)[0].failures
    };
    assert_eq!((failures(1_200), failures(1_500)), (1, 2));
}
