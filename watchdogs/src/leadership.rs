//! Who leads: claiming, renewing and stepping down.
//!
//! Life: *following*, with an attempt at the advisory lock every 1 to 2 s; *claiming*, once the leader's `renewals`
//! stood still for [`Policy::claim_with_lock`] (lock held) or [`Policy::claim_without_lock`]; *leading*, with a renewal
//! every [`Policy::leader_renewal`], until a renewal fails, is refused, or the last successful one *began* longer ago
//! than [`Policy::leader_fence`]. The lock only makes the change quick; the row is the truth, and every decision is
//! guarded by it.

use std::time::Duration;

use crate::facts::LeaderRow;
use crate::ids::{Epoch, Incarnation};
use crate::io::{LeadershipAct, LeadershipAnswer};
use crate::policy::Policy;
use crate::time::Mono;
use crate::watch::Stillness;

/// While holding the lock of a leader that is gone, look again this soon.
const CLAIM_POLL: Duration = Duration::from_millis(250);

/// One watchdog's part in the leadership.
#[derive(Debug)]
pub struct Leadership {
    state: State,
    renewals: Stillness<(Epoch, Option<Incarnation>, u64)>,
    act_at: Mono,
    /// The leadership's connection is busy with an act or a decision.
    is_busy: bool,
    jitter: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Following {
        locked: bool,
    },
    Claiming {
        with_lock: bool,
    },
    Leading {
        epoch: Epoch,
        with_lock: bool,
        renewed_at: Mono,
    },
    /// The lock is to be given back before anything else.
    Releasing,
    /// Gave up for good: the process is stopping.
    Retired,
}

/// What changed for this watchdog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It leads now.
    Became(Epoch),
    /// It leads no more, and why.
    SteppedDown(Epoch, String),
}

impl Leadership {
    /// A follower. `jitter_seed` spreads the attempts of several watchdogs.
    pub fn new(now: Mono, jitter_seed: u64) -> Self {
        Self {
            state: State::Following { locked: false },
            renewals: Stillness::new(),
            act_at: now,
            is_busy: false,
            jitter: jitter_seed | 1,
        }
    }

    /// The leadership's number, while this watchdog may decide.
    pub fn epoch(&self, now: Mono, policy: &Policy) -> Option<Epoch> {
        match self.state {
            State::Leading { epoch, renewed_at, .. } if now.since(renewed_at) <= policy.leader_fence => Some(epoch),
            State::Leading { .. }
            | State::Following { .. }
            | State::Claiming { .. }
            | State::Releasing
            | State::Retired => None,
        }
    }

    /// Whether a decision can be sent now: leading, and the connection is free.
    pub fn is_free(&self) -> bool {
        !self.is_busy
    }

    /// The connection is busy with a decision from now on.
    pub fn begin_commit(&mut self) {
        self.is_busy = true;
    }

    /// The row as a round showed it.
    pub fn see(&mut self, began_at: Mono, ended_at: Mono, row: &LeaderRow) {
        self.renewals.see(began_at, ended_at, (row.epoch, row.holder, row.renewals));
    }

    /// An own database access failed: what stood still may have been the database.
    pub fn reset_watch(&mut self) {
        self.renewals.reset();
    }

    /// The next act, if one is due.
    pub fn poll(&mut self, now: Mono, policy: &Policy) -> Option<LeadershipAct> {
        if self.is_busy || now < self.act_at {
            return None;
        }
        let act = match self.state {
            State::Following { locked } => Some(self.follow(now, locked, policy)),
            State::Leading { epoch, with_lock, .. } => {
                self.act_at = now + policy.leader_renewal;
                Some(LeadershipAct::Renew { epoch, with_lock })
            }
            State::Releasing => {
                self.state = State::Following { locked: false };
                self.act_at = now + self.attempt_pause(policy);
                Some(LeadershipAct::Release)
            }
            State::Claiming { .. } | State::Retired => None,
        };
        self.is_busy = act.is_some();
        act
    }

    fn follow(&mut self, now: Mono, locked: bool, policy: &Policy) -> LeadershipAct {
        let seen = self.renewals.value().map_or(Epoch(0), |&(epoch, _, _)| epoch);
        let is_vacant = self.renewals.value().is_some_and(|&(_, holder, _)| holder.is_none());
        let may_claim_locked = locked && (is_vacant || self.renewals.is_still_for(policy.claim_with_lock));
        if may_claim_locked || self.renewals.is_still_for(policy.claim_without_lock) {
            self.state = State::Claiming { with_lock: may_claim_locked };
            return LeadershipAct::Claim { seen, with_lock: may_claim_locked };
        }
        self.act_at = now + if locked { CLAIM_POLL } else { self.attempt_pause(policy) };
        LeadershipAct::Attempt
    }

    /// 1 to 2 renewals, so that followers do not all knock at once.
    fn attempt_pause(&mut self, policy: &Policy) -> Duration {
        // xorshift64: no randomness comes into the core, a seed does.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let per_mille = u32::try_from(self.jitter % 1_000).unwrap_or(0);
        policy.leader_renewal + policy.leader_renewal * per_mille / 1_000
    }

    /// When [`Self::poll`] or [`Self::expire`] has something to do at the latest.
    pub fn due_at(&self, policy: &Policy) -> Mono {
        let act_at = if self.is_busy { Mono::micros(u64::MAX) } else { self.act_at };
        match self.state {
            State::Leading { renewed_at, .. } => act_at.min(renewed_at + policy.leader_fence + CLAIM_POLL),
            State::Following { .. } | State::Releasing => act_at,
            State::Claiming { .. } | State::Retired => Mono::micros(u64::MAX),
        }
    }

