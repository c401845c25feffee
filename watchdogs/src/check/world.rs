//! Canaries of the outside world: when they are to be asked, and which failures wait for their answers.
//!
//! Failures that may be one's own are believed only beside canaries that answered; what these prove is in
//! [`Outside`].

use std::collections::BTreeSet;

use super::outside::{Outside, Proof, Unanswered};
use super::{CheckName, Policy};
use crate::time::Mono;

/// What canaries said.
#[derive(Debug)]
pub(crate) struct World {
    /// `None`: there are no canaries, and every failure is believed.
    outside: Option<Outside>,
    asked_at: Option<Mono>,
    /// Canaries are to be asked for then.
    pub(crate) ask_at: Option<Mono>,
    /// Checks with a failure that waits for a canary.
    pub(crate) doubted: BTreeSet<CheckName>,
}

impl World {
    pub(crate) fn new(has_canaries: bool) -> Self {
        let outside = has_canaries.then(Outside::default);
        Self { outside, asked_at: None, ask_at: None, doubted: BTreeSet::new() }
    }

    /// A canary that was asked then answered.
    pub(crate) fn note(&mut self, now: Mono, asked_at: Mono) {
        if let Some(outside) = &mut self.outside {
            outside.answered(now, asked_at);
        }
    }

    /// Whose failure it was.
    pub(crate) fn proof(&self, now: Mono, look: Unanswered, policy: &Policy) -> Proof {
        self.outside.as_ref().map_or(Proof::Target, |outside| outside.proof(now, look, policy))
    }

    /// Somebody wants to know; a probe that began at this point or later will do.
    pub(crate) fn want(&mut self, now: Mono, since: Mono, policy: &Policy) {
        if self.outside.is_none() || self.asked_at.is_some_and(|asked_at| asked_at >= since) {
            return;
        }
        let at = self.asked_at.map_or(now, |asked_at| now.max(asked_at + policy.canary_pause));
        self.ask_at = Some(self.ask_at.map_or(at, |known| known.min(at)));
    }

    /// Whether canaries are to be asked for now.
    pub(crate) fn try_ask(&mut self, now: Mono) -> bool {
        let is_due = self.ask_at.is_some_and(|at| now >= at);
        if is_due {
            (self.asked_at, self.ask_at) = (Some(now), None);
            self.outside.iter_mut().for_each(|outside| outside.ask(now));
        }
        is_due
    }
}
