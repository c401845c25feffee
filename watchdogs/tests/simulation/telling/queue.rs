//! One channel's queue as it is read, and what a plan changes in it.

use komainu_watchdogs::outbox::queue::{Parent, Plan, Queued};
use komainu_watchdogs::time::Wall;

use super::outbox::{CLAIM_LASTS, Delivery, LONGEST_PAUSE, Outbox, State, index_of, key_of};

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
        });
        let explains = |key: &str| key == "database" || key.starts_with("node/");
        let knows = |incident: usize| {
            let is_told = |row: &Delivery| matches!(row.state, State::Waiting | State::Sent);
            rows.clone().any(|(_, row)| row.incident == incident && is_told(row))
        };
        let parents = self
            .incidents
            .iter()
            .enumerate()
            .filter(|(index, incident)| incident.is_open && explains(&incident.key) && knows(*index));
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
}
