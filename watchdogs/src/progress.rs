//! From when on a lack of progress counts, on this watchdog's own clock.
//!
//! Beats and assignments bear the database's time and the nodes': after an outage, a restart of the node or a jump of the
//! database's clock everything looks overdue at once. So no monitor counts as waiting for longer than this watchdog has
//! seen its node's process hold the row and the database take what nodes write. What was before this watchdog's own start
//! it cannot know, and believes the tables. How far behind a node is, is read; what follows is [`crate::assess`]'s.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::Round;
use crate::ids::{Incarnation, NodeId};
use crate::time::Mono;

/// Two clocks that run apart by this much between two reads did not drift: one was set.
const JUMP: Duration = Duration::from_secs(2);

/// What this watchdog saw begin.
#[derive(Debug, Default)]
pub(crate) struct Beginnings {
    /// Everybody could write again.
    all: Option<Mono>,
    nodes: BTreeMap<NodeId, Holder>,
    /// The database's clock was ahead of the own one by between so many milliseconds.
    ahead: Option<(i64, i64)>,
}

#[derive(Debug)]
struct Holder {
    incarnation: Option<Incarnation>,
    since: Option<Mono>,
}

impl Beginnings {
    /// Takes in what a round showed.
    pub(crate) fn handle_round(&mut self, now: Mono, round: &Round) {
        self.watch_clock(now, round);
        self.nodes.retain(|node, _| round.nodes.iter().any(|row| &row.node == node));
        for row in &round.nodes {
            let fresh = Holder { incarnation: row.incarnation, since: None };
            let holder = self.nodes.entry(row.node.clone()).or_insert(fresh);
            // A process that only registered again hangs as it hung before.
            if row.incarnation.is_some() && holder.incarnation != row.incarnation {
                *holder = Holder { incarnation: row.incarnation, since: Some(now) };
            }
        }
    }

    fn watch_clock(&mut self, now: Mono, round: &Round) {
        let millis = |at: Mono| i64::try_from(at.as_micros() / 1_000).unwrap_or(i64::MAX);
        let ahead = (
            round.database_time.0.saturating_sub(millis(round.ended_at)),
            round.database_time.0.saturating_sub(millis(round.began_at)),
        );
        let jump = i64::try_from(JUMP.as_millis()).unwrap_or(i64::MAX);
        let is_apart =
            |before: (i64, i64)| ahead.0 > before.1.saturating_add(jump) || before.0 > ahead.1.saturating_add(jump);
        if self.ahead.is_some_and(is_apart) {
            self.begin(now);
        }
        self.ahead = Some(ahead);
    }

    /// Until now nodes may not have been able to write.
    pub(crate) fn begin(&mut self, now: Mono) {
        self.all = Some(now);
    }

    /// For how long each node could have made progress, as far as this watchdog knows.
    pub(crate) fn spans(&self, now: Mono) -> BTreeMap<NodeId, Duration> {
        let span = |holder: &Holder| Some(now.since(holder.since.max(self.all)?));
        self.nodes.iter().filter_map(|(node, holder)| Some((node.clone(), span(holder)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{ClusterRow, LeaderRow, NodeRow};
    use crate::time::Wall;

    fn round(second: u64, wall: i64, incarnation: u64) -> Round {
        let node = NodeRow { node: "n1".into(), incarnation: Some(Incarnation(incarnation)), ..NodeRow::default() };
        Round {
            began_at: Mono::secs(second),
            ended_at: Mono::secs(second),
            database_time: Wall(wall * 1_000),
            cluster: ClusterRow::default(),
            leader: LeaderRow::default(),
            watchdogs: Vec::new(),
            own: None,
            nodes: vec![node],
            observations: Vec::new(),
        }
    }

    fn span(beginnings: &Beginnings, second: u64) -> Option<u64> {
        beginnings.spans(Mono::secs(second)).get(&NodeId::from("n1")).map(Duration::as_secs)
    }

    #[test]
    fn what_was_before_ones_own_start_is_believed() {
        let mut beginnings = Beginnings::default();
        beginnings.handle_round(Mono::secs(1), &round(1, 100, 7));
        assert_eq!(span(&beginnings, 50), None);
    }

    #[test]
    fn a_new_process_of_a_node_has_made_no_progress_yet() {
        let mut beginnings = Beginnings::default();
        beginnings.handle_round(Mono::secs(1), &round(1, 100, 7));
        beginnings.handle_round(Mono::secs(2), &round(2, 101, 8));
        assert_eq!(span(&beginnings, 12), Some(10));
    }

    #[test]
    fn a_clock_of_the_database_that_jumps_makes_nothing_overdue() {
        for jumped in [3_700, -3_400] {
            let mut beginnings = Beginnings::default();
            beginnings.handle_round(Mono::secs(1), &round(1, 100, 7));
            beginnings.handle_round(Mono::secs(2), &round(2, 102, 7));
            assert_eq!(span(&beginnings, 3), None, "a second is no jump");
            beginnings.handle_round(Mono::secs(3), &round(3, jumped, 7));
            assert_eq!(span(&beginnings, 8), Some(5));
        }
    }
}
