//! Counts of one minute: what came of this watchdog's looks, and how long each verdict stood.
//!
//! Pure. Minutes are those of the database's clock as far as it is known, so that all watchdogs count into the same; how long something
//! stood is measured on this process's own clock. A clock that jumps ends the minute at hand, and begins another.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use komainu_watchdogs::check::{CheckName, Outcome, State};
use komainu_watchdogs::time::{Mono, Wall};

use crate::store::checks::{Counts, Minute, Span};

/// Between two samples of the verdicts.
pub(super) const SAMPLE_EACH: Duration = Duration::from_secs(1);

/// A sample stands for no more than this: a process that stood still knows nothing of the time between.
const SAMPLE_MOST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Tally {
    at: i64,
    /// Minutes that are over.
    over: u64,
    looks: BTreeMap<CheckName, Counts>,
    /// Milliseconds in each state.
    stood: BTreeMap<CheckName, [u64; 4]>,
    sampled_at: Mono,
}

impl Tally {
    pub(super) fn new(now: Mono, wall: Wall) -> Self {
        Self { at: minute_of(wall), over: 0, looks: BTreeMap::new(), stood: BTreeMap::new(), sampled_at: now }
    }

    /// When the next sample is due.
    pub(super) fn due_at(&self) -> Mono {
        self.sampled_at + SAMPLE_EACH
    }

    /// A look ended, and what it was is known.
    pub(super) fn note_look(&mut self, check: &CheckName, outcome: Outcome, ms: u32) {
        let counts = self.looks.entry(check.clone()).or_default();
        match outcome {
            Outcome::Up => {
                counts.up += 1;
                counts.ms_sum += u64::from(ms);
                counts.ms_most = counts.ms_most.max(ms);
            }
            Outcome::Failed(_) => counts.failed += 1,
            Outcome::Unable(_) => counts.unable += 1,
        }
    }

    /// The verdicts that stand now have stood since the last sample. Returns the minute before, if another has begun.
    pub(super) fn sample<'a>(
        &mut self,
        (now, wall): (Mono, Wall),
        verdicts: impl Iterator<Item = (&'a CheckName, State)>,
    ) -> Option<Minute> {
        let span = now.since(self.sampled_at).min(SAMPLE_MOST);
        let millis = u64::try_from(span.as_millis()).unwrap_or(0);
        self.sampled_at = now;
        for (check, state) in verdicts {
            let [unknown, up, partial, down] = self.stood.entry(check.clone()).or_default();
            let of = match state {
                State::Unknown => unknown,
                State::Up => up,
                State::Partial => partial,
                State::Down => down,
            };
            *of += millis;
        }
        let at = minute_of(wall);
        let is_over = at != self.at;
        is_over.then(|| self.take(at))
    }

    fn take(&mut self, next: i64) -> Minute {
        let looks = std::mem::take(&mut self.looks);
        let stood = std::mem::take(&mut self.stood);
        let at = std::mem::replace(&mut self.at, next);
        self.over += 1;
        Minute {
            number: self.over,
            at,
            looks: looks.into_iter().map(|(check, counts)| (check.to_string(), counts)).collect(),
            verdicts: stood.into_iter().map(|(check, stood)| (check.to_string(), seconds(stood))).collect(),
        }
    }
}

fn seconds([unknown, up, partial, down]: [u64; 4]) -> Counts {
    let rounded = |millis: u64| u32::try_from((millis + 500) / 1_000).unwrap_or(u32::MAX);
    Counts {
        up_s: rounded(up),
        partial_s: rounded(partial),
        down_s: rounded(down),
        unknown_s: rounded(unknown),
        ..Counts::default()
    }
}

fn minute_of(wall: Wall) -> i64 {
    Span::Minute.of(wall.0.div_euclid(1_000))
}

/// Minutes that the database could not take, of a few hours: what is more is lost to the statistics.
const WAITING_MOST: usize = 180;

/// Rows of them, where there are many checks.
const WAITING_ROWS: usize = 100_000;

/// Minutes that wait for the database.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    minutes: VecDeque<Minute>,
}

impl Waiting {
    pub(super) fn push(&mut self, minute: Minute) {
        self.minutes.push_back(minute);
        while self.minutes.len() > WAITING_MOST || self.rows() > WAITING_ROWS {
            self.minutes.pop_front();
        }
    }

    fn rows(&self) -> usize {
        self.minutes.iter().map(|minute| minute.looks.len() + minute.verdicts.len()).sum()
    }

    /// The oldest of them.
    pub(super) fn next(&self) -> Option<&Minute> {
        self.minutes.front()
    }

    /// It was entered.
    pub(super) fn done(&mut self) {
        self.minutes.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::check::Failure;

    use super::*;

    fn at(second: i64) -> (Mono, Wall) {
        (Mono::secs(u64::try_from(second).unwrap()), Wall(second * 1_000))
    }

    #[test]
    fn a_minute_holds_its_looks_and_how_long_each_verdict_stood() {
        let (now, wall) = at(120);
        let shop = CheckName::from("shop");
        let mut tally = Tally::new(now, wall);
        tally.note_look(&shop, Outcome::Up, 20);
        tally.note_look(&shop, Outcome::Up, 40);
        tally.note_look(&shop, Outcome::Failed(Failure::Refused), 1);
        for second in 121..150 {
            assert_eq!(tally.sample(at(second), [(&shop, State::Up)].into_iter()), None);
        }
        for second in 150..180 {
            assert_eq!(tally.sample(at(second), [(&shop, State::Down)].into_iter()), None);
        }
        let minute = tally.sample(at(180), [(&shop, State::Down)].into_iter()).unwrap();
        let looks = Counts { up: 2, failed: 1, ms_sum: 60, ms_most: 40, ..Counts::default() };
        assert_eq!((minute.number, minute.at, minute.looks["shop"]), (1, 120, looks));
        assert_eq!(minute.verdicts["shop"], Counts { up_s: 29, down_s: 31, ..Counts::default() });
    }

    #[test]
    fn a_process_that_stood_still_says_nothing_of_that_time() {
        let shop = CheckName::from("shop");
        let (now, wall) = at(0);
        let mut tally = Tally::new(now, wall);
        let minute = tally.sample(at(3_600), [(&shop, State::Up)].into_iter()).unwrap();
        assert_eq!(minute.verdicts["shop"].up_s, 5);
    }

    #[test]
    fn the_latest_of_many_minutes_are_kept() {
        let mut waiting = Waiting::default();
        let minute = |at: i64| Minute { number: 0, at, looks: BTreeMap::new(), verdicts: BTreeMap::new() };
        (0..500).for_each(|at| waiting.push(minute(at * 60)));
        assert_eq!((waiting.minutes.len(), waiting.next().unwrap().at), (WAITING_MOST, (500 - 180) * 60));
        waiting.done();
        assert_eq!(waiting.next().unwrap().at, (500 - 179) * 60);
    }
}
