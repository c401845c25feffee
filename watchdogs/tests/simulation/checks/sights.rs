//! Looks at targets and at canaries, and what they meet.

use komainu_watchdogs::check::{CheckName, Failure, Input, Outcome, Trouble};
use komainu_watchdogs::io::ProbeOutcome;
use komainu_watchdogs::policy::Policy as WatchdogPolicy;

use super::judge::Variant;
use super::plan::{Fault, Manner, SECOND, Us};
use super::world::{Event, World};

const REFUSED: Outcome = Outcome::Failed(Failure::Refused);
const HANGS: Outcome = Outcome::Failed(Failure::ConnectTimeout);

/// When a connection that nobody answers is tried again, after its beginning.
const TRIES: [Us; 3] = [SECOND, 3 * SECOND, 7 * SECOND];

/// A look of one process.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) dog: usize,
    pub(super) process: u64,
    pub(super) check: usize,
    pub(super) number: u64,
    pub(super) began_at: Us,
}

impl World {
    pub(super) fn look(&mut self, dog: usize, check: &CheckName, number: u64) {
        self.counts.looks += 1;
        let check = self.definitions.iter().position(|definition| definition.name == *check).unwrap();
        let sight = Sight { dog, process: self.dogs[dog].process, check, number, began_at: self.now };
        if self.plan.is(self.now, |fault| *fault == Fault::Trouble { dog }) {
            let own = Outcome::Unable(Trouble::Descriptors);
            let own = if self.variant == Some(Variant::OwnTroubleVotes) { REFUSED } else { own };
            self.at(self.now + 1_000, Event::LookEnded(sight, own));
            return;
        }
        self.try_look(sight);
    }

    pub(super) fn try_look(&mut self, sight: Sight) {
        let definition = &self.definitions[sight.check];
        let over_at = sight.began_at + Us::try_from(definition.timeout.as_micros()).unwrap();
        match self.plan.manner(sight.check, sight.dog, self.now) {
            None => {
                let ends_at = self.now + self.plan.takes(sight.check, self.now);
                let outcome = if ends_at <= over_at { Outcome::Up } else { HANGS };
                self.at(ends_at.min(over_at), Event::LookEnded(sight, outcome));
            }
            Some(Manner::Refuses) => self.at(self.now + 30_000, Event::LookEnded(sight, REFUSED)),
            Some(Manner::Hangs) => {
                let tries = TRIES.iter().map(|after| sight.began_at + after);
                match tries.filter(|at| *at > self.now && *at < over_at).min() {
                    Some(at) => self.at(at, Event::LookTried(sight)),
                    None => self.at(over_at, Event::LookEnded(sight, HANGS)),
                }
            }
        }
    }

    pub(super) fn probe_canary(&mut self, dog: usize, is_round: bool) {
        let is_cut = self.plan.is(self.now, |fault| matches!(fault, Fault::Uplink { dog: cut, .. } if *cut == dog));
        let takes = if is_cut { 3 * SECOND } else { 20_000 };
        let process = self.dogs[dog].process;
        self.at(self.now + takes, Event::CanaryEnded { dog, process, began_at: self.now, is_round });
    }

    pub(super) fn canary_ended(&mut self, dog: usize, began_at: Us, is_round: bool) {
        let is_answered = self.now - began_at < SECOND
            || !self.plan.was(
                began_at,
                self.now,
                |fault| matches!(fault, Fault::Uplink { dog: cut, .. } if *cut == dog),
            );
        let now = self.dogs[dog].mono(self.now);
        if is_round {
            let outcome = if is_answered { ProbeOutcome::Answered } else { ProbeOutcome::Failed(String::new()) };
            self.dogs[dog].canary.handle(now, &outcome, &WatchdogPolicy::default());
        }
        let began_at = self.dogs[dog].mono(began_at);
        self.tell(dog, Input::Canary { began_at, is_answered });
    }
}
