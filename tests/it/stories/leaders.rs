//! Watchdogs are killed and frozen, the leader among them.

use std::time::Duration;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(
    a_killed_leader_is_replaced_and_nothing_moves,
    a_killed_follower_changes_nothing,
    the_last_of_three_watchdogs_still_fails_over,
    a_leader_frozen_past_its_lease_commits_nothing_when_it_wakes,
);

async fn a_killed_leader_is_replaced_and_nothing_moves(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { monitors: 9, ..Shape::default() }).await;
    let (leader, epoch) = cluster.leader().await;
    let before = cluster.database.history().await;
    cluster.process(&leader).kill();
    let is_replaced = async || cluster.leader().await.1 > epoch;
    wait_until("another watchdog leads", Duration::from_secs(15), is_replaced).await;
    assert_ne!(cluster.leader().await.0, leader);
    let is_told = async || {
        let status = cluster.status().await;
        status.is_some_and(|status| status["incidents"].to_string().contains(&format!("watchdog/{leader}")))
    };
    wait_until("an incident tells of the lost watchdog", Duration::from_secs(30), is_told).await;
    assert_eq!(cluster.database.history().await, before, "no monitor moved");
    cluster.assert_one_owner().await;
}

async fn a_killed_follower_changes_nothing(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { monitors: 9, ..Shape::default() }).await;
    let (leader, epoch) = cluster.leader().await;
    let follower = if leader == "w3" { "w2" } else { "w3" };
    cluster.process(follower).kill();
    let is_degraded =
        async || cluster.status_of(&leader).await.is_some_and(|(_, status)| status["status"] == "degraded");
    wait_until("the status is degraded", Duration::from_secs(30), is_degraded).await;
    assert_eq!(cluster.status_of(&leader).await.unwrap().0, 200, "one dead watchdog is no outage");
    assert_eq!(cluster.leader().await, (leader, epoch));
    cluster.assert_one_owner().await;
}

async fn the_last_of_three_watchdogs_still_fails_over(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { monitors: 12, ..Shape::default() }).await;
    cluster.process("w1").kill();
    cluster.process("w2").kill();
    let has_no_majority = async || cluster.status_of("w3").await.is_some_and(|(code, _)| code == 503);
    wait_until("one of three watchdogs says 503", Duration::from_secs(30), has_no_majority).await;
    let leads = async || cluster.leader().await.0 == "w3";
    wait_until("the last watchdog leads", Duration::from_secs(30), leads).await;
    let lost = cluster.owned_by("node1").await;
    let killed_at = Cluster::now_us();
    cluster.process("node1").kill();
    cluster.wait_for_beats_elsewhere(&lost, "node1", killed_at).await;
    let is_shown = async || {
        let (_, status) = cluster.status_of("w3").await.unwrap();
        status["incidents"].to_string().contains("node/node1")
    };
    wait_until("the incident is shown", Duration::from_secs(10), is_shown).await;
    cluster.assert_one_owner().await;
}

async fn a_leader_frozen_past_its_lease_commits_nothing_when_it_wakes(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { monitors: 12, ..Shape::default() }).await;
    let (leader, epoch) = cluster.leader().await;
    let lost = cluster.owned_by("node2").await;
    // The node dies and its leader freezes: the moves are its successor's.
    let killed_at = Cluster::now_us();
    cluster.process("node2").kill();
    cluster.freeze(&leader).await;
    let is_replaced = async || cluster.leader().await.1 > epoch;
    wait_until("another watchdog leads", Duration::from_secs(30), is_replaced).await;
    cluster.wait_for_beats_elsewhere(&lost, "node2", killed_at).await;
    let (successor, next) = cluster.leader().await;
    let after = cluster.database.history().await;
    cluster.process(&leader).wake();
    let has_stepped_down = async || cluster.process(&leader).log().contains("stepped down");
    wait_until("the woken leader steps down", Duration::from_secs(30), has_stepped_down).await;
    let is_well = async || cluster.status_of(&leader).await.is_some_and(|(code, _)| code == 200);
    wait_until("the woken watchdog watches again", Duration::from_secs(60), is_well).await;
    assert_eq!(cluster.leader().await, (successor, next));
    assert_eq!(cluster.database.history().await, after, "the woken leader moved nothing");
    let late = format!(
        "SELECT COUNT(*) FROM komainu_generation WHERE epoch <= {epoch} AND generation > \
         (SELECT MIN(generation) FROM komainu_generation WHERE epoch > {epoch})"
    );
    assert_eq!(
        cluster.database.rows(&late).await[0][0],
        "0",
        "no generation of the old epoch after the first of the new one"
    );
    cluster.assert_one_owner().await;
}
