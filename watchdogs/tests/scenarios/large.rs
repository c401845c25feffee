//! A failover that is larger than one transaction may be.

use std::time::Duration;

use komainu_watchdogs::decision::{Commit, Decision, Guard, Refusal, Step};
use komainu_watchdogs::facts::MonitorRow;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Mono;

use super::story::assert_between;
use super::world::{Deed, Setup, World};

fn with_twelve_thousand() -> World {
    let mut world = World::settled_with(&Setup { monitors_per_node: 1, ..Setup::default() });
    world.add_monitors("node1", 11_999);
    world.run_to(31);
    world
}

fn of_moves(world: &World) -> Vec<(Mono, Decision)> {
    let moves = world.done().into_iter().filter(|(_, decision)| !decision.moves.is_empty());
    moves.map(|(at, decision)| (at, decision.clone())).collect()
}

#[test]
fn twelve_thousand_monitors_fail_over_in_chunks_of_five_thousand_each_with_its_own_guard() {
    let mut world = with_twelve_thousand();
    world.kill("node1");
    world.run_to(60);
    let chunks = of_moves(&world);
    assert_eq!(chunks.iter().map(|(_, one)| one.moves.len()).collect::<Vec<_>>(), [5_000, 5_000, 2_000]);
    let (first, rest) = chunks.split_first().unwrap();
    assert_eq!((first.1.revokes.len(), first.1.guards.len()), (1, 0));
    let lease_seq = first.1.revokes.first().unwrap().lease_seq.unwrap();
    for (_, chunk) in rest {
        assert_eq!(chunk.revokes, []);
        assert_eq!(chunk.guards, [Guard::Vacant { node: "node1".into(), lease_seq }]);
    }
    let generations: Vec<_> = chunks.iter().map(|(_, one)| one.seen.generation.0).collect();
    assert_eq!(generations, [1, 1, 1], "each rests on what was read");
    let (last, _) = chunks.last().unwrap();
    assert!(last.since(first.0).as_millis() < 1_000, "one after the other, not one a round");
    assert_eq!(world.spread(), [0, 6_001, 6_001]);
}

#[test]
fn a_refused_chunk_throws_the_rest_away_and_the_next_round_plans_anew() {
    let mut world = with_twelve_thousand();
    world.kill("node1");
    while of_moves(&world).is_empty() {
        world.run_to_point(world.now + Duration::from_millis(1));
    }
    let (began, _) = of_moves(&world).first().cloned().unwrap();
    world.refuse_next = Some(Refusal::UnknownGeneration);
    world.run_to(60);
    let mut attempts = Vec::new();
    for (at, deed) in &world.deeds {
        if let Deed::Committed(decision, commit) = deed
            && !decision.moves.is_empty()
        {
            attempts.push((*at, decision.moves.len(), commit));
        }
    }
    let sizes: Vec<_> = attempts.iter().map(|(_, moves, _)| *moves).collect();
    assert_eq!(sizes, [5_000, 5_000, 5_000, 2_000]);
    assert_eq!(attempts.get(1).map(|(_, _, commit)| *commit), Some(&Commit::Refused(Refusal::UnknownGeneration)));
    let reads = world.deeds.iter().filter(|(at, deed)| *at > began && *deed == Deed::ReadShard).count();
    assert_eq!(reads, 1, "what was refused is read anew, once");
    assert_eq!(world.spread(), [0, 6_001, 6_001]);
}

#[test]
fn a_node_that_registers_between_two_chunks_keeps_what_had_not_moved_yet() {
    let mut world = with_twelve_thousand();
    world.kill("node1");
    while of_moves(&world).is_empty() {
        world.run_to_point(world.now + Duration::from_millis(1));
    }
    world.start("node1");
    world.run_to(60);
    assert_eq!(world.monitors_of("node1"), 7_000);
    assert_eq!(world.nobodys(), 0);
}

#[test]
fn another_leader_finishes_what_a_dead_one_moved_in_part() {
    let mut world = with_twelve_thousand();
    world.kill("node1");
    while of_moves(&world).is_empty() {
        world.run_to_point(world.now + Duration::from_millis(1));
    }
    world.succeed_as("w2");
    world.run_to(43);
    assert_eq!(world.monitors_of("node1"), 7_000);
    world.run_to(80);
    assert_between(of_moves(&world).last().map(|(at, _)| *at), 51, 60);
    assert_eq!(world.spread(), [0, 6_001, 6_001]);
    assert!(world.steps().iter().all(|(_, step)| step.step == Step::Failover));
}

