//! Another program that runs monitors of a node, or writes its status: noticed, round by round.
//!
//! Owns since when each node is meddled with. That moves stop while it lasts is decided by [`crate::leader`]; that it is
//! told, by [`crate::alarms`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::facts::Round;
use crate::ids::NodeId;
use crate::time::Mono;

/// Foreign beats within this window count together.
const WINDOW: Duration = Duration::from_secs(60);

/// Fewer foreign beats than this within the window may be a hand-over's last ones.
const BEATS: u64 = 3;

/// What other programs do to each node.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    watches: BTreeMap<NodeId, ForeignWatch>,
}

/// Beats of a node's monitors that somebody else stored: how many when the window began.
#[derive(Debug)]
struct ForeignWatch {
    base: u64,
    base_at: Mono,
    risen_at: Option<Mono>,
    /// The node's status has been somebody else's since.
    overwritten_since: Option<Mono>,
}

impl Foreign {
    /// Takes in what a round showed.
    pub(crate) fn handle_round(&mut self, now: Mono, round: &Round) {
        self.watches.retain(|node, _| round.nodes.iter().any(|row| &row.node == node));
        for row in &round.nodes {
            let watch = self.watches.entry(row.node.clone()).or_insert(ForeignWatch {
                base: row.foreign_beats,
                base_at: now,
                risen_at: None,
                overwritten_since: None,
            });
            watch.overwritten_since = row.has_foreign_status.then(|| watch.overwritten_since.unwrap_or(now));
            if row.foreign_beats >= watch.base.saturating_add(BEATS) {
                (watch.base, watch.base_at, watch.risen_at) = (row.foreign_beats, now, Some(now));
            } else if now.since(watch.base_at) > WINDOW || row.foreign_beats < watch.base {
                (watch.base, watch.base_at) = (row.foreign_beats, now);
            }
        }
    }

    /// Nodes whose monitors or status somebody else writes.
    pub(crate) fn nodes(&self, now: Mono, round: &Round) -> BTreeSet<NodeId> {
        let beats = self
            .watches
            .iter()
            .filter(|(_, watch)| watch.risen_at.is_some_and(|at| now.since(at) <= WINDOW))
            .map(|(node, _)| node.clone());
        let statuses = round.nodes.iter().filter(|row| row.has_foreign_status).map(|row| row.node.clone());
        beats.chain(statuses).collect()
    }

    /// Nodes whose status another program wrote, and then left alone for the window in which it would come again.
    pub(crate) fn overwritten(&self, now: Mono) -> BTreeSet<NodeId> {
        let is_left_alone =
            |watch: &ForeignWatch| watch.overwritten_since.is_some_and(|since| now.since(since) >= WINDOW);
        self.watches.iter().filter(|(_, watch)| is_left_alone(watch)).map(|(node, _)| node.clone()).collect()
    }
}
