//! Leading, on the database's side: the advisory lock, the row of the leader, and the decisions, judged and counted.

use komainu_watchdogs::decision::{Commit, Decision, Refusal, StatusReason, Step};
use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::ids::Nonce;
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};

use super::decisions::Transaction;
use super::invariants;
use super::world::World;

impl World {
    pub(crate) fn lead(&mut self, dog: usize, connection: u32, act: LeadershipAct) -> LeadershipAnswer {
        if matches!(act, LeadershipAct::Claim { .. } | LeadershipAct::Release) {
            self.trace(&(dog, act));
        }
        let me = self.dogs[dog].incarnation;
        let is_mine = self.server.lock == Some((dog, connection));
        let row = &mut self.database.leader;
        match act {
            LeadershipAct::Attempt => {
                let is_free = self.server.lock.is_none();
                if is_free {
                    self.server.lock = Some((dog, connection));
                }
                LeadershipAnswer::Attempted { locked: is_mine || is_free, row: row.clone() }
            }
            LeadershipAct::Claim { seen, with_lock } => {
                if row.epoch != seen || (with_lock && !is_mine) {
                    return LeadershipAnswer::ClaimLost;
                }
                row.epoch.0 += 1;
                row.renewals += 1;
                (row.holder, row.watchdog) = (Some(me), Some(self.dogs[dog].core.report().watchdog));
                self.ledger.leader = (row.epoch, Some(me));
                self.counts.leader_changes += 1;
                self.counts.lockless_claims += u64::from(!with_lock);
                LeadershipAnswer::Claimed(row.epoch)
            }
            LeadershipAct::Renew { epoch, with_lock } => {
                if (row.epoch, row.holder) != (epoch, Some(me)) || (with_lock && !is_mine) {
                    return LeadershipAnswer::Deposed(String::new());
                }
                row.renewals += 1;
                LeadershipAnswer::Renewed
            }
            LeadershipAct::Release => {
                if is_mine {
                    self.server.lock = None;
                }
                LeadershipAnswer::Released
            }
        }
    }

    pub(crate) fn commit(&mut self, decision: &Decision) -> Commit {
        let nonce = Nonce(self.rng.draw());
        let transaction = Transaction {
            database: &mut self.database,
            server: &self.server,
            ledger: &mut self.ledger,
            counts: &mut self.counts,
            now: self.now,
            variant: self.variant,
            nonce,
        };
        if let Some(refusal) = transaction.refusal(decision) {
            self.trace(&(&refusal, decision));
            self.count_refusal(&refusal);
            return Commit::Refused(refusal);
        }
        let carried_out = transaction.carried_out(decision);
        self.judge_decision(&carried_out);
        let mut transaction = Transaction {
            database: &mut self.database,
            server: &self.server,
            ledger: &mut self.ledger,
            counts: &mut self.counts,
            now: self.now,
            variant: self.variant,
            nonce,
        };
        let commit = transaction.apply(decision);
        self.note_owners();
        self.trace(&(&commit, decision));
        self.count_decision(decision);
        commit
    }

    fn judge_decision(&mut self, decision: &Decision) {
        let is_for_operators = self.ledger.is_frozen && !decision.moves.is_empty();
        self.counts.moved_while_frozen += u64::from(is_for_operators);
        let found = invariants::invariant_fenced(&self.ledger, decision)
            .and_then(|()| invariants::invariant_hands_win(self, decision))
            .and_then(|()| invariants::invariant_majority(self, decision))
            .and_then(|()| invariants::invariant_counted_once(self, decision));
        self.judge(found);
    }

    fn count_refusal(&mut self, refusal: &Refusal) {
        let counts = &mut self.counts;
        let count = match refusal {
            Refusal::Deposed => &mut counts.deposed_commits,
            Refusal::Frozen => &mut counts.frozen_refusals,
            Refusal::NodeLives(_) => &mut counts.lives_refusals,
            Refusal::GuardFailed(_) | Refusal::UnknownGeneration | Refusal::MetOthers => &mut counts.guard_refusals,
        };
        *count += 1;
    }

    fn count_decision(&mut self, decision: &Decision) {
        let counts = &mut self.counts;
        counts.failovers += u64::from(decision.moves.iter().any(|step| step.step == Step::Failover));
        for change in &decision.statuses {
            match change.status {
                NodeStatus::Unreachable => counts.unreachable += 1,
                NodeStatus::Offline => {
                    counts.offline += 1;
                    counts.killed_at_sight += u64::from(change.reason == StatusReason::ProcessGone);
                }
                NodeStatus::Stalled => counts.stalled += 1,
                NodeStatus::New | NodeStatus::Online => {}
            }
            counts.drains += u64::from(change.overlay == Overlay::Drained && change.overlay != change.overlay_seen);
        }
    }
}
