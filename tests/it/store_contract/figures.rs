//! Thousands of monitors are a handful of statements.

use komainu_watchdogs::decision::Step;
use komainu_watchdogs::ids::{Incarnation, MonitorId};

use super::fixture::{Fixture, Kind, StoresBeats, beat, identity, revoke, steps};
use super::on_both_databases;

on_both_databases! {
    moving_four_thousand_monitors_is_a_handful_of_statements,
    a_round_of_four_thousand_monitors_shows_them_all,
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

async fn failover(kind: Kind, how_many: usize) -> u64 {
    let (fixture, made) = crowd(kind, how_many).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    for (at, part) in made.chunks(how_many.div_ceil(3)).enumerate() {
        let to = format!("node{}", at + 2);
        decision.moves.extend(steps(Step::Failover, part, Some("node1"), Some(&to)));
    }
    let before = leader.leadership.statements();
    let (_, moved) = leader.done(&decision).await;
    assert_eq!(usize::try_from(moved).unwrap(), how_many);
    leader.leadership.statements() - before
}

async fn moving_four_thousand_monitors_is_a_handful_of_statements(kind: Kind) {
    let statements = failover(kind, 4_000).await;
    assert!(statements <= 15, "{statements} statements");
}

async fn a_round_of_four_thousand_monitors_shows_them_all(kind: Kind) {
    let (fixture, made) = crowd(kind, 4_000).await;
    for part in made.chunks(500) {
        let beats: Vec<_> = part.iter().map(|monitor| beat(*monitor)).collect();
        let stored = fixture.store.store_beats(&"node1".into(), Incarnation(11), &beats).await;
        assert_eq!(stored.unwrap(), 500);
    }
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let round = watch.read_round(true).await.unwrap();
    assert_eq!(round.shards.iter().map(|group| group.monitors).sum::<u32>(), 4_000);
    let progress = round.progress.unwrap();
    assert_eq!(progress.iter().map(|row| (row.probing, row.overdue)).collect::<Vec<_>>(), [(4_000, 0)]);
    let mut leader = fixture.leader("w1", 1).await;
    assert_eq!(leader.leadership.read_shard().await.unwrap().monitors.len(), 4_000);
}
