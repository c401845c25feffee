//! A node is killed, frozen, or started twice.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(
    a_killed_nodes_monitors_run_elsewhere_and_come_home,
    a_frozen_node_that_wakes_changes_nothing,
    a_node_id_that_is_in_use_is_refused,
    a_node_that_stops_cleanly_hands_over_at_once,
);

async fn a_killed_nodes_monitors_run_elsewhere_and_come_home(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape::default()).await;
    let lost = cluster.owned_by("node1").await;
    assert_eq!(lost.len(), 10, "monitors are spread evenly");
    let killed_at = Cluster::now_us();
    cluster.process("node1").kill();
    cluster.wait_for_beats_elsewhere(&lost, "node1", killed_at).await;
    let (node2, node3) = (cluster.owned_by("node2").await, cluster.owned_by("node3").await);
    assert_eq!((node2.len(), node3.len()), (15, 15), "the lost node's monitors are spread evenly");
    // The first beats elsewhere may come before the next round, which shows the incident.
    let is_shown = async || {
        let status = cluster.status().await.unwrap();
        assert_eq!(status["status"], "degraded", "{status}");
        status["incidents"].as_array().unwrap().iter().any(|one| one["key"] == "node/node1")
    };
    wait_until("the incident is shown", Duration::from_secs(10), is_shown).await;
    let why = match kind {
        Kind::MariaDb => "its process is gone, its port refuses 3 of 3 watchdogs",
        Kind::Sqlite => "lease ended",
    };
    let sql = "SELECT summary FROM komainu_incident WHERE k = 'node/node1'";
    let is_said = async || cluster.database.rows(sql).await.concat().concat().contains(why);
    wait_until("people are told why", Duration::from_secs(10), is_said).await;

    cluster.start_process("node1");
    let is_home = async || cluster.owned_by("node1").await == lost;
    wait_until("the monitors are home again", Duration::from_secs(120), is_home).await;
    let home_at = Cluster::now_us();
    cluster.wait_for_beats(&lost, home_at, Duration::from_secs(30)).await;
    let is_well = async || cluster.status().await.is_some_and(|status| status["incidents"] == serde_json::json!([]));
    wait_until("the incident is resolved", Duration::from_secs(30), is_well).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

async fn a_frozen_node_that_wakes_changes_nothing(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { interval: 1, ..Shape::default() }).await;
    let lost = cluster.owned_by("node1").await;
    let frozen_at = Cluster::now_us();
    cluster.freeze("node1").await;
    cluster.wait_for_beats_elsewhere(&lost, "node1", frozen_at).await;
    // At least 15 s, so that its lease and its fence are long over.
    let is_over = async || Cluster::now_us() - frozen_at >= 15_000_000;
    wait_until("15 s have passed", Duration::from_secs(60), is_over).await;
    let owners = cluster.owned_by("node2").await;
    cluster.process("node1").wake();
    let woken_at = Cluster::now_us();
    cluster.wait_for_beats(&lost, woken_at, Duration::from_secs(30)).await;
    assert_eq!(cluster.owned_by("node2").await, owners, "the woken node took nothing back by itself");
    let is_back = async || cluster.node_status("node1").await == "online";
    wait_until("the woken node registered anew", Duration::from_secs(60), is_back).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

async fn a_node_id_that_is_in_use_is_refused(kind: Kind) {
    let cluster = Cluster::start(kind, Shape { nodes: 2, monitors: 10, ..Shape::default() }).await;
    let mut twin = cluster.spawn_twin("node1");
    wait_until("the second process ends", Duration::from_secs(60), async || twin.exit_status().is_some()).await;
    assert!(!twin.exit_status().unwrap().success());
    assert!(twin.log().contains("node id node1 is in use by host"), "{}", twin.log());
    cluster.assert_one_owner().await;
}

async fn a_node_that_stops_cleanly_hands_over_at_once(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { monitors: 12, ..Shape::default() }).await;
    let lost = cluster.owned_by("node2").await;
    let stopped_at = Cluster::now_us();
    cluster.process("node2").terminate();
    cluster.wait_for_beats_elsewhere(&lost, "node2", stopped_at).await;
    let status = cluster.process("node2").exit_status();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

/// As the very process that a supervisor started.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_for_months_keeps_few_heaps() {
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 1, ..Shape::default() };
    let mut cluster = Cluster::start(Kind::Sqlite, shape).await;
    for name in ["w1", "node1"] {
        let environment = std::fs::read(format!("/proc/{}/environ", cluster.process(name).id())).unwrap();
        let heaps = environment.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"MALLOC_ARENA_MAX="));
        assert_eq!(heaps, Some(b"2".as_slice()), "{name}");
    }
}

/// Stands for whatever in a target's answer ends a process: who asks is killed before it has one. Nodes come back, as under
/// a supervisor.
#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_over_which_two_nodes_died_is_put_aside_and_not_handed_on() {
    let shape = Shape { watchdogs: 1, monitors: 6, ..Shape::default() };
    let mut cluster = Cluster::start(Kind::MariaDb, shape).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", target.local_addr().unwrap());
    let made = cluster.post("/api/v1/monitors", &json!({"name": "deadly", "type": "http", "url": url})).await;
    let deadly = made["id"].as_i64().unwrap();
    let mut deaths = vec![];
    while !is_put_aside(&cluster, deadly).await {
        let Ok(asked) = tokio::time::timeout(Duration::from_millis(100), target.accept()).await else { continue };
        let owner = owner_of(&cluster, deadly).await;
        cluster.process(&owner).kill();
        drop(asked);
        deaths.push(owner.clone());
        assert!(deaths.len() <= 2, "it goes on: {deaths:?}");
        cluster.start_process(&owner);
    }
    assert_eq!(deaths.len(), 2, "{deaths:?}");
    let active = cluster.database.rows(&format!("SELECT active FROM monitor WHERE id = {deadly}")).await;
    assert_eq!(active, [["0"]], "it is paused until somebody resumes it");
    // Whatever else they ran runs on.
    cluster.wait_for_beats(&[1, 2, 3, 4, 5, 6], Cluster::now_us(), Duration::from_secs(60)).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

async fn is_put_aside(cluster: &Cluster, monitor: i64) -> bool {
    let key = format!("aside/{monitor}");
    let incidents = cluster.status().await.map(|status| status["incidents"].clone());
    incidents.is_some_and(|incidents| incidents.as_array().unwrap().iter().any(|one| one["key"] == key.as_str()))
}

async fn owner_of(cluster: &Cluster, monitor: i64) -> String {
    let effective = "COALESCE(assigned_node, node_id, '')";
    let sql = format!("SELECT {effective} FROM komainu_assignment WHERE monitor_id = {monitor}");
    cluster.database.rows(&sql).await[0][0].clone()
}
