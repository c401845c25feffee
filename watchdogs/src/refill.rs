//! After a time in which no node ran anything: how those that are back get what the others had.
//!
//! The first node that is back would get everything at once, and a stock Kuma would drown in it, while the others are
//! only seconds behind: whatever took all of them usually gives all of them back. So what was lost *before* the first
//! node was back waits a moment for company ([`crate::policy::Policy::company_wait`]), and for a node that answers again
//! until it can have taken its row; then it moves at a stock node's pace ([`crate::pace`]), the most important first
//! ([`crate::shard`]). What is lost afterwards is a loss like any other. Which is which each node's assessment keeps until
//! it holds its lease again: a database that fails for a moment, and leases that are watched anew for it, change nothing.
//! A watchdog that has just started does not know what was before: to it, nothing ran.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::assess::Assessment;
use crate::facts::NodeStatus;
use crate::ids::NodeId;
use crate::policy::Policy;
use crate::time::Mono;

/// What one watchdog saw of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refill {
    /// A node has been running its monitors without a break.
    is_light: bool,
    /// The first node was online again.
    since: Option<Mono>,
}

/// Why what was lost before is not moved yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// The first node has just come back.
    Company(Mono),
    /// This one answers again, and may have its row in a moment.
    Returning(Mono),
}

impl Refill {
    /// Takes in what was made of the nodes this round; says whether the first one is back at this moment.
    pub(crate) fn handle(&mut self, now: Mono, nodes: &BTreeMap<NodeId, Assessment>) -> bool {
        let is_online = |node: &Assessment| node.is_decided && node.status == NodeStatus::Online;
        if !nodes.values().any(Assessment::is_watching) {
            *self = Self::default();
            return false;
        }
        let is_back = !self.is_light && nodes.values().any(is_online);
        if is_back {
            *self = Self { is_light: true, since: Some(now) };
        }
        is_back
    }

    /// Whether a lost node was lost before the first one was back.
    pub fn concerns(&self, node: &Assessment) -> bool {
        node.lease.is_over() && (self.since.is_none() || node.was_lost_with_all)
    }

    /// Until when, and why, what a lost node had is not moved yet.
    pub fn pause(&self, now: Mono, node: &Assessment, policy: &Policy) -> Option<Pause> {
        let since = self.since.filter(|_| self.concerns(node))?;
        let company = since + policy.company_wait;
        let returning = node.reached_since.map(|reached| reached + registering(policy));
        if now < company {
            Some(Pause::Company(company))
        } else {
            returning.filter(|until| now < *until).map(Pause::Returning)
        }
    }
}

/// How long a process that was started anew needs for its row: it watches the former lease to its end.
pub fn registering(policy: &Policy) -> Duration {
    policy.lease_watch + 2 * policy.lease_renewal
}
