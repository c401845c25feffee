//! The only file that reads a clock.
//!
//! [`now`] counts suspend (`CLOCK_BOOTTIME`), so that a laptop or a virtual machine that slept does not believe that
//! no time passed. [`wall`] is for signatures, rows that people read, and display.

pub mod database;

use std::time::Duration;

use komainu_watchdogs::time::{Mono, Wall};
use rustix::time::{ClockId, clock_gettime};

/// Now, on this machine's suspend-counting monotonic clock.
///
/// # Panics
/// When the kernel's boot clock shows a time before its boot.
pub fn now() -> Mono {
    let now = clock_gettime(ClockId::Boottime);
    let secs = u64::try_from(now.tv_sec).expect("the boot clock starts at zero");
    let nanos = u64::try_from(now.tv_nsec).expect("nanoseconds are not negative");
    Mono::micros(secs * 1_000_000 + nanos / 1_000)
}

/// Now, in milliseconds UTC.
pub fn wall() -> Wall {
    let now = clock_gettime(ClockId::Realtime);
    Wall(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000)
}

/// Now, in microseconds UTC.
pub fn wall_micros() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// How long this process has kept processors busy, in whole seconds.
pub fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::from_secs(u64::try_from(spent.tv_sec).unwrap_or(0))
}

/// Sleeps until `deadline`; returns at once when it has passed.
pub async fn sleep_until(deadline: Mono) {
    let left = deadline.since(now());
    if left > Duration::ZERO {
        tokio::time::sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_backwards() {
        let earlier = now();
        assert!(now() >= earlier);
    }
}
