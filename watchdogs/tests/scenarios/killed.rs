//! A process that was killed need not be watched for a whole lease: its lock is free, its counter stands, and its host tells a
//! majority that nobody listens there. Whatever of it is missing, its lease is watched to its end.

use komainu_watchdogs::decision::{StatusChange, StatusReason, Step};
use komainu_watchdogs::facts::{LeaseLock, NodeStatus, Vote};

use super::story::assert_between;
use super::world::{Setup, World};

/// All nodes hold locks, and hosts say when nobody listens; it is 31 s.
fn settled() -> World {
    let mut world = World::settled_with(&Setup::default());
    for node in ["node1", "node2", "node3"] {
        world.database.node(node).lock = LeaseLock::Held;
        world.node(node).refuses = true;
    }
    world.run_to(31);
    world
}

/// Its process is gone.
fn kill(world: &mut World, node: &str) {
    world.database.node(node).lock = LeaseLock::Free;
    world.kill(node);
}

#[track_caller]
fn assert_watched_to_its_end(world: &World) {
    assert_between(world.left_at("node1", Step::Failover), 40, 47);
}

#[test]
fn the_monitors_of_a_killed_process_move_within_five_seconds() {
    let mut world = settled();
    kill(&mut world, "node1");
    world.run_to(60);
    assert_between(world.left_at("node1", Step::Failover), 33, 36);
    let is_of_node = |change: &&StatusChange| change.node.as_str() == "node1" && change.status == NodeStatus::Offline;
    let reason = world.done().iter().find_map(|(_, done)| done.statuses.iter().find(is_of_node).map(|it| it.reason));
    assert_eq!(reason, Some(StatusReason::ProcessGone));
    let told: Vec<_> = world.raises("node/node1").iter().map(|(_, alarm)| alarm.summary.clone()).collect();
    assert!(told.iter().all(|text| text.contains("its process is gone, its port refuses 3 of 3")), "{told:?}");
}

#[test]
fn a_process_whose_lock_was_never_seen_to_be_held_is_watched_to_its_end() {
    let mut world = World::settled();
    world.node("node1").refuses = true;
    world.run_to(31);
    kill(&mut world, "node1");
    world.run_to(60);
    assert_watched_to_its_end(&world);
}

#[test]
fn a_host_that_is_silent_is_watched_to_its_end() {
    let mut world = settled();
    world.node("node1").refuses = false;
    kill(&mut world, "node1");
    world.run_to(60);
    assert_watched_to_its_end(&world);
}

#[test]
fn a_refusal_that_only_a_minority_hears_proves_nothing() {
    let mut world = settled();
    for peer in ["w2", "w3"] {
        world.peer(peer).silent.insert("node1".into());
    }
    kill(&mut world, "node1");
    world.run_to(60);
    assert_watched_to_its_end(&world);
}

#[test]
fn one_who_reaches_it_is_enough_to_watch_it_to_its_end() {
    let mut world = settled();
    world.peer("w3").says.insert("node1".into(), Vote::Up);
    kill(&mut world, "node1");
    world.run_to(60);
    assert_watched_to_its_end(&world);
}

#[test]
fn a_port_that_refuses_while_the_process_holds_its_lock_moves_nothing() {
    let mut world = settled();
    world.node("node1").answers = false;
    world.run_to(90);
    assert_eq!(world.left_at("node1", Step::Failover), None);
}

#[test]
fn a_process_whose_connection_was_ended_goes_on_renewing_and_keeps_its_monitors() {
    let mut world = settled();
    world.node("node1").answers = false;
    world.database.node("node1").lock = LeaseLock::Free;
    world.run_to(90);
    assert_eq!(world.left_at("node1", Step::Failover), None);
}

#[test]
fn an_error_of_ones_own_begins_the_watch_anew() {
    let mut world = settled();
    kill(&mut world, "node1");
    world.run_to(32);
    world.database.is_down = true;
    world.run_to(34);
    world.database.is_down = false;
    world.run_to(60);
    assert_between(world.left_at("node1", Step::Failover), 44, 50);
}
