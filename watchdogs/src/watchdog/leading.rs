//! A watchdog as leader: its turns in office, and one transaction after another.
//!
//! What is to be decided is [`crate::leader`]'s; here is only when it may be asked, and what its answers change.

use super::Watchdog;
use crate::decision::Commit;
use crate::facts::Shard;
use crate::failover::Situation;
use crate::io::{Announcement, LeadershipAnswer, Output};
use crate::leadership::Turn;
use crate::time::Mono;

impl Watchdog {
    pub(super) fn handle_leadership(&mut self, now: Mono, began_at: Mono, answer: LeadershipAnswer) {
        if let LeadershipAnswer::Failed(_) = answer {
            // The same database, another connection: what the watches saw stand still may be its fault.
            self.roster.reset();
            self.database.is_current = false;
        }
        let turn = self.leadership.handle(now, began_at, answer);
        self.take_turn(turn);
        // A round that ended while a renewal was under way found the connection busy: its decisions come now.
        self.lead(now);
    }

    pub(super) fn take_turn(&mut self, turn: Option<Turn>) {
        match turn {
            Some(Turn::Became(epoch)) => {
                self.leader.begin(epoch);
                self.outputs.push_back(Output::Announce(Announcement::BecameLeader { epoch }));
            }
            Some(Turn::SteppedDown(epoch, reason)) => {
                self.leader.end();
                self.outputs.push_back(Output::Announce(Announcement::SteppedDown { epoch, reason }));
            }
            None => {}
        }
    }

    pub(super) fn handle_shard(&mut self, now: Mono, shard: Result<Box<Shard>, String>) {
        if let Ok(shard) = shard {
            self.leader.take_shard(shard);
            self.lead(now);
        } else {
            self.leader.lose_shard();
            self.handle_database_error(now);
        }
    }

    pub(super) fn handle_committed(&mut self, now: Mono, began_at: Mono, commit: &Commit) {
        let is_done = matches!(commit, Commit::Done { .. });
        self.leadership.end_commit(began_at, is_done);
        let reaction = self.leader.handle_committed(now, commit);
        for (node, lease_seq) in reaction.vacated {
            self.roster.note_vacated(&node, lease_seq);
        }
        self.outputs.extend(reaction.outputs);
        if let Some(reason) = reaction.deposed {
            let turn = self.leadership.step_down(now, reason);
            self.take_turn(turn);
        }
        if matches!(commit, Commit::Failed(_)) {
            self.handle_database_error(now);
        }
        // What was just changed is read at once, not a second later; what was refused after a pause.
        let jitter = u32::try_from((self.identity.incarnation.0 ^ self.seq).wrapping_mul(0x9E37_79B9) % 1_000);
        self.fresh_after = now + self.leader.pause(&self.policy, jitter.unwrap_or(0));
        self.round_at = self.fresh_after;
        self.lead(now);
    }

    /// As leader: the next transaction, if there is one.
    pub(super) fn lead(&mut self, now: Mono) {
        let may_decide = self.is_warm && self.database.is_current && !self.stopping;
        let Some(epoch) = self.leadership.epoch(now, &self.policy) else {
            return;
        };
        let Some(round) = self.round.take() else {
            return;
        };
        if may_decide && self.leadership.is_free() {
            let is_halted = !self.foreign.nodes(now, &round).is_empty();
            let overwritten = self.foreign.overwritten(now);
            let situation = Situation {
                now,
                round: &round,
                assessor: &self.assessor,
                is_sole_witness: self.voters().is_sole_witness(),
                overwritten: &overwritten,
                policy: &self.policy,
            };
            let is_fresh = round.began_at >= self.fresh_after;
            let rest = self.leader.poll_rest(&situation, epoch);
            let next = rest.or_else(|| is_fresh.then(|| self.leader.poll(&situation, epoch, is_halted)).flatten());
            if let Some(output) = next {
                if matches!(output, Output::Commit(_)) {
                    self.leadership.begin_commit();
                }
                self.outputs.push_back(output);
            }
        }
        self.round = Some(round);
    }
}
