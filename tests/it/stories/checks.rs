//! Checks at real watchdogs: what all of them see, what only one sees, what one zone sees, and what people hear of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(
    a_target_that_fails_for_all_is_told_and_so_is_its_return,
    a_target_that_fails_for_one_watchdog_is_partial_and_nobody_is_paged,
    a_target_that_fails_from_one_zone_only_is_no_outage,
    a_try_shows_what_each_watchdog_sees_and_leaves_nothing,
    a_look_at_what_a_check_was_before_an_edit_is_broken_off_and_is_no_vote,
    checks_that_nobody_can_judge_are_told_as_one_and_the_status_is_degraded,
);

pub(super) const WATCHDOGS: [&str; 3] = ["w1", "w2", "w3"];

/// A target that answers each watchdog as it was told to.
#[derive(Clone)]
pub(super) struct Site {
    port: u16,
    statuses: Arc<Mutex<BTreeMap<String, StatusCode>>>,
}

impl Site {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self { port: listener.local_addr().unwrap().port(), statuses: Arc::default() };
        let app = Router::new().fallback(answer).with_state(site.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        site
    }

    /// From now on these watchdogs are answered so.
    pub(super) fn answer(&self, watchdogs: &[&str], status: StatusCode) {
        self.statuses.lock().unwrap().extend(watchdogs.iter().map(|&name| (name.to_owned(), status)));
    }

    pub(super) async fn watch(&self, cluster: &Cluster, name: &str) {
        let url = format!("http://127.0.0.1:{}/", self.port);
        let check = json!({"name": name, "type": "http", "url": url, "interval": 5, "timeout": 2});
        cluster.post("/api/v1/checks", &check).await;
        for watchdog in WATCHDOGS {
            wait_for(cluster, watchdog, (name, "up")).await;
        }
    }
}

async fn answer(State(site): State<Site>, headers: HeaderMap) -> StatusCode {
    let watchdog = headers.get("komainu-watchdog").and_then(|value| value.to_str().ok()).unwrap_or_default();
    site.statuses.lock().unwrap().get(watchdog).copied().unwrap_or(StatusCode::OK)
}

/// As one watchdog shows it to whoever asks.
async fn shown(cluster: &Cluster, watchdog: &str, name: &str) -> Option<(u16, Value)> {
    let answer = reqwest::get(cluster.url_of(watchdog, &format!("/checks/{name}"))).await.ok()?;
    let code = answer.status().as_u16();
    Some((code, serde_json::from_slice(&answer.bytes().await.ok()?).ok()?))
}

pub(super) async fn wait_for(cluster: &Cluster, watchdog: &str, (name, state): (&str, &str)) -> (u16, Value) {
    let is_so = async || shown(cluster, watchdog, name).await.is_some_and(|(_, check)| check["state"] == state);
    wait_until(&format!("{watchdog} says that {name} is {state}"), Duration::from_secs(60), is_so).await;
    shown(cluster, watchdog, name).await.unwrap()
}

pub(super) async fn start(kind: Kind, zones: [&str; 3], sections: &str) -> Cluster {
    let shape = Shape { nodes: 1, monitors: 1, ..Shape::default() };
    let mut cluster = Cluster::prepare(kind, shape, sections).await;
    for (watchdog, zone) in WATCHDOGS.into_iter().zip(zones) {
        let id = format!("id = \"{watchdog}\"\n");
        cluster.edit_config(watchdog, |text| text.replace(&id, &format!("{id}zone = \"{zone}\"\n")));
    }
    cluster.begin(shape).await;
    cluster
}

pub(super) async fn count(cluster: &Cluster, sql: &str) -> i64 {
    cluster.database.rows(sql).await[0][0].parse().unwrap()
}

async fn wait_for_incident(cluster: &Cluster, key: &str, is_open: bool) {
    let open = if is_open { "IS NULL" } else { "IS NOT NULL" };
    let sql = format!("SELECT COUNT(*) FROM komainu_incident WHERE k = '{key}' AND resolved_at {open}");
    let is_so = async || count(cluster, &sql).await == 1;
    wait_until(&format!("the incident {key} is open: {is_open}"), Duration::from_secs(60), is_so).await;
}

