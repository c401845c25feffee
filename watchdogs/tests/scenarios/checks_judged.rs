//! What a majority makes of looks at a check: one story a sentence of the design.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::check::{
    Answer, Ballot, Definition, Electorate, Failure, Look, Outcome, Policy, Quorum, Reason, Stand, State, Trouble,
    Vote, judge,
};
use komainu_watchdogs::ids::{Incarnation, WatchdogId, Zone};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::time::Mono;

const NOW: Mono = Mono::secs(10_000);

/// A voter's word: so many failures in a row, so many successes, its own trouble, or nothing.
#[derive(Clone, Copy)]
enum Says {
    Fails(u32),
    Reaches(u32),
    Cannot,
    Nothing,
}
use Says::{Cannot, Fails, Nothing, Reaches};

fn api() -> Definition {
    Definition {
        name: "api".into(),
        version: 1,
        interval: Duration::from_secs(20),
        timeout: Duration::from_secs(5),
        quorum: Quorum::Majority,
        zones: BTreeSet::new(),
        severity: Severity::Critical,
        paused: false,
        upside_down: false,
    }
}

fn vote(says: Says, age: Duration) -> Option<Vote> {
    let (outcome, failures, successes) = match says {
        Fails(failures) => (Outcome::Failed(Failure::Refused), failures, 0),
        Reaches(successes) => (Outcome::Up, 0, successes),
        Cannot => (Outcome::Unable(Trouble::Descriptors), 0, 0),
        Nothing => return None,
    };
    let look = Look {
        check: "api".into(),
        version: 1,
        number: 1,
        outcome,
        failures,
        successes,
        age_ms: 0,
        answer: Answer::default(),
    };
    Some(Vote { look, looked_at: NOW - age, incarnation: Incarnation(1), is_expired: false })
}

/// Voters w1, w2, …, each in its zone.
struct Room {
    voters: Vec<(WatchdogId, Zone, Option<Vote>)>,
    cut_off: usize,
    /// Since when all of them could be heard.
    awaited_since: Mono,
}

fn room(words: &[(&str, Says)]) -> Room {
    let voters = words.iter().enumerate().map(|(number, &(zone, says))| {
        (format!("w{}", number + 1).into(), zone.into(), vote(says, Duration::from_secs(1)))
    });
    Room { voters: voters.collect(), cut_off: 0, awaited_since: Mono::secs(0) }
}

impl Room {
    fn judge(&self, definition: &Definition, before: State) -> (State, Reason) {
        let verdict = judge(NOW, definition, &self.electorate(), before, &Policy::default());
        (verdict.state, verdict.reason)
    }

    fn electorate(&self) -> Electorate<'_> {
        let ballots = self.voters.iter().map(|(watchdog, zone, vote)| Ballot {
            watchdog,
            zone,
            vote: vote.as_ref(),
            awaited_since: self.awaited_since,
        });
        Electorate { ballots: ballots.collect(), living: self.voters.len() + self.cut_off }
    }
}

fn judged(words: &[(&str, Says)], before: State) -> (State, Reason) {
    room(words).judge(&api(), before)
}

#[test]
fn a_strict_majority_that_failed_in_two_looks_running_is_down() {
    let words = [("a", Fails(2)), ("b", Fails(2)), ("c", Reaches(9))];
    assert_eq!(judged(&words, State::Up), (State::Down, Reason::Failed { failed: 2, voters: 3 }));
}

#[test]
fn one_look_that_fails_everywhere_changes_nothing_yet() {
    let words = [("a", Fails(1)), ("b", Fails(1)), ("c", Fails(1))];
    assert_eq!(judged(&words, State::Up), (State::Up, Reason::Settling { fresh: 3, voters: 3 }));
    assert_eq!(judged(&words, State::Unknown).0, State::Unknown);
}

#[test]
fn one_of_three_is_no_majority() {
    let words = [("a", Fails(2)), ("b", Reaches(9)), ("c", Reaches(9))];
    assert_eq!(judged(&words, State::Up), (State::Up, Reason::Reached { reached: 2, voters: 3 }));
}

#[test]
fn a_strict_majority_that_succeeded_in_two_looks_running_is_up_again() {
    let words = [("a", Reaches(2)), ("b", Reaches(2)), ("c", Fails(2))];
    assert_eq!(judged(&words, State::Down).0, State::Up);
    let words = [("a", Reaches(1)), ("b", Reaches(1)), ("c", Reaches(1))];
    assert_eq!(judged(&words, State::Down).0, State::Down, "once is not twice");
}

