//! What one channel is told while the database is down: pure words, from what was last known.

use std::collections::{BTreeMap, BTreeSet};

use komainu_notifiers::{EventKind, Item, Notice, Severity};
use komainu_watchdogs::blackout::{self, Change, Line, Speech, Trouble, news_number};
use komainu_watchdogs::check;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;
use sha2::{Digest, Sha256};

use crate::silence::{NewSilence, is_silenced};
use crate::store::silences;
use crate::store::spool::{self, Undelivered};

/// More than this is told as a number.
const DIGEST_ABOVE: usize = 10;

/// What a delivery's topic begins with.
const DELIVERY: &str = "delivery/";

/// One message to one channel.
#[derive(Clone, Debug)]
pub(super) struct BlackoutMessage {
    pub(super) channel: String,
    pub(super) notice: Notice,
    pub(super) lines: BTreeSet<Line>,
}

impl BlackoutMessage {
    /// As this channel is told it: another one than it was for says so.
    pub(super) fn notice_for(&self, via: &str) -> Notice {
        let mut notice = self.notice.clone();
        if via != self.channel {
            for item in &mut notice.items {
                item.instead_of = Some(self.channel.clone());
            }
        }
        notice
    }
}

/// What all messages of one speech share.
#[derive(Clone, Debug)]
pub(super) struct SpeechContext<'a> {
    pub(super) cluster: &'a str,
    pub(super) runbook: &'a str,
    pub(super) undelivered: &'a [Undelivered],
    /// By the database's clock, as far as it is known.
    pub(super) began_at: Wall,
    pub(super) now: Wall,
}

impl SpeechContext<'_> {
    fn runbook_url(&self, key: &str) -> String {
        format!("{}#{}", self.runbook, key.split('/').next().unwrap_or(key))
    }
}

/// Everything that people ought to be told if the database goes away now. `has_eyes`: what happens to checks is known without what
/// waited of them. `silences`: as they were known last, and the database's time. What waited was silenced by none of them.
pub(super) fn wanted(
    routing: &Routing,
    undelivered: &[Undelivered],
    (has_eyes, silences): (bool, (&[NewSilence], Wall)),
) -> BTreeSet<Line> {
    let subject = Subject {
        key: spool::KEY.to_owned(),
        severity: komainu_watchdogs::io::Severity::Critical,
        tags: Vec::new(),
        channels: Vec::new(),
        node: None,
    };
    let is_loud = |channel: &str| {
        let labels = silences::labels(&subject, None, channel);
        !is_silenced(silences.0, silences.1, &labels)
    };
    let database = routing.plan(&subject, silences.1).into_iter().filter(|planned| is_loud(&planned.channel));
    let database = database.map(|planned| Line { topic: spool::KEY.to_owned(), channel: planned.channel });
    let is_ours = |row: &&Undelivered| !(has_eyes && check::is_incident_of_checks(&row.key));
    let waiting = undelivered.iter().filter(|row| routing.channels.contains(&row.channel)).filter(is_ours);
    let waiting = waiting.map(|row| Line { topic: topic(row.delivery), channel: row.channel.clone() });
    database.chain(waiting).collect()
}

/// The line that tells this channel the same, if there may be one.
pub(super) fn same_for(line: &Line, channel: &str, undelivered: &[Undelivered]) -> Option<Line> {
    let topic = match Topic::of(line) {
        Topic::Database => line.topic.clone(),
        // Each channel has its own.
        Topic::Checks => return None,
        Topic::Delivery(delivery) => {
            let mine = undelivered.iter().find(|row| row.delivery == delivery)?;
            let is_same = |row: &&Undelivered| {
                (row.incident, &row.event, row.channel.as_str()) == (mine.incident, &mine.event, channel)
            };
            topic(undelivered.iter().find(is_same)?.delivery)
        }
    };
    Some(Line { topic, channel: channel.to_owned() })
}

fn topic(delivery: i64) -> String {
    format!("{DELIVERY}{delivery}")
}

/// What a line tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Topic {
    /// That the database is down.
    Database,
    /// A delivery that was waiting.
    Delivery(i64),
    /// What happened to checks since.
    Checks,
}

