//! What one channel is told at once: one event of one incident, several that opened together, or a digest.
//!
//! Owns the facts. How a vendor words and draws them is its own file's business.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

/// Whether somebody is to get up for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Look at it in the morning.
    Warning,
    /// Get up.
    Critical,
}

/// What happened to the incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// It opened.
    Opened,
    /// It was a warning and is critical now.
    Worse,
    /// It is still open.
    Reminder,
    /// Somebody takes care of it.
    Acknowledged,
    /// It opens and resolves again and again; nothing more is said until it is calm.
    Flapping,
    /// It is over.
    Resolved,
}

/// One event of one incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Item {
    /// The same for all events of the incident, and different for each incident of a cluster.
    pub incident_id: String,
    /// What happened to the incident.
    pub event: EventKind,
    /// Kind and subject: `node/node1`.
    pub key: String,
    /// What people call its subject, where the key does not say it: a monitor's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether somebody is to get up for it.
    pub severity: Severity,
    /// One sentence: what is wrong.
    pub summary: String,
    /// When it opened, milliseconds UTC.
    pub opened_at_ms: i64,
    /// Of one that came back soon after it was over: when it opened for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_opened_at_ms: Option<i64>,
    /// When the event happened, milliseconds UTC.
    pub at_ms: i64,
    /// Watchdogs that see it, of how many that may vote; `(0, 0)` where nobody votes.
    pub votes: (u32, u32),
    /// What was done about it, a sentence each.
    pub done: Vec<String>,
    /// Where it is explained what to do.
    pub runbook_url: String,
    /// The channel that did not take it, so that it is told through this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// Who takes care of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// What a reader can do about it from where they read it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
}

/// A link that does one thing about one incident, once somebody confirms it there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Answer {
    /// What it does, for programs: `ack`.
    pub answer: String,
    /// The same for people: `Acknowledge`.
    pub words: String,
    /// Where; whoever has it may do it.
    pub url: String,
}

/// Why a message deserves doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// An earlier attempt may have arrived: whoever made it died, or got no answer.
    MayBeRepeated,
    /// Said while the database is unreachable: another watchdog may say it too.
    DatabaseUnreachable,
    /// Said by the only watchdog that is left, which nobody confirms.
    UnconfirmedAlone,
}

/// A message that comes late says so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lateness {
    /// After it was due.
    pub by: Duration,
    /// Why it is late, in words for people.
    pub why: String,
}

/// One message to one channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Notice {
    /// Names this message for good: the same at each attempt, made from what it tells. At most 64 of `[0-9A-Za-z-]`.
    pub id: String,
    /// The cluster it is about.
    pub cluster: String,
    /// At least one.
    pub items: Vec<Item>,
    /// So many are waiting that only their number, kinds and the worst are told.
    pub is_digest: bool,
    /// Why it deserves doubt.
    pub doubt: Option<Doubt>,
    /// It comes late.
    pub lateness: Option<Lateness>,
    /// By incident, the [`crate::Receipt::vendor_ref`] of the message that told of it first, and of nothing else, on this
    /// channel: its headline is edited, and of a notice of one item the thread is continued.
    pub threads: BTreeMap<String, String>,
    /// Readers who have it: they are not told again.
    pub told_to: Vec<String>,
    /// Where its readers are; UTC unless somebody says so. The channel knows.
    #[serde(skip)]
    pub time_zone: Option<TimeZone>,
}

impl Notice {
    /// That what it tells is over, for vendors that keep it until then.
    #[must_use]
    pub fn over(&self, at_ms: i64) -> Self {
        let over = |item: &Item| Item { event: EventKind::Resolved, at_ms, ..item.clone() };
        Self { id: format!("{}-over", self.id), items: self.items.iter().map(over).collect(), ..self.clone() }
    }
}
