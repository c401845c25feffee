//! Not every node runs every type of monitor: native nodes know four, a stock Kuma all.

use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::facts::{Mode, NodeStatus};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::view::Health;

use super::story::assert_between;
use super::world::{Setup, World};

#[test]
fn what_no_node_can_run_counts_as_unwatched_and_opens_capacity() {
    let mut world = only_native();
    world.add_monitor("node1", "push");
    add_unplaced(&mut world, "dns");
    world.run_to(120);
    assert!(!world.has_moved_anything(), "there is nowhere to go");
    assert_between(world.raised_at("capacity"), 30, 33);
    let view = world.view();
    assert_eq!((view.monitors.watched, view.monitors.unwatched, view.monitors.unplaceable), (36, 2, 2));
    assert_eq!(view.status, Health::Down);
    assert!(view.reasons.iter().any(|reason| reason.contains("no node can run")), "{:?}", view.reasons);
    world.database.node("node3").kinds.clear();
    world.run_to(133);
    assert_eq!((world.view().monitors.unwatched, world.monitors_of("node3")), (0, 14));
    assert_between(world.resolved_at("capacity"), 120, 133);
}

#[test]
fn a_paused_monitor_that_no_node_can_run_is_no_trouble() {
    let mut world = only_native();
    let monitor = add_unplaced(&mut world, "push");
    world.database.monitors.get_mut(&monitor).unwrap().active = false;
    world.run_to(120);
    assert_eq!(world.raised(), [""; 0]);
    assert_eq!(world.view().status, Health::Ok);
}

#[test]
fn a_monitor_leaves_a_living_node_that_cannot_run_it() {
    let mut world = World::settled();
    world.database.node("node1").kinds = vec!["http".to_owned()];
    let push = world.add_monitor("node1", "push");
    world.run_to(60);
    let steps: Vec<_> = world.steps().into_iter().map(|(_, step)| (step.monitor, step.reason)).collect();
    assert_eq!(steps, [(push, MoveReason::KindUnsupported), (push, MoveReason::Unowned)]);
    assert_eq!(world.view().monitors.unwatched, 0);
}

#[test]
fn a_pinned_monitor_stays_on_a_node_that_cannot_run_it_and_that_is_told() {
    let mut world = World::settled();
    world.database.node("node1").kinds = vec!["http".to_owned()];
    let push = world.add_monitor("node1", "push");
    world.pin(push.0);
    world.run_to(60);
    assert!(!world.has_moved_anything());
    assert_between(world.raised_at("capacity"), 30, 33);
    assert_eq!(world.view().monitors.unwatched, 1);
}

#[test]
fn a_monitor_does_not_go_home_to_a_node_that_cannot_run_it() {
    let mut world = World::settled();
    let push = world.add_monitor("node1", "push");
    world.kill("node1");
    world.run_to(90);
    world.database.node("node1").kinds = vec!["http".to_owned()];
    world.start("node1");
    world.run_to(300);
    assert_eq!(world.monitors_of("node1"), 12, "the http monitors are back");
    let home = world.steps().into_iter().filter(|(_, step)| step.monitor == push).count();
    assert_eq!(home, 1, "it moved once, at the failover");
}

#[test]
fn while_observing_what_no_node_can_run_is_no_incident() {
    let mut world = only_native();
    world.database.cluster.mode = Mode::Observe;
    add_unplaced(&mut world, "push");
    world.run_to(60);
    assert_eq!(world.raised(), [""; 0], "somebody else runs it");
    assert_eq!(world.view().monitors.unplaceable, 1, "but it is shown before the adoption");
}

#[test]
fn a_new_node_is_not_unreachable_for_probes_that_failed_before_it_started() {
    let mut world = World::new(&Setup::default());
    world.kill("node3");
    let row = world.database.node("node3");
    (row.incarnation, row.lease_seq, row.status) = (None, 0, NodeStatus::New);
    world.run_to(60);
    world.start("node3");
    world.run_to(90);
    assert_eq!(world.raised(), [""; 0]);
    assert_eq!(world.status("node3"), NodeStatus::Online);
}

