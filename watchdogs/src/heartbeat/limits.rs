//! Until when silence is fine: of the schedule, and of each open run; and what times in which nobody could push make of it.
//!
//! The clock of a limit stands still during a [`Gap`]: it moves by the gap's length. A gap that touches the time in which
//! the push is expected adds [`COMING_BACK`], once, because senders that were refused need a moment to come back. So gaps of
//! total length G delay the news of a dead job by at most G and a minute, however many they are, and a job that keeps trying
//! for a minute of open doors is never late by mistake.
//!
//! Limits are stored as points in time, and clocks jump. Each remembers how far ahead it may lie at most: what lies further
//! is pulled in, from the moment it is read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// What senders that were refused get to come back. Also how early a push may be that is told late because of a gap: its
/// predecessor may have come back that much late, and the next due counts from there.
pub const COMING_BACK: Duration = Duration::from_secs(60);

/// Runs of one heartbeat that have a limit each. Of more, those that began first are watched: their limits pass first, so a
/// program that crashes and starts again for ever is late, and none is late by mistake.
pub const MOST_RUNS: usize = 50;

/// Gaps that are remembered. At one in four seconds this is more than an hour, and what is asked for twice a second is
/// counted long before.
pub const MOST_GAPS: usize = 1_000;

/// Readings of the database's clock are a moment old.
const SLACK_MS: i64 = 2_000;

/// A time in which no watchdog could take a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Higher for each later gap.
    pub id: i64,
    /// When one was last able to.
    pub began_at: Wall,
    /// When one was again.
    pub ended_at: Wall,
}

/// A point by which somebody must have spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// From when on the word is expected: gaps do not move it, the job's own clock runs on.
    pub due: Wall,
    /// When silence is too long.
    pub at: Wall,
    /// How far `at` lay ahead when it was set, in milliseconds: it never lies further.
    pub span_ms: i64,
    /// [`COMING_BACK`] is in `at` already.
    pub is_extended: bool,
}

impl Limit {
    /// Set at this moment.
    pub fn new(now: Wall, due: Wall, at: Wall) -> Self {
        Self { due, at, span_ms: at.0.saturating_sub(now.0), is_extended: false }
    }

    /// With a gap counted in, as far as it lies after `since`, when the limit was set.
    #[must_use]
    pub fn after(self, gap: &Gap, since: Wall) -> Self {
        let began_at = gap.began_at.max(since);
        if gap.ended_at <= began_at || began_at >= self.at {
            return self;
        }
        let is_touched = gap.ended_at + COMING_BACK >= self.due;
        let at = self.at + gap.ended_at.since(began_at);
        let at = if is_touched && !self.is_extended { at + COMING_BACK } else { at };
        Self { at, is_extended: self.is_extended || is_touched, ..self }
    }

    fn longest_ms(self) -> i64 {
        let more = if self.is_extended { i64::try_from(COMING_BACK.as_millis()).unwrap_or(i64::MAX) } else { 0 };
        self.span_ms.saturating_add(more)
    }

    fn is_out_of_reach(self, now: Wall) -> bool {
        self.at.0.saturating_sub(now.0) > self.longest_ms().saturating_add(SLACK_MS)
    }

    /// As it is; or, if the clock was set back, as far ahead as it may lie.
    #[must_use]
    pub fn pulled_in(self, now: Wall) -> Self {
        if !self.is_out_of_reach(now) {
            return self;
        }
        let at = Wall(now.0.saturating_add(self.longest_ms()));
        let moved = self.at.0.saturating_sub(at.0);
        Self { at, due: Wall(self.due.0.saturating_sub(moved)), ..self }
    }
}

/// A run that began and did not end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// As its program calls it; `None`: its program does not name its runs.
    pub run_id: Option<String>,
    /// When its start arrived.
    pub started_at: Wall,
    /// The sender's time of its start.
    pub time_us: i64,
    /// By when it must have ended.
    pub limit: Limit,
}

/// All limits of a heartbeat.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Of the schedule. `None`: it is never due again, or a run has begun that has a limit of its own.
    pub silence: Option<Limit>,
    /// Of open runs, in the order of their beginning; at most [`MOST_RUNS`].
    pub runs: Vec<Run>,
}

impl Limits {
    /// Of a schedule alone.
    pub fn of(silence: Limit) -> Self {
        Self { silence: Some(silence), runs: Vec::new() }
    }

    /// The first to pass.
    pub fn earliest(&self) -> Option<Wall> {
        self.silence.iter().chain(self.runs.iter().map(|run| &run.limit)).map(|limit| limit.at).min()
    }

    /// The run whose limit has passed, if there is one.
    pub fn overdue_run(&self, now: Wall) -> Option<&Run> {
        self.runs.iter().filter(|run| run.limit.at <= now).min_by_key(|run| run.limit.at)
    }

    /// With these gaps counted in. `since`: the last push, of which there are no gaps before.
    #[must_use]
    pub fn after_gaps(&self, gaps: &[Gap], since: Wall) -> Self {
        let counted = |limit: Limit, since: Wall| gaps.iter().fold(limit, |limit, gap| limit.after(gap, since));
        self.map(|limit, started_at| counted(limit, started_at.unwrap_or(since)))
    }

    /// Whether one of them lies further ahead than it ever may.
    pub fn are_out_of_reach(&self, now: Wall) -> bool {
        self.silence.iter().chain(self.runs.iter().map(|run| &run.limit)).any(|limit| limit.is_out_of_reach(now))
    }

    /// Those that lie too far ahead pulled in.
    #[must_use]
    pub fn pulled_in(&self, now: Wall) -> Self {
        self.map(|limit, _| limit.pulled_in(now))
    }

    /// `change` is told when the run began, if it is a run's.
    #[must_use]
    pub fn map(&self, change: impl Fn(Limit, Option<Wall>) -> Limit) -> Self {
        let silence = self.silence.map(|limit| change(limit, None));
        let run = |run: &Run| Run { limit: change(run.limit, Some(run.started_at)), ..run.clone() };
        Self { silence, runs: self.runs.iter().map(run).collect() }
    }
}
