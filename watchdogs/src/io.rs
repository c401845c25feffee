//! What goes into a watchdog's core and what comes out of it.
//!
//! Owns the vocabulary of the driver and nothing of its behaviour: [`crate::watchdog`] decides, the driver performs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decision::{Commit, Decision, MoveReason, StatusReason};
use crate::facts::{Counts, IncidentRow, LeaderRow, NodeStatus, ProgressRow, Report, Round, Shard, Target};
use crate::ids::{Epoch, NodeId};
use crate::sampling::Look;
use crate::tail::{Claim, LostTail};
use crate::time::{Mono, Wall};
use crate::upkeep::Chore;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The answer to [`Output::ReadRound`].
    Round(Box<Round>),
    /// [`Output::ReadRound`] failed: database error, timeout, lost connection.
    RoundFailed(String),
    /// The answer to [`Output::Write`]: committed, or not.
    Written(Result<(), String>),
    /// The answer to [`Output::Probe`].
    Probed(Target, ProbeOutcome),
    /// A peer's signed report, verified by the driver. May be lost, late or repeated.
    Reported(Box<Report>),
    /// The answer to [`Output::Leadership`].
    Leadership {
        /// When the driver sent the request, on this process's clock.
        began_at: Mono,
        /// What came of it.
        answer: LeadershipAnswer,
    },
    /// The answer to [`Output::ReadShard`].
    Shard(Result<Box<Shard>, String>),
    /// The answer to [`Output::Commit`].
    Committed {
        /// When the driver sent the request, on this process's clock.
        began_at: Mono,
        /// What came of it.
        commit: Commit,
    },
    /// The answer to [`Output::Errand`]. Its failure is its own: no lease hangs on it.
    Errand(Errand, Result<Found, String>),
    /// The answer to [`Output::Raise`] or [`Output::Resolve`] of this key.
    Told(String, Result<(), String>),
    /// The answer to [`Output::LostTail`], by its `answered`: it is entered, or could not be.
    TailEntered(u64, Result<(), String>),
    /// Something that the process does on its own, and how it went.
    Chore(Chore, Result<(), String>),
    /// The process was asked to stop: give up the leadership, mark the own row stopped.
    Stop,
    /// Nothing happened but time.
    Tick,
}

/// Something that is read or written beside the rounds, on a connection of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Errand {
    /// Count all monitors by likeness.
    Counts,
    /// Read how far behind each node is.
    Progress,
    /// Read the open incidents that are judged by watchdogs, and the latest others.
    Incidents,
}

/// What an [`Errand`] brought.
#[derive(Clone, Debug)]
pub enum Found {
    /// The answer to [`Errand::Counts`].
    Counts(Box<Counts>),
    /// Of [`Errand::Progress`]: those without probing monitors are left out.
    Progress(Vec<ProgressRow>),
    /// The answer to [`Errand::Incidents`].
    Incidents(Vec<IncidentRow>),
}

/// What a probe saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProbeOutcome {
    /// A well-formed answer, whatever it says (a 503 of `/api/v1/health` too).
    Answered,
    /// A node answered, and said that its own way to the database is gone.
    Blind,
    /// No answer, or none that a node or peer would give; in words for people.
    Failed(String),
    /// Its host said that nobody listens there; in words for people.
    Refused(String),
    /// It was not asked: this host had no descriptor, memory, address or route for it; in words for people. Says nothing of
    /// the target.
    Unable(String),
}

/// Something to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Read what leases and leadership hang on.
    ReadRound,
    /// Write the own row, with all that this watchdog sees.
    Write(Box<Write>),
    /// Do this beside the rounds.
    Errand(Errand),
    /// [`Errand::Progress`]: of these nodes this is asked, of all others everything.
    ReadProgress(BTreeMap<NodeId, Look>),
    /// Probe a target once, within the probe timeout.
    Probe(Target),
    /// Do something on the leadership's own connection.
    Leadership(LeadershipAct),
    /// Read all monitors with their assignments.
    ReadShard,
    /// Carry out a decision, on the leadership's own connection.
    Commit(Box<Decision>),
    /// Open this incident, or note that it is still bad.
    Raise(Alarm),
    /// Resolve this incident, unless somebody saw it bad after `last_bad_at`.
    Resolve {
        /// Kind and subject.
        key: String,
        /// The value that was read.
        last_bad_at: Wall,
    },
    /// The database forgot what it had answered: find out what of it this process knows, enter again what can be, and open
    /// the incident.
    LostTail(LostTail),
    /// Tell the log, the audit trail and whoever follows along.
    Announce(Announcement),
    /// Tell these nodes that the assignment changed. A hint: a lost one costs a second.
    Hint(Vec<NodeId>),
}

