//! One heartbeat of a program: which pushes count, what state they lead to, and until when silence is fine.
//!
//! Life: `new` until the first push. An `ok` makes it *up*, due again by its schedule; a `start` opens a run that must end
//! within its longest runtime; a `fail` makes it *failed* at once. Silence beyond the deadline makes it *late*. Late and
//! failed stay so until the next `ok`: a start alone repairs nothing. A start while an earlier run is still open keeps
//! that run's deadline, or a program that crashes and restarts for ever would never be late.
//!
//! A push counts once: its time must lie within [`WINDOW`] of the server's (looked at first), and be later than the last
//! one that counted. The same time counts again only where the status advances from `start` to the end of that run.
//!
//! When a schedule is due next is computed outside, where calendars are; this file is told the result.

use std::time::Duration;

use crate::time::Wall;

/// How far the sender's clock may be off, in either direction.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Watchdogs write their own rows each second; when none did for so long, none could take a push.
pub const OUTAGE_AFTER: Duration = Duration::from_secs(3);

/// After an outage senders need time to come back: their grace, and at least this.
pub const OUTAGE_GRACE: Duration = Duration::from_secs(60);

/// What a push says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PushStatus {
    /// A run began.
    Start,
    /// All is well; ends a run.
    #[default]
    Ok,
    /// It went wrong; ends a run.
    Fail,
}

impl PushStatus {
    /// As senders write it, and as it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Ok => "ok",
            Self::Fail => "fail",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Start, Self::Ok, Self::Fail].into_iter().find(|status| status.as_str() == text)
    }
}

/// How a heartbeat is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum State {
    /// Never seen.
    #[default]
    New,
    /// Alive.
    Up,
    /// Silent for too long.
    Late,
    /// Said so itself.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::New, Self::Up, Self::Late, Self::Failed];

    /// As it stands in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Up => "up",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What of a push decides whether it counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Push {
    /// The sender's, microseconds UTC.
    pub time_us: i64,
    /// What it says.
    pub status: PushStatus,
    /// Of which run.
    pub run_id: Option<String>,
}

/// What is kept of a heartbeat between two pushes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// How it is.
    pub state: State,
    /// When silence makes it late; `None`: never by itself.
    pub deadline: Option<Wall>,
    /// Since when a run is open.
    pub started_at: Option<Wall>,
    /// The sender's time of the last push that counted; 0: there was none.
    pub last_time_us: i64,
    /// What that push said.
    pub last_status: Option<PushStatus>,
    /// Of which run it was.
    pub run_id: Option<String>,
}

/// What the schedule says at the moment of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// After an `ok` now: the next due time plus grace. `None`: the schedule is never due again.
    pub next_deadline: Option<Wall>,
    /// How long a run may take.
    pub max_runtime: Option<Duration>,
}

/// The push counted before, or is older than one that did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replayed {
    /// The sender's time of the last push that counted.
    pub last_time_us: i64,
}

/// What is to be done about a heartbeat, by whichever watchdog comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Its deadline passed: mark it late and open its incident.
    MarkLate,
    /// It is late or failed, and nobody is told yet.
    OpenIncident,
    /// It is well again, and its incident is still open.
    ResolveIncident,
}

/// Whether the sender's time is near enough to the server's.
pub fn is_within_window(time_us: i64, server_us: i64) -> bool {
    u128::from(time_us.abs_diff(server_us)) <= WINDOW.as_micros()
}

impl Record {
    /// What a push that arrives `at` makes of it.
    pub fn after(&self, push: &Push, at: Wall, terms: Terms) -> Result<Self, Replayed> {
        let ends_that_run = push.time_us == self.last_time_us
            && self.last_status == Some(PushStatus::Start)
            && push.status != PushStatus::Start
            && push.run_id == self.run_id;
        if push.time_us <= self.last_time_us && !ends_that_run {
            return Err(Replayed { last_time_us: self.last_time_us });
        }
        let next = match push.status {
            PushStatus::Ok => {
                Self { state: State::Up, deadline: terms.next_deadline, started_at: None, ..Self::default() }
            }
            // Nothing can make it worse: without a deadline it stays failed until the next ok.
            PushStatus::Fail => Self { state: State::Failed, deadline: None, started_at: None, ..Self::default() },
            PushStatus::Start => self.started(at, terms),
        };
        Ok(Self { last_time_us: push.time_us, last_status: Some(push.status), run_id: push.run_id.clone(), ..next })
    }

    fn started(&self, at: Wall, terms: Terms) -> Self {
        let must_end = terms.max_runtime.map(|longest| at + longest);
        let deadline = match self.state {
            State::New => must_end.or(terms.next_deadline),
            State::Up if self.started_at.is_some() => self.deadline,
            State::Up => must_end.or(self.deadline),
            State::Late | State::Failed => self.deadline,
        };
        let state = match self.state {
            State::New | State::Up => State::Up,
            State::Late => State::Late,
            State::Failed => State::Failed,
        };
        Self { state, deadline, started_at: Some(at), ..Self::default() }
    }

    /// Silent beyond its deadline, and not marked yet.
    pub fn is_overdue(&self, now: Wall) -> bool {
        match self.state {
            State::New | State::Up => self.deadline.is_some_and(|deadline| deadline <= now),
            State::Late | State::Failed => false,
        }
    }

    /// What there is to do, if its incident is open or not.
    pub fn need(&self, now: Wall, has_incident: bool) -> Option<Need> {
        if self.is_overdue(now) {
            return Some(Need::MarkLate);
        }
        match (self.state, has_incident) {
            (State::Late | State::Failed, false) => Some(Need::OpenIncident),
            (State::New | State::Up, true) => Some(Need::ResolveIncident),
            (State::Late | State::Failed, true) | (State::New | State::Up, false) => None,
        }
    }
}

/// When the watchdogs last wrote before an outage, if there was one until now. All times are the database's.
pub fn outage_since(last_write: Option<Wall>, now: Wall) -> Option<Wall> {
    last_write.filter(|&last| now.since(last) > OUTAGE_AFTER)
}

/// Until when silence is forgiven at least, after an outage that ended now.
pub fn forgiven_until(now: Wall, grace: Duration) -> Wall {
    now + grace.max(OUTAGE_GRACE)
}
