//! Pages as the public meets them.

use std::io::Read as _;
use std::time::Duration;

use serde_json::{Value, json};

use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Wall;

use super::Way;
use super::statuspage::Document;
use super::subscribe::{Links, letter, payload};
use crate::api::support::{KEY, Surface, TestAnswer};
use crate::keys::ClusterKey;
use crate::store::Store;
use crate::store::subscriptions::claim::{self, End};

mod strangers;

/// What must never be seen by the public stands in everything that is private.
const SECRET: &str = "s3cr3t";

/// The same, the cluster's key, and how keys of the API begin.
const PRIVATE: [&str; 3] = [SECRET, KEY, "kmn_"];

fn is_private(text: &str) -> bool {
    PRIVATE.iter().any(|private| text.contains(private))
}

/// Private things by every road, and a page of them under public names.
async fn with_secrets() -> (Surface, Value) {
    let surface = Surface::plain().await.lasting();
    let key = surface.key("admin").await;
    surface.add_node("node-s3cr3t").await;
    let monitor = json!({"name": "monitor s3cr3t", "type": "http", "url": "https://u:s3cr3t@s3cr3t.example/", "tags": ["s3cr3t"],
        "description": "s3cr3t", "ref": "ref-s3cr3t", "headers": {"X": "s3cr3t"}, "node_id": "node-s3cr3t"});
    let made = surface.send("POST", "/api/v1/monitors", Some(&key), &monitor.to_string()).await;
    assert_eq!(made.code, 201, "{}", made.json());
    let id = made.json()["id"].as_i64().unwrap();
    beat(&surface.state.store, id).await;
    let check = json!({"name": "check-s3cr3t", "type": "http", "url": "http://s3cr3t.example/", "tags": ["s3cr3t"]});
    assert_eq!(surface.send("POST", "/api/v1/checks", Some(&key), &check.to_string()).await.code, 201);
    let heartbeat = json!({"name": "heartbeat-s3cr3t", "period_s": 60, "description": "s3cr3t", "tags": ["s3cr3t"]});
    assert_eq!(surface.send("POST", "/api/v1/heartbeats", Some(&key), &heartbeat.to_string()).await.code, 201);
    let page = json!({"title": "Shop <script>alert(1)</script>", "description": "\u{202e}\"quoted\" & 'said'", "accent": "#123456",
        "logo": "data:image/png;base64,iVBORw0KGgo=", "managed_by": "apply/s3cr3t", "subscribe": ["mail", "webhook"], "groups": [
        {"name": "Web & more", "components": [
            {"name": "Front <b>", "description": "public", "monitor": id, "graph": true},
            {"name": "Probe", "check": "check-s3cr3t", "graph": true}, {"name": "Job", "heartbeat": "heartbeat-s3cr3t"}]},
        {"name": "", "components": [{"name": "By ref", "monitor_ref": "ref-s3cr3t"}]}]});
    let made = surface.send("PUT", "/api/v1/pages/shop", Some(&key), &page.to_string()).await;
    assert_eq!(made.code, 201, "{}", made.json());
    for subscriber in [
        ("mail", "s3cr3t@example.com", true),
        ("webhook", "https://s3cr3t.example/", true),
        ("mail", "s3cr3t@b.example", false),
    ] {
        let body = json!({"kind": subscriber.0, "address": subscriber.1, "confirmed": subscriber.2}).to_string();
        assert_eq!(surface.send("POST", "/api/v1/pages/shop/subscribers", Some(&key), &body).await.code, 201);
    }
    let incident = surface.raise("later/s3cr3t").await;
    let component = made.json()["groups"][0]["components"][0]["id"].clone();
    let told = json!({"title": "Told", "impact": "minor", "components": [component], "text": "Words.", "from_incident": incident});
    let told = surface.send("POST", "/api/v1/pages/shop/incidents", Some(&key), &told.to_string()).await;
    assert_eq!(told.code, 201, "{}", told.json());
    let planned = json!({"title": "Planned", "starts_at": 4_000_000_000_000_i64, "ends_at": 4_000_000_100_000_i64, "text": "Disks."});
    let planned = surface.send("POST", "/api/v1/pages/shop/maintenances", Some(&key), &planned.to_string()).await;
    assert_eq!(planned.code, 201, "{}", planned.json());
    sign_everything(&surface.state.store).await;
    // What was written last is shown: so is everything before it.
    until(&surface, "/pages/shop", |answer| text(answer).contains("Planned")).await;
    (surface, made.json())
}

