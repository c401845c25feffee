//! Thousands of monitors are a handful of statements.

use std::collections::BTreeMap;

use komainu_watchdogs::decision::Step;
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::io::LeadershipAnswer;

use super::fixture::{Fixture, Kind, StoresBeats, beat, revoke, steps};
use super::on_both_databases;

on_both_databases! {
    moving_four_thousand_monitors_is_a_handful_of_statements,
    a_leader_makes_one_trip_for_a_renewal_and_one_to_read_all_monitors,
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
    let before = leader.leadership.trips();
    let (_, moved) = leader.done(&decision).await;
    assert_eq!(usize::try_from(moved).unwrap(), how_many);
    leader.leadership.trips() - before
}

async fn moving_four_thousand_monitors_is_a_handful_of_statements(kind: Kind) {
    let trips = failover(kind, 4_000).await;
    match kind {
        Kind::MariaDb => assert_eq!(trips, 3, "read and lock, write, end"),
        // Two for each of the three nodes that get a third, since a thousand monitors go in one.
        Kind::Sqlite => assert!(trips <= 16, "{trips} statements"),
    }
}

/// On a database that is a second away all of it takes that many seconds.
async fn a_leader_makes_one_trip_for_a_renewal_and_one_to_read_all_monitors(kind: Kind) {
    let (fixture, _made) = crowd(kind, 10).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut follower = fixture.follower("w2", 2);
    follower.attempt().await;
    let before = (leader.leadership.trips(), follower.leadership.trips());
    assert_eq!(leader.renew().await, LeadershipAnswer::Renewed);
    follower.attempt().await;
    let trips = (leader.leadership.trips() - before.0, follower.leadership.trips() - before.1);
    let before = leader.leadership.trips();
    assert_eq!(leader.leadership.read_shard().await.unwrap().monitors.len(), 10);
    let read = leader.leadership.trips() - before;
    match kind {
        Kind::MariaDb => assert_eq!((trips, read), ((1, 1), 1)),
        Kind::Sqlite => assert_eq!((trips, read), ((1, 2), 9)),
    }
}

async fn a_round_of_four_thousand_monitors_shows_them_all(kind: Kind) {
    let (fixture, made) = crowd(kind, 4_000).await;
    for part in made.chunks(500) {
        let beats: Vec<_> = part.iter().map(|monitor| beat(*monitor)).collect();
        let stored = fixture.store.store_beats(&"node1".into(), Incarnation(11), &beats).await;
        assert_eq!(stored.unwrap(), 500);
    }
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    let counts = errands.counts().await.unwrap();
    assert_eq!(counts.shards.iter().map(|group| group.monitors).sum::<u32>(), 4_000);
    let progress = errands.progress(&BTreeMap::new()).await.unwrap();
    assert_eq!(progress.iter().map(|row| (row.probing, row.overdue)).collect::<Vec<_>>(), [(4_000, 0)]);
    let mut leader = fixture.leader("w1", 1).await;
    assert_eq!(leader.leadership.read_shard().await.unwrap().monitors.len(), 4_000);
}
