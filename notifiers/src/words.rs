//! What a notice says, in words, before a vendor's file draws it.
//!
//! Short on purpose: what, since when, how many watchdogs agree, what was done, where help is; and whether it deserves
//! doubt.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::{Answer, Doubt, EventKind, Item, Kind, Notice, Severity};

/// Of a digest only the worst are told one by one.
const DIGEST_ITEMS: usize = 5;

/// A list that is longer is not read.
const GROUP_ITEMS: usize = 20;

/// One sentence; a program's own message may be a page.
const SUMMARY_CHARS: usize = 500;

/// Longer, and a headline does not fit on a phone.
const NAME_CHARS: usize = 80;

/// How it is drawn: colour, emoji.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Critical,
    Warning,
    Acknowledged,
    Resolved,
}

/// A notice in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Story {
    /// A few words that fit on a locked phone.
    pub(crate) headline: String,
    pub(crate) tone: Tone,
    /// Of a digest: how many of each kind.
    pub(crate) counts: Option<String>,
    pub(crate) parts: Vec<Part>,
    /// What is not listed.
    pub(crate) more: Option<String>,
    /// Why it deserves doubt, and how late it is.
    pub(crate) remarks: Vec<String>,
}

/// What is said about one incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// `None` where the headline says it.
    pub(crate) title: Option<String>,
    pub(crate) tone: Tone,
    pub(crate) lines: Vec<String>,
    pub(crate) runbook_url: String,
    pub(crate) answers: Vec<Answer>,
}

/// Puts a notice into words.
pub(crate) fn tell(notice: &Notice) -> Story {
    let (remarks, zone) = (remarks(notice), notice.time_zone.as_ref());
    if let [item] = notice.items.as_slice() {
        let headline = match note(item) {
            Some(Kind::Drill) => format!("drill, nothing is wrong: {} ({})", called(item), notice.cluster),
            Some(_) => format!("{} ({})", clip(&item.summary, SUMMARY_CHARS), notice.cluster),
            None => format!("{}: {} ({})", said(item), called(item), notice.cluster),
        };
        let parts = vec![Part { title: None, ..alone(item, zone) }];
        return Story { headline, tone: tone(item), counts: None, parts, more: None, remarks };
    }
    let limit = if notice.is_digest { DIGEST_ITEMS } else { GROUP_ITEMS };
    let items = worst_first(notice);
    let (listed, left_out) = items.split_at(limit.min(items.len()));
    Story {
        headline: headline(&items, &notice.cluster),
        tone: items.iter().map(|item| tone(item)).min_by_key(|tone| rank(*tone)).unwrap_or(Tone::Warning),
        counts: notice.is_digest.then(|| format!("by kind: {}", counted(&items, kind))),
        parts: listed.iter().map(|item| in_company(item, zone)).collect(),
        more: (!left_out.is_empty()).then(|| format!("and {} more: {}", left_out.len(), counted(left_out, label))),
        remarks,
    }
}

/// How it is, and who takes care of it where that is the news.
fn said(item: &Item) -> String {
    let who = item.acknowledged_by.as_ref().filter(|_| item.event == EventKind::Acknowledged);
    who.map_or_else(|| label(item).to_owned(), |who| format!("{} by {}", label(item), clip(who, NAME_CHARS)))
}

/// What is bad now, the worst first; what is over comes last.
fn worst_first(notice: &Notice) -> Vec<&Item> {
    let mut items: Vec<&Item> = notice.items.iter().collect();
    items.sort_by_key(|item| (item.event == EventKind::Resolved, Reverse(item.severity), rank_of_news(item.event)));
    items
}

/// News before what people heard of already.
fn rank_of_news(event: EventKind) -> u8 {
    match event {
        EventKind::Opened | EventKind::Worse => 0,
        EventKind::Flapping => 1,
        EventKind::Reminder => 2,
        EventKind::Acknowledged => 3,
        EventKind::Resolved => 4,
    }
}

/// The worst by its name, the others by their number. Nobody looks for a name among thirty ends.
fn headline(items: &[&Item], cluster: &str) -> String {
    let Some((first, rest)) = items.split_first() else { return format!("nothing ({cluster})") };
    format!("{}: {} and {} more: {} ({cluster})", label(first), called(first), rest.len(), counted(rest, label))
}

