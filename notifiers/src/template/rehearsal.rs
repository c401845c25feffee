//! Messages of every sort, on which a channel's templates are tried when the configuration is read.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Answer, Doubt, EventKind, Item, Lateness, Notice, Severity};

/// The time at which they are tried, milliseconds UTC.
pub(super) const AT_MS: i64 = 1_763_800_000_000;

/// All sorts; of a channel that takes one incident at a time only those that tell of one.
pub(super) fn notices(one_incident: bool) -> Vec<Notice> {
    let events = [
        EventKind::Opened,
        EventKind::Worse,
        EventKind::Reminder,
        EventKind::Acknowledged,
        EventKind::Flapping,
        EventKind::Resolved,
    ];
    let severities = [Severity::Critical, Severity::Warning];
    let each = events.into_iter().flat_map(|event| severities.map(|severity| item(event, severity)));
    let alone = each.clone().map(|item| notice(vec![item]));
    let named = Item { key: "monitor/7".to_owned(), name: Some("Shop \"checkout\"\nß<b>".to_owned()), ..opened() };
    let first_ms = Some(AT_MS - 7_200_000);
    let returned = Item { first_opened_at_ms: first_ms, instead_of: Some("ops".to_owned()), done: vec![], ..opened() };
    let answer = Answer {
        answer: "ack".to_owned(),
        words: "Acknowledge".to_owned(),
        url: "https://komainu.example.com/act/eyJpIjo0MX0.c2lnbmF0dXJl".to_owned(),
    };
    let answerable = Item { answers: vec![answer; 4], ..opened() };
    let doubts = [Doubt::MayBeRepeated, Doubt::DatabaseUnreachable, Doubt::UnconfirmedAlone];
    let doubted = doubts.map(|doubt| Notice { doubt: Some(doubt), ..notice(vec![opened()]) });
    let lateness = Some(Lateness { by: Duration::from_secs(245), why: "the vendor answered 429".to_owned() });
    let late = Notice { lateness, ..notice(vec![returned]) };
    let mut all: Vec<Notice> =
        alone.chain([notice(vec![named]), notice(vec![answerable]), late]).chain(doubted).collect();
    if !one_incident {
        let many: Vec<Item> = each.cycle().take(40).collect();
        all.push(notice(many.iter().take(3).cloned().collect()));
        all.push(Notice { is_digest: true, ..notice(many) });
    }
    all
}

fn opened() -> Item {
    item(EventKind::Opened, Severity::Critical)
}

fn item(event: EventKind, severity: Severity) -> Item {
    Item {
        incident_id: "41".to_owned(),
        event,
        key: "node/node1".to_owned(),
        name: None,
        severity,
        summary: "node node1 is offline: lease ended, 3 of 3 watchdogs cannot reach it".to_owned(),
        opened_at_ms: AT_MS - 60_000,
        first_opened_at_ms: None,
        at_ms: AT_MS,
        votes: (3, 3),
        done: vec!["312 of its monitors run elsewhere: node2 156, node3 156".to_owned()],
        runbook_url: "https://komainu.example.com/runbook#node".to_owned(),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
    }
}

fn notice(items: Vec<Item>) -> Notice {
    Notice {
        id: "0a1b2c3d4e5f60718293a4b5c6d7e8f9".to_owned(),
        cluster: "prod".to_owned(),
        items,
        is_digest: false,
        doubt: None,
        lateness: None,
        threads: BTreeMap::new(),
        told_to: Vec::new(),
        time_zone: None,
    }
}
