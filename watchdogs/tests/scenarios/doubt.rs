//! Most nodes at once: where it is proven nothing is waited for, in doubt it is, and `/status` says until when and why.

use std::time::Duration;

use komainu_watchdogs::decision::Step;
use komainu_watchdogs::facts::NodeStatus;

use super::story::assert_between;
use super::world::{Setup, World};

/// Two of three nodes are killed at 30 s.
fn two_of_three(world: &mut World) {
    world.kill("node1");
    world.kill("node2");
}

/// Their monitors moved at once.
#[track_caller]
fn assert_believed(world: &World) {
    assert_between(world.left_at("node1", Step::Failover), 39, 45);
    assert_between(world.left_at("node2", Step::Failover), 39, 45);
}

/// Their monitors waited for the grace, and until then it was said why.
#[track_caller]
fn assert_doubted(world: &mut World, because: &str) {
    world.run_to(60);
    let said = world.view().reasons.join("; ");
    let waiting = "monitors of node1, node2 are not moved yet: waiting until ";
    assert!(said.contains(waiting) && said.contains(&format!(" UTC, because {because}")), "{said}");
    let waits = world.view().waiting;
    assert_eq!(
        waits.iter().map(|one| (one.node_id.as_str(), one.monitors)).collect::<Vec<_>>(),
        [("node1", 12), ("node2", 12)]
    );
    world.run_to(120);
    assert_between(world.left_at("node1", Step::Failover), 69, 75);
    assert_between(world.left_at("node2", Step::Failover), 69, 75);
    assert_eq!(world.view().waiting, []);
}

#[test]
fn where_a_majority_sees_most_nodes_gone_and_all_else_is_well_nothing_is_waited_for() {
    for canaries in [Vec::new(), vec!["tcp://1.1.1.1:443".to_owned()]] {
        let mut world = World::settled_with(&Setup { canaries, ..Setup::default() });
        two_of_three(&mut world);
        world.run_to(60);
        assert_believed(&world);
        assert_eq!(world.spread(), [0, 0, 36]);
    }
}

#[test]
fn a_cluster_of_two_nodes_fails_over_as_fast_as_one_of_three() {
    let mut world = World::settled_with(&Setup { nodes: 2, ..Setup::default() });
    world.kill("node1");
    world.run_to(60);
    assert_between(world.left_at("node1", Step::Failover), 39, 45);
}

