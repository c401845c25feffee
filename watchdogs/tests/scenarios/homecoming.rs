//! How a node that was lost gets its monitors back, and how one that lacks progress does not.

use komainu_watchdogs::decision::{MoveReason, Step};
use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::policy::{Policy, Recovery};
use komainu_watchdogs::time::{Mono, Wall};

use super::database::wall;
use super::story::assert_between;
use super::world::{Setup, World};

/// Seconds from coming online until the first monitor leaves for home, after so many losses in a row.
fn cool_off_after(losses: u32, lost_at: Wall) -> u64 {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(60);
    let row = world.database.node("node1");
    row.losses = losses;
    row.lost_at = Some(lost_at);
    world.start("node1");
    world.run_to(4_000);
    let online = world.became_at("node1", NodeStatus::Online).unwrap();
    let left = world.left_at("node2", Step::Release).unwrap();
    left.since(online).as_secs()
}

#[test]
fn the_first_loss_costs_thirty_seconds_of_calm() {
    assert_eq!(cool_off_after(1, wall(Mono::secs(42))), 30);
}

#[test]
fn each_further_loss_doubles_it() {
    assert_eq!(cool_off_after(2, wall(Mono::secs(42))), 60);
    assert_eq!(cool_off_after(4, wall(Mono::secs(42))), 240);
}

#[test]
fn it_is_never_longer_than_an_hour() {
    assert_eq!(cool_off_after(30, wall(Mono::secs(42))), 3_600);
}

#[test]
fn losses_are_forgotten_after_six_hours_of_calm() {
    let seven_hours_ago = Wall(wall(Mono::secs(42)).0 - 7 * 3_600_000);
    assert!(cool_off_after(9, seven_hours_ago) <= 1);
}

#[test]
fn a_flapping_node_is_counted_by_the_database_and_waits_longer_each_time() {
    let mut world = World::settled();
    let mut now = 30;
    let mut waits = Vec::new();
    for _ in 0..3 {
        world.kill("node1");
        world.run_to(now + 30);
        world.deeds.clear();
        world.start("node1");
        world.run_to(now + 250);
        let online = world.became_at("node1", NodeStatus::Online).unwrap();
        waits.push(world.left_at("node2", Step::Release).unwrap().since(online).as_secs());
        now += 250;
    }
    assert_eq!(waits, [30, 60, 120]);
    assert_eq!(world.database.node("node1").losses, 3);
}

#[test]
fn a_node_lost_again_while_cooling_off_starts_over() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(60);
    world.start("node1");
    world.run_to(85);
    world.kill("node1");
    world.run_to(120);
    world.start("node1");
    world.run_to(170);
    assert_eq!(world.left_at("node2", Step::Release), None);
    world.run_to(200);
    assert_between(world.left_at("node2", Step::Release), 180, 188);
}

#[test]
fn with_manual_recovery_monitors_go_home_only_when_somebody_says_so() {
    let policy = Policy { recovery: Recovery::Manual, ..Policy::default() };
    let mut world = World::settled_with(&Setup { policy, ..Setup::default() });
    world.kill("node1");
    world.run_to(60);
    world.start("node1");
    world.run_to(4_000);
    assert_eq!((world.status("node1"), world.spread()), (NodeStatus::Online, vec![0, 18, 18]));
    world.database.node("node1").recover_asked = true;
    world.run_to(4_060);
    assert_eq!(world.spread(), [12, 12, 12]);
    assert!(!world.database.node("node1").recover_asked, "the wish was carried out");
}

#[test]
fn a_wish_to_recover_ends_when_nothing_more_can_come_home() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(60);
    let stuck = world.add_monitor("node1", "dns");
    world.database.monitors.get_mut(&stuck).unwrap().effective = Some("node2".into());
    world.database.node("node1").kinds = vec!["http".to_owned()];
    world.database.node("node1").recover_asked = true;
    world.start("node1");
    world.run_to(100);
    assert_eq!(world.monitors_of("node1"), 12);
    assert!(!world.database.node("node1").recover_asked, "what it cannot run never comes");
    world.database.node("node1").recover_asked = true;
    world.database.node("node1").overlay = Overlay::Draining;
    world.run_to(160);
    assert!(!world.database.node("node1").recover_asked, "nor does anything while it is drained");
}

