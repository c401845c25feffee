//! How far the beats were looked at, and which changes of state were found there.
//!
//! Ids are given before they are committed, so a change may appear among beats that were looked at. What was read within
//! the last looks therefore keeps a mark; where the database's no longer is the same, that span is read again.

use std::collections::{BTreeMap, VecDeque};

use komainu_watchdogs::ids::MonitorId;

use crate::store::downtimes::{Change, Mark, Span};

/// Looks that go into one span. Two spans are kept: an id may take from ten to twenty looks from being given to being
/// seen, which is longer than any statement may last.
const LOOKS: u32 = 10;

/// The spans of the last looks, oldest first, each with its mark.
#[derive(Debug, Default)]
pub(super) struct Window {
    spans: VecDeque<(Span, Mark)>,
    /// Looks that went into the newest span.
    looks: u32,
    /// The latest change of each monitor in these spans.
    seen: BTreeMap<MonitorId, i64>,
}

impl Window {
    pub(super) fn spans(&self) -> Vec<Span> {
        self.spans.iter().map(|(span, _)| *span).collect()
    }

    /// Those spans that hold something else than when they were read.
    pub(super) fn differing(&self, marks: &[Mark]) -> Vec<Span> {
        let pairs = self.spans.iter().zip(marks);
        pairs.filter(|((_, known), now)| known != *now).map(|((span, _), _)| *span).collect()
    }

    /// What is to be read of the beats up to the one with the largest id. The first look begins at the end: what was
    /// before is found by the look at all monitors.
    pub(super) fn next(&mut self, last: i64) -> Option<Span> {
        let read = self.spans.back().map(|(span, _)| span.upto);
        if read.is_none_or(|read| last < read) {
            // Nothing was read yet, or somebody emptied the table and its ids begin anew.
            let span = Span { after: last, upto: last };
            *self = Self { spans: [(span, Mark::default())].into(), ..Self::default() };
        }
        read.filter(|read| *read < last).map(|after| Span { after, upto: last })
    }

    /// Ends a look: the newest span grows no further once enough looks went into it.
    pub(super) fn end_look(&mut self) {
        self.looks += 1;
        let Some((newest, _)) = self.spans.back().copied() else { return };
        if self.looks < LOOKS {
            return;
        }
        self.looks = 0;
        self.spans.push_back((Span { after: newest.upto, upto: newest.upto }, Mark::default()));
        while self.spans.len() > 2 {
            self.spans.pop_front();
        }
        let after = self.spans.front().map_or(0, |(oldest, _)| oldest.after);
        self.seen.retain(|_, beat| *beat > after);
    }

    /// Notes what a span holds that was read: one that is known, or what follows the newest; any other belongs to a table that
    /// was emptied since, and moves nothing. Returns the changes that nobody has seen, the latest of each monitor.
    pub(super) fn note(&mut self, read: Span, changes: Vec<Change>) -> Vec<Change> {
        if let Some((_, mark)) = self.spans.iter_mut().find(|(span, _)| *span == read) {
            *mark = Mark::of(read, &changes);
        } else if let Some((newest, mark)) = self.spans.back_mut().filter(|(newest, _)| newest.upto == read.after) {
            newest.upto = read.upto;
            let more = Mark::of(*newest, &changes);
            mark.changes += more.changes;
            mark.distances += more.distances;
        }
        let latest: BTreeMap<MonitorId, Change> = changes.into_iter().map(|change| (change.monitor, change)).collect();
        let mut is_new = |change: &Change| self.seen.insert(change.monitor, change.beat) != Some(change.beat);
        latest.into_values().filter(|change| is_new(change)).collect()
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::downtime::State;

    use super::*;

    fn change(monitor: i64, beat: i64) -> Change {
        Change { monitor: MonitorId(monitor), beat, state: Some(State::Down) }
    }

    fn at(last: i64) -> Window {
        let mut window = Window::default();
        assert_eq!(window.next(last), None);
        window.end_look();
        window
    }

    #[test]
    fn what_was_stored_before_the_first_look_is_not_its_business() {
        let mut window = at(100);
        assert_eq!(window.next(100), None);
        assert_eq!(window.next(103), Some(Span { after: 100, upto: 103 }));
    }

    #[test]
    fn a_change_that_commits_late_makes_its_span_differ_and_is_found_alone() {
        let mut window = at(100);
        let read = window.next(103).unwrap();
        assert_eq!(window.note(read, vec![change(7, 103)]).len(), 1);
        let span = window.spans()[0];
        let same = Mark::of(span, &[change(7, 103)]);
        assert!(window.differing(&[same]).is_empty());
        let both = vec![change(8, 102), change(7, 103)];
        assert_eq!(window.differing(&[Mark::of(span, &both)]), [span]);
        assert_eq!(window.note(span, both.clone()), [change(8, 102)]);
        assert!(window.differing(&[Mark::of(span, &both)]).is_empty());
    }

    #[test]
    fn another_change_of_the_same_number_shows_too() {
        let mut window = at(100);
        let read = window.next(110).unwrap();
        window.note(read, vec![change(7, 103)]);
        let span = window.spans()[0];
        assert_eq!(window.differing(&[Mark::of(span, &[change(9, 104)])]), [span]);
    }

    #[test]
    fn a_span_is_looked_at_for_ten_looks_after_it_was_read_and_forgotten_after_twenty() {
        let mut window = at(100);
        let read = window.next(103).unwrap();
        window.note(read, vec![change(7, 103)]);
        let is_kept = |window: &Window| window.spans().iter().any(|span| span.after < 103 && span.upto >= 103);
        for _ in 0..10 {
            assert!(is_kept(&window));
            window.end_look();
        }
        assert!(is_kept(&window));
        for _ in 0..10 {
            window.end_look();
        }
        assert!(!is_kept(&window) && window.seen.is_empty() && window.spans().len() == 2);
    }

    #[test]
    fn a_table_that_was_emptied_is_watched_from_its_new_end() {
        let mut window = at(100);
        assert_eq!(window.next(3), None);
        assert_eq!(window.next(4), Some(Span { after: 3, upto: 4 }));
    }

    #[test]
    fn a_span_of_a_table_that_was_emptied_does_not_hold_up_the_new_one() {
        let mut window = at(100);
        let read = window.next(103).unwrap();
        window.note(read, vec![change(7, 103)]);
        let differing = window.differing(&[Mark::default()]);
        assert_eq!(window.next(3), None);
        window.note(differing[0], vec![]);
        assert_eq!(window.next(4), Some(Span { after: 3, upto: 4 }));
    }
}