/// `monitor Shop checkout`, where the key says `monitor/123`.
pub(crate) fn called(item: &Item) -> String {
    let Some(name) = &item.name else { return item.key.clone() };
    let name = clip(&name.split_whitespace().collect::<Vec<_>>().join(" "), NAME_CHARS);
    match item.key.split_once('/') {
        Some(("certificate", _)) => format!("certificate of {name}"),
        Some(("disagreement", _)) => format!("disagreement about monitor {name}"),
        Some((kind, _)) => format!("{kind} {name}"),
        None => name,
    }
}

/// A text cut to that many characters.
pub(crate) fn clip(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A point in time as people read it who live there; without a zone in UTC.
pub(crate) fn time(at_ms: i64, zone: Option<&TimeZone>) -> String {
    let Ok(at) = Timestamp::from_millisecond(at_ms) else { return format!("{at_ms} ms") };
    at.to_zoned(zone.cloned().unwrap_or(TimeZone::UTC)).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn alone(item: &Item, zone: Option<&TimeZone>) -> Part {
    let mut lines = vec![clip(&item.summary, SUMMARY_CHARS), when_and_who(item, zone)];
    lines.extend(taken(item));
    lines.extend(item.done.iter().map(|done| clip(done, SUMMARY_CHARS)));
    part(item, lines)
}

/// Among others the first answer is enough: it leads to the rest.
fn in_company(item: &Item, zone: Option<&TimeZone>) -> Part {
    let mut lines = vec![clip(&item.summary, SUMMARY_CHARS), when_and_who(item, zone)];
    lines.extend(taken(item));
    let mut part = part(item, lines);
    part.answers.truncate(1);
    part
}

fn part(item: &Item, lines: Vec<String>) -> Part {
    let title = Some(format!("{}: {}", label(item), called(item)));
    let (runbook_url, answers) = (item.runbook_url.clone(), item.answers.clone());
    Part { title, tone: tone(item), lines, runbook_url, answers }
}

fn when_and_who(item: &Item, zone: Option<&TimeZone>) -> String {
    if note(item).is_some() {
        return time(item.at_ms, zone);
    }
    let span = lasted(item.at_ms - item.opened_at_ms);
    let when = match item.event {
        EventKind::Opened => format!("since {}", time(item.opened_at_ms, zone)),
        EventKind::Worse | EventKind::Reminder | EventKind::Acknowledged | EventKind::Flapping => {
            format!("since {}, for {span}", time(item.opened_at_ms, zone))
        }
        EventKind::Resolved => format!("over at {}, lasted {span}", time(item.at_ms, zone)),
    };
    // It was over in between: nobody is told that it lasted all that time.
    let when = match item.first_opened_at_ms {
        Some(first_ms) => format!("{when}, first opened at {}", time(first_ms, zone)),
        None => when,
    };
    match item.votes {
        (_, 0) => when,
        (votes, of) => format!("{when} · {votes} of {of} watchdogs agree"),
    }
}

/// Nobody else has to get up for it.
fn taken(item: &Item) -> Option<String> {
    item.acknowledged_by.as_ref().map(|who| format!("acknowledged by {}", clip(who, NAME_CHARS)))
}

fn remarks(notice: &Notice) -> Vec<String> {
    let doubt = notice.doubt.map(|doubt| match doubt {
        Doubt::MayBeRepeated => "May be repeated: an earlier attempt may have arrived.".to_owned(),
        Doubt::DatabaseUnreachable => {
            "Database unreachable, may be repeated: another watchdog may say this too.".to_owned()
        }
        Doubt::UnconfirmedAlone => "Unconfirmed, alone: said by the only watchdog that is left.".to_owned(),
    });
    let lateness = notice.lateness.as_ref().map(|late| {
        let by = lasted(i64::try_from(late.by.as_millis()).unwrap_or(i64::MAX));
        format!("Late by {by}: {}", late.why)
    });
    doubt.into_iter().chain(instead(notice)).chain(lateness).collect()
}

/// Why it comes here, of all places.
fn instead(notice: &Notice) -> Option<String> {
    let channels: BTreeSet<&str> = notice.items.iter().filter_map(|item| item.instead_of.as_deref()).collect();
    if channels.is_empty() {
        return None;
    }
    let what = if notice.items.iter().all(|item| item.instead_of.is_some()) { "Told" } else { "Some of it is told" };
    let channels: Vec<&str> = channels.into_iter().collect();
    Some(format!("{what} here because {} did not take it.", channels.join(" and ")))
}

/// `3 critical, 1 resolved`: the most frequent first.
fn counted(items: &[&Item], name: impl Fn(&Item) -> &'static str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in items {
        *counts.entry(name(item)).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let counts: Vec<String> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    counts.join(", ")
}

fn kind(item: &Item) -> &'static str {
    Kind::of_key(&item.key).map_or("other", Kind::as_str)
}

/// What is about nothing that is wrong.
fn note(item: &Item) -> Option<Kind> {
    Kind::of_key(&item.key).filter(|kind| kind.is_note())
}

fn label(item: &Item) -> &'static str {
    if let Some(note) = note(item) {
        return note.as_str();
    }
    match (item.event, item.severity) {
        (EventKind::Opened, Severity::Critical) => "critical",
        (EventKind::Opened, Severity::Warning) => "warning",
        (EventKind::Worse, Severity::Critical) => "now critical",
        (EventKind::Worse, Severity::Warning) => "now a warning",
        (EventKind::Reminder, Severity::Critical) => "still critical",
        (EventKind::Reminder, Severity::Warning) => "still a warning",
        (EventKind::Acknowledged, _) => "acknowledged",
        (EventKind::Flapping, _) => "flapping",
        (EventKind::Resolved, _) => "resolved",
    }
}

