//! One check as one watchdog holds it: its own looks, everybody's words, the verdict, and when there is something to do.

use std::collections::BTreeMap;

use crate::check::eye::Eye;
use crate::check::verdict::{Vote, fresh_for};
use crate::check::{Definition, Policy, Reason, State};
use crate::ids::WatchdogId;
use crate::time::{Mono, Wall};

/// Everything one watchdog knows of one check.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) definition: Definition,
    pub(super) eye: Eye,
    /// It is what it is since then, and this process has not stood still.
    pub(super) known_since: Mono,
    /// Since then somebody may not have been heard of yet; `None`: whoever says nothing now has nothing to say.
    pub(super) awaiting_since: Option<Mono>,
    /// Each watchdog's latest look, this one's among them.
    pub(super) votes: BTreeMap<WatchdogId, Vote>,
    /// The next regular look.
    pub(super) due_at: Mono,
    /// A look beside those: to confirm, because a peer asked, or while it stands against the verdict.
    pub(super) extra_at: Option<Mono>,
    /// A peer asked for the next look then.
    pub(super) asked_at: Option<Mono>,
    /// A peer asked lately, and asks all others itself.
    pub(super) asked_by_peer_at: Option<Mono>,
    /// It waits in the queue.
    pub(super) is_waiting: bool,
    /// The first look that contradicts the verdict began then.
    pub(super) suspected_at: Option<Mono>,
    pub(super) verdict: (State, Reason),
    pub(super) since: Option<Wall>,
    /// When the verdict became what it is.
    pub(super) changed_at: Mono,
    /// What stands in the store, as far as is known: what was read, or entered here since.
    pub(super) stored: Option<State>,
    /// What was read there last.
    pub(super) read: Option<State>,
    /// Since when that was read, and since when it holds, by what was read.
    pub(super) read_since: Mono,
    pub(super) holds_since: Option<Wall>,
    /// While it was unknown here somebody else could say what it is, and entered that.
    pub(super) is_contradicted: bool,
    /// The store differs from the verdict since then.
    pub(super) differs_since: Option<Mono>,
    pub(super) wake_at: Mono,
}

impl Slot {
    pub(super) fn new(definition: Definition, first_at: Mono, now: Mono) -> Self {
        Self {
            definition,
            eye: Eye::default(),
            votes: BTreeMap::new(),
            known_since: now,
            awaiting_since: Some(now),
            due_at: first_at,
            extra_at: None,
            asked_at: None,
            asked_by_peer_at: None,
            is_waiting: false,
            suspected_at: None,
            verdict: (State::Unknown, Reason::NoVoters),
            since: None,
            changed_at: now,
            stored: None,
            read: None,
            read_since: now,
            holds_since: None,
            is_contradicted: false,
            differs_since: None,
            wake_at: now,
        }
    }

    /// Something else is looked at from now on; whether a look at what was before runs, which nobody waits for any more.
    pub(super) fn look_anew(&mut self, now: Mono) -> bool {
        let is_running = self.eye.running().is_some();
        self.await_all(now);
        self.eye = Eye::default();
        self.votes.clear();
        (self.suspected_at, self.extra_at) = (None, None);
        (self.asked_at, self.asked_by_peer_at) = (None, None);
        is_running
    }

    /// Nothing is sure any more, until it is judged again.
    pub(super) fn doubt(&mut self, now: Mono) {
        self.is_contradicted &= self.verdict.0 == State::Unknown;
        self.verdict.0 = State::Unknown;
        self.changed_at = now;
        self.await_all(now);
        self.suspected_at = None;
        self.differs_since = None;
    }

    fn await_all(&mut self, now: Mono) {
        (self.known_since, self.awaiting_since) = (now, Some(now));
    }

