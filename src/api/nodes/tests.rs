//! Nodes over HTTP.

use serde_json::json;

use crate::api::support::{KEY, Surface};
use crate::keys::ClusterKey;

#[tokio::test]
async fn an_added_node_is_shown_and_its_key_is_derived() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    let body = r#"{"node_id": "node7", "address": "http://10.0.0.7:3001/", "capacity": 500}"#;
    let added = surface.send("POST", "/api/v1/nodes", Some(&admin), body).await;
    let key = ClusterKey::parse(KEY).unwrap().node_key(&"node7".into());
    assert_eq!((added.code, &added.json()["key"]), (201, &json!(key.reveal())));
    let shown = surface.send("GET", "/api/v1/nodes/node7", Some(&admin), "").await.json();
    assert_eq!(
        (&shown["address"], &shown["capacity"], &shown["weight"], &shown["status"]),
        (&json!("http://10.0.0.7:3001"), &json!(500), &json!(100), &json!("new"))
    );
    assert_eq!(surface.send("POST", "/api/v1/nodes", Some(&admin), body).await.code, 409);
}

#[tokio::test]
async fn a_wish_to_recover_is_accepted_for_a_known_node_only() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    let body = r#"{"node_id": "node1", "address": "http://10.0.0.5:8910"}"#;
    surface.send("POST", "/api/v1/nodes", Some(&admin), body).await;
    for (node, status) in [("node1", 202), ("node9", 404)] {
        let path = format!("/api/v1/nodes/{node}/recover");
        assert_eq!(surface.send("POST", &path, Some(&admin), "").await.code, status);
    }
}

#[tokio::test]
async fn an_unknown_node_is_404() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    let answer = surface.send("GET", "/api/v1/nodes/node9", Some(&admin), "").await;
    assert_eq!((answer.code, &answer.json()["detail"]), (404, &json!("there is no node node9")));
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    let body = r#"{"node_id": "node 7", "address": "10.0.0.7", "weight": 0, "wieght": 3}"#;
    let errors = surface.send("POST", "/api/v1/nodes", Some(&admin), body).await.json()["errors"].clone();
    let fields: Vec<&str> = errors.as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["node_id", "address", "weight", "wieght"]);
}

#[tokio::test]
async fn a_change_touches_what_it_names() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    surface.add_node("node1").await;
    let body = r#"{"weight": 50, "capacity": 9, "labels": ["ssd", "eu", "eu"]}"#;
    let shown = surface.send("PATCH", "/api/v1/nodes/node1", Some(&admin), body).await.json();
    assert_eq!((&shown["weight"], &shown["capacity"]), (&json!(50), &json!(9)));
    assert_eq!((&shown["labels"], &shown["address"]), (&json!(["eu", "ssd"]), &json!("http://node1:3001")));
    let shown = surface.send("PATCH", "/api/v1/nodes/node1", Some(&admin), r#"{"capacity": null}"#).await.json();
    assert_eq!((&shown["weight"], &shown["capacity"]), (&json!(50), &json!(null)));
    for wrong in [r#"{"labels": ["a,b"]}"#, r#"{"node_id": "node2"}"#, r#"{"weight": 0}"#] {
        assert_eq!(surface.send("PATCH", "/api/v1/nodes/node1", Some(&admin), wrong).await.code, 400, "{wrong}");
    }
    assert_eq!(surface.send("PATCH", "/api/v1/nodes/node9", Some(&admin), r#"{"weight": 1}"#).await.code, 404);
}

#[tokio::test]
async fn a_drain_lists_the_pinned_monitors_that_stand_against_it() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    surface.add_node("node1").await;
    let body = r#"{"name": "till", "type": "http", "url": "http://t/", "node_id": "node1", "pinned": true}"#;
    assert_eq!(surface.send("POST", "/api/v1/monitors", Some(&admin), body).await.code, 201);
    let refused = surface.send("POST", "/api/v1/nodes/node1/drain", Some(&admin), "").await;
    assert_eq!((refused.code, &refused.json()["pinned"]), (409, &json!([{"id": 1, "name": "till"}])));
    let along = r#"{"move_pinned": true}"#;
    let accepted = surface.send("POST", "/api/v1/nodes/node1/drain", Some(&admin), along).await;
    assert_eq!((accepted.code, &accepted.json()["overlay"]), (202, &json!("draining")));
    let resumed = surface.send("POST", "/api/v1/nodes/node1/resume", Some(&admin), "").await;
    assert_eq!((resumed.code, &resumed.json()["overlay"]), (202, &json!("none")));
    assert_eq!(surface.send("POST", "/api/v1/nodes/node9/drain", Some(&admin), "").await.code, 404);
}

#[tokio::test]
async fn a_node_with_monitors_is_kept_and_the_way_out_is_named() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    surface.add_node("node1").await;
    let body = r#"{"name": "till", "type": "http", "url": "http://t/", "node_id": "node1"}"#;
    assert_eq!(surface.send("POST", "/api/v1/monitors", Some(&admin), body).await.code, 201);
    let refused = surface.send("DELETE", "/api/v1/nodes/node1?rehome=true", Some(&admin), "").await;
    let detail = "1 monitor is at node1: `komainu nodes drain node1 --wait`";
    assert_eq!((refused.code, &refused.json()["detail"]), (409, &json!(detail)));
    assert_eq!(surface.send("DELETE", "/api/v1/monitors/1", Some(&admin), "").await.code, 204);
    assert_eq!(surface.send("DELETE", "/api/v1/nodes/node1", Some(&admin), "").await.code, 204);
    assert_eq!(surface.send("DELETE", "/api/v1/nodes/node1", Some(&admin), "").await.code, 404);
}

#[tokio::test]
async fn an_edit_of_a_node_that_was_changed_since_is_refused() {
    let surface = Surface::plain().await;
    let bearer = format!("Bearer {}", surface.key("admin").await);
    surface.add_node("node1").await;
    let path = "/api/v1/nodes/node1";
    let read = surface.send_with("GET", path, &[("authorization", &bearer)], "").await;
    let seen = read.header("etag");
    let change = async |body: &str| {
        surface.send_with("PATCH", path, &[("authorization", &bearer), ("if-match", &seen)], body).await
    };
    let first = change(r#"{"weight": 50}"#).await;
    assert_eq!(first.code, 200);
    assert_ne!(first.header("etag"), seen);
    assert_eq!(change(r#"{"weight": 60}"#).await.code, 412);
    assert_eq!(surface.send_with("GET", path, &[("authorization", &bearer)], "").await.json()["weight"], 50);
}

#[tokio::test]
async fn who_would_delete_a_node_is_told_at_once_what_is_pinned_there() {
    let surface = Surface::plain().await;
    let admin = surface.key("admin").await;
    surface.add_node("node1").await;
    for pinned in [true, false] {
        let body = json!({"name": "till", "type": "http", "url": "http://t/", "node_id": "node1", "pinned": pinned});
        assert_eq!(surface.send("POST", "/api/v1/monitors", Some(&admin), &body.to_string()).await.code, 201);
    }
    let refused = surface.send("DELETE", "/api/v1/nodes/node1", Some(&admin), "").await;
    assert_eq!((refused.code, &refused.json()["pinned"]), (409, &json!([{"id": 1, "name": "till"}])));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("2 monitors are at node1, 1 of them pinned (1 till)"), "{detail}");
}
