//! From what is known to what the leader does about it.
//!
//! Decides when a node is lost, when it takes monitors and when it gets its own back ([`field`]); whether anything is to
//! be done at all ([`needs_plan`]). What a move rests on is `proofs`' business, which also cuts a plan into transactions;
//! where a single monitor goes is [`crate::shard`]'s business.

use std::collections::{BTreeMap, BTreeSet};

use crate::assess::{Assessment, Assessor, cool_off, is_emptied};
use crate::decision::{Decision, MoveReason, Revoke, StatusChange, Step};
use crate::doubt::{Footing, decide_wait};
use crate::facts::{Counts, NodeRow, NodeStatus, Overlay, Round, ShardGroup, Source};
use crate::ids::{Epoch, Incarnation, NodeId, Stamp};
use crate::policy::{Policy, Recovery};
use crate::quorum::Reach;
use crate::shard::{Case, Field, Need, Slot};
use crate::status::{Lease, Progress};
use crate::time::Mono;
use crate::view::WouldMove;

mod proofs;

pub use proofs::decide_moves;
use proofs::prove;

/// Everything a decision is made of.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The moment of the decision, on this watchdog's clock.
    pub now: Mono,
    /// What was read last.
    pub round: &'a Round,
    /// Who runs what, as counted last.
    pub counts: &'a Counts,
    /// It was counted after the last transaction of this leadership, and may be acted on.
    pub is_counted: bool,
    /// What is made of it.
    pub assessor: &'a Assessor,
    /// Only one watchdog of several speaks: it moves what the lease gave up, and nothing else.
    pub is_sole_witness: bool,
    /// What this watchdog stands on when it judges others.
    pub footing: Footing,
    /// Nodes whose status another program wrote, and then left alone for long enough: it is written anew.
    pub overwritten: &'a BTreeSet<NodeId>,
    /// The thresholds that the configuration sets.
    pub policy: &'a Policy,
}

impl Situation<'_> {
    fn row(&self, node: &NodeId) -> Option<&NodeRow> {
        self.round.nodes.iter().find(|row| &row.node == node)
    }

    fn groups(&self) -> impl Iterator<Item = &ShardGroup> {
        self.counts.shards.iter().filter(|group| group.monitors > 0)
    }

    fn groups_of(&self, node: &NodeId) -> impl Iterator<Item = &ShardGroup> {
        self.groups().filter(move |group| group.effective.as_ref() == Some(node))
    }

    /// How many monitors a node has, paused ones too.
    pub fn monitors_of(&self, node: &NodeId) -> u32 {
        self.groups_of(node).map(|group| group.monitors).sum()
    }

    /// How many it runs.
    fn running_on(&self, node: &NodeId) -> u32 {
        self.groups_of(node).map(|group| group.active).sum()
    }

    /// Whether a stale node's lease may be taken away: not that of several which went stale together, whose cause is
    /// elsewhere, and not by a sole witness.
    pub fn may_revoke(&self, node: &NodeId) -> bool {
        !self.is_sole_witness && !self.assessor.is_stale_together(node, self.policy)
    }

    /// Whether any node takes monitors.
    pub fn has_taker(&self) -> bool {
        let takes = |row: &NodeRow| self.assessor.of(&row.node).is_some_and(|node| is_eligible(row, node));
        self.round.nodes.iter().any(takes)
    }
}

/// What is to be done with the monitors of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Nothing: it runs them, or it is not sure that it does not.
    No,
    /// Its monitors move: nothing of it runs any more.
    Lost(MoveReason),
    /// It renews but makes no progress: its lease is taken away now, its monitors move one watched lease later.
    Revoke,
}

/// Whether a node's monitors move.
pub fn decide_loss(situation: &Situation<'_>, row: &NodeRow, node: &Assessment) -> Loss {
    let Situation { now, policy, .. } = *situation;
    let has_waited = |since: Option<Mono>| since.is_some_and(|since| now.since(since) >= policy.stall_grace);
    match node.lease {
        Lease::Unknown => Loss::No,
        Lease::Fresh => {
            let is_stale = node.progress == Progress::Stale && has_waited(node.stale_since);
            if is_stale && situation.may_revoke(&row.node) { Loss::Revoke } else { Loss::No }
        }
        Lease::Ended | Lease::Killed | Lease::Released => {
            let reason = match node.status {
                NodeStatus::Offline => MoveReason::NodeOffline,
                NodeStatus::New | NodeStatus::Online | NodeStatus::Unreachable | NodeStatus::Stalled => {
                    MoveReason::NodeStalled
                }
            };
            if decide_wait(situation, row, node).is_none() { Loss::Lost(reason) } else { Loss::No }
        }
    }
}

