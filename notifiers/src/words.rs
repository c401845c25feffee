//! What a notice says, in words, before a vendor's file draws it.
//!
//! Short on purpose: what, since when, how many watchdogs agree, what was done, where help is; and whether it deserves
//! doubt.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{Doubt, EventKind, Item, Kind, Notice, Severity};

/// Of a digest only the worst are told one by one.
const DIGEST_ITEMS: usize = 5;

/// A list that is longer is not read.
const GROUP_ITEMS: usize = 20;

/// One sentence; a program's own message may be a page.
const SUMMARY_CHARS: usize = 500;

/// How it is drawn: colour, emoji.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Critical,
    Warning,
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
}

/// Puts a notice into words.
pub(crate) fn tell(notice: &Notice) -> Story {
    let remarks = remarks(notice);
    if let [item] = notice.items.as_slice() {
        let headline = format!("{}: {} ({})", label(item), item.key, notice.cluster);
        let parts = vec![Part { title: None, ..alone(item) }];
        return Story { headline, tone: tone(item), counts: None, parts, more: None, remarks };
    }
    let limit = if notice.is_digest { DIGEST_ITEMS } else { GROUP_ITEMS };
    let left_out = notice.items.len().saturating_sub(limit);
    let noun = if notice.is_digest { "messages" } else { "incidents" };
    Story {
        headline: format!("{} {noun}: {} ({})", notice.items.len(), counted(notice, label), notice.cluster),
        tone: notice.items.iter().map(tone).min_by_key(|tone| rank(*tone)).unwrap_or(Tone::Warning),
        counts: notice.is_digest.then(|| format!("by kind: {}", counted(notice, kind))),
        parts: notice.items.iter().take(limit).map(in_company).collect(),
        more: (left_out > 0).then(|| format!("and {left_out} more")),
        remarks,
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

/// A point in time as people read it.
pub(crate) fn time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| format!("{at_ms} ms"), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn alone(item: &Item) -> Part {
    let mut lines = vec![clip(&item.summary, SUMMARY_CHARS), when_and_who(item)];
    lines.extend(item.done.iter().map(|done| clip(done, SUMMARY_CHARS)));
    part(item, lines)
}

fn in_company(item: &Item) -> Part {
    part(item, vec![clip(&item.summary, SUMMARY_CHARS), when_and_who(item)])
}

fn part(item: &Item, lines: Vec<String>) -> Part {
    let title = Some(format!("{}: {}", label(item), item.key));
    Part { title, tone: tone(item), lines, runbook_url: item.runbook_url.clone() }
}

fn when_and_who(item: &Item) -> String {
    let when = match item.event {
        EventKind::Opened => format!("since {}", time(item.opened_at_ms)),
        EventKind::Worse | EventKind::Reminder | EventKind::Flapping => {
            format!("since {}, for {}", time(item.opened_at_ms), lasted(item.at_ms - item.opened_at_ms))
        }
        EventKind::Resolved => {
            format!("over at {}, lasted {}", time(item.at_ms), lasted(item.at_ms - item.opened_at_ms))
        }
    };
    match item.votes {
        (_, 0) => when,
        (votes, of) => format!("{when} · {votes} of {of} watchdogs agree"),
    }
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
fn counted(notice: &Notice, name: impl Fn(&Item) -> &'static str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &notice.items {
        *counts.entry(name(item)).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<String> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    counts.join(", ")
}

fn kind(item: &Item) -> &'static str {
    Kind::of_key(&item.key).map_or("other", Kind::as_str)
}

fn label(item: &Item) -> &'static str {
    match (item.event, item.severity) {
        (EventKind::Opened, Severity::Critical) => "critical",
        (EventKind::Opened, Severity::Warning) => "warning",
        (EventKind::Worse, Severity::Critical) => "now critical",
        (EventKind::Worse, Severity::Warning) => "now a warning",
        (EventKind::Reminder, Severity::Critical) => "still critical",
        (EventKind::Reminder, Severity::Warning) => "still a warning",
        (EventKind::Flapping, _) => "flapping",
        (EventKind::Resolved, _) => "resolved",
    }
}

fn tone(item: &Item) -> Tone {
    match (item.event, item.severity) {
        (EventKind::Resolved, _) => Tone::Resolved,
        (_, Severity::Critical) => Tone::Critical,
        (_, Severity::Warning) => Tone::Warning,
    }
}

fn rank(tone: Tone) -> u8 {
    match tone {
        Tone::Critical => 0,
        Tone::Warning => 1,
        Tone::Resolved => 2,
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
        assert_eq!(time(1_763_800_000_250), "2025-11-22 08:26:40 UTC");
    }
}
