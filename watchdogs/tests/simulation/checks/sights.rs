//! Looks at targets and at canaries, and what they meet.

use komainu_watchdogs::check::{CheckName, Failure, Input, Outcome, Trouble};
use komainu_watchdogs::io::ProbeOutcome;
use komainu_watchdogs::policy::Policy as WatchdogPolicy;
use komainu_watchdogs::time::Mono;

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
                let timeout = over_at - sight.began_at;
                let takes = self.plan.takes(sight.check, self.now).min(timeout - SECOND / 10);
                let ends_at = self.plan.gets_through(sight.dog, self.now, self.now + takes);
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

    pub(super) fn probe_canary(&mut self, dog: usize, asked_at: Option<Mono>) {
        let tries = [self.now, self.now + SECOND];
        let is_old = self.variant == Some(Variant::OldCanaries) && asked_at.is_some();
        let answers = |at: Us| !self.plan.is_cut_off(dog, at);
        let did = |at: Us| is_old && (0..10).any(|ago| answers(at.saturating_sub(ago * SECOND)));
        let answered = tries.into_iter().find(|at| answers(*at) || did(*at)).map(|at| at + 20_000);
        let (process, is_answered) = (self.dogs[dog].process, answered.is_some());
        let ended = Event::CanaryEnded { dog, process, asked_at, is_answered };
        self.at(answered.unwrap_or(self.now + 3 * SECOND), ended);
    }

    /// What the watchdog's own rounds find is not told to its checks.
    pub(super) fn canary_ended(&mut self, dog: usize, asked_at: Option<Mono>, is_answered: bool) {
        if let Some(asked_at) = asked_at {
            self.tell(dog, Input::Canary { asked_at, is_answered });
            return;
        }
        let now = self.dogs[dog].mono(self.now);
        let outcome = if is_answered { ProbeOutcome::Answered } else { ProbeOutcome::Failed(String::new()) };
        self.dogs[dog].canary.handle(now, &outcome, &WatchdogPolicy::default());
        self.tell(dog, Input::Tick);
    }
}
