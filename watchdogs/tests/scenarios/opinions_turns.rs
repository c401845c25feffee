//! Whose turn it is to look at a monitor that its node calls up.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::ids::{MonitorId, WatchdogId, Zone};
use komainu_watchdogs::opinion::{Ends, Rounds, Turn};
use komainu_watchdogs::rota::Rota;
use komainu_watchdogs::time::{Mono, Wall};

use super::opinions::seconds;

const ENDS: Ends = Ends { first: MonitorId(1), last: MonitorId(90) };

fn place(me: &str, living: &[&str]) -> Rota {
    let living: Vec<_> = living.iter().map(|&name| WatchdogId::from(name)).collect();
    Rota::of(&me.into(), &living)
}

/// At this second of a round that begins at 0: the keys that have their turn.
fn draw(rounds: &mut Rounds, second: i64, rota: Rota, ends: Ends) -> Vec<i64> {
    let Some(turn) = rounds.next(Wall(540_000_000 + 1_000 * second), rota, ends) else { return vec![] };
    rounds.note_drawn(turn, turn.upto);
    (turn.after.0 + 1..=turn.upto.0).filter(|key| turn.is_mine(rota, MonitorId(*key))).collect()
}

#[test]
fn all_watchdogs_together_look_no_more_than_fifty_times_a_second_at_what_is_up() {
    for living in [1, 3, 7] {
        let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
        let mut looks = 0;
        for millis in (0..10_000).step_by(20) {
            while rounds.try_take(Mono::millis(millis), living) {
                looks += 1;
            }
        }
        let together = looks * living;
        assert!((490..=560).contains(&together), "{living} watchdogs: {together} in ten seconds");
    }
}

#[test]
fn the_looks_of_a_round_are_spread_over_it() {
    let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
    let alone = Rota::alone();
    assert_eq!(draw(&mut rounds, 60, alone, ENDS), (1..=10).collect::<Vec<_>>(), "who begins goes back by a minute");
    let mut at = vec![];
    for second in 61..=600 {
        at.extend(draw(&mut rounds, second, alone, ENDS).into_iter().map(|key| (key, second)));
    }
    assert_eq!(at.len(), 90);
    // A key every six seconds: each has its turn nine minutes after the last.
    assert!(at[..80].iter().all(|(key, second)| *second == key * 6), "{at:?}");
    assert_eq!(at[80..], (1..=10).map(|key| (key, 540 + key * 6)).collect::<Vec<_>>());
}

#[test]
fn whose_turn_it_is_depends_on_nothing_that_a_process_forgets() {
    let living = ["w1", "w2", "w3"];
    let mut all = living.map(|me| (place(me, &living), Rounds::new(seconds(600), Mono::secs(0))));
    for second in 0..300 {
        for (rota, rounds) in &mut all {
            draw(rounds, second, *rota, ENDS);
        }
    }
    // One of them was started anew.
    all[1].1 = Rounds::new(seconds(600), Mono::secs(0));
    let mut drawn: Vec<i64> = (300..840)
        .flat_map(|second| {
            all.iter_mut().flat_map(|(rota, rounds)| draw(rounds, second, *rota, ENDS)).collect::<Vec<_>>()
        })
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn, (1..=90).collect::<Vec<_>>(), "each once, whoever looks");
}

#[test]
fn what_was_the_turn_of_one_that_was_killed_is_looked_at_by_those_who_miss_it() {
    let (three, two) = (["w1", "w2", "w3"], ["w1", "w3"]);
    let mut left = two.map(|me| (me, Rounds::new(seconds(600), Mono::secs(0))));
    let looks = |left: &mut [(&str, Rounds); 2], seconds: std::ops::Range<i64>, living: &[&str]| {
        let each = |second| {
            left.iter_mut().flat_map(|(me, rounds)| draw(rounds, second, place(me, living), ENDS)).collect::<Vec<_>>()
        };
        seconds.flat_map(each).collect::<BTreeSet<_>>()
    };
    looks(&mut left, 0..200, &three);
    // Killed at 200, and missed at 215.
    let before = looks(&mut left, 200..215, &three);
    assert!(before.len() < 3, "{before:?}");
    let after = looks(&mut left, 215..216, &two);
    assert!((26..=35).all(|key| after.contains(&key)), "a minute's turns once more: {after:?}");
}

