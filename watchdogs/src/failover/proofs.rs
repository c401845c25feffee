//! What a move rests on: why the monitor's source has certainly stopped, as the transaction checks it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Situation;
use crate::decision::{Decision, Guard, Move, NodeSeen, Revoke, Step};
use crate::facts::{NodeRow, Source};
use crate::ids::{Incarnation, NodeId};
use crate::shard::Plan;

/// Why a monitor's source has certainly stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// This must still hold in the transaction.
    Guard(Guard),
    /// The lease ended by own watch without an acknowledgement: it is taken away in the same transaction.
    Revoke(Revoke),
    /// The node does not exist any more; it could only be deleted when it owned nothing.
    Gone,
}

pub(super) fn prove(situation: &Situation<'_>, source: &Source) -> Option<Proof> {
    let Some(row) = situation.row(&source.node) else {
        return Some(Proof::Gone);
    };
    let lease = situation.assessor.of(&row.node)?.lease;
    match row.incarnation {
        Some(holder) if holder == source.incarnation => {
            let acknowledged = row.applied.is_some_and(|applied| applied.generation >= source.released_at);
            if acknowledged && row.applied_is_known {
                Some(Proof::Guard(Guard::Acknowledged {
                    node: row.node.clone(),
                    incarnation: holder,
                    generation: source.released_at,
                }))
            } else {
                lease.is_over().then(|| Proof::Revoke(take_away(row, holder)))
            }
        }
        Some(_) => Some(Proof::Guard(Guard::Superseded { node: row.node.clone(), incarnation: source.incarnation })),
        None => lease.is_over().then(|| Proof::Guard(vacant(row))),
    }
}

/// Cuts a plan into transactions, each with the proofs its own moves rest on.
pub fn decide_moves(
    situation: &Situation<'_>,
    plan: &Plan,
    sources: &BTreeMap<i64, Source>,
    frame: &Decision,
) -> VecDeque<Decision> {
    let mut taken = BTreeSet::new();
    plan.moves
        .chunks(situation.policy.batch)
        .map(|moves| {
            let mut decision = Decision { moves: moves.to_vec(), ..frame.clone() };
            for proof in moves.iter().filter_map(|step| proof_of(situation, step, sources)) {
                add_proof(&mut decision, proof, &mut taken);
            }
            decision.nodes = nodes_of(situation, moves);
            decision.guards.sort();
            decision.guards.dedup();
            decision
        })
        .collect()
}

/// What the plan saw of the nodes that its steps name.
fn nodes_of(situation: &Situation<'_>, moves: &[Move]) -> Vec<NodeSeen> {
    let named: BTreeSet<_> = moves.iter().flat_map(Move::nodes).collect();
    named.into_iter().filter_map(|node| situation.row(node)).map(NodeSeen::from).collect()
}

fn proof_of(situation: &Situation<'_>, step: &Move, sources: &BTreeMap<i64, Source>) -> Option<Proof> {
    match step.step {
        Step::Place | Step::Release => None,
        Step::Arrive => prove(situation, sources.get(&step.monitor.0)?),
        Step::Failover => {
            let row = situation.row(step.from.as_ref()?)?;
            Some(
                row.incarnation
                    .map_or_else(|| Proof::Guard(vacant(row)), |holder| Proof::Revoke(take_away(row, holder))),
            )
        }
    }
}

/// A lease is taken away once; later transactions of the same plan rest on the row being vacant since.
fn add_proof(decision: &mut Decision, proof: Proof, taken: &mut BTreeSet<NodeId>) {
    match proof {
        Proof::Guard(guard) => decision.guards.push(guard),
        Proof::Gone => {}
        Proof::Revoke(revoke) => {
            if decision.revokes.contains(&revoke) {
                return;
            }
            if taken.insert(revoke.node.clone()) {
                decision.revokes.push(revoke);
            } else if let Some(lease_seq) = revoke.lease_seq {
                decision.guards.push(Guard::Vacant { node: revoke.node, lease_seq });
            }
        }
    }
}

pub(super) fn vacant(row: &NodeRow) -> Guard {
    Guard::Vacant { node: row.node.clone(), lease_seq: row.lease_seq }
}

pub(super) fn take_away(row: &NodeRow, holder: Incarnation) -> Revoke {
    Revoke { node: row.node.clone(), incarnation: holder, lease_seq: Some(row.lease_seq), is_emptied: false }
}
