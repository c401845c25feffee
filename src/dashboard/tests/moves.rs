//! Moves on their page.

use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::facts::Mode;
use komainu_watchdogs::view::{View, WouldMove};
use serde_json::json;

use super::reading;
use crate::api::support::view;

#[tokio::test]
async fn what_would_move_and_what_moved_is_shown_with_why() {
    let would_move = vec![WouldMove { from: Some("node2".into()), monitors: 12, reason: MoveReason::NodeOffline }];
    let browser = reading(View { mode: Mode::Observe, would_move, ..view() }).await;
    let page = browser.page("/watch/moves").await;
    for words in ["Would be moved", "12 monitors", "node2", "their node is offline", "Nothing has moved yet."] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    let mut lease = browser.surface.state.store.lease("test").await.unwrap();
    let sql = "INSERT INTO komainu_assignment (monitor_id, node_id, assigned_node, reason, generation, changed_at) VALUES \
               (1, 'node1', NULL, 'drain', 41, 1763800000000), (2, 'node1', NULL, 'drain', 41, 1763800000000), \
               (3, 'node2', 'node3', 'node_offline', 42, 1763800000000), (4, 'node2', '', 'node_offline', 42, 1763800000000)";
    lease.execute("test", sql, vec![]).await.unwrap();
    drop(lease);
    let page = browser.page_saying("/watch/moves", "href=\"/watch/monitors?node=node3\"").await;
    assert!(page.contains("2 monitors") && page.contains("The node before was drained."), "{page}");
    let key = browser.surface.key("write").await;
    let answered = browser.surface.send("GET", "/api/v1/moves?limit=1", Some(&key), "").await.json();
    let expected = json!({"generation": 42, "node_id": "node3", "monitors": 1, "reason": "node_offline", "why": "The node before was offline, and this one took over.",
        "at": 1_763_800_000_000_i64});
    assert_eq!(answered["items"], json!([expected]), "what is on its way is nowhere yet");
}