/// Whether a node takes monitors.
fn is_eligible(row: &NodeRow, node: &Assessment) -> bool {
    node.status == NodeStatus::Online && node.lease == Lease::Fresh && row.overlay == Overlay::None && !is_emptied(row)
}

/// While no node is online, one that only makes no progress takes what a lost one had, if others make none since about
/// the same time: whatever keeps their beats from being stored (somebody's lock on Kuma's tables) is not its fault, and
/// would hold up every failover for as long.
fn is_last_resort(situation: &Situation<'_>, row: &NodeRow, node: &Assessment) -> bool {
    let Situation { round, assessor, policy, .. } = *situation;
    let is_online = |row: &NodeRow| assessor.of(&row.node).is_some_and(|node| is_eligible(row, node));
    let is_stale = node.lease == Lease::Fresh && node.progress == Progress::Stale && node.reach == Reach::Up;
    is_stale
        && row.overlay == Overlay::None
        && !is_emptied(row)
        && assessor.is_stale_together(&row.node, policy)
        && !round.nodes.iter().any(is_online)
}

/// Whether an online node gets back the monitors whose home it is.
fn welcomes_home(situation: &Situation<'_>, row: &NodeRow, node: &Assessment) -> bool {
    let Situation { now, round, is_sole_witness, policy, .. } = *situation;
    let was_lost = row.lost_at.is_some();
    let is_forgotten = row.lost_at.is_some_and(|at| round.database_time.since(at) >= policy.cool_off_forgotten);
    let losses = if is_forgotten { 0 } else { row.losses };
    let is_cool = node.online_since.is_some_and(|since| now.since(since) >= cool_off(losses, policy));
    let goes_by_itself = match policy.recovery {
        Recovery::Auto => is_cool,
        Recovery::Manual => !was_lost,
    };
    (goes_by_itself && !is_sole_witness) || row.recover_asked
}

/// What the planner may do with each node now.
pub fn field(situation: &Situation<'_>) -> Field {
    let Situation { now, round, assessor, is_sole_witness, policy, .. } = *situation;
    let mut nodes = BTreeMap::new();
    for row in &round.nodes {
        let Some(node) = assessor.of(&row.node) else {
            continue;
        };
        let lost = match decide_loss(situation, row, node) {
            Loss::Lost(reason) => Some(reason),
            Loss::No | Loss::Revoke => None,
        };
        let unreachable_for = node.unreachable_since.map(|since| now.since(since));
        let eligible = is_eligible(row, node);
        let capacity = row.capacity.unwrap_or(policy.monitor_limit_per_node);
        let monitors = situation.monitors_of(&row.node);
        let slot = Slot {
            is_eligible: eligible || is_last_resort(situation, row, node),
            welcomes_home: eligible && welcomes_home(situation, row, node),
            lost,
            is_refill: lost.is_some() && monitors > 0 && assessor.refill().concerns(node),
            has_holder: row.incarnation.is_some(),
            is_draining: row.overlay != Overlay::None && node.lease == Lease::Fresh,
            drains_pinned: row.drains_pinned,
            sheds_push: !is_sole_witness && unreachable_for.is_some_and(|span| span >= policy.push_grace),
            is_kuma: !row.is_native,
            has_room: monitors < capacity,
            arrivals_left: None,
            weight: row.weight,
            capacity,
            kinds: row.kinds.clone(),
            labels: row.labels.clone(),
        };
        nodes.insert(row.node.clone(), slot);
    }
    let sources: BTreeSet<_> = situation.groups().filter_map(|group| group.source.clone()).collect();
    let arrivable = sources.into_iter().filter(|source| prove(situation, source).is_some()).collect();
    let is_frozen = round.cluster.frozen;
    Field { nodes, arrivable, release_budget: release_budget(situation), is_frozen }
}

/// Nodes that run more than their capacity: a paused monitor has its place in a plan, and is no work. While another has room
/// for some of it they are those of `planned`, for which that room was of no use.
pub fn overloaded(situation: &Situation<'_>, planned: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let (mut over, mut roomy) = (Vec::new(), Vec::new());
    for row in &situation.round.nodes {
        let Some(node) = situation.assessor.of(&row.node).filter(|node| node.lease == Lease::Fresh) else {
            continue;
        };
        let running = situation.running_on(&row.node);
        let capacity = row.capacity.unwrap_or(situation.policy.monitor_limit_per_node);
        if running > capacity {
            over.push(row);
        } else if situation.monitors_of(&row.node) < capacity && is_eligible(row, node) {
            roomy.push(row);
        }
    }
    let has_room_for = |group: &ShardGroup| roomy.iter().any(|row| row.takes(&group.kind, &group.run_on));
    let is_stuck = |row: &&NodeRow| planned.contains(&row.node) || !situation.groups_of(&row.node).any(has_room_for);
    over.into_iter().filter(is_stuck).map(|row| row.node.clone()).collect()
}

