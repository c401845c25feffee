//! What this watchdog answered lately: the pushes that it took, and the deeds that it carried out for whoever asked.
//!
//! Owns the bounds. What is older than ten minutes goes; of more pushes or deeds than there is room for the oldest are
//! only counted. It is memory of this process alone: the next one begins with nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use komainu_watchdogs::time::Mono;

use crate::store::audit::AnsweredDeed;
use crate::store::heartbeats::Arrival;

/// Longer than a switch to a replica takes, and than a replica should be behind.
const AGE: Duration = Duration::from_secs(600);
/// Pushes: more than a second's worth of what one watchdog can take, and ten minutes of what most clusters send.
const MOST_PUSHES: usize = 10_000;
/// Of what they said.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Deeds of people.
const MOST_DEEDS: usize = 1_000;
/// What there was no room for is counted by seconds.
const SECOND: Duration = Duration::from_secs(1);

/// Cheap to clone; all clones remember the same.
#[derive(Clone, Debug, Default)]
pub struct Answered(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pushes: Kept<Arrival>,
    deeds: Kept<AnsweredDeed>,
}

/// What was answered since a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Since<T> {
    /// In the order in which it was answered.
    pub items: Vec<T>,
    /// And so many that were not kept.
    pub uncounted: u64,
}

#[derive(Debug)]
struct Kept<T> {
    items: VecDeque<(Mono, T)>,
    bytes: usize,
    /// Since when, and how many, there was no room for.
    forgotten: VecDeque<(Mono, u64)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0, forgotten: VecDeque::new() }
    }
}

impl Answered {
    /// These pushes are about to be answered.
    pub fn note_pushes<'a>(&self, pushes: impl Iterator<Item = &'a Arrival>, now: Mono) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for push in pushes {
            state.pushes.keep((now, push.clone()), size, (MOST_PUSHES, MOST_BYTES));
        }
    }

    /// A request was answered that did this.
    pub fn note_deeds(&self, deeds: Vec<AnsweredDeed>, now: Mono) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for deed in deeds {
            state.deeds.keep((now, deed), |_| 0, (MOST_DEEDS, MOST_BYTES));
        }
    }

    /// Pushes answered since this moment, or all that are remembered.
    pub fn pushes_since(&self, since: Option<Mono>) -> Since<Arrival> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pushes.since(since)
    }

    /// The same of deeds.
    pub fn deeds_since(&self, since: Option<Mono>) -> Since<AnsweredDeed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).deeds.since(since)
    }
}

fn size(push: &Arrival) -> usize {
    push.told.message.as_ref().map_or(0, String::len)
}

impl<T: Clone> Kept<T> {
    fn keep(&mut self, (now, item): (Mono, T), size: impl Fn(&T) -> usize, (most, most_bytes): (usize, usize)) {
        let is_old = |at: &Mono| now.since(*at) > AGE;
        while self.forgotten.front().is_some_and(|(at, _)| is_old(at)) {
            self.forgotten.pop_front();
        }
        self.bytes += size(&item);
        self.items.push_back((now, item));
        while let Some((at, oldest)) = self.items.front() {
            let (at, gone) = (*at, size(oldest));
            let has_room = self.items.len() <= most && self.bytes <= most_bytes;
            if has_room && !is_old(&at) {
                break;
            }
            self.items.pop_front();
            self.bytes -= gone;
            if !is_old(&at) {
                self.forget(at);
            }
        }
    }

    fn forget(&mut self, at: Mono) {
        match self.forgotten.back_mut() {
            Some((since, count)) if at.since(*since) < SECOND => *count += 1,
            _ => self.forgotten.push_back((at, 1)),
        }
    }

    fn since(&self, since: Option<Mono>) -> Since<T> {
        let is_since = |at: Mono| since.is_none_or(|since| at >= since);
        let items = self.items.iter().filter(|(at, _)| is_since(*at)).map(|(_, item)| item.clone()).collect();
        // A second of which a part is meant counts as a whole.
        let uncounted = self.forgotten.iter().filter(|(at, _)| is_since(*at + SECOND)).map(|(_, count)| count).sum();
        Since { items, uncounted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_goes_and_of_too_many_the_oldest_are_counted() {
        let mut kept = Kept::default();
        let size = |item: &u64| if *item == 604 { 990 } else { 10 };
        for second in 0..6 {
            kept.keep((Mono::secs(second), second), size, (3, 1_000));
        }
        assert_eq!(kept.since(None), Since { items: vec![3, 4, 5], uncounted: 3 });
        assert_eq!(kept.since(Some(Mono::secs(4))), Since { items: vec![4, 5], uncounted: 0 });
        assert_eq!(
            kept.since(Some(Mono::millis(1_500))).uncounted,
            2,
            "the second second is one of which a part is meant"
        );
        kept.keep((Mono::secs(605), 604), size, (3, 1_000));
        assert_eq!(kept.since(None), Since { items: vec![5, 604], uncounted: 0 }, "4 is old, 5 just not");
        kept.keep((Mono::secs(605), 605), size, (3, 1_000));
        assert_eq!(kept.since(None), Since { items: vec![604, 605], uncounted: 1 }, "bytes are bounded");
    }
}
