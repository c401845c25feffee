//! Whose word counts: majorities, zones, lone voices, and watchdogs that are cut off themselves.

use komainu_watchdogs::decision::Step;
use komainu_watchdogs::facts::{NodeStatus, Target, Vote};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::view::Health;

use super::story::assert_between;
use super::world::{Setup, World};

fn with_canaries() -> Setup {
    Setup { canaries: vec!["tcp://1.1.1.1:443".to_owned(), "https://example.com".to_owned()], ..Setup::default() }
}

#[test]
fn a_watchdog_without_quorum_never_declares_a_node_down() {
    let mut world = World::settled();
    world.blind("node1");
    for peer in ["w2", "w3"] {
        world.says(peer, "node1", Vote::Unknown);
    }
    world.run_to(200);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert!(!world.raised().contains(&"node/node1"));
    assert!(!world.has_moved_anything());
}

#[test]
fn two_of_four_are_no_majority() {
    let mut world = World::settled_with(&Setup { watchdogs: 4, ..Setup::default() });
    world.blind("node1");
    world.says("w2", "node1", Vote::Down);
    world.run_to(200);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_eq!(world.raised(), ["disagreement/node1"]);
}

#[test]
fn two_of_three_are_a_majority() {
    let mut world = World::settled();
    world.says("w2", "node1", Vote::Down);
    world.says("w3", "node1", Vote::Down);
    world.run_to(60);
    assert_eq!(world.status("node1"), NodeStatus::Unreachable);
    assert_eq!(world.raises("node/node1").first().map(|(_, alarm)| alarm.votes), Some((2, 3)));
}

#[test]
fn a_lone_dissenter_is_no_outage_and_no_disagreement() {
    let mut world = World::settled();
    world.blind("node1");
    world.run_to(200);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_eq!(world.raised(), [""; 0]);
    assert_eq!(world.view().status, Health::Ok);
}

#[test]
fn a_majority_of_one_zone_that_another_zone_contradicts_is_a_disagreement_and_no_outage() {
    let mut world = World::settled_with(&Setup { zones: vec!["a", "a", "b"], ..Setup::default() });
    world.blind("node1");
    world.says("w2", "node1", Vote::Down);
    world.run_to(200);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_eq!(world.raised(), ["disagreement/node1"]);
    assert_eq!(world.raises("disagreement/node1").first().map(|(_, alarm)| alarm.severity), Some(Severity::Warning));
    assert!(!world.has_moved_anything());
}

#[test]
fn a_disagreement_that_ends_is_over() {
    let mut world = World::settled_with(&Setup { zones: vec!["a", "a", "b"], ..Setup::default() });
    world.blind("node1");
    world.says("w2", "node1", Vote::Down);
    world.run_to(60);
    world.blind_to.clear();
    world.run_to(80);
    assert_between(world.resolved_at("disagreement/node1"), 62, 72);
}

#[test]
fn the_same_majority_across_two_zones_is_an_outage() {
    let mut world = World::settled_with(&Setup { zones: vec!["a", "b", "b"], ..Setup::default() });
    world.blind("node1");
    world.says("w2", "node1", Vote::Down);
    world.run_to(60);
    assert_eq!(world.status("node1"), NodeStatus::Unreachable);
}

#[test]
fn a_sole_witness_alerts_and_marks_it() {
    let mut world = World::settled();
    for peer in ["w2", "w3"] {
        world.peer(peer).lives = false;
    }
    world.run_to(50);
    world.cut_off("node1");
    world.run_to(80);
    let summary = world.raises("node/node1").first().map(|(_, alarm)| alarm.summary.clone());
    assert!(summary.is_some_and(|summary| summary.ends_with("(sole witness: w1)")));
    assert_eq!(world.raises("watchdog/w2").last().map(|(_, alarm)| alarm.severity), Some(Severity::Critical));
}

#[test]
fn a_sole_witness_moves_what_the_lease_gave_up_too() {
    let mut world = World::settled();
    for peer in ["w2", "w3"] {
        world.peer(peer).lives = false;
    }
    world.run_to(50);
    world.kill("node1");
    world.run_to(80);
    assert_between(world.left_at("node1", Step::Failover), 59, 65);
}

#[test]
fn a_sole_witness_moves_nothing_off_a_node_whose_lease_is_fresh() {
    let mut world = World::settled();
    world.add_monitor("node1", "push");
    for peer in ["w2", "w3"] {
        world.peer(peer).lives = false;
    }
    world.run_to(50);
    world.cut_off("node1");
    world.hang("node2");
    world.run_to(300);
    assert!(!world.has_moved_anything());
    assert_eq!(world.revoked_at("node2"), None);
    assert!(world.raised().contains(&"progress/node2"), "but it alerts");
}

