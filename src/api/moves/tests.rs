//! Moves and pins over HTTP.

use serde_json::{Value, json};

use crate::api::support::Surface;

async fn surface() -> (Surface, String) {
    let surface = Surface::plain().await;
    let writer = surface.key("write").await;
    surface.add_node("node1").await;
    surface.add_node("node2").await;
    for name in ["a", "b", "c"] {
        let body = json!({"name": name, "type": "http", "url": "http://t/", "node_id": "node1", "tags": ["shop"]});
        assert_eq!(surface.send("POST", "/api/v1/monitors", Some(&writer), &body.to_string()).await.code, 201);
    }
    (surface, writer)
}

async fn send(surface: &Surface, key: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = surface.send(method, &format!("/api/v1/monitors/{path}"), Some(key), &body).await;
    (answer.code, answer.json())
}

#[tokio::test]
async fn a_moved_monitor_is_shown_with_its_new_home() {
    let (surface, key) = surface().await;
    let (code, shown) = send(&surface, &key, "POST", "1/move", &json!({"node_id": "node2", "pin": true})).await;
    assert_eq!(code, 202);
    assert_eq!(
        (&shown["node_id"], &shown["effective_node"], &shown["pinned"]),
        (&json!("node2"), &json!("node1"), &json!(true))
    );
    let (code, problem) = send(&surface, &key, "POST", "77/move", &json!({"node_id": "node2"})).await;
    assert_eq!((code, &problem["detail"]), (404, &json!("there is no monitor 77")));
    let (code, problem) = send(&surface, &key, "POST", "1/move", &json!({"node_id": "node9"})).await;
    assert_eq!((code, &problem["errors"][0]["field"]), (400, &json!("node_id")));
}

#[tokio::test]
async fn many_move_together_or_not_at_all() {
    let (surface, key) = surface().await;
    let (code, moved) = send(&surface, &key, "POST", "move", &json!({"ids": [1, 2, 2], "node_id": "node2"})).await;
    assert_eq!(code, 202);
    assert_eq!((&moved["moved"], &moved["already_there"]), (&json!(2), &json!(0)));
    assert_eq!(moved["items"][0], json!({"id": 1, "from": "node1", "to": "node2"}));
    let (code, problem) = send(&surface, &key, "POST", "move", &json!({"ids": [3, 8, 9], "node_id": "node2"})).await;
    assert_eq!(code, 409);
    let fields: Vec<&Value> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["monitor/8", "monitor/9"]);
    let (_, moved) = send(&surface, &key, "POST", "move", &json!({"tag": "shop", "node_id": "node1"})).await;
    assert_eq!((&moved["moved"], &moved["already_there"]), (&json!(2), &json!(1)));
    let (_, moved) = send(&surface, &key, "POST", "move", &json!({"from_node": "node1", "node_id": "node2"})).await;
    assert_eq!(moved["moved"], 3);
}

#[tokio::test]
async fn exactly_one_of_three_names_them() {
    let (surface, key) = surface().await;
    for body in [
        json!({"node_id": "node2"}),
        json!({"ids": [1], "tag": "shop", "node_id": "node2"}),
        json!({"ids": [], "node_id": "node2"}),
        json!({"ids": ["x"], "node_id": "node2"}),
    ] {
        let (code, problem) = send(&surface, &key, "POST", "move", &body).await;
        assert_eq!((code, &problem["errors"][0]["field"]), (400, &json!("ids")), "{body}");
    }
}

#[tokio::test]
async fn a_pin_holds_a_monitor_where_it_runs_or_is_told_to() {
    let (surface, key) = surface().await;
    let (code, shown) = send(&surface, &key, "PUT", "1/pin", &Value::Null).await;
    assert_eq!((code, &shown["node_id"], &shown["pinned"]), (202, &json!("node1"), &json!(true)));
    let (_, shown) = send(&surface, &key, "PUT", "2/pin", &json!({"node_id": "node2"})).await;
    assert_eq!((&shown["node_id"], &shown["pinned"]), (&json!("node2"), &json!(true)));
    let (code, shown) = send(&surface, &key, "DELETE", "1/pin", &Value::Null).await;
    assert_eq!((code, &shown["pinned"]), (202, &json!(false)));
    let (_, moved) = send(&surface, &key, "POST", "pin", &json!({"tag": "shop"})).await;
    assert_eq!((&moved["moved"], &moved["already_there"]), (&json!(3), &json!(0)));
    let (_, moved) = send(&surface, &key, "POST", "unpin", &json!({"ids": [1, 2, 3]})).await;
    assert_eq!(moved["moved"], 3);
}

#[tokio::test]
async fn a_reader_moves_nothing() {
    let (surface, _) = surface().await;
    let reader = surface.key("read").await;
    let (code, _) = send(&surface, &reader, "POST", "1/move", &json!({"node_id": "node2"})).await;
    assert_eq!(code, 403);
}
