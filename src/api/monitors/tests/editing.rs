//! Edits over HTTP: what is named, what was seen, what is there.

use serde_json::{Value, json};

use super::{PATH, faults, post};
use crate::api::support::{Surface, TestAnswer};

async fn send(surface: &Surface, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> TestAnswer {
    let bearer = format!("Bearer {}", surface.key("write").await);
    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
    surface.send_with(method, path, &headers, &body.to_string()).await
}

fn web() -> Value {
    json!({"name": "web", "type": "http", "url": "https://example.com", "keyword": "x", "tags": ["a"]})
}

pub(super) async fn trail(surface: &Surface) -> Vec<Value> {
    let admin = surface.key("admin").await;
    let trail = surface.send("GET", "/api/v1/audit", Some(&admin), "").await.json();
    let is_ours = |row: &&Value| row["what"].as_str().unwrap().starts_with("monitor.");
    trail["items"].as_array().unwrap().iter().filter(is_ours).cloned().collect()
}

#[tokio::test]
async fn an_edit_changes_only_what_it_names() {
    let surface = Surface::plain().await;
    let made = post(&surface, &web()).await.json();
    let path = format!("{PATH}/{}", made["id"]);
    let edit = json!({"interval": 30, "keyword": null, "tags": ["b", "a"], "channels": ["ops"]});
    let edited = send(&surface, "PATCH", &path, &[], &edit).await;
    assert_eq!(edited.code, 200, "{}", edited.json());
    for (field, value) in made.as_object().unwrap() {
        let expected = match field.as_str() {
            "interval" => json!(30),
            "keyword" => json!(null),
            "tags" => json!(["a", "b"]),
            "channels" => json!(["ops"]),
            _ => value.clone(),
        };
        assert_eq!(edited.json()[field], expected, "{field}");
    }
    let row = &trail(&surface).await[0];
    assert_eq!((&row["what"], &row["who"]), (&json!("monitor.edit"), &json!("key/write")));
    assert_eq!(row["before"], json!({"interval": 60, "keyword": "x", "tags": ["a"], "channels": []}));
    assert_eq!(row["after"], json!({"interval": 30, "keyword": null, "tags": ["a", "b"], "channels": ["ops"]}));
}

#[tokio::test]
async fn an_edit_of_what_another_has_edited_meanwhile_is_refused() {
    let surface = Surface::plain().await;
    let made = post(&surface, &web()).await;
    let (path, seen) = (format!("{PATH}/{}", made.json()["id"]), made.header("etag"));
    let if_match = [("if-match", seen.as_str())];
    assert_eq!(send(&surface, "PATCH", &path, &if_match, &json!({"interval": 30})).await.code, 200);
    let late = send(&surface, "PATCH", &path, &if_match, &json!({"name": "mine"})).await;
    assert_eq!((late.code, late.json()["type"].as_str()), (412, Some("/problems/stale")));
    assert_eq!(send(&surface, "DELETE", &path, &if_match, &json!({})).await.code, 412);
    let shown = send(&surface, "GET", &path, &[], &json!({})).await;
    assert_eq!((shown.json()["name"].as_str(), shown.header("etag") == seen), (Some("web"), false));
    let fresh = shown.header("etag");
    assert_eq!(send(&surface, "DELETE", &path, &[("if-match", &fresh)], &json!({})).await.code, 204);
    assert_eq!(send(&surface, "PATCH", &path, &[], &json!({"interval": 5})).await.code, 404);
}

#[tokio::test]
async fn a_pipeline_puts_the_same_any_number_of_times() {
    let surface = Surface::plain().await;
    let path = format!("{PATH}/by-ref/shop%2Fweb-1");
    let first = send(&surface, "PUT", &path, &[], &web()).await;
    assert_eq!((first.code, first.json()["ref"].as_str()), (201, Some("shop/web-1")), "{}", first.json());
    let again = send(&surface, "PUT", &path, &[], &web()).await;
    assert_eq!((again.code, again.header("etag")), (200, first.header("etag")));
    assert_eq!(trail(&surface).await.len(), 1);
    let edited = send(&surface, "PUT", &path, &[], &json!({"interval": 5})).await;
    assert_eq!((edited.code, edited.json()["name"].as_str()), (200, Some("web")));
    let only_new = send(&surface, "PUT", &path, &[("if-none-match", "*")], &web()).await;
    assert_eq!(only_new.code, 412);
    assert_eq!(send(&surface, "GET", &path, &[], &json!({})).await.json()["interval"], 5);
    assert_eq!(send(&surface, "DELETE", &path, &[], &json!({})).await.code, 204);
    assert_eq!(send(&surface, "GET", &path, &[], &json!({})).await.code, 404);
    assert_eq!(send(&surface, "PUT", &path, &[("if-match", "*")], &web()).await.code, 412);
}

#[tokio::test]
async fn who_waits_for_a_beat_is_told_what_is_missing() {
    let surface = Surface::plain().await;
    let path = format!("{PATH}/by-ref/web-1?wait=1s");
    let answer = send(&surface, "PUT", &path, &[], &web()).await;
    let why = answer.json()["waiting_for"].as_str().unwrap_or_default().to_owned();
    assert_eq!((answer.code, &answer.json()["first_beat"]), (201, &json!(null)));
    assert!(why.contains("the leader has not placed it"), "{why}");
    let paused = send(&surface, "PUT", &path, &[], &json!({"active": false})).await.json();
    assert_eq!(paused["waiting_for"], "it is paused: no node runs it");
    assert_eq!(send(&surface, "PUT", &format!("{PATH}/by-ref/web-1?wait=9h"), &[], &json!({})).await.code, 400);
}

#[tokio::test]
async fn a_push_monitor_gets_a_token_that_only_writers_see() {
    let surface = Surface::plain().await;
    let made = post(&surface, &json!({"name": "job", "type": "push", "interval": 60})).await.json();
    assert_eq!(made["push_token"].as_str().map(str::len), Some(32));
    let key = surface.key("read").await;
    let shown = surface.send("GET", &format!("{PATH}/{}", made["id"]), Some(&key), "").await.json();
    assert_eq!((&shown["push_token"], &shown["status"]), (&json!(null), &json!("unknown")));
    let twice = post(&surface, &json!({"name": "x", "type": "push", "push_token": made["push_token"]})).await;
    assert_eq!((twice.code, faults(&twice)[0].0.as_str()), (409, "push_token"));
}

#[tokio::test]
async fn a_parent_is_a_group_and_never_below_its_own_members() {
    let surface = Surface::plain().await;
    let web = post(&surface, &web()).await.json();
    let outer = post(&surface, &json!({"name": "outer", "type": "group"})).await.json();
    let inner = post(&surface, &json!({"name": "inner", "type": "group", "parent": outer["id"]})).await.json();
    let at = |monitor: &Value| format!("{PATH}/{}", monitor["id"]);
    for (monitor, edit, code) in [
        (&outer, json!({"parent": web["id"]}), 400),
        (&outer, json!({"parent": 999}), 400),
        (&outer, json!({"parent": inner["id"]}), 409),
        (&outer, json!({"type": "http", "url": "http://x"}), 409),
        (&web, json!({"parent": inner["id"]}), 200),
        (&web, json!({"parent": null}), 200),
    ] {
        let answer = send(&surface, "PATCH", &at(monitor), &[], &edit).await;
        assert_eq!(answer.code, code, "{edit}: {}", answer.json());
    }
}

#[tokio::test]
async fn what_nobody_may_set_is_refused_by_name() {
    let surface = Surface::plain().await;
    for field in ["id", "user_id", "effective_node", "accepted_statuscodes_json", "mqtt_topic", "nonsense"] {
        let mut body = web();
        body[field] = json!("x");
        let answer = post(&surface, &body).await;
        assert_eq!((answer.code, faults(&answer)[0].0.as_str()), (400, field));
    }
}

#[tokio::test]
async fn an_if_match_that_cannot_be_read_is_no_permission_to_overwrite() {
    let surface = Surface::plain().await;
    let made = post(&surface, &web()).await;
    let path = format!("{PATH}/{}", made.json()["id"]);
    for unreadable in ["", " , ", "abc", "\"abc\", d"] {
        let answer = send(&surface, "PATCH", &path, &[("if-match", unreadable)], &json!({"interval": 30})).await;
        assert_eq!((answer.code, faults(&answer)[0].0.as_str()), (400, "If-Match"), "{unreadable:?}");
    }
}

#[tokio::test]
async fn a_channel_that_this_watchdog_does_not_have_is_refused_and_those_it_has_are_named() {
    let surface = Surface::plain().await;
    let mut misspelt = web();
    misspelt["channels"] = json!(["ops", "opps"]);
    let one = send(&surface, "POST", "/api/v1/monitors", &[], &misspelt).await;
    let by_ref = send(&surface, "PUT", "/api/v1/monitors/by-ref/web", &[], &misspelt).await;
    for refused in [&one, &by_ref] {
        let fault = &refused.json()["errors"][0];
        let message = fault["message"].as_str().unwrap().to_owned();
        assert_eq!((refused.code, &fault["field"]), (400, &json!("channels")), "{fault}");
        assert!(message.contains("opps") && message.contains("has ops, mail"), "{message}");
    }
    let many = send(&surface, "POST", "/api/v1/monitors/bulk?dry_run=true", &[], &json!([misspelt])).await;
    assert_eq!(many.code, 400, "{}", many.json());
    assert!(many.json()["errors"].to_string().contains("channels"), "{}", many.json());
}
