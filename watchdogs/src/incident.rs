//! Which incidents there should be, and when to say so again or call them over.
//!
//! Life: a condition holds, any watchdog that sees it *raises* the incident (the database keeps one open per key) and
//! raises it again every [`RAISE_AGAIN`] while it lasts, which lifts `last_bad_at`. Once the condition has been absent
//! for [`CALM_ROUNDS`] rounds in a row the incident is *resolved*, guarded by the `last_bad_at` that was read: somebody
//! who still sees it bad prevents that. Needs no leader. How people are told is not decided here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::IncidentRow;
use crate::io::{Alarm, Output};
use crate::time::Mono;

/// While a condition lasts it is raised again this often.
pub const RAISE_AGAIN: Duration = Duration::from_secs(5);

/// Rounds in a row without the condition until its incident is resolved.
pub const CALM_ROUNDS: u32 = 3;

/// What one watchdog knows of each incident.
#[derive(Debug, Default)]
pub struct Incidents {
    raised_at: BTreeMap<String, Mono>,
    calm_rounds: BTreeMap<String, u32>,
}

impl Incidents {
    /// Compares what is wrong with what is open, once a round.
    pub fn handle_round(&mut self, now: Mono, alarms: Vec<Alarm>, open: &[IncidentRow]) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.raised_at.retain(|key, _| alarms.iter().any(|alarm| &alarm.key == key));
        self.calm_rounds.retain(|key, _| open.iter().any(|row| &row.key == key));
        for row in open {
            if alarms.iter().any(|alarm| alarm.key == row.key) {
                self.calm_rounds.remove(&row.key);
                continue;
            }
            let calm = self.calm_rounds.entry(row.key.clone()).or_default();
            *calm += 1;
            if *calm >= CALM_ROUNDS {
                outputs.push(Output::Resolve { key: row.key.clone(), last_bad_at: row.last_bad_at });
            }
        }
        for alarm in alarms {
            let is_due = self.raised_at.get(&alarm.key).is_none_or(|at| now.since(*at) >= RAISE_AGAIN);
            if is_due {
                self.raised_at.insert(alarm.key.clone(), now);
                outputs.push(Output::Raise(alarm));
            }
        }
        outputs
    }

    /// Nothing is known any more: an outage of one's own. Whatever still holds will be raised anew.
    pub fn reset(&mut self) {
        self.raised_at.clear();
        self.calm_rounds.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Severity;
    use crate::time::Wall;

    fn alarm() -> Alarm {
        Alarm { key: "node/node1".into(), severity: Severity::Critical, summary: "offline".into(), votes: (3, 3) }
    }

    fn open() -> IncidentRow {
        IncidentRow { key: "node/node1".into(), severity: "critical".into(), opened_at: Wall(1), last_bad_at: Wall(2) }
    }

    #[test]
    fn a_lasting_condition_is_raised_once_per_five_seconds() {
        let mut incidents = Incidents::default();
        let raised =
            (0..10).filter(|&second| !incidents.handle_round(Mono::secs(second), vec![alarm()], &[]).is_empty());
        assert_eq!(raised.collect::<Vec<_>>(), [0, 5]);
    }

    #[test]
    fn an_incident_is_resolved_only_after_three_calm_rounds() {
        let mut incidents = Incidents::default();
        let resolved = (0..3).map(|second| incidents.handle_round(Mono::secs(second), Vec::new(), &[open()]).len());
        assert_eq!(resolved.collect::<Vec<_>>(), [0, 0, 1]);
    }

    #[test]
    fn one_bad_round_starts_the_calm_anew() {
        let mut incidents = Incidents::default();
        for (second, alarms) in [(0, vec![]), (1, vec![]), (2, vec![alarm()]), (3, vec![]), (4, vec![])] {
            let outputs = incidents.handle_round(Mono::secs(second), alarms, &[open()]);
            assert!(!outputs.iter().any(|output| matches!(output, Output::Resolve { .. })));
        }
    }
}
