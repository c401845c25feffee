//! What can happen in the simulated world, and the vocabulary of its messages.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::decision::{Commit, Decision};
use komainu_watchdogs::facts::{Report, Round, Shard, Target};
use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId, Stamp};
use komainu_watchdogs::io::{Alarm, Errand, Found, LeadershipAct, LeadershipAnswer, Write};
use komainu_watchdogs::tenure::OwnRow;
use komainu_watchdogs::time::Wall;

/// Microseconds of the world's own clock.
pub(crate) type Time = u64;

pub(crate) const MS: Time = 1_000;
pub(crate) const SEC: Time = 1_000_000;

/// A process, by its place in the list of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Dog(usize),
    Node(usize),
}

/// A database connection of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LineKind {
    Rounds,
    /// A watchdog's connection for everything that no lease hangs on.
    Side,
    LeaderLock,
    Tenure,
    /// A node's second connection, for the assignments alone.
    Rows,
}

/// What a process asks of the database on one of its connections.
#[derive(Debug)]
pub(crate) enum Order {
    ReadRound,
    /// For a watchdog, with what it knows of each node's time to make progress.
    Errand(Errand, BTreeMap<NodeId, Duration>),
    Write(Box<Write>),
    Raise(Box<Alarm>),
    Resolve {
        key: String,
        last_bad_at: Wall,
    },
    Act(LeadershipAct),
    Commit(Box<Decision>),
    ReadShard,
    ReadRow,
    Register {
        seen: Option<Incarnation>,
        lease_seq: u64,
    },
    Renew {
        applied: Option<Stamp>,
    },
    ReadStamp {
        applied: Option<Stamp>,
    },
    /// The generation is read first; the assignments follow in a second statement, some time later.
    ReadAssignments {
        stamp: Option<Stamp>,
    },
    Acknowledge(Stamp),
    Release,
}

/// What the database answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Failed,
    /// The row of this watchdog id is another living process's.
    InUse,
    Round(Box<Round>),
    /// With the number that the row bears at least, if the write was about this row.
    Written(Option<u64>),
    Found(Found),
    /// An incident was opened or resolved, or was so already.
    Told,
    Leadership(LeadershipAnswer),
    Shard(Box<Shard>),
    Committed(Commit),
    Row(Option<OwnRow>),
    Registered(bool),
    Renewed(bool),
    Stamp(Stamp, bool),
    Assigned(Stamp, BTreeSet<MonitorId>),
    Acknowledged(bool),
    Released,
}

/// What reaches a process; waits while it is paused.
#[derive(Debug)]
pub(crate) enum Message {
    Answer {
        line: LineKind,
        number: u32,
        answer: Answer,
    },
    GiveUp {
        line: LineKind,
        number: u32,
    },
    Probed {
        target: Target,
        is_up: bool,
        /// Its host said that nobody listens there.
        is_refused: bool,
    },
    Reported(Box<Report>),
    Hint,
    RunEnds {
        monitor: usize,
        run: u32,
    },
    Stopped,
    /// The connection that holds a node's lock has ended.
    LockLost,
    /// A beat's statement was answered, or given up.
    Stored {
        number: u32,
        is_answered: bool,
    },
}

/// A request on its way to the database.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) who: Who,
    pub(crate) line: LineKind,
    pub(crate) number: u32,
    pub(crate) sent_at: Time,
    /// The life of the database server that its connection belongs to.
    pub(crate) server_life: u32,
    /// The sender's connection.
    pub(crate) connection: u32,
    pub(crate) is_delayed: bool,
    /// What is wrong with statements of its kind has befallen it.
    pub(crate) is_troubled: bool,
    pub(crate) order: Order,
}

/// A beat on its way to the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeatRequest {
    pub(crate) node: usize,
    pub(crate) number: u32,
    pub(crate) monitor: usize,
    pub(crate) sent_at: Time,
    pub(crate) server_life: u32,
}

#[derive(Debug)]
pub(crate) enum Event {
    Timer(Who),
    Runs(usize),
    /// A node compares a slice of its rows with what it runs.
    Slice(usize),
    Arrive(Box<Request>),
    StoreBeat(BeatRequest),
    Tell(Who, Message),
    Resume(Who),
    FreeLock {
        dog: usize,
        connection: u32,
    },
    CloseIdle {
        dog: usize,
        connection: u32,
    },
    Farewell(usize),
    /// A node process asks for its lock.
    TakeLeaseLock(usize),
    /// The server notices that the holder of a node's lock is gone.
    FreeLeaseLock(Incarnation),
    /// Somebody ends the connection that holds the lock of this node process.
    EndLeaseLock(usize),
    /// The way between a node and the database is lost.
    CutFromDatabase(usize),
    /// A node can be reached again.
    Back(usize),
    Chaos,
    Heal,
    Check,
    DatabaseUp,
    Snapshot,
    LoseTail,
}

/// An event and when it happens; equal times keep the order in which they were scheduled.
#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(crate) at: Time,
    pub(crate) order: u64,
    pub(crate) event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
