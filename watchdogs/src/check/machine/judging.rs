//! Judging a check anew whenever something about it is new, and saying what changed.

use std::collections::BTreeMap;

use super::Machine;
use crate::check::schedule::Moment;
use crate::check::verdict::{judge, weigh};
use crate::check::{CheckName, Known, Output, Reason, Stand, State, Transition, View};
use crate::time::Mono;

impl Machine {
    /// Judges one check, and sets its deadline anew.
    pub(super) fn judge(&mut self, at: Moment, name: &CheckName) {
        let Some(slot) = self.slots.get(name) else {
            return;
        };
        let (before, reason) = slot.verdict;
        let verdict = weigh(at.now, &slot.definition, &self.electorate(slot), before, &self.policy);
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        slot.verdict = verdict;
        if verdict.0 != before {
            let since = slot.is_since(verdict.0, at.wall);
            (slot.since, slot.changed_at, slot.differs_since) = (Some(since), at.now, None);
            slot.is_contradicted = false;
            // What stands against a verdict is the other thing from now on.
            let is_turned = (before == State::Down) != (verdict.0 == State::Down);
            slot.suspected_at = slot.suspected_at.filter(|_| !is_turned);
        } else if is_told_elsewhere(reason) && !is_told_elsewhere(verdict.1) {
            // It is unknown for another cause from now on.
            slot.changed_at = at.now;
            self.bad.forget(name);
        }
        self.bad.note(name, slot);
        let is_changed = verdict.0 != State::Unknown && verdict.0 != before && slot.stored != Some(verdict.0);
        let entered_at = slot.unknown_entered_at(&self.policy).or(slot.entered_again_at(&self.policy));
        if is_changed || entered_at.is_some_and(|entered_at| at.now >= entered_at) {
            self.enter(at, name);
        }
        self.wake(name);
    }

    /// The verdicts that stand in the store. One that differs for long could not be entered by whoever found it; one that
    /// differs for a moment was found by somebody who knows more.
    pub(super) fn handle_stored(&mut self, now: Mono, known: &[Known]) {
        let known: BTreeMap<_, _> = known.iter().map(|known| (&known.check, (known.state, known.since))).collect();
        for (name, slot) in &mut self.slots {
            slot.take_stored(now, known.get(name).copied());
        }
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names {
            self.wake(&name);
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
            at: slot.since.unwrap_or(at.wall),
            first_failing: first_failing(&votes),
            votes,
        };
        self.outputs.push_back(Output::Changed(Box::new(transition)));
        if let Some(slot) = self.slots.get_mut(name) {
            (slot.stored, slot.differs_since) = (Some(to), None);
        }
    }
}

/// Nobody is to look, or most are cut off: people know that already, and it says nothing of how few look at the check.
fn is_told_elsewhere(reason: Reason) -> bool {
    match reason {
        Reason::Paused | Reason::Isolated { .. } => true,
        Reason::Reached { .. }
        | Reason::Failed { .. }
        | Reason::MinorityFails { .. }
        | Reason::OneZone { .. }
        | Reason::Split { .. }
        | Reason::Settling { .. }
        | Reason::TooFewFresh { .. }
        | Reason::NoVoters => false,
    }
}

/// Whose failure lasts longest: most looks in a row, and of those the one that ended first.
fn first_failing(votes: &[View]) -> Option<crate::ids::WatchdogId> {
    let failing = votes.iter().filter(|view| view.stand == Stand::Failed);
    let looks = failing.filter_map(|view| Some((view, view.look.as_ref()?)));
    looks.max_by_key(|(_, look)| (look.failures, look.age_ms)).map(|(view, _)| view.watchdog.clone())
}
