//! Incidents on pages.

use super::{Browser, text};

#[tokio::test]
async fn an_incident_is_acknowledged_from_the_first_page() {
    let browser = Browser::signed_in("write").await;
    let id = browser.surface.raise("node/node2").await;
    browser.page_saying("/watch", &format!("deed=incident.ack&amp;incident={id}")).await;
    let done = browser.post("/watch/hands", &format!("deed=incident.ack&incident={id}")).await;
    assert_eq!(done.code, 303);
    assert!(browser.page("/watch").await.contains("acknowledged by key/write (page)"));
}

#[tokio::test]
async fn the_story_of_an_incident_says_what_was_told_and_where() {
    let browser = Browser::signed_in("read").await;
    let id = browser.surface.raise("node/node1").await;
    let list = browser.page("/watch/incidents?show=open&key=node").await;
    assert!(list.contains(&format!("href=\"/watch/incidents/{id}\"")), "{list}");
    assert!(!browser.page("/watch/incidents?show=over").await.contains("node/node1"));
    let story = browser.page(&format!("/watch/incidents/{id}")).await;
    for shown in ["node/node1", "bad", "3 of 3 watchdogs", "<strong>opened</strong>", "ops:", "waiting"] {
        assert!(story.contains(shown), "{shown} is missing in {story}");
    }
    assert!(!story.contains("Acknowledge"), "a key that only reads has no hands");
    let missing = browser.get("/watch/incidents/999").await;
    assert!(missing.code == 404 && text(missing).contains("incident 999"));
}

#[tokio::test]
async fn the_story_of_a_nodes_incident_says_what_moved_meanwhile() {
    let browser = Browser::signed_in("read").await;
    let id = browser.surface.raise("node/node2").await;
    let path = format!("/watch/incidents/{id}");
    assert!(!browser.page(&path).await.contains("Moved meanwhile"));
    let mut lease = browser.surface.state.store.lease("test").await.unwrap();
    let sql = "INSERT INTO komainu_assignment (monitor_id, node_id, assigned_node, reason, generation, changed_at) \
               SELECT 3, 'node2', 'node3', 'node_offline', 42, opened_at + 5000 FROM komainu_incident WHERE k = 'node/node2' \
               UNION SELECT 4, 'node1', NULL, 'drain', 41, opened_at - 5000 FROM komainu_incident WHERE k = 'node/node2'";
    lease.execute("test", sql, vec![]).await.unwrap();
    drop(lease);
    let story = browser.page_saying(&path, "Moved meanwhile").await;
    assert!(story.contains("1 monitor to <a href=\"/watch/monitors?node=node3\">"), "{story}");
    assert!(story.contains("The node before was offline") && !story.contains("drained"), "{story}");
}

#[tokio::test]
async fn an_incident_that_is_not_among_the_newest_is_found_from_the_first_page() {
    let page = Browser::signed_in("read").await.page("/watch").await;
    assert!(page.contains("href=\"/watch/incidents?show=open&amp;key=node/node2\""), "{page}");
}
