//! Which incidents there should be, and when to say so again or call them over.
//!
//! Life: a condition holds, any watchdog that sees it *raises* the incident (the database keeps one open per key) and
//! raises it again every [`RAISE_AGAIN`] while it lasts, which lifts `last_bad_at`, and at once when a node's reason changes. Once the condition has been absent
//! for [`CALM_ROUNDS`] rounds in a row, and nobody has raised it for [`CALM`], the incident is *resolved*, guarded by the
//! `last_bad_at` that was read: somebody who still sees it bad prevents that. Needs no leader. How people are told is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::facts::IncidentRow;
use crate::io::{Alarm, Output};
use crate::outbox;
use crate::time::{Mono, Wall};

/// While a condition lasts it is raised again this often.
pub const RAISE_AGAIN: Duration = Duration::from_secs(5);

/// Rounds in a row without the condition until its incident is resolved.
pub const CALM_ROUNDS: u32 = 3;

/// Nobody has lifted `last_bad_at` for this long: longer than [`RAISE_AGAIN`] and a round, so that whoever still sees it
/// bad has said so.
pub const CALM: Duration = Duration::from_millis(6_500);

/// What one watchdog knows of each incident.
#[derive(Debug, Default)]
pub struct Incidents {
    raised: BTreeMap<String, Raised>,
    /// Orders that were not answered yet: nothing is ordered twice, however slow the answers are.
    awaited: BTreeSet<String>,
    open: BTreeMap<String, Open>,
}

/// What was raised last.
#[derive(Debug)]
struct Raised {
    at: Mono,
    summary: String,
}

impl Raised {
    /// It lasts, or it is another than was said.
    fn is_due_again(&self, now: Mono, alarm: &Alarm) -> bool {
        let is_other =
            outbox::tells_reasons(&alarm.key) && outbox::reason(&self.summary) != outbox::reason(&alarm.summary);
        is_other || now.since(self.at) >= RAISE_AGAIN
    }
}

/// An open incident, as it was seen round by round.
#[derive(Debug)]
struct Open {
    last_bad_at: Wall,
    since: Mono,
    calm_rounds: u32,
}

impl Incidents {
    /// Compares what is wrong with what is open, once a round.
    pub fn handle_round(&mut self, now: Mono, alarms: Vec<Alarm>, open: &[IncidentRow]) -> Vec<Output> {
        let mut outputs = Vec::new();
        let bad: BTreeSet<_> = alarms.iter().map(|alarm| alarm.key.as_str()).collect();
        let rows: BTreeSet<_> = open.iter().map(|row| row.key.as_str()).collect();
        self.raised.retain(|key, _| bad.contains(key.as_str()));
        self.open.retain(|key, _| rows.contains(key.as_str()));
        for row in open {
            let is_bad = bad.contains(row.key.as_str());
            let fresh = Open { last_bad_at: row.last_bad_at, since: now, calm_rounds: 0 };
            let seen = self.open.entry(row.key.clone()).or_insert(fresh);
            if seen.last_bad_at != row.last_bad_at {
                (seen.last_bad_at, seen.since) = (row.last_bad_at, now);
            }
            seen.calm_rounds = if is_bad { 0 } else { seen.calm_rounds + 1 };
            let is_over = seen.calm_rounds >= CALM_ROUNDS && now.since(seen.since) >= CALM;
            if is_over && self.awaited.insert(row.key.clone()) {
                outputs.push(Output::Resolve { key: row.key.clone(), last_bad_at: row.last_bad_at });
            }
        }
        for alarm in alarms {
            let is_due = self.raised.get(&alarm.key).is_none_or(|raised| raised.is_due_again(now, &alarm));
            if is_due && self.awaited.insert(alarm.key.clone()) {
                self.raised.insert(alarm.key.clone(), Raised { at: now, summary: alarm.summary.clone() });
                outputs.push(Output::Raise(alarm));
            }
        }
        outputs
    }

    /// An order was answered. One that failed is given again in the next round: nothing is missed, and no watch of a
    /// lease has to do with it.
    pub fn handle_answer(&mut self, key: &str, is_done: bool) {
        self.awaited.remove(key);
        if !is_done {
            self.raised.remove(key);
        }
    }

    /// Something was ordered and not answered yet.
    pub fn is_awaiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Nothing is known any more: an outage of one's own. Whatever still holds will be raised anew.
    pub fn reset(&mut self) {
        self.raised.clear();
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Severity;

    fn alarm() -> Alarm {
        Alarm { key: "node/node1".into(), severity: Severity::Critical, summary: "offline".into(), votes: (3, 3) }
    }

    fn open() -> IncidentRow {
        let (opened_at, last_bad_at) = (Wall(1), Wall(2));
        IncidentRow {
            key: "node/node1".into(),
            severity: "critical".into(),
            opened_at,
            first_opened_at: None,
            last_bad_at,
        }
    }

    #[test]
    fn a_lasting_condition_is_raised_once_per_five_seconds() {
        let mut incidents = Incidents::default();
        let raised = (0..10).filter(|&second| {
            let outputs = incidents.handle_round(Mono::secs(second), vec![alarm()], &[]);
            incidents.handle_answer("node/node1", true);
            !outputs.is_empty()
        });
        assert_eq!(raised.collect::<Vec<_>>(), [0, 5]);
    }

    #[test]
    fn another_reason_is_raised_at_once_and_other_figures_are_not() {
        let mut incidents = Incidents::default();
        let mut raise = |second, summary: &str| {
            let alarm = Alarm { summary: summary.to_owned(), ..alarm() };
            let outputs = incidents.handle_round(Mono::secs(second), vec![alarm], &[]);
            incidents.handle_answer("node/node1", true);
            outputs.len()
        };
        let raised =
            [raise(0, "offline: 2 of 3"), raise(1, "offline: 3 of 3"), raise(2, "stalled"), raise(3, "stalled")];
        assert_eq!(raised, [1, 0, 1, 0]);
    }

    #[test]
    fn what_could_not_be_entered_is_ordered_again_and_nothing_is_ordered_twice() {
        let mut incidents = Incidents::default();
        let orders =
            |incidents: &mut Incidents, second| incidents.handle_round(Mono::secs(second), vec![alarm()], &[]).len();
        assert_eq!(orders(&mut incidents, 0), 1);
        assert_eq!(orders(&mut incidents, 9), 0, "its answer is awaited");
        incidents.handle_answer("node/node1", false);
        assert_eq!(orders(&mut incidents, 10), 1);
    }

    #[test]
    fn an_incident_is_resolved_only_after_three_calm_rounds_and_when_nobody_raised_it_any_more() {
        let mut incidents = Incidents::default();
        let resolved = (0..8).map(|second| incidents.handle_round(Mono::secs(second), Vec::new(), &[open()]).len());
        assert_eq!(resolved.collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn one_bad_round_starts_the_calm_anew() {
        let mut incidents = Incidents::default();
        for (second, alarms) in [(0, vec![]), (7, vec![]), (8, vec![alarm()]), (9, vec![]), (10, vec![])] {
            let outputs = incidents.handle_round(Mono::secs(second), alarms, &[open()]);
            assert!(!outputs.iter().any(|output| matches!(output, Output::Resolve { .. })));
        }
    }
}
