//! What one watchdog's own looks at one check amount to.
//!
//! Life of a look: it runs; it ends with an outcome. A failure that would look the same if this watchdog's own network were
//! gone counts only beside canaries that answered meanwhile ([`super::outside`]). Until they have it is *held*; if they do not it was
//! own trouble. Only then is it turned round where the check is upside down: so a timeout is no success either before a canary
//! answered. Outcomes that count make runs; own trouble ends both.

use std::time::Duration;

use super::outside::{Proof, Unanswered};
use super::world::World;
use super::{Answer, CheckName, Failure, Look, Outcome, Policy, Trouble};
use crate::time::Mono;

/// No run is counted further.
const MOST: u32 = 1_000_000;

/// One watchdog's looks at one check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Eye {
    last: Option<Seen>,
    running: Option<Running>,
    held: Option<Held>,
    /// How long the target took the last time it answered.
    usually: Duration,
    /// When the last look began, and whether somebody had asked for it.
    pub(crate) begun: Option<(Mono, bool)>,
}

/// The last look that counts, or could not be made.
#[derive(Clone, Debug)]
struct Seen {
    number: u64,
    outcome: Outcome,
    failures: u32,
    successes: u32,
    began_at: Mono,
    ended_at: Mono,
    answer: Answer,
}

/// A look that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    pub(crate) number: u64,
    pub(crate) began_at: Mono,
    /// A peer asked for it then.
    pub(crate) asked_at: Option<Mono>,
    /// It took so long that the others were asked then.
    pub(crate) slow_at: Option<Mono>,
    /// It took so long that canaries were asked for, the last time then.
    pub(crate) doubted_at: Option<Mono>,
    /// It is well if it fails.
    is_upside_down: bool,
}

/// A look that failed in a way that may be this watchdog's own trouble.
#[derive(Clone, Debug)]
struct Held {
    running: Running,
    failure: Failure,
    answer: Answer,
    ended_at: Mono,
    until: Mono,
}

/// What the end of a look leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// It counts.
    Counted,
    /// It waits until canaries answer.
    Held,
}

impl Eye {
    /// A look begins.
    pub(crate) fn begin(&mut self, now: Mono, number: u64, asked_at: Option<Mono>, is_upside_down: bool) {
        let (slow_at, doubted_at) = (None, None);
        self.running = Some(Running { number, began_at: now, asked_at, slow_at, doubted_at, is_upside_down });
        self.begun = Some((now, asked_at.is_some()));
    }

    /// The look that runs; one that is held is over, and yet not known.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }

    /// Nothing is known yet of a look that began.
    pub(crate) fn is_pending(&self) -> bool {
        self.running.is_some() || self.held.is_some()
    }

    /// A failure waits until it is known whose it is.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// When a failure that waits has waited in vain.
    pub(crate) fn given_up_at(&self) -> Option<Mono> {
        self.held.as_ref().map(|held| held.until + Duration::from_micros(1))
    }

    /// The look that runs ended.
    pub(crate) fn end(&mut self, now: Mono, seen: (Outcome, Answer), world: &World, policy: &Policy) -> Ended {
        let Some(running) = self.running.take() else {
            return Ended::Held;
        };
        match seen {
            (Outcome::Failed(failure), answer) if failure.is_doubtful() => {
                self.held = Some(Held { running, failure, answer, ended_at: now, until: now });
                if self.settle(now, world, policy) { Ended::Counted } else { Ended::Held }
            }
            (outcome, answer) => {
                self.held = None;
                self.take((running, outcome), answer, now, policy);
                Ended::Counted
            }
        }
    }

    /// A canary answered, or time has passed; whether a held look is known now.
    pub(crate) fn settle(&mut self, now: Mono, world: &World, policy: &Policy) -> bool {
        let Some(mut held) = self.held.take() else {
            return false;
        };
        let look = self.unanswered(&held.running, held.ended_at);
        let outcome = match world.proof(now, look, policy) {
            Proof::Target => Outcome::Failed(held.failure),
            Proof::Own => Outcome::Unable(Trouble::CutOff),
            Proof::Open(until) => {
                held.until = until;
                self.held = Some(held);
                return false;
            }
        };
        self.take((held.running, outcome), held.answer, held.ended_at, policy);
        true
    }

    /// Numbers the last look, once it counts.
    pub(crate) fn number(&mut self, number: u64) {
        if let Some(seen) = &mut self.last {
            seen.number = number;
        }
    }

    fn unanswered(&self, running: &Running, ended_at: Mono) -> Unanswered {
        Unanswered { began_at: running.began_at, ended_at, usually: self.usually }
    }

    /// A look that was asked for, because somebody had seen the first failure, and took a while is as good as two; likewise one in which
    /// this watchdog had waited long enough to ask the others, and then as long again.
    fn is_as_two(&self, running: &Running, (failure, ended_at): (Failure, Mono), policy: &Policy) -> bool {
        let Some(since) = running.asked_at.or(running.slow_at) else {
            return false;
        };
        if !failure.is_doubtful() {
            // A refusal comes at once, and says nothing of the time before.
            return failure != Failure::Refused && ended_at.since(since) >= Policy::TOOK_A_WHILE;
        }
        let began_at = if running.asked_at.is_some() { running.began_at } else { since };
        Unanswered { began_at, ..self.unanswered(running, ended_at) }.is_as_two(policy)
    }

    fn take(&mut self, (running, seen): (Running, Outcome), mut answer: Answer, ended_at: Mono, policy: &Policy) {
        let outcome = if running.is_upside_down { seen.turned() } else { seen };
        if seen == Outcome::Up {
            self.usually = ended_at.since(running.began_at);
        }
        if outcome == Outcome::Up {
            answer.detail.clear();
        }
        let (failures, successes) = self.last.as_ref().map_or((0, 0), |seen| (seen.failures, seen.successes));
        let (failures, successes) = match outcome {
            Outcome::Up => (0, (successes + 1).min(MOST)),
            Outcome::Failed(failure) if failures == 0 && self.is_as_two(&running, (failure, ended_at), policy) => {
                (2, 0)
            }
            Outcome::Failed(_) => ((failures + 1).min(MOST), 0),
            Outcome::Unable(_) => (0, 0),
        };
        let began_at = running.began_at;
        self.last = Some(Seen { number: 0, outcome, failures, successes, began_at, ended_at, answer });
    }

    /// What came of the last look.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.last.as_ref().map(|seen| seen.outcome)
    }

    /// When that look began.
    pub(crate) fn began_at(&self) -> Option<Mono> {
        self.last.as_ref().map(|seen| seen.began_at)
    }

    /// How many looks in a row said the same.
    pub(crate) fn run(&self) -> u32 {
        self.last.as_ref().map_or(0, |seen| seen.failures.max(seen.successes))
    }

    /// How long the last look took that succeeded.
    pub(crate) fn usual_ms(&self) -> Option<u32> {
        self.last.as_ref().filter(|seen| seen.outcome == Outcome::Up).map(|seen| seen.answer.ms)
    }

    /// As it is told to peers, with the moment at which it ended.
    pub(crate) fn look(&self, now: Mono, check: &CheckName, version: u64) -> Option<(Look, Mono)> {
        let seen = self.last.as_ref()?;
        let look = Look {
            check: check.clone(),
            version,
            number: seen.number,
            outcome: seen.outcome,
            failures: seen.failures,
            successes: seen.successes,
            age_ms: u64::try_from(now.since(seen.ended_at).as_millis()).unwrap_or(u64::MAX),
            answer: seen.answer.clone(),
        };
        Some((look, seen.ended_at))
    }
}
