//! Nobody can be told any more: `/status` says so by name, the dead-man falls silent, and both end when it is mended.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, MySqlConnection};
use tokio::process::Command;

use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

const LIMIT: Duration = Duration::from_secs(90);

/// Slack, and whoever expects to hear from the watchdogs.
#[derive(Clone, Default)]
struct Outside {
    is_revoked: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<String>>>,
    pings: Arc<AtomicUsize>,
}

impl Outside {
    /// Listens until the test ends; what makes watchdogs use it.
    async fn start() -> (Self, String) {
        let outside = Self::default();
        let app = Router::new().fallback(take).with_state(outside.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let sections = format!(
            "[[channel]]\nname = \"ops\"\ntype = \"slack\"\nbot_token = \"xoxb-1\"\nchannel = \"#ops\"\n\
             api_url = \"{url}/api\"\n[deadman]\nurl = \"{url}/ping\"\ninterval = \"5s\"\n\
             [policy]\nmute_limit = \"40s\"\n"
        );
        (outside, sections)
    }

    fn pings(&self) -> usize {
        self.pings.load(Ordering::Relaxed)
    }

    fn was_told(&self, words: &str) -> bool {
        self.told.lock().unwrap().iter().any(|text| text.contains(words))
    }

    /// Pings that come in a time in which all watchdogs would send two and more.
    async fn pings_of_a_while(&self) -> usize {
        let before = self.pings();
        tokio::time::sleep(Duration::from_secs(11)).await;
        self.pings() - before
    }
}

async fn take(State(outside): State<Outside>, uri: Uri, body: String) -> String {
    if uri.path() == "/ping" {
        outside.pings.fetch_add(1, Ordering::Relaxed);
        return String::new();
    }
    if outside.is_revoked.load(Ordering::Relaxed) {
        return json!({ "ok": false, "error": "token_revoked" }).to_string();
    }
    let body: Value = serde_json::from_str(&body).unwrap();
    let mut told = outside.told.lock().unwrap();
    told.push(body["text"].as_str().unwrap().to_owned());
    json!({ "ok": true, "channel": "C0123456789", "ts": format!("1763799989.{:06}", told.len()) }).to_string()
}

/// What each watchdog says of telling, with its code; not at all while one of them does not answer.
async fn said(cluster: &Cluster) -> Option<Vec<(u16, Option<String>)>> {
    let mut all = vec![];
    for watchdog in ["w1", "w2"] {
        let (code, status) = cluster.status_of(watchdog).await?;
        let reasons = status["reasons"].as_array()?.iter().filter_map(Value::as_str);
        all.push((code, reasons.map(str::to_owned).find(|reason| reason.starts_with("telling: "))));
    }
    Some(all)
}

async fn wait_for(cluster: &Cluster, what: &str, wanted: impl Fn(u16, Option<&str>) -> bool) {
    let is_so = async || {
        let said = said(cluster).await;
        said.is_some_and(|said| said.iter().all(|(code, reason)| wanted(*code, reason.as_deref())))
    };
    wait_until(what, LIMIT, is_so).await;
}

fn shape() -> Shape {
    Shape { watchdogs: 2, nodes: 2, monitors: 4, ..Shape::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_only_token_is_revoked_is_degraded_then_down_and_the_dead_man_is_silent() {
    let (outside, sections) = Outside::start().await;
    let mut cluster = Cluster::start_with(Kind::Sqlite, shape(), &sections).await;
    wait_until("the dead-man is pinged", LIMIT, async || outside.pings() > 2).await;
    outside.is_revoked.store(true, Ordering::Relaxed);
    cluster.process("node1").kill();
    let lost = "telling: no channel takes messages since";
    let is_lost =
        |reason: Option<&str>| reason.is_some_and(|reason| reason.starts_with(lost) && reason.ends_with(": ops"));
    wait_for(&cluster, "it is named, and degraded", |code, reason| code == 200 && is_lost(reason)).await;
    let before = outside.pings();
    wait_for(&cluster, "it is down", |code, reason| code == 503 && is_lost(reason)).await;
    assert!(outside.pings() > before, "while it was only degraded, the dead-man was pinged");
    assert_eq!(outside.pings_of_a_while().await, 0);
    outside.is_revoked.store(false, Ordering::Relaxed);
    let tried = Command::new(env!("CARGO_BIN_EXE_komainu"))
        .args(["notify", "test", "ops", "--config"])
        .arg(cluster.folder().join("w1.toml"))
        .output()
        .await
        .unwrap();
    assert!(tried.status.success(), "{tried:?}");
    wait_for(&cluster, "it is well again", |code, reason| code == 200 && reason.is_none()).await;
    wait_until("what waited is told", LIMIT, async || outside.was_told("node/node1")).await;
    wait_until("and that nobody was told meanwhile", LIMIT, async || outside.was_told("channel/ops")).await;
    assert!(outside.pings_of_a_while().await > 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn an_outbox_that_cannot_be_written_is_named_and_the_dead_man_hears_nothing() {
    let (outside, sections) = Outside::start().await;
    let cluster = Cluster::start_with(Kind::MariaDb, shape(), &sections).await;
    wait_until("the dead-man is pinged", LIMIT, async || outside.pings() > 2).await;
    let mut locking = MySqlConnection::connect(&cluster.server.as_ref().unwrap().url("kuma")).await.unwrap();
    locking.execute("LOCK TABLES komainu_delivery READ").await.unwrap();
    let is_named = |reason: Option<&str>| reason.is_some_and(|reason| reason.contains("cannot be read or written"));
    wait_for(&cluster, "it is named", |code, reason| code == 200 && is_named(reason)).await;
    let pings = outside.pings_of_a_while().await;
    assert!(pings <= 1, "{pings} pings, and only one may have been under way");
    wait_for(&cluster, "it is down", |code, reason| code == 503 && is_named(reason)).await;
    locking.execute("UNLOCK TABLES").await.unwrap();
    wait_for(&cluster, "it is well again", |code, reason| code == 200 && reason.is_none()).await;
    assert!(outside.pings_of_a_while().await > 0);
}