    /// A look is due.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        now >= self.due_at || self.extra_at.is_some_and(|at| now >= at)
    }

    /// A look is wanted at this moment at the latest.
    pub(super) fn want(&mut self, at: Mono) {
        self.extra_at = Some(self.extra_at.map_or(at, |known| known.min(at)));
    }

    /// Its verdict is unknown, and not entered as such: when it will be. One watchdog that does not know says nothing against
    /// those that do, and what somebody has just entered may be known here in a moment; that nobody looks, by order, is known.
    pub(super) fn unknown_entered_at(&self, policy: &Policy) -> Option<Mono> {
        let is_news = self.stored.is_some_and(|stored| stored != State::Unknown);
        let is_ours_to_say = !self.is_contradicted || self.verdict.1 == Reason::Paused;
        let is_entered = self.verdict.0 == State::Unknown && is_news && is_ours_to_say;
        is_entered.then(|| self.changed_at.max(self.read_since) + policy.unknown_entered_after)
    }

    /// Its verdict is known, and another one stands in the store: when it is entered again.
    pub(super) fn entered_again_at(&self, policy: &Policy) -> Option<Mono> {
        let since = self.differs_since.filter(|_| self.verdict.0 != State::Unknown)?;
        (self.stored != Some(self.verdict.0)).then(|| since + policy.enter_again_after)
    }

    /// This stands in the store; nothing does where there is no row.
    pub(super) fn take_stored(&mut self, now: Mono, found: Option<(State, Wall)>) {
        let state = found.map(|(state, _)| state);
        let is_news = self.stored.is_some() && self.stored != state && self.read != state;
        if is_news && self.verdict.0 == State::Unknown && state.is_some_and(|state| state != State::Unknown) {
            self.is_contradicted = true;
        }
        if self.read != state {
            self.read_since = now;
        }
        (self.stored, self.read, self.holds_since) = (state, state, found.map(|(_, since)| since));
        if state == Some(self.verdict.0) {
            self.since = found.map(|(_, since)| since);
            self.differs_since = None;
        } else {
            self.differs_since.get_or_insert(now);
        }
    }

    /// A look that runs is slow, unless something speaks against asking for that.
    pub(super) fn slow_at(&self, policy: &Policy) -> Option<Mono> {
        let running = self.eye.running().filter(|running| running.slow_at.is_none() && running.asked_at.is_none())?;
        let usual = std::time::Duration::from_millis(2 * u64::from(self.eye.usual_ms()?));
        let slow_after = policy.slow_after.max(usual);
        let is_news = self.verdict.0 != State::Down && slow_after < self.definition.timeout;
        is_news.then(|| running.began_at + slow_after)
    }

    /// A look that runs may end as a failure that needs canaries beside it.
    pub(super) fn doubt_at(&self, policy: &Policy) -> Option<Mono> {
        let running = self.eye.running()?;
        let first_at = running.began_at + policy.doubt_after.min(self.definition.timeout / 2);
        Some(running.doubted_at.map_or(first_at, |doubted_at| doubted_at + policy.doubt_again))
    }

    /// A look that runs will never end.
    pub(super) fn lost_at(&self, policy: &Policy) -> Option<Mono> {
        self.eye.running().map(|running| running.began_at + self.definition.timeout + policy.lost_after)
    }

    /// When there is something to do next. Votes that are stale already bring nothing.
    pub(super) fn next_wake(&self, is_looking: bool, policy: &Policy) -> Mono {
        let begins = is_looking && !self.is_waiting && !self.eye.is_pending();
        let due = begins.then(|| self.extra_at.map_or(self.due_at, |extra| extra.min(self.due_at)));
        let fresh = fresh_for(&self.definition, policy);
        let stale = self.votes.values().filter(|vote| !vote.is_expired).map(|vote| vote.looked_at + fresh).min();
        let stale = stale.map(|at| at + std::time::Duration::from_micros(1));
        let heard = self.awaiting_since.map(|since| since + fresh + std::time::Duration::from_micros(1));
        let deadlines = [
            due,
            stale,
            heard,
            self.slow_at(policy),
            self.doubt_at(policy),
            self.lost_at(policy),
            self.eye.given_up_at(),
            self.unknown_entered_at(policy),
            self.entered_again_at(policy),
        ];
        deadlines.into_iter().flatten().min().unwrap_or(Mono::micros(u64::MAX))
    }

    /// Its verdict has just become this. The first one of a process goes on with what stood in the store.
    pub(super) fn is_since(&self, state: State, wall: Wall) -> Wall {
        let stood = self.holds_since.filter(|_| self.since.is_none() && self.read == Some(state));
        stood.unwrap_or(wall)
    }

    /// Votes that are stale by now are not waited for any more, and those of watchdogs that are no more are forgotten.
    pub(super) fn expire(&mut self, now: Mono, policy: &Policy, is_known: impl Fn(&WatchdogId) -> bool) {
        let fresh = fresh_for(&self.definition, policy);
        self.awaiting_since = self.awaiting_since.filter(|since| now.since(*since) <= fresh);
        self.votes.retain(|watchdog, vote| {
            vote.is_expired = now.since(vote.looked_at) > fresh;
            !vote.is_expired || is_known(watchdog)
        });
    }
}
