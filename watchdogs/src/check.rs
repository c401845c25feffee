//! Checks: probes that every watchdog runs itself, judged by majority.
//!
//! A check belongs to no node. Each watchdog looks at its target, says what it saw as a [`Look`], hears the looks of the
//! others, and all of them judge the same votes by the same rules ([`judge`]). Here are the words that all of it uses:
//! what is to be looked at ([`Definition`]), what one watchdog saw ([`Look`]), what follows ([`State`]).
//!
//! | file | decides |
//! |---|---|
//! | `check/policy.rs` | every threshold |
//! | `check/schedule.rs` | when this watchdog looks, so that N watchdogs share an interval |
//! | `check/queue.rs` | which look begins next when not all may run at once |
//! | `check/eye.rs` | what one's own looks amount to: runs, own trouble, doubt until the outside world answered |
//! | `check/world.rs` | when canaries of the outside world are asked, and who waits for them |
//! | `check/outside.rs` | whether an outage of one's own may have made a look fail |
//! | `check/verdict.rs` | what a majority makes of it |
//! | `check/trial.rs` | what it would make of one look of each, without there being a check |
//! | `check/io.rs` | what goes into [`Machine`] and comes out of it |
//! | `check/machine.rs` | one watchdog's checks put together; `machine/` has a file for each of its sides |
//!
//! The machine stands beside [`crate::watchdog::Watchdog`], which tells it who may vote; it needs no database: definitions
//! stay as last read, and votes come over the peers' channel. It probes nothing, stores nothing and tells nobody.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::ids::CheckName;
use crate::ids::Zone;
use crate::io::Severity;
use crate::time::Wall;

pub mod answer;
mod eye;
pub mod io;
pub mod machine;
pub mod outside;
pub mod policy;
mod queue;
mod schedule;
pub mod trial;
pub mod verdict;
mod world;

pub use self::answer::{Answer, Failure, Outcome, Phases, Trouble};
pub use self::io::{Heard, Input, Known, Members, Output, Transition};
pub use self::machine::{Machine, is_incident_of_checks};
pub use self::outside::{Outside, Proof, Unanswered};
pub use self::policy::Policy;
pub use self::verdict::{Ballot, Electorate, Reason, Stand, Verdict, View, Vote, judge};

/// How many of the voters must see a check fail until it is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quorum {
    /// More than half.
    #[default]
    Majority,
    /// Each of them.
    All,
    /// A single one.
    Any,
    /// So many, or all where there are fewer.
    AtLeast(u32),
}

impl Quorum {
    /// How many of so many voters must have failed.
    pub fn to_be_down(self, voters: usize) -> usize {
        match self {
            Self::Majority => voters / 2 + 1,
            Self::All => voters.max(1),
            Self::Any => 1,
            Self::AtLeast(count) => usize::try_from(count).unwrap_or(usize::MAX).clamp(1, voters.max(1)),
        }
    }

    /// How many of so many voters must have succeeded for it to be up: more than half likewise; otherwise so many that those
    /// that are left are too few to make it down. Where fewer than half make it down, those are left that have looked lately:
    /// who cannot look, or is not heard of, makes nothing down.
    pub fn to_be_up(self, voters: usize, fresh: usize) -> usize {
        let (needed, majority) = (self.to_be_down(voters), voters / 2 + 1);
        let of = if needed < majority { fresh } else { voters };
        match self {
            Self::Majority => majority,
            Self::All | Self::Any | Self::AtLeast(_) => (of + 1).saturating_sub(needed).max(1),
        }
    }
}

/// What decides about one check. What is sent to its target is no business of the core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Its name.
    pub name: CheckName,
    /// Raised by each change of what is looked at: a look at another version of it is no vote.
    pub version: u64,
    /// How often each watchdog looks: 5 to 86,400 s.
    pub interval: Duration,
    /// How long one look may take.
    pub timeout: Duration,
    /// How many must see it fail.
    pub quorum: Quorum,
    /// Only watchdogs of these zones look; empty: all do.
    pub zones: BTreeSet<Zone>,
    /// Of its incident.
    pub severity: Severity,
    /// Nobody looks.
    pub paused: bool,
    /// It is well where its target does not answer ([`Outcome::turned`]).
    pub upside_down: bool,
}

impl Definition {
    /// Whether watchdogs of this zone look.
    pub fn is_for(&self, zone: &Zone) -> bool {
        self.zones.is_empty() || self.zones.contains(zone)
    }
}

/// What one watchdog saw when it looked last: what it answers to peers that ask, and writes as an observation.
///
/// Says how old it is by its own clock that counts suspend. Who hears it adds how long the answer took at most
/// ([`Heard::said_after`]); nobody's wall clock has a part in that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Look {
    /// At what.
    pub check: CheckName,
    /// At which version of it: [`Definition::version`].
    pub version: u64,
    /// Higher is later, within one process of a watchdog, across all of its checks.
    pub number: u64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Looks that failed in a row, the last one among them. One that was asked for because somebody else had seen the first
    /// failure, and that took a while, counts for two.
    pub failures: u32,
    /// Looks that succeeded in a row, counted likewise.
    pub successes: u32,
    /// How long ago it ended, on the clock of whoever looked, when this was said.
    pub age_ms: u64,
    /// What it saw in detail.
    #[serde(default)]
    pub answer: Answer,
}

/// What a check is, as far as the watchdogs can say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Too few fresh votes, or nobody may judge: neither alarm nor calm.
    #[default]
    Unknown,
    /// Enough voters reach it.
    Up,
    /// Some do not, for long, and too few to call it down.
    Partial,
    /// Enough voters failed, in two looks running each.
    Down,
}

impl State {
    /// As it stands in rows and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Partial => "partial",
            Self::Down => "down",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unknown, Self::Up, Self::Partial, Self::Down].into_iter().find(|state| state.as_str() == text)
    }

    /// Answers come: up or partial.
    pub fn is_reached(self) -> bool {
        matches!(self, Self::Up | Self::Partial)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A state and since when, by the clock of whoever shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Standing {
    /// What it is.
    pub state: State,
    /// Since when; `None`: since before this watchdog knew it.
    pub since: Option<Wall>,
}
