//! Steps of the database's clock: seen by who watches it beside a clock that cannot be set.
//!
//! All stored times are the database's. When that clock is set back, whatever was written shortly before stands ahead of
//! it, and would hold, silence or forgive until it is caught up. Here it is only noticed that it happened; what becomes
//! of such rows is the store's to say.

use std::time::Duration;

use crate::time::{Mono, Wall};

/// What a clock is slewed by in a minute is less, and so is what reading it twice differs by.
const LEAST: Duration = Duration::from_secs(1);

/// The clock was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// By at least so much: what was written before may stand ahead now.
    Back(Duration),
    /// By at least so much: no time passed, although stored times did.
    Ahead(Duration),
}

/// What the last reading showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    last: Option<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    began_at: Mono,
    ended_at: Mono,
    shown: Wall,
}

impl Steps {
    /// The database's clock showed this at some moment between the two.
    pub fn see(&mut self, began_at: Mono, ended_at: Mono, shown: Wall) -> Option<Step> {
        let before = self.last.replace(Reading { began_at, ended_at, shown })?;
        // How slow an answer was may not look like a step.
        let earliest = before.shown + began_at.since(before.ended_at);
        let latest = before.shown + ended_at.since(before.began_at);
        let (back, ahead) = (earliest.since(shown), shown.since(latest));
        if back >= LEAST {
            return Some(Step::Back(back));
        }
        (ahead >= LEAST).then_some(Step::Ahead(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn steps() -> Steps {
        let mut steps = Steps::default();
        assert_eq!(steps.see(Mono::secs(10), Mono::secs(10), Wall(HOUR)), None);
        steps
    }

    #[test]
    fn a_clock_that_goes_as_the_own_one_takes_no_step() {
        assert_eq!(steps().see(Mono::secs(11), Mono::secs(11), Wall(HOUR + 1_400)), None);
        assert_eq!(steps().see(Mono::secs(11), Mono::secs(11), Wall(HOUR + 600)), None);
    }

    #[test]
    fn a_slow_answer_is_no_step() {
        assert_eq!(steps().see(Mono::secs(11), Mono::secs(41), Wall(HOUR + 1_000)), None);
        assert_eq!(steps().see(Mono::secs(11), Mono::secs(41), Wall(HOUR + 31_000)), None);
    }

    #[test]
    fn a_host_that_slept_with_its_database_saw_no_step() {
        assert_eq!(steps().see(Mono::secs(3_610), Mono::secs(3_610), Wall(2 * HOUR)), None);
    }

    #[test]
    fn a_clock_that_is_set_by_an_hour_or_a_day_is_seen_both_ways() {
        for by in [HOUR, 24 * HOUR] {
            let span = Duration::from_millis(u64::try_from(by).unwrap());
            let seen = |shown| steps().see(Mono::secs(11), Mono::secs(11), Wall(shown));
            assert_eq!(seen(HOUR + 1_000 - by), Some(Step::Back(span)));
            assert_eq!(seen(HOUR + 1_000 + by), Some(Step::Ahead(span)));
        }
    }

    #[test]
    fn a_step_is_seen_once() {
        let mut steps = steps();
        assert!(steps.see(Mono::secs(11), Mono::secs(11), Wall(1_000)).is_some());
        assert_eq!(steps.see(Mono::secs(12), Mono::secs(12), Wall(2_000)), None);
    }
}
