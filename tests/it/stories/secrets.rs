//! What is secret of a monitor, and where it must not show.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

/// Stands in everything that is secret.
const SECRET: &str = "s3kr1t";

#[tokio::test(flavor = "multi_thread")]
async fn no_log_at_any_level_no_audit_trail_and_no_beat_shows_what_is_secret_of_a_monitor() {
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 1, ..Shape::default() };
    let mut cluster = Cluster::prepare(Kind::Sqlite, shape, "").await;
    cluster.log_everything();
    cluster.begin(shape).await;
    let mut made = Vec::new();
    for monitor in monitors(&cluster) {
        made.push(cluster.post("/api/v1/monitors", &monitor).await["id"].as_i64().unwrap());
    }
    let pushed = cluster.post("/api/v1/monitors", &push()).await;
    for wrong in wrong(&cluster) {
        let code = cluster.call(Method::POST, "/api/v1/monitors", &wrong).await;
        assert!((400..500).contains(&code), "{code} for {wrong}");
    }
    for id in &made {
        let path = format!("/api/v1/monitors/{id}");
        assert_eq!(cluster.call(Method::PATCH, &path, &json!({"interval": 3})).await, 200);
        assert_eq!(cluster.call(Method::GET, &format!("{path}?secrets=true"), &Value::Null).await, 200);
    }
    cluster.wait_for_beats(&made, Cluster::now_us(), Duration::from_secs(30)).await;
    let token = push()["push_token"].as_str().unwrap().to_owned();
    let is_taken = async || cluster.ask_of("node1", &format!("/api/push/{token}?msg=well")).await == Some(200);
    wait_until("the push is taken", Duration::from_secs(20), is_taken).await;
    assert_eq!(cluster.ask_of("w1", &format!("/api/push/{token}")).await, Some(404), "no watchdog's");
    let path = format!("/api/v1/monitors/{}", pushed["id"]);
    assert_eq!(cluster.call(Method::DELETE, &path, &Value::Null).await, 204);
    assert_eq!(shown(&cluster.logs()), [""; 0], "in the logs");
    let trail = cluster.database.rows("SELECT what, before_json, after_json FROM komainu_audit").await;
    assert!(trail.len() > 5 && trail.iter().all(|row| shown(&row.concat()).is_empty()), "{trail:?}");
    let beats = cluster.database.rows("SELECT monitor_id, msg FROM heartbeat").await;
    assert!(beats.iter().all(|row| shown(&row[1]).is_empty()), "{beats:?}");
    let incidents = async || cluster.database.rows("SELECT k, summary FROM komainu_incident").await;
    wait_until("a target that refuses is told", Duration::from_secs(20), async || !incidents().await.is_empty()).await;
    assert!(incidents().await.iter().all(|row| shown(&row[1]).is_empty()), "{:?}", incidents().await);
}

/// Lines that show a secret.
fn shown(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains(SECRET)).take(20).collect()
}

/// Of all kinds that a native node asks by HTTP: targets that answer, that refuse, and that nobody knows.
fn monitors(cluster: &Cluster) -> Vec<Value> {
    let well = cluster.target.url(2).replacen("://", &format!("://joe:{SECRET}@"), 1);
    let refusing = format!("http://joe:{SECRET}@127.0.0.1:9/");
    let unknown = format!("https://joe:{SECRET}@nobody.invalid/");
    let mut monitors = Vec::new();
    for (number, url) in [well, refusing, unknown].into_iter().enumerate() {
        for kind in ["http", "keyword", "json-query"] {
            monitors.push(json!({
                "name": format!("{kind} {number}"), "type": kind, "url": url, "interval": 2, "timeout": 1, "maxretries": 0,
                "keyword": "none", "json_path": "$.x", "json_path_operator": "==", "expected_value": "1",
                "method": "POST", "headers": {"Authorization": format!("Bearer {SECRET}")}, "body": format!("{{\"a\": \"{SECRET}\"}}"),
                "auth_method": "basic", "basic_auth_user": "joe", "basic_auth_pass": SECRET,
            }));
        }
    }
    monitors
}

fn push() -> Value {
    json!({"name": "push", "type": "push", "push_token": format!("{SECRET}{SECRET}{SECRET}{SECRET}{SECRET}ab"), "interval": 20})
}

/// What is refused: the refusal is the caller's alone.
fn wrong(cluster: &Cluster) -> Vec<Value> {
    let url = cluster.target.url(2);
    vec![
        json!({"name": "a", "type": "http", "url": format!("http://joe:{SECRET}@"), "interval": 2}),
        json!({"name": "b", "type": "http", "url": url, "headers": format!("{{no JSON {SECRET}"), "interval": 2}),
        json!({"name": "c", "type": "http", "url": url, "basic_auth_pass": [SECRET], "interval": 2}),
        json!({"name": "d", "type": "push", "push_token": SECRET.repeat(6), "interval": 2}),
    ]
}
