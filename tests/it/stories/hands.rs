//! Operators, a pipeline and the leader act at the same time; what a hand asked for is done, and stays.

use std::process::{Command, Output};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(
    what_hands_ask_for_is_done_while_everybody_acts_at_once,
    a_drained_node_runs_nothing_until_it_is_resumed,
    a_hand_moves_while_the_cluster_is_frozen,
    a_rebalance_evens_out_what_a_new_node_finds,
);

async fn send(cluster: &Cluster, (watchdog, method, path): (&str, Method, &str), body: &Value) -> (u16, Value) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let request = http.request(method, cluster.url_of(watchdog, path));
    let request = request.bearer_auth(cluster.api_key()).header("content-type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = request.body(body).send().await.unwrap();
    let code = response.status().as_u16();
    (code, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
}

/// Sends; it must be accepted.
async fn ask(cluster: &Cluster, to: (&str, Method, &str), body: Value) -> Value {
    let path = to.2.to_owned();
    let (code, answer) = send(cluster, to, &body).await;
    assert!((200..300).contains(&code), "{path}: {code} {answer}");
    answer
}

/// Home, effective node, pin, wish of these monitors.
async fn placed(cluster: &Cluster, condition: &str) -> Vec<Vec<String>> {
    let sql = format!(
        "SELECT node_id, COALESCE(assigned_node, node_id, ''), pinned, asked FROM komainu_assignment \
         WHERE {condition} ORDER BY monitor_id"
    );
    cluster.database.rows(&sql).await
}

async fn overlay(cluster: &Cluster, node: &str) -> String {
    cluster.database.rows(&format!("SELECT overlay FROM node WHERE node_id = '{node}'")).await[0][0].clone()
}

/// One operator pins; the last word of each monitor is node1.
async fn pins(cluster: &Cluster) {
    for round in 0..6 {
        let node = if round % 2 == 1 { "node1" } else { "node2" };
        for monitor in 1..=4 {
            let path = format!("/api/v1/monitors/{monitor}/pin");
            ask(cluster, ("w1", Method::PUT, &path), json!({"node_id": node})).await;
        }
        let labels = json!({"labels": [format!("round{round}")]});
        ask(cluster, ("w1", Method::PATCH, "/api/v1/nodes/node1"), labels).await;
    }
}

/// The other moves others about, at another watchdog, and edits another field of the same node.
async fn moves(cluster: &Cluster) {
    for round in 0_u32..6 {
        let node = ["node3", "node1", "node2"][usize::try_from(round % 3).unwrap()];
        let body = json!({"ids": [5, 6, 7, 8], "node_id": node});
        ask(cluster, ("w2", Method::POST, "/api/v1/monitors/move"), body).await;
        ask(cluster, ("w2", Method::PATCH, "/api/v1/nodes/node1"), json!({"weight": 100 + round})).await;
    }
}

/// A pipeline makes monitors, each of them once.
async fn onboards(cluster: &Cluster) {
    for number in 25..=36 {
        let body = json!({
            "name": format!("monitor {number}"), "type": "http", "url": cluster.target.url(number), "interval": 2,
            "ref": format!("m{number}"),
        });
        let made = ask(cluster, ("w3", Method::POST, "/api/v1/monitors"), body).await;
        assert_eq!(made["id"], number, "the target tells monitors apart by their number");
    }
}

async fn what_hands_ask_for_is_done_while_everybody_acts_at_once(kind: Kind) {
    let shape = Shape { monitors: 24, ..Shape::default() };
    let mut cluster = Cluster::start(kind, shape).await;
    // The leader has a node to fail over while they act.
    cluster.process("node3").kill();
    tokio::join!(pins(&cluster), moves(&cluster), onboards(&cluster));
    let limit = Duration::from_secs(90);
    let pinned = vec![["node1", "node1", "1", "0"].map(str::to_owned).to_vec(); 4];
    wait_until("what is pinned is there", limit, async || placed(&cluster, "monitor_id <= 4").await == pinned).await;
    let moved = vec![["node2", "node2", "0", "0"].map(str::to_owned).to_vec(); 4];
    let is_moved = async || placed(&cluster, "monitor_id BETWEEN 5 AND 8").await == moved;
    wait_until("what was moved is there", limit, is_moved).await;
    let everyone: Vec<i64> = (1..=36).collect();
    wait_until("node3 owns nothing", limit, async || cluster.owned_by("node3").await.is_empty()).await;
    let since = Cluster::now_us();
    cluster.wait_for_beats(&everyone, since, limit).await;
    let node = cluster.database.rows("SELECT labels, weight FROM node WHERE node_id = 'node1'").await.remove(0);
    assert_eq!(node, ["[\"round5\"]", "105"], "neither operator's last edit was lost");
    cluster.start_process("node3");
    let is_back = async || cluster.node_status("node3").await == "online";
    wait_until("node3 is back", limit, is_back).await;
    ask(&cluster, ("w1", Method::POST, "/api/v1/nodes/node3/recover"), Value::Null).await;
    let is_home = async || !cluster.owned_by("node3").await.is_empty();
    wait_until("what is at home on node3 came back", limit, is_home).await;
    assert_eq!(placed(&cluster, "monitor_id <= 4").await, pinned, "no pin was undone");
    let sql = "SELECT what, COUNT(*) FROM komainu_audit WHERE who = 'key/test' AND what IN \
         ('monitor.pin', 'monitor.move', 'node.edit', 'node.recover') GROUP BY what ORDER BY what";
    let trail = cluster.database.rows(sql).await;
    let count = |what: &str| trail.iter().find(|row| row[0] == what).map_or(0, |row| row[1].parse().unwrap());
    assert_eq!((count("monitor.pin"), count("node.edit"), count("node.recover")), (24, 11, 1), "{trail:?}");
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

/// The command line, as an operator uses it.
async fn command(cluster: &Cluster, line: &str) -> Output {
    let file = cluster.folder().join("operator.key");
    std::fs::write(&file, cluster.api_key()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
    command.args(line.split(' ')).env("KOMAINU_URL", cluster.url_of("w2", "/")).env("KOMAINU_KEY_FILE", file);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn a_drained_node_runs_nothing_until_it_is_resumed(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape { monitors: 15, ..Shape::default() }).await;
    let home = cluster.owned_by("node1").await;
    ask(&cluster, ("w1", Method::PUT, &format!("/api/v1/monitors/{}/pin", home[0])), Value::Null).await;
    let refused = command(&cluster, "nodes drain node1 --wait").await;
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), complaint.contains("pinned")), (Some(1), true), "{complaint}");
    let drained = command(&cluster, "nodes drain node1 --wait --timeout 60s --move-pinned").await;
    assert_eq!(drained.status.code(), Some(0), "{drained:?}");
    assert!(cluster.owned_by("node1").await.is_empty());
    assert_eq!(overlay(&cluster, "node1").await, "drained");
    let refused = command(&cluster, "nodes delete node1").await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("node1 is alive"), "{refused:?}");

    cluster.process("node1").terminate();
    let is_gone = async || cluster.node_status("node1").await == "offline";
    wait_until("node1 is gone", Duration::from_secs(60), is_gone).await;
    let refused = command(&cluster, "nodes delete node1").await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--rehome"), "{refused:?}");
    cluster.start_process("node1");
    let is_back = async || cluster.node_status("node1").await == "online";
    wait_until("node1 is back", Duration::from_secs(60), is_back).await;
    assert_eq!((overlay(&cluster, "node1").await.as_str(), cluster.owned_by("node1").await.len()), ("drained", 0));

    assert!(command(&cluster, "nodes resume node1").await.status.success());
    assert!(command(&cluster, "nodes recover node1").await.status.success());
    let is_home = async || cluster.owned_by("node1").await == home;
    wait_until("its monitors are home again, the pinned one too", Duration::from_secs(60), is_home).await;
    let since = Cluster::now_us();
    cluster.wait_for_beats(&home, since, Duration::from_secs(30)).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

