//! What happens to checks while no table can take it: what each channel is yet to be told of it.
//!
//! Checks are judged without the database, so their incidents open and end while it is away. What people believe is what
//! stood in the tables when they were read last, and what was told since ([`beliefs`]). What differs from how checks are now is *news*;
//! it is told once it has been so for [`GROUP_WAIT`], all of a channel in one message, which is a [`Line`] of its own: so-and-so
//! many-th news of that channel in this outage. Whoever heard of the beginning, by whichever channel, hears of the end. What comes
//! back again and again is told as in the outbox ([`crate::outbox::opening`]): at last only that it flaps, and its end when it has been calm for
//! long. While this watchdog cannot say how a check is there is no news of it; one that can say nothing of any tells nothing.
//!
//! A peer's telling names few of many: whoever hears it takes what has been news here for as long for told. What came later is told
//! twice, marked, rather than not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::messages::{Change, Line, ToldLine};
use super::{Blackout, NEXT_SPEAKER};
use crate::io::Severity;
use crate::outbox::queue::LARGEST_MESSAGE;
use crate::outbox::{CALM_AFTER_FLAPPING, Event, REOPEN_WITHIN, opening};
use crate::routing::GROUP_WAIT;
use crate::time::{Mono, Wall};

use self::beliefs::Beliefs;

mod beliefs;

/// What the topic of news of checks begins with.
const NEWS: &str = "checks/";

/// Lines of a channel that a report names: peers ask each second, and an answer has its bound.
const LINES_SAID: usize = 3;

/// Changes of a line that a report names.
const CHANGES_SAID: usize = 20;

/// Lines of a channel that are remembered, however long an outage lasts.
const LINES_KEPT: usize = 50;

/// Which news of its channel this line is; `None`: it tells something else.
pub fn news_number(line: &Line) -> Option<u32> {
    line.topic.strip_prefix(NEWS)?.parse().ok()
}

/// The incidents of checks, as this watchdog sees them now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Picture {
    /// What is wrong now.
    pub bad: BTreeMap<String, Bad>,
    /// What stood open in the tables when they were read last, or was over there and not told to be.
    pub open: BTreeMap<String, Open>,
    /// Nobody here can say whether these are wrong.
    pub unknown: BTreeSet<String>,
}

/// One incident that there should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bad {
    /// Since when, by the database's clock as it was last known.
    pub began_at: Wall,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// Watchdogs that see it, of how many that may vote.
    pub votes: (u32, u32),
    /// Who is to hear of it.
    pub channels: BTreeSet<String>,
}

/// One incident that people believe to be open, by what the tables said last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// When it opened.
    pub began_at: Wall,
    /// How bad it is.
    pub severity: Severity,
    /// Who believes so: whoever was told of it, and not that it is over.
    pub channels: BTreeSet<String>,
}

/// What is yet to be told.
#[derive(Debug, Default)]
pub(super) struct Checks {
    picture: Option<Picture>,
    /// By channel and key; whether it is that it opened.
    news: BTreeMap<(String, String, bool), News>,
    beliefs: Beliefs,
    /// Openings that some channel may have told, by it and their key.
    unsure: BTreeMap<(String, String), Change>,
    /// The last news of each channel that was given up or forgotten.
    passed: BTreeMap<String, u32>,
    /// What is being told.
    telling: BTreeMap<Line, Vec<Change>>,
}

#[derive(Debug)]
struct News {
    since: Mono,
    change: Change,
    /// Refused for good: the tables tell it.
    is_given_up: bool,
}

impl News {
    /// When it may be told at the earliest.
    fn ripe_at(&self) -> Mono {
        let is_calm = self.change.event == Event::Resolved && self.change.flaps >= crate::outbox::FLAPPING_FROM;
        self.since + if is_calm { CALM_AFTER_FLAPPING } else { GROUP_WAIT }
    }
}

impl Checks {
    pub(super) fn see(&mut self, now: Mono, picture: Option<Picture>) {
        if self.picture == picture {
            return;
        }
        self.picture = picture;
        self.look_for_news(now);
    }

