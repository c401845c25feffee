//! The judge's own log of tenures and leaderships.
//!
//! Written from what the model database really did, read by the invariants. It knows nothing of guards, proofs or
//! recorded sources: who may run a monitor follows from who got it, who acknowledged that it was taken, and whose lease
//! was taken away.

use komainu_watchdogs::ids::{Epoch, Incarnation};

use super::events::{SEC, Time};

/// A node may go on for this long after its last renewal was sent; nothing that is sent after a revoke succeeds.
const FENCE: Time = 8 * SEC;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Holding {
    #[default]
    Nobody,
    Owned {
        node: usize,
    },
    /// Taken from a living node: until it acknowledges, it may still run the monitor.
    Released {
        node: usize,
        incarnation: Incarnation,
        generation: u64,
        is_acknowledged: bool,
    },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct NodeLog {
    /// The process that holds the lease.
    pub(crate) holder: Option<Incarnation>,
    /// A process whose renewed lease was taken away: it stops by itself by then.
    leaving: Option<(Incarnation, Time)>,
    /// The last statement that raised the lease counter.
    pub(crate) renewed_at: Time,
    pub(crate) is_released: bool,
    pub(crate) overlaid_since: Option<Time>,
    /// Its drain took, or takes, pinned monitors along, until then.
    pub(crate) gives_pinned_until: Time,
}

impl NodeLog {
    fn entitles(&self, incarnation: Incarnation, now: Time) -> bool {
        self.holder == Some(incarnation)
            || self.leaving.is_some_and(|(leaving, until)| leaving == incarnation && now < until)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) holdings: Vec<Holding>,
    pub(crate) nodes: Vec<NodeLog>,
    pub(crate) leader: (Epoch, Option<Incarnation>),
    pub(crate) is_frozen: bool,
    /// Where an operator bound each monitor.
    pub(crate) pins: Vec<Option<usize>>,
    /// Where an operator sent each monitor.
    pub(crate) sent: Vec<Option<usize>>,
    /// An operator's last act on each monitor.
    pub(crate) hands: Vec<Time>,
    /// [`FENCE`] on the slowest clock.
    fence: Time,
}

impl Ledger {
    /// `drift`: millionths by which clocks may run slow.
    pub(crate) fn new(nodes: usize, drift: u64) -> Self {
        let fence = FENCE * 1_000_000 / (1_000_000 - drift);
        Self { nodes: vec![NodeLog::default(); nodes], fence, ..Self::default() }
    }

    pub(crate) fn add_monitor(&mut self, home: Option<usize>) {
        self.holdings.push(home.map_or(Holding::Nobody, |node| Holding::Owned { node }));
        self.pins.push(None);
        self.sent.push(None);
        self.hands.push(0);
    }

    pub(crate) fn registered(&mut self, node: usize, incarnation: Incarnation, now: Time) {
        let log = &mut self.nodes[node];
        log.holder = Some(incarnation);
        log.leaving = None;
        log.renewed_at = now;
        log.is_released = false;
    }

    pub(crate) fn renewed(&mut self, node: usize, now: Time) {
        self.nodes[node].renewed_at = now;
    }

    /// This process says that it applied an assignment that this database knows.
    pub(crate) fn acknowledged(&mut self, source: usize, process: Incarnation, applied: u64) {
        for holding in &mut self.holdings {
            if let Holding::Released { node, incarnation, generation, is_acknowledged } = holding {
                *is_acknowledged |= (*node, *incarnation) == (source, process) && applied >= *generation;
            }
        }
    }

    /// A clean stop: the process said that nothing of it runs.
    pub(crate) fn released(&mut self, node: usize) {
        let log = &mut self.nodes[node];
        (log.holder, log.leaving, log.is_released) = (None, None, true);
    }

    pub(crate) fn revoked(&mut self, node: usize, incarnation: Incarnation, was_watched: bool, now: Time) {
        let fence = self.fence;
        let log = &mut self.nodes[node];
        log.holder = None;
        log.leaving = (!was_watched).then_some((incarnation, now + fence));
    }

    /// Whether this process may start a run of the monitor now.
    pub(crate) fn may_run(&self, at: usize, process: Incarnation, monitor: usize, now: Time) -> bool {
        let is_entitled = self.nodes[at].entitles(process, now);
        match self.holdings[monitor] {
            Holding::Nobody => false,
            Holding::Owned { node } => node == at && is_entitled,
            Holding::Released { node, incarnation, is_acknowledged, .. } => {
                node == at && incarnation == process && !is_acknowledged && is_entitled
            }
        }
    }

    /// Whether this process may store a beat of the monitor now: stricter, for the statement itself sees the truth.
    pub(crate) fn may_store(&self, node: usize, process: Incarnation, monitor: usize) -> bool {
        self.holdings[monitor] == Holding::Owned { node } && self.nodes[node].holder == Some(process)
    }
}
