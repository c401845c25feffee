//! One heartbeat of a program: which pushes count, what state they lead to, and until when silence is fine.
//!
//! Life: `new` until the first push. An `ok` makes it *up*, due again by its schedule; a `start` opens a run that must end
//! within its longest runtime; a `fail` makes it *failed* at once. Silence beyond the deadline makes it *late*. Late and
//! failed stay so until the next `ok`: a start alone repairs nothing.
//!
//! Each run that has a name has a limit of its own: an `ok` of another run does not end it. Where the schedule says no
//! longest runtime, a named run must end by the time by which the one after it would be late. A program that does not name
//! its runs has one at a time, whose limit a second start keeps, or one that crashes and restarts for ever would never be
//! late. What it says ends all. [`limits`] is about the points in time.
//!
//! A push counts once: its time must lie within [`WINDOW`] of the server's (looked at first), and be later than the last
//! one that counted. The same time counts again only where the status advances from `start` to the end of that run. The end
//! of an open run counts also when another host, whose clock is ahead, was heard meanwhile: it is open only once.
//!
//! While it is paused nothing is late, and nobody is told anything: pushes count as ever, so that it is known how it is when it goes on.
//!
//! When a schedule is due next is computed outside, where calendars are; this file is told the result.

pub mod limits;

use std::time::Duration;

use self::limits::{Limit, Limits, MOST_RUNS, Run};
use crate::time::Wall;

/// How far the sender's clock may be off, in either direction.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Each watchdog proves each second that it could store a push; when none did for so long, none could take one.
pub const OUTAGE_AFTER: Duration = Duration::from_secs(3);

/// When people are told that no push can be taken.
pub const OUTAGE_TOLD_AFTER: Duration = Duration::from_secs(60);

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
    /// No push of it was ever accepted.
    #[default]
    New,
    /// The last push was good and the next one is not overdue.
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
    /// Until when silence is fine.
    pub limits: Limits,
    /// When the latest of the open runs began.
    pub started_at: Option<Wall>,
    /// The sender's time of the last push that counted; 0: there was none.
    pub last_time_us: i64,
    /// What that push said.
    pub last_status: Option<PushStatus>,
    /// Of which run it was.
    pub run_id: Option<String>,
    /// Nobody is told of it, by the wish of people.
    pub is_paused: bool,
}

/// What the schedule says at the moment of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// When it is due next, after a push now. `None`: the schedule is never due again.
    pub next_due: Option<Wall>,
    /// Silence beyond it that is fine.
    pub grace: Duration,
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
    /// Its limits are written anew: a clock was set back, or many gaps are to be counted.
    Recount,
    /// Its deadline passed: mark it late and open its incident.
    MarkLate,
    /// It is late or failed, and nobody is told yet.
    OpenIncident,
    /// It is well again, or paused, and its incident is still open.
    ResolveIncident,
}

/// Whether the sender's time is near enough to the server's.
pub fn is_within_window(time_us: i64, server_us: i64) -> bool {
    u128::from(time_us.abs_diff(server_us)) <= WINDOW.as_micros()
}

/// What the next due time counts from: the later of arrival and the sender's own time. A job whose host is a second ahead of
/// the database is early only by the database's clock. The sender's time lies within [`WINDOW`].
pub fn counts_from(push: &Push, arrived_at: Wall) -> Wall {
    arrived_at.max(Wall(push.time_us.div_euclid(1_000)))
}

impl Terms {
    fn silence(&self, now: Wall) -> Option<Limit> {
        self.next_due.map(|due| Limit::new(now, due, due + self.grace))
    }

    fn run(&self, now: Wall) -> Option<Limit> {
        let longest = self.max_runtime.map(|longest| Limit::new(now, now, now + longest));
        longest.or_else(|| self.silence(now).map(|limit| Limit { due: now, ..limit }))
    }
}

impl Record {
    /// When silence makes it late; `None`: never by itself.
    pub fn deadline(&self) -> Option<Wall> {
        self.limits.earliest()
    }

    /// What a push that arrives `at` makes of it.
    pub fn after(&self, push: &Push, at: Wall, terms: Terms) -> Result<Self, Replayed> {
        if !self.counts(push) {
            return Err(Replayed { last_time_us: self.last_time_us });
        }
        let is_latest = push.time_us >= self.last_time_us;
        let mut next = self.clone();
        match push.status {
            PushStatus::Ok => next.end_well(push, at, terms, is_latest),
            PushStatus::Fail => {
                // Nothing can make it worse: without a deadline it stays failed until the next ok.
                next.limits.silence = None;
                next.state = State::Failed;
                next.limits.runs.retain(|run| !is_ended(run, push));
            }
            PushStatus::Start => next.start(push, at, terms),
        }
        if push.status != PushStatus::Start {
            next.started_at = next.limits.runs.iter().map(|run| run.started_at).max();
        }
        if is_latest {
            (next.last_time_us, next.last_status) = (push.time_us, Some(push.status));
            next.run_id.clone_from(&push.run_id);
        }
        Ok(next)
    }

