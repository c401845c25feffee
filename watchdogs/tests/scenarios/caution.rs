//! When nothing is moved although something looks lost: after a start, after an outage of one's own, and when too much
//! is lost at once.

use komainu_watchdogs::decision::Step;
use komainu_watchdogs::facts::NodeStatus;
use komainu_watchdogs::io::{Errand, Severity};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::Health;

use super::story::assert_between;
use super::world::{Setup, World};

#[test]
fn nobody_moves_before_two_full_rounds_after_a_start() {
    let mut world = World::new(&Setup::default());
    world.stop_node("node1");
    world.node("node2").answer_takes_ms = 2_900;
    world.run_to(4);
    assert_eq!(world.database.leader.epoch.0, 1, "it leads already");
    assert_eq!(world.done(), [], "node2 was probed once");
    world.run_to(30);
    assert_between(world.left_at("node1", Step::Failover), 5, 9);
}

#[test]
fn a_leader_that_has_just_started_watches_a_whole_lease_itself() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(39);
    world.succeed_as("w2");
    world.run_to(70);
    assert_between(world.left_at("node1", Step::Failover), 50, 56);
}

#[test]
fn an_outage_of_the_database_moves_nothing_and_declares_nothing_down() {
    let mut world = World::settled();
    world.database.is_down = true;
    world.run_to(60);
    world.database.is_down = false;
    world.run_to(200);
    assert!(!world.has_moved_anything());
    assert!(!world.raised().iter().any(|key| key.starts_with("node")));
    assert_eq!(world.done(), [], "not even a status changed");
    assert_eq!(world.view().status, Health::Ok);
}

#[test]
fn after_an_outage_of_the_database_reach_counters_start_anew() {
    let mut world = World::settled();
    world.database.is_down = true;
    for node in ["node1", "node2", "node3"] {
        world.cut_off(node);
    }
    world.run_to(60);
    assert!(world.core.report().observations.iter().any(|one| one.failures == 3));
    world.database.is_down = false;
    for node in ["node1", "node2", "node3"] {
        world.node(node).answers = true;
    }
    world.run_to(200);
    assert_eq!(world.done(), []);
    assert!(!world.raised().iter().any(|key| key.starts_with("node")));
}

#[test]
fn a_node_that_died_during_an_outage_of_the_database_is_watched_for_a_whole_lease_after_it() {
    let mut world = World::settled();
    world.database.is_down = true;
    world.run_to(40);
    world.kill("node1");
    world.run_to(60);
    world.database.is_down = false;
    world.run_to(100);
    assert_between(world.left_at("node1", Step::Failover), 71, 77);
}

#[test]
fn one_failed_write_of_ones_own_starts_every_watch_anew() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(38);
    world.database.is_read_only = true;
    world.run_to(40);
    world.database.is_read_only = false;
    world.run_to(80);
    assert_between(world.left_at("node1", Step::Failover), 50, 57);
}

#[test]
fn a_failed_renewal_of_the_leadership_starts_no_watch_of_a_lease_anew() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(38);
    world.fail_leadership = true;
    world.run_to(40);
    world.fail_leadership = false;
    world.run_to(80);
    assert_between(world.left_at("node1", Step::Failover), 41, 46);
}

#[test]
fn two_nodes_that_go_stale_within_a_minute_keep_their_monitors() {
    let mut world = World::settled();
    world.hang("node1");
    world.run_to(50);
    world.hang("node2");
    world.run_to(400);
    assert!(world.raised().contains(&"progress/node1"));
    assert!(world.raised().contains(&"progress/node2"));
    assert_eq!((world.revoked_at("node1"), world.revoked_at("node2")), (None, None));
    assert!(!world.has_moved_anything());
}

#[test]
fn two_nodes_that_go_stale_more_than_a_minute_apart_are_two_faults() {
    let mut world = World::settled_with(&Setup { nodes: 4, ..Setup::default() });
    world.hang("node1");
    world.run_to(95);
    assert_between(world.left_at("node1", Step::Failover), 71, 80);
    world.hang("node2");
    world.run_to(180);
    assert_between(world.left_at("node2", Step::Failover), 136, 146);
}

#[test]
fn when_all_nodes_are_down_nothing_moves_and_there_is_one_critical_incident() {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        world.kill(node);
    }
    world.run_to(300);
    assert!(!world.has_moved_anything());
    assert_eq!(world.raises("nodes").first().map(|(_, alarm)| alarm.severity), Some(Severity::Critical));
    assert!(world.database.incidents.contains_key("nodes"));
}

#[test]
fn nodes_that_are_lost_one_after_the_other_are_not_called_well_when_the_last_one_goes() {
    let mut world = World::settled();
    for (at, node) in [(40, "node1"), (80, "node2"), (120, "node3")] {
        world.run_to(at);
        world.kill(node);
    }
    world.run_to(300);
    assert!(world.raised().contains(&"node/node1"));
    assert_eq!(world.resolved_at("node/node1"), None);
    assert!(world.database.incidents.contains_key("nodes"));
}

#[test]
fn the_last_living_node_keeps_its_monitors_though_nobody_reaches_it() {
    let mut world = World::settled_with(&Setup { nodes: 1, ..Setup::default() });
    world.cut_off("node1");
    world.run_to(200);
    assert_eq!(world.status("node1"), NodeStatus::Unreachable);
    assert_eq!(world.revoked_at("node1"), None);
    assert!(world.now == Mono::secs(200) && !world.has_moved_anything());
}

#[test]
fn a_failover_waits_for_no_lock_that_keeps_the_beats_of_all_nodes_from_being_stored() {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        world.database.overdue.insert(node.into(), 12);
    }
    world.run_to(50);
    assert_eq!(world.status("node2"), NodeStatus::Stalled);
    world.kill("node1");
    world.run_to(110);
    assert_eq!(world.spread(), [0, 18, 18], "nothing else was taken from anybody");
}

#[test]
fn a_killed_node_is_failed_over_in_time_while_errands_get_no_answer() {
    for errand in [Errand::Progress, Errand::Incidents] {
        let mut world = World::settled();
        world.failing.insert(errand);
        world.run_to(60);
        world.kill("node1");
        world.run_to(90);
        assert_between(world.left_at("node1", Step::Failover), 69, 76);
    }
}

#[test]
fn a_killed_node_is_failed_over_in_time_while_nobody_can_be_told() {
    let mut world = World::settled();
    world.refuse_telling = true;
    world.kill("node1");
    world.run_to(60);
    assert_between(world.left_at("node1", Step::Failover), 39, 46);
    assert_eq!(world.raised(), Vec::<&str>::new());
    world.refuse_telling = false;
    world.run_to(80);
    assert!(world.raised().contains(&"node/node1"), "what could not be told is told when it can be");
}
