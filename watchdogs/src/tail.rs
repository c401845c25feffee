//! Whether the database lost its tail: what it had answered as committed, and knows no more (a replica that was behind and was
//! promoted, a restored backup, a host that went down without its last writes on disk).
//!
//! Owns how that is found, and what of it this watchdog can say: since when, until when, and from which moment of its own on
//! what it answered may be gone. Each watchdog counts the writes of its own row in the row itself ([`Counter`]) and says
//! with each write how many it was answered ([`Claim`]). A row that bears fewer has lost some. The write that finds it notes
//! it in the row, in the same statement, so neither a lost answer nor the next write hides it; it stays until it is entered.
//!
//! Nothing else is compared, so nothing else raises an alarm: only a committed write finds anything, for what is read may be
//! old (another Galera server); a write without an answer is not claimed; no clock is asked; a row that was deleted and made anew
//! goes on from what its maker claims, and is compared with nothing where that is another process; a process that held the row meanwhile only raised the count.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::facts::Round;
use crate::ids::{Generation, Incarnation, Stamp};
use crate::time::{Mono, Wall};

/// The incident's key. Nothing ends it but a hand: what is gone stays gone, and somebody has to have read of it.
pub const KEY: &str = "database/lost-tail";

/// What was found and could not be entered is entered again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Answers of which the moment is remembered: at one a second more than ten minutes, which is as far as what was answered is
/// remembered anywhere.
const MOST_ANSWERS: usize = 700;

/// What a write of the own row says of the writes before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Claim {
    /// Which row it is about: the process that made it. None: it was not read yet, and nothing is claimed.
    pub born: Option<Incarnation>,
    /// The row bore this number when a write was last answered.
    pub answered: u64,
    /// It bears at least this one after this write: higher with each try, answered or not.
    pub next: u64,
    /// The loss that was entered: its mark may go. 0: none.
    pub entered: u64,
}

/// The count in the own row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counter {
    /// The process that made the row; none: a version that did not count.
    pub born: Option<Incarnation>,
    /// Only ever rises, whoever writes the row.
    pub writes: u64,
    /// A loss that was found and not entered yet.
    pub loss: Option<Mark>,
}

/// A loss, as it stands in the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// What the writer had been answered: the loss is known by it.
    pub answered: u64,
    /// What the row bore.
    pub kept: u64,
    /// When that was written.
    pub kept_at: Wall,
}

impl Counter {
    /// What a write makes of the row; stores do the same in SQL. `before`: the row, and when it was written last.
    #[must_use]
    pub fn after(before: Option<(&Self, Wall)>, claim: &Claim, writer: Incarnation) -> Self {
        let Some((before, written_at)) = before else {
            // Whoever made the row of before may be the one who makes it anew: it goes on from where it was.
            return Self { born: Some(writer), writes: claim.next.max(1), loss: None };
        };
        let is_claimed = claim.born.is_some() && claim.born == before.born;
        let found = Mark { answered: claim.answered, kept: before.writes, kept_at: written_at };
        let is_lost = is_claimed && before.writes < claim.answered;
        let standing = before.loss.filter(|mark| mark.answered != claim.entered);
        let least = if is_claimed { claim.next } else { 0 };
        Self {
            born: before.born.or(Some(writer)),
            writes: least.max(before.writes + 1),
            loss: if is_lost { Some(found) } else { standing },
        }
    }
}

/// What the next process of a watchdog has to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembrance {
    /// The process that made the row.
    pub born: Option<Incarnation>,
    /// How many of its writes were answered.
    pub answered: u64,
    /// When the last of them was, by the database's clock.
    pub at: Wall,
}

/// A lost tail, as one watchdog found it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LostTail {
    /// Tells it from others that this watchdog found.
    pub answered: u64,
    /// The last of this watchdog's writes that is there was made then, by the database's clock.
    pub from: Wall,
    /// The last one that is not there was answered then, by the clock of the database that knew it.
    pub until: Wall,
    /// What this process answered before this point is there; none: it cannot say.
    pub since: Option<Mono>,
    /// The number of the cluster's assignment before and after, if it went back.
    pub generations: Option<(Generation, Generation)>,
}

