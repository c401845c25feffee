//! Thousands of monitors are a handful of statements.

use std::time::Duration;

use komainu::clock;
use komainu_watchdogs::decision::Step;
use komainu_watchdogs::ids::MonitorId;

use super::fixture::{Fixture, Kind, beat, identity, revoke, steps};
use super::on_both_databases;

on_both_databases! {
    moving_four_thousand_monitors_is_a_handful_of_statements,
    five_thousand_moves_commit_in_well_under_a_second,
    a_round_of_four_thousand_monitors_is_cheap,
}

/// Some monitors on node1 (incarnation 11), to be moved to the other three.
async fn crowd(kind: Kind, how_many: usize) -> (Fixture, Vec<MonitorId>) {
    let fixture = Fixture::native(kind).await;
    for (node, incarnation) in [("node1", 11), ("node2", 22), ("node3", 33), ("node4", 44)] {
        fixture.start_node(node, incarnation).await;
    }
    let made = fixture.monitors(how_many, Some("node1")).await;
    (fixture, made)
}

async fn failover(kind: Kind, how_many: usize) -> (u64, Duration) {
    let (fixture, made) = crowd(kind, how_many).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await.generation);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    for (at, part) in made.chunks(how_many.div_ceil(3)).enumerate() {
        let to = format!("node{}", at + 2);
        decision.moves.extend(steps(Step::Failover, part, Some("node1"), Some(&to)));
    }
    let before = leader.leadership.statements();
    let began_at = clock::now();
    let (_, moved) = leader.done(&decision).await;
    let took = clock::now().since(began_at);
    assert_eq!(usize::try_from(moved).unwrap(), how_many);
    (leader.leadership.statements() - before, took)
}

async fn moving_four_thousand_monitors_is_a_handful_of_statements(kind: Kind) {
    let (statements, _) = failover(kind, 4_000).await;
    assert!(statements <= 15, "{statements} statements");
}

async fn five_thousand_moves_commit_in_well_under_a_second(kind: Kind) {
    let (statements, took) = failover(kind, 5_000).await;
    report(&format!("5,000 moves: {took:?} in {statements} statements"));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

async fn a_round_of_four_thousand_monitors_is_cheap(kind: Kind) {
    let (fixture, made) = crowd(kind, 4_000).await;
    let began_at = clock::now();
    for part in made.chunks(500) {
        let beats: Vec<_> = part.iter().map(|monitor| beat(*monitor)).collect();
        let stored = fixture.store.store_beats(&"node1".into(), komainu_watchdogs::ids::Incarnation(11), &beats).await;
        assert_eq!(stored.unwrap(), 500);
    }
    report(&format!("4,000 beats in batches of 500: {:?}", clock::now().since(began_at)));
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    watch.read_round(true).await.unwrap();
    for with_progress in [false, true] {
        let began_at = clock::now();
        watch.read_round(with_progress).await.unwrap();
        let took = clock::now().since(began_at);
        report(&format!("a round of 4,000 monitors (progress: {with_progress}): {took:?}"));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let mut leader = fixture.leader("w1", 1).await;
    let began_at = clock::now();
    assert_eq!(leader.leadership.read_shard().await.unwrap().monitors.len(), 4_000);
    report(&format!("the shard of 4,000 monitors: {:?}", clock::now().since(began_at)));
}

#[expect(clippy::print_stderr, reason = "a figure is for who runs the tests")]
fn report(figure: &str) {
    eprintln!("figure: {figure}");
}
