//! How often something may be done, counted by key (GCRA: a rate for long, and so many at once after a pause).
//!
//! Owns the memory of it: entries that say no more than new ones would are dropped now and then. Who may have an entry at all
//! is its owner's to decide, so that strangers cannot fill the memory.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

/// After so many questions old entries are dropped.
const SWEEP_EVERY: u32 = 10_000;

type Limiter<K, C> = RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A limit for each key.
pub(crate) struct RateLimit<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    limiter: Limiter<K, C>,
    since_sweep: AtomicU32,
}

impl<K: Hash + Eq + Clone> RateLimit<K> {
    /// So many a second for long, so many at once.
    pub(crate) fn new(per_second: NonZeroU32, at_once: NonZeroU32) -> Self {
        Self::by_clock(DefaultClock::default(), per_second, at_once)
    }

    /// One in so long for long, so many at once.
    pub(crate) fn one_each(period: Duration, at_once: NonZeroU32) -> Self {
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(at_once);
        Self::by_quota(DefaultClock::default(), quota)
    }
}

impl<K: Hash + Eq + Clone, C: Clock> RateLimit<K, C> {
    fn by_clock(clock: C, per_second: NonZeroU32, at_once: NonZeroU32) -> Self {
        Self::by_quota(clock, Quota::per_second(per_second).allow_burst(at_once))
    }

    fn by_quota(clock: C, quota: Quota) -> Self {
        let limiter = RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock);
        Self { limiter, since_sweep: AtomicU32::new(0) }
    }

    /// Counts one; an error is one too many, and how long it is until another is taken.
    pub(crate) fn count(&self, key: &K) -> Result<(), Duration> {
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) >= SWEEP_EVERY {
            self.since_sweep.store(0, Ordering::Relaxed);
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(clock: &FakeRelativeClock) -> RateLimit<&'static str, FakeRelativeClock> {
        let number = |number| NonZeroU32::new(number).unwrap();
        RateLimit::by_clock(clock.clone(), number(200), number(1_000))
    }

    fn allowed(limit: &RateLimit<&'static str, FakeRelativeClock>, key: &'static str) -> usize {
        (0..3_000).filter(|_| limit.count(&key).is_ok()).count()
    }

    #[test]
    fn so_many_at_once_and_so_many_a_second_are_taken_of_each_key() {
        let clock = FakeRelativeClock::default();
        let limit = limit(&clock);
        assert_eq!((allowed(&limit, "pipeline"), allowed(&limit, "people")), (1_000, 1_000));
        clock.advance(Duration::from_secs(1));
        assert_eq!(allowed(&limit, "pipeline"), 200);
        clock.advance(Duration::from_secs(60));
        assert_eq!(allowed(&limit, "pipeline"), 1_000);
    }

    #[test]
    fn whoever_is_refused_hears_when_to_come_back() {
        let clock = FakeRelativeClock::default();
        let limit = limit(&clock);
        allowed(&limit, "pipeline");
        assert_eq!(limit.count(&"pipeline"), Err(Duration::from_millis(5)));
        clock.advance(Duration::from_millis(5));
        assert_eq!(limit.count(&"pipeline"), Ok(()));
    }

    #[test]
    fn what_says_no_more_than_a_new_entry_would_is_forgotten() {
        let clock = FakeRelativeClock::default();
        let limit = limit(&clock);
        limit.count(&"once").unwrap();
        clock.advance(Duration::from_secs(10));
        for _ in 0..=SWEEP_EVERY {
            let _counted = limit.count(&"often");
        }
        assert_eq!(limit.limiter.len(), 1);
    }
}