fn tone(item: &Item) -> Tone {
    if note(item).is_some() {
        return Tone::Resolved;
    }
    match (item.event, item.severity) {
        (EventKind::Resolved, _) => Tone::Resolved,
        (EventKind::Acknowledged, _) => Tone::Acknowledged,
        (_, Severity::Critical) => Tone::Critical,
        (_, Severity::Warning) => Tone::Warning,
    }
}

fn rank(tone: Tone) -> u8 {
    match tone {
        Tone::Critical => 0,
        Tone::Warning => 1,
        Tone::Acknowledged => 2,
        Tone::Resolved => 3,
    }
}

/// `12m 3s`: whole seconds, for people.
fn lasted(ms: i64) -> String {
    format!("{:#}", SignedDuration::from_secs(ms.max(0) / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(clip("kürzer", 10), "kürzer");
        assert_eq!(clip("äöüäöü", 4), "äöü…");
    }

    #[test]
    fn spans_and_times_are_for_people() {
        assert_eq!(lasted(723_400), "12m 3s");
        assert_eq!(lasted(-5), "0s");
        assert_eq!(time(1_763_800_000_250, None), "2025-11-22 08:26:40 UTC");
        let taipei = TimeZone::get("Asia/Taipei").unwrap();
        assert_eq!(time(1_763_800_000_250, Some(&taipei)), "2025-11-22 16:26:40 CST");
    }

    #[test]
    fn what_opened_again_says_when_it_did_so_and_when_it_did_first() {
        let item = Item {
            incident_id: "1".to_owned(),
            event: EventKind::Flapping,
            key: "node/node1".to_owned(),
            name: None,
            severity: Severity::Critical,
            summary: "node node1 is offline".to_owned(),
            opened_at_ms: 1_763_800_480_000,
            first_opened_at_ms: Some(1_763_800_000_000),
            at_ms: 1_763_800_490_000,
            votes: (0, 0),
            done: vec![],
            runbook_url: String::new(),
            instead_of: None,
            acknowledged_by: None,
            answers: vec![],
        };
        let said = "since 2025-11-22 08:34:40 UTC, for 10s, first opened at 2025-11-22 08:26:40 UTC";
        assert_eq!(when_and_who(&item, None), said);
        assert_eq!(
            when_and_who(&Item { first_opened_at_ms: None, ..item }, None),
            "since 2025-11-22 08:34:40 UTC, for 10s"
        );
    }
}