/// Whoever wrote anything bears a name that is nobody's business.
async fn sign_everything(store: &Store) {
    let mut lease = store.lease("test").await.unwrap();
    for sql in [
        "UPDATE komainu_page SET created_by = 's3cr3t', changed_by = 's3cr3t'",
        "UPDATE komainu_page_notice SET created_by = 's3cr3t'",
        "UPDATE komainu_page_update SET said_by = 's3cr3t'",
        "UPDATE komainu_page_subscriber SET created_by = 's3cr3t', trouble = 's3cr3t'",
        "UPDATE komainu_page_revision SET revision = revision + 1",
    ] {
        lease.execute("test", sql, vec![]).await.unwrap();
    }
}

/// A beat that says what it must not.
async fn beat(store: &Store, monitor: i64) {
    let mut lease = store.lease("test").await.unwrap();
    let sql = format!(
        "INSERT INTO heartbeat (monitor_id, status, msg, time, important) \
         VALUES ({monitor}, 1, 's3cr3t', '2026-01-01 00:00:00', 1)"
    );
    lease.execute("test", sql, vec![]).await.unwrap();
}

/// Every public path of the page.
fn paths(page: &Value) -> Vec<String> {
    let mut paths: Vec<String> = [
        "",
        "?lang=zh-TW",
        "/subscribe",
        "/subscribe?lang=zh-TW",
        "/history/2026-01",
        "/feed.atom",
        "/feed.rss",
        "/feed.json",
        "/logo",
        "/colours.css",
    ]
    .iter()
    .map(|path| format!("/pages/shop{path}"))
    .collect();
    paths.extend(Document::ALL.iter().map(|document| format!("/pages/shop/api/v2/{}", document.path())));
    for component in page["groups"].as_array().unwrap().iter().flat_map(|group| group["components"].as_array().unwrap())
    {
        let id = component["id"].as_str().unwrap();
        paths.extend([format!("/pages/shop/badge/{id}.svg"), format!("/pages/shop/badge/{id}.json")]);
    }
    paths
}

/// Asks until the answer is as wanted: the task that keeps pages reads at its own pace.
async fn until(surface: &Surface, path: &str, is_wanted: impl Fn(&TestAnswer) -> bool) -> TestAnswer {
    for _ in 0..500 {
        let answer = surface.get(path).await;
        if is_wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} never became what it should be");
}

async fn read(surface: &Surface, path: &str) -> TestAnswer {
    let answer = surface.get(path).await;
    assert_eq!(answer.code, 200, "{path}");
    answer
}

fn text(answer: &TestAnswer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test]
async fn no_public_byte_holds_anything_that_was_not_made_public() {
    let (surface, page) = with_secrets().await;
    let mut looked_at = 0;
    for path in paths(&page) {
        let answer = surface.get(&path).await;
        assert_eq!(answer.code, 200, "{path}");
        let headers = format!("{:?}", answer.headers);
        assert!(!is_private(&text(&answer)) && !is_private(&headers), "{path}: {}", text(&answer));
        looked_at += 1;
    }
    assert_eq!(looked_at, 10 + 8 + 8);
}