#[test]
fn a_node_that_says_that_its_own_way_to_the_database_is_gone_is_believed_at_once() {
    let mut world = World::settled();
    world.lose_database_of("node1");
    world.run_to(60);
    assert_eq!(world.status("node1"), NodeStatus::Stalled);
    assert_between(world.left_at("node1", Step::Failover), 39, 45);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn most_nodes_that_say_so_are_not() {
    let mut world = World::settled();
    world.lose_database_of("node1");
    world.lose_database_of("node2");
    assert_doubted(&mut world, "most nodes were lost at once and only 0 of 3 watchdogs see it gone");
}

#[test]
fn one_watchdog_of_three_that_is_gone_with_them_leaves_no_doubt() {
    let mut world = World::settled();
    two_of_three(&mut world);
    world.peer("w3").lives = false;
    world.run_to(60);
    assert_believed(&world);
}

#[test]
fn nodes_that_say_that_they_stopped_are_believed_however_many_they_are() {
    let mut world = World::settled_with(&Setup { canaries: vec!["tcp://1.1.1.1:443".into()], ..Setup::default() });
    world.canaries_answer = false;
    world.run_to(60);
    world.stop_node("node1");
    world.stop_node("node2");
    world.run_to(70);
    assert_between(world.left_at("node1", Step::Failover), 60, 63);
    assert_between(world.left_at("node2", Step::Failover), 60, 63);
}

#[test]
fn while_no_canary_answers_most_nodes_are_not_believed_to_be_gone() {
    let mut world = World::settled_with(&Setup { canaries: vec!["tcp://1.1.1.1:443".into()], ..Setup::default() });
    two_of_three(&mut world);
    world.canaries_answer = false;
    assert_doubted(&mut world, "most nodes were lost at once and no canary answers");
}

#[test]
fn while_the_database_is_slow_most_nodes_are_not_believed_to_be_gone() {
    let mut world = World::settled();
    two_of_three(&mut world);
    world.database_takes = Duration::from_millis(400);
    assert_doubted(&mut world, "most nodes were lost at once and the database is slow or fails");
}

#[test]
fn while_a_watchdog_says_that_it_is_cut_off_most_nodes_are_not_believed_to_be_gone() {
    let mut world = World::settled();
    two_of_three(&mut world);
    world.peer("w3").isolated = true;
    assert_doubted(&mut world, "most nodes were lost at once and 1 of the watchdogs are cut off");
}

#[test]
fn a_watchdog_that_is_alone_does_not_believe_that_most_nodes_are_gone() {
    let mut world = World::settled();
    two_of_three(&mut world);
    world.peer("w2").lives = false;
    world.peer("w3").lives = false;
    assert_doubted(&mut world, "most nodes were lost at once and only 1 of 3 watchdogs see it gone");
}

#[test]
fn one_that_is_gone_waits_while_most_of_those_that_were_lost_with_it_answer() {
    let mut world = World::settled_with(&Setup { nodes: 4, ..Setup::default() });
    world.kill("node1");
    for node in ["node2", "node3"] {
        world.stop_renewing(node);
    }
    world.run_to(60);
    let waits: Vec<_> =
        world.view().waiting.into_iter().map(|one| (one.node_id.as_str().to_owned(), one.because)).collect();
    let answers = "its lease ended, but no majority of the watchdogs sees it gone".to_owned();
    assert_eq!(
        waits,
        [
            ("node1".to_owned(), "most nodes were lost at once and 2 of these 3 still answer".to_owned()),
            ("node2".to_owned(), answers.clone()),
            ("node3".to_owned(), answers),
        ]
    );
    world.run_to(120);
    assert_between(world.left_at("node1", Step::Failover), 69, 75);
}

#[test]
fn while_those_that_are_left_are_not_well_most_nodes_are_not_believed_to_be_gone() {
    let mut world = World::settled_with(&Setup { nodes: 7, ..Setup::default() });
    for node in ["node1", "node2", "node3", "node4"] {
        world.kill(node);
    }
    world.cut_off("node5");
    world.cut_off("node6");
    world.run_to(60);
    let waits = world.view().waiting;
    assert_eq!(waits.first().map(|one| one.because.as_str()), {
        Some("most nodes were lost at once and the nodes that are left are not well")
    });
    world.run_to(120);
    assert_between(world.left_at("node1", Step::Failover), 69, 75);
}

#[test]
fn when_most_nodes_stall_but_come_back_within_the_grace_nothing_moves() {
    let mut world = World::settled();
    for node in ["node1", "node2"] {
        world.stop_renewing(node);
    }
    assert_eq!(world.view().waiting, []);
    world.run_to(60);
    assert_eq!(world.view().waiting.len(), 2);
    for node in ["node1", "node2"] {
        world.node(node).renews = true;
    }
    world.run_to(200);
    assert!(!world.has_moved_anything());
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_eq!(world.view().waiting, []);
}

#[test]
fn a_doubt_that_ends_is_not_waited_for() {
    let mut world = World::settled();
    two_of_three(&mut world);
    world.peer("w3").isolated = true;
    world.run_to(52);
    assert!(!world.has_moved_anything());
    world.peer("w3").isolated = false;
    world.run_to(60);
    assert_between(world.left_at("node1", Step::Failover), 52, 56);
}

#[test]
fn nothing_is_said_to_be_waited_for_where_nothing_will_be_taken_away() {
    let mut world = World::settled();
    world.hang("node1");
    world.hang("node2");
    for second in 30..200 {
        world.run_to(second);
        assert_eq!(world.view().waiting, [], "at {second} s");
    }
    assert!(world.raised().contains(&"progress/node1"));
    assert!(!world.has_moved_anything());
}
