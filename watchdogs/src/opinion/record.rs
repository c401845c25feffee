//! What is kept of the watchdogs' opinion of one monitor, while it matters.

use std::time::Duration;

use super::{Opinion, Seen};
use crate::time::Wall;

/// A denial that could not be confirmed for so long says nothing any more: ten looks and more.
const STALE: Duration = Duration::from_secs(600);

/// Whoever looks renews its claim each second; one that was not renewed for so long is somebody's who was killed.
pub const CLAIM_LASTS: Duration = Duration::from_secs(7);

/// About one change of a monitor's state, or about none. All times are the database's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// The change to DOWN that it is about; 0: the node calls it up.
    pub change: i64,
    /// Since when the question waits.
    pub asked_at: Wall,
    /// What the watchdogs said last that was clear, or that they could not say; `None`: nobody has answered yet.
    pub seen: Option<Seen>,
    /// How many of them see it fail, of how many.
    pub votes: (u32, u32),
    /// Who sees what.
    pub words: String,
    /// When they last could say something.
    pub clear_at: Option<Wall>,
    /// Since when they have seen it down without a word to the contrary.
    pub down_since: Option<Wall>,
    /// Whether it found no room when it was asked.
    pub line: Line,
}

/// Where a question stood when it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Line {
    /// There was room for it.
    #[default]
    None,
    /// Too many wanted an answer at once: it waits until there is room.
    Waits,
    /// It waited, and is asked.
    Left,
}

impl Record {
    /// A question that nobody has answered yet.
    pub fn asked(change: i64, now: Wall) -> Self {
        Self { change, asked_at: now, ..Self::default() }
    }

    /// With what the watchdogs said just now. That too few could look takes nothing back of what they saw before.
    #[must_use]
    pub fn after(&self, now: Wall, opinion: Opinion) -> Self {
        if !opinion.seen.is_clear() && self.seen.is_some_and(Seen::is_clear) {
            return self.clone();
        }
        let is_down = opinion.seen == Seen::Down;
        let since = self.down_since.filter(|since| *since <= now).unwrap_or(now);
        Self {
            seen: Some(opinion.seen),
            votes: opinion.votes,
            words: opinion.words,
            clear_at: if opinion.seen.is_clear() { Some(now) } else { self.clear_at },
            down_since: is_down.then_some(since),
            ..self.clone()
        }
    }

    /// What they said last is too old to hold anything back.
    pub fn is_stale(&self, now: Wall) -> bool {
        self.clear_at.is_none_or(|at| !is_near(now, at, STALE))
    }

    /// They have seen it down for so long.
    pub fn is_down_for(&self, now: Wall, span: Duration) -> bool {
        self.down_since.is_some_and(|since| now.since(since) >= span)
    }

    /// Nobody answered for so long.
    pub fn is_late(&self, now: Wall, patience: Duration) -> bool {
        self.seen.is_none() && !is_near(now, self.asked_at, patience)
    }
}

/// Whether a claim that was renewed then still holds, so that nobody else asks meanwhile.
pub fn is_claimed(now: Wall, renewed_at: Option<Wall>) -> bool {
    renewed_at.is_some_and(|at| is_near(now, at, CLAIM_LASTS))
}

/// Less than so long away, on either side: a stored time far ahead of the clock is no reason to wait.
pub(super) fn is_near(now: Wall, at: Wall, span: Duration) -> bool {
    now.since(at) < span && at.since(now) < span
}
