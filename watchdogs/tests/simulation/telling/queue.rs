//! One channel's queue as it is read, and what a plan changes in it.

use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::queue::{Holder, Parent, Plan, Queued};
use komainu_watchdogs::time::Wall;

use super::dependencies::is_settling;
use super::outbox::{CLAIM_LASTS, Delivery, Incident, LONGEST_PAUSE, Outbox, State, index_of, key_of};

impl Outbox {
    /// No stored time may hold anything longer than its own rule allows: a clock that was set back has left it ahead.
    pub(crate) fn put_right(&mut self, now: Wall) {
        for row in self.deliveries.iter_mut().filter(|row| matches!(row.state, State::Waiting | State::Held)) {
            if row.due_at > now + row.group_wait {
                row.due_at = now;
            }
            if row.failed_at.is_some_and(|at| at > now) {
                (row.failed_at, row.retry_at) = (Some(now), None);
            }
            row.claim = row.claim.filter(|(_, until)| *until <= now + CLAIM_LASTS);
        }
        for channel in &mut self.channels {
            if channel.next_at > now + LONGEST_PAUSE {
                channel.next_at = now;
            }
            channel.last_sent_at = channel.last_sent_at.map(|at| at.min(now));
        }
        for incident in &mut self.incidents {
            incident.resolved_at = incident.resolved_at.min(now);
        }
    }

    pub(crate) fn snapshot(&self, now: Wall, channel: usize) -> (Vec<Queued>, Vec<Parent>) {
        let rows = self.deliveries.iter().enumerate().filter(|(_, row)| row.channel == channel);
        let waiting = rows.clone().filter(|(_, row)| matches!(row.state, State::Waiting | State::Held));
        let mut causes: Vec<usize> = vec![];
        let queue: Vec<Queued> = waiting
            .map(|(index, row)| {
                let incident = &self.incidents[row.incident];
                Queued {
                    delivery: key_of(index),
                    incident: key_of(row.incident),
                    key: incident.key.clone(),
                    node: incident.node.clone(),
                    causes: {
                        let found = self.causes(now, &incident.key);
                        causes.extend(&found);
                        found.into_iter().map(key_of).collect()
                    },
                    is_open: incident.is_open,
                    event: self.events[row.event],
                    is_held: row.state == State::Held,
                    held_by: None,
                    silenced_by: self.silenced.contains(&incident.key).then_some(1),
                    due_at: row.due_at,
                    group_wait: row.group_wait,
                    claimed_until: row.claim.map(|(_, until)| until),
                    begun: row.notice.filter(|_| row.is_begun).map(|notice| notice.to_string()),
                    attempts: row.attempts,
                    last_error: None,
                    entered_at: row.entered_at,
                    retry_at: row.retry_at,
                    unanswered: row.unanswered,
                    company: row.company,
                    has_readers: false,
                    failed_at: row.failed_at,
                    is_suspect: row.failed_at.is_some_and(|at| Some(at) < self.channels[channel].last_sent_at),
                }
            })
            .collect();
        let explains = |key: &str| key == "database" || key.starts_with("node/");
        let parents = self
            .incidents
            .iter()
            .enumerate()
            .filter(|(index, incident)| (incident.is_open && explains(&incident.key)) || causes.contains(index));
        let parents = parents.filter_map(|(index, incident)| self.parent(channel, (index, incident)));
        (queue, parents.collect())
    }

    /// Incidents of what this depends on, open or over a moment ago.
    fn causes(&self, now: Wall, key: &str) -> Vec<usize> {
        let declared = self.dependencies.iter().filter(|one| one.child == key && !self.are_dependencies_ignored);
        let names: Vec<&String> = declared.map(|one| &one.cause).collect();
        let is_wrong =
            |incident: &Incident| incident.is_open || self.do_causes_last || is_settling(now.0, incident.resolved_at.0);
        let all = self.incidents.iter().enumerate();
        all.filter(|(_, one)| names.contains(&&one.key) && is_wrong(one)).map(|(index, _)| index).collect()
    }

    /// What the channel knows of an incident that may explain others; nothing: it does not.
    fn parent(&self, channel: usize, (index, incident): (usize, &Incident)) -> Option<Parent> {
        let rows = || self.deliveries.iter().filter(|row| row.channel == channel && row.incident == index);
        let is_end = |row: &Delivery| self.events[row.event] == Event::Resolved;
        let sent = |ends: bool| {
            let of = rows().filter(|row| row.state == State::Sent && is_end(row) == ends);
            of.map(|row| row.event).max()
        };
        let is_over = !incident.is_open;
        let is_told = sent(false).is_some() && (is_over || sent(false) > sent(true));
        let is_coming = !is_over && rows().any(|row| row.state == State::Waiting && !is_end(row));
        let is_explained = rows().any(|row| row.is_explained && matches!(row.state, State::Held | State::Cancelled));
        (is_told || is_coming || is_explained).then(|| Parent {
            incident: key_of(index),
            key: incident.key.clone(),
            severity: incident.severity,
            is_told: is_told || is_over,
            ended_at: (is_over && !self.do_causes_last).then_some(incident.resolved_at),
        })
    }

    pub(crate) fn change(&mut self, now: Wall, plan: &Plan) {
        let is_free = |row: &Delivery| !row.is_begun && !row.is_claimed(now);
        for (key, holder) in &plan.hold {
            let row = &mut self.deliveries[index_of(*key)];
            if row.state == State::Waiting && is_free(row) {
                row.state = State::Held;
                row.is_explained = matches!(holder, Holder::Incident(_));
            }
        }
        for key in &plan.release {
            let row = &mut self.deliveries[index_of(*key)];
            if row.state == State::Held {
                (row.state, row.due_at) = (State::Waiting, now + row.group_wait);
                row.is_explained = false;
            }
        }
        for key in &plan.cancel {
            let row = &mut self.deliveries[index_of(*key)];
            if matches!(row.state, State::Waiting | State::Held) && is_free(row) {
                row.state = State::Cancelled;
            }
        }
    }
}
