//! The planner: which monitor goes where, and why.
//!
//! A pure function of the monitors ([`Shard`]) and of what the nodes may take ([`Field`]). The same planner places new
//! monitors, fails over, brings home and drains; it moves as few monitors as its goals need, each to the least loaded
//! node with room (load / weight, where a monitor's load is its rate). It does not decide whether a node is lost or
//! well again: [`crate::failover`] says so in the field.

use std::collections::{BTreeMap, BTreeSet};

use crate::decision::{Move, MoveReason, Step};
use crate::facts::{self, MonitorRow, Shard, Source};
use crate::ids::NodeId;

/// What the planner may do with each node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Field {
    /// All nodes.
    pub nodes: BTreeMap<NodeId, Slot>,
    /// Sources that certainly stopped: what was taken from them may arrive elsewhere.
    pub arrivable: BTreeSet<Source>,
    /// Monitors that may be taken from living nodes now.
    pub release_budget: usize,
}

/// One node, as the planner sees it.
#[expect(clippy::struct_excessive_bools, reason = "five independent permissions")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// It takes monitors.
    pub is_eligible: bool,
    /// It takes those back whose home it is.
    pub welcomes_home: bool,
    /// Nothing of it runs any more: its monitors move, for this reason.
    pub lost: Option<MoveReason>,
    /// Somebody holds its lease, and can acknowledge that monitors were taken from it.
    pub has_holder: bool,
    /// An operator is emptying it.
    pub is_draining: bool,
    /// It has been unreachable for so long that push monitors leave it.
    pub sheds_push: bool,
    /// Share of the load, relative to the others.
    pub weight: u32,
    /// Monitors it takes.
    pub capacity: u32,
    /// Monitor types it runs; empty: all.
    pub kinds: Vec<String>,
}

impl Slot {
    /// Whether it can run monitors of this type.
    pub fn runs(&self, kind: &str) -> bool {
        facts::runs(&self.kinds, kind)
    }
}

impl Field {
    /// Whether a node, besides this one, takes monitors of this type.
    pub fn has_taker(&self, kind: &str, besides: Option<&NodeId>) -> bool {
        self.nodes.iter().any(|(node, slot)| Some(node) != besides && slot.is_eligible && slot.runs(kind))
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            is_eligible: true,
            welcomes_home: true,
            lost: None,
            has_holder: true,
            is_draining: false,
            sheds_push: false,
            weight: 100,
            capacity: 1_000,
            kinds: Vec::new(),
        }
    }
}

/// What the planner came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Steps, sorted by monitor.
    pub moves: Vec<Move>,
    /// Nodes that get more than their capacity, because there is no room anywhere.
    pub overloaded: BTreeSet<NodeId>,
    /// Monitors no eligible node can run.
    pub unplaceable: u32,
}

/// Plans all steps that the field allows.
pub fn plan(shard: &Shard, field: &Field) -> Plan {
    let mut planner = Planner::new(shard, field);
    let mut wishes: Vec<_> = shard.monitors.iter().filter_map(|monitor| planner.needs_step(monitor)).collect();
    // The heaviest first, so that the last ones even out what the first ones made uneven.
    wishes.sort_by_key(|wish| (std::cmp::Reverse(rate(wish.monitor)), wish.monitor.monitor));
    for wish in wishes {
        planner.grant(&wish);
    }
    planner.plan.moves.sort_by_key(|step| step.monitor);
    planner.plan
}

/// A monitor that wants a step.
struct Wish<'a> {
    monitor: &'a MonitorRow,
    step: Step,
    reason: MoveReason,
    /// The one node it may go to; otherwise the least loaded.
    only: Option<&'a NodeId>,
}

struct Planner<'a> {
    field: &'a Field,
    load: BTreeMap<&'a NodeId, Load>,
    releases: usize,
    plan: Plan,
}

#[derive(Clone, Copy, Default)]
struct Load {
    rate: u64,
    monitors: u32,
}

/// Runs per 1,000,000 seconds; a paused monitor costs nothing.
fn rate(monitor: &MonitorRow) -> u64 {
    if monitor.active { 1_000_000 / u64::from(monitor.interval_s.max(1)) } else { 0 }
}

