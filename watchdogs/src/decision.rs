//! What the leader decided, ready to be carried out by one guarded transaction.
//!
//! A decision names everything it assumed. What a whole transaction rests on refuses it ([`Refusal`]): then nothing is
//! changed, and the leader reads and decides anew. What only one monitor's step rests on (its own row, and what
//! operators asked of the nodes it names) leaves out that step alone: hands that touch other monitors, however often,
//! hold up nothing.

use serde::Serialize;

use crate::facts::{NodeRow, NodeStatus, Overlay};
use crate::ids::{Epoch, Generation, Incarnation, MonitorId, NodeId, Stamp};

/// One transaction of the leader.
///
/// Carried out in this order: leadership (`epoch` and `holder` of `komainu_leader`), [`Self::seen`], guards, revokes,
/// statuses, moves, and the raising of the generation if anything was revoked or moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The leadership it belongs to.
    pub epoch: Epoch,
    /// The incarnation that holds it.
    pub holder: Incarnation,
    /// The assignment it was planned on. A database that does not know it refuses all of the decision; a row that was
    /// written after it is left alone.
    pub seen: Stamp,
    /// The nodes that [`Self::moves`] name, as the plan saw them: the steps of one that differs are left out.
    pub nodes: Vec<NodeSeen>,
    /// What must be true of nodes for the moves to be safe.
    pub guards: Vec<Guard>,
    /// Leases taken away.
    pub revokes: Vec<Revoke>,
    /// Statuses and overlays changed.
    pub statuses: Vec<StatusChange>,
    /// Monitors moved.
    pub moves: Vec<Move>,
    /// Assignment rows of monitors that are gone are deleted.
    pub forget_leftover: bool,
}

impl Decision {
    /// Whether a freeze lets it pass: where an operator sent monitors, and the end of moves that had begun, for what was
    /// taken from a node is watched by nobody. A lease may be taken away for it when it has ended, which is what a move
    /// may rest on, but not from a node that renews: that would stop all that it runs, and nothing may fail over.
    pub fn is_allowed_while_frozen(&self) -> bool {
        let goes_on = |step: &Move| match step.step {
            Step::Arrive => true,
            Step::Release => step.asked,
            Step::Place | Step::Failover => false,
        };
        self.moves.iter().all(goes_on) && self.revokes.iter().all(|revoke| revoke.lease_seq.is_some())
    }
}

/// What operators, and a node itself, asked for when the plan was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSeen {
    /// The node that was seen so.
    pub node: NodeId,
    /// Drained, being drained, or neither.
    pub overlay: Overlay,
    /// A drain takes pinned monitors along too.
    pub drains_pinned: bool,
    /// Monitor types it can run.
    pub kinds: Vec<String>,
    /// The labels it bears.
    pub labels: Vec<String>,
}

impl From<&NodeRow> for NodeSeen {
    fn from(row: &NodeRow) -> Self {
        Self {
            node: row.node.clone(),
            overlay: row.overlay,
            drains_pinned: row.drains_pinned,
            kinds: row.kinds.clone(),
            labels: row.labels.clone(),
        }
    }
}

/// An assumption about a node's row, checked under a lock on that row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Guard {
    /// This incarnation still holds the lease and acknowledged this generation or a later one, with a nonce that the
    /// history of generations knows: what was taken from it by then has stopped.
    Acknowledged {
        /// The node that the monitors come from.
        node: NodeId,
        /// The process that had the monitors.
        incarnation: Incarnation,
        /// The generation that took them.
        generation: Generation,
    },
    /// Another incarnation holds the lease: it could only register once this one had ended.
    Superseded {
        /// The node that the monitors come from.
        node: NodeId,
        /// The process that had the monitors.
        incarnation: Incarnation,
    },
    /// Nobody holds the lease, and the leader knows the last holder to have ended (released, or watched so).
    Vacant {
        /// The node that the monitors come from.
        node: NodeId,
        /// The counter as the leader watched it: a registration in between raises it.
        lease_seq: u64,
    },
}

/// Takes the lease of a node away: sets its `incarnation` to NULL. Not one row changed: it lives, the decision is
/// refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revoke {
    /// The node concerned.
    pub node: NodeId,
    /// The process that held it.
    pub incarnation: Incarnation,
    /// The counter watched unchanged for one lease; `None` when a lease that is still renewed is taken away on purpose
    /// (no acknowledgement, no progress).
    pub lease_seq: Option<u64>,
    /// It is taken away for lack of progress: this incarnation gets nothing back.
    pub is_emptied: bool,
}

/// A new status or overlay of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusChange {
    /// The node concerned.
    pub node: NodeId,
    /// The status it has.
    pub status: NodeStatus,
    /// The overlay it was decided on: an operator who changed it meanwhile wins, the change is skipped.
    pub overlay_seen: Overlay,
    /// The overlay it gets. A node that owns something meanwhile does not become drained: the change is skipped.
    pub overlay: Overlay,
    /// Count one more loss, now.
    pub is_loss: bool,
    /// Earlier losses are forgotten.
    pub forgets_losses: bool,
    /// The operator's wish to bring its monitors home was carried out: it is cleared, and with it what is known of an
    /// emptied incarnation.
    pub recovered: bool,
    /// Why the node has this status now.
    pub reason: StatusReason,
}

/// Why a node has its status: printed by the log, the status page and messages alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusReason {
    /// Lease fresh, reachable, progress made.
    AllWell,
    /// Lease fresh, progress made, unreachable for a majority.
    Unreachable,
    /// Lease fresh, but more than half of its monitors are overdue.
    NoProgress,
    /// Its lease ended while it still answers.
    LeaseEndedReachable,
    /// Its lease ended and a majority cannot reach it.
    LeaseEndedUnreachable,
    /// Its process was killed, and everything says so.
    ProcessGone,
    /// It stopped cleanly.
    Released,
    /// A drain began, ended or was asked for.
    Drain,
}

