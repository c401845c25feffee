//! What came of a message, and who is told instead: as the store notes it, each in one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::attempt::{CRITICAL_WITHIN, MOST_REPEATS};
use komainu_watchdogs::outbox::queue::LONGEST_REST;
use komainu_watchdogs::reminder;
use komainu_watchdogs::routing::{Planned, Routing};
use komainu_watchdogs::time::Wall;

use super::courier::Claim;
use super::judge::Variant;
use super::outbox::{Delivery, Incident, LONGEST_PAUSE, Outbox, State, channel_name};

/// So many failures in a row make an incident of the channel.
const FAILURES_TOLD: u32 = 5;

impl Outbox {
    /// It arrived: noted by whoever claims it by now. What it was about is over on this channel's side.
    pub(crate) fn note_sent(&mut self, now: Wall, claim: &Claim) {
        for member in &claim.members {
            let row = &mut self.deliveries[*member];
            if row.state == State::Waiting && row.notice == Some(claim.notice) {
                (row.state, row.claim, row.sent_at) = (State::Sent, None, now);
            }
        }
        let channel = self.deliveries[claim.members[0]].channel;
        let row = &mut self.channels[channel];
        (row.failures, row.refused_alone, row.last_sent_at) = (0, 0, Some(now));
        if let Some(incident) = self.is_open(&format!("channel/{}", channel_name(channel))) {
            self.resolve(now, incident);
        }
    }

    /// It did not arrive, or nobody knows: it is tried again.
    pub(crate) fn note_refused(&mut self, now: Wall, claim: &Claim, may_have_arrived: bool, rest: Duration) {
        for member in &claim.members {
            let row = &mut self.deliveries[*member];
            (row.claim, row.failed_at, row.retry_at) = (None, Some(now), Some(now + rest));
            if !may_have_arrived {
                row.forget_attempt(claim);
            }
        }
        let channel = self.deliveries[claim.members[0]].channel;
        if self.channels[channel].failures + 1 >= FAILURES_TOLD {
            self.tell_trouble(now, channel);
        }
    }

    /// What is in it may go in smaller messages, at once.
    pub(crate) fn halve(&mut self, claim: &Claim, company: usize) {
        for member in &claim.members {
            let row = &mut self.deliveries[*member];
            (row.claim, row.is_begun, row.notice) = (None, false, None);
            (row.company, row.unanswered) = (Some(company), row.unanswered - 1);
        }
    }

    /// Its channel is done with it: others are told instead, and what nobody else tells goes on waiting. Says whether
    /// something does.
    pub(crate) fn give_up(&mut self, now: Wall, claim: &Claim, is_refused: bool) -> bool {
        let mut is_any_alone = false;
        for member in &claim.members {
            let row = &mut self.deliveries[*member];
            (row.state, row.claim) = (State::Failed, None);
            self.tell_instead(now, *member);
            let row = self.deliveries[*member].clone();
            let is_told = |other: &Delivery| {
                other.event == row.event
                    && other.channel != row.channel
                    && matches!(other.state, State::Waiting | State::Held | State::Sent)
            };
            let is_bad = self.incidents[row.incident].is_open && self.events[row.event] != Event::Resolved;
            if !self.deliveries.iter().any(is_told) && (is_refused || is_bad) {
                let rest = if is_refused { LONGEST_PAUSE } else { seldom(row.unanswered) };
                let row = &mut self.deliveries[*member];
                (row.state, row.is_alone, row.retry_at) = (State::Waiting, true, Some(now + rest));
                if is_refused {
                    row.forget_attempt(claim);
                }
                is_any_alone = true;
            }
        }
        let channel = self.deliveries[claim.members[0]].channel;
        self.channels[channel].refused_alone += u32::from(is_refused);
        self.tell_trouble(now, channel);
        is_any_alone
    }

    /// The channel's own incident, told by others.
    fn tell_trouble(&mut self, now: Wall, channel: usize) {
        let alarm = Alarm {
            key: format!("channel/{}", channel_name(channel)),
            severity: Severity::Warning,
            summary: String::new(),
            votes: (0, 0),
        };
        let elsewhere = self.elsewhere(channel);
        let routing = std::mem::take(&mut self.routing);
        self.routing = Routing { channels: elsewhere.into_iter().map(channel_name).collect(), ..Routing::default() };
        self.open(now, &alarm, None);
        self.routing = routing;
    }

    fn elsewhere(&self, channel: usize) -> Vec<usize> {
        let others = (0..self.channels.len()).filter(|other| *other != channel).collect();
        self.fallbacks[channel].map_or(others, |fallback| vec![fallback])
    }