#[tokio::test]
async fn nothing_that_subscribers_are_told_holds_anything_that_was_not_made_public() {
    let (surface, _) = with_secrets().await;
    let key = ClusterKey::parse(KEY).unwrap();
    let links = Links { key: &key, base: "https://status.example" };
    let mut said = vec![];
    for way in [Way::Mail, Way::Webhook] {
        loop {
            let all = claim::claim(&surface.state.store, way, Incarnation(7), 10).await.unwrap();
            if all.is_empty() {
                break;
            }
            for due in all {
                let body = match way {
                    Way::Mail => {
                        let mut letter = letter(&links, &due).unwrap();
                        // The reader's own address is no secret to them.
                        letter.to = "jane@example.com".parse().unwrap();
                        let from = "status@example.com".parse().unwrap();
                        let mail = komainu_notifiers::mail::letter::payload(&from, &letter, 0).formatted();
                        String::from_utf8(mail).unwrap()
                    }
                    Way::Webhook => payload(&links, &due, Wall(0)).to_string(),
                };
                said.push(body);
                assert!(claim::begin(&surface.state.store, &due, Incarnation(7)).await.unwrap());
                claim::end(&surface.state.store, &due, Incarnation(7), &End::Told).await.unwrap();
            }
        }
    }
    assert_eq!(said.len(), 5, "an incident and a maintenance by each way, and one is asked to confirm");
    let refused = surface.send("POST", "/pages/shop/subscribe", None, "way=mail&address=s3cr3t").await;
    let asked = surface.send("POST", "/pages/shop/subscribe", None, "way=mail&address=s3cr3t%40example.com").await;
    assert_eq!((refused.code, asked.code), (400, 200));
    said.push(text(&asked));
    for body in said {
        assert!(!is_private(&body) && body.contains("Shop"), "{body}");
    }
}

#[tokio::test]
async fn no_refusal_holds_anything_that_was_not_made_public() {
    let (surface, page) = with_secrets().await;
    let refused = [
        ("GET", "/pages/shop/badge/x.svg", 404),
        ("GET", "/pages/shop/badge/x", 404),
        ("GET", "/pages/shop/history/2026-13", 404),
        ("GET", "/pages/shop/incidents/x", 404),
        ("GET", "/pages/shop/api/v2/nothing.json", 404),
        ("GET", "/pages/nowhere", 404),
        ("GET", "/pages/assets/nothing.js", 404),
        ("POST", "/pages/shop", 405),
        ("DELETE", "/pages/shop/feed.atom", 405),
        ("POST", "/pages/nowhere/password", 404),
        ("HEAD", "/pages/shop", 200),
        ("GET", "/pages/shop?lang=nothing", 200),
    ];
    for (method, path, code) in refused {
        let answer = surface.send(method, path, None, "").await;
        assert_eq!(answer.code, code, "{method} {path}");
        let all = format!("{:?} {}", answer.headers, text(&answer));
        assert!(!is_private(&all), "{method} {path}: {all}");
    }
    for path in paths(&page) {
        let answer = surface.get_publicly(&path).await;
        let all = format!("{:?} {}", answer.headers, text(&answer));
        assert!(answer.code == 200 && !is_private(&all), "on the port for the public, {path}: {all}");
    }
}

#[tokio::test]
async fn an_incident_has_the_address_that_clients_of_statuspage_make_for_it() {
    let (surface, _) = with_secrets().await;
    let summary = surface.get("/pages/shop/api/v2/summary.json").await.json();
    for list in ["incidents", "scheduled_maintenances"] {
        let notice = &summary[list][0];
        let link = notice["shortlink"].as_str().unwrap().strip_prefix("https://status.example").unwrap();
        let led = surface.get(&format!("/pages/shop/incidents/{}", notice["id"].as_str().unwrap())).await;
        assert_eq!((led.code, led.header("location").as_str()), (307, link));
        let (month, anchor) = link.split_once('#').unwrap();
        assert!(text(&read(&surface, month).await).contains(&format!("id=\"{anchor}\"")), "{link}");
    }
}

