//! What holds for every plan, whatever the nodes and monitors are.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::decision::{MoveReason, Step};
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::shard::{Slot, plan};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::field::{Situation, rate};

/// A node's condition, as the field says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    Well,
    CoolingOff,
    Lost,
    Draining,
    Unreachable,
    /// Just revoked, and still watched.
    Vacant,
}

fn slot(condition: Condition) -> Slot {
    let is_well = matches!(condition, Condition::Well | Condition::CoolingOff);
    Slot {
        is_eligible: is_well,
        welcomes_home: condition == Condition::Well,
        lost: (condition == Condition::Lost).then_some(MoveReason::NodeOffline),
        has_holder: !matches!(condition, Condition::Lost | Condition::Vacant),
        is_draining: condition == Condition::Draining,
        sheds_push: condition == Condition::Unreachable,
        ..Slot::default()
    }
}

fn a_condition() -> impl Strategy<Value = Condition> {
    use Condition::{CoolingOff, Draining, Lost, Unreachable, Vacant, Well};
    select(vec![Well, Well, Well, CoolingOff, Lost, Lost, Draining, Unreachable, Vacant])
}

fn some_kinds() -> impl Strategy<Value = Vec<String>> {
    select(vec![vec![], vec![], vec!["http"], vec!["http", "push"], vec!["dns", "push", "http"]])
        .prop_map(|kinds| kinds.into_iter().map(str::to_owned).collect())
}

fn some_labels() -> impl Strategy<Value = Vec<String>> {
    select(vec![vec![], vec![], vec!["dmz"], vec!["dmz", "eu"]])
        .prop_map(|labels| labels.into_iter().map(str::to_owned).collect())
}

/// Anything at all: nodes in every condition, monitors at home, away, new, nobody's, pinned, paused, sent by an operator,
/// for nodes with labels.
fn anything() -> impl Strategy<Value = Situation> {
    let node = (a_condition(), select(vec![50, 100, 200, 400]), 1..40_u32, some_kinds(), some_labels(), any::<bool>());
    let monitor = (0..7_usize, 0..7_usize, select(vec!["http", "push", "dns"]), select(vec![1, 20, 60, 300]), 0..10_u8);
    (vec(node, 1..6), vec(monitor, 0..90)).prop_map(|(nodes, monitors)| {
        let mut situation = Situation::of(0, 0);
        let mut names = Vec::new();
        for (index, (condition, weight, capacity, kinds, labels, drains_pinned)) in nodes.into_iter().enumerate() {
            let name = NodeId::from(format!("node{index}"));
            let node = Slot { weight, capacity, kinds, labels, drains_pinned, ..slot(condition) };
            situation.field.nodes.insert(name.clone(), node);
            names.push(name);
        }
        for (home, effective, kind, interval_s, luck) in monitors {
            let row = situation.add("", kind, interval_s);
            row.home = names.get(home).cloned();
            row.effective = row.home.as_ref().and(names.get(effective).cloned());
            row.is_placed = row.home.is_some();
            row.active = luck != 1;
            row.pinned = luck == 2 && row.home.is_some() && row.home == row.effective;
            row.asked = luck == 3 && row.home.is_some() && row.home != row.effective;
            row.run_on = if luck == 4 { vec!["dmz".to_owned()] } else { Vec::new() };
        }
        situation
    })
}