#[test]
fn who_has_not_looked_since_the_others_reach_it_again_makes_it_no_partial_outage() {
    let words = [("a", Reaches(2)), ("b", Reaches(2)), ("c", Fails(9))];
    assert_eq!(judged(&words, State::Down), (State::Up, Reason::Reached { reached: 2, voters: 3 }));
    assert_eq!(judged(&words, State::Up).0, State::Up, "its failures are those of the outage that is over");
    let lasting = [("a", Reaches(5)), ("b", Reaches(5)), ("c", Fails(10))];
    assert_eq!(judged(&lasting, State::Up), (State::Partial, Reason::MinorityFails { failed: 1, voters: 3 }));
    let restarted = [("a", Reaches(3)), ("b", Reaches(2)), ("c", Fails(10))];
    assert_eq!(judged(&restarted, State::Partial).0, State::Partial, "a watchdog that was started anew ends nothing");
}

#[test]
fn where_the_voters_stand_in_two_zones_the_failing_ones_do_too() {
    let words = [("a", Fails(3)), ("a", Fails(3)), ("b", Reaches(9))];
    assert_eq!(judged(&words, State::Up), (State::Partial, Reason::OneZone { failed: 2, voters: 3 }));
    let all_in_one = [("a", Fails(3)), ("a", Fails(3)), ("a", Reaches(9))];
    assert_eq!(judged(&all_in_one, State::Up).0, State::Down);
}

#[test]
fn a_zone_of_which_nothing_is_heard_yet_may_reach_it_and_one_that_has_had_its_time_contradicts_nobody() {
    let one_zone = (State::Partial, Reason::OneZone { failed: 2, voters: 3 });
    let mut silent = room(&[("a", Fails(3)), ("a", Fails(3)), ("b", Nothing)]);
    silent.awaited_since = NOW - Duration::from_secs(30);
    assert_eq!(silent.judge(&api(), State::Up), one_zone, "it may reach it, and cannot say so yet");
    silent.awaited_since = NOW - Duration::from_millis(30_001);
    assert_eq!(silent.judge(&api(), State::Up).0, State::Down);
    let mut stale = room(&[("a", Fails(3)), ("a", Fails(3)), ("b", Nothing)]);
    stale.voters[2].2 = vote(Reaches(9), Duration::from_secs(31));
    stale.awaited_since = NOW - Duration::from_secs(2);
    assert_eq!(stale.judge(&api(), State::Up), one_zone, "who judges stood still, and has not heard of it since");
    stale.awaited_since = Mono::secs(0);
    assert_eq!(stale.judge(&api(), State::Up).0, State::Down);
}

#[test]
fn where_one_makes_it_down_it_is_up_again_when_all_that_have_looked_lately_reach_it() {
    let any = Definition { quorum: Quorum::Any, ..api() };
    let mut words = room(&[("a", Fails(1)), ("b", Reaches(9)), ("c", Reaches(9))]);
    assert_eq!(words.judge(&any, State::Down).0, State::Down, "it looks again in a second");
    words.voters[0].2 = vote(Cannot, Duration::from_secs(1));
    assert_eq!(words.judge(&any, State::Down), (State::Up, Reason::Reached { reached: 2, voters: 3 }));
    words.voters[0].2 = vote(Fails(1), Duration::from_secs(31));
    assert_eq!(words.judge(&any, State::Down).0, State::Up);
    let two_of_five = Definition { quorum: Quorum::AtLeast(2), ..api() };
    let words = [("a", Fails(1)), ("b", Reaches(2)), ("c", Reaches(2)), ("d", Cannot), ("e", Nothing)];
    assert_eq!(room(&words).judge(&two_of_five, State::Down).0, State::Up, "one of them alone makes it not down");
    let words = [("a", Fails(1)), ("b", Fails(1)), ("c", Reaches(2)), ("d", Cannot), ("e", Nothing)];
    assert_eq!(room(&words).judge(&two_of_five, State::Down).0, State::Down);
}

#[test]
fn a_zone_whose_only_watchdog_cannot_look_contradicts_nobody() {
    let words = [("a", Fails(2)), ("a", Fails(2)), ("b", Cannot)];
    assert_eq!(judged(&words, State::Up).0, State::Down);
}

#[test]
fn a_tie_is_not_down() {
    let tie = [("a", Fails(3)), ("b", Fails(3)), ("c", Reaches(9)), ("d", Reaches(9))];
    assert_eq!(judged(&tie, State::Up), (State::Partial, Reason::Split { failed: 2, reached: 2, voters: 4 }));
    assert_eq!(judged(&tie, State::Down).0, State::Partial, "nor does it stay down");
    let two = [("a", Fails(7)), ("b", Reaches(9))];
    assert_eq!(judged(&two, State::Up).0, State::Partial);
}

#[test]
fn a_tie_that_has_just_come_about_leaves_things_as_they_were() {
    let tie = [("a", Fails(2)), ("b", Reaches(9))];
    assert_eq!(judged(&tie, State::Up).0, State::Up);
    assert_eq!(judged(&tie, State::Down).0, State::Down);
}

