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
            // Leases are watched on another connection, which fares for itself; decisions wait for the next round.
            self.database.is_current = false;
        }
        let turn = self.leadership.handle(now, began_at, answer);
        self.take_turn(now, turn);
        // A round that ended while a renewal was under way found the connection busy: its decisions come now.
        self.lead(now);
    }

    pub(super) fn take_turn(&mut self, now: Mono, turn: Option<Turn>) {
        match turn {
            Some(Turn::Became(epoch)) => {
                self.leader.begin(epoch);
                // The one before may have decided since the rows at hand were read; after the claim it cannot any more.
                self.read_anew(now);
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
            self.database.is_current = false;
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
            self.take_turn(now, turn);
        }
        if matches!(commit, Commit::Failed(_)) {
            self.database.is_current = false;
        }
        // What was just changed is read at once, not a second later; what was refused after a pause.
        let jitter = u32::try_from((self.identity.incarnation.0 ^ self.seq).wrapping_mul(0x9E37_79B9) % 1_000);
        self.read_anew(now + self.leader.pause(&self.policy, jitter.unwrap_or(0)));
        self.lead(now);
    }

    /// The next decision rests on nothing that was asked for before this point.
    fn read_anew(&mut self, at: Mono) {
        self.fresh_after = at;
        (self.round_at, self.counts_from) = (at, at);
        self.errands.count_anew(at);
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
            // Spelled out: the leader is asked by a borrow of its own.
            let situation = Situation {
                now,
                round: &round,
                counts: &self.errands.counts,
                is_counted: self.is_counted(),
                assessor: &self.assessor,
                is_sole_witness: self.voters().is_sole_witness(),
                footing: self.footing(now),
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
