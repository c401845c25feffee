//! The health of one target as one watchdog sees it: hysteresis over its own probes.
//!
//! Life: *unknown* until enough answers or failures came in a row, then *up* or *down*; it takes
//! [`Policy::failure_threshold`] failures to turn up into down and [`Policy::recovery_threshold`] answers to turn back.
//! An outcome that is this host's own trouble counts for neither; after as many of those as failures would take, nothing is
//! known any more. While a streak is being counted the target is probed every [`Policy::retry_interval`], else every
//! [`Policy::probe_interval`]; at once, and four times as often, where something else says that it may be gone
//! ([`Health::hurry`]). What a majority makes of it is [`crate::quorum`]'s business.

use crate::facts::{Observation, Target, Vote};
use crate::io::ProbeOutcome;
use crate::policy::Policy;
use crate::quorum::Word;
use crate::time::Mono;

/// One watchdog's probing of one target.
#[derive(Clone, Debug)]
pub struct Health {
    vote: Vote,
    failures: u32,
    answers: u32,
    outcomes: u32,
    /// Own troubles in a row.
    troubles: u32,
    detail: String,
    last: LastWord,
    is_hurried: bool,
    due_at: Mono,
    in_flight: bool,
}

/// What a target, or its host, said of itself when it was probed last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LastWord {
    None,
    /// Nobody listens there.
    Refused,
    /// The database does not answer it.
    Blind,
}

impl LastWord {
    fn of(outcome: &ProbeOutcome) -> Self {
        match outcome {
            ProbeOutcome::Refused(_) => Self::Refused,
            ProbeOutcome::Blind => Self::Blind,
            ProbeOutcome::Answered | ProbeOutcome::Failed(_) | ProbeOutcome::Unable(_) => Self::None,
        }
    }
}

impl Health {
    /// A target that is to be probed at once.
    pub fn new(now: Mono) -> Self {
        Self {
            vote: Vote::Unknown,
            failures: 0,
            answers: 0,
            outcomes: 0,
            troubles: 0,
            detail: String::new(),
            last: LastWord::None,
            is_hurried: false,
            due_at: now,
            in_flight: false,
        }
    }

    /// Starts counting anew: what was seen during an outage of one's own says nothing about the target.
    pub fn reset(&mut self, now: Mono) {
        let in_flight = self.in_flight;
        *self = Self { in_flight, ..Self::new(now) };
    }

    /// Whether a probe is due; if so it counts as under way.
    pub fn try_begin(&mut self, now: Mono) -> bool {
        let begins = !self.in_flight && now >= self.due_at;
        self.in_flight |= begins;
        begins
    }

    /// Something else says that it may be gone: it is probed now, and soon again until it answers or is down.
    pub fn hurry(&mut self, now: Mono) {
        if !self.is_hurried && self.vote != Vote::Down {
            self.is_hurried = true;
            self.due_at = self.due_at.min(now);
        }
    }

    /// When the next probe is due.
    pub fn due_at(&self) -> Option<Mono> {
        (!self.in_flight).then_some(self.due_at)
    }

    /// Takes in an outcome; returns whether the observation changed.
    pub fn handle(&mut self, now: Mono, outcome: &ProbeOutcome, policy: &Policy) -> bool {
        let before = (self.vote, self.failures, self.last);
        self.in_flight = false;
        self.last = LastWord::of(outcome);
        self.count(outcome, policy);
        match outcome {
            ProbeOutcome::Answered | ProbeOutcome::Blind => {
                self.failures = 0;
                self.detail.clear();
                self.is_hurried = false;
                self.answers = (self.answers + 1).min(policy.recovery_threshold);
                if self.answers == policy.recovery_threshold {
                    self.vote = Vote::Up;
                }
            }
            ProbeOutcome::Failed(detail) | ProbeOutcome::Refused(detail) => {
                self.answers = 0;
                self.detail.clone_from(detail);
                self.failures = (self.failures + 1).min(policy.failure_threshold);
                if self.failures == policy.failure_threshold {
                    self.vote = Vote::Down;
                    self.is_hurried = false;
                }
            }
            ProbeOutcome::Unable(detail) if self.is_unable(policy) => {
                self.detail.clone_from(detail);
                (self.vote, self.answers, self.failures) = (Vote::Unknown, 0, 0);
            }
            ProbeOutcome::Unable(_) => {}
        }
        let is_settled = match outcome {
            ProbeOutcome::Answered | ProbeOutcome::Blind => self.vote == Vote::Up,
            ProbeOutcome::Failed(_) | ProbeOutcome::Refused(_) => self.vote == Vote::Down,
            ProbeOutcome::Unable(_) => false,
        };
        // A target that is down stays on the short interval too: its return is worth knowing soon.
        let pause = if self.is_hurried {
            policy.retry_interval / 4
        } else if is_settled && self.failures == 0 {
            policy.probe_interval
        } else {
            policy.retry_interval
        };
        self.due_at = now + pause;
        before != (self.vote, self.failures, self.last)
    }

