//! Every node was lost, and one is back first: it waits for company, and is filled at a stock node's pace.

use komainu_watchdogs::decision::{Move, Step};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::time::Mono;

use super::story::assert_between;
use super::world::{Setup, World};

const NODES: [&str; 3] = ["node1", "node2", "node3"];

/// All nodes are killed at 30 s; the first one is back at 100 s.
fn one_is_back(setup: &Setup) -> World {
    let mut world = World::settled_with(setup);
    for node in NODES {
        world.kill(node);
    }
    world.run_to(100);
    assert!(!world.has_moved_anything());
    world.start("node1");
    world
}

/// Three stock Kumas with 300 monitors each, of which node2's every tenth is a push monitor.
fn one_kuma_is_back() -> World {
    let mut world = World::settled_with(&Setup { monitors_per_node: 300, ..Setup::default() });
    for row in world.database.nodes.values_mut() {
        row.is_native = false;
    }
    for monitor in (301..=600).filter(|monitor| monitor % 10 == 0) {
        world.change(monitor, |row| "push".clone_into(&mut row.kind));
    }
    for node in NODES {
        world.kill(node);
    }
    world.run_to(100);
    world.start("node1");
    world
}

/// What was given to node1 in any five seconds, at most.
fn most_in_a_step(steps: &[(Mono, &Move)]) -> usize {
    let to_first = |one: &&(Mono, &Move)| one.1.to == Some(NodeId::from("node1"));
    let times: Vec<_> = steps.iter().filter(to_first).map(|(at, _)| *at).collect();
    let within = |from: Mono| times.iter().filter(|at| **at >= from && at.since(from).as_millis() < 4_900).count();
    times.iter().map(|from| within(*from)).max().unwrap_or(0)
}

#[test]
fn when_the_others_are_back_within_seconds_nothing_moves() {
    let mut world = one_is_back(&Setup::default());
    world.run_to(104);
    world.start("node2");
    world.start("node3");
    world.run_to(300);
    assert!(!world.has_moved_anything());
    assert_eq!(world.spread(), [12, 12, 12]);
}

#[test]
fn a_node_that_answers_again_is_waited_for_until_it_can_have_its_row() {
    let mut world = one_is_back(&Setup::default());
    world.run_to(103);
    world.node("node2").answers = true;
    world.run_to(112);
    let waits: Vec<_> = world.view().waiting.into_iter().map(|one| (one.node_id, one.because)).collect();
    let because = "no node ran anything until a while ago, and this one answers again";
    assert_eq!(waits, [(NodeId::from("node2"), because.to_owned())]);
    world.run_to(114);
    world.start("node2");
    world.run_to(300);
    assert_eq!(world.left_at("node2", Step::Failover), None);
    assert!(world.left_at("node3", Step::Failover).is_some());
}

#[test]
fn one_that_answers_again_and_never_comes_is_not_waited_for_for_long() {
    let mut world = one_is_back(&Setup::default());
    world.node("node2").answers = true;
    world.run_to(140);
    assert_between(world.left_at("node2", Step::Failover), 112, 120);
}

#[test]
fn the_first_native_node_waits_a_moment_for_company_and_then_runs_everything() {
    let mut world = one_is_back(&Setup::default());
    world.run_to(106);
    let said = world.view().reasons.join("; ");
    let because = "because no node ran anything until just now, and others may be back in a moment";
    assert!(said.contains("monitors of node2, node3 are not moved yet") && said.contains(because), "{said}");
    world.run_to(120);
    assert_between(world.left_at("node2", Step::Failover), 106, 112);
    assert_eq!(world.spread(), [36, 0, 0]);
}

#[test]
fn a_stock_kuma_that_is_back_first_is_filled_at_its_pace_push_monitors_first() {
    let mut world = one_kuma_is_back();
    world.run_to(116);
    let steps = world.steps();
    let first: Vec<_> = steps.iter().filter(|(at, _)| *at == steps[0].0).map(|(_, one)| one.monitor.0).collect();
    assert!((84..=86).contains(&first.len()), "{}", first.len());
    assert_eq!(first.iter().filter(|monitor| **monitor % 10 == 0 && (301..=600).contains(*monitor)).count(), 30);
    let given = world.monitors_of("node1") - 300;
    assert!((84..=260).contains(&given), "{given} in the first ten seconds");
    world.run_to(180);
    assert_eq!(world.spread(), [900, 0, 0]);
    let most = most_in_a_step(&world.steps());
    assert!(most <= 84, "{most} in five seconds");
}

#[test]
fn a_database_that_fails_for_a_moment_meanwhile_does_not_give_it_everything_at_once() {
    for fails_at in [108, 125] {
        let mut world = one_kuma_is_back();
        world.run_to(fails_at);
        world.database.is_down = true;
        world.run_to(fails_at + 4);
        world.database.is_down = false;
        world.run_to(260);
        assert_eq!(world.spread(), [900, 0, 0], "the database failed at {fails_at} s");
        let most = most_in_a_step(&world.steps());
        assert!(most <= 84, "{most} in five seconds, where the database failed at {fails_at} s");
    }
}

#[test]
fn whoever_is_back_while_another_is_filled_keeps_what_is_left() {
    let mut world = one_kuma_is_back();
    world.run_to(116);
    world.start("node2");
    world.start("node3");
    world.run_to(130);
    let left = world.monitors_of("node2") + world.monitors_of("node3");
    assert!(left >= 300, "{left}");
    // What was moved meanwhile goes home after the cool-off.
    world.run_to(400);
    assert_eq!(world.spread(), [300, 300, 300]);
    assert!(world.database.monitors.contains_key(&MonitorId(900)));
}

#[test]
fn a_node_that_is_lost_later_is_failed_over_at_once() {
    let mut world = one_kuma_is_back();
    for node in ["node2", "node3"] {
        world.start(node);
    }
    world.run_to(200);
    world.kill("node2");
    world.run_to(220);
    assert_between(world.left_at("node2", Step::Failover), 209, 215);
    assert_eq!(world.monitors_of("node2"), 0, "all of it in one step");
}
