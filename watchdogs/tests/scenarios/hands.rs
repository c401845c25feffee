//! What an operator asked for: it waits for nothing but a node that can take it, and nothing undoes it.

use std::time::Duration;

use komainu_watchdogs::decision::{MoveReason, Step};
use komainu_watchdogs::facts::{MonitorRow, Overlay};
use komainu_watchdogs::ids::{Epoch, MonitorId};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::policy::{Policy, Recovery};
use komainu_watchdogs::shard::rebalance;

use super::story::assert_between;
use super::world::{Setup, World};

/// As `komainu monitors move` writes it: the monitor's home is another, and it is not there yet.
fn send(world: &mut World, monitor: i64, node: &str) {
    world.change(monitor, |row| {
        (row.home, row.asked) = (Some(node.into()), row.effective != Some(node.into()));
    });
}

fn reasons(world: &World, monitor: i64) -> Vec<(Step, MoveReason)> {
    let steps = world.steps().into_iter().filter(|(_, step)| step.monitor == MonitorId(monitor));
    steps.map(|(_, step)| (step.step, step.reason)).collect()
}

fn owner(world: &World, monitor: i64) -> String {
    let row: &MonitorRow = world.database.monitors.get(&MonitorId(monitor)).unwrap();
    row.effective.as_ref().map_or_else(String::new, ToString::to_string)
}

#[test]
fn what_an_operator_sends_arrives_within_seconds_and_the_wish_is_cleared() {
    let mut world = World::settled();
    send(&mut world, 1, "node2");
    world.run_to(36);
    assert_eq!(reasons(&world, 1), [(Step::Release, MoveReason::Operator), (Step::Arrive, MoveReason::Operator)]);
    assert_eq!(owner(&world, 1), "node2");
    assert!(!world.database.monitors.get(&MonitorId(1)).unwrap().asked);
}

#[test]
fn it_goes_also_while_the_cluster_is_frozen_and_nothing_else_does() {
    let mut world = World::settled();
    world.database.cluster.frozen = true;
    world.database.node("node3").overlay = Overlay::Draining;
    send(&mut world, 1, "node2");
    world.run_to(60);
    assert_eq!(owner(&world, 1), "node2");
    assert_eq!(world.spread(), [11, 13, 12], "the drain waits for the thaw");
    assert_eq!(world.view().would_move.iter().map(|one| one.reason).collect::<Vec<_>>(), [MoveReason::Drain]);
}

#[test]
fn a_freeze_while_it_is_under_way_does_not_leave_it_unwatched() {
    let mut world = World::settled();
    send(&mut world, 1, "node2");
    while world.nobodys() == 0 {
        world.run_to_point(world.now + Duration::from_millis(100));
    }
    world.database.cluster.frozen = true;
    world.run_to(60);
    assert_eq!(owner(&world, 1), "node2");
}

#[test]
fn it_waits_for_no_cool_off_and_for_no_recovery_by_hand() {
    let policy = Policy { recovery: Recovery::Manual, ..Policy::default() };
    let mut world = World::settled_with(&Setup { policy, ..Setup::default() });
    world.kill("node1");
    world.run_to(90);
    world.start("node1");
    world.run_to(110);
    assert_eq!(world.monitors_of("node1"), 0, "the others wait for `recover`");
    send(&mut world, 1, "node1");
    world.run_to(116);
    assert_eq!((world.monitors_of("node1"), owner(&world, 1)), (1, "node1".to_owned()));
}

#[test]
fn while_its_new_home_takes_nothing_it_stays_where_it_runs() {
    let mut world = World::settled();
    world.database.node("node2").overlay = Overlay::Draining;
    world.run_to(60);
    world.deeds.clear();
    send(&mut world, 1, "node2");
    world.run_to(120);
    assert_eq!((owner(&world, 1), reasons(&world, 1)), ("node1".to_owned(), vec![]));
    world.database.node("node2").overlay = Overlay::None;
    world.run_to(126);
    assert_eq!(owner(&world, 1), "node2");
}

#[test]
fn when_its_node_is_lost_on_the_way_it_fails_over_like_any_other() {
    let mut world = World::settled();
    world.database.node("node2").overlay = Overlay::Draining;
    world.run_to(60);
    world.deeds.clear();
    send(&mut world, 1, "node2");
    world.kill("node1");
    world.run_to(120);
    assert_eq!(
        (owner(&world, 1), reasons(&world, 1)),
        ("node3".to_owned(), vec![(Step::Failover, MoveReason::NodeOffline)])
    );
}

#[test]
fn a_pinned_monitor_that_is_sent_elsewhere_goes_and_stays_pinned() {
    let mut world = World::settled();
    world.pin(1);
    send(&mut world, 1, "node3");
    world.run_to(60);
    assert_eq!(owner(&world, 1), "node3");
    world.database.node("node3").overlay = Overlay::Draining;
    world.run_to(120);
    assert_eq!(world.spread(), [18, 17, 1], "all but the pinned one have left");
}

#[test]
fn in_observe_mode_nothing_goes_whoever_asked() {
    let mut world = World::settled();
    world.database.cluster.mode = komainu_watchdogs::facts::Mode::Observe;
    send(&mut world, 1, "node2");
    world.run_to(60);
    assert!(!world.has_moved_anything());
}

