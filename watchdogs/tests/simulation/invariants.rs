//! The invariants of the design, each as a function of what the judge knows.
//!
//! They look at the judge's log, at the processes and at the tables; never at why the product decided what it did.

use std::time::Duration;

use komainu_watchdogs::decision::{Decision, Move, StatusReason, Step};
use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::view::Health;

use super::events::{SEC, Time, Who};
use super::ledger::Ledger;
use super::model_store::{monitor_id, monitor_index, node_index};
use super::world::{Life, World};

/// A lease is watched for so long before anything is taken from its holder.
const LEASE_WATCH: Time = 11 * SEC;

/// Votes that are older have been replaced, even where rounds are slow and a verdict outlasts three split ones.
const VOTE_AGE: Time = 25 * SEC;

/// An operator's act that is older was seen by whoever decides.
const SEEN: Time = 15 * SEC;

/// Nobody starts a run of a monitor after its tenure ended, and no two processes may start one at the same instant.
pub(crate) fn invariant_one_owner_runs(world: &World, node: usize, monitor: usize) -> Result<(), String> {
    let process = &world.nodes[node];
    let log = process.before_loss.as_ref().map_or(&world.ledger, |before| &*before.ledger);
    if !log.may_run(process.id, process.incarnation, monitor, world.now) {
        return Err(format!(
            "one_owner: process {node} of node {} started a run of monitor {monitor} after its tenure ended: {:?}, {:?}",
            process.id, log.holdings[monitor], log.nodes[process.id]
        ));
    }
    if process.before_loss.is_some() {
        return Ok(());
    }
    for (other, twin) in world.nodes.iter().enumerate() {
        // Whoever knows of a loss waits for those who do not, but who has just registered cannot know of it. Where the
        // generation alone cannot be read, they may not learn of it in time.
        let waits = process.knows_of_loss && !world.setup.realm.has_parts();
        let is_excused = twin.before_loss.is_some() && !waits;
        let may_run = other != node
            && twin.life != Life::Dead
            && !is_excused
            && twin.tenure.may_run(world.local(Who::Node(other)), monitor_id(monitor)).is_ok();
        if may_run {
            return Err(format!("one_owner: processes {node} and {other} may both run monitor {monitor} now"));
        }
    }
    Ok(())
}

/// Nobody stores a beat of a monitor after its tenure ended.
pub(crate) fn invariant_one_owner_stores(world: &World, node: usize, monitor: usize) -> Result<(), String> {
    let process = &world.nodes[node];
    if world.ledger.may_store(process.id, process.incarnation, monitor) {
        return Ok(());
    }
    let holding = world.ledger.holdings[monitor];
    Err(format!(
        "one_owner: process {node} of node {} stored a beat of monitor {monitor} after its tenure ended: {holding:?}",
        process.id
    ))
}

/// A deposed leader commits nothing.
pub(crate) fn invariant_fenced(ledger: &Ledger, decision: &Decision) -> Result<(), String> {
    if ledger.leader == (decision.epoch, Some(decision.holder)) {
        Ok(())
    } else {
        Err(format!("fenced: epoch {} committed while {:?} led", decision.epoch, ledger.leader))
    }
}

/// What an operator pinned, drained or froze stays so. `decision`: what of it the store carries out.
pub(crate) fn invariant_hands_win(world: &World, decision: &Decision) -> Result<(), String> {
    if world.ledger.is_frozen {
        ensure_sent(world, decision)?;
    }
    for step in &decision.moves {
        let monitor = monitor_index(step.monitor);
        let from = step.from.as_ref().map(node_index);
        let is_bound = from.is_some_and(|node| {
            let gives_until = world.ledger.nodes[node].gives_pinned_until;
            world.ledger.pins[monitor] == from && world.now.saturating_sub(gives_until) > world.at_most(SEEN)
        });
        if step.step == Step::Release && is_bound {
            return Err(format!("hands_win: pinned monitor {monitor} was taken from its living node"));
        }
        let target = step.to.as_ref().map(node_index);
        if target.is_some_and(|node| world.ledger.nodes[node].overlaid_since.is_some()) {
            return Err(format!("hands_win: monitor {monitor} was given to a drained node"));
        }
    }
    ensure_read_since(world, decision)?;
    let undone = decision
        .statuses
        .iter()
        .find(|change| (change.overlay == Overlay::None) != (change.overlay_seen == Overlay::None));
    undone.map_or(Ok(()), |change| Err(format!("hands_win: automation changed the overlay of {}", change.node)))
}

/// Nobody moves a monitor on rows from before an operator's last act on it.
fn ensure_read_since(world: &World, decision: &Decision) -> Result<(), String> {
    let Some(dog) = world.dogs.iter().find(|dog| dog.incarnation == decision.holder) else { return Ok(()) };
    let mut monitors = decision.moves.iter().map(|step| monitor_index(step.monitor));
    match monitors.find(|monitor| world.ledger.hands[*monitor] > dog.shard_read_at) {
        Some(monitor) => Err(format!("hands_win: monitor {monitor} was moved on a plan from before an operator's act")),
        None => Ok(()),
    }
}

/// A loss is counted once: monitors go home the later, the more often a node was lost.
pub(crate) fn invariant_counted_once(world: &World, decision: &Decision) -> Result<(), String> {
    // A node that was deleted meanwhile is not changed.
    let is_lost = |node: usize| {
        let is_ill = matches!(world.database.nodes[node].status, NodeStatus::Offline | NodeStatus::Stalled);
        is_ill && world.database.is_present[node]
    };
    match decision.statuses.iter().find(|change| change.is_loss && is_lost(node_index(&change.node))) {
        Some(change) => Err(format!("counted_once: the loss of {} was counted before", change.node)),
        None => Ok(()),
    }
}

