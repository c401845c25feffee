//! How often one key may ask, and how many unknown keys one address may try.
//!
//! Only keys that exist get an entry among keys: strangers cannot fill the memory. What strangers cost is a look into
//! the database for each key they try, so an address that keeps trying is not looked up for a while. A key that was
//! good a while ago is looked up all the same: behind one address, one broken script must not lock the others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use komainu_watchdogs::time::Mono;

/// Requests a second of one key at one watchdog, for long: a pipeline that sends monitors one by one is not slowed down.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("two hundred is not zero");

/// Requests at once after a pause.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000).expect("a thousand is not zero");

/// Unknown keys of one address at once; later, one a second. People mistype less, programs try more.
const UNKNOWN_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("twenty is not zero");
const UNKNOWN_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// How long an address with too many unknown keys is not looked up.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// After so many requests, entries that say no more than new ones would are dropped.
const SWEEP_EVERY: u32 = 10_000;

pub(super) struct Rates {
    keys: DefaultKeyedRateLimiter<String>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
    refused_until: Mutex<HashMap<IpAddr, Mono>>,
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
            refused_until: Mutex::default(),
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

    /// Whether a key that was never seen may be looked up.
    pub(super) fn ensure_welcome(&self, address: IpAddr, now: Mono) -> Result<(), TooMany> {
        let refused = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = refused.get(&address).map(|until| until.since(now)).filter(|left| *left > Duration::ZERO);
        left.map_or(Ok(()), |left| Err(TooMany { retry_after_s: left.as_secs() + 1 }))
    }

    /// Counts a key that is unknown.
    pub(super) fn count_unknown(&self, address: IpAddr, now: Mono) {
        self.sweep();
        if self.strangers.check_key(&address).is_err() {
            let mut refused = self.refused_until.lock().unwrap_or_else(PoisonError::into_inner);
            refused.retain(|_, until| *until > now);
            refused.insert(address, now + REFUSED_FOR);
        }
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
        let now = Mono::secs(100);
        for _ in 0..30 {
            rates.count_unknown(stranger, now);
        }
        assert_eq!(rates.ensure_welcome(stranger, now), Err(TooMany { retry_after_s: 6 }));
        assert_eq!(rates.ensure_welcome(neighbour, now), Ok(()));
        assert_eq!(rates.ensure_welcome(stranger, Mono::secs(106)), Ok(()));
    }
}
