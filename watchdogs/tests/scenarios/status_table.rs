//! The table of a node's status: one story per row.

use komainu_watchdogs::decision::{MoveReason, Step};
use komainu_watchdogs::facts::{NodeStatus, Vote};
use komainu_watchdogs::io::Severity;

use super::story::assert_between;
use super::world::World;

#[test]
fn lease_fresh_and_reach_up_and_progress_made_is_online_and_brings_its_monitors_home() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(60);
    assert_eq!(world.spread(), [0, 18, 18]);
    world.start("node1");
    world.run_to(150);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_between(world.became_at("node1", NodeStatus::Online), 60, 66);
    assert_between(world.left_at("node2", Step::Release), 91, 97);
    assert!(world.steps().iter().any(|(_, step)| step.reason == MoveReason::GoingHome));
    assert_eq!(world.spread(), [12, 12, 12]);
}

#[test]
fn lease_fresh_and_votes_split_and_progress_made_leaves_the_status_and_is_a_disagreement() {
    let mut world = World::settled();
    world.blind("node1");
    world.says("w3", "node1", Vote::Unknown);
    world.run_to(120);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_eq!(world.raised(), ["disagreement/node1"]);
    assert_between(world.raised_at("disagreement/node1"), 33, 42);
    assert_eq!(world.raises("disagreement/node1").first().map(|(_, alarm)| alarm.severity), Some(Severity::Warning));
    assert!(!world.has_moved_anything());
}

#[test]
fn lease_fresh_and_reach_down_and_progress_made_is_unreachable_and_keeps_its_monitors() {
    let mut world = World::settled();
    world.cut_off("node1");
    world.run_to(300);
    assert_eq!(world.status("node1"), NodeStatus::Unreachable);
    assert_between(world.became_at("node1", NodeStatus::Unreachable), 31, 38);
    assert_between(world.raised_at("node/node1"), 31, 38);
    assert!(!world.has_moved_anything());
    assert_eq!(world.revoked_at("node1"), None);
}

#[test]
fn push_monitors_leave_a_node_that_nobody_reaches_for_sixty_seconds() {
    let mut world = World::settled();
    let push = world.add_monitor("node1", "push");
    world.run_to(35);
    world.cut_off("node1");
    world.run_to(140);
    assert_between(world.became_at("node1", NodeStatus::Unreachable), 36, 43);
    assert_between(world.left_at("node1", Step::Release), 96, 103);
    let moved: Vec<_> = world.steps().iter().map(|(_, step)| (step.monitor, step.reason)).collect();
    assert_eq!(moved, [(push, MoveReason::PushUnreachable), (push, MoveReason::Unowned)]);
    assert_eq!(world.monitors_of("node1"), 12);
}

#[test]
fn lease_fresh_but_no_progress_is_stalled_and_is_emptied_after_its_grace_and_one_watched_lease() {
    let mut world = World::settled();
    world.hang("node1");
    world.run_to(120);
    assert_eq!(world.status("node1"), NodeStatus::Stalled);
    assert_between(world.became_at("node1", NodeStatus::Stalled), 35, 41);
    assert_between(world.raised_at("progress/node1"), 35, 41);
    assert_between(world.revoked_at("node1"), 65, 72);
    assert_between(world.left_at("node1", Step::Failover), 76, 85);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn lease_ended_while_it_still_answers_is_stalled_and_fails_over_after_its_grace() {
    let mut world = World::settled();
    world.stop_renewing("node1");
    world.run_to(120);
    assert_eq!(world.status("node1"), NodeStatus::Stalled);
    assert_between(world.became_at("node1", NodeStatus::Stalled), 39, 44);
    assert_between(world.raised_at("node/node1"), 39, 44);
    assert_between(world.left_at("node1", Step::Failover), 69, 75);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn lease_ended_while_votes_stay_split_is_stalled_and_fails_over_after_its_grace() {
    let mut world = World::settled();
    world.stop_renewing("node1");
    world.blind("node1");
    world.says("w3", "node1", Vote::Unknown);
    world.run_to(120);
    assert_eq!(world.status("node1"), NodeStatus::Stalled);
    assert_between(world.left_at("node1", Step::Failover), 69, 75);
}

#[test]
fn lease_ended_and_reach_down_is_offline_and_fails_over_at_once() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(120);
    assert_eq!(world.status("node1"), NodeStatus::Offline);
    assert_between(world.became_at("node1", NodeStatus::Offline), 39, 44);
    assert_between(world.left_at("node1", Step::Failover), 39, 45);
    assert_between(world.raised_at("node/node1"), 31, 44);
    assert!(world.steps().iter().all(|(_, step)| step.reason == MoveReason::NodeOffline));
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn a_node_that_stopped_cleanly_is_offline_and_its_monitors_move_without_waiting_for_its_lease() {
    let mut world = World::settled();
    world.stop_node("node1");
    world.run_to(60);
    assert_eq!(world.status("node1"), NodeStatus::Offline);
    assert_between(world.left_at("node1", Step::Failover), 30, 33);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn a_node_that_was_never_seen_stays_new_and_nobody_is_told() {
    let mut world = World::settled();
    let row = komainu_watchdogs::facts::NodeRow { node: "node9".into(), weight: 100, ..Default::default() };
    world.database.nodes.insert("node9".into(), row);
    world.run_to(120);
    assert_eq!(world.status("node9"), NodeStatus::New);
    assert_eq!(world.raised(), [""; 0]);
    assert!(!world.has_moved_anything());
}
