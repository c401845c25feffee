//! What a watchdog reads from the database, as plain rows.
//!
//! Owns the shapes and nothing else: a row says what stands in a table, never what it means. All of one [`Round`] is
//! read within one read transaction, so its rows fit together. What is read beside it ([`Counts`], incidents, progress)
//! may be older or newer by a moment: whatever is decided by it is guarded in its own transaction.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Generation, Incarnation, MonitorId, NodeId, Stamp, WatchdogId, Zone};
use crate::tail::Counter;
use crate::time::{Mono, Wall};

mod votes;

pub use self::votes::{Observation, ObservationRow, Report, Seen, Target, Vote};

/// Whether automation acts or only says what it would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A database that already had monitors: decisions are shown, nothing moves, until `komainu adopt`.
    Observe,
    /// Decisions are carried out.
    #[default]
    Active,
}

/// The row of `komainu_cluster`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClusterRow {
    /// Observe or active.
    pub mode: Mode,
    /// An operator stopped all automatic moves.
    pub frozen: bool,
    /// An operator sends all traffic of people to this node.
    pub pinned_node: Option<NodeId>,
    /// The assignment as it stands.
    pub stamp: Stamp,
}

/// The row of `komainu_leader`: the truth about who leads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaderRow {
    /// Number of the leadership; 0 before the first.
    pub epoch: Epoch,
    /// The incarnation that claimed it.
    pub holder: Option<Incarnation>,
    /// The watchdog of that incarnation, for display.
    pub watchdog: Option<WatchdogId>,
    /// Raised by the leader each second and by each of its decisions.
    pub renewals: u64,
}

/// A row of `komainu_watchdog`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchdogRow {
    /// Its configured id.
    pub watchdog: WatchdogId,
    /// The process that writes this row now.
    pub incarnation: Incarnation,
    /// Raised by that process each round: a row that stands still has no living author.
    pub seq: u64,
    /// Where it stands.
    pub zone: Zone,
    /// Where its peers reach it (`http://w2:8900`).
    pub advertise: String,
    /// It declared itself cut off from the world, and abstains.
    pub isolated: bool,
    /// It stopped on purpose and is expected to be silent.
    pub stopped: bool,
    /// When it last wrote its row, for display.
    pub last_seen: Wall,
}

/// What stands in `node.status`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Added, and never seen alive: nobody is told that it is missing.
    #[default]
    New,
    /// Lease fresh, reach not down, progress made.
    Online,
    /// Lease fresh, progress made, but the watchdogs cannot reach it: people are routed away, its monitors stay.
    Unreachable,
    /// It answers or renews, but does not do both and make progress.
    Stalled,
    /// Lease ended and unreachable, or stopped.
    Offline,
}

impl NodeStatus {
    /// As it stands in the column and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Online => "online",
            Self::Unreachable => "unreachable",
            Self::Stalled => "stalled",
            Self::Offline => "offline",
        }
    }

    /// The status of that name, if it is one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::New, Self::Online, Self::Unreachable, Self::Stalled, Self::Offline]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// What an operator asked of a node, laid over its status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlay {
    /// Nothing was asked: its status alone counts.
    #[default]
    None,
    /// Its monitors are leaving; it gets no new ones.
    Draining,
    /// It owns nothing and stays so until resumed.
    Drained,
}