impl Topic {
    pub(super) fn of(line: &Line) -> Self {
        if news_number(line).is_some() {
            return Self::Checks;
        }
        let delivery = line.topic.strip_prefix(DELIVERY).and_then(|delivery| delivery.parse().ok());
        delivery.map_or(Self::Database, Self::Delivery)
    }
}

/// What is wrong with the database and how many watchdogs see it, in one sentence.
pub(super) fn summary(trouble: Trouble, votes: (u32, u32)) -> String {
    let what = match trouble {
        Trouble::NoWrites => "the database takes no writes",
        Trouble::NoVerdict => "the database answers, but nobody can judge what is up and what is down",
    };
    format!("{what}; {} of {} watchdogs see it", votes.0, votes.1)
}

fn done(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::NoWrites => "nothing is moved; nodes stop running monitors until it takes writes again",
        Trouble::NoVerdict => "nothing is moved; nodes go on running monitors while they can renew their leases",
    }
}

/// Nobody could be told while it lasted; by the database's clock.
pub(super) fn afterwards(summary: &str, began_at: Wall, ended_at: Wall) -> String {
    format!("nothing was watched from {} to {}: {summary}", utc(began_at), utc(ended_at))
}

fn utc(at: Wall) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A message for each channel.
pub(super) fn messages(speech: &Speech, context: &SpeechContext<'_>) -> Vec<BlackoutMessage> {
    let mut by_channel: BTreeMap<&str, BTreeSet<Line>> = BTreeMap::new();
    for line in &speech.lines {
        by_channel.entry(&line.channel).or_default().insert(line.clone());
    }
    let message = |(channel, lines): (&str, BTreeSet<Line>)| message(speech, context, channel, lines);
    by_channel.into_iter().filter_map(message).collect()
}

fn message(
    speech: &Speech,
    context: &SpeechContext<'_>,
    channel: &str,
    lines: BTreeSet<Line>,
) -> Option<BlackoutMessage> {
    let mut items: Vec<Item> = lines.iter().flat_map(|line| items(speech, context, line)).collect();
    // The sort is stable: the database comes first, then the worst, and last what is over.
    items.sort_by_key(|item| {
        (item.key != spool::KEY, item.event == EventKind::Resolved, std::cmp::Reverse(item.severity))
    });
    let doubt = match (speech.doubt, speech.trouble) {
        (blackout::Doubt::DatabaseUnreachable, Trouble::NoWrites) => komainu_notifiers::Doubt::DatabaseUnreachable,
        (blackout::Doubt::DatabaseUnreachable, Trouble::NoVerdict) => komainu_notifiers::Doubt::MayBeRepeated,
        (blackout::Doubt::UnconfirmedAlone, _) => komainu_notifiers::Doubt::UnconfirmedAlone,
    };
    let notice = Notice {
        id: id(speech, channel, &lines),
        cluster: context.cluster.to_owned(),
        is_digest: items.len() > DIGEST_ABOVE,
        items,
        doubt: Some(doubt),
        lateness: None,
        threads: BTreeMap::new(),
        told_to: Vec::new(),
        time_zone: None,
    };
    (!notice.items.is_empty()).then(|| BlackoutMessage { channel: channel.to_owned(), notice, lines })
}

/// The same for whoever tells the same of the same outage.
fn id(speech: &Speech, channel: &str, lines: &BTreeSet<Line>) -> String {
    let mut hash = Sha256::new();
    let mut note = |part: &str| {
        hash.update(part.as_bytes());
        hash.update([0]);
    };
    [&speech.outage, channel].into_iter().for_each(&mut note);
    for line in lines {
        note(&line.topic);
        for change in speech.changes.get(line).into_iter().flatten() {
            [change.event.as_str(), &change.key].into_iter().for_each(&mut note);
        }
    }
    hex::encode(hash.finalize()).get(..32).unwrap_or_default().to_owned()
}

fn items(speech: &Speech, context: &SpeechContext<'_>, line: &Line) -> Vec<Item> {
    match Topic::of(line) {
        Topic::Database => vec![outage(speech, context)],
        Topic::Delivery(delivery) => {
            let row = context.undelivered.iter().find(|row| row.delivery == delivery);
            row.map(|row| waiting(context, row)).into_iter().collect()
        }
        Topic::Checks => {
            let changes = speech.changes.get(line).into_iter().flatten();
            changes.map(|change| changed(speech, context, change)).collect()
        }
    }
}

