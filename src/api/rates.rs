//! How often one key may ask, and how many unknown keys one address may try.
//!
//! Only keys that exist get an entry among keys: strangers cannot fill the memory. An address that keeps trying keys is told
//! when to go on; a good key is none of those, whatever else comes from its address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Requests a second of one key at one watchdog, for long: a pipeline that sends monitors one by one is not slowed down.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("two hundred is not zero");

/// Requests at once after a pause.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000).expect("a thousand is not zero");

/// Unknown keys of one address at once; later, one a second. People mistype less, programs try more.
const UNKNOWN_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("twenty is not zero");
const UNKNOWN_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// After so many requests, entries that say no more than new ones would are dropped.
const SWEEP_EVERY: u32 = 10_000;

pub(super) struct Rates {
    keys: DefaultKeyedRateLimiter<String>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
    since_sweep: AtomicU32,
}

/// One too many; seconds until it is worth trying again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooMany {
    pub(super) retry_after_s: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            keys: RateLimiter::keyed(Quota::per_second(PER_SECOND).allow_burst(AT_ONCE)),
            strangers: RateLimiter::keyed(Quota::per_second(UNKNOWN_PER_SECOND).allow_burst(UNKNOWN_AT_ONCE)),
            since_sweep: AtomicU32::new(0),
        }
    }
}

impl Rates {
    /// Counts a request with a key that is known.
    pub(super) fn count(&self, key_name: &str) -> Result<(), TooMany> {
        self.sweep();
        self.keys.check_key(&key_name.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(self.keys.clock().now());
            TooMany { retry_after_s: wait.as_secs() + 1 }
        })
    }

    /// Counts a key that is unknown.
    pub(super) fn count_unknown(&self, address: IpAddr) -> Result<(), TooMany> {
        self.sweep();
        self.strangers.check_key(&address).map_err(|until| {
            let wait = until.wait_time_from(self.strangers.clock().now());
            TooMany { retry_after_s: wait.as_secs() + 1 }
        })
    }

    fn sweep(&self) {
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) >= SWEEP_EVERY {
            self.since_sweep.store(0, Ordering::Relaxed);
            self.keys.retain_recent();
            self.strangers.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_thousand_at_once_are_fine_and_each_key_has_its_own_rate() {
        let rates = Rates::default();
        let allowed = (0..3_000).filter(|_| rates.count("pipeline").is_ok()).count();
        assert!((1_000..1_500).contains(&allowed), "{allowed}");
        assert_eq!(rates.count("pipeline").unwrap_err().retry_after_s, 1);
        assert!(rates.count("people").is_ok());
    }

    #[test]
    fn an_address_that_tries_keys_is_refused_for_a_while_and_no_other_is() {
        let rates = Rates::default();
        let (stranger, neighbour) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from(Ipv4Addr::LOCALHOST));
        let refused = (0..30).filter_map(|_| rates.count_unknown(stranger).err()).count();
        assert!((5..=10).contains(&refused), "{refused}");
        assert_eq!(rates.count_unknown(neighbour), Ok(()));
    }
}
