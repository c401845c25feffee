//! How far away the database is: what one round trip took lately.
//!
//! Owns one number, and how long it is waited for a connection because of it. A new connection takes five trips and more,
//! so a database that is a second away is waited for three times as long as one that is near and does not answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A host that is near and does not answer at all.
const NEAR: Duration = Duration::from_secs(3);
/// A second away; also while nobody knows yet.
const FAR: Duration = Duration::from_secs(9);
/// Six such trips are half of [`NEAR`].
const FAR_FROM: Duration = Duration::from_millis(250);

/// The last trip, in microseconds; 0: none was made.
#[derive(Debug, Default)]
pub(crate) struct Distance(AtomicU64);

impl Distance {
    /// A statement that does next to nothing took so long.
    pub(crate) fn note(&self, trip: Duration) {
        let micros = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX).max(1);
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
        distance.note(Duration::from_millis(400));
        assert_eq!(distance.patience(), FAR);
    }
}
