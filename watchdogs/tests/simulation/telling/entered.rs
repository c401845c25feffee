//! What was told while the database was away, as it is entered afterwards; and what waits, to be told if it goes away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::blackout::{DATABASE, Line};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::routing::Subject;
use komainu_watchdogs::time::Wall;

use super::dark::alarm;
use super::outbox::{Delivery, Outbox, State, channel_name};

/// What is due later than this is not urgent.
const SOON: Duration = Duration::from_secs(60);

impl Outbox {
    /// That the database is away, for whoever is told of it, and what waits by now.
    pub(super) fn wanted(&self, now: Wall) -> BTreeSet<Line> {
        let planned = self.planned(now, &Subject::of(&alarm()));
        let database = planned.into_iter().map(|one| Line { topic: DATABASE.to_owned(), channel: one.channel });
        let rows = self.deliveries.iter().enumerate();
        // The end of one outage would be read as that of the next.
        let is_elsewhere = |row: &Delivery| self.incidents[row.incident].key != DATABASE;
        let is_urgent = |row: &Delivery| row.state == State::Waiting && row.due_at < now + SOON;
        let is_check = |row: &Delivery| self.incidents[row.incident].key.starts_with("check/");
        let waiting = rows.filter(|(_, row)| is_urgent(row) && is_elsewhere(row) && !is_check(row));
        let waiting = waiting.map(|(at, row)| Line { topic: at.to_string(), channel: channel_name(row.channel) });
        database.chain(waiting).collect()
    }

    /// The outage's incident, if there is one already: it is open, or ended after so many events.
    fn same(&self, events: usize) -> Option<usize> {
        let is_same = |incident: &super::outbox::Incident| {
            incident.key == DATABASE && (incident.is_open || incident.events_before_end >= events)
        };
        self.incidents.iter().rposition(is_same)
    }

    /// Opened and over in one: people hear of it once, by its end. Unless somebody else entered it.
    pub(super) fn enter_untold(&mut self, now: Wall, events: usize) -> bool {
        if self.same(events).is_some() {
            return false;
        }
        self.open(now, &alarm(), None);
        let incident = self.is_open(DATABASE).unwrap();
        self.resolve(now, incident);
        true
    }

    /// A delivery that waited when the database went away. Who was told by another channel hears the rest from that one.
    /// It may have been held, told or taken back meanwhile: people were told of it all the same.
    pub(super) fn mark_told(&mut self, now: Wall, delivery: usize, (via, is_sent): (usize, bool)) {
        let row = &self.deliveries[delivery];
        let (event, incident, meant) = (row.event, row.incident, row.channel);
        let is_of_via = |other: &Delivery| (other.event, other.channel) == (event, via);
        let is_there = self.deliveries.iter().any(|other| is_of_via(other) && other.state != State::Cancelled);
        if !is_sent {
            if via == meant {
                self.mark_unsure(delivery);
            } else {
                self.enter_unsure(now, (event, incident), via);
            }
            if self.events[event] != Event::Resolved {
                self.tell_end(now, (event, incident), via);
            }
            return;
        }
        let row = &mut self.deliveries[delivery];
        let may_be_known = row.is_begun && via != meant;
        if !may_be_known && matches!(row.state, State::Waiting | State::Held | State::Cancelled) {
            (row.state, row.claim, row.sent_at) = (State::Sent, None, now);
            row.channel = if is_there { meant } else { via };
        } else if !is_there {
            self.enter_sent(now, (event, incident), via);
        }
        if via != meant {
            self.refused_in_the_dark.insert((meant, incident));
        }
        if self.events[event] != Event::Resolved {
            self.tell_end(now, (event, incident), via);
        }
    }