/// Taking from living nodes goes in steps: what was released must arrive before more is.
fn release_budget(situation: &Situation<'_>) -> usize {
    let on_the_way = situation.groups().filter(|group| group.effective.is_none() && group.source.is_some());
    let on_the_way: u32 = on_the_way.map(|group| group.monitors).sum();
    situation.policy.batch_living.saturating_sub(usize::try_from(on_the_way).unwrap_or(usize::MAX))
}

/// Why the leader reads the monitors; `None`: there is nothing to plan. The counts are for observe mode and freeze.
pub fn needs_plan(situation: &Situation<'_>, field: &Field) -> Vec<(Option<NodeId>, u32, MoveReason)> {
    if !field.nodes.values().any(|slot| slot.is_eligible) {
        return Vec::new();
    }
    let mut needs: BTreeMap<(Option<NodeId>, MoveReason), u32> = BTreeMap::new();
    for group in situation.groups() {
        if let Some(reason) = needs_step(field, group) {
            *needs.entry((group.effective.clone(), reason)).or_default() += group.monitors;
        }
    }
    needs.into_iter().map(|((from, reason), monitors)| (from, monitors, reason)).collect()
}

/// What automation would do if nobody held it back; not what is done while the cluster is frozen too.
pub fn would_move(situation: &Situation<'_>, field: &Field) -> Vec<WouldMove> {
    let thawed = Field { is_frozen: false, ..field.clone() };
    let needs = needs_plan(situation, &thawed).into_iter();
    let would = needs.map(|(from, monitors, reason)| WouldMove { from, monitors, reason });
    let goes_on = if field.is_frozen { needs_plan(situation, field) } else { Vec::new() };
    let held = would.filter_map(|one| {
        let same = |(from, _, reason): &&(_, _, _)| *from == one.from && *reason == one.reason;
        let going = goes_on.iter().find(same).map_or(0, |(_, monitors, _)| *monitors);
        let monitors = one.monitors.saturating_sub(going);
        (monitors > 0).then_some(WouldMove { monitors, ..one })
    });
    held.collect()
}

/// What nobody can take needs no step: the plan would find no place for it again and again.
fn needs_step(field: &Field, group: &ShardGroup) -> Option<MoveReason> {
    let need = field.need(&Case::from(group))?;
    let is_possible = match need.step {
        Step::Release => field.release_budget > 0 && is_in_time(field, &need, group),
        Step::Place => field.has_taker_now(&group.kind, &group.run_on, None),
        Step::Failover if need.is_refill => field.has_taker_now(&group.kind, &group.run_on, None),
        Step::Arrive | Step::Failover => field.has_taker(&group.kind, &group.run_on, None),
    };
    is_possible.then_some(need.reason)
}

/// Whether whoever would get them may be given more this minute.
fn is_in_time(field: &Field, need: &Need<'_>, group: &ShardGroup) -> bool {
    match need.only {
        Some(home) => field.nodes.get(home).is_some_and(|slot| slot.arrivals_left != Some(0)),
        None => field.has_taker_now(&group.kind, &group.run_on, group.effective.as_ref()),
    }
}

/// Monitors for which no node is the right one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Misfit {
    /// Nobody runs them; otherwise their node lacks a label they ask for.
    pub is_unwatched: bool,
    /// Their type, as Kuma names it.
    pub kind: String,
    /// The labels they ask for.
    pub run_on: Vec<String>,
}

/// Active monitors that no node which takes monitors fits, counted.
pub fn misfits(situation: &Situation<'_>, field: &Field) -> BTreeMap<Misfit, u32> {
    let mut misfits = BTreeMap::new();
    let takes_anything = field.nodes.values().any(|slot| slot.is_eligible);
    for group in situation.groups().filter(|group| takes_anything && group.active > 0) {
        let slot = group.effective.as_ref().and_then(|node| field.nodes.get(node)).filter(|slot| slot.lost.is_none());
        let is_unwatched = slot.is_none_or(|slot| !slot.runs(&group.kind));
        // Where an operator pinned it, it stays, whatever its labels are.
        let is_right = group.pinned || slot.is_some_and(|slot| slot.takes(&group.kind, &group.run_on));
        let is_bound = group.pinned && slot.is_some();
        let has_place = !is_bound && field.has_taker(&group.kind, &group.run_on, None);
        if has_place || (is_right && !is_unwatched) {
            continue;
        }
        let misfit = Misfit { is_unwatched, kind: group.kind.clone(), run_on: group.run_on.clone() };
        *misfits.entry(misfit).or_default() += group.active;
    }
    misfits
}

