//! Rules that can be broken, one at a time, to show that the invariants notice.
//!
//! Each variant changes the simulation's own store, node or wrapper, or a policy value; the product code stays as it
//! is.

use std::time::Duration;

use komainu_watchdogs::facts::{Counts, Round, Shard};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::policy::Policy;

/// A broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// The store carries out decisions of any epoch.
    NoEpochGuard,
    /// Each watchdog takes its own votes for everybody's.
    NoMajority,
    /// A lease counts as ended after 3 s.
    HastyLeaseWatch,
    /// The store revokes whoever holds the lease, renewed or not.
    NoRevokeGuard,
    /// The store records another process than the one it takes a monitor from.
    WrongSourceIncarnation,
    /// The leader, and the store's guard, take every source for one that acknowledged.
    EverybodyAcknowledged,
    /// A node's acknowledgement names the newest generation, whatever it has stopped.
    AcknowledgesBeforeStopping,
    /// A node stores what it has without looking, and the store takes it.
    NoCheckBeforeStore,
    /// Nobody sees that a monitor is pinned.
    PinHidden,
    /// The store moves what was planned, whatever stands in the rows by now.
    NoRowGuard,
    /// The store moves monitors although the cluster is frozen.
    NoFreezeGuard,
    /// Generations are compared without their nonces.
    NoNonce,
    /// A node goes on for 20 s after its last renewal.
    LateFence,
    /// The store lets a process register over whoever holds the row.
    NoRegisterGuard,
    /// The leader takes every source for one whose row bears another process by now, and the store does not look.
    EverybodySuperseded,
    /// The store moves what a vacant node had, whether it is vacant still or not.
    NoVacantGuard,
    /// The store moves rows that were written since the plan read them.
    NoGenerationGuard,
    /// The store moves monitors to and from nodes that were changed since the plan saw them.
    NoNodeGuard,
    /// A watchdog takes what it read before its own last decision for what came of it.
    StaleRounds,
    /// A node that sees that the database lost its tail goes on at once.
    NoQuarantine,
    /// The store takes a beat of whatever process of the right node.
    AnyTenureStores,
    /// The database looks slow to everybody, so that no loss of most nodes is ever believed at once.
    EverythingDoubted,
    /// A node goes on although the lock that its process holds is lost.
    LostLockIgnored,
    /// A process whose lock is free is taken for killed at once, whatever its counter does.
    HastyKilledWatch,
    /// A process takes one whose lock is free for killed, although that one may live elsewhere.
    EverywhereIsHere,
    /// Watchdogs take whatever does not answer for a host that says that nobody listens.
    SilenceIsRefusal,
    /// A watchdog claims writes that were never answered.
    UnansweredClaimed,
    /// The store forgets with the next write what it found lost.
    LossOverwritten,
    /// The clocks of nodes run slow, and those of watchdogs fast, by more than the design allows.
    ClocksRunAway,
}

impl Variant {
    /// The thresholds of this variant.
    pub(crate) fn policy(variant: Option<Self>, policy: Policy) -> Policy {
        match variant {
            Some(Self::HastyLeaseWatch) => Policy { lease_watch: Duration::from_secs(3), ..policy },
            Some(Self::HastyKilledWatch) => Policy { killed_watch: Duration::ZERO, ..policy },
            Some(Self::LateFence) => Policy { lease_fence: Duration::from_secs(20), ..policy },
            Some(Self::NoQuarantine) => Policy { quarantine: Duration::ZERO, ..policy },
            _ => policy,
        }
    }

    /// The incarnation that a release records as its source.
    pub(crate) fn source(variant: Option<Self>, holder: Incarnation) -> Incarnation {
        if variant == Some(Self::WrongSourceIncarnation) { Incarnation(1) } else { holder }
    }

    /// What a watchdog reads, before it gets it.
    pub(crate) fn distort(variant: Option<Self>, round: &mut Round, reader: &WatchdogId, seq: u64) {
        match variant {
            Some(Self::NoMajority) => impose_own_votes(round, reader, seq),
            Some(Self::EverybodyAcknowledged) => {
                for row in &mut round.nodes {
                    row.applied = Some(round.cluster.stamp);
                    row.applied_is_known = true;
                }
            }
            Some(Self::NoNonce) => {
                for row in &mut round.nodes {
                    row.applied_is_known = true;
                }
            }
            Some(Self::EverythingDoubted) => round.began_at = round.began_at - Duration::from_millis(300),
            _ => {}
        }
    }

    /// What a leader plans on, before it gets it.
    pub(crate) fn disguise(variant: Option<Self>, shard: &mut Shard) {
        if variant == Some(Self::EverybodySuperseded) {
            for source in shard.monitors.iter_mut().filter_map(|monitor| monitor.source.as_mut()) {
                source.incarnation = Incarnation(1);
            }
        }
    }

    /// What a watchdog counts, before it gets it.
    pub(crate) fn hide(variant: Option<Self>, counts: &mut Counts) {
        if variant == Some(Self::PinHidden) {
            for group in &mut counts.shards {
                group.pinned = false;
            }
        }
        if variant == Some(Self::EverybodySuperseded) {
            for source in counts.shards.iter_mut().filter_map(|group| group.source.as_mut()) {
                source.incarnation = Incarnation(1);
            }
        }
    }
}

fn impose_own_votes(round: &mut Round, reader: &WatchdogId, seq: u64) {
    let own: Vec<_> = round.observations.iter().filter(|row| &row.watchdog == reader).cloned().collect();
    for watchdog in &round.watchdogs {
        if &watchdog.watchdog == reader {
            continue;
        }
        for row in &own {
            let mut row = row.clone();
            row.watchdog = watchdog.watchdog.clone();
            row.incarnation = watchdog.incarnation;
            row.seq = u64::MAX / 2 + seq;
            round.observations.push(row);
        }
    }
}
