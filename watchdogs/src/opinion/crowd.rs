//! What becomes of questions where more are asked at once than the watchdogs can answer.
//!
//! Each watchdog asks [`AT_ONCE`] questions at a time, so that there is an answer in time to all that are asked even where every target hangs
//! for as long as it may ([`room`]). What only adds a line to a message is told without it. What holds a page back waits in line: a
//! network that is gone at one node makes that node call everything down, and those are the pages that nobody wants. So a crowd is told at once
//! when those of the same node that were asked are seen down too, after the patience that holds for everybody when nothing is known, and
//! is held for longer, and asked one after the other, while they are denied. Never for longer than [`HELD_AT_MOST`].

use std::time::Duration;

use super::record::{Line, is_near};
use super::{Record, Remark, Telling, Wish};
use crate::time::Wall;

/// Questions that one watchdog asks at once: each takes a look of every watchdog.
pub const AT_ONCE: usize = 32;

/// In so long three watchdogs look at some ten thousand targets that answer.
pub const HELD_AT_MOST: Duration = Duration::from_secs(120);

/// So many that are seen down too are no chance: a node that calls a hundred down may be right about a few.
const ENOUGH: u32 = 10;

/// What the watchdogs say of those monitors of one node that went down, and that they were asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Crowd {
    /// Too little to tell.
    #[default]
    Unknown,
    /// They are down.
    Confirmed,
    /// They are not.
    Denied,
}

/// Of so many that are seen down too, and so many that are not.
pub fn crowd(confirmed: u32, denied: u32) -> Crowd {
    if denied > confirmed {
        Crowd::Denied
    } else if confirmed >= ENOUGH {
        Crowd::Confirmed
    } else {
        Crowd::Unknown
    }
}

/// How many more questions may be asked by so many watchdogs, where so many are.
pub fn room(watchdogs: usize, asked: usize) -> usize {
    (watchdogs.max(1) * AT_ONCE).saturating_sub(asked)
}

/// Questions that are asked now, and that nobody has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// Those that hold pages back.
    pub holding: usize,
    /// All of them.
    pub all: usize,
}

/// What becomes of one more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is asked.
    Asked,
    /// It waits until there is room.
    Waits,
    /// Nobody is asked.
    Dropped,
}

impl Asked {
    /// One more is to be asked. What only adds a line takes no room from what holds a page back: that is asked first.
    pub fn admit(&mut self, wish: Wish, watchdogs: usize) -> Admission {
        let holds = wish == Wish::Require;
        if room(watchdogs, if holds { self.holding } else { self.all }) == 0 {
            return if holds { Admission::Waits } else { Admission::Dropped };
        }
        self.all += 1;
        self.holding += usize::from(holds);
        Admission::Asked
    }
}

/// What is told of a monitor about which nobody has answered yet.
pub(super) fn unanswered(now: Wall, wish: Wish, record: &Record, (patience, crowd): (Duration, Crowd)) -> Telling {
    let is_late = record.is_late(now, patience);
    let is_held = wish == Wish::Require && is_near(now, record.asked_at, HELD_AT_MOST);
    match (record.line, crowd) {
        (Line::None, _) if is_late => Telling::Tell(Remark::Late),
        (Line::Waits, Crowd::Confirmed) => Telling::Tell(Remark::Crowded),
        (Line::Waits | Line::Left, Crowd::Denied) if is_held => Telling::Wait,
        (Line::Waits | Line::Left, _) if is_late => Telling::Tell(Remark::Crowded),
        (Line::None | Line::Waits | Line::Left, _) => Telling::Wait,
    }
}
