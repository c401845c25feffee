//! A node's status from three facts: lease, reach, progress.
//!
//! This is the table of the design, one row per arm, and nothing else. What follows from a status (who is told, what
//! moves and when) is decided by [`crate::failover`] and [`crate::incident`].

use crate::decision::StatusReason;
use crate::facts::NodeStatus;
use crate::quorum::Reach;

/// A node's lease, as one watchdog watched it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    /// Not watched long enough to say.
    Unknown,
    /// The counter moved.
    Fresh,
    /// The counter stood still for one watched lease, or the row has been without a holder for as long.
    Ended,
    /// Its holder was killed: its lock at the database is free, its counter stands, and its host tells a majority that
    /// nobody listens where it answered. What each of these rests on: [`crate::roster`].
    Killed,
    /// The holder stopped cleanly and said so.
    Released,
}

impl Lease {
    /// Whether nothing of its last holder runs any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Killed | Self::Released)
    }

    /// Its name, for `/status` and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Fresh => "fresh",
            Self::Ended => "ended",
            Self::Killed => "killed",
            Self::Released => "released",
        }
    }
}

/// Whether a node's monitors are being run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Progress {
    /// At most half of them are overdue.
    #[default]
    Ok,
    /// More than half of them are overdue.
    Stale,
}

/// The status that follows; `None`: it stays as it is.
pub fn decide_status(lease: Lease, reach: Reach, progress: Progress) -> Option<(NodeStatus, StatusReason)> {
    match (lease, reach, progress) {
        (Lease::Fresh, _, Progress::Stale) => Some((NodeStatus::Stalled, StatusReason::NoProgress)),
        (Lease::Fresh, Reach::Up, Progress::Ok) => Some((NodeStatus::Online, StatusReason::AllWell)),
        (Lease::Fresh, Reach::Down, Progress::Ok) => Some((NodeStatus::Unreachable, StatusReason::Unreachable)),
        (Lease::Ended, Reach::Down, _) => Some((NodeStatus::Offline, StatusReason::LeaseEndedUnreachable)),
        // Without any verdict on reach (too many watchdogs are isolated) the lease alone speaks, with its grace.
        (Lease::Ended, Reach::Up | Reach::Undecided | Reach::Unknown, _) => {
            Some((NodeStatus::Stalled, StatusReason::LeaseEndedReachable))
        }
        (Lease::Killed, _, _) => Some((NodeStatus::Offline, StatusReason::ProcessGone)),
        (Lease::Released, _, _) => Some((NodeStatus::Offline, StatusReason::Released)),
        (Lease::Fresh, Reach::Undecided | Reach::Unknown, Progress::Ok) | (Lease::Unknown, _, _) => None,
    }
}