#[test]
fn a_sole_witness_brings_nothing_home() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(60);
    for peer in ["w2", "w3"] {
        world.peer(peer).lives = false;
    }
    world.start("node1");
    world.run_to(200);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_eq!(world.spread(), [0, 18, 18]);
    for peer in ["w2", "w3"] {
        world.peer(peer).lives = true;
    }
    world.run_to(260);
    assert_eq!(world.spread(), [12, 12, 12]);
}

#[test]
fn the_only_registered_watchdog_is_no_sole_witness() {
    let mut world = World::settled_with(&Setup { watchdogs: 1, ..Setup::default() });
    world.hang("node1");
    world.run_to(100);
    assert_between(world.left_at("node1", Step::Failover), 71, 80);
    let summary = world.raises("progress/node1").first().map(|(_, alarm)| alarm.summary.clone());
    assert!(summary.is_some_and(|summary| !summary.contains("sole witness")));
}

#[test]
fn an_isolated_watchdog_abstains_and_says_so() {
    let mut world = World::settled_with(&with_canaries());
    world.canaries_answer = false;
    for node in ["node1", "node2", "node3"] {
        world.blind(node);
    }
    for peer in ["w2", "w3"] {
        world.blind_to.insert(Target::Watchdog(peer.into()));
    }
    world.says("w2", "node1", Vote::Down);
    world.run_to(80);
    assert!(world.core.report().isolated);
    assert!(world.database.watchdogs.get(&"w1".into()).unwrap().isolated);
    assert_eq!(world.view().watchdogs.first().map(|one| one.status), Some("isolated"));
    assert_eq!(world.status("node1"), NodeStatus::Online, "one of two voters is no majority");
    assert_eq!(world.raised(), ["disagreement/node1"], "nor are the others declared down");
}

#[test]
fn a_watchdog_whose_canaries_alone_are_gone_is_not_isolated() {
    let mut world = World::settled_with(&with_canaries());
    world.canaries_answer = false;
    world.run_to(60);
    assert!(!world.core.report().isolated);
}

#[test]
fn a_watchdog_without_canaries_is_never_isolated() {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        world.blind(node);
    }
    world.run_to(60);
    assert!(!world.core.report().isolated);
}

#[test]
fn where_fewer_than_half_remain_there_is_no_verdict_on_reach_and_one_critical_incident() {
    let mut world = World::settled();
    for peer in ["w2", "w3"] {
        world.peer(peer).isolated = true;
    }
    world.run_to(40);
    world.cut_off("node1");
    world.run_to(200);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    assert_eq!(world.raised(), ["isolation"]);
    assert_eq!(world.raises("isolation").first().map(|(_, alarm)| alarm.severity), Some(Severity::Critical));
    assert!(!world.has_moved_anything());
}

#[test]
fn without_a_verdict_on_reach_the_lease_alone_decides_after_its_grace() {
    let mut world = World::settled();
    for peer in ["w2", "w3"] {
        world.peer(peer).isolated = true;
    }
    world.run_to(40);
    world.kill("node1");
    world.run_to(120);
    assert_eq!(world.status("node1"), NodeStatus::Stalled);
    assert_between(world.left_at("node1", Step::Failover), 79, 86);
}

#[test]
fn a_watchdog_that_fell_silent_votes_no_more() {
    let mut world = World::settled();
    world.peer("w3").lives = false;
    world.run_to(50);
    world.blind("node1");
    world.says("w2", "node1", Vote::Down);
    world.run_to(70);
    assert_eq!(world.status("node1"), NodeStatus::Unreachable);
    assert_eq!(world.raises("node/node1").first().map(|(_, alarm)| alarm.votes), Some((2, 2)));
    assert_between(world.raised_at("watchdog/w3"), 35, 40);
}

#[test]
fn a_watchdog_that_starts_anew_takes_its_old_words_back() {
    let mut world = World::settled();
    world.blind("node1");
    world.says("w2", "node1", Vote::Down);
    world.run_to(60);
    assert_eq!(world.status("node1"), NodeStatus::Unreachable);
    world.peer("w2").incarnation.0 += 70;
    world.says("w2", "node1", Vote::Unknown);
    world.run_to(70);
    assert_eq!(world.status("node1"), NodeStatus::Unreachable, "undecided leaves the status as it is");
    assert!(world.raised().contains(&"disagreement/node1"));
}

#[test]
fn what_a_watchdog_said_before_a_lost_tail_is_said_anew() {
    let mut world = World::settled();
    let me = (world.identity.watchdog.clone(), Target::Node("node2".into()));
    let row = world.database.observations.get_mut(&me).unwrap();
    // The database went back to a time at which this watchdog could not reach the node.
    (row.observation.vote, row.observation.failures) = (Vote::Down, 3);
    world.run_to(33);
    assert_eq!(world.database.observations.get(&me).unwrap().observation.vote, Vote::Up);
}
