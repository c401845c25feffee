//! The tables of what people are told: incidents, their events and deliveries, and the channels.
//!
//! Each function is one transaction, as the store's are; who is told what is the product's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::{self, Entered, Event, FLAPPING_FROM, REOPEN_WITHIN, Standing};
use komainu_watchdogs::routing::{Planned, Routing, Subject, Verdict};
use komainu_watchdogs::time::Wall;

use super::dependencies::Dependency;
use super::judge::Variant;

/// How long one watchdog may be at a message.
pub(crate) const CLAIM_LASTS: Duration = Duration::from_secs(30);

/// No pause of a channel is longer.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) key: String,
    pub(crate) severity: Severity,
    pub(crate) node: Option<NodeId>,
    pub(crate) is_open: bool,
    pub(super) opened_at: Wall,
    pub(super) resolved_at: Wall,
    /// So many events there were before its end.
    pub(super) events_before_end: usize,
    pub(super) flaps: u32,
    was_critical: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Waiting,
    Held,
    Sent,
    Cancelled,
    Failed,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// The event's place in the list of all.
    pub(crate) event: usize,
    /// The incident's place in the list of all.
    pub(crate) incident: usize,
    pub(crate) channel: usize,
    pub(crate) state: State,
    pub(super) group_wait: Duration,
    pub(super) due_at: Wall,
    pub(super) entered_at: Wall,
    pub(crate) claim: Option<(u64, Wall)>,
    pub(crate) notice: Option<u64>,
    pub(crate) is_begun: bool,
    pub(crate) attempts: u32,
    /// Attempts of which nobody knows whether they arrived.
    pub(crate) unanswered: u32,
    /// It goes with so many others at most.
    pub(super) company: Option<usize>,
    /// It rests until then, having failed then.
    pub(crate) retry_at: Option<Wall>,
    pub(super) failed_at: Option<Wall>,
    pub(super) sent_at: Wall,
    /// It is, or was when it was dropped, held because of an incident.
    pub(super) is_explained: bool,
    /// Others were told too, because it takes so long.
    pub(super) is_rescued: bool,
    /// Nobody else can be told: it goes on for as long as it takes.
    pub(crate) is_alone: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Channel {
    pub(crate) next_at: Wall,
    pub(crate) failures: u32,
    /// Messages of one delivery that it refused in a row.
    pub(crate) refused_alone: u32,
    pub(super) last_sent_at: Option<Wall>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) incidents: Vec<Incident>,
    pub(crate) events: Vec<Event>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) routing: Routing,
    /// Where each channel's own trouble, and what it refuses, is told; `None`: everywhere else.
    pub(crate) fallbacks: Vec<Option<usize>>,
    /// Channels that refused to be told of an incident while the database was away.
    pub(super) refused_in_the_dark: BTreeSet<(usize, usize)>,
    /// Messages that the database was away: outage, channel meant, channel told.
    pub(super) entered_in_the_dark: BTreeSet<(String, usize, usize)>,
    /// What was told of checks while the database was away: key, channel, message.
    pub(super) entered_news: BTreeSet<(String, usize, String)>,
    /// Keys that somebody silenced.
    pub(super) silenced: BTreeSet<String>,
    pub(super) dependencies: Vec<Dependency>,
    /// A broken rule: nobody reads what depends on what.
    pub(super) are_dependencies_ignored: bool,
    /// Another: what is over goes on explaining what depends on it.
    pub(super) do_causes_last: bool,
    /// The broken rule, if it is one of the outbox's.
    pub(crate) variant: Option<Variant>,
}

pub(crate) fn channel_name(channel: usize) -> String {
    format!("c{channel}")
}

pub(super) fn channel_index(name: &str) -> usize {
    name[1..].parse().unwrap()
}

pub(super) fn key_of(delivery: usize) -> i64 {
    i64::try_from(delivery).unwrap() + 1
}

pub(crate) fn index_of(key: i64) -> usize {
    usize::try_from(key - 1).unwrap()
}

impl Outbox {
    /// Who is told of what is entered at this moment.
    pub(super) fn planned(&self, now: Wall, subject: &Subject) -> Vec<Planned> {
        let is_late = self.routing.verdicts(subject, now).contains(&Verdict::TakesLate);
        if is_late && self.variant == Some(Variant::HoursFinal) { vec![] } else { self.routing.plan(subject, now) }
    }

    /// Opens an incident, opens it again, or notes that it is worse; says whether it is news.
    pub(crate) fn open(&mut self, now: Wall, alarm: &Alarm, node: Option<NodeId>) -> bool {
        let subject = Subject { node: node.clone(), ..Subject::of(alarm) };
        let planned = self.planned(now, &subject);
        let is_recent =
            |incident: &Incident| incident.is_open || now.0 - incident.resolved_at.0 < millis(REOPEN_WITHIN);
        let latest = self.incidents.iter().rposition(|incident| incident.key == alarm.key && is_recent(incident));
        let Some(at) = latest else {
            self.incidents.push(Incident {
                key: alarm.key.clone(),
                severity: alarm.severity,
                node,
                is_open: true,
                opened_at: now,
                resolved_at: Wall(0),
                events_before_end: 0,
                flaps: 0,
                was_critical: alarm.severity == Severity::Critical,
            });
            self.enter(now, self.incidents.len() - 1, Event::Opened, &waits(&planned));
            return true;
        };
        if self.incidents[at].is_open {
            if alarm.severity > self.incidents[at].severity && !self.incidents[at].was_critical {
                self.tell_worse(now, at, planned);
            }
            let incident = &mut self.incidents[at];
            (incident.severity, incident.node) = (alarm.severity, node);
            incident.was_critical |= alarm.severity == Severity::Critical;
            return false;
        }
        let incident = &mut self.incidents[at];
        (incident.is_open, incident.opened_at, incident.severity) = (true, now, alarm.severity);
        incident.flaps += 1;
        incident.node = node;
        incident.was_critical = alarm.severity == Severity::Critical;
        self.tell_return(now, at, &planned);
        true
    }

