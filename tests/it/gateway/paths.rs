//! What is reached under the gateway's name, and what is not.

use serde_json::json;

use super::stage::Stage;

#[tokio::test]
#[ignore = "needs nginx"]
async fn watching_is_the_watchdogs_and_everything_else_is_kumas() {
    let stage = Stage::start(1, 1).await;
    let of_watchdogs = [
        "/status",
        "/health",
        "/runbook",
        "/heartbeats/backup",
        "/checks/api",
        "/api/v1/monitors",
        "/api/v1/openapi.json",
        "/api/v1/docs/",
        "/api/health-status",
        "/lb/health",
        "/lb/capacity",
        "/watch",
        "/watch/monitors/7",
        "/watch/events",
        "/pages/shop",
        "/pages/shop/api/v2/summary.json",
    ];
    for path in of_watchdogs {
        let heard = stage.get(path).await;
        assert_eq!((&heard.json()["watchdog"], heard.header("x-routed-via")), (&json!("w1"), "watchdog"), "{path}");
        assert_eq!(heard.header("x-routed-to"), "", "{path}");
    }
    let of_kuma = [
        "/",
        "/status/shop",
        "/status/shop/rss",
        "/status-page",
        "/api/entry-page",
        "/api/status-page/shop",
        "/api/badge/1/status",
        "/api/push/unknown",
        "/metrics",
        "/upload/logo.png",
        "/dashboard/1",
        "/heartbeats",
        "/runbook.html",
        "/healthy",
        "/watchful",
        "/pages",
    ];
    for path in of_kuma {
        let heard = stage.get(&format!("{path}?a=b%20c")).await;
        assert_eq!(heard.node(), "node1", "{path}");
        assert_eq!(heard.json()["path"], format!("{path}?a=b%20c"), "unchanged");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_parts_of_the_cluster_tell_one_another_is_not_told_to_others() {
    let stage = Stage::start(1, 1).await;
    let hidden = [
        "/lb/routes",
        "/lb/pushes",
        "/lb/routes/",
        "/lb/x/../routes",
        "//lb/pushes",
        "/lb",
        "/lb/",
        "/lb/trigger-rebalancing",
        "/peer/v1/report",
        "/peer/v1/heartbeats/backup",
        "/PEER/../peer/v1/report",
    ];
    for path in hidden {
        let heard = stage.get(path).await;
        assert!(heard.json()["watchdog"].is_null(), "{path}: {heard:?}");
    }
    // A node is told to look at its assignment by watchdogs only.
    for path in ["/api/v1/reconcile-monitors", "//api/v1/reconcile-monitors", "/x/../api/v1/reconcile-monitors"] {
        let heard = stage.send("POST", path, &[], "").await;
        assert_eq!(heard.json()["watchdog"], "w1", "{path}");
    }
    assert_eq!(stage.get("/lb/ping").await.body, "pong\n");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_list_of_nodes_shows_no_address() {
    let stage = Stage::start(2, 1).await;
    let list = stage.get("/lb/available-nodes").await.json();
    let first = json!({
        "node_id": "node1", "status": "online", "monitor_count": 100, "load": 0.1, "set_url": "/lb/fixed-node/node1"
    });
    assert_eq!((&list["available_nodes"][0], &list["total_count"]), (&first, &json!(2)));
    assert!(!list.to_string().contains("127.0.0.1"), "{list}");
}