#[test]
fn hands_that_touch_other_monitors_hold_up_no_failover() {
    let mut world = with_twelve_thousand();
    let other = world.add_monitor("node2", "http");
    let own = world.add_monitor("node1", "http");
    world.kill("node1");
    let killed_at = world.now;
    while world.now < killed_at + Duration::from_secs(29) {
        world.run_to_point(world.now + Duration::from_millis(3));
        world.database.touch(other);
        if of_moves(&world).len() == 1 {
            world.database.touch(own);
        }
    }
    let chunks = of_moves(&world);
    let (first, last) = (chunks.first().map(|(at, _)| *at), chunks.last().map(|(at, _)| *at));
    assert_between(first, 40, 46);
    assert_between(last, 40, 46);
    assert_eq!(world.monitors_of("node1"), 0, "also what a hand touched between two transactions moved, a round later");
}

#[test]
fn refused_decisions_are_made_anew_after_pauses_that_grow() {
    let mut world = with_twelve_thousand();
    world.kill("node1");
    world.run_to(45);
    let from = world.now;
    while world.now < from + Duration::from_secs(20) {
        world.refuse_next = Some(Refusal::UnknownGeneration);
        world.run_to_point(world.now + Duration::from_millis(1));
    }
    let is_refused = |deed: &Deed| matches!(deed, Deed::Committed(_, Commit::Refused(_)));
    let refused = world.deeds.iter().filter(|(at, deed)| *at > from && is_refused(deed)).count();
    assert!(refused <= 45, "{refused} attempts in 20 s");
    world.refuse_next = None;
    world.run_to_point(world.now + Duration::from_secs(2));
    assert_eq!(world.monitors_of("node1"), 0);
}

/// Twelve thousand monitors of a node that have run for long enough to be overdue.
fn with_a_large_node() -> World {
    let mut world = with_twelve_thousand();
    world.run_to(400);
    assert_eq!(world.raised(), [""; 0]);
    world
}

fn own_of_node1(world: &World) -> Vec<MonitorId> {
    let own = |row: &&MonitorRow| row.effective == Some("node1".into());
    world.database.monitors.values().filter(own).map(|row| row.monitor).collect()
}

#[test]
fn a_large_node_of_which_three_in_five_have_stopped_is_told_by_what_its_parts_show() {
    let mut world = with_a_large_node();
    world.database.stopped = own_of_node1(&world).into_iter().filter(|monitor| monitor.0 % 5 < 3).collect();
    world.run_to(460);
    assert_between(world.raised_at("progress/node1"), 400, 420);
}

#[test]
fn a_large_node_is_looked_at_by_a_hundred_while_all_is_well_and_by_five_hundred_in_doubt() {
    let mut world = with_a_large_node();
    assert_eq!(world.database.last_part("node1").unwrap().of, 120);
    world.database.stopped = own_of_node1(&world).into_iter().filter(|monitor| monitor.0 % 5 < 2).collect();
    world.run_to(412);
    assert_eq!(world.database.last_part("node1").unwrap().of, 24);
    world.database.stopped.clear();
    world.run_to(424);
    assert_eq!(world.database.last_part("node1").unwrap().of, 120);
}

#[test]
fn a_large_node_of_which_two_in_five_have_stopped_is_left_in_peace_whichever_part_is_read() {
    let mut world = with_a_large_node();
    world.database.stopped = own_of_node1(&world).into_iter().filter(|monitor| monitor.0 % 5 < 2).collect();
    world.run_to(1_000);
    assert_eq!(world.raised(), [""; 0]);
}

/// All but what the first reading looked at have stopped.
fn all_but_one_part_stop(reads_one_part: bool) -> World {
    let mut world = with_twelve_thousand();
    world.database.reads_one_part = reads_one_part;
    world.run_to(400);
    let part = world.database.first_part("node1");
    let stopped = own_of_node1(&world).into_iter().filter(|monitor| part.is_none_or(|part| !part.contains(*monitor)));
    world.database.stopped = stopped.collect();
    world.run_to(460);
    world
}

#[test]
fn readings_that_all_look_at_one_part_are_caught() {
    assert_eq!(all_but_one_part_stop(true).raised(), [""; 0], "the broken rule misses it");
    assert!(all_but_one_part_stop(false).raised().contains(&"progress/node1"));
}
