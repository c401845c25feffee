//! One notice of each sort.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_notifiers::{Answer, Doubt, EventKind, Item, Lateness, Notice, Severity};

/// 2025-11-22 08:26:40 UTC.
pub(crate) const NOW_MS: i64 = 1_763_800_000_000;

pub(crate) fn node_offline() -> Item {
    Item {
        incident_id: "41".to_owned(),
        event: EventKind::Opened,
        key: "node/node1".to_owned(),
        name: None,
        severity: Severity::Critical,
        summary: "node node1 is offline: lease ended, 3 of 3 watchdogs cannot reach it".to_owned(),
        opened_at_ms: NOW_MS - 11_000,
        first_opened_at_ms: None,
        at_ms: NOW_MS - 11_000,
        votes: (3, 3),
        done: vec!["312 monitors moved to node2 and node3".to_owned()],
        runbook_url: "https://komainu.example.com/runbook#node".to_owned(),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
    }
}

/// With everything in it that a vendor could take for markup.
pub(crate) fn heartbeat_late() -> Item {
    Item {
        incident_id: "42".to_owned(),
        event: EventKind::Opened,
        key: "heartbeat/backup".to_owned(),
        name: None,
        severity: Severity::Warning,
        summary: "heartbeat backup is late: <!channel> & \"quotes\" <b>größer</b>".to_owned(),
        opened_at_ms: NOW_MS - 8_000,
        first_opened_at_ms: None,
        at_ms: NOW_MS - 8_000,
        votes: (0, 0),
        done: vec![],
        runbook_url: "https://komainu.example.com/runbook#heartbeat".to_owned(),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
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
        threads: BTreeMap::new(),
        told_to: vec![],
        time_zone: None,
    }
}

/// Where the message is that opened the incident.
pub(crate) const THREAD: &str = "C0123456789/1763799989.000100";

fn in_thread(item: Item) -> Notice {
    let threads = [(item.incident_id.clone(), THREAD.to_owned())].into();
    Notice { threads, ..notice(vec![item]) }
}

/// Two that each had a message of their own are over, and another one is bad.
pub(crate) fn grouped_ends() -> Notice {
    let (first, second) = (resolved(node_offline()), resolved(heartbeat_late()));
    let threads =
        [&first, &second].map(|item| (item.incident_id.clone(), format!("C0123456789/{}.1", item.incident_id)));
    Notice { threads: threads.into(), ..notice(vec![shop_down(), first, second]) }
}

pub(crate) fn opened() -> Notice {
    notice(vec![node_offline()])
}

pub(crate) fn over() -> Notice {
    in_thread(resolved(node_offline()))
}

fn reminder() -> Notice {
    let item = Item { event: EventKind::Reminder, at_ms: NOW_MS + 14_400_000, ..node_offline() };
    in_thread(item)
}

fn acknowledged() -> Notice {
    let (event, acknowledged_by) = (EventKind::Acknowledged, Some("anna".to_owned()));
    in_thread(Item { event, acknowledged_by, at_ms: NOW_MS + 95_000, ..node_offline() })
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

pub(crate) fn shop_down() -> Item {
    Item {
        incident_id: "43".to_owned(),
        key: "monitor/123".to_owned(),
        name: Some("Shop checkout".to_owned()),
        summary: "monitor Shop checkout is down: timeout of 48 s exceeded".to_owned(),
        done: vec![],
        runbook_url: "https://komainu.example.com/runbook#monitor".to_owned(),
        ..node_offline()
    }
}

/// Thirty ends of criticals, and one that is new.
pub(crate) fn mostly_ends() -> Notice {
    let ends = (0..30).map(|number| Item { incident_id: format!("{}", 200 + number), ..resolved(node_offline()) });
    Notice { is_digest: true, ..notice(ends.chain([shop_down()]).collect()) }
}

/// Open again within ten minutes: its thread says that it is over.
pub(crate) fn returned() -> Notice {
    in_thread(shop_down())
}

fn answerable() -> Notice {
    let answer = |answer: &str, words: &str| Answer {
        answer: answer.to_owned(),
        words: words.to_owned(),
        url: format!("https://komainu.example.com/act/eyJkIjoi{answer}.c2ln"),
    };
    let answers = vec![answer("ack", "Acknowledge"), answer("silence-1h", "Silence for 1 h")];
    notice(vec![Item { answers, ..shop_down() }])
}

fn late() -> Notice {
    let why = "the channel answered 429 for a while".to_owned();
    Notice { lateness: Some(Lateness { by: Duration::from_secs(245), why }), ..opened() }
}

/// Every sort, and the name of its golden file.
pub(crate) fn all() -> [(&'static str, Notice); 12] {
    [
        ("opened", opened()),
        ("reminder", reminder()),
        ("acknowledged", acknowledged()),
        ("resolved", over()),
        ("grouped", notice(vec![node_offline(), heartbeat_late()])),
        ("digest", digest()),
        ("mostly-ends", mostly_ends()),
        ("returned", returned()),
        ("answerable", answerable()),
        ("late", late()),
        ("may-be-repeated", Notice { doubt: Some(Doubt::MayBeRepeated), ..opened() }),
        ("database-unreachable", Notice { doubt: Some(Doubt::DatabaseUnreachable), ..opened() }),
    ]
}
