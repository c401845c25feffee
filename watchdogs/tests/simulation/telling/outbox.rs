//! The tables of what people are told: incidents, their events and deliveries, and the channels.
//!
//! Each function is one transaction, as the store's are; who is told what is the product's to say.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::queue::{Parent, Plan, Queued};
use komainu_watchdogs::outbox::{self, Entered, Event, FLAPPING_FROM, REOPEN_WITHIN, Standing};
use komainu_watchdogs::reminder;
use komainu_watchdogs::routing::{Planned, Routing, Subject};
use komainu_watchdogs::time::Wall;

/// How long one watchdog may be at a message.
pub(crate) const CLAIM_LASTS: Duration = Duration::from_secs(30);

/// A critical that did not arrive for so long is told elsewhere too.
const RESCUE_AFTER: Duration = Duration::from_secs(120);

/// No pause of a channel is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) key: String,
    pub(crate) severity: Severity,
    pub(crate) node: Option<NodeId>,
    pub(crate) is_open: bool,
    opened_at: Wall,
    resolved_at: Wall,
    flaps: u32,
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

#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// The event's place in the list of all.
    pub(crate) event: usize,
    /// The incident's place in the list of all.
    pub(crate) incident: usize,
    pub(crate) channel: usize,
    pub(crate) state: State,
    group_wait: Duration,
    due_at: Wall,
    entered_at: Wall,
    pub(crate) claim: Option<(u64, Wall)>,
    pub(crate) notice: Option<u64>,
    pub(crate) is_begun: bool,
    pub(crate) attempts: u32,
    sent_at: Wall,
    /// Others were told too, because it takes so long.
    is_rescued: bool,
    /// Nobody else can be told: it goes on for as long as it takes.
    pub(crate) is_alone: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Channel {
    pub(crate) next_at: Wall,
    pub(crate) failures: u32,
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
    /// A broken rule: what is overtaken is copied all the same.
    pub(crate) copies_overtaken: bool,
}

pub(crate) fn channel_name(channel: usize) -> String {
    format!("c{channel}")
}

fn channel_index(name: &str) -> usize {
    name[1..].parse().unwrap()
}

fn key_of(delivery: usize) -> i64 {
    i64::try_from(delivery).unwrap() + 1
}

pub(crate) fn index_of(key: i64) -> usize {
    usize::try_from(key - 1).unwrap()
}

impl Outbox {
    /// Opens an incident, opens it again, or notes that it is worse; says whether it is news.
    pub(crate) fn open(&mut self, now: Wall, alarm: &Alarm, node: Option<NodeId>) -> bool {
        let subject = Subject { node: node.clone(), ..Subject::of(alarm) };
        let planned = self.routing.plan(&subject);
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

    /// It is over.
    pub(crate) fn resolve(&mut self, now: Wall, incident: usize) {
        let change = outbox::closing(&self.entered(now, incident), self.incidents[incident].flaps);
        (self.incidents[incident].is_open, self.incidents[incident].resolved_at) = (false, now);
        self.cancel(&change.cancel);
        self.enter(now, incident, Event::Resolved, &change.tell);
    }

    /// The open incident of this key.
    pub(crate) fn is_open(&self, key: &str) -> Option<usize> {
        self.incidents.iter().rposition(|incident| incident.key == key && incident.is_open)
    }

    fn enter(&mut self, now: Wall, incident: usize, event: Event, waits: &BTreeMap<String, Duration>) {
        if waits.is_empty() {
            return;
        }
        self.events.push(event);
        for (channel, wait) in waits {
            self.deliveries.push(Delivery {
                event: self.events.len() - 1,
                incident,
                channel: channel_index(channel),
                state: State::Waiting,
                group_wait: *wait,
                due_at: now + *wait,
                entered_at: now,
                claim: None,
                notice: None,
                is_begun: false,
                attempts: 0,
                sent_at: Wall(0),
                is_rescued: false,
                is_alone: false,
            });
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
            event: self.events[row.event],
            standing: match row.state {
                State::Waiting if row.is_begun || row.is_claimed(now) => Standing::Begun,
                State::Waiting => Standing::Untold,
                State::Held => Standing::Held,
                State::Sent => Standing::Told,
                State::Cancelled | State::Failed => Standing::Dropped,
            },
            group_wait: row.group_wait,
        });
        entered.collect()
    }

    /// No stored time may hold anything longer than its own rule allows: a clock that was set back has left it ahead.
    pub(crate) fn put_right(&mut self, now: Wall) {
        for row in self.deliveries.iter_mut().filter(|row| matches!(row.state, State::Waiting | State::Held)) {
            if row.due_at > now + row.group_wait {
                row.due_at = now;
            }
            row.claim = row.claim.filter(|(_, until)| *until <= now + CLAIM_LASTS);
        }
        for channel in &mut self.channels {
            if channel.next_at > now + LONGEST_PAUSE {
                channel.next_at = now;
            }
        }
        for incident in &mut self.incidents {
            incident.resolved_at = incident.resolved_at.min(now);
        }
    }

