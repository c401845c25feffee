//! How far away the database is, as the rounds show it.
//!
//! A round is read in one trip. What it takes least of the last few is the way itself: one slow answer is none.

use std::collections::VecDeque;
use std::time::Duration;

/// So many rounds in a row.
const ROUNDS: usize = 5;

/// From here on leadership, decisions and counts, which take some trips each, come noticeably later.
const SLOW_FROM: Duration = Duration::from_millis(250);

/// What the last rounds took.
#[derive(Debug, Default)]
pub(crate) struct Slowness {
    last: VecDeque<Duration>,
}

impl Slowness {
    /// Takes in how long it took to read a round.
    pub(crate) fn note(&mut self, took: Duration) {
        self.last.truncate(ROUNDS - 1);
        self.last.push_front(took);
    }

    /// What a trip takes at least, where that is long.
    pub(crate) fn trip(&self) -> Option<Duration> {
        let least = self.last.iter().min().filter(|_| self.last.len() == ROUNDS)?;
        (*least >= SLOW_FROM).then_some(*least)
    }

    /// Why decisions take longer, in words for `/status`; `None`: the database is near enough.
    pub(crate) fn reason(&self) -> Option<String> {
        let seconds = self.trip()?.as_secs_f64();
        Some(format!("the database is slow: a round trip takes {seconds:.1} s, so it is decided more slowly"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_database_is_called_slow_and_one_slow_answer_is_not() {
        let mut slowness = Slowness::default();
        for millis in [3, 3, 3, 900, 3] {
            slowness.note(Duration::from_millis(millis));
        }
        assert_eq!(slowness.reason(), None);
        for _ in 0..5 {
            slowness.note(Duration::from_millis(980));
        }
        let text = "the database is slow: a round trip takes 1.0 s, so it is decided more slowly";
        assert_eq!(slowness.reason().as_deref(), Some(text));
    }
}