/// One step of one monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// The monitor that takes the step.
    pub monitor: MonitorId,
    /// Its effective node as planned: a row that says otherwise is left alone.
    pub from: Option<NodeId>,
    /// Its effective node afterwards.
    pub to: Option<NodeId>,
    /// Its home as planned: a row that says otherwise is left alone, for an operator has bound it elsewhere since.
    pub home: Option<NodeId>,
    /// Whether its row was pinned when planned: a row that says otherwise is left alone.
    pub pinned: bool,
    /// Whether an operator had asked for its home when planned: a row that says otherwise is left alone. Such moves
    /// begin while the cluster is frozen too.
    pub asked: bool,
    /// Which of the four steps.
    pub step: Step,
    /// Why the monitor is moved.
    pub reason: MoveReason,
}

impl Move {
    /// The nodes it rests on.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        [&self.from, &self.to, &self.home].into_iter().flatten()
    }
}

/// The four ways in which an assignment changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// A monitor without an assignment row, or without a home, gets a home.
    Place,
    /// Taken from a living node: becomes nobody's; the transaction records the node and the incarnation it reads there.
    Release,
    /// A monitor that is nobody's gets its node; its source has stopped.
    Arrive,
    /// Taken from a node whose lease was revoked or is vacant, and given to another in the same transaction.
    Failover,
}

/// Why a monitor moves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// Its node is offline.
    NodeOffline,
    /// Its node's lease ended, or it makes no progress.
    NodeStalled,
    /// Its home node is well again.
    GoingHome,
    /// Its node is being drained.
    Drain,
    /// It is new.
    NewMonitor,
    /// Its node cannot be reached by those who push to it.
    PushUnreachable,
    /// An operator gave it another home.
    Operator,
    /// It was nobody's.
    Unowned,
    /// Its node cannot run monitors of its type.
    KindUnsupported,
    /// Its node does not bear the labels it asks for.
    LabelsMissing,
    /// Its node is native and cannot look at its target; a stock Kuma can, and has room.
    OnlyKuma,
    /// An operator evens out the load.
    Rebalance,
}

impl MoveReason {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::NodeOffline,
        Self::NodeStalled,
        Self::GoingHome,
        Self::Drain,
        Self::NewMonitor,
        Self::PushUnreachable,
        Self::Operator,
        Self::Unowned,
        Self::KindUnsupported,
        Self::LabelsMissing,
        Self::OnlyKuma,
        Self::Rebalance,
    ];

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// Why monitors would be moved, after a "because".
    pub fn because(self) -> &'static str {
        match self {
            Self::NodeOffline => "their node is offline",
            Self::NodeStalled => "their node runs nothing any more",
            Self::GoingHome => "their home is well again",
            Self::Drain => "their node is drained",
            Self::NewMonitor => "they are new",
            Self::PushUnreachable => "whoever pushes to them cannot reach their node",
            Self::Operator => "somebody sends them there by hand",
            Self::Unowned => "nobody runs them",
            Self::KindUnsupported => "their node cannot run monitors of their type",
            Self::LabelsMissing => "their node lacks labels that they ask for",
            Self::OnlyKuma => "a native node cannot look at their targets, and a stock Kuma can",
            Self::Rebalance => "somebody evens out the load",
        }
    }

    /// Why a node runs a monitor, or many of them, as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NodeOffline => "The node before was offline, and this one took over.",
            Self::NodeStalled => "The node before ran nothing any more, and this one took over.",
            Self::GoingHome => "This is home, and it was well again.",
            Self::Drain => "The node before was drained.",
            Self::NewMonitor => "New, and there was room.",
            Self::PushUnreachable => "Whoever pushes could not reach the node before.",
            Self::Operator => "Sent there by hand.",
            Self::Unowned => "Run by nobody before.",
            Self::KindUnsupported => "The node before cannot run this type.",
            Self::LabelsMissing => "The node before lacked labels that are asked for.",
            Self::OnlyKuma => "A native node cannot look at the target, and a stock Kuma can.",
            Self::Rebalance => "The load was evened out by hand.",
        }
    }

    /// As it stands in `komainu_assignment.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeOffline => "node_offline",
            Self::NodeStalled => "node_stalled",
            Self::GoingHome => "going_home",
            Self::Drain => "drain",
            Self::NewMonitor => "new_monitor",
            Self::PushUnreachable => "push_unreachable",
            Self::Operator => "operator",
            Self::Unowned => "unowned",
            Self::KindUnsupported => "kind_unsupported",
            Self::LabelsMissing => "labels_missing",
            Self::OnlyKuma => "only_kuma",
            Self::Rebalance => "rebalance",
        }
    }
}

/// What became of a decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Commit {
    /// Everything it says is done.
    Done {
        /// The assignment afterwards.
        stamp: Stamp,
        /// Monitors actually moved: rows and nodes that changed under the plan were left alone.
        moved: u32,
    },
    /// Nothing of it is done, for a reason that was read.
    Refused(Refusal),
    /// The database failed; whether it was committed is not known. The leader steps down and reads anew.
    Failed(String),
}

/// The assumption that did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another watchdog leads, or another process of this one.
    Deposed,
    /// The assignment it was planned on is none of this database, which lost its tail since.
    UnknownGeneration,
    /// An operator froze the cluster, or set it to observe, before the decision was carried out.
    Frozen,
    /// Others were changing the same rows at each of several tries; each was rolled back as a whole.
    MetOthers,
    /// The node that was to be revoked renewed, or registered anew.
    NodeLives(NodeId),
    /// A guard did not hold.
    GuardFailed(Guard),
}