    /// Whoever hears of an opening that is over by then hears of the end too.
    fn tell_instead(&mut self, now: Wall, member: usize) {
        let row = self.deliveries[member].clone();
        self.copy_to_others(now, &row);
        let is_end = |other: &&Delivery| {
            other.incident == row.incident && other.event > row.event && self.events[other.event] == Event::Resolved
        };
        let end = self.deliveries.iter().rev().find(is_end).filter(|_| !self.incidents[row.incident].is_open);
        if let Some(end) = end.cloned() {
            self.copy_to_others(now, &Delivery { channel: row.channel, ..end });
        }
    }

    fn is_overtaken_by(&self, row: &Delivery, other: &Delivery) -> bool {
        if self.variant == Some(Variant::OvertakenCopied) { other.event == row.event } else { other.event >= row.event }
    }

    /// This channel has given up telling that the incident of this key is open.
    pub(crate) fn has_given_up(&self, channel: usize, key: &str) -> bool {
        let Some(incident) = self.is_open(key) else { return false };
        let mut rows = self.deliveries.iter().filter(|row| (row.incident, row.channel) == (incident, channel));
        rows.any(|row| row.state == State::Failed)
    }

    /// What tells this channel that the incident of this key is open rests, because it failed there.
    pub(crate) fn rests(&self, now: Wall, channel: usize, key: &str) -> bool {
        let Some(incident) = self.is_open(key) else { return false };
        let mut rows = self.deliveries.iter().filter(|row| (row.incident, row.channel) == (incident, channel));
        rows.any(|row| row.state == State::Waiting && row.is_resting(now))
    }

    fn copy_to_others(&mut self, now: Wall, row: &Delivery) {
        for channel in self.elsewhere(row.channel) {
            // What is overtaken there would take back what came later.
            let is_there = self.deliveries.iter().any(|other| {
                (other.incident, other.channel) == (row.incident, channel) && self.is_overtaken_by(row, other)
            });
            if !is_there {
                let at = (row.event, row.incident);
                let fresh = Delivery { due_at: now, ..Delivery::fresh(now, at, channel, row.group_wait) };
                self.deliveries.push(fresh);
            }
        }
    }

    /// What is critical and does not arrive is told elsewhere too; says how many.
    pub(crate) fn rescue(&mut self, now: Wall) -> u64 {
        let is_late = |row: &Delivery, incident: &Incident| {
            row.state == State::Waiting
                && !row.is_rescued
                && incident.severity == Severity::Critical
                && now.since(row.due_at) >= CRITICAL_WITHIN
        };
        let late = (0..self.deliveries.len())
            .filter(|at| is_late(&self.deliveries[*at], &self.incidents[self.deliveries[*at].incident]));
        let late: Vec<_> = late.collect();
        for at in &late {
            self.deliveries[*at].is_rescued = true;
            self.tell_instead(now, *at);
        }
        u64::try_from(late.len()).unwrap()
    }

    /// Open incidents, and when each channel was told last; not where something waits.
    pub(crate) fn remind(&mut self, now: Wall, repeat: Duration) -> u64 {
        let mut reminders = 0;
        for incident in 0..self.incidents.len() {
            if !self.incidents[incident].is_open {
                continue;
            }
            let mut due = BTreeMap::new();
            for channel in 0..self.channels.len() {
                let rows = self.deliveries.iter().filter(|row| (row.incident, row.channel) == (incident, channel));
                let live: Vec<_> = rows.filter(|row| !matches!(row.state, State::Cancelled | State::Failed)).collect();
                let is_told = !live.is_empty() && live.iter().all(|row| row.state == State::Sent);
                let told_at = live.iter().map(|row| row.sent_at).max().unwrap_or_default();
                let name = channel_name(channel);
                let told = [(name.clone(), reminder::LastTold::At(told_at))].into();
                let open = reminder::Open { opened_at: self.incidents[incident].opened_at, told, spell: None };
                let planned = Planned { channel: name, group_wait: Duration::ZERO, repeat: Some(repeat) };
                if is_told {
                    let channels = reminder::due(&open, &[planned], now).into_iter();
                    due.extend(channels.map(|channel| (channel, Duration::ZERO)));
                }
            }
            reminders += u64::try_from(due.len()).unwrap();
            self.enter(now, incident, Event::Reminder, &due);
        }
        reminders
    }
}

impl Delivery {
    /// What certainly did not arrive may be told in other company; what may have arrived before stays as it was.
    fn forget_attempt(&mut self, claim: &Claim) {
        self.unanswered -= 1;
        if !claim.is_repeated {
            (self.is_begun, self.notice) = (false, None);
        }
    }
}

/// What nobody else can be told: five minutes, doubled each time, up to an hour.
fn seldom(unanswered: u32) -> Duration {
    let doublings = unanswered.saturating_sub(MOST_REPEATS + 1).min(10);
    (LONGEST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_REST)
}
