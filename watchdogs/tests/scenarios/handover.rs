//! Moving without overlap: off a living node a monitor is nobody's until its source has certainly stopped.

use komainu_watchdogs::decision::{Decision, Guard, MoveReason, Step};
use komainu_watchdogs::facts::{NodeStatus, Overlay, Source};
use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};
use komainu_watchdogs::time::Mono;

use super::story::assert_between;
use super::world::World;

/// The transaction that gave the first monitor its node.
fn arrival(world: &World) -> (Mono, Decision) {
    let is_it = |decision: &Decision| decision.moves.iter().any(|step| step.step == Step::Arrive);
    let (at, decision) = world.done().into_iter().find(|(_, decision)| is_it(decision)).unwrap();
    (at, decision.clone())
}

#[test]
fn a_draining_node_is_emptied_and_drained_only_after_its_acknowledgement() {
    let mut world = World::settled();
    world.node("node1").acknowledges = false;
    world.run_to(35);
    world.drain("node1");
    world.run_to(40);
    assert_eq!((world.nobodys(), world.overlay("node1")), (12, Overlay::Draining));
    world.node("node1").acknowledges = true;
    world.run_to(45);
    assert_eq!(world.spread(), [0, 18, 18]);
    world.run_to(50);
    assert_eq!(world.overlay("node1"), Overlay::Drained);
    assert_eq!(world.status("node1"), NodeStatus::Online, "an overlay covers a status, and changes none");
    assert_eq!(world.revoked_at("node1"), None);
}

#[test]
fn every_move_off_a_living_node_rests_on_its_acknowledgement() {
    let mut world = World::settled();
    let incarnation = world.node("node1").incarnation;
    world.drain("node1");
    world.run_to(60);
    let (_, decision) = arrival(&world);
    let released = world.done().into_iter().find(|(_, decision)| !decision.moves.is_empty()).unwrap().1;
    assert!(released.moves.iter().all(|step| (step.step, step.to.as_ref()) == (Step::Release, None)));
    let generation = released.seen.generation.next();
    assert_eq!(decision.guards, [Guard::Acknowledged { node: "node1".into(), incarnation, generation }]);
    assert_eq!(decision.revokes, []);
}

#[test]
fn a_node_is_not_drained_while_a_monitor_that_it_released_is_still_nobodys() {
    let mut world = World::settled();
    world.drain("node1");
    world.run_to(31);
    world.node("node1").acknowledges = false;
    world.run_to(38);
    assert_eq!(world.overlay("node1"), Overlay::Draining);
}

#[test]
fn pinned_monitors_stay_on_a_draining_node_and_it_is_not_drained() {
    let mut world = World::settled();
    world.pin(1);
    world.drain("node1");
    world.run_to(120);
    assert_eq!(world.monitors_of("node1"), 1);
    assert_eq!(world.overlay("node1"), Overlay::Draining);
}

#[test]
fn a_pinned_monitor_leaves_a_lost_node_and_returns_with_it() {
    let mut world = World::settled();
    world.pin(1);
    world.kill("node1");
    world.run_to(60);
    assert_eq!(world.monitors_of("node1"), 0);
    world.start("node1");
    world.run_to(150);
    let monitor = world.database.monitors.get(&MonitorId(1)).unwrap();
    assert_eq!((monitor.effective.as_ref(), monitor.pinned), (Some(&NodeId::from("node1")), true));
}

#[test]
fn a_drained_node_that_gets_a_new_monitor_at_home_drains_again() {
    let mut world = World::settled();
    world.drain("node1");
    world.run_to(60);
    assert_eq!(world.overlay("node1"), Overlay::Drained);
    world.add_monitor("node1", "http");
    world.run_to(62);
    assert_eq!(world.overlay("node1"), Overlay::Draining);
    world.run_to(80);
    assert_eq!((world.overlay("node1"), world.monitors_of("node1")), (Overlay::Drained, 0));
}

