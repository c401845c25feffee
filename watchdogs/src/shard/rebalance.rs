//! Evening out: which monitors get another home so that all nodes carry their share.
//!
//! Pure, and asked for by an operator only. Owns the choice of the fewest monitors; who is pinned, paused, already on an
//! operator's way or on a node that takes nothing stays. The moves name new homes: they are carried out as an operator's
//! own ([`MoveReason::Rebalance`] is for people to read).

use std::collections::{BTreeMap, BTreeSet};

use super::{Field, Load, Slot, rate};
use crate::decision::{Move, MoveReason, Step};
use crate::facts::{MonitorRow, Shard};
use crate::ids::{MonitorId, NodeId};

/// Who would move, and what that makes of the load.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rebalance {
    /// Monitors that get a new home (`to`), sorted by monitor. `from` is their effective node, `home` the present one.
    pub moves: Vec<Move>,
    /// What each node carries, those on an operator's way counted where they go.
    pub before: BTreeMap<NodeId, Load>,
    /// What each node carries afterwards.
    pub after: BTreeMap<NodeId, Load>,
}

/// Plans the fewest moves after which no movable monitor could make two nodes more even: loads (rate / weight) differ by
/// less than one monitor's. Nodes over their capacity are relieved first; nobody is filled beyond it.
pub fn rebalance(shard: &Shard, field: &Field) -> Rebalance {
    let mut scales = Scales::new(shard, field);
    let before = scales.load.clone();
    while let Some(shift) = scales.relief().or_else(|| scales.evening()) {
        scales.apply(&shift);
    }
    let moves = shard.monitors.iter().filter_map(|monitor| scales.move_of(monitor)).collect();
    Rebalance { moves, before, after: scales.load }
}

/// Movable monitors of one node that are alike for every receiver: by their rate, and by their home.
type Alike<'a> = BTreeMap<u64, BTreeMap<Option<&'a NodeId>, BTreeSet<MonitorId>>>;

/// Type, labels, and whether Kuma's own notifications tell of it: which nodes take it.
type Class<'a> = (&'a str, &'a [String], bool);

struct Scales<'a> {
    field: &'a Field,
    rows: BTreeMap<MonitorId, &'a MonitorRow>,
    load: BTreeMap<NodeId, Load>,
    movable: BTreeMap<&'a NodeId, BTreeMap<Class<'a>, Alike<'a>>>,
    /// Where the moved ones are now.
    moved: BTreeMap<MonitorId, &'a NodeId>,
}

/// One monitor from one node to another.
struct Shift<'a> {
    monitor: MonitorId,
    from: &'a NodeId,
    to: &'a NodeId,
}

impl<'a> Scales<'a> {
    fn new(shard: &'a Shard, field: &'a Field) -> Self {
        let load = field.nodes.keys().map(|node| (node.clone(), Load::default())).collect();
        let mut scales = Self { field, rows: BTreeMap::new(), load, movable: BTreeMap::new(), moved: BTreeMap::new() };
        for monitor in &shard.monitors {
            scales.enter(monitor);
        }
        scales
    }

    fn enter(&mut self, monitor: &'a MonitorRow) {
        let asked_for = monitor.home.as_ref().filter(|home| monitor.asked && self.is_taker(home, monitor));
        let Some(node) = asked_for.or(monitor.effective.as_ref()) else {
            return;
        };
        let (Some(load), Some((node, slot))) = (self.load.get_mut(node), self.field.nodes.get_key_value(node)) else {
            return;
        };
        load.add(monitor);
        let is_settled = monitor.pinned || monitor.asked || !monitor.active || monitor.only_kuma;
        if slot.is_eligible && !is_settled {
            self.rows.insert(monitor.monitor, monitor);
            self.put(node, monitor);
        }
    }

    fn put(&mut self, node: &'a NodeId, monitor: &'a MonitorRow) {
        let classes = self.movable.entry(node).or_default();
        let alike = classes.entry(class(monitor)).or_default();
        let of_home = alike.entry(rate(monitor)).or_default().entry(monitor.home.as_ref()).or_default();
        of_home.insert(monitor.monitor);
    }

    fn take(&mut self, node: &NodeId, monitor: &'a MonitorRow) {
        let classes = self.movable.get_mut(node);
        let Some(alike) = classes.and_then(|classes| classes.get_mut(&class(monitor))) else { return };
        let Some(homes) = alike.get_mut(&rate(monitor)) else { return };
        if let Some(of_home) = homes.get_mut(&monitor.home.as_ref()) {
            of_home.remove(&monitor.monitor);
        }
        homes.retain(|_, of_home| !of_home.is_empty());
        if homes.is_empty() {
            alike.remove(&rate(monitor));
        }
    }

    fn is_taker(&self, node: &NodeId, monitor: &MonitorRow) -> bool {
        let slot = self.field.nodes.get(node);
        slot.is_some_and(|slot| slot.is_eligible && slot.takes(&monitor.kind, &monitor.run_on))
    }

    fn load_of(&self, node: &NodeId) -> Load {
        self.load.get(node).copied().unwrap_or_default()
    }

