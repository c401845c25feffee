//! How soon a verdict comes where nothing but the target fails, and a day in which targets flap.

use komainu_watchdogs::check::State;

use super::judge::Variant;
use super::plan::{Fault, Manner, Plan, SECOND, Span, Us, Weather, Whom};
use super::world::{Setup, World};
use crate::simulation::prng::Prng;

const DAY: Us = 24 * 3_600 * SECOND;

fn world(seed: u64, checks: Vec<(Us, Us)>, (spans, length): (Vec<Span>, Us), variant: Option<Variant>) -> World {
    let zones = vec![0, 1, 2];
    let plan = Some(Plan { zones: zones.clone(), spans });
    World::new(Prng::new(seed), &Setup { zones, checks, plan, weather: Weather::Fair, length }, variant)
}

/// From the fault to the first verdict, in milliseconds, of a thousand faults: the median and the 99th of a hundred.
fn delays(interval: Us, timeout: Us, manner: Manner) -> (Us, Us) {
    delays_amid((interval, timeout), manner, &[])
}

/// The same amid other faults.
fn delays_amid((interval, timeout): (Us, Us), manner: Manner, others: &[Span]) -> (Us, Us) {
    const CHECKS: usize = 10;
    let mut delays = Vec::new();
    for seed in 0..100 {
        let mut rng = Prng::new(seed);
        let spans = (0..CHECKS).map(|check| {
            let from = rng.between(200 * SECOND, 300 * SECOND);
            Span { fault: Fault::Target { check, whom: Whom::All, manner, period: None }, from, until: 600 * SECOND }
        });
        let spans: Vec<_> = spans.collect();
        let all = [others, &spans].concat();
        let mut world = world(seed, vec![(interval, timeout); CHECKS], (all, 500 * SECOND), None);
        world.run();
        assert_eq!(world.violation, None);
        let found = spans.iter().enumerate().map(|(check, span)| {
            (world.judge.first(&[0, 1, 2], check, span.from, State::Down).unwrap() - span.from) / 1_000
        });
        delays.extend(found);
    }
    delays.sort_unstable();
    let found = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    println!("interval {interval} s, {manner:?} (timeout {timeout} s): p50 {} ms, p99 {} ms", found.0, found.1);
    found
}

#[test]
fn a_target_that_refuses_is_down_within_the_bounds_of_the_design() {
    let (half, most) = delays(20, 5, Manner::Refuses);
    assert!(half <= 6_000 && most <= 10_000, "{half} {most}");
    let (_, most) = delays(60, 5, Manner::Refuses);
    assert!(most <= 25_000, "{most}");
}

#[test]
fn a_target_that_hangs_is_down_one_timeout_later() {
    let (half, most) = delays(20, 16, Manner::Hangs);
    assert!(half <= 22_000 && most <= 26_000, "{half} {most}");
    let (_, most) = delays(60, 48, Manner::Hangs);
    assert!(most <= 73_000, "{most}");
}

#[test]
fn a_peer_that_takes_connections_and_answers_none_delays_no_verdict_beyond_the_bounds_of_the_design() {
    for dog in 0..3 {
        let mute = [Span { fault: Fault::Mute { dog }, from: 100 * SECOND, until: 600 * SECOND }];
        let (half, most) = delays_amid((20, 5), Manner::Refuses, &mute);
        assert!(half <= 6_000 && most <= 10_000, "w{dog}: {half} {most}");
        let (_, most) = delays_amid((60, 5), Manner::Refuses, &mute);
        assert!(most <= 25_000, "w{dog}: {most}");
        let (_, most) = delays_amid((20, 10), Manner::Hangs, &mute);
        assert!(most <= 20_000, "w{dog}: {most}");
    }
}

/// Failures of half a second or so, again and again.
fn blips(rng: &mut Prng, check: usize, whom: Whom) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = 100 * SECOND;
    while from < DAY {
        let until = from + rng.between(100_000, 900_000);
        spans.push(Span { fault: Fault::Target { check, whom, manner: Manner::Refuses, period: None }, from, until });
        from = until + rng.between(5, 60) * SECOND;
    }
    spans
}

/// Blips for all, one watchdog's path, one zone and one other watchdog, and a target that is down for a minute and a half each time.
fn flapping_for_a_day(variant: Option<Variant>) -> World {
    let mut rng = Prng::new(1);
    let flaps = |check, whom, manner, period| Span {
        fault: Fault::Target { check, whom, manner, period: Some(period) },
        from: 100 * SECOND,
        until: DAY,
    };
    let mut spans = blips(&mut rng, 0, Whom::All);
    spans.push(flaps(1, Whom::One(0), Manner::Refuses, 7 * SECOND));
    spans.push(flaps(2, Whom::Zone(1), Manner::Hangs, 47 * SECOND));
    spans.push(flaps(2, Whom::One(2), Manner::Refuses, 310 * SECOND));
    spans.push(flaps(3, Whom::All, Manner::Refuses, 95 * SECOND));
    let mut world = world(1, vec![(20, 5); 4], (spans, DAY), variant);
    world.run();
    world
}

#[test]
fn a_day_of_flapping_brings_no_false_alarm() {
    let world = flapping_for_a_day(None);
    assert_eq!(world.violation, None, "each verdict is judged by what was true");
    let downs = [0, 1, 2, 3].map(|check| world.judge.times(0, check, State::Down));
    println!("a day of flapping: verdicts down by check {downs:?}, {} partial", world.counts.partial);
    assert_eq!((downs[0], downs[1]), (0, 0), "blips, and one watchdog's path");
    let times = usize::try_from(DAY / (190 * SECOND)).unwrap();
    assert!(downs[3] + 5 >= times, "a minute and a half of failing is down each time: {} of {times}", downs[3]);
}

#[test]
fn a_day_of_flapping_brings_false_alarms_where_one_look_is_enough() {
    let world = flapping_for_a_day(Some(Variant::OneLookIsEnough));
    let violation = world.violation.unwrap();
    assert!(violation.starts_with("two_looks"), "{violation}");
}

/// How often a verdict was entered in an hour in which one watchdog of three hears nobody, and nothing fails.
fn entered_beside_a_deaf_one(variant: Option<Variant>) -> u64 {
    let zones = vec![0, 1, 2];
    let spans = vec![Span { fault: Fault::Deaf { dog: 0 }, from: 300 * SECOND, until: 3_900 * SECOND }];
    let plan = Some(Plan { zones: zones.clone(), spans });
    let setup = Setup { zones, checks: vec![(20, 5)], plan, weather: Weather::Fair, length: 4_000 * SECOND };
    let mut world = World::new(Prng::new(1), &setup, variant);
    world.run();
    world.counts.entered
}

#[test]
fn one_watchdog_that_hears_nobody_has_no_verdict_rewritten_again_and_again() {
    assert_eq!(entered_beside_a_deaf_one(None), 3, "up, unknown, up");
    let entered = entered_beside_a_deaf_one(Some(Variant::UnknownIsNotRead));
    assert!(entered > 100, "where it does not see that it is contradicted: {entered}");
}