/// Finds lost tails, for one watchdog process.
#[derive(Debug, Default)]
pub struct Tail {
    born: Option<Incarnation>,
    answered: u64,
    next: u64,
    entered: u64,
    /// Each write that was answered: its number, and when it was ordered. What was answered before that was committed before it.
    answers: VecDeque<(u64, Mono)>,
    /// The database's clock, as it was last read from one that had lost nothing.
    clock: Option<(Mono, Wall)>,
    answered_at: Wall,
    stamp: Option<Stamp>,
    generations: Option<(Generation, Generation)>,
    found: Option<Found>,
}

#[derive(Debug)]
struct Found {
    loss: LostTail,
    /// Not before it is time to try again; none: it is being entered.
    due_at: Option<Mono>,
}

impl Tail {
    /// Of a process that goes on where an earlier one ended.
    pub fn after(earlier: &Remembrance) -> Self {
        let Remembrance { born, answered, at } = *earlier;
        Self { born, answered, next: answered, answered_at: at, ..Self::default() }
    }

    /// For the next process.
    pub fn remembrance(&self) -> Remembrance {
        Remembrance { born: self.born, answered: self.answered, at: self.answered_at }
    }

    /// With the next write.
    pub fn claim(&mut self) -> Claim {
        self.next += 1;
        Claim { born: self.born, answered: self.answered, next: self.next, entered: self.entered }
    }

    /// The write that was ordered then is committed.
    pub fn handle_written(&mut self, ordered_at: Mono) {
        if self.born.is_none() {
            return;
        }
        self.answered = self.answered.max(self.next);
        if let Some((read_at, wall)) = self.clock {
            self.answered_at = wall + ordered_at.since(read_at);
        }
        self.answers.push_back((self.answered, ordered_at));
        if self.answers.len() > MOST_ANSWERS {
            self.answers.pop_front();
        }
    }

    /// Looks at the own row; a loss that is to be entered now.
    pub fn handle_round(&mut self, now: Mono, round: &Round) -> Option<LostTail> {
        let before = self.stamp.replace(round.cluster.stamp).map(|stamp| stamp.generation);
        let went_back =
            before.map(|before| (before, round.cluster.stamp.generation)).filter(|(one, other)| other < one);
        self.generations = self.generations.or(went_back);
        let own = round.own?;
        if own.born != self.born {
            (self.born, self.answered, self.next) = (own.born, own.writes, own.writes);
            self.answers.clear();
        }
        (self.answered, self.next) = (self.answered.max(own.writes), self.next.max(own.writes));
        match own.loss.filter(|mark| mark.answered > self.entered) {
            Some(mark) => self.note(now, &mark),
            None => self.clock = Some((round.ended_at, round.database_time)),
        }
        let found = self.found.as_mut()?;
        found.due_at.take_if(|due_at| *due_at <= now).map(|_| found.loss)
    }

    fn note(&mut self, now: Mono, mark: &Mark) {
        if self.found.as_ref().is_some_and(|found| found.loss.answered == mark.answered) {
            return;
        }
        let is_kept = |(number, _): &&(u64, Mono)| *number <= mark.kept;
        let lost_at = self.answers.iter().rev().find(|(number, _)| *number <= mark.answered).map(|(_, at)| *at);
        let until =
            lost_at.zip(self.clock).map_or(self.answered_at, |(at, (read_at, wall))| wall_at(at, read_at, wall));
        let mut loss = LostTail {
            answered: mark.answered,
            from: mark.kept_at.min(until),
            until,
            since: self.answers.iter().rev().find(is_kept).map(|(_, ordered_at)| *ordered_at),
            generations: self.generations.take(),
        };
        // One on top of one that was not entered yet: both at once.
        if let Some(Found { loss: earlier, .. }) = self.found.take() {
            loss.from = loss.from.min(earlier.from);
            loss.since = loss.since.and_then(|since| Some(since.min(earlier.since?)));
            loss.generations = earlier.generations.or(loss.generations);
        }
        self.found = Some(Found { loss, due_at: Some(now) });
    }

    /// It was entered, or could not be.
    pub fn handle_entered(&mut self, now: Mono, answered: u64, is_done: bool) {
        let Some(found) = self.found.as_mut().filter(|found| found.loss.answered == answered) else { return };
        if is_done {
            self.entered = answered;
            self.found = None;
        } else {
            found.due_at = Some(now + AGAIN);
        }
    }
}

fn wall_at(at: Mono, read_at: Mono, wall: Wall) -> Wall {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Wall(wall.0.saturating_add(ms(at.since(read_at))).saturating_sub(ms(read_at.since(at))))
}
