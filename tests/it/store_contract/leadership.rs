//! Who leads: the row is the truth, the lock makes it quick.

use std::time::Duration;

use komainu_watchdogs::decision::{Commit, Refusal};
use komainu_watchdogs::ids::{Generation, Stamp};
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};

use super::fixture::{Fixture, Kind, step};
use super::on_both_databases;
use crate::cluster::wait::wait_until;
use komainu_watchdogs::decision::Step;

on_both_databases! {
    of_two_who_claim_at_once_exactly_one_wins,
    the_lock_is_held_by_one_and_free_after_a_release,
    a_lock_held_already_is_not_taken_twice,
    a_dropped_connection_gives_the_lock_back,
    a_claim_that_needs_the_lock_fails_without_it,
    a_claim_without_the_lock_deposes_the_holder,
    a_deposed_leader_commits_nothing,
    an_act_before_any_attempt_fails,
}

async fn of_two_who_claim_at_once_exactly_one_wins(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    for round in 0..10 {
        let mut claims = vec![];
        let (mut one, mut two) = (fixture.follower("w1", 1), fixture.follower("w2", 2));
        let (_, seen) = one.attempt().await;
        assert_eq!(two.attempt().await.1, seen);
        assert_eq!(seen.0, round);
        for mut follower in [one, two] {
            claims.push(tokio::spawn(async move {
                follower.leadership.perform(LeadershipAct::Claim { seen, with_lock: false }).await
            }));
        }
        let mut won = 0;
        for claim in claims {
            match claim.await.unwrap() {
                LeadershipAnswer::Claimed(epoch) => {
                    assert_eq!(epoch.0, seen.0 + 1);
                    won += 1;
                }
                LeadershipAnswer::ClaimLost => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(won, 1);
    }
}

async fn the_lock_is_held_by_one_and_free_after_a_release(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.leader("w1", 1).await;
    let mut two = fixture.follower("w2", 2);
    assert!(!two.attempt().await.0);
    assert_eq!(one.renew().await, LeadershipAnswer::Renewed);
    assert_eq!(one.leadership.perform(LeadershipAct::Release).await, LeadershipAnswer::Released);
    let answer = two.leadership.perform(LeadershipAct::Attempt).await;
    let LeadershipAnswer::Attempted { locked, row } = answer else { panic!("{answer:?}") };
    assert_eq!((locked, row.holder), (true, None), "whoever comes next claims at once");
}

async fn a_lock_held_already_is_not_taken_twice(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (mut one, mut two) = (fixture.follower("w1", 1), fixture.follower("w2", 2));
    for _ in 0..3 {
        assert!(one.attempt().await.0);
    }
    one.leadership.perform(LeadershipAct::Release).await;
    assert!(two.attempt().await.0, "one release is enough");
}

async fn a_dropped_connection_gives_the_lock_back(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let one = fixture.leader("w1", 1).await;
    drop(one);
    let mut two = fixture.follower("w2", 2);
    // The server notices the closed socket by itself, a moment later.
    let took = async || two.attempt().await.0;
    wait_until("the lock is free", Duration::from_secs(10), took).await;
}

async fn a_claim_that_needs_the_lock_fails_without_it(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _one = fixture.leader("w1", 1).await;
    let mut two = fixture.follower("w2", 2);
    let (_, seen) = two.attempt().await;
    let answer = two.leadership.perform(LeadershipAct::Claim { seen, with_lock: true }).await;
    assert_eq!(answer, LeadershipAnswer::ClaimLost);
}

async fn a_claim_without_the_lock_deposes_the_holder(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.leader("w1", 1).await;
    let mut two = fixture.follower("w2", 2);
    let (_, seen) = two.attempt().await;
    let answer = two.leadership.perform(LeadershipAct::Claim { seen, with_lock: false }).await;
    assert!(matches!(answer, LeadershipAnswer::Claimed(_)), "{answer:?}");
    assert!(matches!(one.renew().await, LeadershipAnswer::Deposed(_)));
    assert!(two.attempt().await.0 || kind == Kind::MariaDb, "the deposed one let go of the lock");
}

async fn a_deposed_leader_commits_nothing(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, None).await[0];
    let mut one = fixture.leader("w1", 1).await;
    let mut planned = one.decision(fixture.stamp().await);
    planned.moves = vec![step(Step::Place, monitor, None, Some("node1"))];
    let mut two = fixture.follower("w2", 2);
    let (_, seen) = two.attempt().await;
    two.leadership.perform(LeadershipAct::Claim { seen, with_lock: false }).await;
    assert_eq!(one.commit(&planned).await, Commit::Refused(Refusal::Deposed));
    assert_eq!(fixture.running_on("node1").await, 0);
    assert_eq!(fixture.stamp().await.generation, Generation(0));
}

async fn an_act_before_any_attempt_fails(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.follower("w1", 1);
    assert!(matches!(one.renew().await, LeadershipAnswer::Failed(_)));
    assert!(matches!(one.commit(&one.decision(Stamp::default())).await, Commit::Failed(_)));
    assert!(one.leadership.read_shard().await.is_err());
}
