//! Pushes go to the node that owns the monitor.

use std::time::Duration;

use komainu::clock;

use super::stage::Stage;

const NOT_FOUND: (u16, &str) = (404, r#"{"ok":false,"msg":"Monitor not found or not active."}"#);
const NOT_STORED: (u16, &str) =
    (503, r#"{"ok":false,"msg":"This node could not store the push: it may be sent again."}"#);

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_push_goes_to_the_owner_and_to_nobody_else() {
    let mut stage = Stage::start(3, 1).await;
    stage.own("tokenOfShop", "node3").await;
    stage.own("tokenOfBlog", "node2").await;
    for (path, owner) in
        [("tokenOfShop?status=up&ping=3", "node3"), ("tokenOfBlog", "node2"), ("tokenOfShop/", "node3")]
    {
        let heard = stage.get(&format!("/api/push/{path}")).await;
        assert_eq!((heard.node().as_str(), heard.header("x-routed-via")), (owner, "push-owner"), "{path}");
    }
    // Whoever is fixed to a node by cookie pushes to the owner all the same.
    let heard = stage.get_with("/api/push/tokenOfShop", ("cookie", "KUMA_FIXED_NODE=node1")).await;
    assert_eq!(heard.node(), "node3");
    // Of a token that nobody knows Kuma itself says so.
    let heard = stage.get("/api/push/tokenOfNobody").await;
    assert_eq!((heard.node().as_str(), heard.header("x-routed-via")), ("node1", "load-balancer"));
    // What Kuma refuses is refused at once.
    stage
        .answer_pushes("node2", Some((404, r#"{"ok":false,"msg":"Invalid ping value. Must be between 0 and 1 ms."}"#)));
    assert_eq!(stage.get("/api/push/tokenOfBlog?ping=-1").await.status, 404);
    stage.answer_pushes("node2", None);
    // The owner is gone: another would say that there is no such monitor.
    stage.nodes[2].die().await;
    let began_at = clock::now();
    let heard = stage.get("/api/push/tokenOfShop").await;
    assert_eq!((heard.status, heard.header("retry-after")), (503, "5"));
    let held = clock::now().since(began_at);
    assert!((Duration::from_secs(9)..Duration::from_secs(13)).contains(&held), "held for {held:?}");
    // It moved.
    stage.own("tokenOfShop", "node2").await;
    assert_eq!(stage.get("/api/push/tokenOfShop").await.node(), "node2");
    assert!(!stage.gateway.log().contains("tokenOf"), "the log shows no token: {}", stage.gateway.log());
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_push_during_a_move_is_held_and_handed_to_the_new_owner() {
    let mut stage = Stage::start(3, 1).await;
    stage.own("tokenOfShop", "node3").await;
    let push = |number: u32| {
        let (stage, path) = (&stage, format!("/api/push/tokenOfShop?msg={number}"));
        async move { stage.get(&path).await }
    };
    // The old owner has let go of it, the table is on its way, then it is nobody's, then the new one has not begun.
    stage.answer_pushes("node3", Some(NOT_FOUND));
    stage.answer_pushes("node2", Some(NOT_STORED));
    let moved = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.own("tokenOfShop", "").await;
        stage.own("tokenOfShop", "node2").await;
        stage.answer_pushes("node2", None);
    };
    let pushed = futures_util::future::join_all((0..20).map(push));
    let (heard, ()) = tokio::join!(pushed, moved);
    let taken = stage.nodes[1].log().iter().filter(|request| request.path.starts_with("/api/push/")).count();
    for heard in heard {
        assert_eq!((heard.status, heard.node().as_str()), (200, "node2"), "{heard:?}");
    }
    assert!(taken >= 20, "each came there: {taken}");
    // A body is not passed on, and keeps nobody waiting.
    let posted = stage.send("POST", "/api/push/tokenOfShop", &[], "a body").await;
    assert_eq!((posted.status, posted.node().as_str()), (200, "node2"));
    // The owner dies, and another has it within the time that a push is held.
    stage.nodes[1].die().await;
    let push = stage.gateway.send("GET", "/api/push/tokenOfShop", &[], "");
    let (heard, ()) = tokio::join!(push, stage.own("tokenOfShop", "node1"));
    assert_eq!((heard.status, heard.node().as_str()), (200, "node1"));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn pushes_of_one_monitor_go_one_after_another_in_their_order() {
    let stage = Stage::start(1, 1).await;
    stage.own("tokenOfShop", "").await;
    let pushes: Vec<_> = (0..8)
        .map(|number: u32| {
            let (stage, path) = (&stage, format!("/api/push/tokenOfShop?msg={number}"));
            async move {
                tokio::time::sleep(Duration::from_millis(u64::from(number) * 100)).await;
                stage.get(&path).await
            }
        })
        .collect();
    let owned = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.own_unseen("tokenOfShop", "node1");
    };
    let (heard, ()) = tokio::join!(futures_util::future::join_all(pushes), owned);
    assert!(heard.iter().all(|heard| heard.status == 200), "{heard:?}");
    let order: Vec<_> = stage.nodes[0].log().iter().map(|request| request.path.clone()).collect();
    let expected: Vec<_> = (0..8).map(|number| format!("/api/push/tokenOfShop?msg={number}")).collect();
    assert_eq!(order, expected);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_nobody_knows_is_not_held_and_what_is_not_known_yet_is() {
    let stage = Stage::start(1, 1).await;
    stage.answer_pushes("node1", Some(NOT_FOUND));
    let began_at = clock::now();
    assert_eq!(stage.get("/api/push/tokenOfNobody").await.status, 404);
    assert!(clock::now().since(began_at) < Duration::from_secs(3));
    // A monitor that was just made: the node that was asked knows that another runs it.
    stage.answer_pushes("node1", Some(NOT_STORED));
    let made = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.answer_pushes("node1", None);
        stage.own_unseen("tokenOfShop", "node1");
    };
    let (heard, ()) = tokio::join!(stage.get("/api/push/tokenOfShop"), made);
    assert_eq!(heard.status, 200, "{heard:?}");
}