#[test]
fn a_new_node_that_nobody_ever_reaches_is_unreachable_after_the_grace() {
    let mut world = World::new(&Setup::default());
    world.kill("node3");
    let row = world.database.node("node3");
    (row.incarnation, row.lease_seq, row.status) = (None, 0, NodeStatus::New);
    world.run_to(60);
    world.start("node3");
    world.cut_off("node3");
    world.run_to(120);
    assert_between(world.became_at("node3", NodeStatus::Unreachable), 90, 93);
}

/// Three nodes that run http monitors only.
fn only_native() -> World {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        world.database.node(node).kinds = vec!["http".to_owned()];
    }
    world
}

/// As Kuma's own UI makes one.
fn add_unplaced(world: &mut World, kind: &str) -> MonitorId {
    let monitor = world.add_monitor("node1", kind);
    let row = world.database.monitors.get_mut(&monitor).unwrap();
    (row.is_placed, row.home, row.effective) = (false, None, None);
    monitor
}

#[test]
fn what_only_a_stock_kuma_can_look_at_goes_there_once_it_is_known_and_comes_home_when_it_is_no_more() {
    let mut world = World::settled();
    world.database.node("node3").is_native = false;
    world.change(1, |row| row.only_kuma = true);
    world.run_to(66);
    assert_eq!((owner(&world, 1), world.spread()), ("node3".to_owned(), vec![11, 12, 13]));
    world.run_to(180);
    assert_eq!(world.spread(), [11, 12, 13], "nobody takes it home, where it would be looked at in vain");
    // Its address was edited.
    world.change(1, |row| row.only_kuma = false);
    world.run_to(240);
    assert_eq!((owner(&world, 1), world.spread()), ("node1".to_owned(), vec![12, 12, 12]));
}

#[test]
fn what_only_a_stock_kuma_can_look_at_stays_where_it_is_while_none_has_room() {
    let mut world = World::settled();
    world.change(1, |row| row.only_kuma = true);
    world.run_to(60);
    assert!(!world.has_moved_anything(), "there is no stock Kuma");
    let row = world.database.node("node3");
    (row.is_native, row.capacity) = (false, Some(12));
    world.run_to(120);
    assert!(!world.has_moved_anything(), "it is full");
    world.database.node("node3").capacity = Some(13);
    world.run_to(180);
    assert_eq!(owner(&world, 1), "node3");
    // At a native node it is looked at as far as may be, rather than by nobody.
    world.kill("node3");
    world.run_to(260);
    assert_ne!(owner(&world, 1), "node3");
    assert_eq!(world.spread()[2], 0);
}

#[test]
fn what_an_operator_pinned_stays_although_only_a_stock_kuma_can_look_at_it() {
    let mut world = World::settled();
    world.database.node("node3").is_native = false;
    world.pin(1);
    world.change(1, |row| row.only_kuma = true);
    world.run_to(120);
    assert!(!world.has_moved_anything());
}

#[test]
fn what_kumas_own_notifications_tell_of_stays_on_stock_nodes_while_any_has_room() {
    let mut world = World::settled();
    for node in ["node1", "node2"] {
        world.database.node(node).is_native = false;
    }
    for monitor in 1..=12 {
        world.change(monitor, |row| row.kuma_tells = true);
    }
    world.database.node("node2").capacity = Some(20);
    world.kill("node1");
    world.run_to(100);
    let owners: Vec<_> = (1..=12).map(|monitor| owner(&world, monitor)).collect();
    let on = |node: &str| owners.iter().filter(|owner| *owner == node).count();
    assert_eq!(
        (on("node2"), on("node3")),
        (8, 4),
        "as many as there is room for, although node3 is as empty: {owners:?}"
    );
}

fn owner(world: &World, monitor: i64) -> String {
    let row = world.database.monitors.get(&MonitorId(monitor));
    row.and_then(|row| row.effective.as_ref()).map_or_else(String::new, ToString::to_string)
}
