//! People plan a maintenance window in Kuma's UI: nobody is woken during it, and what is broken afterwards is told.

use std::time::Duration;

use serde_json::json;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::ports::free_port;
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::kuma;

on_both!(nobody_is_told_during_a_window_and_what_is_down_afterwards_is_told);

const LIMIT: Duration = Duration::from_secs(60);

const MONITOR: &str = "/api/v1/monitors/1";
const KEY: &str = "monitor/1";

const UP: i64 = 1;
const DOWN: i64 = 0;
const MAINTENANCE: i64 = 3;

async fn nobody_is_told_during_a_window_and_what_is_down_afterwards_is_told(kind: Kind) {
    let vendor = Vendor::start().await;
    let cluster = start(kind, &vendor).await;
    let (alive, dead) = (cluster.target.url(1), format!("http://127.0.0.1:{}/", free_port()));
    let body = json!({ "name": "shop", "type": "http", "url": alive, "interval": 1 });
    assert_eq!(cluster.post("/api/v1/monitors", &body).await["id"], 1);
    wait_for(&cluster, UP, 1).await;

    plan_window(&cluster).await;
    wait_for(&cluster, MAINTENANCE, 1).await;
    cluster.patch(MONITOR, &json!({ "url": dead })).await;
    wait_for(&cluster, MAINTENANCE, 8).await;
    assert_eq!(count(&cluster, DOWN).await, 0, "it is not asked");
    assert!(vendor.told(KEY, "opened").is_empty());
    assert_eq!(status(&cluster).await, "maintenance");

    switch_window(&cluster, false).await;
    wait_for(&cluster, DOWN, 1).await;
    wait_until("it is told", LIMIT, async || !vendor.told(KEY, "opened").is_empty()).await;

    switch_window(&cluster, true).await;
    let before = count(&cluster, MAINTENANCE).await;
    wait_for(&cluster, MAINTENANCE, before + 5).await;
    switch_window(&cluster, false).await;
    wait_until("it is told once more", LIMIT, async || !vendor.told(KEY, "reminder").is_empty()).await;

    switch_window(&cluster, true).await;
    let before = count(&cluster, MAINTENANCE).await;
    wait_for(&cluster, MAINTENANCE, before + 1).await;
    cluster.patch(MONITOR, &json!({ "url": alive })).await;
    wait_for(&cluster, MAINTENANCE, before + 8).await;
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'monitor/1' AND resolved_at IS NULL";
    assert_eq!(cluster.database.rows(open).await[0][0], "1", "what was told stays open");
    assert!(vendor.told(KEY, "resolved").is_empty());

    switch_window(&cluster, false).await;
    wait_until("the end is told", LIMIT, async || !vendor.told(KEY, "resolved").is_empty()).await;
    assert_eq!(vendor.told(KEY, "opened").len(), 1);
    assert_eq!(status(&cluster).await, "up");
}

async fn start(kind: Kind, vendor: &Vendor) -> Cluster {
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 0, ..Shape::default() };
    let mut cluster = Cluster::prepare(kind, shape, &vendor.sections()).await;
    let tables = kuma::stock(kind == Kind::Sqlite);
    let of_windows = |sql: &&str| ["`maintenance`", "`monitor_maintenance`"].iter().any(|name| sql.contains(name));
    for sql in tables.lines().filter(of_windows) {
        cluster.database.execute(sql).await;
    }
    cluster.give_new_tables().await;
    for name in ["w1", "node1"] {
        cluster.start_process(name);
    }
    let online = "SELECT COUNT(*) FROM node WHERE status = 'online'";
    wait_until("the node is online", LIMIT, async || cluster.database.rows(online).await[0][0] == "1").await;
    cluster
}

/// As Kuma's UI stores one: the window, then what it covers.
async fn plan_window(cluster: &Cluster) {
    let window = "INSERT INTO maintenance (title, description, strategy, active) VALUES ('move', '', 'manual', 1)";
    cluster.database.execute(window).await;
    let covers = "INSERT INTO monitor_maintenance (monitor_id, maintenance_id) SELECT 1, MAX(id) FROM maintenance";
    cluster.database.execute(covers).await;
}

async fn switch_window(cluster: &Cluster, is_on: bool) {
    cluster.database.execute(&format!("UPDATE maintenance SET active = {}", i32::from(is_on))).await;
}

/// What the API shows.
async fn status(cluster: &Cluster) -> String {
    let client = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
    let request = client.get(cluster.url_of("w1", MONITOR)).bearer_auth(cluster.api_key());
    let text = request.send().await.unwrap().text().await.unwrap();
    let monitor: serde_json::Value = serde_json::from_str(&text).unwrap();
    monitor["status"].as_str().unwrap_or_default().to_owned()
}

async fn count(cluster: &Cluster, status: i64) -> usize {
    cluster.database.beats().await.iter().filter(|beat| beat.status == status).count()
}

async fn wait_for(cluster: &Cluster, status: i64, how_many: usize) {
    let what = format!("there are {how_many} beats with status {status}");
    wait_until(&what, LIMIT, async || count(cluster, status).await >= how_many).await;
}
