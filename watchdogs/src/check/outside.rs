//! Whether the outside world could be reached while something was looked at: what fails may be one's own network.
//!
//! Canaries are asked in rounds, and a round counts that one of them answers at the first try: later it says only that the
//! network came back. From these points it follows whether an outage of one's own may have made a look fail.
//!
//! 1. **It was asked in vain while the network was well.** A look tries again where nobody answers (TCP after 1 and 3 s). An
//!    outage that took all of its tries began before it and lasted until the last one: so a round that was answered in
//!    between refutes it, and one that was answered later does not. Of a look that has a single try two running make a
//!    vote, and the second one begins no sooner than a round of the first must be answered.
//! 2. **Nothing cut it off later.** What answers slowly can lose its answer in an outage that began meanwhile: so rounds
//!    that are answered go on until the look has ended, one that was asked then among them.
//!
//! What is left: an outage of less than [`Policy::outside_gap`] in the midst of a look, where the target needs nearly its whole timeout
//! anyway, and two outages, one for each look, with the network well in between. Either must meet a majority of the
//! watchdogs at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Policy;
use crate::time::Mono;

/// Longer than any look lasts.
const REMEMBERED: Duration = Duration::from_secs(300);

/// A look that nobody answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unanswered {
    /// When it began.
    pub began_at: Mono,
    /// When it was given up.
    pub ended_at: Mono,
    /// How long its target took the last time it answered.
    pub usually: Duration,
}

impl Unanswered {
    /// How long after its beginning it asked for the last time, in time for an answer.
    fn last_try(&self, policy: &Policy) -> Duration {
        let [first, second] = policy.tried_again;
        // A target may have become slow meanwhile: as long as it had already.
        let is_in_time = self.lasted() >= second + second.max(self.usually);
        if is_in_time { second } else { first }
    }

    /// Whether it asked a second time, in time for an answer: then it is as good as two.
    pub(crate) fn is_as_two(&self, policy: &Policy) -> bool {
        let [first, _] = policy.tried_again;
        self.lasted() >= first + (policy.outside_prompt / 2).max(self.usually)
    }

    fn lasted(&self) -> Duration {
        self.ended_at.since(self.began_at)
    }
}

/// Whose failure it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The target's: the outside world was there all the while.
    Target,
    /// Nobody can say yet: later than this it will be one's own.
    Open(Mono),
    /// Perhaps one's own.
    Own,
}

/// Rounds of canaries: when each was asked, and when the first of them answered.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    rounds: BTreeMap<Mono, Option<Mono>>,
}

impl Outside {
    /// A round of canaries is asked.
    pub fn ask(&mut self, now: Mono) {
        self.rounds.insert(now, None);
        self.rounds = self.rounds.split_off(&(now - REMEMBERED));
    }

    /// A canary of the round that was asked then answered.
    pub fn answered(&mut self, now: Mono, asked_at: Mono) {
        if let Some(round) = self.rounds.get_mut(&asked_at) {
            round.get_or_insert(now);
        }
    }

    /// Whose failure it was.
    pub fn proof(&self, now: Mono, look: Unanswered, policy: &Policy) -> Proof {
        let last_try = look.began_at + look.last_try(policy);
        let mut seen_at = None;
        for (asked_at, answered_at) in self.rounds.range(look.began_at..) {
            let prompt = answered_at.filter(|answered_at| answered_at.since(*asked_at) <= policy.outside_prompt);
            let counts = prompt.is_some_and(|answered_at| match seen_at {
                None => answered_at <= last_try,
                Some(seen) => asked_at.since(seen) <= policy.outside_gap,
            });
            seen_at = if counts { Some(*asked_at) } else { seen_at };
        }
        let until = match seen_at {
            Some(seen) if seen >= look.ended_at => return Proof::Target,
            Some(seen) => (seen + policy.outside_gap).min(look.ended_at + policy.canary_pause) + policy.outside_prompt,
            None => last_try,
        };
        if now <= until { Proof::Open(until) } else { Proof::Own }
    }
}