#[tokio::test]
async fn the_colour_that_was_chosen_comes_after_the_usual_one() {
    let (surface, _) = with_secrets().await;
    for path in ["/pages/shop", "/pages/shop/history/2026-01"] {
        let html = text(&read(&surface, path).await);
        let at = |file: &str| html.find(file).unwrap();
        assert!(at("/pages/assets/") < at("/pages/shop/colours.css"), "{path}: {html}");
        assert!(at(super::assets::style()) < at("/pages/shop/colours.css"), "{path}: {html}");
    }
}

#[tokio::test]
async fn the_public_port_answers_pages_and_what_outside_services_ask_and_nothing_else() {
    let (surface, _) = with_secrets().await;
    assert_eq!(surface.get_publicly("/pages/shop").await.code, 200);
    for (path, code) in [
        ("/ping", 200),
        ("/status", 200),
        ("/checks/check-s3cr3t", 503),
        ("/heartbeats/heartbeat-s3cr3t", 404),
        ("/api/status-page/shop", 200),
        ("/api/status-page/heartbeat/shop", 200),
        ("/watch", 404),
        ("/", 404),
        ("/metrics", 404),
        ("/api/v1/pages", 404),
        ("/api/v1/openapi.json", 404),
        ("/lb/health", 404),
        ("/runbook", 404),
    ] {
        assert_eq!(surface.get_publicly(path).await.code, code, "{path}");
    }
    for path in ["/api/status-page/shop", "/api/status-page/heartbeat/shop", "/status"] {
        let answer = surface.get_publicly(path).await;
        assert!(!is_private(&text(&answer)) && !text(&answer).contains("node1"), "{path}: {}", text(&answer));
    }
    assert_eq!(surface.get("/api/status-page/shop").await.code, 404, "beside a Kuma it is Kuma's");
}

#[tokio::test]
async fn what_people_wrote_is_escaped_in_every_form() {
    let (surface, page) = with_secrets().await;
    let html = text(&read(&surface, "/pages/shop").await);
    assert!(!html.contains("<script>alert") && !html.contains("<b>"), "{html}");
    assert!(html.contains("Front &#60;b&#62;") || html.contains("Front &lt;b&gt;"), "{html}");
    let id = page["groups"][0]["components"][0]["id"].as_str().unwrap();
    for path in
        ["/pages/shop/feed.atom".to_owned(), "/pages/shop/feed.rss".to_owned(), format!("/pages/shop/badge/{id}.svg")]
    {
        let xml = text(&surface.get(&path).await);
        assert!(!xml.contains("<script>") && !xml.contains("<b>"), "{path}: {xml}");
        assert!(xml.contains("&lt;"), "{path}");
    }
}

#[tokio::test]
async fn a_page_says_what_is_told_and_how_everything_is_in_each_language() {
    let (surface, _) = with_secrets().await;
    let english = text(&read(&surface, "/pages/shop").await);
    for words in ["Told", "Words.", "Planned", "Investigating", "Scheduled", "Web &", "Services", "As of 20"] {
        assert!(english.contains(words), "{words} is not in {english}");
    }
    assert_eq!(english.matches("<li class=\"").count(), 4 * 90, "each component has ninety bars");
    let chinese = text(&surface.get("/pages/shop?lang=zh-TW").await);
    assert!(chinese.contains("lang=\"zh-TW\"") && chinese.contains("調查中"), "{chinese}");
    let summary = surface.get("/pages/shop/api/v2/summary.json").await.json();
    assert_eq!(summary["components"][1]["status"], "degraded_performance", "minor, as people say: {summary}");
    assert_eq!(summary["components"][2]["status"], "degraded_performance", "nobody knows");
    assert_eq!(
        (&summary["incidents"][0]["name"], &summary["scheduled_maintenances"][0]["name"]),
        (&json!("Told"), &json!("Planned"))
    );
    assert_eq!(summary["status"]["indicator"], "minor");
    assert_eq!(surface.get("/pages/shop/feed.json").await.json()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn pages_bear_the_headers_that_keep_others_out() {
    let (surface, _) = with_secrets().await;
    let answer = read(&surface, "/pages/shop").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=10");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!((answer.header("x-frame-options").as_str(), answer.header("x-robots-tag").as_str()), ("DENY", ""));
    let etag = answer.header("etag");
    let again = surface.send_with("GET", "/pages/shop", &[("if-none-match", &etag)], "").await;
    assert_eq!((again.code, again.body.len()), (304, 0));
    let packed = surface.send_with("GET", "/pages/shop", &[("accept-encoding", "br, gzip")], "").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text(&answer));
    let key = surface.key("write").await;
    let edit = r#"{"embed_from": ["https://intra.example"], "noindex": true}"#;
    surface.send("PATCH", "/api/v1/pages/shop", Some(&key), edit).await;
    let answer = until(&surface, "/pages/shop", |answer| answer.header("x-robots-tag") == "noindex").await;
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("frame-ancestors https://intra.example;"), "{policy}");
    assert_eq!(answer.header("x-frame-options"), "");
}

