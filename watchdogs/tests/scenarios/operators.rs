//! Hands win: freeze, observe mode, and foreign programs that meddle.

use std::time::Duration;

use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::facts::{Mode, NodeStatus, Overlay};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::io::Announcement;
use komainu_watchdogs::view::{Health, WouldMove};

use super::story::assert_between;
use super::world::World;

fn would_move_12() -> WouldMove {
    WouldMove { from: Some("node1".into()), monitors: 12, reason: MoveReason::NodeOffline }
}

#[test]
fn a_freeze_stops_every_move_and_no_alert() {
    let mut world = World::settled();
    world.database.cluster.frozen = true;
    world.kill("node1");
    world.run_to(120);
    assert!(!world.has_moved_anything());
    assert_eq!(world.revoked_at("node1"), None);
    assert_eq!(world.status("node1"), NodeStatus::Offline);
    assert_eq!(world.raised(), ["node/node1"]);
    assert_eq!(world.view().would_move, [would_move_12()]);
}

#[test]
fn a_freeze_stops_revokes_too() {
    let mut world = World::settled();
    world.database.cluster.frozen = true;
    world.hang("node1");
    world.run_to(200);
    assert_eq!(world.revoked_at("node1"), None);
}

#[test]
fn a_freeze_in_the_middle_of_a_drain_leaves_nothing_unwatched_and_takes_no_more() {
    let mut world = World::settled();
    world.database.node("node3").overlay = Overlay::Draining;
    while world.nobodys() == 0 {
        world.run_to_point(world.now + Duration::from_millis(100));
    }
    let released = world.nobodys();
    world.database.cluster.frozen = true;
    world.run_to(60);
    assert_eq!((world.nobodys(), world.spread().iter().sum::<usize>()), (0, 36), "{released} were on their way");
}

#[test]
fn a_freeze_takes_no_lease_from_a_node_that_never_acknowledges_and_the_thaw_does() {
    let mut world = World::settled();
    world.database.node("node3").overlay = Overlay::Draining;
    world.node("node3").acknowledges = false;
    while world.nobodys() == 0 {
        world.run_to_point(world.now + Duration::from_millis(100));
    }
    world.database.cluster.frozen = true;
    world.run_to(150);
    assert_eq!((world.revoked_at("node3"), world.view().status), (None, Health::Down), "and the status says so");
    world.database.cluster.frozen = false;
    world.run_to(200);
    assert_eq!(world.nobodys(), 0);
}

#[test]
fn a_thaw_lets_everything_held_back_happen() {
    let mut world = World::settled();
    world.database.cluster.frozen = true;
    world.kill("node1");
    world.run_to(120);
    world.database.cluster.frozen = false;
    world.run_to(125);
    assert_eq!(world.spread(), [0, 18, 18]);
    assert_eq!(world.view().would_move, []);
}

#[test]
fn a_freeze_that_comes_between_plan_and_commit_wins() {
    let mut world = World::settled();
    world.kill("node1");
    world.freeze_at_next_commit_of_moves = true;
    world.run_to(120);
    assert!(!world.has_moved_anything());
    assert!(world.said().iter().any(|said| matches!(said, Announcement::Refused { .. })));
}

#[test]
fn a_pin_that_comes_between_plan_and_commit_wins() {
    let mut world = World::settled();
    let monitor = MonitorId(1);
    let row = world.database.monitors.get_mut(&monitor).unwrap();
    assert_eq!(row.effective, Some("node1".into()));
    // Pinned to node2 first, then, while it is about to be taken there, to where it still runs.
    (row.home, row.pinned) = (Some("node2".into()), true);
    world.bind_at_next_commit_of_moves = Some(monitor);
    let before = world.generation();
    world.run_to(120);
    assert_eq!(world.bind_at_next_commit_of_moves, None, "it was about to be taken there");
    assert_eq!(world.generation(), before, "nothing moved");
}