    /// Takes in the answer to an act that was sent at `began_at`.
    pub fn handle(&mut self, now: Mono, began_at: Mono, answer: LeadershipAnswer) -> Option<Turn> {
        self.is_busy = false;
        match answer {
            LeadershipAnswer::Attempted { locked, row } => {
                self.see(began_at, now, &row);
                if let State::Following { locked: held } = &mut self.state {
                    *held = locked;
                    if locked {
                        self.act_at = self.act_at.min(now + CLAIM_POLL);
                    }
                }
                None
            }
            LeadershipAnswer::Claimed(epoch) => self.lead(now, began_at, epoch),
            LeadershipAnswer::ClaimLost => {
                self.release(now);
                self.renewals.reset();
                None
            }
            LeadershipAnswer::Renewed => {
                self.note_renewal(began_at);
                None
            }
            LeadershipAnswer::Deposed(reason) => self.step_down(now, reason),
            LeadershipAnswer::Failed(reason) => {
                self.renewals.reset();
                let turn = self.step_down(now, reason);
                if matches!(self.state, State::Claiming { .. } | State::Following { .. }) {
                    self.state = State::Following { locked: false };
                    self.act_at = self.act_at.max(now + CLAIM_POLL);
                }
                turn
            }
            LeadershipAnswer::Released => None,
        }
    }

    fn lead(&mut self, now: Mono, began_at: Mono, epoch: Epoch) -> Option<Turn> {
        let State::Claiming { with_lock } = self.state else {
            return None;
        };
        self.state = State::Leading { epoch, with_lock, renewed_at: began_at };
        self.act_at = now;
        Some(Turn::Became(epoch))
    }

    /// A renewal, or a decision, that began at `began_at` succeeded.
    fn note_renewal(&mut self, began_at: Mono) {
        if let State::Leading { renewed_at, .. } = &mut self.state {
            *renewed_at = (*renewed_at).max(began_at);
        }
    }

    /// A decision that was sent at `began_at` was answered; `is_done` when it was committed.
    pub fn end_commit(&mut self, began_at: Mono, is_done: bool) {
        self.is_busy = false;
        if is_done {
            self.note_renewal(began_at);
        }
    }

    /// Steps down when the last successful renewal began too long ago.
    pub fn expire(&mut self, now: Mono, policy: &Policy) -> Option<Turn> {
        match self.state {
            State::Leading { renewed_at, .. } if now.since(renewed_at) > policy.leader_fence => {
                let ago = now.since(renewed_at).as_secs();
                self.step_down(now, format!("the last successful renewal began {ago} s ago"))
            }
            State::Leading { .. }
            | State::Following { .. }
            | State::Claiming { .. }
            | State::Releasing
            | State::Retired => None,
        }
    }

    /// Gives up the leadership, the lock first.
    pub fn step_down(&mut self, now: Mono, reason: String) -> Option<Turn> {
        let State::Leading { epoch, .. } = self.state else {
            return None;
        };
        self.release(now);
        Some(Turn::SteppedDown(epoch, reason))
    }

    fn release(&mut self, now: Mono) {
        self.state = State::Releasing;
        self.act_at = now;
    }

    /// The process stops: gives up the lock and never tries again. Returns the act, which is sent even while another is
    /// under way.
    pub fn retire(&mut self) -> LeadershipAct {
        self.state = State::Retired;
        self.is_busy = true;
        LeadershipAct::Release
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: u64, holder: u64, renewals: u64) -> LeaderRow {
        LeaderRow { epoch: Epoch(epoch), holder: Some(Incarnation(holder)), watchdog: None, renewals }
    }

    /// Follows a leader that renews until `gone` and not afterwards; returns when the claim is made, in milliseconds.
    fn claims_at(gone: u64, lock_free_at: u64) -> u64 {
        let policy = Policy::default();
        let mut follower = Leadership::new(Mono::secs(0), 7);
        for now in (0..60_000).step_by(50) {
            let at = Mono::millis(now);
            match follower.poll(at, &policy) {
                Some(LeadershipAct::Attempt) => {
                    let locked = now >= lock_free_at;
                    let row = row(3, 9, now.min(gone) / 1_000);
                    follower.handle(at, at, LeadershipAnswer::Attempted { locked, row });
                }
                Some(LeadershipAct::Claim { seen, .. }) => {
                    assert_eq!(seen, Epoch(3));
                    return now;
                }
                _ => {}
            }
        }
        u64::MAX
    }

    #[test]
    fn a_leader_whose_process_died_is_replaced_within_three_seconds() {
        assert!(claims_at(20_000, 20_000) <= 23_000);
    }

    #[test]
    fn a_leader_that_vanished_with_its_lock_is_replaced_within_fifteen_seconds() {
        assert!(claims_at(20_000, u64::MAX) <= 35_000);
    }

    #[test]
    fn a_leader_that_renews_is_not_replaced_even_when_its_lock_is_lost() {
        assert_eq!(claims_at(u64::MAX, 0), u64::MAX);
    }

    #[test]
    fn a_leader_steps_down_eight_seconds_after_its_last_successful_renewal_began() {
        let policy = Policy::default();
        let mut leader = Leadership::new(Mono::secs(0), 7);
        leader.state = State::Leading { epoch: Epoch(4), with_lock: true, renewed_at: Mono::secs(10) };
        assert_eq!(leader.epoch(Mono::secs(18), &policy), Some(Epoch(4)));
        assert_eq!(leader.expire(Mono::secs(18), &policy), None);
        assert_eq!(leader.epoch(Mono::millis(18_001), &policy), None);
        assert!(matches!(leader.expire(Mono::millis(18_001), &policy), Some(Turn::SteppedDown(Epoch(4), _))));
        assert_eq!(leader.poll(Mono::millis(18_001), &policy), Some(LeadershipAct::Release));
    }
}
