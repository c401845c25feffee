//! Looks begin and end.

use super::Machine;
use crate::check::eye::Ended;
use crate::check::schedule::{self, Moment};
use crate::check::verdict::Vote;
use crate::check::{Answer, CheckName, Failure, Outcome, Output, State, Trouble};
use crate::time::Mono;

/// A look that took so much longer than its timeout was timed by nobody: its process stood still.
const UNTIMED: std::time::Duration = std::time::Duration::from_secs(1);

impl Machine {
    /// A slot's deadline has come.
    pub(super) fn awake(&mut self, at: Moment, name: &CheckName) {
        let policy = self.policy.clone();
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let (me, living) = (&self.identity.watchdog, &self.living_since);
        slot.expire(at.now, &policy, |watchdog| watchdog == me || living.contains_key(watchdog));
        let is_looking = slot.definition.is_for(&self.identity.zone) && !slot.definition.paused;
        if is_looking && !slot.is_waiting && !slot.eye.is_pending() && slot.is_due(at.now) {
            slot.is_waiting = true;
            let is_urgent = at.now < slot.due_at;
            self.queue.push(name.clone(), is_urgent);
        }
        let is_slow = slot.slow_at(&policy).is_some_and(|slow_at| at.now >= slow_at);
        let is_lost = slot.lost_at(&policy).is_some_and(|lost_at| at.now >= lost_at);
        let is_over = slot.eye.given_up_at().is_some_and(|given_up_at| at.now >= given_up_at);
        let is_doubted = slot.doubt_at(&policy).is_some_and(|doubt_at| at.now >= doubt_at);
        if is_slow {
            self.note_slow(at.now, name);
        }
        if is_doubted {
            self.note_doubted(at.now, name);
        }
        if is_lost {
            self.end(at, name, Outcome::Unable(Trouble::Lost), Answer::default());
        } else if is_over && self.settle(at.now, name) {
            self.counted(at, name);
        } else {
            self.judge(at, name);
        }
    }

    pub(super) fn begin_looks(&mut self, at: Moment) {
        while let Some(name) = self.queue.pop(self.policy.budget) {
            self.begin(at, &name);
            self.wake(&name);
        }
    }

    fn begin(&mut self, at: Moment, name: &CheckName) {
        let Some(share) = self.slots.get(name).map(|slot| self.share(&slot.definition)) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(name).filter(|slot| slot.is_waiting) else {
            return;
        };
        slot.is_waiting = false;
        // It may have been paused while it waited.
        if slot.definition.paused || slot.eye.is_pending() {
            return;
        }
        if at.now >= slot.due_at {
            slot.due_at = schedule::next(at, name, slot.definition.interval, share);
        }
        slot.extra_at = slot.extra_at.filter(|extra| *extra > at.now);
        self.last_ticket += 1;
        slot.eye.begin(at.now, self.last_ticket, slot.asked_at.take(), slot.definition.upside_down);
        self.queue.begin();
        self.outputs.push_back(Output::Look { check: name.clone(), number: self.last_ticket });
    }

    /// The look of this number ended.
    pub(super) fn handle_looked(&mut self, at: Moment, name: &CheckName, number: u64, seen: (Outcome, Answer)) {
        let (outcome, answer) = seen;
        let running = self.slots.get(name).and_then(|slot| slot.eye.running().copied());
        let Some(running) = running.filter(|running| running.number == number) else {
            return;
        };
        let timeout = self.slots.get(name).map(|slot| slot.definition.timeout).unwrap_or_default();
        let is_untimed = at.now.since(running.began_at) > timeout + UNTIMED;
        let outcome = match outcome {
            Outcome::Failed(_) if self.members.is_isolated => Outcome::Unable(Trouble::CutOff),
            Outcome::Failed(_) if is_untimed => Outcome::Unable(Trouble::Stalled),
            Outcome::Up | Outcome::Failed(_) | Outcome::Unable(_) => outcome,
        };
        self.end(at, name, outcome, answer);
    }

    fn end(&mut self, at: Moment, name: &CheckName, outcome: Outcome, answer: Answer) {
        self.queue.end();
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        match slot.eye.end(at.now, (outcome, answer), &self.world, &self.policy) {
            Ended::Counted => self.counted(at, name),
            Ended::Held => {
                self.world.doubted.insert(name.clone());
                self.world.want(at.now, at.now, &self.policy);
                self.wake(name);
            }
        }
    }

    /// A look takes long: if it fails, canaries that answer meanwhile show that the network was well.
    fn note_doubted(&mut self, now: Mono, name: &CheckName) {
        let running = self.slots.get_mut(name).and_then(|slot| slot.eye.running_mut());
        if let Some(running) = running {
            let since = if running.doubted_at.is_some() { now } else { running.began_at };
            running.doubted_at = Some(now);
            self.world.want(now, since, &self.policy);
        }
    }

    pub(super) fn handle_canary(&mut self, at: Moment, asked_at: Mono, is_answered: bool) {
        if !is_answered {
            return;
        }
        self.world.note(at.now, asked_at);
        let doubted: Vec<_> = self.world.doubted.iter().cloned().collect();
        for name in doubted {
            if self.settle(at.now, &name) {
                self.counted(at, &name);
            }
        }
    }

    /// Whether a failure that was doubted is known now.
    fn settle(&mut self, now: Mono, name: &CheckName) -> bool {
        let Some(slot) = self.slots.get_mut(name) else {
            return false;
        };
        let is_known = slot.eye.settle(now, &self.world, &self.policy);
        if !slot.eye.is_held() {
            self.world.doubted.remove(name);
        }
        is_known
    }

    /// A look is known: it is a vote, or own trouble.
    fn counted(&mut self, at: Moment, name: &CheckName) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        self.last_number += 1;
        slot.eye.number(self.last_number);
        let Some((look, looked_at)) = slot.eye.look(at.now, name, slot.definition.version) else {
            return;
        };
        let (outcome, ms) = (look.outcome, look.answer.ms);
        self.outputs.push_back(Output::Counted { check: name.clone(), outcome, ms });
        let vote = Vote { look, looked_at, incarnation: self.identity.incarnation, is_expired: false };
        let earlier = slot.votes.insert(self.identity.watchdog.clone(), vote);
        if let Some(earlier) = earlier {
            self.numbers.remove(&earlier.look.number);
        }
        self.numbers.insert(self.last_number, name.clone());
        self.judge(at, name);
        self.follow_up(at.now, name);
        self.answer_tickets(at.now, name);
        self.wake(name);
    }

    /// When the next look is wanted, and whether the others are asked.
    fn follow_up(&mut self, now: Mono, name: &CheckName) {
        let policy = self.policy.clone();
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let (Some(outcome), Some(began_at)) = (slot.eye.outcome(), slot.eye.began_at()) else {
            return;
        };
        let state = slot.verdict.0;
        let (is_unable, is_against) = match outcome {
            Outcome::Up => (false, state == State::Down),
            Outcome::Failed(_) => (false, state != State::Down),
            Outcome::Unable(_) => (true, false),
        };
        if !is_unable && slot.eye.run() < policy.looks_running {
            // A refusal comes at once, however late it was that somebody could be asked.
            let seen_at = if outcome == Outcome::Failed(Failure::Refused) { now } else { began_at };
            slot.want(now.max(seen_at + policy.second_look_after));
        } else if is_unable || is_against {
            slot.want(now + policy.dissent_interval.min(slot.definition.interval));
        }
        if !is_against {
            slot.suspected_at = None;
            return;
        }
        slot.suspected_at.get_or_insert(began_at);
        self.ask_about(now, name);
    }
}
