//! How many monitors each stock Kuma was given of late: it starts them one after another, and is not to drown in them.
//!
//! Counts what the leader itself committed, on its own clock: arrivals that could wait, that is all but failovers. What a
//! former leader gave in its last minute is not known; until a minute has passed it is taken for everything that was
//! allowed, and a tenth of that is given on top, so that a new monitor need not wait for it. A native node starts thousands at once and is not counted.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::decision::{Decision, Step};
use crate::ids::{Epoch, NodeId};
use crate::policy::Policy;
use crate::shard::Field;
use crate::time::Mono;

/// What [`Policy::moves_per_minute`] is counted over.
const WINDOW: Duration = Duration::from_secs(60);

/// The count of one leadership.
#[derive(Debug, Default)]
pub struct Pace {
    began_at: Option<Mono>,
    given: BTreeMap<NodeId, VecDeque<(Mono, usize)>>,
}

impl Pace {
    /// Says in the field how many more each stock Kuma may be given now.
    pub fn limit(&mut self, now: Mono, epoch: Epoch, field: &mut Field, policy: &Policy) {
        let began_at = *self.began_at.get_or_insert(now);
        let is_blind = epoch > Epoch(1) && now.since(began_at) < WINDOW;
        for (node, slot) in field.nodes.iter_mut().filter(|(_, slot)| slot.is_kuma) {
            let allowed = if is_blind { policy.moves_per_minute.div_ceil(10) } else { policy.moves_per_minute };
            slot.arrivals_left = Some(allowed.saturating_sub(self.given(now, node)));
        }
    }

    /// A decision was carried out.
    pub fn note(&mut self, now: Mono, decision: &Decision) {
        let mut given: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for step in decision.moves.iter().filter(|step| matches!(step.step, Step::Place | Step::Arrive)) {
            if let Some(to) = &step.to {
                *given.entry(to).or_default() += 1;
            }
        }
        for (node, monitors) in given {
            self.given.entry(node.clone()).or_default().push_back((now, monitors));
        }
    }

    fn given(&mut self, now: Mono, node: &NodeId) -> usize {
        let Some(given) = self.given.get_mut(node) else {
            return 0;
        };
        while given.front().is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            given.pop_front();
        }
        given.iter().map(|(_, monitors)| monitors).sum()
    }
}