    /// Nodes that take monitors, the least loaded first.
    fn sorted(&self) -> Vec<(&'a NodeId, &'a Slot)> {
        let mut nodes: Vec<_> = self.field.nodes.iter().filter(|(_, slot)| slot.is_eligible).collect();
        nodes.sort_by(|(one, mine), (other, theirs)| {
            let (left, right) = (share(self.load_of(one).rate, theirs), share(self.load_of(other).rate, mine));
            left.cmp(&right).then_with(|| one.cmp(other))
        });
        nodes
    }

    /// Off a node that runs more than its capacity, while another has room.
    fn relief(&self) -> Option<Shift<'a>> {
        let is_over = |(node, slot): &&(&'a NodeId, &'a Slot)| self.load_of(node).monitors > slot.capacity;
        let sorted = self.sorted();
        let mut over = sorted.iter().filter(is_over).rev();
        over.find_map(|donor| self.receivers(&sorted).find_map(|receiver| self.shift(donor, receiver, false)))
    }

    /// From the most loaded node that can give to the least loaded one that can take, as far as that evens them out.
    fn evening(&self) -> Option<Shift<'a>> {
        let sorted = self.sorted();
        let mut donors = sorted.iter().rev();
        donors.find_map(|donor| self.receivers(&sorted).find_map(|receiver| self.shift(donor, receiver, true)))
    }

    fn receivers<'s>(
        &'s self,
        sorted: &'s [(&'a NodeId, &'a Slot)],
    ) -> impl Iterator<Item = &'s (&'a NodeId, &'a Slot)> {
        sorted.iter().filter(|(node, slot)| self.load_of(node).monitors < slot.capacity)
    }

    /// The monitor that brings these two closest together: the heaviest that does not tip the scales, else the lightest,
    /// which must leave the receiver below what the donor has now.
    fn shift(
        &self,
        donor: &(&'a NodeId, &'a Slot),
        receiver: &(&'a NodeId, &'a Slot),
        evens: bool,
    ) -> Option<Shift<'a>> {
        let ((from, gives), (to, takes)) = (*donor, *receiver);
        let (has, lacks) = (self.load_of(from).rate, self.load_of(to).rate);
        if from == to || (evens && share(has, takes) <= share(lacks, gives)) {
            return None;
        }
        let gap = share(has, takes).saturating_sub(share(lacks, gives));
        let ideal = gap / (weight(gives) + weight(takes));
        let ideal = u64::try_from(ideal).unwrap_or(u64::MAX);
        let stays = |told: bool| told && !takes.is_kuma && (evens || self.has_room_at_kuma());
        let is_taken = |(kind, run_on, told): &Class<'_>| takes.takes(kind, run_on) && !stays(*told);
        let classes = self.movable.get(from)?.iter().filter(|(class, _)| is_taken(class));
        let (mut best, mut lightest) = (None, None);
        for (_, alike) in classes {
            best = best.max(alike.range(..=ideal).next_back().map(|(rate, homes)| (*rate, pick(homes, to))));
            let above = alike.range(ideal..).next().map(|(rate, homes)| (*rate, pick(homes, to)));
            lightest = [lightest, above].into_iter().flatten().min();
        }
        let is_of_use = |(rate, _): &(u64, _)| !evens || (*rate > 0 && share(lacks + rate, gives) < share(has, takes));
        let (_, monitor) = best.filter(|(rate, _)| *rate > 0).or(lightest.filter(is_of_use))?;
        Some(Shift { monitor: monitor?, from, to })
    }

    fn has_room_at_kuma(&self) -> bool {
        let has_room = |node: &NodeId, slot: &Slot| self.load_of(node).monitors < slot.capacity;
        self.field.nodes.iter().any(|(node, slot)| slot.is_kuma && slot.is_eligible && has_room(node, slot))
    }

    fn apply(&mut self, shift: &Shift<'a>) {
        let Some(&monitor) = self.rows.get(&shift.monitor) else { return };
        self.take(shift.from, monitor);
        self.put(shift.to, monitor);
        self.moved.insert(shift.monitor, shift.to);
        if let Some(load) = self.load.get_mut(shift.from) {
            load.remove(monitor);
        }
        if let Some(load) = self.load.get_mut(shift.to) {
            load.add(monitor);
        }
    }

    /// Who was moved twice goes straight to where it ended.
    fn move_of(&self, monitor: &MonitorRow) -> Option<Move> {
        let to = *self.moved.get(&monitor.monitor)?;
        (monitor.effective.as_ref() != Some(to)).then(|| Move {
            monitor: monitor.monitor,
            from: monitor.effective.clone(),
            to: Some(to.clone()),
            home: monitor.home.clone(),
            pinned: monitor.pinned,
            asked: monitor.asked,
            step: Step::Release,
            reason: MoveReason::Rebalance,
        })
    }
}

fn class(monitor: &MonitorRow) -> Class<'_> {
    (&monitor.kind, &monitor.run_on, monitor.kuma_tells)
}

fn weight(slot: &Slot) -> u128 {
    u128::from(slot.weight.max(1))
}

/// Of two nodes each one's rate times the other's weight compares as rate / weight does, without rounding.
fn share(rate: u64, other: &Slot) -> u128 {
    u128::from(rate) * weight(other)
}

/// One of those alike; rather one whose home the receiver is, as it would come there by itself one day.
fn pick(homes: &BTreeMap<Option<&NodeId>, BTreeSet<MonitorId>>, to: &NodeId) -> Option<MonitorId> {
    let of_home = homes.get(&Some(to)).or_else(|| homes.values().next())?;
    of_home.first().copied()
}
