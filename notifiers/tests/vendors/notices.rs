//! One notice of each sort.

use std::time::Duration;

use komainu_notifiers::{Doubt, EventKind, Item, Lateness, Notice, Severity};

/// 2025-11-22 08:26:40 UTC.
pub(crate) const NOW_MS: i64 = 1_763_800_000_000;

pub(crate) fn node_offline() -> Item {
    Item {
        incident_id: "41".to_owned(),
        event: EventKind::Opened,
        key: "node/node1".to_owned(),
        severity: Severity::Critical,
        summary: "node node1 is offline: lease ended, 3 of 3 watchdogs cannot reach it".to_owned(),
        opened_at_ms: NOW_MS - 11_000,
        at_ms: NOW_MS - 11_000,
        votes: (3, 3),
        done: vec!["312 monitors moved to node2 and node3".to_owned()],
        runbook_url: "https://komainu.example.com/runbook#node".to_owned(),
        instead_of: None,
    }
}

/// With everything in it that a vendor could take for markup.
pub(crate) fn heartbeat_late() -> Item {
    Item {
        incident_id: "42".to_owned(),
        event: EventKind::Opened,
        key: "heartbeat/backup".to_owned(),
        severity: Severity::Warning,
        summary: "heartbeat backup is late: <!channel> & \"quotes\" <b>größer</b>".to_owned(),
        opened_at_ms: NOW_MS - 8_000,
        at_ms: NOW_MS - 8_000,
        votes: (0, 0),
        done: vec![],
        runbook_url: "https://komainu.example.com/runbook#heartbeat".to_owned(),
        instead_of: None,
    }
}

fn resolved(item: Item) -> Item {
    let summary = "node node1 is online again".to_owned();
    let done = vec!["312 monitors came home".to_owned()];
    Item { event: EventKind::Resolved, at_ms: item.opened_at_ms + 723_000, summary, done, ..item }
}

pub(crate) fn notice(items: Vec<Item>) -> Notice {
    Notice {
        id: "0a1b2c3d4e5f60718293a4b5".to_owned(),
        cluster: "prod".to_owned(),
        items,
        is_digest: false,
        doubt: None,
        lateness: None,
        thread: None,
        told_to: vec![],
    }
}

pub(crate) fn opened() -> Notice {
    notice(vec![node_offline()])
}

pub(crate) fn over() -> Notice {
    Notice { thread: Some("C0123456789/1763799989.000100".to_owned()), ..notice(vec![resolved(node_offline())]) }
}

fn reminder() -> Notice {
    let item = Item { event: EventKind::Reminder, at_ms: NOW_MS + 14_400_000, ..node_offline() };
    Notice { thread: Some("C0123456789/1763799989.000100".to_owned()), ..notice(vec![item]) }
}

pub(crate) fn digest() -> Notice {
    let heartbeats = (0..380).map(|number| Item {
        incident_id: format!("{}", 100 + number),
        key: format!("heartbeat/job-{number:03}"),
        summary: format!("heartbeat job-{number:03} is late"),
        ..heartbeat_late()
    });
    let items = [node_offline()].into_iter().chain(heartbeats).chain([resolved(node_offline())]).collect();
    Notice { is_digest: true, ..notice(items) }
}

fn late() -> Notice {
    let why = "the channel answered 429 for a while".to_owned();
    Notice { lateness: Some(Lateness { by: Duration::from_secs(245), why }), ..opened() }
}

/// Every sort, and the name of its golden file.
pub(crate) fn all() -> [(&'static str, Notice); 8] {
    [
        ("opened", opened()),
        ("reminder", reminder()),
        ("resolved", over()),
        ("grouped", notice(vec![node_offline(), heartbeat_late()])),
        ("digest", digest()),
        ("late", late()),
        ("may-be-repeated", Notice { doubt: Some(Doubt::MayBeRepeated), ..opened() }),
        ("database-unreachable", Notice { doubt: Some(Doubt::DatabaseUnreachable), ..opened() }),
    ]
}
