//! Becoming the leader, staying it, and giving it up.

use std::time::Duration;

use komainu_watchdogs::decision::Step;
use komainu_watchdogs::facts::NodeStatus;
use komainu_watchdogs::ids::{Epoch, Incarnation};
use komainu_watchdogs::io::{Announcement, LeadershipAct};
use komainu_watchdogs::time::Mono;

use super::story::assert_between;
use super::world::{Deed, Setup, World};

fn stepped_down(deed: &Deed) -> bool {
    matches!(deed, Deed::Announced(Announcement::SteppedDown { .. }))
}

#[test]
fn the_first_watchdog_of_a_new_cluster_leads_within_seconds() {
    let mut world = World::new(Setup::default());
    world.run_to(3);
    assert_eq!(world.database.leader.epoch, Epoch(1));
    assert_eq!(world.database.leader.holder, Some(Incarnation(1)));
}

#[test]
fn a_watchdog_that_follows_commits_nothing() {
    let mut world = World::following();
    world.kill("node1");
    world.run_to(120);
    assert_eq!(world.done(), []);
    assert_eq!(world.raised(), ["node/node1"], "but it alerts");
}

#[test]
fn a_follower_whose_leader_died_leads_within_three_seconds_and_goes_on_where_that_one_ended() {
    let mut world = World::following();
    world.kill("node1");
    world.run_to(42);
    world.end_leader("w2");
    world.run_to(60);
    let led = world.when(|deed| matches!(deed, Deed::Announced(Announcement::BecameLeader { epoch: Epoch(2) })));
    assert_between(led, 43, 46);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn a_leader_that_vanished_with_its_lock_is_replaced_within_fifteen_seconds() {
    let mut world = World::following();
    world.peer("w2").lives = false;
    world.run_to(60);
    let led = world.when(|deed| matches!(deed, Deed::Announced(Announcement::BecameLeader { .. })));
    assert_between(led, 39, 45);
}

#[test]
fn renewals_that_are_under_way_at_the_end_of_every_round_keep_no_leader_from_deciding() {
    let mut world = World::settled();
    world.leadership_takes = Duration::from_millis(990);
    world.run_to(40);
    world.kill("node1");
    world.run_to(70);
    assert_between(world.left_at("node1", Step::Failover), 49, 58);
}

#[test]
fn a_leader_steps_down_eight_seconds_after_its_last_successful_renewal_began() {
    let mut world = World::settled();
    world.leadership_takes = Duration::from_secs(3_600);
    world.run_to(60);
    let last_began = world
        .deeds
        .iter()
        .filter(|(_, deed)| matches!(deed, Deed::Led(LeadershipAct::Renew { .. })))
        .map(|(at, _)| *at)
        .next()
        .unwrap();
    assert!(last_began <= Mono::secs(31), "the one that is never answered");
    assert_between(world.when(stepped_down), 37, 39);
    assert!(!world.core.view(world.now).reasons.is_empty());
}

#[test]
fn a_leader_that_froze_past_its_lease_decides_nothing_when_it_wakes() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(38);
    world.freeze_for(30);
    world.database.lock = Some(Incarnation(2));
    world.database.leader.epoch = Epoch(2);
    world.database.leader.holder = Some(Incarnation(2));
    world.peer("w2").leads = true;
    world.run_to(110);
    assert_between(world.when(stepped_down), 68, 69);
    assert!(!world.has_moved_anything());
}

#[test]
fn a_deposed_leader_commits_nothing_and_steps_down_at_its_first_refusal() {
    let mut world = World::settled();
    world.database.lock = Some(Incarnation(2));
    world.database.leader.epoch = Epoch(2);
    world.database.leader.holder = Some(Incarnation(2));
    world.peer("w2").leads = true;
    world.kill("node1");
    world.run_to(60);
    assert_between(world.when(stepped_down), 30, 32);
    assert_eq!(world.done(), []);
}

#[test]
fn a_clean_stop_gives_the_lock_back_at_once_and_says_that_it_stopped() {
    let mut world = World::settled();
    world.stop();
    world.run_to(31);
    assert_between(world.when(|deed| *deed == Deed::Led(LeadershipAct::Release)), 30, 30);
    assert_eq!(world.database.lock, None);
    assert!(world.database.watchdogs.get(&"w1".into()).unwrap().stopped);
    world.succeed_as("w2");
    world.run_to(36);
    assert_eq!(world.database.leader.holder, Some(world.identity.incarnation));
}

#[test]
fn a_watchdog_that_stopped_cleanly_is_missed_by_nobody() {
    let mut world = World::settled();
    world.stop();
    world.run_to(31);
    world.succeed_as("w2");
    world.run_to(80);
    assert_eq!(world.raised(), [""; 0]);
    assert_eq!(world.status("node1"), NodeStatus::Online);
}

#[test]
fn nobody_leading_for_fifteen_seconds_is_an_incident() {
    let mut world = World::following();
    world.peer("w2").leads = false;
    world.database.lock = Some(Incarnation(2));
    world.refuse_claims = true;
    world.run_to(80);
    assert_between(world.raised_at("leader"), 44, 48);
}
