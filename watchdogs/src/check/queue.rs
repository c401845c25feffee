//! Which look begins next when not all may run at once.
//!
//! Two lines, each first come, first served: looks that somebody waits for (asked for, or confirming what was seen once), and
//! regular ones. They take turns, so neither starves the other, and no check is passed over.

use std::collections::{BTreeMap, VecDeque};

use super::CheckName;

/// Looks that are due, and how many run.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    urgent: VecDeque<CheckName>,
    regular: VecDeque<CheckName>,
    /// Each that waits, and whether it stands in the urgent line, once: the regular one may hold it too.
    waiting: BTreeMap<CheckName, bool>,
    running: usize,
    was_urgent: bool,
}

impl Queue {
    /// One more is due, or need not wait any longer behind those that nobody waits for.
    pub(crate) fn push(&mut self, name: CheckName, is_urgent: bool) {
        let known = self.waiting.get(&name).copied();
        if known.is_some_and(|stands_first| stands_first || !is_urgent) {
            return;
        }
        self.waiting.insert(name.clone(), is_urgent);
        let line = if is_urgent { &mut self.urgent } else { &mut self.regular };
        line.push_back(name);
    }

    /// The next one, if one more may run. It may have gone meanwhile.
    pub(crate) fn pop(&mut self, budget: usize) -> Option<CheckName> {
        if self.running >= budget.max(1) {
            return None;
        }
        loop {
            let name = self.draw()?;
            // What stood in both lines has had its turn.
            if self.waiting.remove(&name).is_some() {
                return Some(name);
            }
        }
    }

    fn draw(&mut self) -> Option<CheckName> {
        let is_urgents_turn = !self.was_urgent || self.regular.is_empty();
        let first = if is_urgents_turn { self.urgent.pop_front() } else { None };
        self.was_urgent = first.is_some();
        first.or_else(|| self.regular.pop_front())
    }

    /// What was popped runs now.
    pub(crate) fn begin(&mut self) {
        self.running += 1;
    }

    /// One that ran has ended.
    pub(crate) fn end(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Looks that run.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Looks that are due and wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(queue: &mut Queue, budget: usize) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(name) = queue.pop(budget) {
            queue.begin();
            names.push(name.to_string());
        }
        names
    }

    #[test]
    fn urgent_and_regular_looks_take_turns() {
        let mut queue = Queue::default();
        for name in ["r1", "r2", "r3"] {
            queue.push(name.into(), false);
        }
        for name in ["u1", "u2", "u3", "u4"] {
            queue.push(name.into(), true);
        }
        assert_eq!(drawn(&mut queue, 9), ["u1", "r1", "u2", "r2", "u3", "r3", "u4"]);
    }

    #[test]
    fn whoever_becomes_urgent_goes_first_and_once_however_often_it_is_asked_for() {
        let mut queue = Queue::default();
        for name in ["a", "b", "c"] {
            queue.push(name.into(), false);
        }
        for _ in 0..9 {
            queue.push("c".into(), true);
        }
        assert_eq!(queue.waiting(), 3);
        assert_eq!(drawn(&mut queue, 9), ["c", "a", "b"]);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn no_more_run_than_the_budget_allows_and_those_that_wait_keep_their_order() {
        let mut queue = Queue::default();
        for name in ["a", "b", "c"] {
            queue.push(name.into(), false);
        }
        assert_eq!(drawn(&mut queue, 2), ["a", "b"]);
        assert_eq!((queue.running(), queue.waiting()), (2, 1));
        queue.end();
        assert_eq!(drawn(&mut queue, 2), ["c"]);
    }
}