impl<'a> Planner<'a> {
    fn new(shard: &'a Shard, field: &'a Field) -> Self {
        let mut load: BTreeMap<_, _> = field.nodes.keys().map(|node| (node, Load::default())).collect();
        for monitor in &shard.monitors {
            if let Some(entry) = monitor.effective.as_ref().and_then(|node| load.get_mut(node)) {
                entry.rate += rate(monitor);
                entry.monitors += 1;
            }
        }
        Self { field, load, releases: 0, plan: Plan::default() }
    }

    /// Whether a monitor wants a step, and which.
    fn needs_step(&self, monitor: &'a MonitorRow) -> Option<Wish<'a>> {
        let wish = |step, reason, only| Some(Wish { monitor, step, reason, only });
        let home = monitor.home.as_ref().filter(|node| self.takes(node, monitor, |slot| slot.welcomes_home));
        let Some(effective) = &monitor.effective else {
            return match &monitor.source {
                Some(source) if !self.field.arrivable.contains(source) => None,
                None if monitor.home.is_none() => wish(Step::Place, MoveReason::NewMonitor, None),
                Some(_) | None => wish(Step::Arrive, MoveReason::Unowned, home),
            };
        };
        let Some(slot) = self.field.nodes.get(effective) else {
            // Its node was deleted: nobody runs it.
            return wish(Step::Failover, MoveReason::NodeOffline, None);
        };
        if let Some(reason) = slot.lost {
            return wish(Step::Failover, reason, home);
        }
        if !slot.has_holder {
            // Just revoked: it is lost once that was watched for a lease.
            return None;
        }
        if home.is_some_and(|home| home != effective) {
            return wish(Step::Release, MoveReason::GoingHome, None);
        }
        if monitor.pinned || !self.field.has_taker(&monitor.kind, Some(effective)) {
            return None;
        }
        if !slot.runs(&monitor.kind) {
            return wish(Step::Release, MoveReason::KindUnsupported, None);
        }
        if slot.is_draining {
            return wish(Step::Release, MoveReason::Drain, None);
        }
        if slot.sheds_push && monitor.kind == "push" {
            return wish(Step::Release, MoveReason::PushUnreachable, None);
        }
        None
    }

    fn grant(&mut self, wish: &Wish<'a>) {
        let to = match wish.step {
            Step::Release => {
                if self.releases >= self.field.release_budget {
                    return;
                }
                self.releases += 1;
                None
            }
            Step::Place | Step::Arrive | Step::Failover => {
                let Some(target) = wish.only.or_else(|| self.least_loaded(wish.monitor)) else {
                    self.plan.unplaceable += 1;
                    return;
                };
                self.charge(target, wish.monitor);
                Some(target.clone())
            }
        };
        self.plan.moves.push(Move {
            monitor: wish.monitor.monitor,
            from: wish.monitor.effective.clone(),
            to,
            home: wish.monitor.home.clone(),
            pinned: wish.monitor.pinned,
            step: wish.step,
            reason: wish.reason,
        });
    }

    fn charge(&mut self, target: &'a NodeId, monitor: &MonitorRow) {
        let load = self.load.entry(target).or_default();
        load.rate += rate(monitor);
        load.monitors += 1;
        if self.field.nodes.get(target).is_some_and(|slot| load.monitors > slot.capacity) {
            self.plan.overloaded.insert(target.clone());
        }
    }

    fn takes(&self, node: &NodeId, monitor: &MonitorRow, also: impl Fn(&Slot) -> bool) -> bool {
        self.field.nodes.get(node).is_some_and(|slot| slot.is_eligible && also(slot) && slot.runs(&monitor.kind))
    }

    /// The least loaded eligible node with room; without room anywhere, the least loaded one.
    fn least_loaded(&self, monitor: &MonitorRow) -> Option<&'a NodeId> {
        let eligible = self.field.nodes.iter().filter(|(_, slot)| slot.is_eligible && slot.runs(&monitor.kind));
        eligible
            .min_by_key(|(node, slot)| {
                let load = self.load.get(node).copied().unwrap_or_default();
                let is_full = load.monitors >= slot.capacity;
                let weight = u64::from(slot.weight.max(1));
                // Paused monitors have no rate: their number decides, so that they spread too.
                (is_full, load.rate * 1_000 / weight, u64::from(load.monitors) * 1_000 / weight, *node)
            })
            .map(|(node, _)| node)
    }
}
