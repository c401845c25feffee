//! When votes go through the tables: written while a living peer does not ask this watchdog, read while one cannot be asked.
//!
//! Pure. Nobody's wall clock has a part in how old such a vote is: it was not said before the reading that did not show it yet.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::check::Heard;
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::time::Mono;

use crate::store::checks::WrittenReport;

/// Between two looks whether it is needed, and between two writings: of checks that are looked at often the votes that it carries are stale for a
/// part of the time, and nobody pages for that; of ten thousand checks a row has a megabyte.
const EACH: Duration = Duration::from_secs(8);

/// A peer that has not asked for so long, five times its pause, cannot ask, or hears no answer.
const SILENT_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct SlowWay {
    began_at: Mono,
    due_at: Mono,
    asked_by: BTreeMap<WatchdogId, Mono>,
    seq: u64,
    read: BTreeMap<WatchdogId, Read>,
}

/// What was read of a peer last, and when that reading was sent.
#[derive(Debug)]
struct Read {
    incarnation: Incarnation,
    seq: u64,
    sent_at: Mono,
}

impl SlowWay {
    pub(super) fn new(now: Mono) -> Self {
        Self { began_at: now, due_at: now + EACH, asked_by: BTreeMap::new(), seq: 0, read: BTreeMap::new() }
    }

    pub(super) fn due_at(&self) -> Mono {
        self.due_at
    }

    pub(super) fn is_due(&mut self, now: Mono) -> bool {
        let is_due = now >= self.due_at;
        if is_due {
            self.due_at = now + EACH;
        }
        is_due
    }

    pub(super) fn note_asked_by(&mut self, peer: WatchdogId, now: Mono) {
        self.asked_by.insert(peer, now);
    }

    /// Forgets whoever is gone.
    pub(super) fn keep(&mut self, is_there: impl Fn(&WatchdogId) -> bool) {
        self.asked_by.retain(|peer, _| is_there(peer));
        self.read.retain(|peer, _| is_there(peer));
    }

    /// The number of the next writing, if one of those that live does not ask.
    pub(super) fn needs_writing<'a>(
        &mut self,
        now: Mono,
        mut living: impl Iterator<Item = &'a WatchdogId>,
    ) -> Option<u64> {
        let asked_at = |peer: &WatchdogId| self.asked_by.get(peer).copied().unwrap_or(self.began_at);
        if !living.any(|peer| now.since(asked_at(peer)) > SILENT_AFTER) {
            return None;
        }
        self.seq += 1;
        Some(self.seq)
    }

    /// What a reading brought of one peer; nothing where it shows what the one before showed, or is the first.
    pub(super) fn hear(&mut self, sent_at: Mono, report: WrittenReport) -> Option<Heard> {
        let WrittenReport { watchdog, incarnation, seq, looks } = report;
        let before = self.read.insert(watchdog.clone(), Read { incarnation, seq, sent_at })?;
        let is_news = (before.incarnation, before.seq) != (incarnation, seq);
        let said_after = before.sent_at;
        is_news.then_some(Heard { watchdog, incarnation, said_after, looks, pending: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(incarnation: u64, seq: u64) -> WrittenReport {
        WrittenReport { watchdog: "w2".into(), incarnation: Incarnation(incarnation), seq, looks: vec![] }
    }

    #[test]
    fn what_the_first_reading_shows_may_be_of_any_age_and_what_changes_is_no_older_than_the_reading_before() {
        let mut slow = SlowWay::new(Mono::secs(0));
        assert_eq!(slow.hear(Mono::secs(4), report(1, 7)), None);
        assert_eq!(slow.hear(Mono::secs(8), report(1, 7)), None);
        let heard = slow.hear(Mono::secs(12), report(1, 8)).unwrap();
        assert_eq!(heard.said_after, Mono::secs(8));
        assert_eq!(slow.hear(Mono::secs(16), report(2, 8)).unwrap().said_after, Mono::secs(12), "another process");
    }

    #[test]
    fn it_is_written_only_while_somebody_who_lives_does_not_ask() {
        let (w2, w3) = (WatchdogId::from("w2"), WatchdogId::from("w3"));
        let mut slow = SlowWay::new(Mono::secs(0));
        slow.note_asked_by(w2.clone(), Mono::secs(9));
        assert_eq!(slow.needs_writing(Mono::secs(9), [&w2, &w3].into_iter()), None, "w3 may still come");
        assert_eq!(slow.needs_writing(Mono::secs(12), [&w2].into_iter()), None);
        assert_eq!(slow.needs_writing(Mono::secs(12), [&w2, &w3].into_iter()), Some(1));
        assert_eq!(slow.needs_writing(Mono::secs(20), [&w2].into_iter()), Some(2));
    }
}