#[test]
fn fewer_fresh_votes_than_a_majority_are_neither_alarm_nor_calm() {
    let words = [("a", Fails(9)), ("b", Nothing), ("c", Nothing)];
    for before in [State::Up, State::Down, State::Partial, State::Unknown] {
        assert_eq!(judged(&words, before), (State::Unknown, Reason::TooFewFresh { fresh: 1, voters: 3 }));
    }
}

#[test]
fn own_trouble_is_no_vote() {
    let words = [("a", Fails(9)), ("b", Cannot), ("c", Cannot)];
    assert_eq!(judged(&words, State::Up), (State::Unknown, Reason::TooFewFresh { fresh: 1, voters: 3 }));
    let words = [("a", Fails(2)), ("b", Cannot), ("c", Reaches(9))];
    assert_eq!(judged(&words, State::Up).0, State::Up);
}

#[test]
fn a_vote_is_fresh_for_interval_and_timeout_and_five_seconds() {
    let aged = |age| {
        let mut room = room(&[("a", Fails(2)), ("b", Fails(2)), ("c", Nothing)]);
        room.voters[0].2 = vote(Fails(2), age);
        room.judge(&api(), State::Up).0
    };
    assert_eq!(aged(Duration::from_secs(30)), State::Down);
    assert_eq!(aged(Duration::from_millis(30_001)), State::Unknown);
}

#[test]
fn a_look_at_what_the_check_was_before_an_edit_is_no_vote() {
    let edited = Definition { version: 2, ..api() };
    let room = room(&[("a", Fails(2)), ("b", Fails(2)), ("c", Fails(2))]);
    assert_eq!(room.judge(&edited, State::Up), (State::Unknown, Reason::TooFewFresh { fresh: 0, voters: 3 }));
}

#[test]
fn a_minority_that_fails_in_three_rounds_running_is_partial() {
    let words = |failures| [("a", Fails(failures)), ("b", Reaches(9)), ("c", Reaches(9))];
    assert_eq!(judged(&words(2), State::Up).0, State::Up);
    assert_eq!(judged(&words(3), State::Up), (State::Partial, Reason::MinorityFails { failed: 1, voters: 3 }));
    assert_eq!(judged(&words(0), State::Partial).0, State::Up);
}

#[test]
fn where_most_are_cut_off_from_the_world_nobody_judges() {
    let mut room = room(&[("a", Fails(9))]);
    room.cut_off = 2;
    assert_eq!(room.judge(&api(), State::Up), (State::Unknown, Reason::Isolated { voters: 1, living: 3 }));
    room.cut_off = 1;
    assert_eq!(room.judge(&api(), State::Up).0, State::Down, "one of two may still judge");
    assert_eq!(judged(&[], State::Up), (State::Unknown, Reason::NoVoters));
}

#[test]
fn a_paused_check_is_unknown() {
    let paused = Definition { paused: true, ..api() };
    let room = room(&[("a", Fails(9)), ("b", Fails(9))]);
    assert_eq!(room.judge(&paused, State::Up), (State::Unknown, Reason::Paused));
}

#[test]
fn a_quorum_of_all_any_or_a_number_is_what_it_says() {
    let words = [("a", Fails(3)), ("b", Fails(3)), ("c", Reaches(9))];
    let of = |quorum, words: &[(&str, Says)]| room(words).judge(&Definition { quorum, ..api() }, State::Up).0;
    assert_eq!(of(Quorum::All, &words), State::Partial);
    assert_eq!(of(Quorum::AtLeast(2), &words), State::Down);
    assert_eq!(of(Quorum::AtLeast(3), &words), State::Partial);
    assert_eq!(of(Quorum::Any, &[("a", Fails(2)), ("b", Reaches(9)), ("c", Reaches(9))]), State::Down);
    assert_eq!(of(Quorum::All, &[("a", Fails(2)), ("b", Fails(2)), ("c", Fails(2))]), State::Down);
    assert_eq!(of(Quorum::AtLeast(5), &[("a", Fails(2)), ("b", Fails(2))]), State::Down, "all, where there are fewer");
}

#[test]
fn a_verdict_shows_how_each_voters_word_counts() {
    let mut room = room(&[("a", Fails(2)), ("b", Cannot), ("c", Nothing), ("d", Reaches(2))]);
    room.voters[3].2 = vote(Reaches(2), Duration::from_secs(99));
    let verdict = judge(NOW, &api(), &room.electorate(), State::Up, &Policy::default());
    let stands: Vec<_> = verdict.views.iter().map(|view| view.stand).collect();
    assert_eq!(stands, [Stand::Failed, Stand::Unable, Stand::Silent, Stand::Stale]);
    assert_eq!(verdict.views[3].look.as_ref().map(|look| look.age_ms), Some(99_000));
}
