//! The first page.

use std::time::Duration;

use komainu_watchdogs::facts::Vote;
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{View, WatchdogView};

use super::{Browser, reading};
use crate::api::support::view;
use crate::clock;

#[tokio::test]
async fn what_cannot_be_read_any_more_is_shown_as_it_was_and_whoever_signed_in_stays() {
    let browser = Browser::signed_in("write").await;
    browser.surface.raise("node/node2").await;
    browser.page_saying("/watch", "Acknowledge").await;
    let mut lease = browser.surface.state.store.lease("test").await.unwrap();
    for table in ["komainu_incident", "komainu_api_key"] {
        lease.execute("test", format!("ALTER TABLE {table} RENAME TO {table}_gone"), vec![]).await.unwrap();
    }
    drop(lease);
    // What was read within the last second is believed anyway.
    clock::sleep_until(clock::now() + Duration::from_millis(1_100)).await;
    let page = browser.page("/watch").await;
    assert!(page.contains("Acknowledge") && page.contains("node1"), "{page}");
    let refused = browser.post("/watch/hands", "deed=incident.ack&incident=1").await;
    assert_eq!(refused.code, 503);
}

#[tokio::test]
async fn the_first_page_shows_who_sees_whom() {
    let row = |id: &str, status, sees: &[(&str, Vote)]| WatchdogView {
        watchdog_id: id.into(),
        status,
        last_seen_ms: Wall(1),
        sees: sees.iter().map(|(peer, vote)| ((*peer).into(), *vote)).collect(),
        advertise: String::new(),
    };
    let watchdogs = vec![
        row("w1", "up", &[("w2", Vote::Up), ("w3", Vote::Down)]),
        row("w2", "up", &[("w1", Vote::Up)]),
        row("w3", "down", &[]),
    ];
    let page = reading(View { watchdogs, ..view() }).await.page("/watch").await;
    let cells: Vec<&str> = page.split("data-is=\"Sees ").skip(1).collect();
    let expected = [
        ("w1", "itself"),
        ("w2", "reached"),
        ("w3", "not reached"),
        ("w1", "reached"),
        ("w2", "itself"),
        ("w3", "not known yet"),
        ("w1", "says nothing"),
        ("w2", "says nothing"),
        ("w3", "itself"),
    ];
    assert_eq!(cells.len(), expected.len(), "{page}");
    for (cell, (peer, words)) in cells.iter().zip(expected) {
        assert!(cell.starts_with(peer) && cell.contains(&format!(">{words}</span>")), "{peer} {words}: {cell}");
    }
}
