//! Every threshold of the decision core, with the reason for its number.
//!
//! The defaults are those of the design; a configuration may change the ones that are a matter of taste. The
//! relations that safety rests on are checked by [`Policy::validate`], not left to care.

use std::time::Duration;

use serde::Serialize;

use crate::telling::FAILING_AFTER;

/// How a lost node gets its monitors back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// By itself, after the cool-off.
    #[default]
    Auto,
    /// Only when an operator says so.
    Manual,
}

/// The thresholds of one watchdog. All of a cluster's watchdogs are configured alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Policy {
    /// How often each target is probed while it answers.
    pub probe_interval: Duration,
    /// How soon after a failure a target is probed again: three failures then take 2 s and not 10 s.
    pub retry_interval: Duration,
    /// How long one probe may take.
    pub probe_timeout: Duration,
    /// Failures in a row until this watchdog votes a target down.
    pub failure_threshold: u32,
    /// Answers in a row until this watchdog votes a target up again.
    pub recovery_threshold: u32,
    /// How often the small tables are read and verdicts renewed.
    pub round_interval: Duration,
    /// How often a node raises `lease_seq`.
    pub lease_renewal: Duration,
    /// How long a node may run monitors after *sending* its last successful renewal.
    pub lease_fence: Duration,
    /// How long a lease must be watched unchanged until it has ended: longer than [`Self::lease_fence`] plus one
    /// renewal, so that a node stops by itself before anybody takes over.
    pub lease_watch: Duration,
    /// How long a killed process is watched: its lock is free and its counter stands for this long. Longer than one renewal:
    /// a node that lives has renewed by then, and said so, or found that its connection is gone, and stopped.
    pub killed_watch: Duration,
    /// How long a node starts nothing after it saw that the database lost its tail: who does not know yet has lost its
    /// lease by then, or seen it too.
    pub quarantine: Duration,
    /// How long a contradictory state (stalled, lease ended but reachable) is tolerated before monitors move.
    pub stall_grace: Duration,
    /// How long an unreachable node keeps its push monitors: senders cannot reach it either.
    pub push_grace: Duration,
    /// Rounds of split votes until reach is *undecided*.
    pub split_rounds: u32,
    /// Full rounds of probes a watchdog completes after its start, before it moves anything.
    pub warmup_rounds: u32,
    /// How long a watchdog's row may stand still until it is no voter.
    pub voter_watch: Duration,
    /// How often the leader renews.
    pub leader_renewal: Duration,
    /// A leader steps down when its last successful renewal *began* longer ago than this.
    pub leader_fence: Duration,
    /// Holding the advisory lock, `renewals` unchanged for this long may be claimed: a renewal and a half.
    pub claim_with_lock: Duration,
    /// Without the lock, `renewals` unchanged for this long may be claimed: longer than [`Self::leader_fence`], so the
    /// old leader has stepped down by its own clock.
    pub claim_without_lock: Duration,
    /// How long a released monitor waits for its source's acknowledgement before the source is revoked.
    pub acknowledge_wait: Duration,
    /// Two nodes going stale within this span stop all moves for lack of progress: the common cause is elsewhere.
    pub stale_together: Duration,
    /// A node that was online within this span counts when asking whether most nodes were lost at once.
    pub mass_loss_window: Duration,
    /// How long the first node that is back after none ran anything waits for others before it gets what they had: what
    /// took all of them gives them back within seconds of each other.
    pub company_wait: Duration,
    /// First wait before monitors go home; doubles with each loss.
    pub cool_off_first: Duration,
    /// The longest such wait.
    pub cool_off_most: Duration,
    /// After this long without a loss, earlier losses are forgotten.
    pub cool_off_forgotten: Duration,
    /// Whether monitors go home by themselves.
    pub recovery: Recovery,
    /// Monitors a node takes unless its row says otherwise.
    pub monitor_limit_per_node: u32,
    /// Monitors moved by one transaction: measured to stay well below its 2 s.
    pub batch: usize,
    /// Monitors moved off a living node in one step; the next step follows once they arrived.
    pub batch_living: usize,
    /// Monitors that a stock Kuma is given in one minute, failovers aside: it takes half a minute and more to start a
    /// thousand.
    pub moves_per_minute: usize,
    /// How long the cluster may be without a leader until an incident says so.
    pub leaderless_grace: Duration,
    /// How long an active monitor may be without a living owner until `/status` says so: the failover bound of a lease
    /// that ended while reach is up.
    pub orphan_bound: Duration,
    /// How long nobody can be told anything until it is the same as not watching: `/status` is down, and the dead-man hears
    /// nothing. Longer than a vendor's usual trouble.
    pub mute_limit: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(5),
            retry_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(3),
            failure_threshold: 3,
            recovery_threshold: 3,
            round_interval: Duration::from_secs(1),
            lease_renewal: Duration::from_secs(2),
            lease_fence: Duration::from_secs(8),
            lease_watch: Duration::from_secs(11),
            killed_watch: Duration::from_millis(2_500),
            quarantine: Duration::from_secs(11),
            stall_grace: Duration::from_secs(30),
            push_grace: Duration::from_secs(60),
            split_rounds: 3,
            warmup_rounds: 2,
            voter_watch: Duration::from_secs(6),
            leader_renewal: Duration::from_secs(1),
            leader_fence: Duration::from_secs(8),
            claim_with_lock: Duration::from_millis(1_500),
            claim_without_lock: Duration::from_secs(10),
            acknowledge_wait: Duration::from_secs(10),
            stale_together: Duration::from_secs(60),
            mass_loss_window: Duration::from_secs(60),
            company_wait: Duration::from_secs(5),
            cool_off_first: Duration::from_secs(30),
            cool_off_most: Duration::from_secs(3_600),
            cool_off_forgotten: Duration::from_secs(6 * 3_600),
            recovery: Recovery::Auto,
            monitor_limit_per_node: 1_000,
            batch: 5_000,
            batch_living: 1_000,
            moves_per_minute: 1_000,
            leaderless_grace: Duration::from_secs(15),
            orphan_bound: Duration::from_secs(60),
            mute_limit: Duration::from_secs(900),
        }
    }
}

