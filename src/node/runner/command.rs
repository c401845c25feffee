//! What the rest of the node says to the loop.

use std::collections::BTreeSet;

use komainu_watchdogs::ids::MonitorId;
use tokio::sync::oneshot;

use crate::node::push::Report;
use crate::node::slices::Compared;
use crate::node::storage::Fate;
use crate::store::beats::LastBeat;
use crate::store::monitors::MonitorSpec;

/// What others want of the loop.
#[derive(Debug)]
pub enum Command {
    /// These are this node's now.
    Start(Vec<MonitorSpec>),
    /// These are not any more; answered when no run of them goes on and none of their beats will be queued.
    Stop(BTreeSet<MonitorId>, oneshot::Sender<()>),
    /// The rows of one slice; answered with whether monitors came or went, and when that was seen.
    Compare {
        /// Which slice, of how many.
        slice: (u32, u32),
        /// As read just now.
        rows: Vec<MonitorSpec>,
        /// Gets the answer.
        compared: oneshot::Sender<Compared>,
    },
    /// It is their turn to be begun, apart from others; that is noted.
    Begin(BTreeSet<MonitorId>),
    /// A push came.
    Push(PushCall),
    /// What became of beats.
    Fate(Fate),
    /// Last beats, to look for those that somebody else made.
    LookForForeign(Vec<LastBeat>),
    /// The node is stopping: end all runs, start none. Answered when that is so.
    Halt(oneshot::Sender<()>),
}

/// A push, and who waits for what becomes of it.
#[derive(Debug)]
pub struct PushCall {
    /// Names the monitor.
    pub token: String,
    /// What it says.
    pub report: Report,
    /// Gets the answer.
    pub answer: oneshot::Sender<PushAnswer>,
}

/// What becomes of a push.
#[derive(Debug)]
pub enum PushAnswer {
    /// It is a beat, which is stored when this resolves.
    Taken(oneshot::Receiver<()>),
    /// No active monitor of this node has this token.
    Unknown,
    /// This node may not store anything now.
    Refused,
}
