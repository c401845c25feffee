//! What a watchdog looks at each second: nodes, monitors, heartbeats, and what has waited too long.

use std::time::Duration;

use komainu_watchdogs::downtime::{self, ByKuma, Facts, FoundDown, Verdict};
use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::io::{Alarm, Severity};

use super::judge::Variant;
use super::world::{Ms, Telling, monitor_key, node_name};

/// The database has worked for so long when its incident is called over.
pub(super) const CALM: Ms = 7_000;

impl Telling {
    /// What a watchdog looks at each second.
    pub(super) fn look(&mut self, dog: usize) {
        if self.now < self.dogs[dog].look_at {
            return;
        }
        self.note_parts(dog);
        if !self.is_database_up {
            return;
        }
        self.dogs[dog].look_at = self.now + 1_000;
        let now = self.wall();
        if !self.is_broken(Variant::ClocksBelieved) {
            self.outbox.put_right(now);
            self.put_intake_right(now);
        }
        // Nodes are judged by rounds alone; the rest is read on connections of its own.
        for node in 0..self.nodes.len() {
            if !self.is_blind(dog) {
                self.look_at_node(node);
            }
        }
        for monitor in 0..self.monitors.len() {
            self.look_at_monitor(monitor);
        }
        self.prove_intake();
        for job in 0..self.jobs.len() {
            self.look_at_job(job);
        }
        self.look_at_checks(dog);
        self.resolve_outage(dog);
        if !self.is_broken(Variant::NoRescue) {
            self.counts.rescues += self.outbox.rescue(now);
        }
        self.see_telling(dog);
        self.counts.reminders += self.outbox.remind(now, Duration::from_secs(240));
    }

    fn look_at_node(&mut self, node: usize) {
        let (key, now) = (format!("node/{}", node_name(node)), self.wall());
        let open = self.outbox.is_open(&key);
        match (self.nodes[node].lost_at, open) {
            (Some(lost_at), _) if self.now >= lost_at + 5_000 => {
                // First it is only not reached; then its lease is over.
                let is_over = self.now >= lost_at + 12_000;
                let severity = if is_over { Severity::Critical } else { Severity::Warning };
                self.raise(&key, severity, None);
            }
            (None, Some(incident)) => self.outbox.resolve(now, incident),
            (Some(_), _) | (None, None) => {}
        }
    }

    fn look_at_monitor(&mut self, monitor: usize) {
        let (row, key) = (&self.monitors[monitor], monitor_key(monitor));
        let latest = if self.is_broken(Variant::ByWallClock) {
            row.beats.iter().max_by_key(|(_, time)| *time)
        } else {
            row.beats.last()
        };
        let facts = Facts {
            is_active: true,
            is_api_made: true,
            by_native: FoundDown::Noted,
            by_kuma: ByKuma::No,
            state: latest.map(|(state, _)| *state),
        };
        let node = NodeId::from(node_name(row.node));
        let open = self.outbox.is_open(&key);
        if let Some(incident) = open.filter(|_| !self.is_broken(Variant::NodeOfOpening)) {
            // What explains it is judged by who runs it now.
            self.outbox.incidents[incident].node = Some(node.clone());
        }
        match (downtime::decide(Some(&facts), open.is_some()), open) {
            (Verdict::Open, _) => {
                let found = self.invariant_no_false_alarm(monitor);
                self.judge(found);
                self.raise(&key, Severity::Critical, Some(node));
            }
            (Verdict::Resolve(_), Some(incident)) => {
                let now = self.wall();
                self.outbox.resolve(now, incident);
            }
            (Verdict::Leave | Verdict::Resolve(_), _) => {}
        }
    }

    fn raise(&mut self, key: &str, severity: Severity, node: Option<NodeId>) {
        let alarm = Alarm { key: key.to_owned(), severity, summary: String::new(), votes: (1, 1) };
        let now = self.wall();
        self.counts.incidents += u64::from(self.outbox.open(now, &alarm, node));
    }
}
