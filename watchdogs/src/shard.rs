//! The planner: which monitor goes where, and why.
//!
//! A pure function of the monitors ([`Shard`]) and of what the nodes may take ([`Field`]). The same planner places new
//! monitors, fails over, brings home and drains; it moves as few monitors as its goals need, each to the least loaded
//! node with room (load / weight, where a monitor's load is its rate). Which monitor needs a step is said by `needs`,
//! for single monitors and for counts of them alike; evening out what nobody asks to move is [`rebalance`]. It does not
//! decide whether a node is lost or well again: [`crate::failover`] says so in the field.

mod needs;
mod rebalance;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use self::needs::{Case, Need};
pub use self::rebalance::{Rebalance, rebalance};
use crate::decision::{Move, MoveReason, Step};
use crate::facts::{self, MonitorRow, Shard, Source};
use crate::ids::NodeId;

/// What the planner may do with each node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Field {
    /// What the planner may do with each node.
    pub nodes: BTreeMap<NodeId, Slot>,
    /// Sources that certainly stopped: what was taken from them may arrive elsewhere.
    pub arrivable: BTreeSet<Source>,
    /// Monitors that may be taken from living nodes now.
    pub release_budget: usize,
    /// An operator stopped all moves but those for which an operator named the node.
    pub is_frozen: bool,
}

/// One node, as the planner sees it.
#[expect(clippy::struct_excessive_bools, reason = "independent permissions")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// It takes monitors.
    pub is_eligible: bool,
    /// It takes those back whose home it is.
    pub welcomes_home: bool,
    /// Nothing of it runs any more: its monitors move, for this reason.
    pub lost: Option<MoveReason>,
    /// It was lost before a time in which no node ran anything was over: what it had is given at a stock node's pace.
    pub is_refill: bool,
    /// Somebody holds its lease, and can acknowledge that monitors were taken from it.
    pub has_holder: bool,
    /// An operator is emptying it.
    pub is_draining: bool,
    /// The drain takes pinned monitors along.
    pub drains_pinned: bool,
    /// It has been unreachable for so long that push monitors leave it.
    pub sheds_push: bool,
    /// A stock Kuma runs there: it cannot start thousands of monitors at once.
    pub is_kuma: bool,
    /// It runs fewer than it takes.
    pub has_room: bool,
    /// Monitors that it may be given now unless a failover gives them; `None`: any number.
    pub arrivals_left: Option<usize>,
    /// Share of the load, relative to the others.
    pub weight: u32,
    /// Monitors it takes.
    pub capacity: u32,
    /// Monitor types it runs; empty: all.
    pub kinds: Vec<String>,
    /// Labels it bears.
    pub labels: Vec<String>,
}

impl Slot {
    /// Whether it can run monitors of this type.
    pub fn runs(&self, kind: &str) -> bool {
        facts::runs(&self.kinds, kind)
    }

    /// Whether it is a place for monitors of this type that ask for these labels.
    pub fn takes(&self, kind: &str, run_on: &[String]) -> bool {
        self.runs(kind) && facts::bears(&self.labels, run_on)
    }
}

impl Field {
    /// Whether a node, besides this one, takes such monitors, were it not for their number.
    pub fn has_taker(&self, kind: &str, run_on: &[String], besides: Option<&NodeId>) -> bool {
        self.nodes.iter().any(|(node, slot)| Some(node) != besides && slot.is_eligible && slot.takes(kind, run_on))
    }

    /// Whether a stock Kuma takes such monitors, were it not for their number.
    pub(crate) fn has_kuma_for(&self, kind: &str, run_on: &[String]) -> bool {
        self.nodes.values().any(|slot| slot.is_kuma && slot.is_eligible && slot.takes(kind, run_on))
    }

    /// Whether one has room for one more of them now.
    pub(crate) fn has_room_at_kuma(&self, kind: &str, run_on: &[String]) -> bool {
        let is_open = |slot: &Slot| slot.is_eligible && slot.has_room && slot.arrivals_left != Some(0);
        self.nodes.values().any(|slot| slot.is_kuma && is_open(slot) && slot.takes(kind, run_on))
    }

    /// Whether a node, besides this one, takes one more of them now.
    pub fn has_taker_now(&self, kind: &str, run_on: &[String], besides: Option<&NodeId>) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|(node, slot)| {
            let is_possible = Some(node) != besides && slot.arrivals_left != Some(0);
            is_possible && slot.is_eligible && slot.takes(kind, run_on)
        })
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            is_eligible: true,
            welcomes_home: true,
            lost: None,
            is_refill: false,
            has_holder: true,
            is_draining: false,
            drains_pinned: false,
            sheds_push: false,
            is_kuma: false,
            has_room: true,
            arrivals_left: None,
            weight: 100,
            capacity: 1_000,
            kinds: Vec::new(),
            labels: Vec::new(),
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

/// What a node carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Load {
    /// Runs per 1,000,000 seconds.
    pub rate: u64,
    /// Runs per 1,000,000 seconds that its paused monitors would add.
    pub paused_rate: u64,
    /// Monitors, paused ones too.
    pub monitors: u32,
}

