//! What was counted of one thing on one day, and what a bar makes of it. Pure.

/// Beats of a monitor, or seconds of a check or heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Day {
    /// In which it was reached.
    pub good: u64,
    /// In which it was not.
    pub bad: u64,
}

/// How a bar looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bar {
    /// Nothing was counted.
    Nothing,
    /// It was reached all the time.
    Up,
    /// It was not reached for a while.
    Partial,
    /// It was not reached for more than an hour of a day.
    Down,
}

/// More than this share of a day is a bad day: an hour.
const BAD_SHARE: f64 = 1.0 / 24.0;

impl Day {
    /// Share of it in which it was reached; `None`: nothing was counted.
    pub fn share(self) -> Option<f64> {
        let all = real(self.good) + real(self.bad);
        (all > 0.0).then(|| real(self.good) / all)
    }

    /// As a bar.
    pub fn bar(self) -> Bar {
        match self.share() {
            None => Bar::Nothing,
            Some(share) if self.bad > 0 && 1.0 - share > BAD_SHARE => Bar::Down,
            Some(_) if self.bad > 0 => Bar::Partial,
            Some(_) => Bar::Up,
        }
    }

    /// Both together.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self { good: self.good.saturating_add(more.good), bad: self.bad.saturating_add(more.bad) }
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "beats and seconds of days are far below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_beat_of_a_day_shows_and_an_hour_of_them_is_a_bad_day() {
        let bar = |good, bad| Day { good, bad }.bar();
        assert_eq!(bar(0, 0), Bar::Nothing);
        assert_eq!(bar(1_440, 0), Bar::Up);
        assert_eq!(bar(1_000_000, 1), Bar::Partial);
        assert_eq!(bar(23 * 60, 60), Bar::Partial);
        assert_eq!(bar(23 * 60 - 1, 61), Bar::Down);
        assert_eq!(bar(0, 1), Bar::Down);
    }
}
