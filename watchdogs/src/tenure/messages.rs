//! What a tenure is told, what it orders, and the reasons it gives.

use std::collections::BTreeSet;

use crate::ids::{Incarnation, MonitorId, Stamp};
use crate::time::Mono;

/// What the node reads of its own row before it registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnRow {
    /// Who holds the lease.
    pub incarnation: Option<Incarnation>,
    /// The last holder stopped cleanly.
    pub is_released: bool,
    /// The lease counter.
    pub lease_seq: u64,
    /// Where the holder runs, for the message when the id is taken.
    pub hostname: String,
    /// The holder listened where this process listens now, and the lock that its renewals said it had is free: one that lives
    /// has its port, and one that lost its lock runs nothing before another renewal.
    pub is_abandoned: bool,
}

/// Something that happened to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// The answer to [`Output::ReadRow`]; `None`: no such node.
    Row(Option<OwnRow>),
    /// The answer to [`Output::Register`]: the new `lease_seq`, or `None` if the guard did not hold.
    Registered {
        /// When the request was sent.
        began_at: Mono,
        /// It is ours.
        won: bool,
    },
    /// The answer to [`Output::Renew`].
    Renewed {
        /// When the request was sent.
        began_at: Mono,
        /// The one row was still ours.
        ours: bool,
    },
    /// The answer to [`Output::ReadStamp`].
    StampRead {
        /// When the request was sent.
        began_at: Mono,
        /// The cluster's generation and nonce.
        stamp: Stamp,
        /// The stamp this node applied last is one this database knows; true if it applied none.
        applied_is_known: bool,
    },
    /// The answer to [`Output::ReadAssignments`]: read *after* `stamp` was read.
    Assigned {
        /// The generation read before the assignments.
        stamp: Stamp,
        /// Active monitors whose effective node is this one.
        monitors: BTreeSet<MonitorId>,
    },
    /// The answer to [`Output::Stop`], exactly one for each: no run of these will start, no beat of these will be stored.
    Stopped,
    /// The answer to [`Output::Acknowledge`].
    Acknowledged {
        /// When the request was sent.
        began_at: Mono,
        /// The one row was still ours.
        ours: bool,
    },
    /// The answer to [`Output::Release`].
    Released,
    /// Own monitors changed without a new generation (paused, deleted, made active in Kuma's UI): read them anew.
    Edited,
    /// Somebody said that the assignment changed.
    Hint,
    /// A request failed or timed out.
    Failed(Request),
    /// The connection that holds this process' lock ([`crate::facts::LeaseLock`]) has ended, whoever ended it.
    LockLost,
    /// The process was asked to stop.
    Stop,
    /// Nothing happened but time.
    Tick,
}

/// Which request failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Request {
    /// What [`Output::ReadRow`] asked for.
    ReadRow,
    /// What [`Output::Register`] asked for.
    Register,
    /// What [`Output::Renew`] asked for.
    Renew,
    /// What [`Output::ReadStamp`] asked for.
    ReadStamp,
    /// What [`Output::ReadAssignments`] asked for.
    ReadAssignments,
    /// What [`Output::Acknowledge`] asked for.
    Acknowledge,
    /// What [`Output::Release`] asked for.
    Release,
}

/// Something a node has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Read the own row.
    ReadRow,
    /// Take the row: `incarnation = mine, lease_seq = lease_seq + 1, released = 0`, guarded by what was read.
    Register {
        /// The holder as read.
        seen: Option<Incarnation>,
        /// The counter as read.
        lease_seq: u64,
    },
    /// `lease_seq + 1` and the acknowledgement, guarded by the own incarnation.
    Renew {
        /// What this node applied.
        applied: Option<Stamp>,
    },
    /// Read the cluster's generation and nonce, and whether `applied` is in the history.
    ReadStamp {
        /// What this node applied.
        applied: Option<Stamp>,
    },
    /// Read the generation, then the own active monitors.
    ReadAssignments,
    /// Stop these: no new run, and return [`Input::Stopped`] once no beat of them can be stored any more.
    Stop(BTreeSet<MonitorId>),
    /// Write the acknowledgement now; it counts as a renewal.
    Acknowledge(Stamp),
    /// Start these: acknowledged, ours.
    Start(BTreeSet<MonitorId>),
    /// Everything stopped, clean: give the row back.
    Release,
    /// End the process.
    Exit(ExitReason),
}

/// Why a node's process ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExitReason {
    /// Asked to, and the lease is released (or could not be: it will end by itself).
    Stopped,
    /// Another process holds this id and goes on renewing.
    IdInUse {
        /// Where it runs.
        hostname: String,
    },
    /// There is no such row: `komainu nodes add` makes it.
    Unknown,
}

/// Why a node may not run a monitor now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fence {
    /// It holds no lease.
    NotRegistered,
    /// Its last successful renewal was sent too long ago.
    LeaseTooOld,
    /// It was out for longer than the fence and has not read the assignments since.
    NotReconciled,
    /// The monitor is not, or not yet, this node's.
    NotMine,
}