/// While the cluster is frozen only what an operator sent somewhere begins to move, what had begun to ends, and no lease
/// that is renewed is taken away.
fn ensure_sent(world: &World, decision: &Decision) -> Result<(), String> {
    let is_sent = |monitor: usize| {
        let assignment = world.database.monitors[monitor].assignment.as_ref();
        world.ledger.sent[monitor].is_some() || assignment.is_none_or(|assignment| !assignment.is_asked)
    };
    let goes_on = |step: &Move| match step.step {
        Step::Arrive => true,
        Step::Release => step.asked && is_sent(monitor_index(step.monitor)),
        Step::Place | Step::Failover => false,
    };
    if decision.moves.iter().all(goes_on) && decision.revokes.iter().all(|revoke| revoke.lease_seq.is_some()) {
        Ok(())
    } else {
        Err("hands_win: moves that nobody asked for began while the cluster was frozen".to_owned())
    }
}

/// No node is declared unreachable or lost on one watchdog's word, and none that renews loses its monitors but by the
/// protocol.
pub(crate) fn invariant_majority(world: &World, decision: &Decision) -> Result<(), String> {
    for change in &decision.statuses {
        let is_by_reach = change.status == NodeStatus::Unreachable
            || change.status == NodeStatus::Offline
                && matches!(change.reason, StatusReason::LeaseEndedUnreachable | StatusReason::ProcessGone);
        let is_new = world.database.nodes[node_index(&change.node)].status != change.status;
        if is_by_reach && is_new {
            ensure_majority(world, node_index(&change.node))?;
        }
    }
    for step in decision.moves.iter().filter(|step| step.step == Step::Failover) {
        let Some(node) = step.from.as_ref().map(node_index) else { continue };
        let log = &world.ledger.nodes[node];
        if !log.is_released && world.now - log.renewed_at < world.at_least(LEASE_WATCH) && holder_may_run(world, node) {
            let ago = Duration::from_micros(world.now - log.renewed_at);
            return Err(format!("majority: monitors were moved off node {node}, which renewed {ago:?} ago"));
        }
    }
    Ok(())
}

/// The process that holds a node's lease lives, and nothing has told it to stop.
fn holder_may_run(world: &World, node: usize) -> bool {
    let holder = world.database.nodes[node].incarnation;
    world.nodes.iter().enumerate().any(|(at, process)| {
        process.id == node
            && Some(process.incarnation) == holder
            && process.life != Life::Dead
            && !process.tenure.lease_left(world.local(Who::Node(at))).is_zero()
    })
}

/// Even with every doubtful watchdog counted for it, the verdict must have had a majority.
fn ensure_majority(world: &World, node: usize) -> Result<(), String> {
    let mut against = vec![false; world.setup.dogs];
    let mut certain = vec![false; world.setup.dogs];
    for dog in &world.dogs {
        let is_down = dog.tallies[node].down_at.is_some_and(|at| world.now - at <= world.at_most(VOTE_AGE));
        against[dog.id] |= is_down;
        let reaches_world = world.now >= world.network.worldless_until[dog.id] + 30 * SEC;
        certain[dog.id] |= dog.life == Life::Running
            && !dog.is_stopping
            && world.now - dog.written_at < 2 * SEC
            && world.now - dog.steady_since > 20 * SEC
            && dog.in_use_since.is_none()
            && (reaches_world || !world.setup.has_canaries);
    }
    let down = against.iter().filter(|against| **against).count();
    let voters = against.iter().zip(&certain).filter(|(against, certain)| **against || **certain).count();
    if 2 * down > voters {
        Ok(())
    } else {
        Err(format!("majority: node {node} was declared down by {down} of {voters} voters"))
    }
}

/// `/status` says no calm that is none.
pub(crate) fn invariant_no_false_calm(world: &World) -> Result<(), String> {
    let long = world.at_most(20 * SEC);
    let heard: Vec<_> = world.dogs.iter().filter(|dog| world.now - dog.written_at < long).map(|dog| dog.id).collect();
    let stopped = world.database.watchdogs.iter().filter(|entry| entry.row.stopped).count();
    let registered = world.database.watchdogs.len() - stopped;
    let living = (0..world.setup.dogs).filter(|id| heard.contains(id)).count();
    for (index, dog) in world.dogs.iter().enumerate() {
        if dog.life != Life::Running || dog.is_stopping {
            continue;
        }
        let view = dog.core.view(world.local(Who::Dog(index)));
        if view.status == Health::Down {
            continue;
        }
        if world.now - dog.written_at > long {
            return Err(format!("no_false_calm: watchdog {index} is calm and has written nothing for 20 s"));
        }
        if world.now - dog.read_at > long {
            return Err(format!("no_false_calm: watchdog {index} is calm and has read nothing for 20 s"));
        }
        if world.now - dog.counted_at > long {
            return Err(format!("no_false_calm: watchdog {index} is calm and has counted nothing for 20 s"));
        }
        // What began while it could not see is as old to it as its first look since.
        let is_orphan = |(noticed, since): (&Option<(Time, Time)>, &Option<Time>)| {
            noticed.is_some_and(|(began_at, at)| Some(began_at) == *since && world.now - at > world.at_most(85 * SEC))
        };
        if dog.noticed.iter().zip(&world.unowned_since).any(is_orphan) {
            return Err(format!(
                "no_false_calm: watchdog {index} is calm while a monitor is nobody's: {:?}, {:?}",
                view.monitors, view.reasons
            ));
        }
        let is_clean = world.now - dog.failed_at > long && world.now - dog.born_at > long;
        if is_clean && 2 * living <= registered {
            return Err(format!("no_false_calm: watchdog {index} is calm with {living} of {registered} alive"));
        }
    }
    Ok(())
}