/// A row of `node`.
#[expect(clippy::struct_excessive_bools, reason = "a row has the columns it has")]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeRow {
    /// The node's id.
    pub node: NodeId,
    /// Where its HTTP surface answers (`http://10.0.0.5:3001`).
    pub address: String,
    /// The status as komainu last decided it.
    pub status: NodeStatus,
    /// `node.status` says something else than komainu wrote: another program writes there.
    pub has_foreign_status: bool,
    /// Drained, being drained, or neither.
    pub overlay: Overlay,
    /// The process that holds the lease; `None` after a clean stop, a revoke, or before the first registration.
    pub incarnation: Option<Incarnation>,
    /// The last holder stopped cleanly: nothing of it runs any more.
    pub is_released: bool,
    /// Raised by each renewal and by each registration.
    pub lease_seq: u64,
    /// What the database says of the holder's lock.
    pub lock: LeaseLock,
    /// The last assignment the holder acknowledged.
    pub applied: Option<Stamp>,
    /// That acknowledgement is one of an assignment this database knows (same number, same nonce).
    pub applied_is_known: bool,
    /// Its share of the load, relative to the others; 100 by default.
    pub weight: u32,
    /// Monitors it takes at most; `None`: the policy's limit.
    pub capacity: Option<u32>,
    /// Monitor types it can run; empty: all.
    pub kinds: Vec<String>,
    /// What it is called for affinity: a monitor with `run_on` goes only where all of its labels are.
    pub labels: Vec<String>,
    /// A drain takes pinned monitors along too.
    pub drains_pinned: bool,
    /// A native node runs there, which starts thousands of monitors at once; otherwise a stock Kuma with an agent.
    pub is_native: bool,
    /// Losses since the last calm, for the cool-off.
    pub losses: u32,
    /// When it was last lost, by the database's clock.
    pub lost_at: Option<Wall>,
    /// The incarnation that was emptied for lack of progress: it gets nothing back.
    pub emptied: Option<Incarnation>,
    /// An operator asked to bring its monitors home now.
    pub recover_asked: bool,
    /// Beats of its monitors that it did not store itself, as it counted them.
    pub foreign_beats: u64,
    /// By how many milliseconds its clock was ahead of the database's when it last renewed.
    pub clock_off_ms: Option<i64>,
    /// When it last renewed, for display.
    pub last_seen: Option<Wall>,
}

/// A lock that ends with a connection of the process that holds the lease, as a node takes one where its database knows
/// such locks. It is no lease: a connection may end while its process lives. That it is free is one of the things that
/// together say that a process was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LeaseLock {
    /// The database has none that would say anything, or the holder did not have it when it renewed last.
    #[default]
    Unknown,
    /// The holder has it.
    Held,
    /// The holder had it when it renewed last, and has it no more.
    Free,
}

impl NodeRow {
    /// Whether it can run monitors of this type.
    pub fn runs(&self, kind: &str) -> bool {
        runs(&self.kinds, kind)
    }

    /// Whether it is a place for monitors of this type that ask for these labels.
    pub fn takes(&self, kind: &str, run_on: &[String]) -> bool {
        self.runs(kind) && bears(&self.labels, run_on)
    }
}

/// Whether a node bears all of these labels.
pub(crate) fn bears(labels: &[String], run_on: &[String]) -> bool {
    run_on.iter().all(|label| labels.contains(label))
}

/// Whether a type is among those a node says it can run; none said: all.
pub(crate) fn runs(kinds: &[String], kind: &str) -> bool {
    kinds.is_empty() || kinds.iter().any(|one| one == kind)
}

impl Default for NodeId {
    fn default() -> Self {
        Self::from("")
    }
}

/// Who ran a monitor that is nobody's now.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Source {
    /// The node it was taken from.
    pub node: NodeId,
    /// The process that ran it there, as the releasing transaction read it.
    pub incarnation: Incarnation,
    /// The generation that made it nobody's.
    pub released_at: Generation,
}

/// Monitors that are alike for the question "is there anything to do?", counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardGroup {
    /// Home node; `None`: has none yet.
    pub home: Option<NodeId>,
    /// Who runs them: assigned node, else home; `None`: nobody.
    pub effective: Option<NodeId>,
    /// Who ran them, while they are nobody's.
    pub source: Option<Source>,
    /// Bound to their effective node by an operator.
    pub pinned: bool,
    /// An operator gave them their home, and they are not there yet.
    pub asked: bool,
    /// Their type, in Kuma's words: not every node can run every type.
    pub kind: String,
    /// Labels that their node must bear.
    pub run_on: Vec<String>,
    /// A native node found that it cannot look at their targets, and that a stock Kuma can.
    pub only_kuma: bool,
    /// How many of them are active.
    pub active: u32,
    /// How many there are.
    pub monitors: u32,
    /// The active one with the lowest key.
    pub first: Option<MonitorId>,
    /// Where nobody runs them: the active ones, also those of other groups that nobody runs.
    pub nobodys: Vec<MonitorId>,
}

