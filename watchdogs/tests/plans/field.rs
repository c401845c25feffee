//! Nodes and monitors to plan with, and what becomes of them.

use std::collections::BTreeMap;

use komainu_watchdogs::decision::Step;
use komainu_watchdogs::facts::{MonitorRow, Shard, Source};
use komainu_watchdogs::ids::{Generation, Incarnation, MonitorId, NodeId, Stamp};
use komainu_watchdogs::shard::{Field, Plan, Slot};

/// A situation: what the planner is given.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    pub(super) shard: Shard,
    pub(super) field: Field,
}

impl Situation {
    /// So many nodes, each well and with so many monitors at home.
    pub(super) fn of(nodes: u32, monitors_each: u32) -> Self {
        let slots = (1..=nodes).map(|index| (NodeId::from(format!("node{index}")), Slot::default()));
        let field = Field { nodes: slots.collect(), release_budget: 1_000, ..Field::default() };
        let mut situation = Self { shard: Shard { stamp: Stamp::default(), monitors: Vec::new() }, field };
        for index in 1..=nodes {
            for _ in 0..monitors_each {
                situation.add(&format!("node{index}"), "http", 60);
            }
        }
        situation
    }

    /// A monitor that is at home on its node; without a name: a new one.
    pub(super) fn add(&mut self, node: &str, kind: &str, interval_s: u32) -> &mut MonitorRow {
        let home = (!node.is_empty()).then(|| NodeId::from(node));
        let monitor = MonitorId(i64::try_from(self.shard.monitors.len()).unwrap() + 1);
        self.shard.monitors.push(MonitorRow {
            only_kuma: false,
            kuma_tells: false,
            monitor,
            kind: kind.to_owned(),
            interval_s,
            active: true,
            is_placed: home.is_some(),
            home: home.clone(),
            effective: home,
            pinned: false,
            asked: false,
            run_on: Vec::new(),
            source: None,
        });
        self.shard.monitors.last_mut().unwrap()
    }

    pub(super) fn slot(&mut self, node: &str) -> &mut Slot {
        self.field.nodes.get_mut(&NodeId::from(node)).unwrap()
    }

    pub(super) fn monitor(&mut self, monitor: i64) -> &mut MonitorRow {
        self.shard.monitors.iter_mut().find(|one| one.monitor == MonitorId(monitor)).unwrap()
    }

    /// What stands when the plan was carried out; sources have acknowledged at once.
    pub(super) fn after(&self, plan: &Plan) -> Self {
        let mut after = self.clone();
        for step in &plan.moves {
            let monitor = after.monitor(step.monitor.0);
            assert_eq!(monitor.effective, step.from);
            monitor.effective.clone_from(&step.to);
            monitor.is_placed = true;
            monitor.asked &= monitor.effective.is_none() || monitor.effective != monitor.home;
            monitor.source = (step.step == Step::Release).then(|| Source {
                node: step.from.clone().unwrap(),
                incarnation: Incarnation(1),
                released_at: Generation(1),
            });
            if step.step == Step::Place {
                monitor.home.clone_from(&step.to);
            }
            let source = monitor.source.clone();
            after.field.arrivable.extend(source);
        }
        after
    }

    pub(super) fn loads(&self) -> BTreeMap<&NodeId, Load> {
        let mut loads: BTreeMap<_, _> = self.field.nodes.keys().map(|node| (node, Load::default())).collect();
        for monitor in &self.shard.monitors {
            if let Some(load) = monitor.effective.as_ref().and_then(|node| loads.get_mut(node)) {
                load.monitors += 1;
                load.rate += rate(monitor);
            }
        }
        loads
    }
}

/// What a node runs.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Load {
    pub(super) monitors: u32,
    /// Runs in 1,000,000 s.
    pub(super) rate: u64,
}

pub(super) fn rate(monitor: &MonitorRow) -> u64 {
    if monitor.active { 1_000_000 / u64::from(monitor.interval_s) } else { 0 }
}
