//! The life of an incident: opened once, said again while it lasts, over after calm, and never over against a witness.

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::time::Mono;

use super::database::wall;
use super::story::assert_between;
use super::world::{Deed, Setup, World};

#[test]
fn an_incident_opens_once_and_is_raised_again_every_five_seconds() {
    let mut world = World::settled();
    world.cut_off("node1");
    world.run_to(60);
    let raises: Vec<_> = world.raises("node/node1").iter().map(|(at, _)| *at).collect();
    for pair in raises.windows(2) {
        let pause = pair[1].since(pair[0]).as_millis();
        assert!((5_000..6_100).contains(&pause), "{pause} ms");
    }
    assert!(raises.len() >= 4);
    assert_eq!(world.database.incidents.len(), 1);
    let row = world.database.incidents.get("node/node1").unwrap();
    assert_eq!(row.opened_at, wall(*raises.first().unwrap()));
    assert_eq!(row.last_bad_at, wall(*raises.last().unwrap()));
}

#[test]
fn an_incident_is_over_after_calm() {
    let mut world = World::settled();
    world.cut_off("node1");
    world.run_to(60);
    world.node("node1").answers = true;
    world.run_to(80);
    assert_between(world.resolved_at("node/node1"), 62, 70);
    assert_eq!(world.database.incidents.len(), 0);
}

#[test]
fn an_incident_that_another_watchdog_still_sees_is_not_over() {
    let mut world = World::settled();
    world.cut_off("node1");
    world.run_to(60);
    world.node("node1").answers = true;
    for raised_at in (60..120).step_by(6) {
        world.run_to(raised_at);
        world.database.incidents.get_mut("node/node1").unwrap().last_bad_at = wall(world.now);
    }
    assert_eq!(world.resolved_at("node/node1"), None);
    world.run_to(130);
    assert_between(world.resolved_at("node/node1"), 120, 123);
}

#[test]
fn a_resolve_that_somebody_was_quicker_than_changes_nothing() {
    let mut world = World::settled();
    world.cut_off("node1");
    world.run_to(60);
    world.node("node1").answers = true;
    let row = world.database.incidents.get_mut("node/node1").unwrap();
    row.last_bad_at = wall(Mono::secs(60));
    world.raise_before_each_resolve = true;
    world.run_to(75);
    assert!(world.when(|deed| matches!(deed, Deed::ResolveRefused(_))).is_some());
    assert!(world.database.incidents.contains_key("node/node1"));
}

#[test]
fn a_reach_that_flaps_within_its_thresholds_is_no_incident_at_all() {
    let mut world = World::settled();
    for second in 30..120 {
        world.run_to(second);
        world.node("node1").answers = second % 5 != 0;
        for peer in ["w2", "w3"] {
            world.says(peer, "node1", komainu_watchdogs::facts::Vote::Up);
        }
    }
    assert_eq!(world.raised(), [""; 0]);
}

#[test]
fn incidents_that_others_own_are_left_alone() {
    let mut world = World::settled();
    for key in ["heartbeat/backup", "channel/ops-slack", "monitor/7", "check/api"] {
        let alarm = komainu_watchdogs::io::Alarm {
            key: key.to_owned(),
            severity: Severity::Critical,
            summary: String::new(),
            votes: (0, 0),
        };
        world.database.raise(world.now, &alarm);
    }
    world.run_to(60);
    assert_eq!(world.database.incidents.len(), 4);
}

#[test]
fn a_watchdog_that_has_just_started_calls_nothing_over_before_it_has_looked() {
    let mut world = World::settled();
    world.cut_off("node1");
    world.run_to(60);
    world.succeed_as("w2");
    world.run_to(90);
    assert_eq!(world.resolved_at("node/node1"), None);
}

#[test]
fn a_node_taken_out_of_the_cluster_leaves_no_incident_open() {
    let mut world = World::settled();
    world.drain("node1");
    world.run_to(60);
    world.kill("node1");
    world.run_to(90);
    assert!(world.database.incidents.contains_key("node/node1"));
    world.database.nodes.remove(&"node1".into());
    for monitor in world.database.monitors.values_mut() {
        monitor.home.clone_from(&monitor.effective);
    }
    world.run_to(100);
    assert!(!world.database.incidents.contains_key("node/node1"));
}

#[test]
fn no_room_anywhere_overloads_evenly_and_opens_capacity() {
    let mut world = World::settled_with(&Setup { capacity: 15, ..Setup::default() });
    world.kill("node1");
    world.run_to(60);
    assert_eq!(world.spread(), [0, 18, 18]);
    assert_between(world.raised_at("capacity"), 40, 47);
    let alarm = world.raises("capacity").first().map(|(_, alarm)| (alarm.severity, alarm.summary.clone())).unwrap();
    assert_eq!(alarm.0, Severity::Warning);
    assert!(alarm.1.contains("node2, node3"), "{}", alarm.1);
}

#[test]
fn monitors_that_are_paused_are_no_lack_of_room() {
    let mut world = World::settled_with(&Setup { capacity: 15, ..Setup::default() });
    for monitor in world.database.monitors.values_mut().step_by(2) {
        monitor.active = false;
    }
    world.kill("node1");
    world.run_to(100);
    assert_eq!(world.spread(), [0, 18, 18]);
    assert_eq!(world.raised_at("capacity"), None, "each runs nine of its eighteen");
}

