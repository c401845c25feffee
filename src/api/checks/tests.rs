use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use std::time::Duration;

use komainu_watchdogs::view::{Health, View};
use serde_json::{Value, json};

use crate::api::support::{Surface, view};
use crate::looks::trial::MOST_AT_ONCE;

const PATH: &str = "/api/v1/checks";

const TRY: &str = "/api/v1/checks/try";

/// A server that answers so; its port, and how often it was asked.
async fn site(status: StatusCode) -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let app = Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(status)
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (port, asked)
}

fn shop() -> Value {
    json!({"name": "shop", "type": "http", "url": "https://joe:s3@shop.example/", "headers": {"X-Key": "s3cr3t"}})
}

async fn with_shop() -> (Surface, String) {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    assert_eq!(surface.send("POST", PATH, Some(&key), &shop().to_string()).await.code, 201);
    (surface, key)
}

async fn trail(surface: &Surface, what: &str) -> Vec<Value> {
    let key = surface.key("admin").await;
    let trail = surface.send("GET", "/api/v1/audit", Some(&key), "").await.json();
    trail["items"].as_array().unwrap().iter().filter(|deed| deed["what"] == what).cloned().collect()
}

#[tokio::test]
async fn a_check_is_made_shown_changed_and_deleted() {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    let made = surface.send("POST", PATH, Some(&key), &shop().to_string()).await;
    assert_eq!((made.code, made.header("location")), (201, format!("{PATH}/shop")));
    let shown = made.json();
    assert_eq!(
        (&shown["interval"], &shown["timeout"], &shown["quorum"]),
        (&json!(60), &json!(10.0), &json!("majority"))
    );
    assert_eq!(
        (&shown["severity"], &shown["state"], &shown["paused"]),
        (&json!("critical"), &json!("unknown"), &json!(false))
    );
    assert_eq!(shown["created_by"], "key/write");
    let path = format!("{PATH}/shop");
    let edited = surface.send("PATCH", &path, Some(&key), r#"{"interval": 20, "paused": true}"#).await;
    assert_eq!((edited.code, &edited.json()["interval"], &edited.json()["state"]), (200, &json!(20), &json!("paused")));
    assert_ne!(edited.header("etag"), made.header("etag"));
    assert_eq!(surface.send("GET", &path, Some(&key), "").await.header("etag"), edited.header("etag"));
    assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.code, 204);
    assert_eq!(surface.send("GET", &path, Some(&key), "").await.code, 404);
    assert_eq!(surface.send("DELETE", &path, Some(&key), "").await.code, 404);
    assert_eq!(trail(&surface, "check.delete").await.len(), 1);
}

