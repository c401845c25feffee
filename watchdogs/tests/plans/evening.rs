//! What an operator who evens out the load can rely on.

use std::collections::BTreeMap;

use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::shard::{Rebalance, Slot, rebalance};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::field::{Situation, rate};

/// Nodes that take monitors, or do not, and monitors anywhere: pinned, paused, on their way, choosy.
fn anything() -> impl Strategy<Value = Situation> {
    let labels = select(vec![vec![], vec![], vec!["eu"], vec!["eu", "gpu"]]);
    let node = (0..8_u8, select(vec![50, 100, 200]), 1..60_u32, labels.clone());
    let monitor = (0..6_usize, 0..6_usize, select(vec![1, 20, 60, 300]), 0..12_u8, labels);
    (vec(node, 1..6), vec(monitor, 0..120)).prop_map(|(nodes, monitors)| {
        let mut situation = Situation::of(0, 0);
        let words = |labels: Vec<&str>| labels.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut names = Vec::new();
        for (index, (luck, weight, capacity, labels)) in nodes.into_iter().enumerate() {
            let name = NodeId::from(format!("node{index}"));
            let slot = Slot { is_eligible: luck > 0, weight, capacity, labels: words(labels), ..Slot::default() };
            situation.field.nodes.insert(name.clone(), slot);
            names.push(name);
        }
        for (home, effective, interval_s, luck, run_on) in monitors {
            let row = situation.add("", "http", interval_s);
            row.home = names.get(home % names.len()).cloned();
            row.effective = if luck < 6 { row.home.clone() } else { names.get(effective % names.len()).cloned() };
            (row.active, row.pinned, row.asked) = (luck != 1, luck == 2, luck == 11);
            row.run_on = words(run_on);
        }
        situation
    })
}

/// Everybody alike: the same rate everywhere, every node takes everything.
fn alike() -> impl Strategy<Value = Situation> {
    vec(0..40_u32, 1..7).prop_map(|counts| {
        let mut situation = Situation::of(u32::try_from(counts.len()).unwrap(), 0);
        for (index, count) in counts.iter().enumerate() {
            for _ in 0..*count {
                situation.add(&format!("node{}", index + 1), "http", 60);
            }
        }
        situation
    })
}