/// What one watchdog writes each round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The own row and all observations as they stand.
    pub report: Report,
    /// What it says of the writes before it.
    pub claim: Claim,
    /// The process is stopping on purpose.
    pub stopped: bool,
}

/// What the driver does on the connection that holds the advisory lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeadershipAct {
    /// Connect if needed, try to take the advisory lock without waiting, read `komainu_leader`.
    Attempt,
    /// `epoch + 1, holder = me`, guarded by the epoch that was seen.
    Claim {
        /// As last read.
        seen: Epoch,
        /// The claim rests on the lock: fail unless it is held.
        with_lock: bool,
    },
    /// Raise `renewals`, guarded by epoch and holder; check that the lock is still held if the claim rested on it, and
    /// that the server is writable.
    Renew {
        /// Of this leadership.
        epoch: Epoch,
        /// The claim rested on the lock.
        with_lock: bool,
    },
    /// Release the lock and close the connection.
    Release,
}

/// What came of a [`LeadershipAct`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeadershipAnswer {
    /// The answer to [`LeadershipAct::Attempt`].
    Attempted {
        /// This connection holds the lock.
        locked: bool,
        /// The row as it stands.
        row: LeaderRow,
    },
    /// Of [`LeadershipAct::Claim`]: this process leads.
    Claimed(Epoch),
    /// Of [`LeadershipAct::Claim`]: somebody else was faster, or the lock was not held any more.
    ClaimLost,
    /// The answer to [`LeadershipAct::Renew`].
    Renewed,
    /// Of [`LeadershipAct::Renew`]: not one row, lock lost, or server read-only; in words.
    Deposed(String),
    /// Of any: database error or timeout. The driver has closed the connection.
    Failed(String),
    /// The answer to [`LeadershipAct::Release`].
    Released,
}

/// How bad an incident is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Look at it in the morning.
    Warning,
    /// Somebody is to get up for it, at any hour.
    Critical,
}

impl Severity {
    /// As it stands in rows and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The reverse of [`Self::as_str`]. What a newer komainu calls otherwise is taken for the worst.
    pub fn parse(text: &str) -> Self {
        if text == "warning" { Self::Warning } else { Self::Critical }
    }
}

/// Something wrong, as one watchdog sees it now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// Kind and subject: `node/node1`.
    pub key: String,
    /// Whether somebody is to get up for it.
    pub severity: Severity,
    /// One sentence for people: what is wrong.
    pub summary: String,
    /// Watchdogs that see it, of how many that may vote.
    pub votes: (u32, u32),
}

/// What happened, for the log and for people who follow along.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Announcement {
    /// This watchdog leads.
    BecameLeader {
        /// Under this number.
        epoch: Epoch,
    },
    /// This watchdog leads no more.
    SteppedDown {
        /// From this leadership.
        epoch: Epoch,
        /// Why, in words for people.
        reason: String,
    },
    /// The leader changed a node's status.
    StatusChanged {
        /// The node whose status changed.
        node: NodeId,
        /// The status it had.
        from: NodeStatus,
        /// The status it has.
        to: NodeStatus,
        /// Why it has that status now.
        reason: StatusReason,
        /// Watchdogs that could not reach it, of how many that may vote.
        votes: (u32, u32),
        /// Under this leadership.
        epoch: Epoch,
    },
    /// The leader moved monitors.
    Moved {
        /// From this node; `None`: new, or nobody's.
        from: Option<NodeId>,
        /// To this node; `None`: nobody's for now.
        to: Option<NodeId>,
        /// How many monitors are moved.
        monitors: u32,
        /// Why they are moved.
        reason: MoveReason,
        /// Under this leadership.
        epoch: Epoch,
    },
    /// Observe mode or freeze: what the leader would have done.
    WouldMove {
        /// From this node; `None`: new, or nobody's.
        from: Option<NodeId>,
        /// How many monitors are moved.
        monitors: u32,
        /// Why they are moved.
        reason: MoveReason,
    },
    /// A decision was refused by the database.
    Refused {
        /// Under this leadership.
        epoch: Epoch,
        /// Why, in words for people.
        reason: String,
    },
}