    fn tell_worse(&mut self, now: Wall, incident: usize, planned: Vec<Planned>) {
        let change = outbox::worsening(&self.entered(now, incident));
        if self.incidents[incident].flaps >= FLAPPING_FROM {
            return;
        }
        self.cancel(&change.cancel);
        let (knowing, new): (Vec<_>, Vec<_>) =
            planned.into_iter().partition(|planned| change.believers.contains(&planned.channel));
        self.enter(now, incident, Event::Worse, &waits(&knowing));
        self.enter(now, incident, Event::Opened, &waits(&new));
    }

    fn tell_return(&mut self, now: Wall, incident: usize, planned: &[Planned]) {
        let change = outbox::reopening(&self.entered(now, incident));
        self.cancel(&change.cancel);
        let told = outbox::opening(self.incidents[incident].flaps);
        let is_news = |one: &&Planned| told == Some(Event::Flapping) || !change.believers.contains(&one.channel);
        let planned: Vec<_> = planned.iter().filter(is_news).cloned().collect();
        self.enter(now, incident, told.unwrap_or(Event::Flapping), &waits(&planned));
    }

    /// Somebody takes care of it. `cancels`: a broken rule.
    pub(super) fn acknowledge(&mut self, now: Wall, incident: usize, cancels: bool) {
        let entered = self.entered(now, incident);
        if cancels {
            let waits = entered.iter().filter(|row| row.standing == Standing::Untold);
            self.cancel(&waits.map(|row| row.delivery).collect::<Vec<_>>());
        }
        let waits = outbox::acknowledging(&entered).into_iter().map(|channel| (channel, Duration::ZERO)).collect();
        self.enter(now, incident, Event::Acknowledged, &waits);
    }

    /// It is over.
    pub(crate) fn resolve(&mut self, now: Wall, incident: usize) {
        let change = outbox::closing(&self.entered(now, incident), self.incidents[incident].flaps);
        (self.incidents[incident].is_open, self.incidents[incident].resolved_at) = (false, now);
        self.incidents[incident].events_before_end = self.events.len();
        self.cancel(&change.cancel);
        self.enter(now, incident, Event::Resolved, &change.tell);
    }

    /// The open incident of this key.
    pub(crate) fn is_open(&self, key: &str) -> Option<usize> {
        self.incidents.iter().rposition(|incident| incident.key == key && incident.is_open)
    }

    pub(super) fn enter(&mut self, now: Wall, incident: usize, event: Event, waits: &BTreeMap<String, Duration>) {
        if waits.is_empty() {
            return;
        }
        self.events.push(event);
        for (channel, wait) in waits {
            self.deliveries.push(Delivery::fresh(
                now,
                (self.events.len() - 1, incident),
                channel_index(channel),
                *wait,
            ));
        }
    }

    fn cancel(&mut self, keys: &[i64]) {
        for key in keys {
            self.deliveries[index_of(*key)].state = State::Cancelled;
        }
    }

    fn entered(&self, now: Wall, incident: usize) -> Vec<Entered> {
        let rows = self.deliveries.iter().enumerate().filter(|(_, row)| row.incident == incident);
        let entered = rows.map(|(index, row)| Entered {
            delivery: key_of(index),
            channel: channel_name(row.channel),
            event_key: key_of(row.event),
            event: self.events[row.event],
            standing: match row.state {
                State::Waiting if row.is_begun || row.unanswered > 0 || row.is_claimed(now) => Standing::Begun,
                State::Waiting => Standing::Untold,
                State::Held => Standing::Held,
                State::Sent => Standing::Told,
                State::Cancelled if row.unanswered > 0 => Standing::Unsure,
                State::Cancelled | State::Failed => Standing::Dropped,
            },
            group_wait: row.group_wait,
        });
        entered.collect()
    }
}

impl Delivery {
    /// Entered now, of this event and incident.
    pub(super) fn fresh(now: Wall, (event, incident): (usize, usize), channel: usize, group_wait: Duration) -> Self {
        Self {
            event,
            incident,
            channel,
            state: State::Waiting,
            group_wait,
            due_at: now + group_wait,
            entered_at: now,
            claim: None,
            notice: None,
            is_begun: false,
            attempts: 0,
            unanswered: 0,
            company: None,
            retry_at: None,
            failed_at: None,
            sent_at: Wall(0),
            is_explained: false,
            is_rescued: false,
            is_alone: false,
        }
    }

    pub(crate) fn is_claimed(&self, now: Wall) -> bool {
        self.claim.is_some_and(|(_, until)| until > now)
    }

    /// It waits, and nobody tries it now.
    pub(crate) fn rests(&self, now: Wall) -> bool {
        self.state == State::Waiting && self.is_resting(now)
    }

    /// Nobody tries it now.
    pub(crate) fn is_resting(&self, now: Wall) -> bool {
        self.retry_at.is_some_and(|at| at > now)
    }
}

fn waits(planned: &[Planned]) -> BTreeMap<String, Duration> {
    planned.iter().map(|one| (one.channel.clone(), one.group_wait)).collect()
}

pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap()
}
