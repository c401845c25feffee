//! Socket.IO: one session, one node, by polling and by websocket.

use serde_json::json;

use super::stage::Stage;

#[tokio::test]
#[ignore = "needs nginx"]
async fn polling_and_websocket_of_a_session_go_to_one_node_until_it_dies() {
    let mut stage = Stage::start(2, 1).await;
    let (session, node) = stage.open_session().await;
    assert_eq!(node, "node1");
    // Another node is less loaded by now: the session stays, new ones go there.
    stage.show_node(2, json!({"load": 0.05})).await;
    let polled = stage.poll(&session).await;
    assert_eq!((polled.node().as_str(), polled.header("x-routed-via")), ("node1", "session"));
    let mut websocket = stage.upgrade(&session).await;
    assert_eq!(websocket.say("hello").await.unwrap(), "node1: hello");
    stage.show_node(1, json!({"load": 0.01})).await;

    stage.nodes[0].die().await;
    assert_eq!(websocket.say("still there?").await, None);
    // Before any watchdog knows: the client learns that its session is gone, and opens another.
    let polled = stage.poll(&session).await;
    assert_eq!((polled.status, polled.node().as_str()), (400, "node2"));
    let (second, node) = stage.open_session().await;
    assert_eq!(node, "node2");
    let mut websocket = stage.upgrade(&second).await;
    assert_eq!(websocket.say("hello").await.unwrap(), "node2: hello");

    stage.show_node(1, json!({"status": "offline", "accepts_sessions": false, "keeps_sessions": false})).await;
    stage.nodes[0].start_again();
    stage.show_node(1, json!({"status": "online", "accepts_sessions": true, "keeps_sessions": true})).await;
    assert_eq!(websocket.say("and now?").await.unwrap(), "node2: and now?", "who is served stays");
    assert_eq!(stage.poll(&second).await.node(), "node2");
    assert_eq!(stage.open_session().await.1, "node1", "new sessions come back");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_session_that_nobody_knows_is_answered_by_a_node() {
    let stage = Stage::start(2, 1).await;
    for session in ["nobody-1", "..%2f..", "' OR 1=1 --", &"x".repeat(500)] {
        let polled = stage.poll(session).await;
        assert_eq!((polled.status, polled.header("x-routed-via")), (400, "load-balancer"), "{session}");
    }
}