#[test]
fn where_only_some_zones_look_the_turn_is_always_one_of_theirs_whoever_lives() {
    let all = [("w1", "a"), ("w2", "b"), ("w3", "b"), ("w4", "c"), ("w5", "a")];
    let turn = |round| Turn { round, after: MonitorId(0), upto: MonitorId(30) };
    for (zones, living) in (0_u32..8).flat_map(|zones| (0_u32..32).map(move |living| (zones, living))) {
        let zones: BTreeSet<Zone> = ["a", "b", "c"]
            .iter()
            .enumerate()
            .filter(|(at, _)| zones >> at & 1 == 1)
            .map(|(_, zone)| Zone::from(*zone))
            .collect();
        let members: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(at, (name, zone))| (WatchdogId::from(*name), Zone::from(*zone), living >> at & 1 == 1))
            .collect();
        let voting: Vec<_> = members.iter().filter(|(_, _, may_vote)| *may_vote).collect();
        let near = voting.iter().filter(|(_, zone, _)| zones.is_empty() || zones.contains(zone)).count();
        for (round, monitor) in (0..7).flat_map(|round| (1..=30).map(move |monitor| (round, monitor))) {
            let looks = voting.iter().filter(|(me, zone, _)| {
                Rota::among((me, zone), &members, &zones)
                    .is_some_and(|rota| turn(round).is_mine(rota, MonitorId(monitor)))
            });
            let looks: Vec<_> = looks.collect();
            assert_eq!(looks.len(), near.min(1), "{zones:?} {voting:?}");
            assert!(looks.iter().all(|(_, zone, _)| zones.is_empty() || zones.contains(zone)));
        }
    }
}

#[test]
fn where_only_one_zone_looks_each_of_its_monitors_has_its_turn_also_when_its_watchdog_dies() {
    let members = |living: &[&str]| {
        let zones = [("w1", "a"), ("w2", "b"), ("w3", "b")];
        zones.map(|(name, zone)| (WatchdogId::from(name), Zone::from(zone), living.contains(&name))).to_vec()
    };
    let zones = BTreeSet::from([Zone::from("b")]);
    let mut all = ["w2", "w3"].map(|me| (WatchdogId::from(me), Rounds::new(seconds(600), Mono::secs(0))));
    let mut looks = |span: std::ops::Range<i64>, living: &[&str], known: &[&str]| {
        let members = members(known);
        let mut drawn = BTreeSet::new();
        for second in span {
            for (me, rounds) in all.iter_mut().filter(|(me, _)| living.contains(&me.as_str())) {
                let whole = Rota::among((me, &"b".into()), &members, &BTreeSet::new()).unwrap();
                let near = Rota::among((me, &"b".into()), &members, &zones).unwrap();
                let Some(turn) = rounds.next(Wall(540_000_000 + 1_000 * second), whole, ENDS) else { continue };
                rounds.note_drawn(turn, turn.upto);
                drawn.extend((turn.after.0 + 1..=turn.upto.0).filter(|key| turn.is_mine(near, MonitorId(*key))));
            }
        }
        drawn
    };
    let both = looks(0..540, &["w2", "w3"], &["w1", "w2", "w3"]);
    assert_eq!(both.len(), 90);
    // One of them dies and is missed half a minute later.
    let mut left = looks(540..740, &["w3"], &["w1", "w2", "w3"]);
    left.extend(looks(740..770, &["w3"], &["w1", "w2", "w3"]));
    left.extend(looks(770..1_310, &["w3"], &["w1", "w3"]));
    assert_eq!(left.len(), 90);
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up_and_who_was_cut_off_begins_anew() {
    let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
    draw(&mut rounds, 500, Rota::alone(), ENDS);
    assert_eq!(draw(&mut rounds, 490, Rota::alone(), ENDS), [0; 0], "by little");
    assert_eq!(draw(&mut rounds, 300, Rota::alone(), ENDS), (41..=50).collect::<Vec<_>>());
    rounds.forget();
    assert_eq!(draw(&mut rounds, 540, Rota::alone(), ENDS), (81..=90).collect::<Vec<_>>());
}

#[test]
fn too_many_monitors_for_the_time_are_said_to_be() {
    let now = |second: i64| Wall(540_000_000 + 1_000 * second);
    let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
    draw(&mut rounds, 100, Rota::alone(), ENDS);
    assert_eq!((rounds.lateness(now(100)), rounds.broken_by(now(100))), (Duration::ZERO, None));
    // Nobody draws any more.
    assert_eq!(rounds.lateness(now(132)), seconds(30));
    assert_eq!(rounds.broken_by(now(162)), None, "of ten minutes one is kept for this");
    assert_eq!(rounds.broken_by(now(202)), Some(seconds(40)));
    // Its round ends before it comes to the end of it: it goes on, and then with the round that it is by then.
    let turn = rounds.next(now(1_700), Rota::alone(), ENDS).unwrap();
    assert_eq!((turn.round, turn.after, turn.upto), (1_000, MonitorId(16), MonitorId(90)));
    rounds.note_drawn(turn, turn.upto);
    assert_eq!(
        rounds.next(now(1_701), Rota::alone(), ENDS).map(|turn| (turn.round, turn.after)),
        Some((1_003, MonitorId(0)))
    );
    assert!(rounds.broken_by(now(1_701)).is_some());
}