async fn a_target_that_fails_for_all_is_told_and_so_is_its_return(kind: Kind) {
    let vendor = Vendor::start().await;
    let (cluster, site) = (start(kind, ["a", "b", "c"], &vendor.sections()).await, Site::start().await);
    site.watch(&cluster, "shop").await;
    site.answer(&WATCHDOGS, StatusCode::BAD_GATEWAY);
    for watchdog in WATCHDOGS {
        let (code, check) = wait_for(&cluster, watchdog, ("shop", "down")).await;
        assert_eq!((code, &check["because"]["code"]), (404, &json!("failed")), "{check}");
    }
    let (_, check) = shown(&cluster, "w1", "shop").await.unwrap();
    let vote = &check["votes"][0];
    assert_eq!((&vote["verdict"], &vote["reason"], &vote["status"]), (&json!("failed"), &json!("status"), &json!(502)));
    assert_eq!(
        (&vote["message"], &vote["address"]),
        (&Value::Null, &Value::Null),
        "strangers are not told what it says"
    );
    let asked = reqwest::Client::builder().build().unwrap().get(cluster.url_of("w1", "/checks/shop"));
    let answer = asked.bearer_auth(cluster.api_key()).send().await.unwrap().bytes().await.unwrap();
    let vote = &serde_json::from_slice::<Value>(&answer).unwrap()["votes"][0];
    assert!(vote["message"].as_str().unwrap().contains("502") && vote["address"] == "127.0.0.1", "{vote}");
    let is_told = async || !vendor.told("check/shop", "opened").is_empty();
    wait_until("people are told", Duration::from_secs(30), is_told).await;
    let told = vendor.told("check/shop", "opened");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].summaries[0].contains("of 3 watchdogs see it fail"), "{told:?}");
    site.answer(&WATCHDOGS, StatusCode::OK);
    for watchdog in WATCHDOGS {
        assert_eq!(wait_for(&cluster, watchdog, ("shop", "up")).await.0, 200);
    }
    let is_over = async || !vendor.told("check/shop", "resolved").is_empty();
    wait_until("its return is told", Duration::from_secs(30), is_over).await;
    let changes = "SELECT from_state, to_state FROM komainu_check_transition WHERE name = 'shop' ORDER BY id";
    let expected = [["unknown", "up"], ["up", "down"], ["down", "up"]];
    assert_eq!(cluster.database.rows(changes).await, expected, "each change once, whoever found it");
}

/// A port at which connections are taken and nothing is answered.
async fn mute() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            taken.push(connection);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_connections_and_answers_none_delays_no_verdict() {
    let (shape, port) = (Shape { nodes: 1, monitors: 1, ..Shape::default() }, mute().await);
    let mut cluster = Cluster::prepare(Kind::Sqlite, shape, "").await;
    let id = "id = \"w3\"\n";
    cluster.edit_config("w3", |text| text.replace(id, &format!("{id}advertise = \"http://127.0.0.1:{port}\"\n")));
    cluster.begin(shape).await;
    let site = Site::start().await;
    site.watch(&cluster, "shop").await;
    let fell_us = Cluster::now_us();
    site.answer(&WATCHDOGS, StatusCode::BAD_GATEWAY);
    for watchdog in ["w1", "w2"] {
        wait_for(&cluster, watchdog, ("shop", "down")).await;
    }
    let took_ms = (Cluster::now_us() - fell_us) / 1_000;
    #[expect(clippy::print_stdout, reason = "a figure")]
    {
        println!("beside a mute peer the check is down {took_ms} ms after its target failed");
    }
    assert!(took_ms < 10_000, "{took_ms}");
}

async fn a_target_that_fails_for_one_watchdog_is_partial_and_nobody_is_paged(kind: Kind) {
    let vendor = Vendor::start().await;
    let (cluster, site) = (start(kind, ["a", "b", "c"], &vendor.sections()).await, Site::start().await);
    site.watch(&cluster, "shop").await;
    site.answer(&["w2"], StatusCode::INTERNAL_SERVER_ERROR);
    for watchdog in WATCHDOGS {
        let (code, check) = wait_for(&cluster, watchdog, ("shop", "partial")).await;
        assert_eq!((code, &check["because"]["code"]), (200, &json!("minority_fails")), "{check}");
    }
    wait_for_incident(&cluster, "partial/shop", true).await;
    let summary = "SELECT summary FROM komainu_incident WHERE k = 'partial/shop'";
    let summary = cluster.database.rows(summary).await[0][0].clone();
    assert!(summary.contains("w2 in b") && summary.contains("500"), "{summary}");
    site.answer(&["w2"], StatusCode::OK);
    wait_for(&cluster, "w1", ("shop", "up")).await;
    wait_for_incident(&cluster, "partial/shop", false).await;
    let deliveries = "SELECT COUNT(*) FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id WHERE i.k LIKE '%shop'";
    assert_eq!(count(&cluster, deliveries).await, 0, "nobody asked to hear of what a minority sees");
    assert_eq!(count(&cluster, "SELECT COUNT(*) FROM komainu_incident WHERE k = 'check/shop'").await, 0);
}

