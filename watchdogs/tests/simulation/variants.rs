//! Rules that can be broken, one at a time, to show that the invariants notice.
//!
//! Each variant changes the simulation's own store, node or wrapper, or a policy value; the product code stays as it
//! is.

use std::time::Duration;

use komainu_watchdogs::facts::Round;
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
}

impl Variant {
    /// The thresholds of this variant.
    pub(crate) fn policy(variant: Option<Self>, policy: Policy) -> Policy {
        match variant {
            Some(Self::HastyLeaseWatch) => Policy { lease_watch: Duration::from_secs(3), ..policy },
            Some(Self::LateFence) => Policy { lease_fence: Duration::from_secs(20), ..policy },
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
            Some(Self::PinHidden) => {
                for group in &mut round.shards {
                    group.pinned = false;
                }
            }
            Some(Self::NoNonce) => {
                for row in &mut round.nodes {
                    row.applied_is_known = true;
                }
            }
            _ => {}
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
