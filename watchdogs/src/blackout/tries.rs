//! What becomes of a line that a channel did not take while the database is down.
//!
//! As in the outbox ([`crate::outbox::attempt`]): what may have arrived is repeated [`MOST_REPEATS`] times, each marked, and
//! what is refused is not tried again. What other watchdogs sent without an answer counts, but each may send once itself: the
//! silence may be that of another's way to the vendor. Then the channel's fallback is told instead, or, where it has none, the others, one
//! after the other until one takes it. A channel that only asks for patience, or cannot be reached, is tried on; whoever is
//! named as its fallback is asked soon, others when a critical has waited for as long as it may.
//!
//! What a channel refuses may be one line that it dislikes: that the database is down is then told alone, and the rest once
//! more without it. The rest is not divided further here: the outbox does that when the database is back.

use crate::outbox::attempt::{CRITICAL_WITHIN, Failure, MOST_REPEATS};

use super::{DATABASE, Line, TRY_AGAIN};

/// Failures, of whatever kind, before the fallback is asked.
const PATIENCE: u32 = 2;

/// What came of a line on one channel so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tries {
    failures: u32,
    unanswered: u32,
    /// Copies that other watchdogs sent without an answer.
    elsewhere: u32,
    is_refused: bool,
}

impl Tries {
    /// It failed once more.
    pub fn note(&mut self, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        match failure {
            Failure::Refused => self.is_refused = true,
            Failure::Unanswered => self.unanswered = self.unanswered.saturating_add(1),
            Failure::Later | Failure::Unreached => {}
        }
    }

    /// Others sent it so often without an answer.
    #[must_use]
    pub fn with_elsewhere(self, times: u32) -> Self {
        Self { elsewhere: times, ..self }
    }

    /// As bad as the worst of both: lines that go together.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        Self {
            failures: self.failures.max(other.failures),
            unanswered: self.unanswered.max(other.unanswered),
            elsewhere: self.elsewhere.max(other.elsewhere),
            is_refused: self.is_refused || other.is_refused,
        }
    }

    /// This channel is not to be tried any more.
    pub fn is_spent(self) -> bool {
        self.is_refused || (self.unanswered > 0 && self.unanswered.saturating_add(self.elsewhere) > MOST_REPEATS)
    }

    /// Others are to be told instead.
    pub fn needs_others(self, has_fallback: bool) -> bool {
        let patience = if has_fallback { u64::from(PATIENCE) } else { CRITICAL_WITHIN.as_secs() / TRY_AGAIN.as_secs() };
        self.is_spent() || u64::from(self.failures) >= patience
    }
}

/// The two messages to send in place of one that was refused; `None`: it is told whole or not at all.
pub fn parts<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Option<[Vec<Line>; 2]> {
    let (database, rest): (Vec<_>, Vec<_>) = lines.into_iter().cloned().partition(|line| line.topic == DATABASE);
    (!database.is_empty() && !rest.is_empty()).then_some([database, rest])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_the_database_is_down_is_told_alone_where_it_was_refused_along_with_others_and_not_divided_again() {
        let line = |topic: &str| Line { topic: topic.to_owned(), channel: "ops".to_owned() };
        let (database, rest) = (line(DATABASE), [line("delivery/1"), line("delivery/2")]);
        let all = [rest.as_slice(), std::slice::from_ref(&database)].concat();
        let [alone, others] = parts(&all).unwrap();
        assert_eq!((&alone, &others), (&vec![database], &rest.to_vec()));
        assert_eq!((parts(&alone), parts(&others)), (None, None));
    }

    fn after(failures: &[Failure]) -> Tries {
        let mut tries = Tries::default();
        for failure in failures {
            tries.note(*failure);
        }
        tries
    }

    #[test]
    fn what_may_have_arrived_is_repeated_three_times_and_then_told_elsewhere() {
        let spent = |times| after(&vec![Failure::Unanswered; times]).is_spent();
        assert_eq!((1..=4).map(spent).collect::<Vec<_>>(), [false, false, false, true]);
        let needs = |times, has_fallback| after(&vec![Failure::Unanswered; times]).needs_others(has_fallback);
        assert!(!needs(3, false) && needs(4, false));
        assert!(!needs(1, true) && needs(2, true));
    }

    #[test]
    fn what_others_repeated_is_sent_once_more_by_each_who_has_not() {
        let spent = |times, elsewhere| after(&vec![Failure::Unanswered; times]).with_elsewhere(elsewhere).is_spent();
        assert!(!spent(0, 8) && spent(1, 3) && spent(1, 8));
        assert!(!spent(2, 1) && spent(3, 1));
    }

    #[test]
    fn what_is_refused_is_told_elsewhere_at_once() {
        let refused = after(&[Failure::Refused]);
        assert!(refused.is_spent() && refused.needs_others(false));
        assert!(Tries::default().or_worse(refused).is_spent());
    }

    #[test]
    fn patience_is_never_given_up_and_others_hear_of_it_after_two_minutes() {
        for failure in [Failure::Later, Failure::Unreached] {
            let eleven = after(&[failure; 11]);
            assert!(!eleven.is_spent() && !eleven.needs_others(false) && eleven.needs_others(true));
            let twelve = after(&[failure; 12]);
            assert!(!twelve.is_spent() && twelve.needs_others(false));
        }
    }
}