#[test]
fn a_resumed_node_gets_its_monitors_back() {
    let mut world = World::settled();
    world.drain("node1");
    world.run_to(60);
    world.database.node("node1").overlay = Overlay::None;
    world.run_to(80);
    assert_eq!(world.spread(), [12, 12, 12]);
}

#[test]
fn a_drain_of_the_only_node_moves_nothing() {
    let mut world = World::settled();
    world.kill("node2");
    world.kill("node3");
    world.run_to(120);
    world.deeds.clear();
    world.drain("node1");
    world.run_to(200);
    assert!(!world.has_moved_anything());
    assert_eq!(world.monitors_of("node1"), 36);
}

#[test]
fn a_draining_node_that_dies_fails_over_like_any_other() {
    let mut world = World::settled();
    world.pin(1);
    world.run_to(31);
    world.drain("node1");
    world.kill("node1");
    world.run_to(60);
    assert_eq!(world.spread(), [0, 18, 18]);
    assert_eq!(world.nobodys(), 0);
}

#[test]
fn a_release_that_nobody_acknowledges_is_revoked_after_ten_seconds_and_arrives_one_lease_later() {
    let mut world = World::settled();
    world.node("node1").acknowledges = false;
    world.node("node1").registers = false;
    world.run_to(35);
    world.drain("node1");
    world.run_to(100);
    assert_between(world.left_at("node1", Step::Release), 35, 37);
    assert_between(world.revoked_at("node1"), 45, 49);
    let (at, decision) = arrival(&world);
    assert_between(Some(at), 56, 62);
    assert!(matches!(decision.guards.as_slice(), [Guard::Vacant { .. }]));
    assert_eq!(world.database.node("node1").emptied, None, "it made progress: nothing is held against it");
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn a_source_whose_lease_ends_before_it_acknowledged_is_revoked_in_the_same_transaction() {
    let mut world = World::settled();
    world.node("node1").acknowledges = false;
    world.run_to(35);
    world.kill("node1");
    world.run_to(37);
    world.drain("node1");
    world.run_to(60);
    let (at, decision) = arrival(&world);
    assert_between(Some(at), 45, 48);
    let revoke = decision.revokes.first().unwrap();
    assert_eq!(revoke.lease_seq, Some(world.database.node("node1").lease_seq), "as watched");
}

#[test]
fn an_acknowledgement_that_this_database_does_not_know_is_none() {
    let mut world = World::settled();
    world.database.node("node1").applied_is_known = false;
    world.run_to(35);
    world.drain("node1");
    world.run_to(44);
    assert_eq!(world.nobodys(), 12);
    assert_eq!(world.overlay("node1"), Overlay::Draining);
}

#[test]
fn another_leader_finishes_a_hand_over_that_a_dead_one_began() {
    let mut world = World::settled();
    world.node("node1").acknowledges = false;
    world.run_to(35);
    world.drain("node1");
    world.run_to(38);
    assert_eq!(world.nobodys(), 12);
    world.succeed_as("w2");
    world.node("node1").acknowledges = true;
    world.run_to(60);
    assert_eq!((world.spread(), world.nobodys()), (vec![0, 18, 18], 0));
    let (_, decision) = arrival(&world);
    assert_eq!(decision.epoch.0, 2);
    assert!(matches!(decision.guards.as_slice(), [Guard::Acknowledged { .. }]));
}

#[test]
fn another_leader_waits_for_the_source_as_long_as_the_first_would_have() {
    let mut world = World::settled();
    world.node("node1").acknowledges = false;
    world.node("node1").registers = false;
    world.run_to(35);
    world.drain("node1");
    world.run_to(38);
    world.succeed_as("w2");
    world.run_to(100);
    // The next one knows of it from its claim on, at 38 s at the earliest, and waits 10 s for an acknowledgement.
    assert_between(world.revoked_at("node1"), 48, 58);
    let (at, _) = arrival(&world);
    assert!(at.since(world.revoked_at("node1").unwrap()).as_secs() >= 11);
}

#[test]
fn a_source_that_a_newer_process_replaced_has_ended() {
    let mut world = World::settled();
    let old = Source { node: "node1".into(), incarnation: Incarnation(77), released_at: world.generation() };
    let monitor = world.database.monitors.get_mut(&MonitorId(1)).unwrap();
    (monitor.effective, monitor.source) = (None, Some(old));
    world.node("node1").acknowledges = false;
    world.run_to(35);
    let (at, decision) = arrival(&world);
    assert_between(Some(at), 30, 32);
    assert_eq!(decision.guards, [Guard::Superseded { node: "node1".into(), incarnation: Incarnation(77) }]);
    assert_eq!(world.spread(), [12, 12, 12], "home, as that is well");
}

#[test]
fn a_source_that_was_deleted_has_ended() {
    let mut world = World::settled();
    let old = Source { node: "node9".into(), incarnation: Incarnation(77), released_at: world.generation() };
    let monitor = world.database.monitors.get_mut(&MonitorId(1)).unwrap();
    (monitor.effective, monitor.source) = (None, Some(old));
    world.run_to(35);
    assert_eq!(world.nobodys(), 0);
}

#[test]
fn a_monitor_that_is_nobodys_waits_while_its_source_may_still_run_it() {
    let mut world = World::settled();
    world.node("node1").acknowledges = false;
    world.run_to(35);
    let incarnation = world.node("node1").incarnation;
    let running = Source { node: "node1".into(), incarnation, released_at: world.generation().next() };
    let monitor = world.database.monitors.get_mut(&MonitorId(1)).unwrap();
    (monitor.effective, monitor.source) = (None, Some(running));
    world.database.raise_generation();
    world.run_to(44);
    assert_eq!(world.nobodys(), 1);
}

#[test]
fn nothing_is_released_from_a_node_that_was_just_revoked() {
    let mut world = World::settled();
    world.kill("node2");
    world.run_to(60);
    assert_eq!(world.spread(), [18, 0, 18]);
    world.hang("node1");
    world.node("node1").registers = false;
    while world.revoked_at("node1").is_none() {
        world.run_to_point(world.now + std::time::Duration::from_millis(1));
    }
    world.start("node2");
    world.database.node("node2").losses = 0;
    world.run_to(200);
    let releases: Vec<_> = world.steps().into_iter().filter(|(_, step)| step.step == Step::Release).collect();
    let from_node1 = releases.iter().filter(|(_, step)| step.from == Some("node1".into()));
    let revoked = world.revoked_at("node1").unwrap();
    assert_eq!(from_node1.filter(|(at, _)| *at > revoked).count(), 0);
    assert_eq!((world.monitors_of("node1"), world.nobodys()), (0, 0));
}

#[test]
fn a_new_monitor_goes_to_the_least_loaded_node_and_that_is_its_home() {
    let mut world = World::settled();
    world.add_monitors("node1", 5);
    world.add_monitors("node3", 5);
    let monitor = world.add_monitor("", "http");
    let row = world.database.monitors.get_mut(&monitor).unwrap();
    (row.home, row.effective, row.is_placed) = (None, None, false);
    world.run_to(33);
    let row = world.database.monitors.get(&monitor).unwrap();
    assert_eq!((row.home.as_ref(), row.effective.as_ref()), (Some(&"node2".into()), Some(&"node2".into())));
    assert!(world.steps().iter().all(|(_, step)| step.reason == MoveReason::NewMonitor));
}

#[test]
fn releases_off_living_nodes_go_in_steps_and_the_next_one_waits_for_the_arrivals() {
    let mut world = World::settled();
    world.add_monitors("node1", 2_488);
    world.drain("node1");
    let mut most = 0;
    for second in 31..90 {
        world.run_to(second);
        most = most.max(world.nobodys());
    }
    assert_eq!(most, 1_000);
    assert_eq!((world.overlay("node1"), world.monitors_of("node1")), (Overlay::Drained, 0));
}
