//! Judging a check anew whenever something about it is new, and saying what changed.

use super::Machine;
use crate::check::schedule::Moment;
use crate::check::verdict::{judge, weigh};
use crate::check::{CheckName, Known, Output, Stand, State, Transition, View};

impl Machine {
    /// Judges one check, and sets its deadline anew.
    pub(super) fn judge(&mut self, at: Moment, name: &CheckName) {
        let Some(slot) = self.slots.get(name) else {
            return;
        };
        let before = slot.verdict.0;
        let verdict = weigh(at.now, &slot.definition, &self.electorate(slot), before, &self.policy);
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        slot.verdict = verdict;
        if verdict.0 != before {
            (slot.since, slot.changed_at, slot.differs_since) = (Some(at.wall), at.now, None);
            // What stands against a verdict is the other thing from now on.
            let is_turned = (before == State::Down) != (verdict.0 == State::Down);
            slot.suspected_at = slot.suspected_at.filter(|_| !is_turned);
        }
        self.bad.note(name, slot);
        let is_due = if verdict.0 == State::Unknown {
            slot.unknown_entered_at(&self.policy).is_some_and(|entered_at| at.now >= entered_at)
        } else {
            verdict.0 != before && slot.stored != Some(verdict.0)
        };
        if is_due {
            self.enter(at, name);
        }
        self.wake(name);
    }

    /// The verdicts that stand in the store. One that differs for long could not be entered by whoever found it; one that
    /// differs for a moment was found by somebody who knows more.
    pub(super) fn handle_stored(&mut self, at: Moment, known: &[Known]) {
        for Known { check, state, since } in known {
            let Some(slot) = self.slots.get_mut(check) else {
                continue;
            };
            slot.stored = Some(*state);
            if slot.verdict.0 == *state {
                slot.since = Some(*since);
                slot.differs_since = None;
            } else if slot.verdict.0 != State::Unknown {
                let since = *slot.differs_since.get_or_insert(at.now);
                if at.now.since(since) >= self.policy.enter_again_after {
                    slot.differs_since = None;
                    self.enter(at, check);
                }
            }
            self.wake(check);
        }
    }

    fn enter(&mut self, at: Moment, name: &CheckName) {
        let Some(slot) = self.slots.get(name) else {
            return;
        };
        let (to, reason) = slot.verdict;
        let votes = judge(at.now, &slot.definition, &self.electorate(slot), to, &self.policy).views;
        let transition = Transition {
            check: name.clone(),
            version: slot.definition.version,
            from: slot.stored.unwrap_or_default(),
            to,
            reason,
            at: at.wall,
            first_failing: first_failing(&votes),
            votes,
        };
        self.outputs.push_back(Output::Changed(Box::new(transition)));
        if let Some(slot) = self.slots.get_mut(name) {
            slot.stored = Some(to);
        }
    }
}

/// Whose failure lasts longest: most looks in a row, and of those the one that ended first.
fn first_failing(votes: &[View]) -> Option<crate::ids::WatchdogId> {
    let failing = votes.iter().filter(|view| view.stand == Stand::Failed);
    let looks = failing.filter_map(|view| Some((view, view.look.as_ref()?)));
    looks.max_by_key(|(_, look)| (look.failures, look.age_ms)).map(|(view, _)| view.watchdog.clone())
}
