//! One readable plan per goal of the planner.

use std::collections::BTreeMap;
use std::fmt::Write;

use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::shard::{Load, Plan, Slot, plan, rebalance};

use super::field::Situation;

/// Plans until nothing is left to do, and tells it round by round.
fn tell(mut situation: Situation) -> String {
    let mut text = String::new();
    for round in 1..=4 {
        let plan = plan(&situation.shard, &situation.field);
        if plan.moves.is_empty() {
            break;
        }
        writeln!(text, "step {round}").unwrap();
        tell_moves(&mut text, &plan);
        situation = situation.after(&plan);
    }
    writeln!(text, "afterwards").unwrap();
    for (node, load) in situation.loads() {
        let (whole, part) = (load.rate / 1_000_000, load.rate % 1_000_000 / 1_000);
        let slot = situation.field.nodes.get(node).unwrap();
        let monitors = load.monitors;
        let of = format!("weight {}, capacity {}", slot.weight, slot.capacity);
        writeln!(text, "  {node}: {monitors} monitors, {whole}.{part:03} runs a second ({of})").unwrap();
    }
    let nobodys = situation.shard.monitors.iter().filter(|monitor| monitor.effective.is_none()).count();
    writeln!(text, "  nobody: {nobodys}").unwrap();
    text
}

fn tell_moves(text: &mut String, plan: &Plan) {
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let name = |node: &Option<_>| node.as_ref().map_or("nobody".to_owned(), ToString::to_string);
    for step in &plan.moves {
        let group = (step.step, step.reason.as_str(), name(&step.from), name(&step.to));
        let pin = if step.pinned { " (pinned)" } else { "" };
        groups.entry(group).or_default().push(format!("{}{pin}", step.monitor));
    }
    for ((step, reason, from, to), monitors) in groups {
        let step = format!("{step:?}").to_lowercase();
        writeln!(text, "  {step} {from} -> {to}, {reason}: {}", monitors.join(" ")).unwrap();
    }
    if !plan.overloaded.is_empty() {
        let names: Vec<_> = plan.overloaded.iter().map(ToString::to_string).collect();
        writeln!(text, "  overloaded: {}", names.join(" ")).unwrap();
    }
    if plan.unplaceable > 0 {
        writeln!(text, "  without a node that can run them: {}", plan.unplaceable).unwrap();
    }
}

#[track_caller]
fn assert_told(actual: &str, golden: &str) {
    assert!(actual == golden, "the plan is another one now:\n{actual}");
}

#[track_caller]
fn assert_golden(situation: Situation, golden: &str) {
    assert_told(&tell(situation), golden);
}

/// The node is gone.
fn lose(situation: &mut Situation, node: &str) {
    let slot = situation.slot(node);
    (slot.is_eligible, slot.welcomes_home, slot.lost) = (false, false, Some(MoveReason::NodeOffline));
}

#[test]
fn a_lost_nodes_monitors_go_to_the_least_loaded_the_heaviest_first() {
    let mut situation = Situation::of(3, 4);
    for interval_s in [10, 20, 30, 600] {
        situation.add("node2", "http", interval_s);
    }
    situation.add("node3", "http", 20);
    situation.monitor(6).pinned = true;
    situation.monitor(7).active = false;
    lose(&mut situation, "node2");
    assert_golden(situation, include_str!("failover.txt"));
}

#[test]
fn a_node_of_twice_the_weight_takes_twice_as_much() {
    let mut situation = Situation::of(3, 0);
    for _ in 0..9 {
        situation.add("node1", "http", 60);
    }
    situation.slot("node3").weight = 200;
    lose(&mut situation, "node1");
    assert_golden(situation, include_str!("failover_by_weight.txt"));
}

#[test]
fn without_room_anywhere_all_are_overloaded_alike() {
    let mut situation = Situation::of(3, 6);
    situation.slot("node2").capacity = 7;
    situation.slot("node3").capacity = 8;
    lose(&mut situation, "node1");
    assert_golden(situation, include_str!("failover_without_room.txt"));
}

#[test]
fn monitors_go_home_by_way_of_nobody() {
    let mut situation = Situation::of(3, 3);
    for (monitor, node) in [(1, "node2"), (2, "node3"), (3, "node2")] {
        situation.monitor(monitor).effective = Some(node.into());
    }
    situation.monitor(3).pinned = true;
    assert_golden(situation, include_str!("going_home.txt"));
}

#[test]
fn a_drain_leaves_the_pinned_ones() {
    let mut situation = Situation::of(3, 4);
    situation.monitor(2).pinned = true;
    let slot = situation.slot("node1");
    (slot.is_eligible, slot.welcomes_home, slot.is_draining) = (false, false, true);
    assert_golden(situation, include_str!("drain.txt"));
}