async fn a_hand_moves_while_the_cluster_is_frozen(kind: Kind) {
    let cluster = Cluster::start(kind, Shape { monitors: 9, ..Shape::default() }).await;
    let moved = cluster.owned_by("node1").await[0];
    assert!(command(&cluster, "cluster freeze").await.status.success());
    assert!(command(&cluster, "nodes drain node2").await.status.success());
    let waiting = cluster.owned_by("node2").await;
    let path = format!("/api/v1/monitors/{moved}/move");
    ask(&cluster, ("w3", Method::POST, &path), json!({"node_id": "node3"})).await;
    let is_there = async || cluster.owned_by("node3").await.contains(&moved);
    wait_until("the monitor is where the hand put it", Duration::from_secs(30), is_there).await;
    assert_eq!(cluster.owned_by("node2").await, waiting, "the drain waits for the thaw");
    assert_eq!(send(&cluster, ("w1", Method::POST, "/api/v1/cluster/rebalance"), &Value::Null).await.0, 409);
    assert!(command(&cluster, "cluster thaw").await.status.success());
    let is_drained = async || overlay(&cluster, "node2").await == "drained";
    wait_until("node2 is drained", Duration::from_secs(60), is_drained).await;
    cluster.assert_one_owner().await;
}

async fn a_rebalance_evens_out_what_a_new_node_finds(kind: Kind) {
    let cluster = Cluster::start(kind, Shape { monitors: 12, ..Shape::default() }).await;
    let body = json!({"from_node": "node3", "node_id": "node1"});
    ask(&cluster, ("w1", Method::POST, "/api/v1/monitors/move"), body).await;
    let is_empty = async || cluster.owned_by("node3").await.is_empty();
    wait_until("node3 owns nothing", Duration::from_secs(30), is_empty).await;
    let shown = command(&cluster, "cluster rebalance --dry-run --json").await;
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((shown["moves"].as_array().unwrap().len(), &shown["dry_run"]), (4, &json!(true)), "{shown}");
    assert!(cluster.owned_by("node3").await.is_empty(), "a dry run moves nothing");
    assert!(command(&cluster, "cluster rebalance").await.status.success());
    let is_even = async || {
        let mut counts = Vec::new();
        for node in ["node1", "node2", "node3"] {
            counts.push(cluster.owned_by(node).await.len());
        }
        counts == [4, 4, 4]
    };
    wait_until("the load is even", Duration::from_secs(60), is_even).await;
    let all: Vec<i64> = (1..=12).collect();
    cluster.wait_for_beats(&all, Cluster::now_us(), Duration::from_secs(30)).await;
    cluster.assert_one_owner().await;
}
