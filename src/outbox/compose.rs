//! A notice out of the facts of its deliveries.

use komainu_notifiers::{Doubt, EventKind, Item, Kind, Lateness, Notice, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::queue::{Message, Queued};
use sha2::{Digest, Sha256};

use super::Outbox;
use crate::answers::person;
use crate::store::outbox::{Claim, Fact};

/// Names a message by what it tells: the same rows make the same id, and rows of a restored database, which bear the
/// numbers of others, another one.
pub(super) fn notice_id<'a>(cluster: &str, members: impl Iterator<Item = &'a Queued>) -> String {
    let mut hash = Sha256::new();
    hash.update(cluster);
    for row in members {
        hash.update(format!("\n{} {}", row.delivery, row.due_at.0));
    }
    let mut id = hex::encode(hash.finalize());
    id.truncate(32);
    id
}

pub(super) fn notice(outbox: &Outbox, claim: &Claim, message: &Message, facts: Vec<Fact>) -> Notice {
    let thread = |fact: &Fact| Some((fact.incident.to_string(), fact.thread.clone()?));
    let threads = facts.iter().filter_map(thread).collect();
    let told_to = facts.first().map(|fact| fact.told_to.clone()).unwrap_or_default();
    let mut items: Vec<_> = facts.into_iter().map(|fact| item(outbox, &claim.channel, fact)).collect();
    items.sort_by_key(|item| (item.event == EventKind::Resolved, std::cmp::Reverse(item.severity)));
    Notice {
        id: claim.notice.clone(),
        cluster: outbox.cluster.clone(),
        items,
        is_digest: message.is_digest,
        doubt: claim.is_doubtful.then_some(Doubt::MayBeRepeated),
        lateness: message.lateness.clone().map(|(by, why)| Lateness { by, why }),
        threads,
        told_to,
        time_zone: None,
    }
}

fn item(outbox: &Outbox, channel: &str, fact: Fact) -> Item {
    // What is over needs no answer.
    let links = outbox.answers.as_ref().filter(|_| fact.event != Event::Resolved);
    let answers = links.map_or_else(Vec::new, |links| {
        links.offered(channel, (fact.incident, &fact.key), fact.acknowledged_by.is_some())
    });
    let anchor = Kind::of_key(&fact.key).map_or_else(String::new, |kind| format!("#{}", kind.as_str()));
    Item {
        incident_id: fact.incident.to_string(),
        event: event(fact.event),
        severity: if fact.severity == "warning" { Severity::Warning } else { Severity::Critical },
        opened_at_ms: fact.opened_at.0,
        first_opened_at_ms: fact.first_opened_at.map(|at| at.0),
        at_ms: fact.at.0,
        votes: fact.votes,
        done: done(&fact.elsewhere),
        runbook_url: format!("{}{anchor}", outbox.runbook),
        instead_of: fact.instead_of,
        answers,
        acknowledged_by: fact.acknowledged_by.as_deref().map(person),
        key: fact.key,
        name: fact.name,
        summary: fact.summary,
    }
}

fn event(event: Event) -> EventKind {
    match event {
        Event::Opened => EventKind::Opened,
        Event::Worse => EventKind::Worse,
        Event::Reminder => EventKind::Reminder,
        Event::Acknowledged => EventKind::Acknowledged,
        Event::Flapping => EventKind::Flapping,
        Event::Resolved => EventKind::Resolved,
    }
}

/// "312 of its monitors run elsewhere: node2 156, node3 156"
fn done(elsewhere: &[(String, u64)]) -> Vec<String> {
    let all: u64 = elsewhere.iter().map(|(_, monitors)| monitors).sum();
    if all == 0 {
        return vec![];
    }
    let each: Vec<_> = elsewhere.iter().map(|(node, monitors)| format!("{node} {monitors}")).collect();
    let verb = if all == 1 { "monitor runs" } else { "monitors run" };
    vec![format!("{all} of its {verb} elsewhere: {}", each.join(", "))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_about_a_node_is_one_sentence() {
        assert!(done(&[]).is_empty());
        let two = [("node2".to_owned(), 156), ("node3".to_owned(), 155)];
        assert_eq!(done(&two), ["311 of its monitors run elsewhere: node2 156, node3 155"]);
    }
}
