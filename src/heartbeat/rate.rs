//! How often one heartbeat may push.
//!
//! Only names that exist, and only pushes that were signed, get an entry: strangers cannot fill the memory, nor use up
//! somebody's rate.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Pushes a second of one name at one watchdog.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("fifty is not zero");

/// After so many pushes, entries that say no more than a new one would are dropped.
const SWEEP_EVERY: u32 = 100_000;

pub(super) struct Rates {
    limiter: DefaultKeyedRateLimiter<String>,
    since_sweep: AtomicU32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { limiter: RateLimiter::keyed(Quota::per_second(PER_SECOND)), since_sweep: AtomicU32::new(0) }
    }
}

impl Rates {
    /// Counts a push; `false`: it is one too many.
    pub(super) fn allow(&self, name: &String) -> bool {
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) >= SWEEP_EVERY {
            self.since_sweep.store(0, Ordering::Relaxed);
            self.limiter.retain_recent();
        }
        self.limiter.check_key(name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_at_once_are_fine_and_each_name_has_its_own() {
        let rates = Rates::default();
        let (backup, mail) = ("backup".to_owned(), "mail".to_owned());
        let allowed = (0..200).filter(|_| rates.allow(&backup)).count();
        assert!((50..60).contains(&allowed), "{allowed}");
        assert!(rates.allow(&mail));
    }
}
