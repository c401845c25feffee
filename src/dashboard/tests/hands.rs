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

/// Each as a form sends it, a word of its question, and what the trail calls it.
const HANDS: [(&str, &str, &str); 14] = [
    ("deed=monitor.pause&monitor=1", "nobody is told of it", "monitor.edit"),
    ("deed=monitor.resume&monitor=1", "looked at again", "monitor.edit"),
    ("deed=monitor.pin&monitor=1", "nothing but a hand moves it", "monitor.pin"),
    ("deed=monitor.unpin&monitor=1", "as others are", "monitor.unpin"),
    ("deed=monitor.move&monitor=1&node=node2", "never looked at twice", "monitor.move"),
    ("deed=check.pause&check=door", "", "check.edit"),
    ("deed=check.resume&check=door", "", "check.edit"),
    ("deed=node.drain&node=node2", "move to other nodes", "node.drain"),
    ("deed=node.resume&node=node2", "", "node.resume"),
    ("deed=node.recover&node=node1", "", "node.recover"),
    // There is nothing to move: nothing is entered.
    ("deed=cluster.rebalance", "they are spread evenly", ""),
    ("deed=cluster.freeze", "Nothing moves by itself", "cluster.freeze"),
    ("deed=cluster.thaw", "Automation acts again", "cluster.thaw"),
    ("deed=incident.ack&incident=1", "", "incident.ack"),
];

#[tokio::test]
async fn every_hand_names_its_consequence_is_done_and_stands_in_the_trail_under_the_persons_key() {
    let browser = Browser::signed_in("admin").await;
    for node in ["node1", "node2"] {
        browser.surface.add_node(node).await;
    }
    browser.surface.add_push_monitor("tokentokentokentokentokentoken12", "node1").await;
    browser.surface.raise("capacity").await;
    let key = browser.surface.key("write").await;
    let check = json!({"name": "door", "type": "http", "url": "https://shop.example/"}).to_string();
    assert_eq!(browser.surface.send("POST", "/api/v1/checks", Some(&key), &check).await.code, 201);
    let mut missing = vec![];
    for (deed, words, what) in HANDS {
        let question = browser.page(&format!("/watch/hands?{deed}")).await;
        assert!(question.contains(words), "{deed}: {question}");
        let done = browser.post("/watch/hands", deed).await;
        let place = done.header("location");
        let (code, said) = (done.code, text(done));
        assert_eq!(code, 303, "{deed}: {said}");
        assert!(place.contains("said="), "{deed}: {place}");
        let mut lease = browser.surface.state.store.lease("test").await.unwrap();
        let sql = "SELECT COUNT(*) AS many FROM komainu_audit WHERE who = 'key/admin (page)' AND what = ?";
        let row = lease.row("test", sql, vec![what.into()]).await.unwrap().unwrap();
        if !what.is_empty() && row.count("many").unwrap() == 0 {
            missing.push((deed, what));
        }
    }
    assert_eq!(missing, [], "are not in the trail");
}