/// A relation between thresholds that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyFault {
    /// The threshold to change, by its name in [`Policy`].
    pub field: &'static str,
    /// What it must satisfy.
    pub rule: &'static str,
}

impl Policy {
    /// The three intervals after which a database that takes no write, or a watchdog without a verdict, is told of.
    pub fn verdict_limit(&self) -> Duration {
        3 * self.probe_interval
    }

    /// Checks the relations that safety and liveness rest on.
    pub fn validate(&self) -> Result<(), PolicyFault> {
        let rules = [
            (!self.probe_interval.is_zero(), "probe_interval", "must be longer than 0"),
            (!self.probe_timeout.is_zero(), "probe_timeout", "must be longer than 0"),
            (self.failure_threshold > 0, "failure_threshold", "must be at least 1"),
            (self.recovery_threshold > 0, "recovery_threshold", "must be at least 1"),
            (self.lease_fence >= 2 * self.lease_renewal, "lease_fence", "must be at least two renewals"),
            (
                self.lease_watch >= self.lease_fence + self.lease_renewal,
                "lease_watch",
                "must be at least lease_fence + lease_renewal",
            ),
            (self.killed_watch > self.lease_renewal, "killed_watch", "must be longer than lease_renewal"),
            (self.quarantine >= self.lease_fence, "quarantine", "must be at least lease_fence"),
            (self.claim_without_lock > self.leader_fence, "claim_without_lock", "must be longer than leader_fence"),
            (self.monitor_limit_per_node > 0, "monitor_limit_per_node", "must be at least 1"),
            (self.batch > 0, "batch", "must be at least 1"),
            (self.moves_per_minute > 0, "moves_per_minute", "must be at least 1"),
            (self.mute_limit >= FAILING_AFTER, "mute_limit", "must be at least 15s: less is a moment's trouble"),
            (self.batch_living > 0, "batch_living", "must be at least 1"),
        ];
        match rules.iter().find(|(holds, _, _)| !holds) {
            Some(&(_, field, rule)) => Err(PolicyFault { field, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Policy::default().validate(), Ok(()));
    }

    #[test]
    fn a_lease_that_ends_before_its_node_stops_is_refused() {
        let hasty = Policy { lease_watch: Duration::from_secs(9), ..Policy::default() };
        assert_eq!(hasty.validate().map_err(|fault| fault.field), Err("lease_watch"));
    }
}
