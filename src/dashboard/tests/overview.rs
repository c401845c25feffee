//! The first page.

use std::time::Duration;

use komainu_watchdogs::facts::Vote;
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{DatabaseView, Health, View, WatchdogView};

use super::{Browser, reading};
use crate::api::support::{Surface, view};
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

/// A watchdog that started while the database was away.
async fn started_without_the_database() -> Surface {
    let never_read = View {
        database: DatabaseView::Down,
        verdict_age_ms: None,
        checked_at: None,
        nodes: vec![],
        incidents: vec![],
        ..view()
    };
    let surface = Surface::showing(never_read).await;
    let mut lease = surface.state.store.lease("test").await.unwrap();
    for table in [
        "monitor",
        "komainu_api_key",
        "komainu_assignment",
        "komainu_audit",
        "komainu_channel",
        "komainu_check",
        "komainu_heartbeat",
        "komainu_incident",
        "komainu_page",
        "komainu_silence",
    ] {
        lease.execute("test", format!("ALTER TABLE {table} RENAME TO {table}_gone"), vec![]).await.unwrap();
    }
    drop(lease);
    surface
}

#[tokio::test]
async fn a_watchdog_that_never_read_the_database_says_so_on_every_page_to_whoever_signed_in_elsewhere() {
    let elsewhere = Browser::signed_in("admin").await;
    let surface = started_without_the_database().await;
    let here = Browser { surface: surface.lasting(), cookie: elsewhere.cookie.clone() };
    for path in ["", "/nodes", "/moves", "/wall"] {
        let page = here.page(&format!("/watch{path}")).await;
        let words = if path == "/wall" {
            "The database does not answer"
        } else {
            "The database does not answer. What stands here"
        };
        assert!(page.contains(words), "{path}: {page}");
    }
    for path in [
        "/incidents",
        "/incidents/1",
        "/monitors",
        "/monitors/1",
        "/checks",
        "/checks/front-door",
        "/heartbeats",
        "/heartbeats/backup",
        "/silences",
        "/pages",
        "/pages/shop",
        "/channels",
        "/audit",
    ] {
        let answer = here.get(&format!("/watch{path}")).await;
        let code = answer.code;
        let page = String::from_utf8(answer.body).unwrap();
        assert_eq!(code, 503, "{path}: {page}");
        assert!(page.contains("This has not been read since this watchdog started"), "{path}: {page}");
        assert!(page.contains("there was no verdict yet") && page.contains("admin (admin)"), "{path}: {page}");
    }
    let first = here.page("/watch").await;
    for words in ["Nodes have not been read", "not read yet", "They could not be read since this watchdog started."] {
        assert!(first.contains(words), "{words} is missing in {first}");
    }
    let public = here.get("/pages/shop").await;
    assert_eq!(public.code, 503);
    assert!(!public.body.is_empty());
}

#[tokio::test]
async fn the_sign_at_the_top_is_not_well_while_something_is_wrong() {
    let well = View { status: Health::Ok, reasons: vec![], ..view() };
    let count = well.incidents.len();
    let page = reading(well.clone()).await.page("/watch/nodes").await;
    assert!(page.contains(&format!("{count} wrong</span>")) && !page.contains("all is well"), "{page}");
    let page = reading(View { incidents: vec![], ..well }).await.page("/watch/nodes").await;
    assert!(page.contains("all is well</span>"), "{page}");
}