#[test]
fn a_drain_that_takes_pinned_monitors_along_brings_them_back_when_it_is_over() {
    let mut world = World::settled();
    world.pin(1);
    let row = world.database.node("node1");
    (row.overlay, row.drains_pinned) = (Overlay::Draining, true);
    world.run_to(60);
    assert_eq!((world.overlay("node1"), world.monitors_of("node1")), (Overlay::Drained, 0));
    let row = world.database.node("node1");
    (row.overlay, row.drains_pinned) = (Overlay::None, false);
    world.run_to(120);
    assert_eq!((owner(&world, 1), world.spread()), ("node1".to_owned(), vec![12, 12, 12]));
}

#[test]
fn a_monitor_leaves_a_node_that_has_lost_its_label_for_one_that_bears_it() {
    let mut world = World::settled();
    for node in ["node1", "node3"] {
        world.database.node(node).labels = vec!["eu".to_owned(), "gpu".to_owned()];
    }
    world.change(1, |row| row.run_on = vec!["eu".to_owned(), "gpu".to_owned()]);
    world.run_to(60);
    assert!(!world.has_moved_anything());
    world.database.node("node1").labels = vec!["eu".to_owned()];
    world.run_to(66);
    assert_eq!((owner(&world, 1), world.spread()), ("node3".to_owned(), vec![11, 12, 13]));
    assert_eq!(reasons(&world, 1).first(), Some(&(Step::Release, MoveReason::LabelsMissing)));
}

#[test]
fn a_monitor_whose_labels_no_node_bears_stays_watched_and_that_is_told() {
    let mut world = World::settled();
    world.change(1, |row| row.run_on = vec!["moon".to_owned()]);
    world.run_to(60);
    assert!(!world.has_moved_anything());
    assert_between(world.raised_at("capacity"), 30, 33);
    let raises = world.raises("capacity");
    let (_, alarm) = raises.first().unwrap();
    assert_eq!(alarm.severity, Severity::Warning, "somebody watches it");
    assert!(alarm.summary.contains("1 http with run_on moon"), "{}", alarm.summary);
    assert_eq!(world.view().monitors.unplaceable, 0);
    world.database.node("node2").labels = vec!["moon".to_owned()];
    world.run_to(90);
    assert_eq!(owner(&world, 1), "node2");
    assert_between(world.resolved_at("capacity"), 60, 75);
}

#[test]
fn any_watchdog_can_even_out_the_load_from_what_it_shows() {
    let mut world = World::settled();
    for monitor in 1..=12 {
        send(&mut world, monitor, "node2");
    }
    world.run_to(60);
    assert_eq!(world.spread(), [0, 24, 12]);
    let field = world.view().field;
    let evened = rebalance(&world.database.read_shard(), &field);
    assert_eq!(evened.moves.len(), 12);
    for step in &evened.moves {
        send(&mut world, step.monitor.0, step.to.as_ref().unwrap().as_str());
    }
    world.run_to(70);
    assert_eq!(world.spread(), [12, 12, 12]);
}

fn kumas() -> World {
    let policy = Policy { moves_per_minute: 4, ..Policy::default() };
    let mut world = World::settled_with(&Setup { policy, ..Setup::default() });
    for node in ["node1", "node2", "node3"] {
        world.database.node(node).is_native = false;
    }
    world
}

#[test]
fn a_stock_kuma_is_given_so_many_a_minute_and_the_others_wait_where_they_are_watched() {
    let mut world = kumas();
    world.database.node("node1").overlay = Overlay::Draining;
    world.run_to(40);
    assert_eq!((world.spread(), world.nobodys()), (vec![4, 16, 16], 0));
    world.run_to(89);
    assert_eq!(world.spread(), [4, 16, 16], "the minute is not over");
    world.run_to(100);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn a_failover_waits_for_no_pace() {
    let mut world = kumas();
    world.kill("node1");
    world.run_to(60);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn new_monitors_wait_until_a_stock_kuma_may_be_given_more() {
    let mut world = kumas();
    for _ in 0..20 {
        let monitor = world.add_monitor("node1", "http").0;
        world.change(monitor, |row| (row.is_placed, row.home, row.effective) = (false, None, None));
    }
    world.run_to(40);
    assert_eq!(world.database.monitors.values().filter(|row| row.effective.is_none()).count(), 8);
    world.run_to(100);
    assert_eq!(world.nobodys(), 0);
}

#[test]
fn a_new_leader_takes_the_minute_before_it_for_spent_and_gives_a_tenth_on_top() {
    let policy = Policy { moves_per_minute: 8, ..Policy::default() };
    let mut world = World::settled_with(&Setup { policy, ..Setup::default() });
    for node in ["node1", "node2", "node3"] {
        world.database.node(node).is_native = false;
    }
    world.succeed_as("w2");
    world.run_to(60);
    assert!(world.database.leader.epoch > Epoch(1));
    world.drain("node1");
    world.run_to(80);
    assert_eq!(world.spread(), [10, 13, 13]);
    world.run_to(120);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn a_node_that_operators_filled_beyond_its_capacity_is_no_lack_of_room() {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        let row = world.database.node(node);
        (row.kinds, row.capacity) = (vec!["http".to_owned()], Some(14));
    }
    for monitor in 1..=6 {
        send(&mut world, monitor, "node2");
    }
    world.run_to(90);
    assert_eq!((world.spread(), world.raised_at("capacity")), (vec![6, 18, 12], None));
}