impl Load {
    fn add(&mut self, monitor: &MonitorRow) {
        self.rate += rate(monitor);
        self.paused_rate += full_rate(monitor) - rate(monitor);
        self.monitors += 1;
    }

    fn remove(&mut self, monitor: &MonitorRow) {
        self.rate = self.rate.saturating_sub(rate(monitor));
        self.paused_rate = self.paused_rate.saturating_sub(full_rate(monitor) - rate(monitor));
        self.monitors = self.monitors.saturating_sub(1);
    }
}

/// Plans all steps that the field allows.
pub fn plan(shard: &Shard, field: &Field) -> Plan {
    let mut planner = Planner::new(shard, field);
    let wish = |monitor| Some(Wish { monitor, need: field.need(&Case::from(monitor))? });
    let mut wishes: Vec<_> = shard.monitors.iter().filter_map(wish).collect();
    // The heaviest first, so that the last ones even out what the first ones made uneven; they are the most urgent too.
    // Where not all can come now, push monitors come before them: what is sent to them meanwhile is lost.
    let is_first = |wish: &Wish<'_>| wish.need.is_refill && wish.monitor.active && wish.monitor.kind == "push";
    let weight = |wish: &Wish<'_>| (is_first(wish), rate(wish.monitor), full_rate(wish.monitor));
    wishes.sort_by_key(|wish| (Reverse(weight(wish)), wish.monitor.monitor));
    let (releases, others): (Vec<_>, Vec<_>) = wishes.into_iter().partition(|wish| wish.need.step == Step::Release);
    for wish in others {
        planner.grant(&wish);
    }
    // What is taken from a living node must find a place that is not promised to those who were taken before it.
    planner.reserve_for_those_on_the_way(shard);
    for wish in releases {
        planner.release(&wish);
    }
    planner.plan.moves.sort_by_key(|step| step.monitor);
    planner.plan
}

/// A monitor that wants a step.
struct Wish<'a> {
    monitor: &'a MonitorRow,
    need: Need<'a>,
}

struct Planner<'a> {
    field: &'a Field,
    load: BTreeMap<&'a NodeId, Load>,
    /// What is left of the arrivals that nodes may be given now; who is not named takes any number.
    left: BTreeMap<&'a NodeId, usize>,
    releases: usize,
    plan: Plan,
}

/// Runs per 1,000,000 seconds; a paused monitor costs nothing.
fn rate(monitor: &MonitorRow) -> u64 {
    if monitor.active { full_rate(monitor) } else { 0 }
}

/// What it costs while it is not paused.
fn full_rate(monitor: &MonitorRow) -> u64 {
    1_000_000 / u64::from(monitor.interval_s.max(1))
}

impl<'a> Planner<'a> {
    fn new(shard: &'a Shard, field: &'a Field) -> Self {
        let mut load: BTreeMap<_, _> = field.nodes.keys().map(|node| (node, Load::default())).collect();
        for monitor in &shard.monitors {
            if let Some(entry) = monitor.effective.as_ref().and_then(|node| load.get_mut(node)) {
                entry.add(monitor);
            }
        }
        let left = field.nodes.iter().filter_map(|(node, slot)| Some((node, slot.arrivals_left?))).collect();
        Self { field, load, left, releases: 0, plan: Plan::default() }
    }

    /// A new monitor waits where it must; one that was taken from somebody is not left unwatched for the sake of pace,
    /// but where everything was lost.
    fn grant(&mut self, wish: &Wish<'a>) {
        let Wish { monitor, need } = wish;
        let takers = match need.step {
            Step::Place => Takers::WithArrivalsLeft,
            Step::Arrive => Takers::RatherWithArrivalsLeft,
            Step::Failover if need.is_refill => Takers::WithArrivalsLeft,
            Step::Failover | Step::Release => Takers::Any,
        };
        let is_spent = |node: &&NodeId| need.is_refill && self.left.get(*node) == Some(&0);
        if need.only.as_ref().is_some_and(is_spent) {
            return;
        }
        let Some(target) = need.only.or_else(|| self.least_loaded(monitor, takers)) else {
            let is_waiting = self.field.has_taker(&monitor.kind, &monitor.run_on, None);
            self.plan.unplaceable += u32::from(!is_waiting);
            return;
        };
        if need.step == Step::Place && self.waits_for_kuma(monitor, target) {
            return;
        }
        if need.step != Step::Failover || need.is_refill {
            self.spend(target);
        }
        let load = self.load.entry(target).or_default();
        load.add(monitor);
        // At home it was wanted; anywhere else it is there for lack of room.
        let is_over = self.field.nodes.get(target).is_some_and(|slot| load.monitors > slot.capacity);
        if is_over && need.only.is_none() {
            self.plan.overloaded.insert(target.clone());
        }
        self.push(wish, Some(target.clone()));
    }

