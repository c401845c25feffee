//! The pulse of the node's loop: how far it lags, and whether the process stood still while a run was under way.
//!
//! A process that was stopped, swapped out or starved sees timeouts that are its own; runs ask here before they blame
//! their target.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use komainu_watchdogs::time::Mono;

use crate::clock;

/// How often the loop beats.
pub const BEAT: Duration = Duration::from_millis(250);

/// A loop that misses its beat by more than this stood still: targets answer faster, so their answers may have been
/// missed.
const STALL: Duration = Duration::from_millis(1_500);

/// So many stalls are remembered.
const MOST_STALLS: usize = 1_024;

/// Shared by the loop, which beats, and those who ask.
#[derive(Debug)]
pub struct Pulse {
    beat_at_us: AtomicU64,
    stall_ended_us: AtomicU64,
    /// From when to when, the latest last.
    stalls: Mutex<VecDeque<(Mono, Mono)>>,
}

impl Pulse {
    /// Beats for the first time.
    pub fn new(now: Mono) -> Self {
        Self {
            beat_at_us: AtomicU64::new(now.as_micros()),
            stall_ended_us: AtomicU64::new(0),
            stalls: Mutex::new(VecDeque::new()),
        }
    }

    /// The loop is alive.
    pub fn beat(&self, now: Mono) {
        let before = Mono::micros(self.beat_at_us.swap(now.as_micros(), Ordering::Relaxed));
        if now.since(before) > BEAT + STALL {
            self.stall_ended_us.store(now.as_micros(), Ordering::Relaxed);
            let mut stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
            stalls.push_back((before, now));
            if stalls.len() > MOST_STALLS {
                stalls.pop_front();
            }
            tracing::warn!(stalled_ms = u64::try_from(now.since(before).as_millis()).ok(), "this node stood still");
        }
    }

    /// How long the loop is overdue.
    pub fn lag(&self) -> Duration {
        let beat_at = Mono::micros(self.beat_at_us.load(Ordering::Relaxed));
        clock::now().since(beat_at).saturating_sub(BEAT)
    }

    /// From when to when the process stood still, of the stalls that ended since; the latest last.
    pub fn stalls_since(&self, since: Mono) -> Vec<(Mono, Mono)> {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls.iter().filter(|(_, ended_at)| *ended_at > since).copied().collect()
    }

    /// Whether the process stood still at some time since `since`.
    pub fn stalled_since(&self, since: Mono) -> bool {
        Mono::micros(self.stall_ended_us.load(Ordering::Relaxed)) > since || self.lag() > STALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_stalls_are_remembered_and_no_more() {
        let pulse = Pulse::new(Mono::secs(0));
        for second in (10..20_000).step_by(10) {
            pulse.beat_at_us.store(Mono::secs(second).as_micros(), Ordering::Relaxed);
            pulse.beat(Mono::secs(second + 5));
        }
        assert_eq!(pulse.stalls_since(Mono::secs(0)).len(), MOST_STALLS);
        assert_eq!(pulse.stalls_since(Mono::secs(19_990)), [(Mono::secs(19_990), Mono::secs(19_995))]);
    }

    #[test]
    fn a_loop_that_stood_still_is_remembered_for_the_runs_of_that_time() {
        let now = clock::now();
        let pulse = Pulse::new(now - Duration::from_secs(5));
        pulse.beat(now);
        assert!(pulse.stalled_since(now - Duration::from_secs(1)));
        assert!(!pulse.stalled_since(now + Duration::from_millis(1)));
    }
}
