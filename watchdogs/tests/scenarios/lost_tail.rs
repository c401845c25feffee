//! A database that forgot what it had answered, as one watchdog finds it.

use std::time::Duration;

use komainu_watchdogs::ids::{Generation, Incarnation};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::tail::{KEY, LostTail, Remembrance};
use komainu_watchdogs::time::{Mono, Wall};
use komainu_watchdogs::watchdog::Watchdog;

use super::database::{Database, wall};
use super::world::{Deed, Setup, World};

fn world() -> World {
    World::new(&Setup::default())
}

fn told(world: &World) -> Vec<(Mono, LostTail)> {
    let mut losses = Vec::new();
    for (at, deed) in &world.deeds {
        if let Deed::LostTail(loss) = deed {
            losses.push((*at, *loss));
        }
    }
    losses
}

/// Of the story.
fn second(at: Wall) -> u64 {
    at.since(wall(Mono::secs(0))).as_secs()
}

/// As the database stood then, with what the nodes have said since: only the watchdog's own row matters here.
fn go_back(world: &mut World, kept: &Database) {
    world.database.watchdogs.clone_from(&kept.watchdogs);
    world.database.own.clone_from(&kept.own);
}

#[test]
fn a_promoted_replica_that_was_four_seconds_behind_is_told_with_its_span() {
    let mut world = world();
    world.run_to_point(Mono::millis(20_500));
    let kept = world.database.clone();
    world.run_to_point(Mono::millis(24_500));
    world.database.is_down = true;
    world.run_to_point(Mono::millis(30_500));
    go_back(&mut world, &kept);
    world.database.is_down = false;
    world.run_to(40);
    let told = told(&world);
    let [(at, loss)] = told.as_slice() else { panic!("{told:?}") };
    assert!(*at <= Mono::secs(32), "{at:?}");
    assert_eq!((second(loss.from), second(loss.until)), (20, 24));
    assert_eq!(
        loss.since.map(|since| second(wall(since))),
        Some(20),
        "what was answered before the last write that is there is there"
    );
    assert_eq!(loss.generations, None);
}

#[test]
fn an_assignment_that_went_back_is_named() {
    let mut world = world();
    world.run_to_point(Mono::millis(20_500));
    let kept = world.database.clone();
    let before = world.database.cluster.stamp.generation;
    world.database.cluster.stamp.generation = Generation(before.0 + 3);
    world.run_to_point(Mono::millis(22_500));
    go_back(&mut world, &kept);
    world.database.cluster = kept.cluster.clone();
    world.run_to(30);
    assert_eq!(told(&world)[0].1.generations, Some((Generation(before.0 + 3), before)));
}

#[test]
fn a_write_without_an_answer_and_a_clock_that_jumps_are_no_loss() {
    let mut world = world();
    world.run_to_point(Mono::millis(20_500));
    world.database.is_read_only = true;
    world.run_to_point(Mono::millis(26_500));
    world.database.is_read_only = false;
    world.run_to(40);
    assert_eq!(told(&world), []);
}

#[test]
fn a_row_that_an_operator_removed_is_no_loss() {
    let mut world = world();
    world.run_to_point(Mono::millis(20_500));
    world.database.watchdogs.remove(&"w1".into());
    world.database.own = None;
    world.run_to(40);
    assert_eq!(told(&world), []);
}

#[test]
fn what_could_not_be_entered_is_entered_five_seconds_later_and_then_no_more() {
    let mut world = world();
    world.run_to_point(Mono::millis(20_500));
    let kept = world.database.clone();
    world.run_to_point(Mono::millis(24_500));
    go_back(&mut world, &kept);
    world.refuse_telling = true;
    world.run_to_point(Mono::millis(29_500));
    world.refuse_telling = false;
    world.run_to(60);
    let told = told(&world);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].0.since(told[0].0) >= Duration::from_secs(5));
    assert_eq!(world.database.own.as_ref().unwrap().1.loss, None, "its mark is gone");
}

#[test]
fn a_process_that_was_started_anew_finds_what_an_earlier_one_was_answered_and_a_restart_alone_is_nothing() {
    let mut world = world();
    world.run_to_point(Mono::millis(20_500));
    let kept = world.database.clone();
    world.run_to_point(Mono::millis(24_500));
    let earlier = world.core.remembrance();
    let start = |world: &mut World, earlier: &Remembrance| {
        world.identity.incarnation = Incarnation(world.identity.incarnation.0 + 1);
        let who = (world.identity.clone(), komainu_watchdogs::policy::Policy::default());
        world.core = Watchdog::after(earlier, who, world.now, 3);
    };
    start(&mut world, &earlier);
    world.run_to(35);
    assert_eq!(told(&world), []);
    go_back(&mut world, &kept);
    start(&mut world, &earlier);
    world.run_to(50);
    let told = told(&world);
    let [(_, loss)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((second(loss.from), loss.since), (20, None), "what was answered it does not know");
}

#[test]
fn that_it_is_told_of_is_no_business_of_a_round() {
    let mut world = world();
    world.run_to(20);
    let (now, summary) = (world.now, "the database lost what it had answered".to_owned());
    world.database.raise(now, &Alarm { key: KEY.to_owned(), severity: Severity::Critical, summary, votes: (1, 3) });
    world.run_to(60);
    assert!(!world.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Resolved(key) if key == KEY)));
}
