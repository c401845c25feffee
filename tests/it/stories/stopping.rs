//! A watchdog is asked to stop while it answers: what it was asked before is answered.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

/// Where a test gives up; the limit on what is in flight is 5 s.
const LIMIT: Duration = Duration::from_secs(20);

async fn lone_watchdog() -> Cluster {
    let shape = Shape { watchdogs: 1, nodes: 0, monitors: 0, ..Shape::default() };
    let mut cluster = Cluster::prepare(Kind::Sqlite, shape, "").await;
    cluster.start_process("w1");
    wait_until("w1 answers", LIMIT, async || cluster.status_of("w1").await.is_some()).await;
    cluster
}

async fn wait_for_end(cluster: &mut Cluster) {
    let process = cluster.process("w1");
    wait_until("w1 has ended", LIMIT, async || process.exit_status().is_some()).await;
    assert!(cluster.process("w1").exit_status().unwrap().success(), "it stopped cleanly");
}

/// A connection on which a request was begun, its handler is at work, and its body is yet to come.
async fn begun(cluster: &Cluster, path: &str, body: &str) -> TcpStream {
    let url = reqwest::Url::parse(&cluster.url_of("w1", path)).unwrap();
    let mut wire = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: w1\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        cluster.api_key(),
        body.len()
    );
    wire.write_all(head.as_bytes()).await.unwrap();
    // The server says so when the handler reads the body.
    let mut answer = [0; 25];
    wire.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    wire
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_before_a_watchdog_stops_is_answered_and_kept() {
    let mut cluster = lone_watchdog().await;
    let body = json!({"name": "backup", "period_s": 60, "grace_s": 60}).to_string();
    let mut wire = begun(&cluster, "/api/v1/heartbeats", &body).await;
    cluster.process("w1").terminate();
    let is_closed = async || cluster.status_of("w1").await.is_none();
    wait_until("nobody new is answered", LIMIT, is_closed).await;
    wire.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created"), "{answer}");
    let rows = cluster.database.rows("SELECT name FROM komainu_heartbeat").await;
    assert_eq!(rows, [["backup"]]);
    wait_for_end(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_first_beat_is_answered_when_the_watchdog_stops() {
    let mut cluster = lone_watchdog().await;
    let url = cluster.url_of("w1", "/api/v1/monitors/by-ref/web?wait=60s");
    let body = json!({"name": "web", "type": "http", "url": "http://127.0.0.1:9/"}).to_string();
    let client = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
    let request = client.put(url).bearer_auth(cluster.api_key());
    let request = request.header("content-type", "application/json").body(body);
    let waiting = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    let is_made = async || !cluster.database.rows("SELECT id FROM monitor").await.is_empty();
    wait_until("the monitor is made", LIMIT, is_made).await;
    cluster.process("w1").terminate();
    let answer: Value = serde_json::from_str(&waiting.await.unwrap()).unwrap();
    assert_eq!(answer["first_beat"], Value::Null, "{answer}");
    assert_eq!(answer["waiting_for"], "this watchdog stops: ask another one, or again");
    wait_for_end(&mut cluster).await;
}

/// A slow sender does not keep a process that is to stop.
#[tokio::test(flavor = "multi_thread")]
async fn who_never_sends_the_rest_does_not_keep_a_watchdog_from_stopping() {
    let mut cluster = lone_watchdog().await;
    let _wire = begun(&cluster, "/api/v1/heartbeats", "never sent").await;
    cluster.process("w1").terminate();
    wait_for_end(&mut cluster).await;
}
