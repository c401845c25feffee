//! How far away the database is, as all connections of a process see it.
//!
//! Owns what the last statements took, the least of which is the way itself, and how long is waited because of it: for a
//! connection, which takes five trips and more, and for what takes some trips more. So a database that is a second away is
//! waited for three times as long as one that is near and does not answer.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A host that is near and does not answer at all.
const NEAR: Duration = Duration::from_secs(3);
/// A second away; also while nobody knows yet.
const FAR: Duration = Duration::from_secs(9);
/// Six such trips are half of [`NEAR`].
const FAR_FROM: Duration = Duration::from_millis(250);

/// So many statements in a row that all took long are no accident.
const STATEMENTS: usize = 6;

/// What is called far, and allowed for, is no more than this: what stands still must not make everything patient.
const LONGEST: Duration = Duration::from_millis(1_500);

/// A new connection, a look whether an idle one still lives, and the statements of one transaction.
const TRIPS: u32 = 12;

/// What the last statements took.
#[derive(Debug, Default)]
pub(crate) struct Distance(Mutex<VecDeque<Duration>>);

impl Distance {
    /// A statement was answered after so long.
    pub(crate) fn note(&self, took: Duration) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.truncate(STATEMENTS - 1);
        last.push_front(took.min(LONGEST));
    }

    /// `None`: nothing was answered yet.
    fn trip(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().min().copied()
    }

    /// How long a connection may take.
    pub(crate) fn patience(&self) -> Duration {
        if self.trip().is_none_or(|trip| trip >= FAR_FROM) { FAR } else { NEAR }
    }

    /// A limit that was chosen for a near database, with room for so many trips to this one.
    pub(crate) fn allow_trips(&self, near: Duration, trips: u32) -> Duration {
        near + self.trip().filter(|trip| *trip >= FAR_FROM).unwrap_or_default() * trips
    }

    /// The same for some transactions, perhaps on a new connection.
    pub(crate) fn allow(&self, near: Duration) -> Duration {
        self.allow_trips(near, TRIPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_database_that_is_known_to_be_near_is_given_up_soon() {
        let distance = Distance::default();
        assert_eq!(distance.patience(), FAR);
        distance.note(Duration::from_micros(300));
        assert_eq!(distance.patience(), NEAR);
        assert_eq!(distance.allow(NEAR), NEAR);
    }

    #[test]
    fn one_slow_statement_makes_no_database_far_and_one_quick_one_makes_it_near() {
        let distance = Distance::default();
        let note = |millis: u64, times: usize| (0..times).for_each(|_| distance.note(Duration::from_millis(millis)));
        note(1, 6);
        note(3_000, 5);
        assert_eq!(distance.patience(), NEAR);
        note(500, 1);
        assert_eq!(distance.patience(), FAR);
        assert_eq!(distance.allow(NEAR), NEAR + Duration::from_secs(6));
        note(1, 1);
        assert_eq!(distance.patience(), NEAR);
    }
}
