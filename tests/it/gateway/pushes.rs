//! Pushes go to the node that owns the monitor.

use super::stage::Stage;

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
    // The owner is gone: another would say that there is no such monitor.
    stage.nodes[2].die().await;
    let heard = stage.get("/api/push/tokenOfShop").await;
    assert_eq!((heard.status, heard.header("retry-after")), (503, "5"));
    // It moved.
    stage.own("tokenOfShop", "node2").await;
    assert_eq!(stage.get("/api/push/tokenOfShop").await.node(), "node2");
    // On its way from one node to another: nobody's.
    stage.own("tokenOfBlog", "").await;
    assert_eq!(stage.get("/api/push/tokenOfBlog").await.status, 503);
    assert!(!stage.gateway.log().contains("tokenOf"), "the log shows no token: {}", stage.gateway.log());
}
