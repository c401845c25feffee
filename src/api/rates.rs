//! How often one key may ask, and how many unknown keys one address may try.
//!
//! Only keys that exist get an entry among keys: strangers cannot fill the memory. An address that keeps trying keys is told
//! when to go on; a good key is none of those, whatever else comes from its address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::rate_limit::RateLimit;

/// Requests a second of one key at one watchdog, for long: a pipeline that sends monitors one by one is not slowed down.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("two hundred is not zero");

/// Requests at once after a pause.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000).expect("a thousand is not zero");

/// Unknown keys of one address at once; later, one a second. People mistype less, programs try more.
const UNKNOWN_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("twenty is not zero");
const UNKNOWN_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;

pub(super) struct Rates {
    keys: RateLimit<String>,
    strangers: RateLimit<IpAddr>,
}

/// One too many; seconds until it is worth trying again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooMany {
    pub(super) retry_after_s: u64,
}

impl From<Duration> for TooMany {
    fn from(wait: Duration) -> Self {
        Self { retry_after_s: wait.as_secs() + 1 }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            keys: RateLimit::new(PER_SECOND, AT_ONCE),
            strangers: RateLimit::new(UNKNOWN_PER_SECOND, UNKNOWN_AT_ONCE),
        }
    }
}

impl Rates {
    /// Counts a request with a key that is known.
    pub(super) fn count(&self, key_name: &str) -> Result<(), TooMany> {
        self.keys.count(&key_name.to_owned()).map_err(TooMany::from)
    }

    /// Counts a key that is unknown.
    pub(super) fn count_unknown(&self, address: IpAddr) -> Result<(), TooMany> {
        self.strangers.count(&address).map_err(TooMany::from)
    }
}