/// The frame of a decision that changes nothing yet.
pub fn empty_decision(epoch: Epoch, holder: Incarnation, seen: Stamp) -> Decision {
    Decision {
        epoch,
        holder,
        seen,
        nodes: Vec::new(),
        guards: Vec::new(),
        revokes: Vec::new(),
        statuses: Vec::new(),
        moves: Vec::new(),
        forget_leftover: false,
    }
}

/// Statuses that differ from what is written.
pub fn decide_statuses(situation: &Situation<'_>) -> Vec<StatusChange> {
    situation.round.nodes.iter().filter_map(|row| decide_status_change(situation, row)).collect()
}

fn decide_status_change(situation: &Situation<'_>, row: &NodeRow) -> Option<StatusChange> {
    let node = situation.assessor.of(&row.node)?;
    let overlay = decide_overlay(situation, row);
    // While this watchdog cannot say, what is written stands.
    let status = if node.is_decided { node.status } else { row.status };
    let was_well = matches!(row.status, NodeStatus::Online | NodeStatus::Unreachable);
    let is_ill = matches!(status, NodeStatus::Offline | NodeStatus::Stalled);
    let recovered = row.recover_asked && status == NodeStatus::Online && !has_more_to_come(situation, row);
    let is_overwritten = situation.overwritten.contains(&row.node);
    if status == row.status && overlay == row.overlay && !recovered && !is_overwritten {
        return None;
    }
    let is_loss = was_well && is_ill;
    let calm = row.lost_at.map(|at| situation.round.database_time.since(at));
    Some(StatusChange {
        node: row.node.clone(),
        status,
        overlay_seen: row.overlay,
        overlay,
        is_loss,
        forgets_losses: is_loss && calm.is_some_and(|calm| calm >= situation.policy.cool_off_forgotten),
        recovered,
        reason: node.reason,
    })
}

/// Whether a monitor that is at home on this node is elsewhere, and may come. What the node cannot run never does, and
/// nothing while it is being emptied or kept empty: a wish for that would be asked for ever.
fn has_more_to_come(situation: &Situation<'_>, row: &NodeRow) -> bool {
    let is_away =
        |group: &ShardGroup| group.home.as_ref() == Some(&row.node) && group.effective.as_ref() != Some(&row.node);
    let takes = |group: &ShardGroup| row.overlay == Overlay::None && row.takes(&group.kind, &group.run_on);
    situation.groups().any(|group| is_away(group) && takes(group))
}

/// A draining node is drained once its holder acknowledged a generation in which it owns nothing.
fn decide_overlay(situation: &Situation<'_>, row: &NodeRow) -> Overlay {
    let owns = situation.groups().any(|group| {
        group.effective.as_ref() == Some(&row.node)
            || group.source.as_ref().is_some_and(|source| source.node == row.node)
    });
    let has_applied = row.incarnation.is_none()
        || (row.applied_is_known
            && row.applied.is_some_and(|applied| applied.generation >= situation.round.cluster.stamp.generation));
    match row.overlay {
        Overlay::Draining if !owns && has_applied => Overlay::Drained,
        // A monitor made with this node as its home came after the drain.
        Overlay::Drained if owns => Overlay::Draining,
        Overlay::None | Overlay::Draining | Overlay::Drained => row.overlay,
    }
}

/// Leases taken away from nodes that renew: no progress, or a release left without acknowledgement since `waiting`.
pub fn decide_revokes(situation: &Situation<'_>, waiting: &BTreeMap<Source, Mono>) -> Vec<Revoke> {
    let has_other = |node: &NodeId| {
        let others = situation.round.nodes.iter().filter(|row| &row.node != node);
        others
            .filter_map(|row| Some((row, situation.assessor.of(&row.node)?)))
            .any(|(row, other)| is_eligible(row, other))
    };
    let mut revokes = Vec::new();
    for row in &situation.round.nodes {
        let (Some(node), Some(holder)) = (situation.assessor.of(&row.node), row.incarnation) else {
            continue;
        };
        let owns = situation.groups().any(|group| group.effective.as_ref() == Some(&row.node));
        let is_stuck = !situation.round.cluster.frozen
            && owns
            && has_other(&row.node)
            && decide_loss(situation, row, node) == Loss::Revoke;
        let is_deaf = waiting.iter().any(|(source, since)| {
            source.node == row.node
                && source.incarnation == holder
                && situation.now.since(*since) >= situation.policy.acknowledge_wait
                && prove(situation, source).is_none()
        });
        if is_stuck || is_deaf {
            revokes.push(Revoke { node: row.node.clone(), incarnation: holder, lease_seq: None, is_emptied: is_stuck });
        }
    }
    revokes
}
