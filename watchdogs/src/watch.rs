//! Watching a counter in the database stand still, on one's own clock.
//!
//! A lease is never judged by comparing clocks. Whoever wants to know whether another process still lives reads the
//! counter that process raises, again and again, and measures on its own clock how long the value stayed the same.
//! Only the span between the *end* of the first read and the *beginning* of the last one counts: what a read shows was
//! true at some moment between the two. Any failure of one's own database access starts the watch again
//! ([`Stillness::reset`]), because a database that does not answer me may not answer the other one either.

use std::time::Duration;

use crate::time::Mono;

/// One watched value.
#[derive(Clone, Debug, Default)]
pub struct Stillness<V> {
    seen: Option<Watched<V>>,
}

#[derive(Clone, Debug)]
struct Watched<V> {
    value: V,
    since: Mono,
    confirmed_at: Mono,
}

impl<V: PartialEq> Stillness<V> {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { seen: None }
    }

    /// Takes in a read that was sent at `began_at` and answered at `ended_at`. Returns whether the value changed since
    /// the last read; the first one is no change.
    pub fn see(&mut self, began_at: Mono, ended_at: Mono, value: V) -> bool {
        match &mut self.seen {
            Some(seen) if seen.value == value => {
                seen.confirmed_at = seen.confirmed_at.max(began_at);
                false
            }
            earlier => {
                let changed = earlier.is_some();
                *earlier = Some(Watched { value, since: ended_at, confirmed_at: ended_at });
                changed
            }
        }
    }

    /// Starts again: an own read or write failed.
    pub fn reset(&mut self) {
        self.seen = None;
    }

    /// How long the value certainly stood still; `None` before the first read.
    pub fn still_for(&self) -> Option<Duration> {
        self.seen.as_ref().map(|seen| seen.confirmed_at.since(seen.since))
    }

    /// Whether it certainly stood still for at least `span`.
    pub fn is_still_for(&self, span: Duration) -> bool {
        self.still_for().is_some_and(|still| still >= span)
    }

    /// The value that is being watched.
    pub fn value(&self) -> Option<&V> {
        self.seen.as_ref().map(|seen| &seen.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_between_the_end_of_one_read_and_the_begin_of_another_counts() {
        let mut lease = Stillness::new();
        lease.see(Mono::secs(0), Mono::secs(3), 7);
        lease.see(Mono::secs(10), Mono::secs(14), 7);
        assert_eq!(lease.still_for(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_change_starts_the_watch_again() {
        let mut lease = Stillness::new();
        lease.see(Mono::secs(0), Mono::secs(0), 7);
        assert!(lease.see(Mono::secs(10), Mono::secs(10), 8));
        assert_eq!(lease.still_for(), Some(Duration::ZERO));
    }

    #[test]
    fn an_own_database_error_starts_the_watch_again() {
        let mut lease = Stillness::new();
        lease.see(Mono::secs(0), Mono::secs(0), 7);
        lease.reset();
        lease.see(Mono::secs(60), Mono::secs(60), 7);
        assert!(!lease.is_still_for(Duration::from_secs(11)));
    }
}