#[test]
fn observe_mode_commits_nothing_and_says_what_it_would_move() {
    let mut world = World::settled();
    world.database.cluster.mode = Mode::Observe;
    world.kill("node1");
    world.run_to(120);
    assert_eq!(world.done(), [], "not even a status");
    assert_eq!(world.raised(), ["node/node1"]);
    assert_eq!(world.view().would_move, [would_move_12()]);
    assert_eq!(world.view().nodes.first().map(|node| node.status), Some(NodeStatus::Offline), "as it would be");
    let said: Vec<_> = world.said().into_iter().filter(|said| matches!(said, Announcement::WouldMove { .. })).collect();
    assert_eq!(said.len(), 1, "said once, not each second");
}

#[test]
fn everything_that_observe_mode_would_move_is_said() {
    let mut world = World::settled();
    world.database.cluster.mode = Mode::Observe;
    world.stop_node("node1");
    world.stop_node("node2");
    world.run_to(120);
    let mut said = Vec::new();
    for one in world.said() {
        if let Announcement::WouldMove { from: Some(from), .. } = one {
            said.push(from.as_str());
        }
    }
    said.sort_unstable();
    said.dedup();
    assert_eq!(said, ["node1", "node2"]);
}

#[test]
fn adoption_starts_what_observing_only_showed() {
    let mut world = World::settled();
    world.database.cluster.mode = Mode::Observe;
    world.kill("node1");
    world.run_to(120);
    world.database.cluster.mode = Mode::Active;
    world.run_to(125);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn a_status_that_another_program_wrote_stops_moves_until_it_was_left_alone_for_a_minute() {
    let mut world = World::settled();
    world.database.node("node2").has_foreign_status = true;
    world.kill("node1");
    world.run_to(88);
    assert!(!world.has_moved_anything());
    assert_eq!(world.revoked_at("node1"), None);
    assert_between(world.raised_at("foreign-runner"), 30, 32);
    assert_eq!(world.raised(), ["foreign-runner", "node/node1"]);
    world.run_to(110);
    assert!(!world.database.node("node2").has_foreign_status, "the leader wrote its own status again");
    assert_eq!(world.spread(), [0, 18, 18]);
    assert_between(world.resolved_at("foreign-runner"), 90, 105);
}

#[test]
fn beats_that_another_program_stores_stop_moves_and_open_foreign_runner() {
    let mut world = World::settled();
    for second in 31..60 {
        world.database.node("node2").foreign_beats += 1;
        world.run_to(second);
    }
    assert_between(world.raised_at("foreign-runner"), 31, 36);
    world.kill("node1");
    world.run_to(90);
    assert!(!world.has_moved_anything());
    world.run_to(150);
    assert!(world.has_moved_anything(), "a minute after the last of them");
}

#[test]
fn the_last_beats_of_a_hand_over_are_no_foreign_runner() {
    let mut world = World::settled();
    world.database.node("node2").foreign_beats += 2;
    world.run_to(120);
    assert_eq!(world.raised(), [""; 0]);
}

#[test]
fn a_node_whose_clock_is_off_is_told_and_nothing_else_follows_from_it() {
    for off in [3_600_000, -86_400_000] {
        let mut world = World::settled();
        world.database.node("node2").clock_off_ms = Some(off);
        world.run_to(60);
        assert_between(world.raised_at("clock/node2"), 40, 43);
        world.database.node("node2").clock_off_ms = Some(40);
        world.run_to(90);
        assert_eq!(world.raised(), ["clock/node2"]);
        assert_between(world.resolved_at("clock/node2"), 60, 75);
        assert!(!world.has_moved_anything());
    }
}

#[test]
fn one_slow_renewal_is_no_wrong_clock() {
    let mut world = World::settled();
    world.database.node("node2").clock_off_ms = Some(-6_000);
    world.run_to(35);
    world.database.node("node2").clock_off_ms = Some(-100);
    world.run_to(90);
    assert_eq!(world.raised(), [""; 0]);
}

#[test]
fn where_all_clocks_are_off_alike_the_databases_is_wrong() {
    let mut world = World::settled();
    for (node, off) in [("node1", -3_600_000), ("node2", -3_600_100), ("node3", -3_599_950)] {
        world.database.node(node).clock_off_ms = Some(off);
    }
    world.run_to(60);
    assert_eq!(world.raised(), ["clock/database"]);
    let (_, alarm) = world.raises("clock/database")[0];
    assert!(
        alarm.summary.starts_with("the database's clock is 60 min ahead of all nodes' clocks"),
        "{}",
        alarm.summary
    );
}