    fn counts(&self, push: &Push) -> bool {
        let is_end = push.status != PushStatus::Start;
        let ends_the_last = push.time_us == self.last_time_us
            && self.last_status == Some(PushStatus::Start)
            && push.run_id == self.run_id;
        let ends_open = |run: &Run| run.run_id.is_some() && run.run_id == push.run_id && push.time_us >= run.time_us;
        push.time_us > self.last_time_us || is_end && (ends_the_last || self.limits.runs.iter().any(ends_open))
    }

    fn end_well(&mut self, push: &Push, at: Wall, terms: Terms, is_latest: bool) {
        // People were told of a run that did not end in time; this is the ok that they wait for.
        let is_told = |run: &Run| self.state == State::Late && run.limit.at <= at;
        self.limits.runs.retain(|run| !is_ended(run, push) && !is_told(run));
        // What was said before the failure does not repair it.
        if self.state == State::Failed && !is_latest {
            return;
        }
        self.state = State::Up;
        self.limits.silence = terms.silence(at);
    }

    fn start(&mut self, push: &Push, at: Wall, terms: Terms) {
        let is_known = self.limits.runs.iter().any(|run| run.run_id == push.run_id);
        match (self.state, terms.max_runtime) {
            // Who began is not waited for any more, but for the end.
            (State::New | State::Up, Some(_)) => self.limits.silence = None,
            (State::New, None) => self.limits.silence = terms.silence(at),
            (State::Up, None) | (State::Late | State::Failed, _) => {}
        }
        if self.state == State::New {
            self.state = State::Up;
        }
        self.started_at = Some(at);
        let has_limit = push.run_id.is_some() || terms.max_runtime.is_some();
        let limit = terms.run(at).filter(|_| has_limit && !is_known && self.limits.runs.len() < MOST_RUNS);
        let run = |limit| Run { run_id: push.run_id.clone(), started_at: at, time_us: push.time_us, limit };
        self.limits.runs.extend(limit.map(run));
    }

    /// Silent beyond its deadline, and not marked yet.
    pub fn is_overdue(&self, now: Wall) -> bool {
        match self.state {
            State::New | State::Up => !self.is_paused && self.deadline().is_some_and(|deadline| deadline <= now),
            State::Late | State::Failed => false,
        }
    }

    /// What there is to do, if its incident is open or not. While no push can be taken nothing becomes late.
    pub fn need(&self, now: Wall, has_incident: bool, is_outage: bool) -> Option<Need> {
        if self.limits.are_out_of_reach(now) {
            return Some(Need::Recount);
        }
        if self.is_overdue(now) {
            return (!is_outage).then_some(Need::MarkLate);
        }
        if self.is_paused {
            return has_incident.then_some(Need::ResolveIncident);
        }
        match (self.state, has_incident) {
            (State::Late | State::Failed, false) => Some(Need::OpenIncident),
            (State::New | State::Up, true) => Some(Need::ResolveIncident),
            (State::Late | State::Failed, true) | (State::New | State::Up, false) => None,
        }
    }
}

/// Who does not name its run speaks for all of them.
fn is_ended(run: &Run, push: &Push) -> bool {
    push.run_id.is_none() || run.run_id.is_none() || run.run_id == push.run_id
}

/// Since when no watchdog could take a push, if none can. `last_proof`: when one last showed that it could; all times are the
/// database's. `after`: [`OUTAGE_AFTER`], and more where the database is so far away that proofs are seldom.
pub fn outage_since(last_proof: Option<Wall>, now: Wall, after: Duration) -> Option<Wall> {
    last_proof.filter(|&last| now.since(last) > after)
}

/// What is to be done about the incident of pushes that nobody can take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutageNeed {
    /// None can be taken for long: tell people.
    Tell,
    /// They can be taken again.
    Resolve,
}

/// `outage`: how long none could be taken until now.
pub fn outage_need(outage: Option<Duration>, is_told: bool) -> Option<OutageNeed> {
    match (outage, is_told) {
        (Some(lasts), false) if lasts > OUTAGE_TOLD_AFTER => Some(OutageNeed::Tell),
        (None, true) => Some(OutageNeed::Resolve),
        (Some(_) | None, _) => None,
    }
}