#[tokio::test]
async fn a_closed_page_shows_nothing_to_whoever_does_not_know_the_password() {
    let (surface, page) = with_secrets().await;
    let key = surface.key("write").await;
    surface.send("PATCH", "/api/v1/pages/shop", Some(&key), r#"{"password": "correct horse"}"#).await;
    until(&surface, "/pages/shop", |answer| answer.code == 403).await;
    for path in paths(&page) {
        let answer = surface.get(&path).await;
        assert!([401, 403].contains(&answer.code), "{path} {}", answer.code);
        for words in ["Shop", "Told", SECRET] {
            assert!(!text(&answer).contains(words), "{path}: {}", text(&answer));
        }
    }
    let wrong = surface.send("POST", "/pages/shop/password", None, "password=wrong").await;
    assert_eq!((wrong.code, wrong.header("set-cookie").as_str()), (403, ""));
    let right = surface.send("POST", "/pages/shop/password", None, "password=correct+horse").await;
    assert_eq!(right.code, 303);
    let cookie = right.header("set-cookie").split(';').next().unwrap().to_owned();
    let opened = surface.send_with("GET", "/pages/shop", &[("cookie", &cookie)], "").await;
    assert_eq!((opened.code, opened.header("cache-control").as_str()), (200, "private, max-age=10"));
    assert_eq!(opened.header("access-control-allow-origin"), "");
    // `x:correct horse`
    let basic = [("authorization", "Basic eDpjb3JyZWN0IGhvcnNl")];
    assert_eq!(surface.send_with("GET", "/pages/shop/feed.atom", &basic, "").await.code, 200);
    let mut codes = vec![];
    for _ in 0..20 {
        codes.push(surface.send("POST", "/pages/shop/password", None, "password=wrong").await.code);
    }
    assert!(codes.contains(&429), "{codes:?}");
    assert_eq!(surface.send_with("GET", "/pages/shop", &[("cookie", &cookie)], "").await.code, 200);
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so() {
    let surface = Surface::plain().await.lasting();
    let answer = until(&surface, "/pages/nowhere", |answer| answer.code != 503).await;
    assert_eq!(answer.code, 404);
    assert!(text(&answer).contains("There is no such page."));
    assert_eq!(surface.get("/pages/nowhere/badge/x.svg").await.code, 404);
}

#[tokio::test]
async fn pages_are_answered_while_the_database_cannot_be_read() {
    let (surface, page) = with_secrets().await;
    let mut lease = surface.state.store.lease("test").await.unwrap();
    lease.execute("test", "ALTER TABLE komainu_page_revision RENAME TO gone", vec![]).await.unwrap();
    drop(lease);
    // The task has tried and failed once it was woken and looked away again: what it shows stays the same.
    let key = surface.key("write").await;
    assert_eq!(surface.send("PATCH", "/api/v1/pages/shop", Some(&key), r#"{"title": "x"}"#).await.code / 100, 5);
    tokio::time::sleep(Duration::from_millis(100)).await;
    for path in paths(&page) {
        assert_eq!(surface.get(&path).await.code, 200, "{path}");
    }
}
