//! Looking in turn at monitors that their nodes call up: each once a round, and never more looks a second than the cluster is allowed.
//!
//! Of each monitor one watchdog looks, another one in the next round ([`crate::rota::Rota`]); only if that look fails all are asked. The
//! looks of a round are spread over it by how many there were in the one before. Where there are too many for the time, the round takes longer,
//! and says so ([`Rounds::lateness`]).

use std::time::Duration;

use crate::time::Mono;

/// Looks a second, of all watchdogs together.
const LOOKS_A_SECOND: u32 = 50;

/// What was due and not done in so long is not made up for: no burst after a standstill.
const CATCHES_UP: Duration = Duration::from_secs(1);

/// One watchdog's rounds.
#[derive(Debug)]
pub struct Rounds {
    each: Duration,
    number: i64,
    began_at: Mono,
    looks: u32,
    /// Of the round before.
    before: Option<(u32, Duration)>,
    free_at: Mono,
}

impl Rounds {
    /// `each`: how long one is to take.
    pub fn new(each: Duration, now: Mono) -> Self {
        Self { each, number: 0, began_at: now, looks: 0, before: None, free_at: now }
    }

    /// Which round it is: who looks changes with it.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// How many looks may begin now, of this watchdog's share among so many; each of them is then taken.
    pub fn leave(&self, now: Mono, living: u32) -> u32 {
        let free = now.since(self.free_at.max(now - CATCHES_UP)).as_micros();
        let share = share(living).as_micros().max(1);
        if now < self.free_at { 0 } else { u32::try_from(free / share).unwrap_or(u32::MAX).saturating_add(1) }
    }

    /// So many looks begin.
    pub fn take(&mut self, now: Mono, looks: u32, living: u32) {
        self.free_at = self.free_at.max(now - CATCHES_UP) + share(living) * looks;
    }

    /// Takes leave for one monitor of the round, which is spread over it; `false`: not yet.
    pub fn try_next(&mut self, now: Mono, living: u32) -> bool {
        let spread = self.before.map(|(looks, _)| self.each.mul_f64(0.9) / looks.max(1)).unwrap_or_default();
        if now < self.began_at + spread * self.looks || self.leave(now, living) == 0 {
            return false;
        }
        self.take(now, 1, living);
        self.looks += 1;
        true
    }

    /// All monitors have had their turn: whether it is time for the next round, which then begins.
    pub fn try_begin(&mut self, now: Mono) -> bool {
        let took = now.since(self.began_at);
        if took < self.each {
            return false;
        }
        self.before = Some((self.looks, took));
        (self.number, self.looks, self.began_at) = (self.number.wrapping_add(1), 0, now);
        true
    }

    /// How long the last round took where it took longer than it should, or how long this one has taken where that is longer.
    pub fn lateness(&self, now: Mono) -> Option<Duration> {
        let slack = self.each / 10;
        let took = self.before.map(|(_, took)| took).unwrap_or_default().max(now.since(self.began_at));
        (took > self.each + slack).then_some(took)
    }
}

fn share(living: u32) -> Duration {
    Duration::from_secs(1) * living.max(1) / LOOKS_A_SECOND
}