#[test]
fn an_operator_who_asks_need_not_wait_for_the_cool_off() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(60);
    world.database.node("node1").losses = 9;
    world.database.node("node1").recover_asked = true;
    world.start("node1");
    world.run_to(80);
    assert_eq!(world.spread(), [12, 12, 12]);
}

#[test]
fn going_home_is_a_hand_over_and_not_a_failover() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(60);
    world.start("node1");
    world.deeds.clear();
    world.run_to(150);
    let steps: Vec<_> = world.steps().iter().map(|(_, step)| (step.step, step.reason)).collect();
    assert_eq!(steps.iter().filter(|one| **one == (Step::Release, MoveReason::GoingHome)).count(), 12);
    assert_eq!(steps.iter().filter(|(step, _)| *step == Step::Arrive).count(), 12);
    assert_eq!(steps.len(), 24);
}

#[test]
fn an_emptied_incarnation_gets_nothing_back_however_well_it_does() {
    let mut world = World::settled();
    world.hang("node1");
    world.run_to(90);
    assert_eq!(world.spread(), [0, 18, 18]);
    world.unhang("node1");
    world.run_to(4_000);
    assert_eq!(world.spread(), [0, 18, 18]);
    assert_eq!(world.status("node1"), NodeStatus::Stalled);
    assert!(world.database.incidents.contains_key("progress/node1"), "it is said as long as it lasts");
}

#[test]
fn an_emptied_node_comes_back_as_a_new_incarnation() {
    let mut world = World::settled();
    world.hang("node1");
    world.run_to(90);
    world.unhang("node1");
    world.stop_node("node1");
    world.run_to(95);
    world.start("node1");
    world.run_to(200);
    assert_eq!((world.status("node1"), world.spread()), (NodeStatus::Online, vec![12, 12, 12]));
}

#[test]
fn an_emptied_node_comes_back_when_an_operator_says_recover() {
    let mut world = World::settled();
    world.hang("node1");
    world.run_to(90);
    world.unhang("node1");
    world.run_to(120);
    world.database.node("node1").recover_asked = true;
    world.run_to(180);
    assert_eq!((world.status("node1"), world.spread()), (NodeStatus::Online, vec![12, 12, 12]));
    assert!(!world.database.node("node1").recover_asked);
}

#[test]
fn a_node_that_makes_progress_again_within_the_grace_keeps_everything() {
    let mut world = World::settled();
    world.hang("node1");
    world.run_to(55);
    world.unhang("node1");
    world.run_to(200);
    assert!(!world.has_moved_anything());
    assert_eq!(world.revoked_at("node1"), None);
    assert_eq!(world.status("node1"), NodeStatus::Online);
}

#[test]
fn a_hung_node_that_registers_again_before_its_monitors_moved_is_emptied_all_the_same() {
    let mut world = World::settled();
    world.hang("node1");
    world.run_to(64);
    let revoked = world.revoked_at("node1").unwrap();
    world.run_to_point(revoked + std::time::Duration::from_secs(5));
    let incarnation = world.node("node1").incarnation;
    let row = world.database.node("node1");
    (row.incarnation, row.lease_seq) = (Some(incarnation), row.lease_seq + 1);
    world.run_to(160);
    assert_eq!(world.spread(), [0, 18, 18]);
}

#[test]
fn only_half_of_the_monitors_overdue_is_progress() {
    let mut world = World::settled();
    world.database.overdue.insert("node1".into(), 6);
    world.run_to(120);
    assert_eq!(world.status("node1"), NodeStatus::Online);
    world.database.overdue.insert("node1".into(), 7);
    world.run_to(130);
    assert_eq!(world.status("node1"), NodeStatus::Stalled);
}