impl ShardGroup {
    /// Nobody runs them, and some are active.
    pub fn is_nobodys(&self) -> bool {
        self.effective.is_none() && self.active > 0
    }
}

/// How far the active probing monitors of one node are behind; where only a part was looked at ([`crate::sampling`]), as
/// many times what was found in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgressRow {
    /// The node that runs them.
    pub node: NodeId,
    /// Active monitors that probe (not push, group or manual, not in maintenance).
    pub probing: u32,
    /// Those overdue by more than 2 x interval + timeout, counted from the latest of last beat, acknowledged start,
    /// activation and edit, and corrected by the node's clock offset.
    pub overdue: u32,
    /// Those of which a beat was stored within their interval and ten seconds, or that began so lately that their first
    /// one need not be there.
    pub beating: u32,
}

/// An open row of `komainu_incident`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IncidentRow {
    /// Kind and subject: `node/node1`.
    pub key: String,
    /// `critical` or `warning`.
    pub severity: String,
    /// When it opened, by the database's clock; of one that came back, when it did.
    pub opened_at: Wall,
    /// When one that came back opened for the first time.
    pub first_opened_at: Option<Wall>,
    /// When somebody last saw it bad: a resolve is guarded by this value.
    pub last_bad_at: Wall,
}

/// One read of what leases and leadership hang on: small tables of our own, and nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// When the read was sent, on the reader's clock.
    pub began_at: Mono,
    /// When its answer was there, on the reader's clock: what it shows was true at some moment between the two.
    pub ended_at: Mono,
    /// The database's clock.
    pub database_time: Wall,
    /// Mode, freeze, generation.
    pub cluster: ClusterRow,
    /// The row that says who leads.
    pub leader: LeaderRow,
    /// All registered watchdogs.
    pub watchdogs: Vec<WatchdogRow>,
    /// How often the reader's own row was written; none: it has none yet.
    pub own: Option<Counter>,
    /// The rows of all nodes.
    pub nodes: Vec<NodeRow>,
    /// What each watchdog sees.
    pub observations: Vec<ObservationRow>,
}

/// All monitors, counted by likeness. Read beside the rounds: that it cannot be read says nothing about any lease.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// When the read was sent, on the reader's clock.
    pub began_at: Mono,
    /// Those without an assignment row (new ones, also those made in Kuma's own UI) stand there like rows that name no
    /// node.
    pub shards: Vec<ShardGroup>,
    /// Assignment rows whose monitor is gone.
    pub leftover: u32,
}

/// One monitor, as the planner needs it.
#[expect(clippy::struct_excessive_bools, reason = "a row has the columns it has")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MonitorRow {
    /// The monitor's key in Kuma's table.
    pub monitor: MonitorId,
    /// Kuma's `type`.
    pub kind: String,
    /// Seconds between runs: its load is the inverse.
    pub interval_s: u32,
    /// Kuma's `active`.
    pub active: bool,
    /// An assignment row exists. Without one the monitor is new.
    pub is_placed: bool,
    /// Home node, if it has one.
    pub home: Option<NodeId>,
    /// Who runs it: assigned node, else home; `None`: nobody.
    pub effective: Option<NodeId>,
    /// Bound to its effective node by an operator.
    pub pinned: bool,
    /// An operator gave it its home, and it is not there yet: it goes as soon as the home takes monitors.
    pub asked: bool,
    /// Labels that its node must bear.
    pub run_on: Vec<String>,
    /// A native node found that it cannot look at its target, and that a stock Kuma can.
    pub only_kuma: bool,
    /// It has notifications of Kuma's, which a stock node sends itself.
    pub kuma_tells: bool,
    /// Who ran it, while it is nobody's.
    pub source: Option<Source>,
}

/// All monitors with their assignments, read by the leader when a [`Round`] shows that there is something to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shard {
    /// The assignment that was read: a plan made of it commits only while it still stands.
    pub stamp: Stamp,
    /// Sorted by key.
    pub monitors: Vec<MonitorRow>,
}
