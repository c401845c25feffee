//! What becomes of a message that did not arrive, and of one that does not leave in time.
//!
//! A *refused* message is halved until what the channel dislikes stands alone, so that the others arrive; where nothing
//! but refusals came of it, the channel itself is what refuses, and its messages are given up whole. What a channel fails
//! at while it takes others is halved too, but never given up. *Unanswered*, it may
//! have arrived: it is repeated [`MOST_REPEATS`] times, each marked, and then given up. What is given up is told through
//! the fallback, or through all others. Whatever the reason, a critical that nobody got within [`CRITICAL_WITHIN`] is told
//! elsewhere too. How long the pauses are between two attempts is not decided here.

use std::time::Duration;

/// So often a message that may have arrived is sent again: a fourth copy tells nobody anything.
pub const MOST_REPEATS: u32 = 3;

/// A critical waits for its own channel alone for so long; then others tell it too.
pub const CRITICAL_WITHIN: Duration = Duration::from_secs(120);

/// One incident alone may be what a filter dislikes; two in a row, with nothing taken between them, are not.
pub const ENOUGH_REFUSED_ALONE: u32 = 2;

/// In which of the four ways it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The vendor refuses this message whenever it is sent.
    Refused,
    /// The vendor may take it later.
    Later,
    /// It may have arrived.
    Unanswered,
    /// No vendor can be reached from here.
    Unreached,
}

/// What is known of the attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// How many deliveries the message told of.
    pub items: usize,
    /// Attempts that got no answer so far, this one included.
    pub unanswered: u32,
    /// Messages of one delivery that the channel refused in a row, taking nothing between them.
    pub refused_alone: u32,
    /// It failed before, and the channel has taken others since.
    pub is_suspect: bool,
}

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Try the same channel again, later.
    Again,
    /// Send it again in messages of at most so many deliveries.
    Halve(usize),
    /// Let the fallback tell it, and open an incident of the channel.
    GiveUp,
}

/// What is done after a failure.
pub fn next(failure: Failure, attempt: &Attempt) -> Next {
    match failure {
        Failure::Refused if attempt.items > 1 && attempt.refused_alone < ENOUGH_REFUSED_ALONE => {
            Next::Halve(attempt.items.div_ceil(2))
        }
        Failure::Refused => Next::GiveUp,
        Failure::Later if attempt.is_suspect && attempt.items > 1 => Next::Halve(attempt.items.div_ceil(2)),
        Failure::Unanswered if attempt.unanswered > MOST_REPEATS => Next::GiveUp,
        Failure::Unanswered | Failure::Later | Failure::Unreached => Next::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(items: usize) -> Attempt {
        Attempt { items, unanswered: 1, refused_alone: 0, is_suspect: false }
    }

    #[test]
    fn a_refused_message_is_halved_until_what_is_disliked_stands_alone() {
        assert_eq!(next(Failure::Refused, &attempt(1_000)), Next::Halve(500));
        assert_eq!(next(Failure::Refused, &attempt(3)), Next::Halve(2));
        assert_eq!(next(Failure::Refused, &attempt(1)), Next::GiveUp);
    }

    #[test]
    fn a_channel_that_refuses_everything_is_not_asked_a_thousand_times() {
        let refusing = Attempt { refused_alone: 2, ..attempt(500) };
        assert_eq!(next(Failure::Refused, &refusing), Next::GiveUp);
    }

    #[test]
    fn what_may_have_arrived_is_repeated_three_times() {
        let after = |unanswered| next(Failure::Unanswered, &Attempt { unanswered, ..attempt(1) });
        assert_eq!((1..=4).map(after).collect::<Vec<_>>(), [Next::Again, Next::Again, Next::Again, Next::GiveUp]);
    }

    #[test]
    fn what_fails_while_others_pass_is_halved_too() {
        let later = |items| next(Failure::Later, &Attempt { is_suspect: true, ..attempt(items) });
        assert_eq!((later(7), later(1)), (Next::Halve(4), Next::Again));
    }

    #[test]
    fn patience_is_never_given_up() {
        let long = Attempt { unanswered: 90, refused_alone: 9, ..attempt(90) };
        assert_eq!((next(Failure::Later, &long), next(Failure::Unreached, &long)), (Next::Again, Next::Again));
    }
}