    /// What was told is known anew.
    pub(super) fn note_told<'a>(&mut self, now: Mono, told: impl Iterator<Item = (&'a ToldLine, Duration)>) {
        self.beliefs = Beliefs::of(now, told);
        self.look_for_news(now);
    }

    /// This outage is over.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    fn look_for_news(&mut self, now: Mono) {
        let mut before = std::mem::take(&mut self.news);
        for (at, mut change) in self.changes(now) {
            let (mut since, mut is_given_up) = (now, false);
            if let Some(known) = before.remove(&at) {
                (since, is_given_up) = (known.since, known.is_given_up);
                change.began_at = change.began_at.min(known.change.began_at);
            }
            self.news.insert(at, News { since, change, is_given_up });
        }
    }

    fn changes(&self, now: Mono) -> Vec<((String, String, bool), Change)> {
        let Some(picture) = &self.picture else { return Vec::new() };
        let mut changes = Vec::new();
        for (key, bad) in &picture.bad {
            for channel in &bad.channels {
                if let Some(change) = self.opened(now, (channel, key), (bad, picture)) {
                    changes.push(((channel.clone(), key.clone(), true), change));
                }
            }
        }
        let is_over = |key: &String| !picture.bad.contains_key(key) && !picture.unknown.contains(key);
        for (key, open) in picture.open.iter().filter(|(key, _)| is_over(key)) {
            let believing = open.channels.iter().filter(|channel| !self.beliefs.is_known(channel, key));
            let change = Change {
                key: key.clone(),
                event: Event::Resolved,
                flaps: 0,
                is_back: false,
                began_at: open.began_at,
                severity: open.severity,
                summary: String::new(),
                votes: (0, 0),
            };
            changes.extend(believing.map(|channel| ((channel.clone(), key.clone(), false), change.clone())));
        }
        let heard = self.beliefs.heard().chain(&self.unsure).filter(|((_, key), _)| is_over(key));
        for ((channel, key), change) in heard {
            let change = Change { event: Event::Resolved, ..change.clone() };
            changes.push(((channel.clone(), key.clone(), false), change));
        }
        changes
    }

    /// That it opened, or opens and ends again and again, where this channel believes otherwise.
    fn opened(
        &self,
        now: Mono,
        (channel, key): (&String, &String),
        (bad, picture): (&Bad, &Picture),
    ) -> Option<Change> {
        let belief = self.beliefs.of_channel(channel, key);
        let was_told = || picture.open.get(key).is_some_and(|open| open.channels.contains(channel));
        if belief.map_or_else(was_told, |belief| belief.is_open) {
            return None;
        }
        let back = belief.filter(|belief| now.since(belief.at) < REOPEN_WITHIN);
        let flaps = back.map_or(0, |belief| belief.flaps.saturating_add(1));
        Some(Change {
            key: key.clone(),
            event: opening(flaps).unwrap_or(Event::Flapping),
            flaps,
            is_back: belief.is_some(),
            began_at: bad.began_at,
            severity: bad.severity,
            summary: bad.summary.clone(),
            votes: bad.votes,
        })
    }

    /// What each channel is to be told by now, by one whom so many others come before.
    fn due(&self, now: Mono, rank: u32) -> BTreeMap<String, Vec<Change>> {
        let mut due: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        let mut ours = BTreeSet::new();
        for ((channel, ..), news) in self.news.iter().filter(|(_, news)| !news.is_given_up && now >= news.ripe_at()) {
            due.entry(channel.clone()).or_default().push(news.change.clone());
            if now >= news.ripe_at() + NEXT_SPEAKER * rank {
                ours.insert(channel.clone());
            }
        }
        due.retain(|channel, _| ours.contains(channel));
        for changes in due.values_mut() {
            in_order(changes);
            changes.truncate(LARGEST_MESSAGE);
        }
        due
    }

    /// What a peer's line told beside what it names: what had been news here for as long.
    fn unnamed(&self, line: &Line, told_at: Mono, count: usize) -> Vec<Change> {
        let of_channel = self.news.iter().filter(|((channel, ..), _)| *channel == line.channel);
        let ripe = of_channel.filter(|(_, news)| news.ripe_at() <= told_at);
        let mut changes: Vec<_> = ripe.map(|(_, news)| news.change.clone()).collect();
        in_order(&mut changes);
        changes.truncate(count);
        changes
    }
}