    fn release(&mut self, wish: &Wish<'a>) {
        let is_of_use = wish.need.reason != MoveReason::OnlyKuma || self.goes_to_kuma(wish.monitor);
        let is_in_time = self.releases < self.field.release_budget;
        if !is_of_use || !is_in_time || !self.reserve(wish.monitor, wish.need.only) {
            return;
        }
        self.releases += 1;
        self.push(wish, None);
    }

    /// Whether a stock Kuma has room for it, besides what is promised to others.
    fn goes_to_kuma(&self, monitor: &MonitorRow) -> bool {
        let target = self.least_loaded(monitor, Takers::WithArrivalsLeft);
        target.and_then(|node| Some((node, self.field.nodes.get(node)?))).is_some_and(|(node, slot)| {
            slot.is_kuma && self.load.get(node).copied().unwrap_or_default().monitors < slot.capacity
        })
    }

    fn reserve_for_those_on_the_way(&mut self, shard: &'a Shard) {
        let is_on_the_way = |monitor: &&MonitorRow| {
            let source = monitor.source.as_ref().filter(|_| monitor.effective.is_none());
            source.is_some_and(|source| !self.field.arrivable.contains(source))
        };
        let on_the_way: Vec<_> = shard.monitors.iter().filter(is_on_the_way).collect();
        for monitor in on_the_way {
            self.reserve(monitor, self.field.home_for(&Case::from(monitor)));
        }
    }

    /// Keeps a place for a monitor that will arrive later; only nodes that are given so many at a time run out of them.
    fn reserve(&mut self, monitor: &MonitorRow, only: Option<&'a NodeId>) -> bool {
        if self.left.is_empty() {
            return true;
        }
        let target = match only {
            Some(home) => Some(home).filter(|home| self.left.get(home) != Some(&0)),
            None => self.least_loaded(monitor, Takers::WithArrivalsLeft),
        };
        let Some(target) = target else {
            return false;
        };
        self.spend(target);
        self.load.entry(target).or_default().add(monitor);
        true
    }

    fn spend(&mut self, target: &NodeId) {
        if let Some(left) = self.left.get_mut(target) {
            *left = left.saturating_sub(1);
        }
    }

    fn push(&mut self, wish: &Wish<'a>, to: Option<NodeId>) {
        let Wish { monitor, need } = wish;
        self.plan.moves.push(Move {
            monitor: monitor.monitor,
            from: monitor.effective.clone(),
            to,
            home: monitor.home.clone(),
            pinned: monitor.pinned,
            asked: monitor.asked,
            step: need.step,
            reason: need.reason,
        });
    }

    /// What Kuma's own notifications tell of stays on stock nodes while any has room: a new one waits for the next minute's.
    fn waits_for_kuma(&self, monitor: &MonitorRow, target: &NodeId) -> bool {
        let is_kuma = self.field.nodes.get(target).is_some_and(|slot| slot.is_kuma);
        monitor.kuma_tells && !is_kuma && self.has_room_at_kuma(monitor)
    }

    fn has_room_at_kuma(&self, monitor: &MonitorRow) -> bool {
        self.field.nodes.iter().any(|(node, slot)| {
            let load = self.load.get(node).copied().unwrap_or_default();
            let fits = slot.is_eligible && slot.takes(&monitor.kind, &monitor.run_on);
            slot.is_kuma && fits && load.monitors < slot.capacity
        })
    }

    /// The least loaded eligible node with room; without room anywhere, the least loaded one. A paused monitor goes
    /// where the fewest are paused: all of them on one node would be one node's trouble on the day they are resumed.
    fn least_loaded(&self, monitor: &MonitorRow, takers: Takers) -> Option<&'a NodeId> {
        let is_spent = |node: &NodeId| takers != Takers::Any && self.left.get(node) == Some(&0);
        let fits = |slot: &Slot| slot.is_eligible && slot.takes(&monitor.kind, &monitor.run_on);
        let eligible = self.field.nodes.iter().filter(|(_, slot)| fits(slot));
        eligible
            .filter(|(node, _)| takers != Takers::WithArrivalsLeft || !is_spent(node))
            .min_by_key(|(node, slot)| {
                let load = self.load.get(node).copied().unwrap_or_default();
                let is_full = load.monitors >= slot.capacity;
                let weight = u64::from(slot.weight.max(1));
                // Where native nodes cannot look, a stock Kuma with room comes first; without one it is watched as far as may be.
                let is_no_kuma = !slot.is_kuma || is_full;
                let is_vain = monitor.only_kuma && is_no_kuma;
                let is_untold = monitor.kuma_tells && is_no_kuma;
                let rate = if monitor.active { load.rate } else { load.paused_rate };
                let monitors = u64::from(load.monitors) * 1_000 / weight;
                (is_vain, is_spent(node), is_untold, is_full, rate * 1_000 / weight, monitors, *node)
            })
            .map(|(node, _)| node)
    }
}

/// Among whom a place is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takers {
    Any,
    RatherWithArrivalsLeft,
    WithArrivalsLeft,
}
