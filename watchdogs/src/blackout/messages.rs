//! What goes into the blackout machine, what comes out of it, and what watchdogs say to each other while the database is
//! down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checks::Picture;
use crate::ids::WatchdogId;
use crate::io::Severity;
use crate::outbox::Event;
use crate::time::{Mono, Wall};

/// The topic that the database is down: anything else waits in its tables, or is what happens to checks meanwhile.
pub const DATABASE: &str = "database";

/// One thing that is to be told on one channel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What is told: [`DATABASE`], a delivery that was waiting, or so many-th what happened to checks ([`super::news_number`]).
    pub topic: String,
    /// The channel that it is told on.
    pub channel: String,
}

/// One thing that a channel was told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToldLine {
    /// What was to be told, and on which channel.
    pub line: Line,
    /// The channel that carried it: the one named, or its fallback.
    pub via: String,
    /// The message it was part of.
    pub notice_id: String,
    /// What a later message needs to refer to it.
    #[serde(default)]
    pub vendor_ref: Option<String>,
    /// When, by the speaker's clock, for people.
    pub at: Wall,
    /// How long ago, when this was said to a peer.
    #[serde(default)]
    pub age_ms: u64,
    /// What of checks it told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// So many changes more than those that are named.
    #[serde(default)]
    pub unnamed: usize,
}

/// Something that happened to the incident of a check while no table could take it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Kind and subject.
    pub key: String,
    /// It opened, flaps, or is over.
    pub event: Event,
    /// How often it had come back by then.
    #[serde(default)]
    pub flaps: u32,
    /// People were told in this outage that it was over before.
    #[serde(default)]
    pub is_back: bool,
    /// When it opened, by the database's clock as it was last known.
    pub began_at: Wall,
    /// How bad it is, or was.
    pub severity: Severity,
    /// What is wrong, in one sentence. Empty where a peer told it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Watchdogs that see it, of how many that may vote.
    #[serde(default)]
    pub votes: (u32, u32),
}

/// An outage's name, the same on all watchdogs that heard of each other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct OutageName {
    /// Who gave it: the lowest id wins.
    pub by: WatchdogId,
    /// Drawn so that no other outage has it.
    pub name: String,
}

/// What one watchdog says about the database: a part of its report.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DatabaseReport {
    /// How long it has taken no write, or given no verdict; 0 while it does both.
    pub failing_ms: u64,
    /// The span is exact: this process was well before. Otherwise it began with the process.
    pub has_written: bool,
    /// How long ago it was known to do both, whether or not this process has been running without a pause since: what was
    /// told before that belongs to another outage.
    #[serde(default)]
    pub last_well_ms: Option<u64>,
    /// It takes writes: only the verdict is missing.
    #[serde(default)]
    pub is_blind: bool,
    /// How long it has done both without a gap.
    #[serde(default)]
    pub well_ms: u64,
    /// It reaches the world.
    pub egress: bool,
    /// The name that it has given this outage, or taken over.
    pub outage: Option<OutageName>,
    /// The latest event of all incidents, as read before this outage began ([`Input::Events`]).
    #[serde(default)]
    pub after_event: Option<i64>,
    /// What it is telling right now.
    pub saying: Vec<Line>,
    /// What it knows to have been told.
    pub said: Vec<ToldLine>,
    /// What it sent in this outage without an answer.
    #[serde(default)]
    pub unanswered: Vec<Unanswered>,
}

/// Messages of which nobody knows whether they arrived.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unanswered {
    /// What they told.
    pub line: Line,
    /// The channel that was asked to carry them.
    pub via: String,
    /// How many of these messages were sent.
    pub times: u32,
}

/// What the machine is told, as it happens.
#[derive(Clone, Debug)]
pub enum Input {
    /// All registered watchdogs that did not stop on purpose.
    Members(BTreeSet<WatchdogId>),
    /// The last write of this process that was committed was ordered then.
    Written(Mono),
    /// Everything that a verdict is made of was known then.
    Judged(Mono),
    /// A peer's report, verified.
    Heard(WatchdogId, DatabaseReport),
    /// The latest event of all incidents, as read while [`super::Blackout::is_between_outages`].
    Events(i64),
    /// What people ought to be told while the database is away.
    Wanted(BTreeSet<Line>),
    /// How checks are; `None`: this watchdog can say nothing of them.
    Checks(Option<Picture>),
    /// Whether this host reaches the world, as far as its canaries say.
    Egress(bool),
    /// A channel took a message.
    Told(ToldLine),
    /// A channel that was asked to tell this did not answer: it may have arrived.
    Unanswered(Line, String),
    /// The answer to [`Output::Speak`]: the attempt is over.
    Spoke {
        /// Some vendor was reached, whatever it answered.
        is_reached: bool,
        /// Refused for good, and there is no fallback.
        given_up: BTreeSet<Line>,
    },
    /// The answer to [`Output::Enter`].
    Entered(bool),
    /// An earlier process of this watchdog began to tell something: that is to be entered too.
    Unentered,
    /// Nothing happened but time.
    Tick,
}

/// What is wrong with the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It takes no writes.
    NoWrites,
    /// It takes writes, and what a verdict is made of cannot be had from it.
    NoVerdict,
}

/// Why a message deserves doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// A majority says so, and nobody can look up whether it was told.
    DatabaseUnreachable,
    /// No majority confirms it.
    UnconfirmedAlone,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Ask this peer for its report.
    Ask(WatchdogId),
    /// Tell this to people now.
    Speak(Speech),
    /// Keep this until it is entered: it was told, here or elsewhere.
    Keep(ToldLine),
    /// Keep that there is this outage, until it is entered: perhaps nobody can be told before it is over. No lines.
    Note(Speech),
    /// Others had the database all the time: forget what was noted and not told.
    Withdraw,
    /// Enter everything that was kept: the database takes writes.
    Enter,
    /// It was entered, and lasts: say so in the tables, or whoever is well, and reads it there, calls it over. No lines.
    Lasts(Speech),
}

/// What is to be told, and how sure it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Speech {
    /// Each to be told once.
    pub lines: BTreeSet<Line>,
    /// Why it deserves doubt.
    pub doubt: Doubt,
    /// What is wrong.
    pub trouble: Trouble,
    /// The outage's name.
    pub outage: String,
    /// Members whose database fails, of how many that are known.
    pub votes: (u32, u32),
    /// How long this watchdog's own has been failing.
    pub failing_for: Duration,
    /// What those of the lines tell that tell of checks.
    pub changes: BTreeMap<Line, Vec<Change>>,
}