/// What is bad now, the worst first; what is over comes last. All watchdogs agree.
fn in_order(changes: &mut [Change]) {
    changes.sort_by(|one, other| {
        let place = |change: &Change| (change.event == Event::Resolved, std::cmp::Reverse(change.severity));
        place(one).cmp(&place(other)).then_with(|| one.key.cmp(&other.key))
    });
}

impl Blackout {
    /// Lines about checks that this watchdog is to tell now, with what they say.
    pub(super) fn news_to_tell(&self, now: Mono, rank: u32) -> BTreeMap<Line, Vec<Change>> {
        // What happens beside a database that takes writes is the outbox's to tell.
        if self.takes_writes(now) {
            return BTreeMap::new();
        }
        let due = self.checks.due(now, rank).into_iter();
        let due = due.filter(|(channel, _)| rank == 0 || !self.is_another_telling(now, (channel, rank)));
        due.map(|(channel, changes)| (self.next_news(channel), changes)).collect()
    }

    /// One of those who come before this one told that channel some news lately: the rest is coming.
    fn is_another_telling(&self, now: Mono, (channel, rank): (&str, u32)) -> bool {
        let mut of_channel =
            self.told.iter().filter(|(line, _)| line.channel == channel && news_number(line).is_some());
        of_channel.any(|(_, told)| self.age(now, told) < NEXT_SPEAKER * rank)
    }

    fn next_news(&self, channel: String) -> Line {
        let of_channel = self.told.keys().filter(|line| line.channel == channel);
        let last = of_channel.filter_map(news_number).max();
        let last = last.max(self.checks.passed.get(&channel).copied()).unwrap_or(0);
        Line { topic: format!("{NEWS}{}", last.saturating_add(1)), channel }
    }

    pub(super) fn begin_telling(&mut self, changes: &BTreeMap<Line, Vec<Change>>) {
        self.checks.telling.clone_from(changes);
    }

    /// No attempt is under way any more; what was given up is left to the tables.
    pub(super) fn end_telling(&mut self, given_up: &BTreeSet<Line>) {
        for (line, changes) in std::mem::take(&mut self.checks.telling) {
            let Some(number) = news_number(&line).filter(|_| given_up.contains(&line)) else { continue };
            for change in changes {
                let at = (line.channel.clone(), change.key, change.event != Event::Resolved);
                if let Some(news) = self.checks.news.get_mut(&at) {
                    news.is_given_up = true;
                }
            }
            self.checks.passed.insert(line.channel, number);
        }
    }

    /// A channel may have told this.
    pub(super) fn note_unsure(&mut self, line: &Line, via: &str) {
        let openings = self.checks.telling.get(line).into_iter().flatten();
        let openings = openings.filter(|change| change.event != Event::Resolved);
        let unsure: Vec<_> = openings.map(|change| ((via.to_owned(), change.key.clone()), change.clone())).collect();
        self.checks.unsure.extend(unsure);
    }

    /// People were told news of checks in this outage: what waited of them is no longer the last word.
    pub fn has_told_of_checks(&self) -> bool {
        self.told.keys().any(|line| news_number(line).is_some())
    }

    /// Whether a line about checks that a peer names was forgotten here, as what came later says more.
    pub(super) fn is_forgotten(&self, line: &Line) -> bool {
        let passed = self.checks.passed.get(&line.channel).copied();
        news_number(line).is_some_and(|number| passed.is_some_and(|passed| number <= passed))
    }

