//! When a watchdog looks: N watchdogs that live share each interval evenly, and a thousand checks spread over it.
//!
//! Each check has a point of its own in the interval, by its name; watchdog i of N looks i x interval / N after it. The
//! points are counted on the wall clock, the only one that watchdogs have in common; where it is off or jumps, looks fall
//! less evenly and nothing else. A look is never put off by more than half a second beyond its interval, so votes stay
//! fresh when watchdogs come and go: whoever has to shift its point comes earlier once, or slides.

use std::time::Duration;

use super::CheckName;
use crate::time::{Mono, Wall};

/// Who came less than twice this before its point looks after a whole interval and slides towards it, by at most this: two
/// clocks of one host drift by less. Whoever is further off looks once more, at its point.
const SLIDE: Duration = Duration::from_millis(500);

/// This watchdog's place among those that share an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    /// From 0.
    pub(crate) index: usize,
    /// At least 1.
    pub(crate) of: usize,
}

/// The same moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Mono,
    pub(crate) wall: Wall,
}

/// When the look after the one that began now comes.
pub(crate) fn next(at: Moment, name: &CheckName, interval: Duration, share: Share) -> Mono {
    let length = millis(interval).max(1);
    let index = u64::try_from(share.index).unwrap_or(0);
    let of = u64::try_from(share.of).unwrap_or(1).max(1);
    let point = place(name) % length + length * index / of;
    let now = u64::try_from(at.wall.0).unwrap_or(0);
    // How far this is into the interval that began at the point.
    let into = (now % length + length - point % length) % length;
    let distance = Duration::from_millis(length - into);
    if distance >= 2 * SLIDE { at.now + distance } else { at.now + interval + distance.min(SLIDE) }
}

/// When the first look of one of so many new checks comes: soon, and not all at once.
pub(crate) fn first(now: Mono, name: &CheckName, spread: Duration) -> Mono {
    let span = u64::try_from(spread.as_micros()).unwrap_or(u64::MAX).max(1);
    now + Duration::from_micros(place(name) % span)
}

/// A number that a name always has, and that names hardly share (FNV-1a, its upper bits folded in).
fn place(name: &CheckName) -> u64 {
    let hash = name
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash ^ (hash >> 29)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);

    /// The looks of watchdog `index` of `of` from a start at `from`, as seconds of the wall clock.
    fn looks(index: usize, of: usize, from: u64, count: usize) -> Vec<f64> {
        let wall = |now: Mono| Wall(i64::try_from(now.as_micros() / 1_000).unwrap());
        let mut now = Mono::secs(from);
        let mut seconds = Vec::new();
        for _ in 0..count {
            now = next(Moment { now, wall: wall(now) }, &"api".into(), INTERVAL, Share { index, of });
            seconds.push(f64::from(u32::try_from(now.as_micros() / 1_000).unwrap()) / 1_000.0);
        }
        seconds
    }

    #[test]
    fn three_watchdogs_look_a_third_of_the_interval_apart() {
        let second = |index| looks(index, 3, 1_000, 4)[3] % 60.0;
        assert!(((second(1) - second(0) + 60.0) % 60.0 - 20.0).abs() < 0.01);
        assert!(((second(2) - second(0) + 60.0) % 60.0 - 40.0).abs() < 0.01);
    }

    #[test]
    fn looks_come_once_an_interval_to_the_millisecond() {
        let seconds = looks(1, 3, 1_234, 5);
        assert!(seconds.windows(2).skip(1).all(|pair| (pair[1] - pair[0] - 60.0).abs() < 0.001), "{seconds:?}");
    }

    #[test]
    fn no_look_is_later_than_its_interval_when_the_number_of_watchdogs_or_the_clock_changes() {
        for (index, of) in [(0, 1), (0, 2), (1, 2), (0, 3), (2, 3), (6, 7)] {
            for shift in 0..120_u32 {
                let wall = Wall(i64::from(shift) * 500);
                let due = next(Moment { now: Mono::secs(500), wall }, &"api".into(), INTERVAL, Share { index, of });
                let wait = due.since(Mono::secs(500));
                assert!(wait >= 2 * SLIDE && wait <= INTERVAL + SLIDE, "{index} of {of}: {wait:?}");
            }
        }
    }

    #[test]
    fn a_look_that_came_a_little_early_slides_back_to_its_point() {
        let share = Share { index: 0, of: 3 };
        let on_time = next(Moment { now: Mono::secs(0), wall: Wall(0) }, &"api".into(), INTERVAL, share);
        let early = on_time - Duration::from_millis(300);
        let wall = Wall(i64::try_from(early.as_micros() / 1_000).unwrap());
        let due = next(Moment { now: early, wall }, &"api".into(), INTERVAL, share);
        assert_eq!(due, on_time + INTERVAL);
    }

    #[test]
    fn first_looks_of_many_checks_spread() {
        let names = (0..1_000).map(|number| CheckName::from(format!("check{number}")));
        let late = names.filter(|name| first(Mono::secs(0), name, Duration::from_secs(20)) >= Mono::secs(10));
        assert!((400..600).contains(&late.count()));
    }
}