    pub(crate) fn snapshot(&self, channel: usize) -> (Vec<Queued>, Vec<Parent>) {
        let rows = self.deliveries.iter().enumerate().filter(|(_, row)| row.channel == channel);
        let waiting = rows.clone().filter(|(_, row)| matches!(row.state, State::Waiting | State::Held));
        let queue = waiting.map(|(index, row)| {
            let incident = &self.incidents[row.incident];
            Queued {
                delivery: key_of(index),
                incident: key_of(row.incident),
                key: incident.key.clone(),
                node: incident.node.clone(),
                is_open: incident.is_open,
                event: self.events[row.event],
                is_held: row.state == State::Held,
                due_at: row.due_at,
                group_wait: row.group_wait,
                claimed_until: row.claim.map(|(_, until)| until),
                begun: row.notice.filter(|_| row.is_begun).map(|notice| notice.to_string()),
                attempts: row.attempts,
                last_error: None,
                entered_at: row.entered_at,
                retry_at: None,
                unanswered: row.attempts,
                company: None,
                has_readers: false,
                failed_at: None,
                is_suspect: false,
            }
        });
        let knows = |incident: usize| {
            let is_told = |row: &Delivery| matches!(row.state, State::Waiting | State::Sent);
            rows.clone().any(|(_, row)| row.incident == incident && is_told(row))
        };
        let parents = self
            .incidents
            .iter()
            .enumerate()
            .filter(|(index, incident)| incident.is_open && incident.key.starts_with("node/") && knows(*index));
        let parents = parents.map(|(index, incident)| Parent {
            incident: key_of(index),
            key: incident.key.clone(),
            severity: incident.severity,
        });
        (queue.collect(), parents.collect())
    }

    pub(crate) fn change(&mut self, now: Wall, plan: &Plan) {
        let is_free = |row: &Delivery| !row.is_begun && !row.is_claimed(now);
        for (key, _) in &plan.hold {
            let row = &mut self.deliveries[index_of(*key)];
            if row.state == State::Waiting && is_free(row) {
                row.state = State::Held;
            }
        }
        for key in &plan.release {
            let row = &mut self.deliveries[index_of(*key)];
            if row.state == State::Held {
                (row.state, row.due_at) = (State::Waiting, now + row.group_wait);
            }
        }
        for key in &plan.cancel {
            let row = &mut self.deliveries[index_of(*key)];
            if matches!(row.state, State::Waiting | State::Held) && is_free(row) {
                row.state = State::Cancelled;
            }
        }
    }

    /// It arrived: noted by whoever claims it by now. What it was about is over on this channel's side.
    pub(crate) fn note_sent(&mut self, now: Wall, members: &[usize], notice: u64) {
        for member in members {
            let row = &mut self.deliveries[*member];
            if row.state == State::Waiting && row.notice == Some(notice) {
                (row.state, row.claim, row.sent_at) = (State::Sent, None, now);
            }
        }
        let channel = self.deliveries[members[0]].channel;
        self.channels[channel].failures = 0;
        if let Some(incident) = self.is_open(&format!("channel/{}", channel_name(channel))) {
            self.resolve(now, incident);
        }
    }

    /// Its channel is done with it: others are told instead, and what nobody else tells goes on waiting.
    pub(crate) fn give_up(&mut self, now: Wall, members: &[usize], may_have_arrived: bool) {
        for member in members {
            let row = &mut self.deliveries[*member];
            (row.state, row.claim) = (State::Failed, None);
            self.tell_instead(now, *member);
            let row = self.deliveries[*member].clone();
            let is_told = |other: &Delivery| {
                other.event == row.event
                    && other.channel != row.channel
                    && matches!(other.state, State::Waiting | State::Held | State::Sent)
            };
            if !self.deliveries.iter().any(is_told) {
                let row = &mut self.deliveries[*member];
                (row.state, row.is_alone) = (State::Waiting, true);
                if !may_have_arrived {
                    (row.is_begun, row.notice) = (false, None);
                }
            }
        }
        let channel = self.deliveries[members[0]].channel;
        let alarm = Alarm {
            key: format!("channel/{}", channel_name(channel)),
            severity: Severity::Warning,
            summary: String::new(),
            votes: (0, 0),
        };
        let elsewhere = self.elsewhere(channel);
        let routing = std::mem::take(&mut self.routing);
        self.routing = Routing { channels: elsewhere.into_iter().map(channel_name).collect(), routes: Vec::new() };
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
        if self.copies_overtaken { other.event == row.event } else { other.event >= row.event }
    }

    /// This channel has given up telling that the incident of this key is open.
    pub(crate) fn has_given_up(&self, channel: usize, key: &str) -> bool {
        let Some(incident) = self.is_open(key) else { return false };
        let mut rows = self.deliveries.iter().filter(|row| (row.incident, row.channel) == (incident, channel));
        rows.any(|row| row.state == State::Failed)
    }

    fn copy_to_others(&mut self, now: Wall, row: &Delivery) {
        for channel in self.elsewhere(row.channel) {
            // What is overtaken there would take back what came later.
            let is_there = self.deliveries.iter().any(|other| {
                (other.incident, other.channel) == (row.incident, channel) && self.is_overtaken_by(row, other)
            });
            if !is_there {
                let fresh = Delivery {
                    channel,
                    state: State::Waiting,
                    claim: None,
                    notice: None,
                    is_begun: false,
                    attempts: 0,
                    due_at: now,
                    entered_at: now,
                    is_rescued: false,
                    is_alone: false,
                    ..row.clone()
                };
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
                && now.since(row.due_at) >= RESCUE_AFTER
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
                let told = [(name.clone(), reminder::Told::At(told_at))].into();
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
    pub(crate) fn is_claimed(&self, now: Wall) -> bool {
        self.claim.is_some_and(|(_, until)| until > now)
    }
}

fn waits(planned: &[Planned]) -> BTreeMap<String, Duration> {
    planned.iter().map(|one| (one.channel.clone(), one.group_wait)).collect()
}

pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap()
}