#[test]
fn capacity_is_over_when_the_lost_node_took_its_monitors_back() {
    let mut world = World::settled_with(&Setup { capacity: 15, ..Setup::default() });
    world.kill("node1");
    world.run_to(60);
    world.start("node1");
    world.run_to(150);
    assert_eq!(world.spread(), [12, 12, 12]);
    assert!(!world.database.incidents.contains_key("capacity"));
}

#[test]
fn capacity_is_over_when_an_operator_makes_room() {
    let mut world = World::settled_with(&Setup { capacity: 15, ..Setup::default() });
    world.kill("node1");
    world.run_to(60);
    for node in ["node2", "node3"] {
        world.database.node(node).capacity = Some(18);
    }
    world.run_to(70);
    assert!(!world.database.incidents.contains_key("capacity"));
}

#[test]
fn the_next_leader_does_not_call_capacity_over_while_nodes_are_overloaded() {
    let mut world = World::settled_with(&Setup { capacity: 15, ..Setup::default() });
    world.kill("node1");
    world.run_to(60);
    world.succeed_as("w2");
    world.run_to(120);
    assert_eq!(world.resolved_at("capacity"), None);
    assert!(world.database.incidents.contains_key("capacity"));
}

#[test]
fn monitors_that_no_node_can_run_open_capacity_until_they_are_gone() {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        world.database.node(node).kinds = vec!["http".to_owned()];
    }
    let monitor = world.add_monitor("", "dns");
    let row = world.database.monitors.get_mut(&monitor).unwrap();
    (row.home, row.effective, row.is_placed) = (None, None, false);
    world.run_to(60);
    assert_eq!(world.raises("capacity").first().map(|(_, alarm)| alarm.severity), Some(Severity::Critical));
    world.database.monitors.remove(&monitor);
    world.run_to(70);
    assert!(!world.database.incidents.contains_key("capacity"));
}

#[test]
fn monitors_that_no_node_can_run_are_not_read_in_vain_but_are_placed_soon_after_their_kind_was_edited() {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        world.database.node(node).kinds = vec!["http".to_owned()];
    }
    let monitor = world.add_monitor("", "dns");
    let row = world.database.monitors.get_mut(&monitor).unwrap();
    (row.home, row.effective, row.is_placed) = (None, None, false);
    world.run_to(60);
    let reads = world.deeds.iter().filter(|(_, deed)| *deed == Deed::ReadShard).count();
    assert_eq!(reads, 0, "they wait for a node, not for a plan");
    world.database.monitors.get_mut(&monitor).unwrap().kind = "http".to_owned();
    world.run_to(66);
    assert!(world.database.monitors.get(&monitor).unwrap().effective.is_some());
}

/// What was said of node1, without repetitions.
fn said(world: &World) -> Vec<(u64, &str)> {
    let mut said: Vec<(u64, &str)> = Vec::new();
    for (at, alarm) in world.raises("node/node1") {
        if said.last().is_none_or(|(_, text)| *text != alarm.summary) {
            said.push((at.since(Mono::secs(0)).as_secs(), &alarm.summary));
        }
    }
    said
}

#[test]
fn of_a_host_that_vanished_it_is_never_said_that_it_answers_and_its_end_is_said_at_once() {
    let mut world = World::settled();
    let began = world.now.since(Mono::secs(0)).as_secs();
    world.node("node1").renews = false;
    // The last probe before was answered, and the next ones run into their time limits.
    world.run_to(began + 13);
    world.node("node1").answers = false;
    world.run_to(began + 40);
    let said = said(&world);
    assert!(said.iter().all(|(_, text)| !text.contains("answers")), "{said:?}");
    let offline = said.iter().find(|(_, text)| text.contains("is offline"));
    assert!(offline.is_some_and(|(at, _)| *at <= began + 17), "{said:?}");
}

#[test]
fn of_a_node_that_answers_without_renewing_it_is_said_once_that_is_certain() {
    let mut world = World::settled();
    let began = world.now.since(Mono::secs(0)).as_secs();
    world.node("node1").renews = false;
    world.run_to(began + 45);
    let said = said(&world);
    let [(_, first), (at, last)] = said.as_slice() else { panic!("{said:?}") };
    assert!(first.contains("so far"), "{said:?}");
    assert!(last.contains("answers, but its lease ended"), "{said:?}");
    // By then also a process that was started anew, just before the probes would have failed, has its row.
    assert!((began + 28..=began + 38).contains(at), "{said:?}");
}

#[test]
fn of_a_node_that_is_killed_and_started_anew_it_is_not_said_that_it_answers_while_it_waits_for_its_lease() {
    for (killed_for, registering) in [(3, 12), (9, 12), (25, 12), (60, 12)] {
        let mut world = World::settled();
        let began = world.now.since(Mono::secs(0)).as_secs();
        world.kill("node1");
        world.run_to(began + killed_for);
        // It answers at once, and has its row when the former lease was watched.
        world.node("node1").answers = true;
        world.run_to(began + killed_for + registering);
        world.start("node1");
        world.run_to(began + killed_for + registering + 30);
        let said = said(&world);
        let is_once = |(_, text): &(u64, &str)| !text.contains("answers") && !text.contains("runs its monitors");
        assert!(said.iter().all(is_once), "{killed_for}: {said:?}");
        assert!(world.resolved_at("node/node1").is_some(), "{killed_for}: {said:?}");
    }
}