fn outage(speech: &Speech, context: &SpeechContext<'_>) -> Item {
    Item {
        incident_id: format!("outage-{}", speech.outage),
        event: EventKind::Opened,
        key: spool::KEY.to_owned(),
        name: None,
        severity: Severity::Critical,
        summary: summary(speech.trouble, speech.votes),
        opened_at_ms: context.began_at.0,
        first_opened_at_ms: None,
        at_ms: context.now.0,
        votes: speech.votes,
        done: vec![done(speech.trouble).to_owned()],
        runbook_url: context.runbook_url(spool::KEY),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
    }
}

fn waiting(context: &SpeechContext<'_>, row: &Undelivered) -> Item {
    Item {
        incident_id: row.incident.to_string(),
        event: event(&row.event),
        key: row.key.clone(),
        name: row.name.clone(),
        severity: if row.severity == "warning" { Severity::Warning } else { Severity::Critical },
        summary: row.summary.clone(),
        opened_at_ms: row.opened_at.0,
        first_opened_at_ms: None,
        at_ms: row.at.0,
        votes: row.votes,
        done: Vec::new(),
        runbook_url: context.runbook_url(&row.key),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
    }
}

/// No table gave its incident a number yet.
fn changed(speech: &Speech, context: &SpeechContext<'_>, change: &Change) -> Item {
    Item {
        incident_id: format!("outage-{}-{}", speech.outage, change.key),
        event: event(change.event.as_str()),
        key: change.key.clone(),
        name: None,
        severity: match change.severity {
            komainu_watchdogs::io::Severity::Warning => Severity::Warning,
            komainu_watchdogs::io::Severity::Critical => Severity::Critical,
        },
        summary: spool::news_summary(change),
        opened_at_ms: change.began_at.0,
        first_opened_at_ms: None,
        at_ms: context.now.0,
        votes: change.votes,
        done: Vec::new(),
        runbook_url: context.runbook_url(&change.key),
        instead_of: None,
        acknowledged_by: None,
        answers: vec![],
    }
}