/// One node is lost, everybody else is well and at home; every kind runs everywhere.
fn a_loss() -> impl Strategy<Value = Situation> {
    let node = (select(vec![50, 100, 200, 400]), 1..60_u32);
    let monitor = (0..6_usize, select(vec![1, 20, 60, 300]), 0..10_u8);
    (vec(node, 2..6), vec(monitor, 0..150)).prop_map(|(nodes, monitors)| {
        let mut situation = Situation::of(0, 0);
        for (index, (weight, capacity)) in nodes.iter().copied().enumerate() {
            let condition = if index == 0 { Condition::Lost } else { Condition::Well };
            let name = NodeId::from(format!("node{index}"));
            situation.field.nodes.insert(name, Slot { weight, capacity, ..slot(condition) });
        }
        for (home, interval_s, luck) in monitors {
            let row = situation.add(&format!("node{}", home % nodes.len()), "http", interval_s);
            (row.active, row.pinned) = (luck != 1, luck == 2);
        }
        situation
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_failover_moves_the_lost_nodes_monitors_and_no_other(situation in a_loss()) {
        let lost = NodeId::from("node0");
        let plan = plan(&situation.shard, &situation.field);
        let moved: Vec<_> = plan.moves.iter().map(|step| step.monitor).collect();
        let of_lost = situation.shard.monitors.iter().filter(|one| one.effective.as_ref() == Some(&lost));
        let expected: Vec<_> = of_lost.map(|one| one.monitor).collect();
        prop_assert_eq!(moved, expected);
        for step in &plan.moves {
            prop_assert_eq!((step.step, step.reason), (Step::Failover, MoveReason::NodeOffline));
        }
    }

    #[test]
    fn the_result_is_even_within_one_monitors_load_among_those_with_room(situation in a_loss()) {
        let plan = plan(&situation.shard, &situation.field);
        let after = situation.after(&plan);
        let loads = after.loads();
        let mut last: BTreeMap<&NodeId, u64> = BTreeMap::new();
        let is_active = |one: &MonitorId| situation.shard.monitors.iter().any(|row| row.monitor == *one && row.active);
        for step in plan.moves.iter().filter(|step| is_active(&step.monitor)) {
            let given = rate(after.shard.monitors.iter().find(|one| one.monitor == step.monitor).unwrap());
            let least = last.entry(step.to.as_ref().unwrap()).or_insert(given);
            *least = given.min(*least);
        }
        for (receiver, least) in last {
            for (other, slot) in after.field.nodes.iter().filter(|(_, slot)| slot.is_eligible) {
                let load = loads.get(other).unwrap();
                if load.monitors < slot.capacity {
                    let without = u128::from(loads.get(receiver).unwrap().rate - least) * u128::from(slot.weight);
                    let mine = u128::from(after.field.nodes.get(receiver).unwrap().weight);
                    // One unit of rate is lost to rounding at most.
                    prop_assert!(without <= (u128::from(load.rate) + 1) * mine, "{receiver} has more than {other}");
                }
            }
        }
    }

    #[test]
    fn nobody_is_loaded_beyond_capacity_unless_everyone_is_full(situation in a_loss()) {
        let plan = plan(&situation.shard, &situation.field);
        let after = situation.after(&plan);
        let loads = after.loads();
        let receivers: BTreeSet<_> = plan.moves.iter().filter_map(|step| step.to.as_ref()).collect();
        let load = |node: &NodeId| loads.get(node).unwrap().monitors;
        let is_over = |node: &&NodeId| load(node) > after.field.nodes.get(*node).unwrap().capacity;
        let over: BTreeSet<_> = receivers.into_iter().filter(is_over).cloned().collect();
        if !over.is_empty() {
            for (node, slot) in after.field.nodes.iter().filter(|(_, slot)| slot.is_eligible) {
                prop_assert!(load(node) >= slot.capacity, "{node} had room");
            }
        }
        prop_assert_eq!(over, plan.overloaded);
    }

    #[test]
    fn a_pinned_monitor_never_leaves_a_living_node_but_in_a_drain_that_takes_it_along(situation in anything()) {
        for step in plan(&situation.shard, &situation.field).moves.iter().filter(|step| step.pinned) {
            if let Some(from) = &step.from {
                let slot = situation.field.nodes.get(from).unwrap();
                prop_assert!(slot.lost.is_some() || (slot.is_draining && slot.drains_pinned));
            }
        }
    }

    #[test]
    fn what_an_operator_sent_goes_home_alone_and_as_soon_as_that_takes_it(situation in anything()) {
        let plan = plan(&situation.shard, &situation.field);
        for monitor in situation.shard.monitors.iter().filter(|one| one.asked) {
            let home = monitor.home.as_ref().unwrap();
            let slot = situation.field.nodes.get(home).unwrap();
            let takes = slot.is_eligible && slot.takes(&monitor.kind, &monitor.run_on);
            let step = plan.moves.iter().find(|step| step.monitor == monitor.monitor);
            let runs_on = monitor.effective.as_ref().and_then(|node| situation.field.nodes.get(node));
            let is_run = runs_on.is_some_and(|slot| slot.lost.is_none() && slot.has_holder);
            if is_run && takes {
                prop_assert_eq!(step.map(|step| (step.step, step.reason)), Some((Step::Release, MoveReason::Operator)));
            }
            if let Some(to) = step.and_then(|step| step.to.as_ref()).filter(|_| takes) {
                prop_assert_eq!(to, home);
            }
        }
    }

    #[test]
    fn while_frozen_only_what_an_operator_sent_begins_to_move(mut situation in anything()) {
        situation.field.is_frozen = true;
        for step in plan(&situation.shard, &situation.field).moves {
            prop_assert!(step.asked || step.step == Step::Arrive, "{step:?}");
            prop_assert!(matches!(step.step, Step::Release | Step::Arrive), "{step:?}");
        }
    }

    /// What was taken from a node arrives whatever the pace: it is kept when taking.
    #[test]
    fn no_more_is_placed_on_a_stock_kuma_or_taken_for_it_than_is_left_of_its_minute(
        mut situation in anything(),
        left in 0..6_usize,
    ) {
        situation.field.nodes.values_mut().for_each(|slot| (slot.is_kuma, slot.arrivals_left) = (true, Some(left)));
        let plan = plan(&situation.shard, &situation.field);
        let mut placed: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for step in plan.moves.iter().filter(|step| step.step == Step::Place) {
            *placed.entry(step.to.as_ref().unwrap()).or_default() += 1;
        }
        prop_assert!(placed.values().all(|placed| *placed <= left), "{placed:?}");
        let taken = plan.moves.iter().filter(|step| step.step == Step::Release).count();
        prop_assert!(taken <= left * situation.field.nodes.len(), "{taken} taken");
    }

    #[test]
    fn nobody_gets_what_it_cannot_run_and_only_the_well_get_anything(situation in anything()) {
        for step in plan(&situation.shard, &situation.field).moves {
            if let Some(to) = &step.to {
                let slot = situation.field.nodes.get(to).unwrap();
                let monitor = situation.shard.monitors.iter().find(|one| one.monitor == step.monitor).unwrap();
                prop_assert!(slot.is_eligible);
                prop_assert!(slot.kinds.is_empty() || slot.kinds.contains(&monitor.kind));
                prop_assert!(monitor.run_on.iter().all(|label| slot.labels.contains(label)));
            }
        }
    }

    #[test]
    fn what_is_taken_from_a_living_node_becomes_nobodys_and_within_the_budget(
        mut situation in anything(),
        budget in 0..20_usize,
    ) {
        situation.field.release_budget = budget;
        let plan = plan(&situation.shard, &situation.field);
        prop_assert!(plan.moves.iter().filter(|step| step.step == Step::Release).count() <= budget);
        for step in &plan.moves {
            let from = step.from.as_ref().map(|from| situation.field.nodes.get(from).unwrap());
            match step.step {
                Step::Release => prop_assert!(step.to.is_none() && from.is_some_and(|from| from.has_holder)),
                Step::Failover => prop_assert!(step.to.is_some() && from.is_some_and(|from| from.lost.is_some())),
                Step::Place | Step::Arrive => prop_assert!(step.to.is_some() && from.is_none()),
            }
        }
    }

    #[test]
    fn nothing_moves_without_a_need(situation in anything()) {
        let plan = plan(&situation.shard, &situation.field);
        let unique: BTreeSet<_> = plan.moves.iter().map(|step| step.monitor).collect();
        prop_assert_eq!(unique.len(), plan.moves.len(), "each at most once");
        for step in &plan.moves {
            let monitor = situation.shard.monitors.iter().find(|one| one.monitor == step.monitor).unwrap();
            let Some(from) = &step.from else { continue };
            let slot = situation.field.nodes.get(from).unwrap();
            let is_away = monitor.home.as_ref() != Some(from);
            let needs = slot.lost.is_some()
                || slot.is_draining
                || (slot.sheds_push && monitor.kind == "push")
                || !slot.runs(&monitor.kind)
                || monitor.run_on.iter().any(|label| !slot.labels.contains(label))
                || (is_away && step.reason == MoveReason::Operator && monitor.asked)
                || (is_away && step.reason == MoveReason::GoingHome);
            prop_assert!(needs, "{step:?}");
            prop_assert_ne!(&step.to, &step.from);
        }
    }

    #[test]
    fn the_same_situation_gives_the_same_plan_whatever_the_order_of_its_rows(situation in anything()) {
        let mut turned = situation.clone();
        turned.shard.monitors.reverse();
        let (one, other) = (plan(&situation.shard, &situation.field), plan(&turned.shard, &turned.field));
        // Which of several alike are released first within a budget is settled by their keys.
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(situation in anything()) {
        let mut now = situation;
        for _ in 0..2 {
            now = now.after(&plan(&now.shard, &now.field));
        }
        let rest = plan(&now.shard, &now.field);
        prop_assert!(rest.moves.is_empty(), "{:?}", rest.moves);
    }

    #[test]
    fn nobody_stays_unwatched_while_a_node_can_run_it(situation in anything()) {
        let mut now = situation;
        for _ in 0..2 {
            now = now.after(&plan(&now.shard, &now.field));
        }
        for monitor in now.shard.monitors.iter().filter(|one| one.effective.is_none()) {
            for (node, slot) in &now.field.nodes {
                let runs = slot.takes(&monitor.kind, &monitor.run_on);
                prop_assert!(!(slot.is_eligible && runs), "{node} could run {}", monitor.monitor);
            }
        }
    }
}

#[test]
fn a_failover_follows_the_weights() {
    let mut situation = Situation::of(3, 0);
    for _ in 0..400 {
        situation.add("node1", "http", 60);
    }
    situation.slot("node3").weight = 300;
    let lost = slot(Condition::Lost);
    *situation.slot("node1") = lost;
    let after = situation.after(&plan(&situation.shard, &situation.field));
    let monitors: Vec<_> = after.loads().values().map(|load| load.monitors).collect();
    assert_eq!(monitors, [0, 100, 300]);
}

#[test]
fn a_hundred_thousand_monitors_on_twenty_nodes_are_planned() {
    let mut situation = Situation::of(20, 5_000);
    for slot in situation.field.nodes.values_mut() {
        slot.capacity = 10_000;
    }
    *situation.slot("node7") = slot(Condition::Lost);
    let plan = plan(&situation.shard, &situation.field);
    assert_eq!(plan.moves.len(), 5_000);
    let mut given: BTreeMap<_, u32> = BTreeMap::new();
    for step in &plan.moves {
        *given.entry(step.to.clone().unwrap()).or_default() += 1;
    }
    assert_eq!(given.len(), 19);
    assert!(given.values().all(|monitors| (263..=264).contains(monitors)), "{given:?}");
}
