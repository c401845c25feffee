//! Nodes whose clocks are off the database's: noticed, round by round.
//!
//! Owns since when each node's clock is off. Nothing is decided by a clock of a node; that people are told is
//! [`crate::alarms`]'s business.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::Round;
use crate::ids::NodeId;
use crate::time::Mono;

/// More than this is told, and a native node then stamps its beats with the database's time: slow answers make a clock
/// look off by at most 3 s.
pub const CLOCK_OFF: Duration = Duration::from_secs(5);

/// Several renewals in a row: one that waited in the database looks like a clock that is behind.
const LASTING: Duration = Duration::from_secs(10);

/// Which clocks are off.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    off_since: BTreeMap<NodeId, Mono>,
}

impl Clocks {
    /// Takes in what a round showed.
    pub(crate) fn handle_round(&mut self, now: Mono, round: &Round) {
        let off = round.nodes.iter().filter(|row| row.clock_off_ms.is_some_and(is_off));
        let since = off.map(|row| (row.node.clone(), self.off_since.get(&row.node).copied().unwrap_or(now)));
        self.off_since = since.collect();
    }

    /// Nodes whose clocks are off for longer than a slow renewal, each by how many milliseconds it is ahead.
    pub(crate) fn nodes(&self, now: Mono, round: &Round) -> BTreeMap<NodeId, i64> {
        let lasting = |node: &NodeId| self.off_since.get(node).is_some_and(|since| now.since(*since) >= LASTING);
        let nodes = round.nodes.iter().filter(|row| lasting(&row.node));
        nodes.filter_map(|row| Some((row.node.clone(), row.clock_off_ms?))).collect()
    }
}

fn is_off(off_ms: i64) -> bool {
    u128::from(off_ms.unsigned_abs()) > CLOCK_OFF.as_millis()
}
