//! Whether the outside world answered at a time: failures that may be one's own are believed only beside a canary that did.
//!
//! A look that begins while this watchdog's network is gone may fail long after the network is back. So what counts is a
//! canary that answered a probe of about the time at which the look began, not one that answers when it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{CheckName, Policy};
use crate::time::Mono;

/// A probe that began so much later than it might have still says how the network was.
const PROOF: Duration = Duration::from_secs(1);

/// Longer than any look lasts.
const REMEMBERED: Duration = Duration::from_secs(300);

/// What canaries said.
#[derive(Debug)]
pub(crate) struct World {
    /// When each probe that was answered began; `None`: there are no canaries, and every failure is believed.
    answered: Option<BTreeSet<Mono>>,
    asked_at: Option<Mono>,
    /// Canaries are to be asked for then.
    pub(crate) ask_at: Option<Mono>,
    /// Checks with a failure that waits for a canary.
    pub(crate) doubted: BTreeSet<CheckName>,
}

impl World {
    pub(crate) fn new(has_canaries: bool) -> Self {
        let answered = has_canaries.then(BTreeSet::new);
        Self { answered, asked_at: None, ask_at: None, doubted: BTreeSet::new() }
    }

    /// A probe that began then was answered.
    pub(crate) fn note(&mut self, now: Mono, began_at: Mono) {
        if let Some(answered) = &mut self.answered {
            answered.insert(began_at);
            *answered = answered.split_off(&(now - REMEMBERED));
        }
    }

    /// A failure between these two points is the target's.
    pub(crate) fn answered_beside(&self, began_at: Mono, ended_at: Mono, policy: &Policy) -> bool {
        let latest = ended_at.min(began_at + policy.doubt_after) + PROOF;
        self.answered.as_ref().is_none_or(|answered| answered.range(began_at..=latest).next().is_some())
    }

    /// Somebody wants to know; a probe that began at this point or later will do.
    pub(crate) fn want(&mut self, now: Mono, since: Mono, policy: &Policy) {
        if self.answered.is_none() || self.asked_at.is_some_and(|asked_at| asked_at >= since) {
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
        }
        is_due
    }
}
