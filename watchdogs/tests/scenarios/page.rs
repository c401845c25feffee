//! What `/status` says: 503 exactly when watching does not really happen.

use komainu_watchdogs::decision::MoveReason;
use komainu_watchdogs::facts::{Mode, NodeStatus, Target, Vote};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::{DatabaseView, Health};

use super::world::{Setup, World};

fn reasons(world: &World) -> String {
    world.view().reasons.join("; ")
}

#[test]
fn all_well_is_ok_and_says_who_leads() {
    let world = World::settled();
    let view = world.view();
    assert_eq!((view.status, view.reasons.as_slice()), (Health::Ok, [].as_slice()));
    assert_eq!(view.leader.map(|leader| leader.watchdog_id.to_string()), Some("w1".to_owned()));
    assert_eq!((view.monitors.active, view.monitors.watched, view.monitors.unwatched), (36, 36, 0));
}

#[test]
fn who_sees_whom_is_shown_by_the_words_of_each_and_a_silent_one_says_nothing() {
    let mut world = World::settled();
    world.blind_to.insert(Target::Watchdog("w3".into()));
    world.run_to(60);
    let sees = |world: &World, who: usize, whom: &str| {
        world.view().watchdogs.get(who).and_then(|one| one.sees.get(&whom.into()).copied())
    };
    assert_eq!((sees(&world, 0, "w2"), sees(&world, 0, "w3")), (Some(Vote::Up), Some(Vote::Down)));
    assert_eq!(sees(&world, 0, "w1"), None, "nobody looks at itself");
    world.end_leader("w2");
    world.run_to(120);
    assert_eq!(world.view().watchdogs.get(1).map(|one| (one.status, one.sees.len())), Some(("down", 0)));
}

#[test]
fn a_watchdog_that_follows_knows_as_much_as_the_leader() {
    let world = World::following();
    let view = world.view();
    assert_eq!((view.status, view.reasons.as_slice()), (Health::Ok, [].as_slice()));
    assert_eq!(view.leader.map(|leader| leader.watchdog_id.to_string()), Some("w2".to_owned()));
    assert_eq!(view.nodes.len(), 3);
}

#[test]
fn a_watchdog_that_follows_shows_what_would_be_moved_too() {
    let mut world = World::following();
    world.database.cluster.mode = Mode::Observe;
    world.kill("node1");
    world.run_to(120);
    let shown: Vec<_> = world.view().would_move.iter().map(|would| (would.monitors, would.reason)).collect();
    assert_eq!(shown, [(12, MoveReason::NodeOffline)]);
}

#[test]
fn a_watchdog_that_has_read_nothing_yet_is_down() {
    let world = World::new(&Setup::default());
    assert_eq!(world.view().status, Health::Down);
}

#[test]
fn a_database_that_takes_no_write_for_fifteen_seconds_is_down() {
    let mut world = World::settled();
    world.database.is_down = true;
    world.run_to(34);
    assert_eq!(world.view().database, DatabaseView::Failing);
    assert_eq!(world.view().status, Health::Degraded);
    world.run_to(46);
    assert_eq!(world.view().database, DatabaseView::Down);
    assert_eq!(world.view().status, Health::Down);
    assert!(reasons(&world).contains("took no write"));
}

#[test]
fn a_database_that_answers_reads_but_takes_no_write_is_down_all_the_same() {
    let mut world = World::settled();
    world.database.is_read_only = true;
    world.run_to(46);
    assert_eq!(world.view().status, Health::Down);
    assert!(reasons(&world).contains("took no write"));
    world.run_to(200);
    assert_eq!(world.done(), [], "and nobody is judged by leases that nobody can renew");
    assert!(!world.raised().iter().any(|key| key.starts_with("node/")));
}

#[test]
fn no_majority_of_watchdogs_is_down() {
    let mut world = World::settled();
    world.peer("w2").lives = false;
    world.run_to(40);
    assert_eq!(world.view().status, Health::Degraded, "one dead watchdog of three");
    assert_eq!(reasons(&world), "watchdog w2 is down");
    world.peer("w3").lives = false;
    world.run_to(50);
    assert_eq!(world.view().status, Health::Down);
    assert!(reasons(&world).contains("no majority"));
}

