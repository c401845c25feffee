//! How far away the database is: what one round trip took lately.
//!
//! Owns one number, and how long is waited because of it: for a connection, which takes five trips and more, and for what
//! takes some trips more. So a database that is a second away is waited for three times as long as one that is near and does
//! not answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A host that is near and does not answer at all.
const NEAR: Duration = Duration::from_secs(3);
/// A second away; also while nobody knows yet.
const FAR: Duration = Duration::from_secs(9);
/// Six such trips are half of [`NEAR`].
const FAR_FROM: Duration = Duration::from_millis(250);

/// What is called far, and allowed for, is no more than this: one slow answer must not make everything patient.
const LONGEST: Duration = Duration::from_millis(1_500);

/// A new connection, a look whether an idle one still lives, and the statements of one transaction.
const TRIPS: u32 = 12;

/// The last trip, in microseconds; 0: none was made.
#[derive(Debug, Default)]
pub(crate) struct Distance(AtomicU64);

impl Distance {
    /// A statement that does next to nothing took so long.
    pub(crate) fn note(&self, trip: Duration) {
        let micros = u64::try_from(trip.min(LONGEST).as_micros()).unwrap_or(u64::MAX).max(1);
        self.0.store(micros, Ordering::Relaxed);
    }

    /// How long a connection may take.
    pub(crate) fn patience(&self) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            0 => FAR,
            micros if Duration::from_micros(micros) >= FAR_FROM => FAR,
            _ => NEAR,
        }
    }

    /// A limit that was chosen for a near database, with room for the trips to this one.
    pub(crate) fn allow(&self, near: Duration) -> Duration {
        let trip = Duration::from_micros(self.0.load(Ordering::Relaxed));
        if trip >= FAR_FROM { near + TRIPS * trip } else { near }
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
        assert_eq!(distance.allow(Duration::from_secs(3)), Duration::from_secs(3));
        distance.note(Duration::from_millis(500));
        assert_eq!(distance.patience(), FAR);
        assert_eq!(distance.allow(Duration::from_secs(3)), Duration::from_secs(9));
        distance.note(Duration::from_secs(60));
        assert_eq!(distance.allow(Duration::from_secs(3)), Duration::from_secs(21));
    }
}