#[tokio::test]
async fn secrets_are_shown_to_an_admin_who_asks_and_stand_in_no_trail() {
    let (surface, key) = with_shop().await;
    let shown = surface.send("GET", &format!("{PATH}/shop"), Some(&key), "").await;
    let text = String::from_utf8(shown.body.clone()).unwrap();
    assert!(!text.contains("s3"), "{text}");
    assert_eq!(shown.json()["hidden"], json!(["headers", "url"]));
    assert_eq!(shown.json()["url"], "https://not-shown@shop.example/");
    let asked = format!("{PATH}/shop?secrets=true");
    assert_eq!(surface.send("GET", &asked, Some(&key), "").await.code, 403);
    let admin = surface.key("admin").await;
    let all = surface.send("GET", &asked, Some(&admin), "").await.json();
    assert_eq!((&all["headers"]["X-Key"], &all["url"]), (&json!("s3cr3t"), &json!("https://joe:s3@shop.example/")));
    let listed = surface.send("GET", &format!("{PATH}?secrets=true"), Some(&admin), "").await.json();
    assert_eq!(listed["items"][0]["headers"]["X-Key"], "s3cr3t");
    let revealed = trail(&surface, "check.reveal").await;
    let subjects: Vec<_> = revealed.iter().map(|deed| deed["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!(subjects, ["check/shop", "check/shop"]);
    let edit = json!({"headers": {"X-Key": "an0ther"}}).to_string();
    assert_eq!(surface.send("PATCH", &format!("{PATH}/shop"), Some(&key), &edit).await.code, 200);
    let told = json!([trail(&surface, "check.create").await, trail(&surface, "check.edit").await]).to_string();
    assert!(!told.contains("s3cr3t") && !told.contains("an0ther") && told.contains("(changed)"), "{told}");
}

#[tokio::test]
async fn an_edit_is_made_only_of_what_its_client_had_seen() {
    let (surface, key) = with_shop().await;
    let path = format!("{PATH}/shop");
    let seen = surface.send("GET", &path, Some(&key), "").await.header("etag");
    let bearer = format!("Bearer {key}");
    let with = |tag: &str| [("authorization", bearer.clone()), ("if-match", tag.to_owned())];
    let send = async |method: &str, tag: &str, body: &str| {
        let headers = with(tag);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        surface.send_with(method, &path, &headers, body).await.code
    };
    assert_eq!(send("PATCH", &seen, r#"{"interval": 30}"#).await, 200);
    assert_eq!(send("PATCH", &seen, r#"{"interval": 40}"#).await, 412);
    assert_eq!(send("PUT", &seen, r#"{"type": "ping", "hostname": "a.example"}"#).await, 412);
    assert_eq!(send("DELETE", &seen, "").await, 412);
    let shown = surface.send("GET", &path, Some(&key), "").await;
    assert_eq!(shown.json()["interval"], 30);
    assert_eq!(send("DELETE", &shown.header("etag"), "").await, 204);
}

#[tokio::test]
async fn put_makes_or_replaces_by_name() {
    let surface = Surface::plain().await.lasting();
    let (key, path) = (surface.key("write").await, format!("{PATH}/gate"));
    let body = r#"{"type": "port", "hostname": "gate.example", "port": 22, "tags": ["a"]}"#;
    assert_eq!(surface.send("PUT", &path, Some(&key), body).await.code, 201);
    let tag = surface.send("GET", &path, Some(&key), "").await.header("etag");
    let same = surface.send("PUT", &path, Some(&key), body).await;
    assert_eq!((same.code, same.header("etag")), (200, tag));
    let other =
        surface.send("PUT", &path, Some(&key), r#"{"type": "ping", "hostname": "gate.example", "name": "gate"}"#).await;
    assert_eq!((other.code, &other.json()["tags"], &other.json()["type"]), (200, &json!([]), &json!("ping")));
    assert_eq!(other.json()["port"], Value::Null);
    let renamed = surface.send("PUT", &path, Some(&key), r#"{"type": "ping", "hostname": "a", "name": "door"}"#).await;
    assert_eq!((renamed.code, &renamed.json()["errors"][0]["field"]), (400, &json!("name")));
    let bearer = format!("Bearer {key}");
    let only_new = [("authorization", bearer.as_str()), ("if-none-match", "*")];
    assert_eq!(surface.send_with("PUT", &path, &only_new, body).await.code, 412);
    let unnamed = surface.send("PUT", &format!("{PATH}/a%20b"), Some(&key), body).await;
    assert_eq!((unnamed.code, &unnamed.json()["errors"][0]["field"]), (400, &json!("name")));
}

#[tokio::test]
async fn every_fault_is_told_at_once_by_its_field() {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    let body = r#"{"name": "x y", "type": "http", "url": "nothing", "interval": 1, "channels": ["lost"], "colour": 1}"#;
    let refused = surface.send("POST", PATH, Some(&key), body).await;
    let errors = refused.json()["errors"].as_array().unwrap().clone();
    let mut fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect();
    fields.sort();
    assert_eq!(
        (refused.code, fields),
        (400, ["channels", "colour", "interval", "name", "url"].map(str::to_owned).into())
    );
    let denied = json!({"name": "x", "type": "http", "url": "http://169.254.169.254/"}).to_string();
    let refused = surface.send("POST", PATH, Some(&key), &denied).await;
    assert_eq!((refused.code, &refused.json()["errors"][0]["field"]), (400, &json!("url")));
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let (surface, key) = with_shop().await;
    let again = surface.send("POST", PATH, Some(&key), &shop().to_string()).await;
    assert_eq!((again.code, &again.json()["errors"][0]["field"]), (409, &json!("name")));
    let again = surface.send("POST", &format!("{PATH}?dry_run=true"), Some(&key), &shop().to_string()).await;
    assert_eq!(again.code, 409);
}

#[tokio::test]
async fn a_rehearsal_judges_and_writes_nothing() {
    let surface = Surface::plain().await.lasting();
    let (key, path) = (surface.key("write").await, format!("{PATH}/shop"));
    let dry = |path: &str| format!("{path}?dry_run=true");
    assert_eq!(surface.send("POST", &dry(PATH), Some(&key), &shop().to_string()).await.code, 204);
    assert_eq!(surface.send("PUT", &dry(&path), Some(&key), &shop().to_string()).await.code, 204);
    assert_eq!(surface.send("PATCH", &dry(&path), Some(&key), "{}").await.code, 404);
    assert_eq!(surface.send("GET", &path, Some(&key), "").await.code, 404);
    assert_eq!(surface.send("POST", PATH, Some(&key), &shop().to_string()).await.code, 201);
    assert_eq!(surface.send("PATCH", &dry(&path), Some(&key), r#"{"interval": 30}"#).await.code, 204);
    assert_eq!(surface.send("PATCH", &dry(&path), Some(&key), r#"{"timeout": 90}"#).await.code, 400);
    assert_eq!(surface.send("GET", &path, Some(&key), "").await.json()["interval"], 60);
    assert!(trail(&surface, "check.edit").await.is_empty());
}

#[tokio::test]
async fn thousands_are_written_in_one_request_or_none_of_them() {
    let (surface, key) = with_shop().await;
    let bulk = |query: &str| format!("{PATH}/bulk{query}");
    let items: Vec<Value> =
        (0..1_200).map(|at| json!({"name": format!("c{at}"), "type": "ping", "hostname": "a.example"})).collect();
    let made = surface.send("POST", &bulk(""), Some(&key), &json!(items).to_string()).await;
    assert_eq!((made.code, made.json()["items"].as_array().unwrap().len()), (201, 1_200));
    let lines = format!(
        "{}\n{}",
        json!({"name": "c7", "interval": 20}),
        json!({"name": "new", "type": "ping", "hostname": "b"})
    );
    let mixed = surface.send("POST", &bulk("?upsert=true"), Some(&key), &lines).await.json();
    assert_eq!(mixed["items"], json!([{"name": "c7", "change": "updated"}, {"name": "new", "change": "created"}]));
    let same = surface.send("POST", &bulk("?upsert=true"), Some(&key), &lines).await;
    assert_eq!((same.code, &same.json()["items"][1]["change"]), (200, &json!("unchanged")));
    let wrong = json!([{"name": "ok", "type": "ping", "hostname": "a"}, {"name": "bad", "type": "http"},
        {"name": "worse", "interval": 1}, {"name": "ok", "type": "ping", "hostname": "a"}, {"name": "shop", "type": "dns", "hostname": "a"}]);
    let refused = surface.send("POST", &bulk(""), Some(&key), &wrong.to_string()).await;
    let errors = refused.json()["errors"].as_array().unwrap().clone();
    let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(
        (refused.code, fields),
        (400, vec!["items[1].url", "items[2].interval", "items[3].name", "items[4].name"])
    );
    assert_eq!(surface.send("GET", &format!("{PATH}/ok"), Some(&key), "").await.code, 404);
}

#[tokio::test]
async fn a_list_is_cut_into_pages_and_filtered() {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    let items = json!([
        {"name": "a", "type": "ping", "hostname": "h", "tags": ["web", "x\"y"], "managed_by": "apply/shop"},
        {"name": "b", "type": "ping", "hostname": "h", "tags": ["website"], "paused": true},
        {"name": "c", "type": "dns", "hostname": "h"},
    ]);
    assert_eq!(surface.send("POST", &format!("{PATH}/bulk"), Some(&key), &items.to_string()).await.code, 201);
    for (query, names) in [
        ("", vec!["a", "b", "c"]),
        ("?type=ping", vec!["a", "b"]),
        ("?tag=web", vec!["a"]),
        ("?tag=x%22y", vec!["a"]),
        ("?managed_by=apply/shop", vec!["a"]),
        ("?paused=true", vec!["b"]),
        ("?paused=false&type=ping", vec!["a"]),
        ("?limit=1&cursor=a", vec!["b"]),
    ] {
        let page = surface.send("GET", &format!("{PATH}{query}"), Some(&key), "").await.json();
        let found: Vec<_> = page["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{query}");
    }
}

#[tokio::test]
async fn whoever_may_only_read_makes_none() {
    let (surface, _) = with_shop().await;
    let key = surface.key("read").await;
    assert_eq!(surface.send("GET", &format!("{PATH}/shop"), Some(&key), "").await.code, 200);
    for (method, path) in [
        ("POST", PATH),
        ("PUT", "/api/v1/checks/shop"),
        ("PATCH", "/api/v1/checks/shop"),
        ("DELETE", "/api/v1/checks/shop"),
    ] {
        assert_eq!(surface.send(method, path, Some(&key), "{}").await.code, 403, "{method}");
    }
    assert_eq!(surface.get(PATH).await.code, 401);
}

#[tokio::test]
async fn a_watchdog_alone_tries_a_check_and_makes_none() {
    let surface = Surface::plain().await.lasting();
    let (key, (port, asked)) = (surface.key("write").await, site(StatusCode::OK).await);
    let body = json!({"type": "http", "url": format!("http://joe:s3cr3t@127.0.0.1:{port}/"), "timeout": 5,
        "headers": {"X-Key": "s3cr3t"}, "tags": ["shop"], "channels": ["ops"], "paused": true});
    let tried = surface.send("POST", TRY, Some(&key), &body.to_string()).await;
    let seen = tried.json();
    assert_eq!(
        (tried.code, &seen["state"], &seen["because"]["code"]),
        (200, &json!("up"), &json!("reached")),
        "{seen}"
    );
    assert_eq!(seen["reason"], "1 of 1 watchdogs reach it");
    let vote = &seen["votes"][0];
    assert_eq!((&vote["watchdog"], &vote["zone"], &vote["verdict"]), (&json!("w1"), &json!("here"), &json!("up")));
    assert_eq!((&vote["status"], &vote["address"]), (&json!(200), &json!("127.0.0.1")));
    assert!(vote["ms"].is_u64() && vote["phases"]["first_byte_ms"].is_u64(), "{vote}");
    assert_eq!((&seen["abstaining"], &seen["unanswered"]), (&json!([]), &json!([])));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "one look");
    let page = surface.send("GET", PATH, Some(&key), "").await.json();
    assert_eq!(page["items"], json!([]), "nothing is made");
    let deeds = trail(&surface, "check.try").await;
    assert_eq!((deeds.len(), &deeds[0]["who"], &deeds[0]["after"]["type"]), (1, &json!("key/write"), &json!("http")));
    assert!(!json!(deeds).to_string().contains("s3cr3t"), "{deeds:?}");
}

#[tokio::test]
async fn what_fails_is_tried_with_its_reason() {
    let surface = Surface::plain().await.lasting();
    let (key, (port, _)) = (surface.key("write").await, site(StatusCode::IM_A_TEAPOT).await);
    let web = json!({"type": "http", "url": format!("http://127.0.0.1:{port}/")});
    let closed = json!({"type": "port", "hostname": "127.0.0.1", "port": 1});
    for (body, reason, status) in [(web, "status", json!(418)), (closed, "refused", Value::Null)] {
        let seen = surface.send("POST", TRY, Some(&key), &body.to_string()).await.json();
        assert_eq!((&seen["state"], &seen["because"]["code"]), (&json!("down"), &json!("failed")), "{seen}");
        let vote = &seen["votes"][0];
        assert_eq!((&vote["verdict"], &vote["reason"], &vote["status"]), (&json!("failed"), &json!(reason), &status));
        assert!(vote["message"].as_str().is_some_and(|message| !message.is_empty()), "{vote}");
    }
    let gone = json!({"type": "port", "hostname": "127.0.0.1", "port": 1, "upside_down": true});
    let seen = surface.send("POST", TRY, Some(&key), &gone.to_string()).await.json();
    assert_eq!((&seen["state"], &seen["votes"][0]["verdict"]), (&json!("up"), &json!("up")), "{seen}");
    let elsewhere = json!({"type": "port", "hostname": "127.0.0.1", "port": 1, "zones": ["there"]});
    let seen = surface.send("POST", TRY, Some(&key), &elsewhere.to_string()).await.json();
    assert_eq!((&seen["because"]["code"], &seen["votes"]), (&json!("no_voters"), &json!([])));
}

#[tokio::test]
async fn a_try_is_judged_as_a_new_check_before_anybody_looks() {
    let mut surface = Surface::plain().await;
    surface.state.guard.deny = vec!["127.0.0.0/8".parse().unwrap()];
    let surface = surface.lasting();
    let (key, (port, asked)) = (surface.key("write").await, site(StatusCode::OK).await);
    for (body, fields) in [
        (json!({"type": "http", "url": format!("http://127.0.0.1:{port}/")}), vec!["url"]),
        (json!({"type": "http", "url": "http://169.254.169.254/"}), vec!["url"]),
        (json!({"type": "http"}), vec!["url"]),
        (json!({"url": "http://a.example/"}), vec!["type"]),
        (json!({"type": "port", "hostname": "a.example", "port": 1, "name": "shop"}), vec!["name"]),
        (
            json!({"type": "http", "url": "nothing", "interval": 1, "channels": ["lost"], "colour": 1}),
            vec!["channels", "colour", "interval", "url"],
        ),
    ] {
        let refused = surface.send("POST", TRY, Some(&key), &body.to_string()).await;
        let errors = refused.json()["errors"].as_array().unwrap().clone();
        let mut named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        named.sort_unstable();
        assert_eq!((refused.code, named), (400, fields), "{body}");
    }
    let dry = surface.send("POST", &format!("{TRY}?dry_run=true"), Some(&key), "{}").await;
    assert_eq!((dry.code, &dry.json()["errors"][0]["field"]), (400, &json!("dry_run")));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody looked");
    assert!(trail(&surface, "check.try").await.is_empty());
}

#[tokio::test]
async fn eight_are_tried_at_once_and_only_by_those_who_may_write() {
    let surface = Surface::plain().await.lasting();
    let (key, reader) = (surface.key("write").await, surface.key("read").await);
    let body = json!({"type": "port", "hostname": "127.0.0.1", "port": 1}).to_string();
    assert_eq!(surface.send("POST", TRY, None, &body).await.code, 401);
    assert_eq!(surface.send("POST", TRY, Some(&reader), &body).await.code, 403);
    let rooms: Vec<_> = (0..MOST_AT_ONCE).map(|_| surface.state.looks.room_for_trial().unwrap()).collect();
    let busy = surface.send("POST", TRY, Some(&key), &body).await;
    assert_eq!((busy.code, busy.header("retry-after")), (503, "2".to_owned()));
    drop(rooms);
    assert_eq!(surface.send("POST", TRY, Some(&key), &body).await.code, 200);
    assert_eq!(trail(&surface, "check.try").await.len(), 1);
}

#[tokio::test]
async fn a_watchdog_that_stops_waits_for_no_look() {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("write").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let body = json!({"type": "http", "url": url, "timeout": 50}).to_string();
    let stops = async {
        // It was asked, and will not answer.
        let taken = listener.accept().await.unwrap();
        surface.state.stopping.cancel();
        taken
    };
    let (answer, _taken) = tokio::join!(surface.send("POST", TRY, Some(&key), &body), stops);
    assert_eq!(answer.code, 503);
}

#[tokio::test]
async fn a_watchdog_whose_checks_hang_or_hear_nobody_vouches_for_none_and_its_status_is_down() {
    let calm = async || Surface::showing(View { status: Health::Ok, ..view() }).await;
    let hangs = calm().await.with_hanging_checks(Duration::from_secs(11)).await;
    let cases = [
        (hangs, "the loop of this watchdog's checks stands still since 11 s"),
        (calm().await.with_deaf_checks().await, "this watchdog hears neither the database nor any other watchdog"),
    ];
    for (surface, reason) in cases {
        let check = surface.get("/checks/shop").await;
        assert_eq!((check.code, check.json()["reason"].as_str()), (503, Some(reason)));
        assert_eq!((check.header("retry-after").as_str(), &check.json()["votes"]), ("5", &Value::Null));
        assert_eq!(surface.send("HEAD", "/checks/shop", None, "").await.code, 503);
        let status = surface.get("/status").await;
        assert_eq!((status.code, &status.json()["status"]), (503, &json!("down")));
        assert_eq!(status.json()["reasons"], json!([format!("checks: {reason}")]));
    }
    let busy = calm().await.with_hanging_checks(Duration::from_secs(5)).await;
    assert_eq!(busy.get("/status").await.code, 200, "a loop that is late is none that hangs");
}