#[test]
fn no_node_online_is_down() {
    let mut world = World::settled();
    for node in ["node1", "node2", "node3"] {
        world.kill(node);
    }
    world.run_to(60);
    assert_eq!(world.view().status, Health::Down);
    assert!(reasons(&world).contains("no node is online"));
}

#[test]
fn a_cluster_that_has_no_node_and_nothing_for_one_to_run_is_well() {
    let mut world = World::settled();
    world.nodes.clear();
    world.database.nodes.clear();
    world.database.monitors.clear();
    world.run_to(120);
    assert_eq!((world.view().status, reasons(&world).as_str()), (Health::Ok, ""));
}

#[test]
fn monitors_that_no_node_is_there_for_are_down() {
    let mut world = World::settled();
    world.nodes.clear();
    world.database.nodes.clear();
    world.run_to(120);
    assert_eq!(world.view().status, Health::Down);
    assert!(reasons(&world).contains("no node is online"));
}

#[test]
fn a_monitor_without_a_living_owner_beyond_the_bound_is_down() {
    let mut world = World::settled();
    world.database.cluster.frozen = true;
    world.kill("node1");
    world.run_to(100);
    assert_eq!(world.view().status, Health::Degraded, "within the bound");
    assert_eq!(world.view().monitors.unwatched, 12);
    world.run_to(115);
    assert_eq!(world.view().status, Health::Down);
    assert_eq!(world.view().monitors.orphaned, 12);
    assert!(reasons(&world).contains("no living owner"));
}

#[test]
fn monitors_of_a_node_that_fails_over_in_time_never_make_it_down() {
    let mut world = World::settled();
    world.kill("node1");
    for second in 31..150 {
        world.run_to(second);
        assert_ne!(world.view().status, Health::Down, "at {second} s: {}", reasons(&world));
    }
    assert_eq!(world.view().monitors.unwatched, 0);
}

#[test]
fn an_outage_of_the_database_leaves_no_orphans_behind_once_the_leases_move_again() {
    let mut world = World::settled();
    world.database.is_down = true;
    world.run_to(130);
    world.database.is_down = false;
    for second in 135..200 {
        world.run_to(second);
        assert_eq!(world.view().monitors.orphaned, 0, "at {second} s");
    }
    assert_eq!(world.view().status, Health::Ok);
}

#[test]
fn frozen_is_degraded_and_says_so() {
    let mut world = World::settled();
    world.database.cluster.frozen = true;
    world.run_to(32);
    let view = world.view();
    assert!(view.frozen);
    assert_eq!((view.status, reasons(&world).as_str()), (Health::Degraded, "frozen: nothing moves by itself"));
}

#[test]
fn a_node_that_is_lost_while_the_others_run_everything_is_degraded() {
    let mut world = World::settled();
    world.kill("node1");
    world.run_to(80);
    assert_eq!(world.status("node1"), NodeStatus::Offline);
    assert_eq!((world.view().status, reasons(&world).as_str()), (Health::Degraded, "node node1 is offline"));
}

#[test]
fn a_verdict_tells_its_age() {
    let world = World::settled();
    assert!(world.view().verdict_age_ms.is_some_and(|age| age <= 1_000), "at {:?}", Mono::secs(30));
}

#[test]
fn while_nothing_beats_status_is_not_ok_and_says_so() {
    let mut world = World::settled();
    world.database.silent.insert("node2".into());
    world.run_to(36);
    assert_eq!(world.view().status, Health::Degraded);
    let said = "nothing beats there: no monitor of node2 has a beat that is as new as its interval and 10 s";
    assert_eq!(reasons(&world), said);
    for node in ["node1", "node3"] {
        world.database.silent.insert(node.into());
    }
    world.run_to(42);
    assert!(reasons(&world).contains("nothing beats at all: no monitor of node1, node2, node3"), "{}", reasons(&world));
    world.database.silent.clear();
    world.run_to(48);
    assert_eq!((world.view().status, reasons(&world)), (Health::Ok, String::new()));
    assert!(!world.has_moved_anything());
}

#[test]
fn a_few_monitors_that_all_hang_at_their_targets_are_no_silence() {
    let mut world = World::settled_with(&Setup { monitors_per_node: 4, ..Setup::default() });
    world.database.silent.insert("node2".into());
    world.run_to(42);
    assert_eq!(world.view().status, Health::Ok);
}
