//! What people do from pages.

use serde_json::json;

use super::{Browser, SAME, text};

#[tokio::test]
async fn a_hand_asks_once_names_what_becomes_of_it_and_stands_in_the_trail_under_the_persons_key() {
    let browser = Browser::signed_in("admin").await;
    browser.surface.add_node("node1").await;
    let page = browser.page("/watch/hands?deed=node.drain&node=node1&back=/watch/nodes").await;
    assert!(page.contains("Drain node1?") && page.contains("move to other nodes"), "{page}");
    let done = browser.post("/watch/hands", "deed=node.drain&node=node1&back=/watch/nodes").await;
    assert_eq!(done.code, 303);
    let place = done.header("location");
    assert!(place.starts_with("/watch/nodes?said="), "{place}");
    assert!(browser.page(&place).await.contains("node1 gives its monitors away now."));
    let other = browser.surface.key("admin").await;
    let trail = browser.surface.send("GET", "/api/v1/audit?what=node.drain", Some(&other), "").await.json();
    let (who, address) = (&trail["items"][0]["who"], &trail["items"][0]["address"]);
    assert_eq!((who, address), (&json!("key/admin (page)"), &json!("192.0.2.7")));
}

#[tokio::test]
async fn a_hand_that_the_key_does_not_allow_is_refused_with_words() {
    let browser = Browser::signed_in("write").await;
    browser.surface.add_node("node1").await;
    assert!(!browser.page("/watch/nodes").await.contains("deed=node.drain"));
    let words = "scope write; this needs admin";
    assert!(browser.page("/watch/hands?deed=node.drain&node=node1").await.contains(words));
    let refused = browser.post("/watch/hands", "deed=node.drain&node=node1").await;
    assert_eq!(refused.code, 403);
    assert!(text(refused).contains("this key has scope write, this needs admin"));
    assert_eq!(browser.post("/watch/hands", "deed=node.drain").await.code, 400);
}

#[tokio::test]
async fn what_was_done_is_said_to_whoever_did_it() {
    let browser = Browser::signed_in("admin").await;
    browser.surface.add_node("node1").await;
    let place = browser.post("/watch/hands", "deed=node.drain&node=node1").await.header("location");
    assert!(browser.page(&place).await.contains("node1 gives its monitors away now."));
    let key = browser.surface.key("read").await;
    let signed_in = browser.surface.send_with("POST", "/watch/sign-in", &[SAME], &format!("key={key}")).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let other = browser.surface.send_with("GET", &place, &[("cookie", &cookie)], "").await;
    assert!(!text(other).contains("gives its monitors away"));
}