    /// Its own channel may have told it: it is told again, unless people were told more meanwhile.
    fn mark_unsure(&mut self, delivery: usize) {
        let row = self.deliveries[delivery].clone();
        let is_later = |other: &Delivery| {
            (other.incident, other.channel) == (row.incident, row.channel)
                && other.event > row.event
                && (other.state == State::Sent || other.is_begun)
        };
        let is_bad = self.incidents[row.incident].is_open && self.events[row.event] != Event::Resolved;
        let is_there = match row.state {
            State::Waiting | State::Held => true,
            // What was taken back, and came again since, is not over for whoever read it.
            State::Cancelled => is_bad && !self.deliveries.iter().any(is_later),
            State::Sent | State::Failed => false,
        };
        let row = &mut self.deliveries[delivery];
        if is_there && !row.is_begun && row.claim.is_none() {
            (row.state, row.is_begun) = (State::Waiting, true);
            row.notice = Some(u64::try_from(delivery).unwrap());
        } else if row.state == State::Cancelled {
            row.unanswered = row.unanswered.max(1);
        }
    }

    /// Another channel may have told it, and is not to tell it again.
    fn enter_unsure(&mut self, now: Wall, at: (usize, usize), via: usize) {
        if !self.deliveries.iter().any(|other| (other.event, other.channel) == (at.0, via)) {
            let row = Delivery::fresh(now, at, via, Duration::ZERO);
            self.deliveries.push(Delivery { state: State::Cancelled, unanswered: 1, ..row });
        }
    }

    pub(super) fn enter_sent(&mut self, now: Wall, at: (usize, usize), via: usize) {
        let row = Delivery::fresh(now, at, via, Duration::ZERO);
        self.deliveries.push(Delivery { state: State::Sent, sent_at: now, ..row });
    }

    /// Whoever was told of what is over by now hears of the end.
    pub(super) fn tell_end(&mut self, now: Wall, (event, incident): (usize, usize), channel: usize) {
        let is_later = |row: &Delivery| row.incident == incident && row.event > event;
        let is_end = |row: &&Delivery| is_later(row) && self.events[row.event] == Event::Resolved;
        let is_told = |row: &Delivery| row.channel == channel && row.state != State::Cancelled;
        let has_end = self.deliveries.iter().filter(is_end).any(is_told);
        if !self.incidents[incident].is_open && !has_end {
            self.enter(now, incident, Event::Resolved, &BTreeMap::from([(channel_name(channel), Duration::ZERO)]));
        }
    }

    /// The latest; a new one where it opened again and the outbox had nobody to tell.
    fn event_of_outage(&mut self, incident: usize) -> usize {
        let rows = || self.deliveries.iter().filter(|row| row.incident == incident).map(|row| row.event);
        let bad = rows().filter(|event| self.events[*event] != Event::Resolved).max();
        let end =
            rows().filter(|event| self.events[*event] == Event::Resolved && self.incidents[incident].is_open).max();
        bad.filter(|bad| Some(*bad) > end).unwrap_or_else(|| {
            self.events.push(Event::Opened);
            self.events.len() - 1
        })
    }

    /// One channel was told of the outage; says of which incident, and by which of its events.
    pub(super) fn enter_told(
        &mut self,
        now: Wall,
        (meant, via): (usize, usize),
        events: usize,
        is_sent: bool,
    ) -> (usize, usize) {
        let incident = self.same(events).unwrap_or_else(|| {
            self.open(now, &alarm(), None);
            self.is_open(DATABASE).unwrap()
        });
        let event = self.event_of_outage(incident);
        let mut rows = self.deliveries.iter().enumerate();
        let waits = |row: &Delivery| (row.event, row.channel, row.state) == (event, meant, State::Waiting);
        match rows.find(|(_, row)| waits(row)).map(|(at, _)| at) {
            Some(at) => {
                self.mark_told(now, at, (via, is_sent));
            }
            None if is_sent => {
                self.enter_sent(now, (event, incident), via);
                self.tell_end(now, (event, incident), via);
            }
            None => {
                if via != meant {
                    self.enter_unsure(now, (event, incident), via);
                }
                self.tell_end(now, (event, incident), via);
            }
        }
        (incident, event)
    }
}