/// What a newer komainu calls otherwise is an opening as far as this one knows.
fn event(text: &str) -> EventKind {
    match text {
        "resolved" => EventKind::Resolved,
        "flapping" => EventKind::Flapping,
        "worse" => EventKind::Worse,
        "reminder" => EventKind::Reminder,
        "ack" => EventKind::Acknowledged,
        _ => EventKind::Opened,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(delivery: i64, key: &str, channel: &str) -> Undelivered {
        Undelivered {
            delivery,
            channel: channel.to_owned(),
            event: "opened".to_owned(),
            at: Wall(900),
            incident: 70 + delivery,
            key: key.to_owned(),
            name: None,
            severity: "critical".to_owned(),
            summary: "offline".to_owned(),
            votes: (3, 3),
            opened_at: Wall(900),
        }
    }

    fn spoken(undelivered: &[Undelivered]) -> Vec<BlackoutMessage> {
        spoken_of(Trouble::NoWrites, undelivered)
    }

    fn spoken_of(trouble: Trouble, undelivered: &[Undelivered]) -> Vec<BlackoutMessage> {
        let channels = ["mail", "ops"].map(str::to_owned).to_vec();
        let lines = wanted(&Routing { channels, routes: vec![] }, undelivered, (false, (&[], Wall(0))));
        let speech = Speech {
            lines,
            doubt: blackout::Doubt::DatabaseUnreachable,
            trouble,
            outage: "0000000000000001-0".to_owned(),
            votes: (2, 3),
            failing_for: Duration::from_secs(15),
            changes: BTreeMap::new(),
        };
        let (cluster, runbook) = ("prod", "http://w1:8900/runbook");
        messages(&speech, &SpeechContext { cluster, runbook, undelivered, began_at: Wall(1_000), now: Wall(16_000) })
    }

    #[test]
    fn each_channel_gets_one_message_with_everything_that_waited_for_it() {
        let messages = spoken(&[row(7, "node/node1", "ops"), row(8, "node/node2", "gone")]);
        let seen: Vec<_> = messages
            .iter()
            .map(|message| {
                let keys: Vec<_> = message.notice.items.iter().map(|item| item.key.as_str()).collect();
                (message.channel.as_str(), keys)
            })
            .collect();
        assert_eq!(seen, [("mail", vec!["database"]), ("ops", vec!["database", "node/node1"])]);
        let item = &messages[0].notice.items[0];
        assert_eq!(item.summary, "the database takes no writes; 2 of 3 watchdogs see it");
        assert_eq!(item.runbook_url, "http://w1:8900/runbook#database");
        assert_eq!((item.opened_at_ms, item.at_ms), (1_000, 16_000));
        assert_eq!(messages[0].notice.doubt, Some(komainu_notifiers::Doubt::DatabaseUnreachable));
    }

    #[test]
    fn a_database_that_answers_is_not_called_unreachable() {
        let messages = spoken_of(Trouble::NoVerdict, &[]);
        let notice = &messages[0].notice;
        let text = "the database answers, but nobody can judge what is up and what is down; 2 of 3 watchdogs see it";
        assert_eq!(notice.items[0].summary, text);
        assert_eq!(notice.doubt, Some(komainu_notifiers::Doubt::MayBeRepeated));
    }

    #[test]
    fn what_nobody_could_be_told_says_from_when_to_when() {
        let text = afterwards("x", Wall(0), Wall(7_200_000));
        assert_eq!(text, "nothing was watched from 1970-01-01 00:00:00 UTC to 1970-01-01 02:00:00 UTC: x");
    }

    #[test]
    fn another_channel_that_is_told_the_same_anyway_is_known_and_one_that_helps_out_says_so() {
        let line = |topic: &str, channel: &str| Line { topic: topic.to_owned(), channel: channel.to_owned() };
        let twin = Undelivered { incident: 71, ..row(2, "node/node1", "mail") };
        let known = [row(1, "node/node1", "ops"), twin, row(3, "capacity", "mail")];
        let same = |topic: &str| same_for(&line(topic, "ops"), "mail", &known);
        assert_eq!(same("database"), Some(line("database", "mail")));
        assert_eq!(same("delivery/1"), Some(line("delivery/2", "mail")));
        assert_eq!(same_for(&line("delivery/3", "mail"), "ops", &known), None);
        let message = &spoken(&[])[0];
        let told_by = |via: &str| message.notice_for(via).items[0].instead_of.clone();
        assert_eq!((told_by("mail"), told_by("ops")), (None, Some("mail".to_owned())));
    }

    #[test]
    fn the_same_message_has_the_same_id_whoever_sends_it() {
        let (one, other) = (spoken(&[]), spoken(&[]));
        assert_eq!(one[0].notice.id, other[0].notice.id);
        assert_ne!(one[0].notice.id, one[1].notice.id);
        assert_ne!(one[1].notice.id, spoken(&[row(7, "node/node1", "ops")])[1].notice.id);
        assert_eq!(one[0].notice.id.len(), 32);
    }

    #[test]
    fn more_than_ten_are_a_digest() {
        let waiting: Vec<_> = (1..=11).map(|delivery| row(delivery, "node/node1", "ops")).collect();
        let messages = spoken(&waiting);
        assert_eq!((messages[0].notice.is_digest, messages[1].notice.is_digest), (false, true));
        assert_eq!(messages[1].notice.items[0].key, "database");
    }

    #[test]
    fn who_silenced_the_database_hears_nothing_of_it_while_that_lasts() {
        let silence = NewSilence {
            matchers: vec![crate::silence::Matcher::parse("kind=database").unwrap()],
            starts_at: Wall(1_000),
            ends_at: Wall(61_000),
            until_resolved: false,
            recurrence: None,
            author: "ada".to_owned(),
            comment: "an upgrade".to_owned(),
            window: None,
        };
        let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
        let waiting = [row(7, "node/node1", "ops")];
        let topics = |now| -> Vec<String> {
            let silences = (std::slice::from_ref(&silence), now);
            wanted(&routing, &waiting, (false, silences)).into_iter().map(|line| line.topic).collect()
        };
        assert_eq!(topics(Wall(1_000)), ["delivery/7"]);
        assert_eq!(topics(Wall(61_000)), ["database", "delivery/7"]);
    }
}
