//! Heartbeats over HTTP, on an embedded database.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::api::support::{Surface, TestAnswer};
use crate::clock;
use crate::heartbeat::secret::{HEADER, LEGACY_HEADER, sign};

const PATH: &str = "/api/v1/heartbeats";

async fn call(surface: &Surface, method: &str, path: &str, body: &Value) -> TestAnswer {
    let key = surface.key("write").await;
    surface.send(method, &format!("{PATH}{path}"), Some(&key), &body.to_string()).await
}

/// Makes one; returns its secret.
async fn make(surface: &Surface, body: &Value) -> String {
    let made = call(surface, "POST", "", body).await;
    assert_eq!(made.code, 201, "{}", made.json());
    made.json()["secret"].as_str().unwrap().to_owned()
}

async fn backup(surface: &Surface) -> String {
    make(surface, &json!({"name": "backup", "period_s": 60, "grace_s": 5})).await
}

/// Unix seconds, so many milliseconds from now, as a sender writes them.
fn time(offset_ms: i64) -> String {
    let us = clock::wall_micros() + offset_ms * 1_000;
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

async fn push(surface: &Surface, name: &str, secret: &str, body: &str) -> TestAnswer {
    let signed = sign(secret, body.as_bytes());
    surface.send_with("POST", &format!("/heartbeats/{name}"), &[(HEADER, &signed)], body).await
}

fn fault(answer: &TestAnswer) -> (u16, String) {
    (answer.code, answer.json()["errors"][0]["field"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_heartbeat_says_which_set_it_belongs_to() {
    let surface = Surface::plain().await;
    let made = json!({"name": "backup", "period_s": 60, "managed_by": "apply/shop"});
    assert_eq!(call(&surface, "POST", "", &made).await.json()["managed_by"], "apply/shop");
    let kept = call(&surface, "PATCH", "/backup", &json!({"grace_s": 5})).await.json();
    assert_eq!(kept["managed_by"], "apply/shop");
    let freed = call(&surface, "PATCH", "/backup", &json!({"managed_by": null})).await.json();
    assert_eq!(freed["managed_by"], Value::Null);
}

#[tokio::test]
async fn a_heartbeat_is_made_with_a_secret_that_is_shown_once() {
    let surface = Surface::plain().await;
    let made = call(&surface, "POST", "", &json!({"name": "backup", "period_s": 60, "tags": ["db"]})).await;
    assert_eq!((made.code, made.header("location").as_str()), (201, "/api/v1/heartbeats/backup"));
    let body = made.json();
    for (field, value) in [
        ("state", json!("new")),
        ("grace_s", json!(60)),
        ("severity", json!("critical")),
        ("is_running", json!(false)),
        ("deadline", json!(null)),
        ("tags", json!(["db"])),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
    let secret = body["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 43);
    for path in ["/backup", ""] {
        let shown = call(&surface, "GET", path, &Value::Null).await.json();
        assert!(!shown.to_string().contains(secret), "{shown}");
    }
    let again = call(&surface, "POST", "", &json!({"name": "backup", "period_s": 60})).await;
    assert_eq!(fault(&again), (409, "name".to_owned()));
}

#[tokio::test]
async fn every_fault_names_its_field() {
    let surface = Surface::plain().await;
    for (body, field) in [
        (json!({"period_s": 60}), "name"),
        (json!({"name": "-x", "period_s": 60}), "name"),
        (json!({"name": "a b", "period_s": 60}), "name"),
        (json!({"name": "x"}), "period_s"),
        (json!({"name": "x", "period_s": 0}), "period_s"),
        (json!({"name": "x", "period_s": 60, "cron": "@daily"}), "cron"),
        (json!({"name": "x", "cron": "61 * * * *"}), "cron"),
        (json!({"name": "x", "cron": "0 0 30 2 *"}), "cron"),
        (json!({"name": "x", "cron": "@daily", "time_zone": "Mars/Olympus"}), "time_zone"),
        (json!({"name": "x", "period_s": 60, "time_zone": "UTC"}), "time_zone"),
        (json!({"name": "x", "period_s": 60, "severity": "red"}), "severity"),
        (json!({"name": "x", "period_s": 60, "periods": 1}), "periods"),
        (json!({"name": "x", "period_s": 60, "channels": ["ops", "opps"]}), "channels"),
    ] {
        assert_eq!(fault(&call(&surface, "POST", "", &body).await), (400, field.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_signed_push_counts_and_keeps_a_200_alive() {
    let surface = Surface::plain().await;
    let secret = backup(&surface).await;
    let alive = async |method: &str| surface.send(method, "/heartbeats/backup", None, "").await;
    assert_eq!((alive("GET").await.code, alive("HEAD").await.code), (404, 404));
    let pushed = push(&surface, "backup", &secret, &format!("{{\"time\": {}, \"message\": \"done\"}}", time(0))).await;
    assert_eq!((pushed.code, &pushed.json()["state"]), (200, &json!("up")), "{}", pushed.json());
    for method in ["GET", "HEAD"] {
        let answer = alive(method).await;
        assert_eq!((answer.code, answer.header("cache-control").as_str()), (200, "no-store"), "{method}");
    }
    assert_eq!(alive("GET").await.json(), json!({"name": "backup", "alive": true, "state": "up"}));
    let shown = call(&surface, "GET", "/backup", &Value::Null).await.json();
    assert_eq!((&shown["last_status"], &shown["last_message"]), (&json!("ok"), &json!("done")));
    let history = call(&surface, "GET", "/backup/pushes", &Value::Null).await.json();
    assert_eq!((&history["items"][0]["status"], &history["items"][0]["watchdog_id"]), (&json!("ok"), &json!("w1")));
    let status = surface.get("/status").await.json();
    assert_eq!(status["heartbeats"], json!({"up": 1, "late": 0, "failed": 0, "new": 0, "paused": 0}));
}

#[tokio::test]
async fn a_push_counts_once_and_the_retry_learns_that_it_did() {
    let surface = Surface::plain().await;
    let secret = backup(&surface).await;
    let at = time(0);
    let body = format!("{{\"time\": {at}}}");
    assert_eq!(push(&surface, "backup", &secret, &body).await.code, 200);
    let again = push(&surface, "backup", &secret, &body).await;
    assert_eq!(again.code, 409);
    let sent: Value = serde_json::from_str(&at).unwrap();
    assert_eq!(again.json()["last_time"], sent);
    let older = push(&surface, "backup", &secret, &format!("{{\"time\": {}}}", time(-1_000))).await;
    assert_eq!((older.code, &older.json()["last_time"]), (409, &sent));
}

#[tokio::test]
async fn a_start_and_the_end_of_its_run_may_bear_one_time() {
    let surface = Surface::plain().await;
    let body = json!({"name": "job", "period_s": 60, "max_runtime_s": 30});
    let secret = make(&surface, &body).await;
    let at = time(0);
    let told = |status: &str, run: &str| format!("{{\"time\": {at}, \"status\": \"{status}\", \"run_id\": \"{run}\"}}");
    assert_eq!(push(&surface, "job", &secret, &told("start", "a")).await.code, 200);
    let shown = call(&surface, "GET", "/job", &Value::Null).await.json();
    let open_for = shown["deadline"].as_i64().unwrap() - shown["started_at"].as_i64().unwrap();
    assert_eq!((&shown["is_running"], open_for), (&json!(true), 30_000));
    assert_eq!(push(&surface, "job", &secret, &told("ok", "b")).await.code, 409);
    assert_eq!(push(&surface, "job", &secret, &told("ok", "a")).await.code, 200);
    assert_eq!(push(&surface, "job", &secret, &told("fail", "a")).await.code, 409);
    assert_eq!(call(&surface, "GET", "/job", &Value::Null).await.json()["is_running"], json!(false));
}

#[tokio::test]
async fn what_is_not_signed_rightly_is_403_whatever_else_is_wrong() {
    let surface = Surface::plain().await;
    let secret = backup(&surface).await;
    let body = format!("{{\"time\": {}}}", time(0));
    let unsigned = surface.send_with("POST", "/heartbeats/backup", &[], &body).await;
    let wrong = push(&surface, "backup", "wrong", &body).await;
    let unknown = push(&surface, "nobody", &secret, &body).await;
    let garbage = push(&surface, "backup", "wrong", "garbage").await;
    let sha1 = surface.send_with("POST", "/heartbeats/backup", &[(LEGACY_HEADER, "sha1=00")], &body).await;
    for answer in [&unsigned, &wrong, &unknown, &garbage, &sha1] {
        assert_eq!(answer.code, 403);
        assert_eq!(answer.json()["detail"], unsigned.json()["detail"]);
    }
}

#[tokio::test]
async fn a_signed_push_that_is_malformed_or_old_is_400_with_field_and_time() {
    let surface = Surface::plain().await;
    let secret = backup(&surface).await;
    for (body, field) in
        [("{}", "time"), ("{\"time\": \"now\"}", "time"), ("{\"time\": 1, \"status\": \"x\"}", "status"), ("no", "")]
    {
        assert_eq!(fault(&push(&surface, "backup", &secret, body).await), (400, field.to_owned()), "{body}");
    }
    for offset_ms in [-301_000, 301_000] {
        let answer = push(&surface, "backup", &secret, &format!("{{\"time\": {}}}", time(offset_ms))).await;
        assert_eq!(fault(&answer), (400, "time".to_owned()));
        let server = answer.json()["server_time"].as_f64().unwrap();
        let own: f64 = time(0).parse().unwrap();
        assert!((server - own).abs() < 5.0, "{server} {own}");
    }
    let long = format!("{{\"time\": {}, \"message\": \"{}\"}}", time(0), "x".repeat(64 * 1024));
    assert_eq!(push(&surface, "backup", &secret, &long).await.code, 413);
}

#[tokio::test]
async fn a_fail_is_404_at_once_until_the_next_ok() {
    let surface = Surface::plain().await;
    let secret = backup(&surface).await;
    let alive = async || surface.get("/heartbeats/backup").await.code;
    let send = async |status: &str| {
        let body = format!("{{\"time\": {}, \"status\": \"{status}\"}}", time(0));
        assert_eq!(push(&surface, "backup", &secret, &body).await.code, 200);
    };
    send("ok").await;
    assert_eq!(alive().await, 200);
    send("fail").await;
    assert_eq!(alive().await, 404);
    send("start").await;
    assert_eq!(alive().await, 404);
    send("ok").await;
    assert_eq!(alive().await, 200);
}

#[tokio::test]
async fn a_rotated_secret_overlaps_as_long_as_asked() {
    let surface = Surface::plain().await;
    let first = backup(&surface).await;
    let rotate = async |overlap_s: i64| {
        let answer = call(&surface, "POST", "/backup/rotate", &json!({"overlap_s": overlap_s})).await;
        assert_eq!(answer.code, 200);
        answer.json()["secret"].as_str().unwrap().to_owned()
    };
    let send = async |secret: &str| {
        let body = format!("{{\"time\": {}}}", time(0));
        push(&surface, "backup", secret, &body).await.code
    };
    let second = rotate(3_600).await;
    assert_ne!(first, second);
    assert_eq!((send(&first).await, send(&second).await), (200, 200));
    let third = rotate(0).await;
    assert_eq!((send(&first).await, send(&second).await, send(&third).await), (403, 403, 200));
}

#[tokio::test]
async fn fixed_and_legacy_secrets_work_where_they_are_allowed() {
    let surface = Surface::plain().await;
    make(&surface, &json!({"name": "legacy", "period_s": 60, "allow_sha1": true})).await;
    let body = format!("{{\"time\": {}}}", time(0));
    assert_eq!(push(&surface, "legacy", "hunter2", &body).await.code, 200);
    let body = format!("{{\"time\": {}}}", time(0));
    let signed = sha1_of("hunter2", &body);
    let answer = surface.send_with("POST", "/heartbeats/legacy", &[(LEGACY_HEADER, &signed)], &body).await;
    assert_eq!(answer.code, 200, "{}", answer.json());
    call(&surface, "PATCH", "/legacy", &json!({"allow_sha1": false})).await;
    let body = format!("{{\"time\": {}}}", time(0));
    let signed = sha1_of("hunter2", &body);
    let answer = surface.send_with("POST", "/heartbeats/legacy", &[(LEGACY_HEADER, &signed)], &body).await;
    assert_eq!(answer.code, 403);
}

fn sha1_of(secret: &str, body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn more_than_fifty_a_second_of_one_name_are_too_many() {
    let surface = Surface::plain().await;
    let secret = backup(&surface).await;
    let surface = surface.lasting();
    let bodies: Vec<_> = (0..200).map(|number| format!("{{\"time\": {}}}", time(number))).collect();
    // All at once: one after another they may take longer than the rate allows.
    let pushes = bodies.iter().map(|body| push(&surface, "backup", &secret, body));
    let codes: Vec<_> = join_all(pushes).await.into_iter().map(|answer| answer.code).collect();
    let refused = codes.iter().filter(|code| **code == 429).count();
    assert!((1..=150).contains(&refused) && codes.contains(&200), "{codes:?}");
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_null_takes_away() {
    let surface = Surface::plain().await;
    make(&surface, &json!({"name": "job", "period_s": 60, "max_runtime_s": 30, "tags": ["a"]})).await;
    let edit = json!({"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "max_runtime_s": null});
    let changed = call(&surface, "PATCH", "/job", &edit).await;
    let body = changed.json();
    assert_eq!((changed.code, &body["period_s"], &body["cron"]), (200, &json!(null), &json!("30 2 * * *")));
    assert_eq!((&body["max_runtime_s"], &body["tags"], &body["revision"]), (&json!(null), &json!(["a"]), &json!(2)));
    assert_eq!(fault(&call(&surface, "PATCH", "/job", &json!({"name": "other"})).await), (400, "name".to_owned()));
    assert_eq!(call(&surface, "PATCH", "/nobody", &json!({"grace_s": 5})).await.code, 404);
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_the_deleted_are_gone() {
    let surface = Surface::plain().await;
    for name in ["a", "b", "c"] {
        make(&surface, &json!({"name": name, "period_s": 60})).await;
    }
    let list = async |query: &str| call(&surface, "GET", query, &Value::Null).await.json();
    let first = list("?limit=2").await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (2, &json!("b")));
    assert_eq!(list("?limit=2&cursor=b").await["items"][0]["name"], "c");
    assert_eq!(list("?state=up").await["items"], json!([]));
    assert_eq!(list("?state=lost").await["errors"][0]["field"], "state");
    assert_eq!(call(&surface, "DELETE", "/b", &Value::Null).await.code, 204);
    assert_eq!(call(&surface, "DELETE", "/b", &Value::Null).await.code, 404);
    assert_eq!(surface.get("/heartbeats/b").await.json()["state"], json!(null));
    let reader = surface.key("read").await;
    assert_eq!(surface.send("DELETE", &format!("{PATH}/a"), Some(&reader), "").await.code, 403);
}

#[tokio::test]
async fn an_edit_of_a_heartbeat_that_was_changed_since_is_refused() {
    let surface = Surface::plain().await;
    backup(&surface).await;
    let path = format!("{PATH}/backup");
    let bearer = format!("Bearer {}", surface.key("write").await);
    let seen = surface.send_with("GET", &path, &[("authorization", &bearer)], "").await.header("etag");
    let send = async |method: &str, body: &str| {
        surface.send_with(method, &path, &[("authorization", &bearer), ("if-match", &seen)], body).await
    };
    assert_eq!(send("PATCH", r#"{"grace_s": 6}"#).await.code, 200);
    assert_eq!(send("PATCH", r#"{"grace_s": 7}"#).await.code, 412);
    assert_eq!(send("DELETE", "").await.code, 412);
    let now = surface.send_with("GET", &path, &[("authorization", &bearer)], "").await;
    assert_eq!(now.json()["grace_s"], 6);
}

#[tokio::test]
async fn a_paused_heartbeat_is_neither_alarm_nor_calm_and_its_pushes_are_taken() {
    let surface = Surface::plain().await;
    let secret = backup(&surface).await;
    let pushed = async || push(&surface, "backup", &secret, &format!("{{\"time\": {}}}", time(0))).await.code;
    assert_eq!(pushed().await, 200);
    let paused = call(&surface, "PATCH", "/backup", &json!({"paused": true})).await.json();
    assert_eq!((&paused["paused"], &paused["state"]), (&json!(true), &json!("up")));
    for method in ["GET", "HEAD"] {
        assert_eq!(surface.send(method, "/heartbeats/backup", None, "").await.code, 503, "{method}");
    }
    let shown = surface.send("GET", "/heartbeats/backup", None, "").await.json();
    assert_eq!(shown, json!({"name": "backup", "alive": null, "state": "paused"}));
    assert_eq!(pushed().await, 200);
    let history = call(&surface, "GET", "/backup/pushes", &Value::Null).await.json();
    assert_eq!(history["items"].as_array().unwrap().len(), 2, "{history}");
    let counts = surface.send("GET", "/status", None, "").await.json()["heartbeats"].clone();
    assert_eq!(counts, json!({"up": 0, "late": 0, "failed": 0, "new": 0, "paused": 1}));
    let named = async |query: &str| call(&surface, "GET", query, &Value::Null).await.json()["items"].clone();
    assert_eq!(named("?paused=true").await[0]["name"], "backup");
    assert_eq!(named("?paused=false").await, json!([]));
    let resumed = call(&surface, "PATCH", "/backup", &json!({"paused": false})).await.json();
    assert!(resumed["deadline"].as_i64().unwrap() > clock::wall().0, "{resumed}");
    assert_eq!(surface.send("GET", "/heartbeats/backup", None, "").await.code, 200);
    let made = json!({"name": "later", "period_s": 60, "paused": true});
    assert_eq!(call(&surface, "POST", "", &made).await.json()["paused"], true);
}
