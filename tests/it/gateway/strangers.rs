//! What strangers cost the gateway: no body waits in it, none is read without a key, and no address takes all places.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::Stage;
use crate::cluster::wait::wait_until;

const MIB: usize = 1_024 * 1_024;

/// A request that is being sent.
struct Unfinished(TcpStream);

impl Unfinished {
    /// Says how long the body will be, and sends so much of it.
    async fn begin(stage: &Stage, path: &str, key: &str, (size, sent): (usize, usize)) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.gateway.port())).await.unwrap();
        let key = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
        let head = format!("POST {path} HTTP/1.1\r\nHost: kuma.example\r\n{key}Content-Length: {size}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(&vec![b'x'; sent]).await;
        Self(stream)
    }

    /// The status, although the body is not sent.
    async fn status(&mut self) -> String {
        let mut answer = vec![0; 12];
        let read = tokio::time::timeout(Duration::from_secs(10), self.0.read_exact(&mut answer)).await;
        read.expect("it is answered before its body has come").unwrap();
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_body_without_a_key_is_refused_by_its_head_alone() {
    let stage = Stage::start(1, 1).await;
    for path in ["/api/v1/monitors", "/api/v1/monitors/bulk", "/api/v1/apikeys"] {
        let mut asked = Unfinished::begin(&stage, path, "", (MIB, 0)).await;
        assert_eq!(asked.status().await, "HTTP/1.1 401", "{path}");
        assert_eq!(stage.watchdogs[0].begun(path), 0, "no watchdog was bothered with {path}");
    }
    let refused = stage.send("POST", "/api/v1/monitors", &[], "{}").await;
    assert_eq!((refused.status, refused.header("content-type")), (401, "application/problem+json"));
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    // What has no body is the watchdog's to judge.
    assert_eq!(stage.get("/api/v1/monitors").await.status, 200);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_large_body_is_not_begun_for_a_key_that_is_none() {
    let stage = Stage::start(1, 2).await;
    let path = "/api/v1/monitors/bulk";
    let mut asked = Unfinished::begin(&stage, path, "kmn_nobodys", (16 * MIB, 0)).await;
    assert_eq!(asked.status().await, "HTTP/1.1 401");
    assert_eq!((stage.watchdogs[0].begun(path), stage.watchdogs[1].begun(path)), (0, 0));
    let key = [("authorization", "Bearer kmn_some")];
    let taken = stage.send("POST", path, &key, &"x".repeat(2 * MIB)).await;
    assert_eq!((taken.status, taken.header("x-routed-via")), (200, "watchdog"), "{taken:?}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn whoever_is_refused_leaves_no_descriptor_behind() {
    let stage = Stage::start(1, 1).await;
    let before = stage.gateway.descriptors();
    for path in ["/api/v1/monitors", "/api/v1/monitors/bulk"] {
        let mut refused = Vec::new();
        for _ in 0..30 {
            let mut asked = Unfinished::begin(&stage, path, "", (MIB, 1_000)).await;
            assert_eq!(asked.status().await, "HTTP/1.1 401", "{path}");
            refused.push(asked);
        }
        drop(refused);
    }
    let are_free = async || stage.gateway.descriptors() < before + 10;
    wait_until("what they held is free", Duration::from_secs(15), are_free).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn bodies_are_passed_on_as_they_come() {
    let stage = Stage::start(1, 1).await;
    let mut unfinished = Vec::new();
    for (path, size) in [("/api/v1/monitors/bulk", 16 * MIB), ("/api/v1/monitors", MIB), ("/heartbeats/a", 60_000)] {
        for _ in 0..4 {
            unfinished.push(Unfinished::begin(&stage, path, "kmn_some", (size, size / 2)).await);
        }
        let has_begun = async || stage.watchdogs[0].begun(path) == 4;
        wait_until("the heads are there before the bodies", Duration::from_secs(10), has_begun).await;
    }
    unfinished.push(Unfinished::begin(&stage, "/upload", "", (MIB, MIB / 2)).await);
    let has_begun = async || stage.nodes[0].begun("/upload") == 1;
    wait_until("a node's as well", Duration::from_secs(10), has_begun).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn one_address_has_so_many_bodies_under_way_and_no_more() {
    let stage = Stage::start(1, 1).await;
    let mut unfinished = Vec::new();
    for _ in 0..64 {
        unfinished.push(Unfinished::begin(&stage, "/api/v1/monitors", "kmn_some", (MIB, 1)).await);
    }
    let are_begun = async || stage.watchdogs[0].begun("/api/v1/monitors") == 64;
    wait_until("all of them are under way", Duration::from_secs(10), are_begun).await;
    let mut refused = Unfinished::begin(&stage, "/api/v1/monitors", "kmn_some", (MIB, 0)).await;
    assert_eq!(refused.status().await, "HTTP/1.1 429");
    let said = stage.send("POST", "/upload", &[], "x").await;
    assert_eq!((said.status, said.header("retry-after")), (429, "1"), "whatever it is for");
    // Those of one name come too fast as well: what is refused twice says the same.
    let pushes = (0..120).map(|_| stage.send("POST", "/heartbeats/backup", &[], "{}"));
    for said in futures_util::future::join_all(pushes).await {
        assert_eq!((said.status, said.header("retry-after"), &said.json()["status"]), (429, "1", &json!(429)));
    }
    assert_eq!(stage.get("/").await.status, 200, "what has no body goes on");
    drop(unfinished);
    let is_taken = async || stage.send("POST", "/upload", &[], "x").await.status == 200;
    wait_until("there is room again", Duration::from_secs(10), is_taken).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn one_address_asks_so_often_and_so_much_at_once() {
    let more = [("KOMAINU_GATEWAY_REQUESTS_OF_ADDRESS", "5"), ("KOMAINU_GATEWAY_AT_ONCE_OF_ADDRESS", "3")];
    let stage = Stage::start_with(1, 1, &more).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let (session, _) = stage.open_session().await;
        let mut socket = stage.upgrade(&session).await;
        assert!(socket.say("hello").await.is_some());
        waiting.push(socket);
    }
    assert_eq!(stage.get("/").await.status, 429, "three websockets are open");
    drop(waiting);
    let is_served = async || stage.get("/").await.status == 200;
    wait_until("there is room again", Duration::from_secs(20), is_served).await;
    let asked = futures_util::future::join_all((0..30).map(|_| stage.get("/lb/ping"))).await;
    let statuses: Vec<_> = asked.iter().map(|heard| heard.status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
}