#[test]
fn only_push_monitors_leave_an_unreachable_node() {
    let mut situation = Situation::of(2, 2);
    situation.add("node1", "push", 60);
    situation.add("node1", "push", 60).pinned = true;
    let slot = situation.slot("node1");
    (slot.is_eligible, slot.welcomes_home, slot.sheds_push) = (false, false, true);
    assert_golden(situation, include_str!("push_leaves_unreachable.txt"));
}

#[test]
fn new_monitors_even_out_what_is_uneven() {
    let mut situation = Situation::of(3, 1);
    situation.add("node1", "http", 60);
    situation.add("node1", "http", 60);
    for _ in 0..4 {
        situation.add("", "http", 60);
    }
    assert_golden(situation, include_str!("new_monitors.txt"));
}

#[test]
fn a_monitor_goes_only_where_its_kind_can_run() {
    let mut situation = Situation::of(3, 2);
    situation.add("node1", "dns", 60);
    situation.add("node1", "real-browser", 60);
    situation.slot("node2").kinds = vec!["http".to_owned()];
    situation.slot("node3").kinds = vec!["http".to_owned(), "dns".to_owned()];
    lose(&mut situation, "node1");
    assert_golden(situation, include_str!("failover_by_kind.txt"));
}

#[test]
fn monitors_go_where_all_their_labels_are() {
    let mut situation = Situation::of(4, 1);
    for node in ["node2", "node3"] {
        situation.slot(node).labels = vec!["eu".to_owned(), "gpu".to_owned()];
    }
    situation.slot("node4").labels = vec!["eu".to_owned()];
    for labels in [vec!["eu"], vec!["eu", "gpu"], vec!["moon"], vec![]] {
        situation.add("node1", "http", 60).run_on = labels.into_iter().map(str::to_owned).collect();
        let run_on = situation.shard.monitors.last().unwrap().run_on.clone();
        situation.add("", "http", 20).run_on = run_on;
    }
    assert_golden(situation, include_str!("affinity.txt"));
}

#[test]
fn what_an_operator_asked_for_goes_while_frozen_and_nothing_else() {
    let mut situation = Situation::of(3, 2);
    for monitor in [1, 2] {
        situation.monitor(monitor).home = Some("node2".into());
    }
    situation.monitor(1).asked = true;
    situation.slot("node3").is_draining = true;
    situation.slot("node2").welcomes_home = false;
    situation.field.is_frozen = true;
    assert_golden(situation, include_str!("asked_while_frozen.txt"));
}

#[test]
fn a_drain_that_takes_pinned_monitors_along_leaves_none() {
    let mut situation = Situation::of(3, 4);
    situation.monitor(2).pinned = true;
    let slot = situation.slot("node1");
    (slot.is_eligible, slot.welcomes_home, slot.is_draining) = (false, false, true);
    slot.drains_pinned = true;
    assert_golden(situation, include_str!("drain_with_pinned.txt"));
}

#[test]
fn a_rebalance_names_new_homes() {
    let mut situation = Situation::of(2, 4);
    situation.field.nodes.insert("node3".into(), Slot { weight: 200, ..Slot::default() });
    situation.add("node1", "http", 20);
    situation.monitor(1).pinned = true;
    situation.monitor(2).active = false;
    let evened = rebalance(&situation.shard, &situation.field);
    let plan = Plan { moves: evened.moves, ..Plan::default() };
    let mut text = String::new();
    tell_moves(&mut text, &plan);
    for (node, load) in &evened.after {
        let before = evened.before.get(node).unwrap();
        let rate = |load: &Load| load.rate / 1_000;
        writeln!(text, "  {node}: {} -> {} runs in 1,000 s", rate(before), rate(load)).unwrap();
    }
    assert_told(&text, include_str!("rebalance.txt"));
}

#[test]
fn paused_monitors_are_spread_and_do_not_gather_where_little_runs() {
    let mut situation = Situation::of(3, 1);
    situation.add("node1", "http", 1);
    for _ in 0..6 {
        situation.add("", "http", 60).active = false;
    }
    assert_golden(situation, include_str!("paused.txt"));
}

#[test]
fn a_pinned_monitor_that_is_away_from_home_leaves_a_drained_node() {
    let mut situation = Situation::of(3, 1);
    situation.monitor(1).pinned = true;
    situation.monitor(1).effective = Some("node2".into());
    situation.monitor(2).pinned = true;
    lose(&mut situation, "node1");
    let slot = situation.slot("node2");
    (slot.is_eligible, slot.welcomes_home, slot.is_draining) = (false, false, true);
    let plan = plan(&situation.shard, &situation.field);
    let moves: Vec<_> = plan.moves.iter().map(|step| (step.monitor.0, step.reason)).collect();
    assert_eq!(moves, [(1, MoveReason::Drain)], "the one that is pinned there stays");
}
