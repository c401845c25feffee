//! What goes into one watchdog's checks and what comes out of them.
//!
//! Owns the vocabulary of the driver and nothing of its behaviour: the machine decides, the driver performs.

use serde::{Deserialize, Serialize};

use super::verdict::{Reason, View};
use super::{Answer, CheckName, Definition, Look, Outcome, State};
use crate::facts::IncidentRow;
use crate::ids::{Incarnation, WatchdogId, Zone};
use crate::io::Alarm;
use crate::time::{Mono, Wall};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// All checks, as just read. What is not among them is gone.
    Defined(Vec<Definition>),
    /// The verdicts that stand in the store: at the start, and whenever they are read again. A verdict that stands there is
    /// no transition for this watchdog, whoever entered it.
    Stored(Vec<Known>),
    /// Who may vote, as [`crate::roster::Roster::voters`] has it, at each round.
    Members(Members),
    /// [`Output::Look`] ended.
    Looked {
        /// At what.
        check: CheckName,
        /// [`Output::Look`]'s number.
        number: u64,
        /// What came of it, as it was: the machine turns it round where the check is upside down.
        outcome: Outcome,
        /// What it saw.
        answer: Answer,
    },
    /// A peer's looks: an answer to `POST /peer/v1/look`, a report that was fetched, or rows that were read.
    Heard(Heard),
    /// A peer asks that these be looked at now. Answered by [`Output::Answer`] with the same ticket.
    Asked {
        /// Drawn by the driver, to find the caller again.
        ticket: u64,
        /// By their names.
        checks: Vec<CheckName>,
    },
    /// A probe of a canary ended.
    Canary {
        /// When it was asked for: [`Output::ProbeCanaries`]'s.
        asked_at: Mono,
        /// It was answered.
        is_answered: bool,
    },
    /// Open incidents of the kinds `check`, `partial` and `checks`, as just read.
    Incidents(Vec<IncidentRow>),
    /// The answer to [`Output::Raise`] or [`Output::Resolve`] of this key.
    Told {
        /// Kind and subject.
        key: String,
        /// It was committed.
        is_done: bool,
    },
    /// Nothing happened but time.
    Tick,
}

/// A verdict that stands in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known {
    /// Of this check.
    pub check: CheckName,
    /// What it is.
    pub state: State,
    /// Since when.
    pub since: Wall,
}

/// Who is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    /// This watchdog cut itself off: its own looks are no votes now.
    pub is_isolated: bool,
    /// Living watchdogs, isolated ones among them: they share an interval. `true`: may vote.
    pub living: Vec<(WatchdogId, Zone, bool)>,
    /// Registered watchdogs that did not stop on purpose.
    pub registered: usize,
}

/// What a peer said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Who.
    pub watchdog: WatchdogId,
    /// Which process of that name.
    pub incarnation: Incarnation,
    /// It was certainly not said before this point of this process's own clock: when the request that it answers was sent;
    /// for rows, when the last read that did not show them yet was sent. So no look is taken for younger than it is, however
    /// long its author, the network or the database slept meanwhile. Rows that the first read after a start shows may be of
    /// any age: they are not handed over until they change.
    pub said_after: Mono,
    /// What it saw.
    pub looks: Vec<Look>,
    /// What it was asked for and still looks at.
    pub pending: Vec<CheckName>,
}

/// Something to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Look at this now, within its timeout; answer with [`Input::Looked`].
    Look {
        /// At what.
        check: CheckName,
        /// Of this look, to be handed back; not [`Look::number`].
        number: u64,
    },
    /// Ask these peers to look at these now: one `POST /peer/v1/look` each. Their answers come in as [`Input::Heard`]; a lost
    /// one costs an interval at most.
    AskPeers {
        /// Whom.
        peers: Vec<WatchdogId>,
        /// For what.
        checks: Vec<CheckName>,
    },
    /// Answer the peer whose [`Input::Asked`] bore this ticket.
    Answer {
        /// That one.
        ticket: u64,
        /// What was seen.
        looks: Vec<Look>,
        /// What is still being looked at: it may be asked for again at once.
        pending: Vec<CheckName>,
    },
    /// A look is over and no doubt is left: what it was, turned round where the check is upside down. For statistics.
    Counted {
        /// At what.
        check: CheckName,
        /// What came of it.
        outcome: Outcome,
        /// How long it took, in milliseconds.
        ms: u32,
    },
    /// Probe all canaries now: what failed may be this watchdog's own network.
    ProbeCanaries {
        /// When they were asked for, to be handed back.
        asked_at: Mono,
    },
    /// Enter this, unless it stands there already: guarded by [`Transition::from`].
    Changed(Box<Transition>),
    /// Open this incident, or note that it is still bad.
    Raise(Alarm),
    /// Resolve this incident, unless somebody saw it bad after `last_bad_at`.
    Resolve {
        /// Kind and subject.
        key: String,
        /// The value that was read.
        last_bad_at: Wall,
    },
}

/// A verdict that changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Transition {
    /// Of this check.
    pub check: CheckName,
    /// At this version of it.
    pub version: u64,
    /// What stood before.
    pub from: State,
    /// What it is now.
    pub to: State,
    /// Why.
    pub reason: Reason,
    /// When it was found, by the clock that came in.
    pub at: Wall,
    /// Each voter's word.
    pub votes: Vec<View>,
    /// The oldest look of the present failure among those votes: what was seen first.
    pub first_failing: Option<WatchdogId>,
}
