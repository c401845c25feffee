//! Whom a request goes to.

use serde_json::{Value, json};

use super::stage::Stage;

#[tokio::test]
#[ignore = "needs nginx"]
async fn people_go_to_the_least_loaded_node() {
    let stage = Stage::start(3, 1).await;
    let heard = stage.get("/dashboard").await;
    assert_eq!((heard.node().as_str(), heard.header("x-routed-via")), ("node1", "load-balancer"));
    stage.show_node(2, json!({"load": 0.05})).await;
    assert_eq!(stage.get("/dashboard").await.node(), "node2");
    // By name, too.
    let by_name = stage.nodes[1].url().replace("127.0.0.1", "localhost");
    stage.show_node(2, json!({"address": by_name})).await;
    assert_eq!(stage.get("/dashboard").await.node(), "node2");
    // A node that takes nobody is no choice, however idle.
    stage.show_node(2, json!({"accepts_sessions": false, "keeps_sessions": false, "status": "offline"})).await;
    assert_eq!(stage.get("/dashboard").await.node(), "node1");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn of_nodes_loaded_alike_one_person_gets_one() {
    let stage = Stage::start(3, 1).await;
    stage
        .show(|table| {
            for (node, load) in [0.300, 0.301, 0.305].into_iter().enumerate() {
                table["nodes"][node]["load"] = json!(load);
            }
        })
        .await;
    let mine = stage.get("/").await.node();
    for file in ["/assets/a.js", "/assets/b.css", "/icon.svg"] {
        assert_eq!(stage.get(file).await.node(), mine);
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_person_stays_on_the_node_of_the_cookie_while_it_is_online() {
    let stage = Stage::start(3, 1).await;
    let fixed = stage.get("/lb/fixed-node/node3").await;
    assert_eq!((fixed.status, &fixed.json()["node"]), (200, &json!("node3")));
    let cookie = fixed.header("set-cookie");
    assert_eq!(cookie, "KUMA_FIXED_NODE=node3; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax");
    let cookie = ("cookie", "theme=dark; KUMA_FIXED_NODE=node3");
    let heard = stage.get_with("/dashboard", cookie).await;
    assert_eq!((heard.node().as_str(), heard.header("x-routed-via")), ("node3", "fixed-node"));
    assert_eq!(heard.header("set-cookie"), "");
    let status = stage.get_with("/lb/fixed-node-status", cookie).await.json();
    assert_eq!((&status["current_node"], &status["is_valid"]), (&json!("node3"), &json!(true)));

    stage.show_node(3, json!({"status": "offline", "accepts_sessions": false, "keeps_sessions": false})).await;
    let heard = stage.get_with("/dashboard", cookie).await;
    assert_eq!((heard.node().as_str(), heard.header("x-routed-via")), ("node1", "load-balancer"));
    assert!(heard.header("set-cookie").starts_with("KUMA_FIXED_NODE=; Path=/; Max-Age=0"), "{heard:?}");
    assert_eq!(stage.get("/lb/fixed-node/node3").await.status, 409);
    let cleared = stage.get("/lb/clear-fixed-node").await;
    assert!(cleared.header("set-cookie").starts_with("KUMA_FIXED_NODE=; Path=/; Max-Age=0"), "{cleared:?}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_cookie_that_names_no_node_names_nothing_else_either() {
    let stage = Stage::start(2, 1).await;
    for value in ["node9", "127.0.0.1:1", "' OR 1=1 --", "../node2", "watchdogs", &"x".repeat(3_000)] {
        let heard = stage.get_with("/", ("cookie", &format!("KUMA_FIXED_NODE={value}"))).await;
        assert_eq!((heard.status, heard.node().as_str()), (200, "node1"), "{value}");
    }
    for path in ["/lb/fixed-node/node9", "/lb/fixed-node/", "/lb/fixed-node/%0d%0aX:1", "/lb/fixed-node/node1/x"] {
        let heard = stage.get(path).await;
        assert_eq!((heard.status, heard.header("set-cookie")), (404, ""), "{path}");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_clusters_pin_outweighs_cookie_and_load() {
    let stage = Stage::start(3, 1).await;
    stage.show(|table| table["pinned_node"] = json!("node2")).await;
    let heard = stage.get_with("/", ("cookie", "KUMA_FIXED_NODE=node3")).await;
    assert_eq!((heard.node().as_str(), heard.header("x-routed-via")), ("node2", "cluster-pin"));
    assert_eq!(stage.get("/lb/fixed-node-status").await.json()["pinned_node"], "node2");
    // A pinned node that is gone serves nobody.
    stage.show_node(2, json!({"status": "offline", "accepts_sessions": false, "keeps_sessions": false})).await;
    assert_eq!(stage.get("/").await.node(), "node1");
    stage.show(|table| table["pinned_node"] = Value::Null).await;
    assert_eq!(stage.get_with("/", ("cookie", "KUMA_FIXED_NODE=node3")).await.node(), "node3");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_drained_node_keeps_its_sessions_and_gets_no_new_one() {
    let stage = Stage::start(2, 1).await;
    let (session, node) = stage.open_session().await;
    assert_eq!(node, "node1");
    stage.show_node(1, json!({"overlay": "draining", "accepts_sessions": false})).await;
    assert_eq!(stage.poll(&session).await.node(), "node1");
    assert_eq!(stage.open_session().await.1, "node2");
    // Neither by cookie, which stays for the time after.
    let heard = stage.get_with("/", ("cookie", "KUMA_FIXED_NODE=node1")).await;
    assert_eq!((heard.node().as_str(), heard.header("set-cookie")), ("node2", ""));
    assert_eq!(stage.get("/lb/fixed-node/node1").await.status, 409);
    assert_eq!(stage.get("/lb/available-nodes").await.json()["total_count"], 1);
}