async fn a_target_that_fails_from_one_zone_only_is_no_outage(kind: Kind) {
    let (cluster, site) = (start(kind, ["a", "a", "b"], "").await, Site::start().await);
    site.watch(&cluster, "shop").await;
    site.answer(&["w1", "w2"], StatusCode::INTERNAL_SERVER_ERROR);
    for watchdog in WATCHDOGS {
        let (code, check) = wait_for(&cluster, watchdog, ("shop", "partial")).await;
        assert_eq!((code, &check["because"]["code"]), (200, &json!("one_zone")), "{check}");
    }
    site.answer(&["w3"], StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(wait_for(&cluster, "w3", ("shop", "down")).await.0, 404);
    wait_for_incident(&cluster, "check/shop", true).await;
    let paused = json!({"paused": true});
    cluster.patch("/api/v1/checks/shop", &paused).await;
    wait_for(&cluster, "w1", ("shop", "unknown")).await;
    wait_for_incident(&cluster, "check/shop", false).await;
}

/// A try, asked of one watchdog.
async fn tried(cluster: &Cluster, watchdog: &str, body: &Value) -> (u16, Value) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let request = client.post(cluster.url_of(watchdog, "/api/v1/checks/try"));
    let request = request.bearer_auth(cluster.api_key()).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

/// Each voter's word, its reason and the status that it got.
fn words(trial: &Value) -> Vec<(String, Value, Value, Value)> {
    let votes = trial["votes"].as_array().unwrap().iter();
    votes
        .map(|vote| {
            let watchdog = vote["watchdog"].as_str().unwrap().to_owned();
            (watchdog, vote["verdict"].clone(), vote["reason"].clone(), vote["status"].clone())
        })
        .collect()
}

async fn a_try_shows_what_each_watchdog_sees_and_leaves_nothing(kind: Kind) {
    let (mut cluster, site) = (start(kind, ["a", "b", "c"], "").await, Site::start().await);
    let body = json!({"type": "http", "url": format!("http://127.0.0.1:{}/", site.port), "interval": 5, "timeout": 2});
    let up = |name: &str| (name.to_owned(), json!("up"), Value::Null, json!(200));
    let by_all = json!({"code": "reached", "reached": 3, "voters": 3});
    for watchdog in WATCHDOGS {
        let is_so = async || tried(&cluster, watchdog, &body).await.1["because"] == by_all;
        wait_until(&format!("all three look for {watchdog}"), Duration::from_secs(60), is_so).await;
    }
    site.answer(&["w3"], StatusCode::INTERNAL_SERVER_ERROR);
    let failed = |name: &str| (name.to_owned(), json!("failed"), json!("status"), json!(500));
    for asked in WATCHDOGS {
        let (code, trial) = tried(&cluster, asked, &body).await;
        assert_eq!((code, &trial["state"]), (200, &json!("partial")), "{trial}");
        assert_eq!(trial["because"], json!({"code": "minority_fails", "failed": 1, "voters": 3}));
        assert_eq!(words(&trial), [up("w1"), up("w2"), failed("w3")], "{trial}");
        assert_eq!((&trial["votes"][2]["zone"], &trial["unanswered"]), (&json!("c"), &json!([])));
    }
    let near = json!({"zones": ["a", "c"], "type": "http", "url": body["url"], "timeout": 2});
    assert_eq!(words(&tried(&cluster, "w2", &near).await.1), [up("w1"), failed("w3")], "only those that it is for");
    let guarded = json!({"type": "http", "url": "http://169.254.169.254/"});
    let (code, refused) = tried(&cluster, "w1", &guarded).await;
    assert_eq!((code, &refused["errors"][0]["field"]), (400, &json!("url")));

    cluster.freeze("w2").await;
    let (code, trial) = tried(&cluster, "w1", &body).await;
    let silent = ("w2".to_owned(), json!("silent"), Value::Null, Value::Null);
    assert_eq!((code, words(&trial)), (200, vec![up("w1"), silent, failed("w3")]), "{trial}");
    assert_eq!(trial["unanswered"], json!([{"watchdog": "w2", "zone": "b", "why": "no answer in time"}]));

    for table in ["komainu_check", "komainu_check_state", "komainu_check_transition"] {
        assert_eq!(count(&cluster, &format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
    }
    let incidents = "SELECT COUNT(*) FROM komainu_incident WHERE k LIKE 'check%' OR k LIKE 'partial%'";
    assert_eq!(count(&cluster, incidents).await, 0);
    let deeds = "SELECT COUNT(*) FROM komainu_audit WHERE what = 'check.try'";
    assert!(count(&cluster, deeds).await >= 6, "each try stands in the audit trail");
}

/// Takes connections and answers none; how many are open.
async fn hang() -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, open) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let open = Arc::clone(&counted);
            open.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut bytes = [0; 1_024];
                while connection.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (port, open)
}

async fn a_look_at_what_a_check_was_before_an_edit_is_broken_off_and_is_no_vote(kind: Kind) {
    let (cluster, site) = (start(kind, ["a", "b", "c"], "").await, Site::start().await);
    let (port, open) = hang().await;
    let url = |port: u16| format!("http://127.0.0.1:{port}/");
    let check = json!({"name": "shop", "type": "http", "url": url(port), "interval": 120, "timeout": 100});
    cluster.post("/api/v1/checks", &check).await;
    let all_look = async || open.load(Ordering::SeqCst) == 3;
    wait_until("each of them looks", Duration::from_secs(60), all_look).await;
    cluster.patch("/api/v1/checks/shop", &json!({"url": url(site.port)})).await;
    for watchdog in WATCHDOGS {
        wait_for(&cluster, watchdog, ("shop", "up")).await;
    }
    let none_looks = async || open.load(Ordering::SeqCst) == 0;
    wait_until("nobody looks at what it was", Duration::from_secs(20), none_looks).await;
    let fell = "SELECT COUNT(*) FROM komainu_check_transition WHERE name = 'shop' AND to_state <> 'up'";
    assert_eq!(count(&cluster, fell).await, 0);
}

async fn checks_that_nobody_can_judge_are_told_as_one_and_the_status_is_degraded(kind: Kind) {
    let vendor = Vendor::start().await;
    let (cluster, site) = (start(kind, ["a", "b", "c"], &vendor.sections()).await, Site::start().await);
    for name in ["far", "farther"] {
        let url = format!("http://127.0.0.1:{}/", site.port);
        let check =
            json!({"name": name, "type": "http", "url": url, "interval": 5, "timeout": 2, "zones": ["elsewhere"]});
        cluster.post("/api/v1/checks", &check).await;
    }
    wait_for_incident(&cluster, "checks", true).await;
    let is_told = async || !vendor.told("checks", "opened").is_empty();
    wait_until("people are told", Duration::from_secs(60), is_told).await;
    let (code, check) = shown(&cluster, "w1", "far").await.unwrap();
    assert_eq!(
        (code, &check["state"], &check["reason"]),
        (503, &json!("unknown"), &json!("no watchdog may look at it"))
    );
    let status = reqwest::get(cluster.url_of("w1", "/status")).await.unwrap().bytes().await.unwrap();
    let status: Value = serde_json::from_slice(&status).unwrap();
    let why = "checks: 2 cannot be judged, too few watchdogs look at them: far, farther";
    assert!(status["reasons"].as_array().unwrap().contains(&json!(why)), "{status}");
    assert_eq!((&status["status"], &status["checks"]["unknown"]), (&json!("degraded"), &json!(2)));
    for name in ["far", "farther"] {
        cluster.patch(&format!("/api/v1/checks/{name}"), &json!({"zones": []})).await;
        wait_for(&cluster, "w1", (name, "up")).await;
    }
    wait_for_incident(&cluster, "checks", false).await;
}
