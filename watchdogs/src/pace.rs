//! How many monitors each stock Kuma was given of late: it starts them one after another, and is not to drown in them.
//!
//! Counts what the leader itself committed, on its own clock: arrivals that could wait, that is all but failovers. What a
//! former leader gave in its last minute is not known; until a minute has passed it is taken for everything that was
//! allowed, and a tenth of that is given on top, so that a new monitor need not wait for it. A native node starts thousands at once and is not counted.
//!
//! Where everything was lost ([`crate::refill`]) failovers count too, and what is allowed in a minute comes in steps of five
//! seconds: the first stock Kuma that is back gets its own monitors at the same time. While nothing ran nobody gave anything.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::decision::{Decision, Step};
use crate::ids::{Epoch, NodeId};
use crate::policy::Policy;
use crate::shard::Field;
use crate::time::Mono;

/// What [`Policy::moves_per_minute`] is counted over.
const WINDOW: Duration = Duration::from_secs(60);

/// A step of a refill.
const STEP: Duration = Duration::from_secs(5);

/// The count of one leadership.
#[derive(Debug, Default)]
pub struct Pace {
    began_at: Option<Mono>,
    given: BTreeMap<NodeId, VecDeque<(Mono, usize)>>,
    /// Failovers among them, of the last step.
    step: BTreeMap<NodeId, VecDeque<(Mono, usize)>>,
}

impl Pace {
    /// Says in the field how many more each stock Kuma may be given now.
    pub fn limit(&mut self, now: Mono, epoch: Epoch, field: &mut Field, policy: &Policy) {
        let began_at = *self.began_at.get_or_insert(now);
        let is_blind = epoch > Epoch(1) && now.since(began_at) < WINDOW;
        let is_refill = field.nodes.values().any(|slot| slot.is_refill);
        for (node, slot) in field.nodes.iter_mut().filter(|(_, slot)| slot.is_kuma) {
            let (allowed, given) = if is_refill {
                let steps = usize::try_from(WINDOW.as_secs() / STEP.as_secs()).unwrap_or(1);
                (policy.moves_per_minute.div_ceil(steps), given(&mut self.step, STEP, now, node))
            } else {
                let allowed = if is_blind { policy.moves_per_minute.div_ceil(10) } else { policy.moves_per_minute };
                (allowed, given(&mut self.given, WINDOW, now, node))
            };
            slot.arrivals_left = Some(allowed.saturating_sub(given));
        }
    }

    /// A decision was carried out.
    pub fn note(&mut self, now: Mono, decision: &Decision) {
        note(&mut self.step, now, decision, |step| step != Step::Release);
        note(&mut self.given, now, decision, |step| matches!(step, Step::Place | Step::Arrive));
    }
}

fn note(
    counted: &mut BTreeMap<NodeId, VecDeque<(Mono, usize)>>,
    now: Mono,
    decision: &Decision,
    counts: impl Fn(Step) -> bool,
) {
    let mut given: BTreeMap<&NodeId, usize> = BTreeMap::new();
    for step in decision.moves.iter().filter(|step| counts(step.step)) {
        if let Some(to) = &step.to {
            *given.entry(to).or_default() += 1;
        }
    }
    for (node, monitors) in given {
        let counted = counted.entry(node.clone()).or_default();
        forget(counted, WINDOW, now);
        counted.push_back((now, monitors));
    }
}

fn given(counted: &mut BTreeMap<NodeId, VecDeque<(Mono, usize)>>, span: Duration, now: Mono, node: &NodeId) -> usize {
    let Some(given) = counted.get_mut(node) else {
        return 0;
    };
    forget(given, span, now);
    given.iter().map(|(_, monitors)| monitors).sum()
}

fn forget(given: &mut VecDeque<(Mono, usize)>, span: Duration, now: Mono) {
    while given.front().is_some_and(|(at, _)| now.since(*at) >= span) {
        given.pop_front();
    }
}
