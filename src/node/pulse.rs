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

/// So many pushes in a row may fall into stalls: a job that is dead is told of all the same.
const MOST_EXCUSES: usize = 2;

/// A push that is due so shortly before or after a stall may have been sent within it.
const NEAR: Duration = Duration::from_secs(2);

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

    /// Since when a push is waited for, of which the last was heard then and one is due in each interval. What fell due while
    /// the process stood still was given up by who sent it: the next one is waited for from the end of the stall. Any other
    /// stall excuses nothing, or a job with a long interval could be dead for ever on a node that stands still now and then.
    pub fn waits_since(&self, heard_at: Mono, interval: Duration) -> Mono {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut since, mut excuses) = (heard_at, 0);
        for (began_at, ended_at) in stalls.iter().filter(|(_, ended_at)| *ended_at > heard_at) {
            let due_at = since + interval;
            let is_lost = due_at + NEAR >= *began_at && due_at <= *ended_at + NEAR;
            if is_lost && excuses < MOST_EXCUSES {
                (since, excuses) = (*ended_at, excuses + 1);
            }
        }
        since
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
    fn only_a_push_that_fell_due_while_the_loop_stood_still_is_waited_for_anew() {
        let day = Duration::from_secs(86_400);
        let (heard_at, pulse) = (Mono::secs(1_000), Pulse::new(Mono::secs(1_000)));
        let stand_still = |from: u64, to: u64| {
            pulse.beat_at_us.store(Mono::secs(from).as_micros(), Ordering::Relaxed);
            pulse.beat(Mono::secs(to));
        };
        stand_still(50_000, 50_010);
        assert_eq!(pulse.waits_since(heard_at, day), heard_at, "nothing was due then");
        stand_still(87_395, 87_405);
        assert_eq!(pulse.waits_since(heard_at, day), Mono::secs(87_405));
        stand_still(87_500, 87_510);
        assert_eq!(pulse.waits_since(heard_at, day), Mono::secs(87_405), "a stall more takes nothing back");
        assert_eq!(pulse.waits_since(Mono::secs(87_450), day), Mono::secs(87_450), "one that came is heard");
    }

    #[test]
    fn a_job_that_is_dead_is_late_however_often_the_loop_stands_still() {
        let pulse = Pulse::new(Mono::secs(0));
        for second in (10..3_000).step_by(10) {
            pulse.beat_at_us.store(Mono::secs(second).as_micros(), Ordering::Relaxed);
            pulse.beat(Mono::secs(second + 5));
        }
        assert!(pulse.waits_since(Mono::secs(5), Duration::from_secs(20)) < Mono::secs(100));
        assert_eq!(pulse.stalls.lock().unwrap().len(), 299);
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