    fn count(&mut self, outcome: &ProbeOutcome, policy: &Policy) {
        match outcome {
            ProbeOutcome::Answered | ProbeOutcome::Blind | ProbeOutcome::Failed(_) | ProbeOutcome::Refused(_) => {
                self.outcomes = self.outcomes.saturating_add(1);
                self.troubles = 0;
            }
            ProbeOutcome::Unable(_) => self.troubles = (self.troubles + 1).min(policy.failure_threshold),
        }
    }

    /// This host cannot look at it, for as long as it would take a target to be down.
    pub fn is_unable(&self, policy: &Policy) -> bool {
        self.troubles >= policy.failure_threshold
    }

    /// Up, down, or not known yet.
    pub fn vote(&self) -> Vote {
        self.vote
    }

    /// How many probes were answered or failed since the start, or the last reset.
    pub fn outcomes(&self) -> u32 {
        self.outcomes
    }

    /// As it is written to the database and told to peers.
    pub fn observation(&self, target: Target) -> Observation {
        Observation {
            target,
            vote: self.vote,
            failures: self.failures,
            detail: self.detail.clone(),
            is_refused: self.is_refused(),
            is_blind: self.is_blind(),
        }
    }

    /// It is up, and said last that the database does not answer it.
    pub fn is_blind(&self) -> bool {
        self.vote == Vote::Up && self.last == LastWord::Blind
    }

    /// What this watchdog says of it in a vote.
    pub fn word(&self) -> Word {
        Word { vote: self.vote, is_refused: self.is_refused(), is_blind: self.is_blind() }
    }

    /// It is down, and its host said last that nobody listens there.
    pub fn is_refused(&self) -> bool {
        self.vote == Vote::Down && self.last == LastWord::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> ProbeOutcome {
        ProbeOutcome::Failed("connection refused".into())
    }

    fn healthy() -> Health {
        let mut health = Health::new(Mono::secs(0));
        for second in 0..3 {
            health.handle(Mono::secs(second), &ProbeOutcome::Answered, &Policy::default());
        }
        health
    }

    #[test]
    fn two_failures_do_not_make_a_target_down() {
        let mut health = healthy();
        health.handle(Mono::secs(7), &failed(), &Policy::default());
        health.handle(Mono::secs(8), &failed(), &Policy::default());
        assert_eq!(health.vote(), Vote::Up);
        health.handle(Mono::secs(9), &failed(), &Policy::default());
        assert_eq!(health.vote(), Vote::Down);
    }

    #[test]
    fn one_answer_does_not_make_a_target_up_again() {
        let mut health = healthy();
        for second in 7..10 {
            health.handle(Mono::secs(second), &failed(), &Policy::default());
        }
        health.handle(Mono::secs(10), &ProbeOutcome::Answered, &Policy::default());
        assert_eq!(health.vote(), Vote::Down);
    }

    #[test]
    fn own_trouble_is_no_failure_and_lasting_it_makes_unknown() {
        let trouble = ProbeOutcome::Unable("too many open files".to_owned());
        let mut health = healthy();
        health.handle(Mono::secs(6), &failed(), &Policy::default());
        health.handle(Mono::secs(7), &failed(), &Policy::default());
        for second in 8..10 {
            health.handle(Mono::secs(second), &trouble, &Policy::default());
            assert_eq!((health.vote(), health.outcomes()), (Vote::Up, 5));
        }
        health.handle(Mono::secs(10), &trouble, &Policy::default());
        assert_eq!(health.vote(), Vote::Unknown);
        health.handle(Mono::secs(11), &failed(), &Policy::default());
        assert_eq!(health.vote(), Vote::Unknown, "one failure after it says no more than one at the start");
    }

    #[test]
    fn after_a_failure_the_target_is_probed_again_within_a_second() {
        let mut health = healthy();
        assert_eq!(health.due_at(), Some(Mono::secs(7)));
        health.handle(Mono::secs(7), &failed(), &Policy::default());
        assert_eq!(health.due_at(), Some(Mono::secs(8)));
    }
}
