//! Nodes and watchdogs that die, and what may be sent again.

use std::time::Duration;

use komainu::clock;
use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::stage::{Nonsense, Stage};
use crate::cluster::wait::wait_until;

#[tokio::test]
#[ignore = "needs nginx"]
async fn whichever_watchdog_answers_tells_the_routes() {
    let mut stage = Stage::start(2, 3).await;
    for lost in [0, 1] {
        stage.watchdogs[lost].die().await;
        stage.show(|table| table["nodes"][lost]["load"] = json!(0.9)).await;
        let expected = if lost == 0 { "node2" } else { "node1" };
        stage.show_node(2 - lost, json!({"load": 0.01})).await;
        let heard = stage.get("/").await;
        assert_eq!((heard.node().as_str(), heard.header("x-routes-stale")), (expected, ""));
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_watchdog_that_talks_nonsense_neither_stops_the_gateway_nor_keeps_it_from_the_others() {
    let nonsense = [
        "7",
        "\"nodes\"",
        r#"{"nodes":[7],"checked_at":1}"#,
        r#"{"nodes":{"a":{}},"checked_at":1}"#,
        r#"{"nodes":[{"node_id":"node1","address":"http://127.0.0.1:1","accepts_sessions":true}],"checked_at":1}"#,
        r#"{"nodes":[{"node_id":"x","address":7,"load":null}],"checked_at":1}"#,
    ];
    for (answer, load) in nonsense.into_iter().zip([0.9, 0.05].into_iter().cycle()) {
        // Each time the first is the one that is asked first.
        let stage = Stage::start(2, 2).await;
        stage.garble(Nonsense::Text(answer));
        stage.show_node(1, json!({"load": load})).await;
        let expected = if load < 0.1 { "node1" } else { "node2" };
        let heard = stage.get("/").await;
        assert_eq!((heard.status, heard.node().as_str()), (200, expected), "{answer}");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_watchdog_that_answers_byte_by_byte_does_not_keep_the_gateway_from_the_others() {
    for beginning in ["H", "HTTP/1.1 200 OK\r\nX-", "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"] {
        let stage = Stage::start(2, 2).await;
        stage.garble(Nonsense::Endless(beginning));
        stage.show_node(2, json!({"load": 0.05})).await;
        let heard = stage.get("/").await;
        assert_eq!((heard.node().as_str(), heard.header("x-routes-stale")), ("node2", ""), "{beginning}");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn processes_that_are_killed_or_replaced_leave_the_table_to_the_next() {
    let stage = Stage::start(2, 1).await;
    let (session, node) = stage.open_session().await;
    for (round, load) in [0.05, 0.9].into_iter().enumerate() {
        let before = stage.gateway.workers();
        if round == 0 {
            for worker in &before {
                kill_process(*worker, Signal::KILL).unwrap();
            }
        } else {
            stage.gateway.signal(Signal::HUP);
        }
        let are_new = async || {
            let now = stage.gateway.workers();
            now.len() == before.len() && now.iter().all(|worker| !before.contains(worker))
        };
        wait_until("other processes serve", Duration::from_secs(45), are_new).await;
        stage.show_node(2, json!({"load": load})).await;
        let expected = if load < 0.1 { "node2" } else { "node1" };
        assert_eq!(stage.get("/").await.node(), expected);
        assert_eq!(stage.poll(&session).await.node(), node, "sessions are remembered");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn without_watchdogs_the_last_table_stays_and_says_so() {
    let mut stage = Stage::start(2, 2).await;
    for watchdog in &mut stage.watchdogs {
        watchdog.die().await;
    }
    let says_so = async || {
        let heard = stage.get("/").await;
        assert_eq!(heard.node(), "node1");
        heard.header("x-routes-stale").parse::<u32>().is_ok_and(|age| age >= 6)
    };
    wait_until("the answers say that the table is old", Duration::from_secs(30), says_so).await;
    let refused = stage.get("/status").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    // The gateway sees for itself who is there.
    stage.nodes[0].die().await;
    assert_eq!(stage.get("/").await.node(), "node2");
    assert_eq!(stage.send("POST", "/", &[], "x").await.node(), "node2");
    stage.watchdogs[1].start_again();
    let is_fresh = async || stage.get("/").await.header("x-routes-stale").is_empty();
    wait_until("the table is fresh again", Duration::from_secs(30), is_fresh).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn without_nodes_there_is_a_plain_page() {
    let mut stage = Stage::start(2, 1).await;
    for node in &mut stage.nodes {
        node.die().await;
    }
    for told in [false, true] {
        let page = stage.get_with("/dashboard", ("accept", "text/html,*/*")).await;
        assert_eq!((page.status, page.header("retry-after")), (503, "5"), "told: {told}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(page.body.contains("<h1>Service Unavailable</h1>") && !page.body.contains("nginx"), "{}", page.body);
        stage
            .show(|table| {
                for node in table["nodes"].as_array_mut().unwrap() {
                    node["accepts_sessions"] = json!(false);
                    node["keeps_sessions"] = json!(false);
                }
            })
            .await;
    }
    assert_eq!(stage.get("/status").await.json()["watchdog"], "w1", "watching is asked about all the same");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_may_have_happened_is_not_asked_for_again() {
    let stage = Stage::start(2, 1).await;
    let count = |node: usize, method: &str| {
        let log = stage.nodes[node].log();
        log.iter().filter(|request| request.path == "/hang-up" && request.method == method).count()
    };
    for (method, tries) in [("POST", 1), ("PUT", 1), ("DELETE", 1), ("PATCH", 1), ("GET", 2), ("HEAD", 2)] {
        let heard = stage.send(method, "/hang-up", &[], "").await;
        assert_eq!(heard.status, 503, "{method}");
        assert_eq!(count(0, method) + count(1, method), tries, "{method}");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_node_that_turns_the_gateway_away_is_left_alone_for_a_while() {
    let mut stage = Stage::start(2, 1).await;
    stage.nodes[0].die().await;
    let sent = stage.send("POST", "/upload", &[], "a picture").await;
    assert_eq!(sent.node(), "node2", "nothing had been sent, so it may go elsewhere");
    let log = stage.nodes[1].log();
    assert_eq!(log.last().unwrap().body, b"a picture");
    stage.nodes[0].start_again();
    let is_back = async || stage.get("/").await.node() == "node1";
    wait_until("the node is tried again", Duration::from_secs(30), is_back).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_watchdog_that_cannot_say_is_not_the_last_to_be_asked() {
    let stage = Stage::start(1, 3).await;
    let asked = stage.get("/heartbeats/cut-off").await;
    assert_eq!((asked.status, &asked.json()["watchdog"]), (200, &json!("w2")));
    // A push that it did not take may have been half of something: its sender decides.
    let pushed = stage.send("POST", "/heartbeats/cut-off", &[], "{}").await;
    assert_eq!((pushed.status, pushed.body.as_str()), (503, "nobody knows"));
    let takers = stage.watchdogs.iter().filter(|one| one.log().iter().any(|request| request.method == "POST")).count();
    assert_eq!(takers, 1);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_visitor_of_a_frozen_node_is_served_by_another_within_eight_seconds() {
    let stage = Stage::start(3, 2).await;
    stage.nodes[0].freeze();
    stage.nodes[1].freeze();
    stage.watchdogs[0].freeze();
    let began_at = clock::now();
    let socket = "/socket.io/?EIO=4&transport=polling";
    let asked = ["/", "/status/shop", "/metrics", socket, "/heartbeats/backup"].map(|path| stage.get(path));
    for heard in futures_util::future::join_all(asked).await {
        let by = heard.header("x-routed-to");
        assert_eq!(heard.status, 200, "{heard:?}");
        assert!(by == "node3" || heard.json()["watchdog"] == "w2", "{heard:?}");
    }
    let took = clock::now().since(began_at);
    assert!(took < Duration::from_secs(8), "{took:?}");
    // It is known now: the next one waits for nobody.
    let began_at = clock::now();
    assert_eq!(stage.get("/").await.node(), "node3");
    assert!(clock::now().since(began_at) < Duration::from_secs(2), "{:?}", clock::now().since(began_at));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_gateway_that_starts_without_any_watchdog_has_the_table_of_its_last_life() {
    let mut stage = Stage::start(2, 2).await;
    stage.own("tokenOfShop", "node2").await;
    let folder = stage.gateway.place().join("state");
    let is_saved = async || ["routes", "pushes"].iter().all(|name| folder.join(name).exists());
    wait_until("the tables are on disk", Duration::from_secs(30), is_saved).await;
    for watchdog in &mut stage.watchdogs {
        watchdog.die().await;
    }
    stage.restart_gateway().await;
    let serves = async || stage.get("/").await.status == 200;
    wait_until("it serves", Duration::from_secs(10), serves).await;
    let heard = stage.get("/").await;
    assert!(heard.header("x-routes-stale").parse::<u32>().is_ok(), "it says that this is old: {heard:?}");
    assert_eq!(stage.get("/api/push/tokenOfShop").await.node(), "node2");
    // What somebody else wrote there is nobody's table.
    for name in ["routes", "pushes"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        std::fs::write(folder.join(name), text.replace("node1", "node7").replace("node2", "node8")).unwrap();
    }
    stage.restart_gateway().await;
    assert_eq!(stage.get("/").await.status, 503);
    stage.watchdogs[0].start_again();
    let serves = async || stage.get("/").await.status == 200;
    wait_until("a watchdog tells it anew", Duration::from_secs(30), serves).await;
}
