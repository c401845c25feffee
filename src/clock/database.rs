//! The database's time on this machine: what beats are stamped with where this machine's own clock is wrong.
//!
//! Read anew about once a second; in between it goes on by the clock that does not step, so a step of this machine's clock
//! shows in no beat. While both agree the machine's own is used, which is finer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use komainu_watchdogs::clocks::CLOCK_OFF;
use komainu_watchdogs::time::{Mono, Wall};

/// Shared by whoever reads the database's time and whoever stamps.
#[derive(Clone, Debug, Default)]
pub struct DatabaseClock {
    read: Arc<Mutex<Option<Read>>>,
}

/// What the database said, and when that was here.
#[derive(Clone, Copy, Debug)]
struct Read {
    said: Wall,
    at: Mono,
}

impl DatabaseClock {
    /// The database said this in answer to what was sent and came back then.
    pub fn note(&self, said: Wall, sent_at: Mono, back_at: Mono) {
        let at = sent_at + back_at.since(sent_at) / 2;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Read { said, at });
    }

    /// Now, for a beat.
    pub fn stamp(&self) -> Wall {
        self.stamp_at(super::wall(), super::now())
    }

    /// By how much this machine's clock is ahead of the database's, in milliseconds; `None`: not known yet.
    pub fn off_ms(&self) -> Option<i64> {
        self.expected(super::now()).map(|expected| super::wall().0 - expected.0)
    }

    fn stamp_at(&self, wall: Wall, now: Mono) -> Wall {
        match self.expected(now) {
            Some(expected) if wall.0.abs_diff(expected.0) > millis(CLOCK_OFF) => expected,
            Some(_) | None => wall,
        }
    }

    fn expected(&self, now: Mono) -> Option<Wall> {
        let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.map(|read| read.said + now.since(read.at))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> DatabaseClock {
        let clock = DatabaseClock::default();
        clock.note(Wall(1_000_000), Mono::secs(9), Mono::secs(11));
        clock
    }

    #[test]
    fn a_clock_that_agrees_stamps_itself() {
        assert_eq!(clock().stamp_at(Wall(1_004_000), Mono::secs(10)), Wall(1_004_000));
        assert_eq!(DatabaseClock::default().stamp_at(Wall(7), Mono::secs(10)), Wall(7), "nothing is known yet");
    }

    #[test]
    fn a_clock_that_steps_by_an_hour_or_a_day_either_way_shows_in_no_beat() {
        for step in [3_600_000, 86_400_000, -3_600_000, -86_400_000] {
            assert_eq!(clock().stamp_at(Wall(1_002_000 + step), Mono::secs(12)), Wall(1_002_000));
        }
    }
}
