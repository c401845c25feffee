//! Some monitors depend on another: while that one is down, and people know it, nobody hears of them; afterwards what is still bad is
//! told.

use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::outbox::queue::{HELD_AT_MOST, SETTLES_WITHIN};

use super::judge::{Arrival, Variant};
use super::outbox::{State, millis};
use super::world::{Ms, Telling, monitor_key};
use crate::simulation::prng::Prng;

/// What was under way when the cause was told has arrived by then.
const SETTLED: i64 = 150_000;

/// From the end of a cause's time to the message, beside the bound on telling anything.
const SLACK: i64 = 15_000;

/// What depends on what.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(super) child: String,
    pub(super) cause: String,
}

impl Dependency {
    /// In some worlds, by numbers of its own: those without one are as they were.
    pub(super) fn draw(seed: u64, monitors: usize) -> Vec<Self> {
        let mut rng = Prng::new(seed ^ 0x0064_6570_656e_6473);
        if monitors < 2 || !rng.per_mille(400) {
            return vec![];
        }
        // A row of them, now and then: one thing behind the other.
        let is_row = rng.per_mille(300);
        let cause = |child: usize| if is_row { child - 1 } else { 0 };
        (1..monitors).map(|child| Self { child: monitor_key(child), cause: monitor_key(cause(child)) }).collect()
    }
}

impl Telling {
    /// Whether people know what explains this, or are just being told, or it is over a moment ago; for the judge.
    pub(super) fn has_cause(&self, key: &str) -> bool {
        let now = self.wall().0;
        self.outbox.dependencies.iter().filter(|one| one.child == key).any(|one| {
            let of_cause = |incident: usize| self.outbox.incidents[incident].key == one.cause;
            let (settling, fresh) = (millis(SETTLES_WITHIN) + SLACK, millis(HELD_AT_MOST) + SLACK);
            let is_over = |incident: usize| {
                let incident = &self.outbox.incidents[incident];
                !incident.is_open && (now - incident.resolved_at.0).abs() < settling
            };
            let is_coming = self.outbox.deliveries.iter().any(|row| {
                let is_young = (now - row.entered_at.0).abs() < fresh;
                of_cause(row.incident) && matches!(row.state, State::Waiting | State::Held) && is_young
            });
            let is_ending = (0..self.outbox.incidents.len()).any(|incident| of_cause(incident) && is_over(incident));
            is_coming || is_ending || self.anybody_believes(&one.cause) || self.has_cause(&one.cause)
        })
    }

    /// Nothing new is told of what depends on something that its channel was told of, and that is still bad.
    pub(super) fn invariant_dependencies_hold(&mut self, arrival: &Arrival) -> Result<(), String> {
        let now = self.wall().0;
        for item in arrival.items.iter().filter(|item| item.what != Event::Resolved && !arrival.is_dark) {
            let key = &self.outbox.incidents[item.incident].key;
            let mut causes = self.outbox.dependencies.iter().filter(|one| one.child == *key);
            let is_known = causes.any(|one| {
                let cause = self.outbox.is_open(&one.cause);
                let since = cause.map(|cause| self.outbox.incidents[cause].opened_at.0);
                let was_told = self.outbox.deliveries.iter().any(|row| {
                    let is_bad = self.outbox.events[row.event] != Event::Resolved;
                    let is_settled = (SETTLED..10 * SETTLED).contains(&(now - row.sent_at.0));
                    let is_of_it = Some(row.incident) == cause && row.channel == arrival.channel;
                    // Of this opening, not of one before.
                    is_of_it && is_bad && is_settled && row.state == State::Sent && Some(row.sent_at.0) >= since
                });
                was_told && self.believes_open(arrival.channel, &one.cause)
            });
            let was_tried = self
                .outbox
                .deliveries
                .iter()
                .any(|row| row.event == item.event && row.channel == arrival.channel && row.attempts > 1);
            if is_known && !was_tried {
                return Err(format!("dependencies_hold: what {key} depends on is known, and {item:?} is told"));
            }
        }
        Ok(())
    }

    /// As every courier reads it beside its queue.
    pub(super) fn note_dependencies(&mut self) {
        self.outbox.are_dependencies_ignored = self.is_broken(Variant::DependenciesIgnored);
        self.outbox.do_causes_last = self.is_broken(Variant::CausesNeverEnd);
    }
}

/// So that a cause that is declared and one that is not are not mixed up.
pub(super) fn is_settling(now: i64, resolved_at: i64) -> bool {
    let age: Option<Ms> = now.checked_sub(resolved_at).and_then(|age| age.try_into().ok());
    age.is_some_and(|age| u128::from(age) < SETTLES_WITHIN.as_millis())
}