/// As it stands when the new homes are reached.
fn carried_out(situation: &Situation, evened: &Rebalance) -> Situation {
    let mut after = situation.clone();
    for step in &evened.moves {
        let monitor = after.monitor(step.monitor.0);
        (monitor.home, monitor.effective) = (step.to.clone(), step.to.clone());
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn after_a_rebalance_no_monitor_could_make_two_nodes_more_even(situation in anything()) {
        let after = carried_out(&situation, &rebalance(&situation.shard, &situation.field));
        let loads = rebalance(&after.shard, &after.field).before;
        for monitor in after.shard.monitors.iter().filter(|one| one.active && !one.pinned && !one.asked) {
            let from = monitor.effective.as_ref().unwrap();
            let gives = after.field.nodes.get(from).unwrap();
            for (to, takes) in after.field.nodes.iter().filter(|_| gives.is_eligible) {
                let has_room = takes.is_eligible && loads.get(to).unwrap().monitors < takes.capacity;
                if to != from && has_room && takes.takes(&monitor.kind, &monitor.run_on) {
                    let then = (loads.get(to).unwrap().rate + rate(monitor)) * u64::from(gives.weight);
                    let now = loads.get(from).unwrap().rate * u64::from(takes.weight);
                    prop_assert!(then >= now, "{} could go from {from} to {to}", monitor.monitor);
                }
            }
        }
    }

    #[test]
    fn only_those_who_may_be_moved_are_and_only_to_where_they_fit(situation in anything()) {
        let evened = rebalance(&situation.shard, &situation.field);
        for step in &evened.moves {
            let monitor = situation.shard.monitors.iter().find(|one| one.monitor == step.monitor).unwrap();
            let (from, to) = (step.from.as_ref().unwrap(), step.to.as_ref().unwrap());
            let (gives, takes) = (situation.field.nodes.get(from).unwrap(), situation.field.nodes.get(to).unwrap());
            prop_assert!(monitor.active && !monitor.pinned && !monitor.asked);
            prop_assert!(from != to && gives.is_eligible && takes.is_eligible);
            prop_assert!(takes.takes(&monitor.kind, &monitor.run_on));
            prop_assert_eq!(step.reason, MoveReason::Rebalance);
        }
        for (node, load) in &evened.after {
            let before = evened.before.get(node).unwrap().monitors;
            prop_assert!(load.monitors <= situation.field.nodes.get(node).unwrap().capacity.max(before));
        }
    }

    #[test]
    fn what_is_even_already_is_left_alone(situation in anything()) {
        let once = carried_out(&situation, &rebalance(&situation.shard, &situation.field));
        prop_assert_eq!(rebalance(&once.shard, &once.field).moves, vec![]);
    }

    #[test]
    fn among_those_alike_no_fewer_moves_would_do(situation in alike()) {
        let evened = rebalance(&situation.shard, &situation.field);
        let monitors: u32 = evened.before.values().map(|load| load.monitors).sum();
        let nodes = u32::try_from(evened.before.len()).unwrap();
        let mut counts: Vec<_> = evened.before.values().map(|load| load.monitors).collect();
        counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
        // The fullest nodes may keep one more where it does not come out even.
        let keeps = (0..nodes).map(|index| monitors / nodes + u32::from(index < monitors % nodes));
        let fewest: u32 = counts.iter().zip(keeps).map(|(count, keep)| count.saturating_sub(keep)).sum();
        prop_assert_eq!(evened.moves.len(), usize::try_from(fewest).unwrap());
    }

    #[test]
    fn the_same_cluster_is_evened_in_the_same_way_whatever_the_order_of_its_rows(situation in anything()) {
        let one = rebalance(&situation.shard, &situation.field);
        let mut turned = situation.clone();
        turned.shard.monitors.reverse();
        let mut other = rebalance(&turned.shard, &turned.field);
        other.moves.sort_by_key(|step| step.monitor);
        prop_assert_eq!(one, other);
    }
}

#[test]
fn a_new_node_gets_its_share_from_everybody() {
    let mut situation = Situation::of(4, 12);
    situation.field.nodes.insert("node5".into(), Slot::default());
    let evened = rebalance(&situation.shard, &situation.field);
    let monitors: Vec<_> = evened.after.values().map(|load| load.monitors).collect();
    assert_eq!((evened.moves.len(), monitors), (9, vec![10, 10, 10, 9, 9]));
    let to: BTreeMap<_, _> = evened.moves.iter().map(|step| (step.to.clone(), step.reason)).collect();
    assert_eq!(to, BTreeMap::from([(Some("node5".into()), MoveReason::Rebalance)]));
}

#[test]
fn a_node_over_its_capacity_is_relieved_although_its_weight_would_bear_it() {
    let mut situation = Situation::of(2, 0);
    for _ in 0..12 {
        situation.add("node1", "http", 60);
    }
    (situation.slot("node1").weight, situation.slot("node1").capacity) = (10_000, 9);
    let evened = rebalance(&situation.shard, &situation.field);
    assert_eq!(evened.after.get(&NodeId::from("node1")).unwrap().monitors, 9);
}

#[test]
fn those_whose_home_the_emptier_node_is_go_there_first() {
    let mut situation = Situation::of(2, 0);
    for _ in 0..4 {
        situation.add("node1", "http", 60);
    }
    situation.monitor(2).home = Some("node2".into());
    situation.monitor(4).home = Some("node2".into());
    let evened = rebalance(&situation.shard, &situation.field);
    let moved: Vec<_> = evened.moves.iter().map(|step| step.monitor).collect();
    assert_eq!(moved, [MonitorId(2), MonitorId(4)]);
}

#[test]
fn a_hundred_thousand_monitors_are_evened_out() {
    let mut situation = Situation::of(10, 10_000);
    for node in 11..=20 {
        situation.field.nodes.insert(format!("node{node}").into(), Slot::default());
    }
    for slot in situation.field.nodes.values_mut() {
        slot.capacity = 10_000;
    }
    let evened = rebalance(&situation.shard, &situation.field);
    assert_eq!(evened.moves.len(), 50_000);
    assert!(evened.after.values().all(|load| load.monitors == 5_000));
}

#[test]
fn what_kumas_own_notifications_tell_of_is_evened_out_among_stock_nodes_only() {
    let mut situation = Situation::of(3, 0);
    for node in ["node1", "node2"] {
        situation.field.nodes.get_mut(&NodeId::from(node)).unwrap().is_kuma = true;
    }
    for _ in 0..12 {
        situation.add("node1", "http", 60).kuma_tells = true;
    }
    let evened = rebalance(&situation.shard, &situation.field);
    let goals: Vec<_> = evened.moves.iter().map(|step| step.to.as_ref().unwrap().as_str()).collect();
    assert_eq!(goals, ["node2"; 6]);
}
