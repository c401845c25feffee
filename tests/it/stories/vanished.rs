//! Hosts vanish: their packets are swallowed, nothing is reset, nobody is told.

use std::time::Duration;

use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_leader_cut_off_from_the_database_is_replaced_and_commits_nothing_later() {
    let shape = Shape { monitors: 12, with_proxies: true, ..Shape::default() };
    let mut cluster = Cluster::start(Kind::MariaDb, shape).await;
    let (leader, epoch) = cluster.leader().await;
    assert_eq!(leader, "w1");
    cluster.proxies["w1"].vanish();
    let is_replaced = async || cluster.leader().await.1 > epoch;
    wait_until("another watchdog leads", Duration::from_secs(30), is_replaced).await;
    let lost = cluster.owned_by("node2").await;
    let killed_at = Cluster::now_us();
    cluster.process("node2").kill();
    cluster.wait_for_beats_elsewhere(&lost, "node2", killed_at).await;
    let after = cluster.database.history().await;
    cluster.proxies["w1"].heal();
    let is_well =
        async || cluster.status_of("w1").await.is_some_and(|(code, status)| code == 200 && status["database"] == "up");
    wait_until("the old leader watches again", Duration::from_secs(60), is_well).await;
    assert_ne!(cluster.leader().await.0, "w1");
    assert_eq!(cluster.database.history().await, after, "the old leader moved nothing");
    cluster.assert_one_owner().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_node_whose_packets_vanish_stops_by_itself_before_others_take_over() {
    let shape = Shape { monitors: 15, interval: 1, with_proxies: true, ..Shape::default() };
    let cluster = Cluster::start(Kind::MariaDb, shape).await;
    let lost = cluster.owned_by("node1").await;
    assert!(!lost.is_empty());
    let vanished_at = Cluster::now_us();
    cluster.proxies["node1"].vanish();
    cluster.proxies["node1-http"].vanish();
    cluster.wait_for_beats_elsewhere(&lost, "node1", vanished_at).await;
    cluster.proxies["node1"].heal();
    cluster.proxies["node1-http"].heal();
    let is_back = async || cluster.node_status("node1").await == "online";
    wait_until("the node is back", Duration::from_secs(90), is_back).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn whoever_alone_is_cut_off_from_the_database_says_so_and_is_believed() {
    let shape = Shape { monitors: 12, with_proxies: true, ..Shape::default() };
    let cluster = Cluster::start(Kind::MariaDb, shape).await;
    let lost = cluster.owned_by("node1").await;
    assert!(!lost.is_empty());
    let cut_at = Cluster::now_us();
    cluster.proxies["node1"].vanish();
    cluster.proxies["w2"].vanish();
    let took = cluster.wait_for_beats_elsewhere(&lost, "node1", cut_at).await;
    // Not after another 30 s, in which it might have come back: it answers all the time, and says that it cannot.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let shows_others = async || {
        cluster.status_of("w2").await.is_some_and(|(code, status)| {
            let first = status["reasons"][0].as_str().unwrap_or_default().to_owned();
            let is_shown = first.starts_with("cut off from the database; the others (w1, w3) reach it");
            code == 200 && status["status"] == "degraded" && is_shown
        })
    };
    wait_until("w2 shows what the others see", Duration::from_secs(40), shows_others).await;
    cluster.proxies["node1"].heal();
    cluster.proxies["w2"].heal();
    let is_back = async || cluster.node_status("node1").await == "online";
    wait_until("the node is back", Duration::from_secs(90), is_back).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}