    /// As it is kept here: with the words for what a peer only named, and with what it did not name.
    pub(super) fn in_full(&self, mut said: ToldLine, told_at: Mono) -> ToldLine {
        if said.unnamed > 0 {
            let count = said.unnamed.saturating_add(said.changes.len());
            let named: BTreeSet<_> = said.changes.iter().map(|change| change.key.clone()).collect();
            let more = self.checks.unnamed(&said.line, told_at, count).into_iter();
            said.changes.extend(more.filter(|change| !named.contains(&change.key)));
            said.unnamed = 0;
        }
        let bad = self.checks.picture.as_ref().map(|picture| &picture.bad);
        for change in said.changes.iter_mut().filter(|change| change.summary.is_empty()) {
            if let Some(bad) = bad.and_then(|bad| bad.get(&change.key)) {
                (change.summary, change.votes) = (bad.summary.clone(), bad.votes);
            }
        }
        said
    }

    /// Something was told: what people believe follows anew, and what is overtaken is forgotten.
    pub(super) fn note_news(&mut self, now: Mono, said: &ToldLine) {
        let keys: BTreeSet<_> = said.changes.iter().map(|change| change.key.as_str()).collect();
        for change in &said.changes {
            self.checks.unsure.remove(&(said.via.clone(), change.key.clone()));
        }
        let number = news_number(&said.line);
        let earlier =
            self.told.iter_mut().filter(|(line, _)| line.channel == said.line.channel && news_number(line) < number);
        for (_, told) in earlier.filter(|(line, _)| news_number(line).is_some()) {
            told.said.changes.retain(|change| !keys.contains(change.key.as_str()));
        }
        self.forget_old_news(&said.line.channel);
        self.follow_what_was_told(now);
    }

    /// What people believe, from what they were told in this outage.
    pub(super) fn follow_what_was_told(&mut self, now: Mono) {
        let told: Vec<_> = self.told.values().map(|told| (&told.said, self.age(now, told))).collect();
        self.checks.note_told(now, told.into_iter());
    }

    fn forget_old_news(&mut self, channel: &str) {
        let mut numbers: Vec<_> = self
            .told
            .iter()
            .filter(|(line, told)| line.channel == channel && told.said.changes.is_empty())
            .filter_map(|(line, _)| Some((news_number(line)?, line.clone())))
            .collect();
        numbers.sort();
        let forgotten = numbers.len().saturating_sub(LINES_KEPT);
        for (number, line) in numbers.into_iter().take(forgotten) {
            self.told.remove(&line);
            let passed = self.checks.passed.entry(line.channel).or_default();
            *passed = (*passed).max(number);
        }
    }

    /// Of what was told of checks a report names the latest alone.
    pub(super) fn said(&self, now: Mono) -> Vec<ToldLine> {
        let mut latest: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for line in self.told.keys() {
            if let Some(number) = news_number(line) {
                let numbers = latest.entry(&line.channel).or_default();
                numbers.insert(number);
                if numbers.len() > LINES_SAID {
                    numbers.pop_first();
                }
            }
        }
        let is_said = |line: &Line| {
            news_number(line)
                .is_none_or(|number| latest.get(line.channel.as_str()).is_some_and(|numbers| numbers.contains(&number)))
        };
        let said = |told: &super::RememberedLine| {
            let (named, unnamed) = told.said.changes.split_at(CHANGES_SAID.min(told.said.changes.len()));
            let named = named.iter().map(|change| Change { summary: String::new(), ..change.clone() });
            ToldLine {
                age_ms: super::millis(self.age(now, told)),
                changes: named.collect(),
                unnamed: unnamed.len(),
                line: told.said.line.clone(),
                via: told.said.via.clone(),
                notice_id: told.said.notice_id.clone(),
                vendor_ref: told.said.vendor_ref.clone(),
                at: told.said.at,
            }
        };
        self.told.iter().filter(|(line, _)| is_said(line)).map(|(_, told)| said(told)).collect()
    }
}
