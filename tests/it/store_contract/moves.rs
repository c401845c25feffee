//! Decisions that move monitors: what they change, and every assumption that refuses them.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::decision::{Commit, Guard, Move, MoveReason, Refusal, StatusChange, Step};
use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::ids::{Generation, Incarnation, Nonce, Stamp};

use super::fixture::{Fixture, Kind, acknowledged, identity, revoke, seen, step, steps};
use super::on_both_databases;
use super::statuses::status;
use crate::support::raw::Raw;
use komainu::store::cluster;
use komainu::store::hands::{self, Drain, Goal, HandMove, PinPlace, Selection};

on_both_databases! {
    a_new_monitor_is_placed,
    an_older_plan_moves_what_nobody_touched_since,
    a_failover_is_not_held_up_by_hands_that_move_other_monitors,
    a_plan_of_an_assignment_that_was_lost_is_refused,
    a_monitor_that_went_to_and_fro_meanwhile_is_left_alone,
    a_node_drained_meanwhile_gets_nothing_that_was_planned_for_it,
    a_node_that_owns_something_by_now_does_not_become_drained,
    a_strangers_lock_on_monitors_holds_up_neither_rounds_nor_decisions_nor_hands,
    a_freeze_refuses_what_was_planned_before,
    a_release_records_the_incarnation_that_stands_there_now,
    a_release_from_a_vacant_node_is_refused,
    a_second_release_keeps_the_first_source,
    an_arrival_needs_the_acknowledgement,
    an_acknowledgement_of_an_unknown_nonce_is_worth_nothing,
    an_arrival_clears_the_source,
    a_superseded_source_has_ended,
    a_vacant_source_that_registered_meanwhile_refuses,
    a_revoke_is_refused_when_the_lease_was_renewed,
    a_revoke_is_refused_for_another_incarnation,
    a_failover_moves_and_revokes_at_once,
    a_failover_from_a_node_that_holds_a_lease_is_refused,
    a_refused_decision_leaves_no_trace,
    a_monitor_pinned_meanwhile_is_left_alone,
    a_monitor_moved_meanwhile_is_left_alone,
    a_monitor_bound_elsewhere_meanwhile_is_left_alone,
    a_monitor_at_home_bears_no_assigned_node,
    while_frozen_only_what_an_operator_asked_for_begins_and_what_had_begun_ends,
    a_monitor_sent_elsewhere_meanwhile_is_left_alone,
}

async fn a_new_monitor_is_placed(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let made = fixture.monitors(3, None).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Place, &made, None, Some("node1"));
    let (stamp, moved) = leader.done(&decision).await;
    assert_eq!((stamp.generation, moved), (Generation(1), 3));
    assert_eq!(fixture.stamp().await, stamp);
    assert_eq!(fixture.assignment(made[0]).await, ["node1", "-", "-", "-"]);
    let known = format!("SELECT COUNT(*) FROM komainu_generation WHERE generation = 1 AND nonce = '{}'", stamp.nonce);
    assert_eq!(fixture.raw.count(&known).await, 1);
}

async fn an_older_plan_moves_what_nobody_touched_since(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let made = fixture.monitors(2, None).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Place, made[0], None, Some("node1"))];
    leader.done(&decision).await;
    assert_eq!(leader.done(&decision).await.1, 0);
    decision.moves = steps(Step::Place, &made, None, Some("node1"));
    let (stamp, moved) = leader.done(&decision).await;
    assert_eq!((stamp.generation, moved), (Generation(2), 1));
    let of_it = "SELECT COUNT(*) FROM komainu_assignment WHERE generation = 2";
    assert_eq!(fixture.raw.count(of_it).await, 1, "it bears the generation that it made");
}

async fn a_failover_is_not_held_up_by_hands_that_move_other_monitors(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let other = fixture.monitors(1, Some("node2")).await[0];
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
    let wish = |id| HandMove { which: Selection::Ids(vec![id]), goal: Goal::Pin(PinPlace::WhereItRuns) };
    for id in [other, made[2]] {
        hands::move_by_hand(&fixture.store, &wish(id), "test").await.unwrap();
    }
    let (_, moved) = leader.done(&decision).await;
    assert_eq!(moved, 2, "all but the one that a hand bound");
    assert_eq!(fixture.running_on("node2").await, 3);
}

async fn a_plan_of_an_assignment_that_was_lost_is_refused(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let before = fixture.stamp().await;
    let mut decision = leader.decision(Stamp { nonce: Nonce(before.nonce.0 ^ 1), ..before });
    decision.moves = steps(Step::Release, &made, Some("node1"), None);
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::UnknownGeneration));
    decision.seen = Stamp { generation: before.generation.next(), ..before };
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::UnknownGeneration));
    assert_eq!(fixture.running_on("node1").await, 1);
}

async fn a_monitor_that_went_to_and_fro_meanwhile_is_left_alone(kind: Kind) {
    let (mut fixture, [mut one, mut two], mut leader) = two_nodes(kind).await;
    let (monitor, first) = released(&fixture, &mut leader).await;
    one.acknowledge(first).await.unwrap();
    let mut arrival = leader.decision(first);
    arrival.guards = vec![acknowledged("node1", 11, first.generation)];
    arrival.moves = vec![step(Step::Arrive, monitor, None, Some("node2"))];
    let (there, _) = leader.done(&arrival).await;
    let mut away = leader.decision(there);
    away.moves = vec![step(Step::Release, monitor, Some("node2"), None)];
    let (second, _) = leader.done(&away).await;
    // Nobody's once more, but now it is node2 that has to stop, and that is not what was planned on.
    assert_eq!(leader.done(&arrival).await.1, 0);
    assert_eq!(fixture.assignment(monitor).await[2], "node2");
    two.acknowledge(second).await.unwrap();
}

async fn a_node_drained_meanwhile_gets_nothing_that_was_planned_for_it(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    fixture.add_node("node3").await;
    let made = fixture.monitors(2, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    decision.nodes = vec![seen("node1", Overlay::None), seen("node2", Overlay::None), seen("node3", Overlay::None)];
    decision.moves = steps(Step::Failover, &made[..1], Some("node1"), Some("node2"));
    decision.moves.extend(steps(Step::Failover, &made[1..], Some("node1"), Some("node3")));
    hands::drain(&fixture.store, &"node2".into(), Drain::default(), "test").await.unwrap();
    assert_eq!(leader.done(&decision).await.1, 1);
    assert_eq!((fixture.running_on("node2").await, fixture.running_on("node3").await), (0, 1));
}

async fn a_node_that_owns_something_by_now_does_not_become_drained(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    hands::drain(&fixture.store, &"node1".into(), Drain::default(), "test").await.unwrap();
    let mut decision = leader.decision(fixture.stamp().await);
    let emptied = StatusChange { overlay_seen: Overlay::Draining, overlay: Overlay::Drained, ..online("node1") };
    decision.statuses = vec![emptied];
    fixture.monitors(1, Some("node1")).await;
    leader.done(&decision).await;
    let overlay = "SELECT overlay FROM node WHERE node_id = 'node1'";
    assert_eq!(fixture.raw.one(overlay).await, "draining");
    fixture.raw.execute("DELETE FROM komainu_assignment").await;
    leader.done(&decision).await;
    assert_eq!(fixture.raw.one(overlay).await, "drained");
}

async fn a_strangers_lock_on_monitors_holds_up_neither_rounds_nor_decisions_nor_hands(kind: Kind) {
    // SQLite has one writer, whoever it is.
    if kind == Kind::Sqlite {
        return;
    }
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let new = fixture.monitors(2, None).await;
    let mut stranger = Raw::connect(&fixture.text).await;
    stranger.execute("START TRANSACTION; UPDATE monitor SET name = CONCAT(name, '!'), `interval` = 61").await;
    stranger.execute("SELECT COUNT(*) FROM monitor FOR UPDATE").await;
    let all = async {
        let mut watch = fixture.store.watch(identity("w2")).await.unwrap();
        watch.read_round().await.unwrap();
        let mut errands = fixture.store.errands(&"w2".into()).await.unwrap();
        let counts = errands.counts().await.unwrap();
        let counted: u32 = counts.shards.iter().map(|shard| shard.monitors).sum();
        assert_eq!((counted, errands.progress(&BTreeMap::new()).await.unwrap().len()), (5, 1));
        let shard = leader.leadership.read_shard().await.unwrap();
        let mut decision = leader.decision(shard.stamp);
        decision.revokes = vec![revoke("node1", 11, Some(1))];
        decision.statuses = vec![status("node1", NodeStatus::Offline)];
        decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
        decision.moves.extend(steps(Step::Place, &new[..1], None, Some("node2")));
        decision.forget_leftover = true;
        assert_eq!(leader.done(&decision).await.1, 4);
        let to = |node: &str| Goal::Move { to: node.into(), pin: Some(true) };
        for (id, node) in [(made[0], "node1"), (new[1], "node2")] {
            let wish = HandMove { which: Selection::Ids(vec![id]), goal: to(node) };
            hands::move_by_hand(&fixture.store, &wish, "test").await.unwrap();
        }
        hands::drain(&fixture.store, &"node2".into(), Drain { move_pinned: true }, "test").await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(2), all).await.expect("nobody waits for the stranger");
    assert_eq!(fixture.running_on("node2").await, 5);
    stranger.execute("ROLLBACK").await;
}

fn online(node: &str) -> StatusChange {
    status(node, NodeStatus::Online)
}

async fn a_freeze_refuses_what_was_planned_before(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let made = fixture.monitors(1, None).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Place, &made, None, Some("node1"));
    assert!(hands::freeze(&fixture.store, "test").await.unwrap());
    assert!(!hands::freeze(&fixture.store, "test").await.unwrap());
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::Frozen));
    assert!(cluster::get(&fixture.store).await.unwrap().frozen);
    assert!(hands::thaw(&fixture.store, "test").await.unwrap());
    assert_eq!(fixture.running_on("node1").await, 0);
    assert_eq!(leader.done(&decision).await.1, 1, "nothing that it rests on has changed");
}

/// One monitor, run by node1 (incarnation 11); node2 (incarnation 22) is free; `w1` leads.
pub(super) async fn two_nodes(kind: Kind) -> (Fixture, [komainu::store::TenureConnection; 2], super::fixture::Leader) {
    let fixture = Fixture::native(kind).await;
    let one = fixture.start_node("node1", 11).await;
    let two = fixture.start_node("node2", 22).await;
    let leader = fixture.leader("w1", 1).await;
    (fixture, [one, two], leader)
}

async fn a_release_records_the_incarnation_that_stands_there_now(kind: Kind) {
    let (mut fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Release, monitor, Some("node1"), None)];
    // After the plan was made, the process was replaced by another.
    assert!(one.release().await.unwrap());
    let mut successor = fixture.tenure("node1", 12).await;
    assert!(successor.register(None, 1).await.unwrap());
    leader.done(&decision).await;
    let twelve = Incarnation(12).to_string();
    assert_eq!(fixture.assignment(monitor).await, ["", "", "node1", twelve.as_str()]);
}

async fn a_release_from_a_vacant_node_is_refused(kind: Kind) {
    let (mut fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    one.release().await.unwrap();
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Release, monitor, Some("node1"), None)];
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::NodeLives("node1".into())));
    assert_eq!(fixture.assignment(monitor).await, ["node1", "-", "-", "-"]);
}

async fn a_second_release_keeps_the_first_source(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Release, monitor, Some("node1"), None)];
    let (stamp, _) = leader.done(&decision).await;
    let first = fixture.assignment(monitor).await;
    decision.seen = stamp;
    decision.moves = vec![step(Step::Release, monitor, Some("node2"), None), step(Step::Release, monitor, None, None)];
    let (_, moved) = leader.done(&decision).await;
    assert_eq!(moved, 0);
    assert_eq!(fixture.assignment(monitor).await, first);
}

/// A monitor of node1 that was made nobody's; returns the stamp that did so.
async fn released(
    fixture: &Fixture,
    leader: &mut super::fixture::Leader,
) -> (komainu_watchdogs::ids::MonitorId, Stamp) {
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Release, monitor, Some("node1"), None)];
    let (stamp, moved) = leader.done(&decision).await;
    assert_eq!(moved, 1);
    (monitor, stamp)
}

async fn an_arrival_needs_the_acknowledgement(kind: Kind) {
    let (fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let before = fixture.stamp().await;
    let (monitor, stamp) = released(&fixture, &mut leader).await;
    let guard = acknowledged("node1", 11, stamp.generation);
    let mut decision = leader.decision(stamp);
    decision.guards = vec![guard.clone()];
    decision.moves = vec![step(Step::Arrive, monitor, None, Some("node2"))];
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::GuardFailed(guard.clone())));
    one.renew(Some(before), 0).await.unwrap();
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::GuardFailed(guard)));
    assert!(one.acknowledge(stamp).await.unwrap());
    leader.done(&decision).await;
}

async fn an_acknowledgement_of_an_unknown_nonce_is_worth_nothing(kind: Kind) {
    let (fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let (monitor, stamp) = released(&fixture, &mut leader).await;
    let of_another_past = Stamp { generation: stamp.generation, nonce: Nonce(stamp.nonce.0 ^ 1) };
    assert!(one.acknowledge(of_another_past).await.unwrap());
    let guard = acknowledged("node1", 11, stamp.generation);
    let mut decision = leader.decision(stamp);
    decision.guards = vec![guard.clone()];
    decision.moves = vec![step(Step::Arrive, monitor, None, Some("node2"))];
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::GuardFailed(guard)));
}

async fn an_arrival_clears_the_source(kind: Kind) {
    let (mut fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let (monitor, stamp) = released(&fixture, &mut leader).await;
    one.acknowledge(stamp).await.unwrap();
    let mut decision = leader.decision(stamp);
    decision.guards = vec![acknowledged("node1", 11, stamp.generation)];
    let arrival = step(Step::Arrive, monitor, None, Some("node2"));
    decision.moves = vec![Move { reason: MoveReason::Unowned, ..arrival }];
    let (after, _) = leader.done(&decision).await;
    // Why it left is why it is there; that it was nobody's meanwhile says nothing.
    let unowned = "SELECT COUNT(*) FROM komainu_assignment WHERE reason = 'unowned'";
    assert_eq!(fixture.raw.count(unowned).await, 0);
    assert_eq!(after.generation, stamp.generation.next());
    assert_eq!(fixture.assignment(monitor).await, ["node2", "node2", "-", "-"]);
}

async fn a_superseded_source_has_ended(kind: Kind) {
    let (fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let (monitor, stamp) = released(&fixture, &mut leader).await;
    let guard = Guard::Superseded { node: "node1".into(), incarnation: Incarnation(11) };
    let mut decision = leader.decision(stamp);
    decision.guards = vec![guard.clone()];
    decision.moves = vec![step(Step::Arrive, monitor, None, Some("node2"))];
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::GuardFailed(guard.clone())));
    one.release().await.unwrap();
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::GuardFailed(guard)));
    let mut successor = fixture.tenure("node1", 12).await;
    assert!(successor.register(None, 1).await.unwrap());
    leader.done(&decision).await;
}

async fn a_vacant_source_that_registered_meanwhile_refuses(kind: Kind) {
    let (fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let (monitor, stamp) = released(&fixture, &mut leader).await;
    one.release().await.unwrap();
    let guard = Guard::Vacant { node: "node1".into(), lease_seq: 1 };
    let mut decision = leader.decision(stamp);
    decision.guards = vec![guard.clone()];
    decision.moves = vec![step(Step::Arrive, monitor, None, Some("node2"))];
    let mut successor = fixture.tenure("node1", 12).await;
    assert!(successor.register(None, 1).await.unwrap());
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::GuardFailed(guard.clone())));
    successor.release().await.unwrap();
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::GuardFailed(guard)));
    decision.guards = vec![Guard::Vacant { node: "node1".into(), lease_seq: 2 }];
    leader.done(&decision).await;
}

async fn a_revoke_is_refused_when_the_lease_was_renewed(kind: Kind) {
    let (fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
    assert!(one.renew(None, 0).await.unwrap());
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::NodeLives("node1".into())));
    assert!(one.renew(None, 0).await.unwrap(), "it kept its lease");
    decision.revokes = vec![revoke("node1", 11, None)];
    leader.done(&decision).await;
    assert!(!one.renew(None, 0).await.unwrap(), "a fresh lease can be taken away on purpose");
}

async fn a_revoke_is_refused_for_another_incarnation(kind: Kind) {
    let (fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 99, None)];
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::NodeLives("node1".into())));
    assert!(one.renew(None, 0).await.unwrap());
}

async fn a_failover_moves_and_revokes_at_once(kind: Kind) {
    let (mut fixture, [mut one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(5, Some("node1")).await;
    let before = fixture.stamp().await;
    let mut decision = leader.decision(before);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
    let (stamp, moved) = leader.done(&decision).await;
    assert_eq!((stamp.generation, moved), (before.generation.next(), 5));
    assert_ne!(stamp.nonce, before.nonce);
    assert!(!one.renew(None, 0).await.unwrap());
    assert_eq!(fixture.running_on("node2").await, 5);
    assert_eq!(fixture.assignment(made[0]).await, ["node2", "node2", "-", "-"]);
}

async fn a_failover_from_a_node_that_holds_a_lease_is_refused(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::NodeLives("node1".into())));
    assert_eq!(fixture.running_on("node2").await, 0);
}

async fn a_refused_decision_leaves_no_trace(kind: Kind) {
    let (mut fixture, [mut one, mut two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(2, Some("node1")).await;
    let before = fixture.stamp().await;
    let mut decision = leader.decision(before);
    // The first revoke would succeed, the second one refuses.
    decision.revokes = vec![revoke("node1", 11, Some(1)), revoke("node2", 22, Some(7))];
    decision.statuses = vec![status("node1", NodeStatus::Offline)];
    decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::NodeLives("node2".into())));
    assert!(one.renew(None, 0).await.unwrap() && two.renew(None, 0).await.unwrap());
    assert_eq!(fixture.stamp().await, before);
    assert_eq!(fixture.running_on("node1").await, 2);
    assert_eq!(fixture.raw.one("SELECT status FROM node WHERE node_id = 'node1'").await, "new");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_audit WHERE what = 'decision'").await, 0);
    assert_eq!(leader.renew().await, komainu_watchdogs::io::LeadershipAnswer::Renewed, "and it still leads");
}

async fn a_monitor_pinned_meanwhile_is_left_alone(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(2, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Release, &made, Some("node1"), None);
    fixture.raw.execute(&format!("UPDATE komainu_assignment SET pinned = 1 WHERE monitor_id = {}", made[0])).await;
    let (_, moved) = leader.done(&decision).await;
    assert_eq!(moved, 1);
    assert_eq!(fixture.assignment(made[0]).await[0], "node1");
    assert_eq!(fixture.assignment(made[1]).await[0], "");
}

async fn a_monitor_moved_meanwhile_is_left_alone(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Release, &made, Some("node1"), None);
    fixture.raw.execute("UPDATE komainu_assignment SET assigned_node = 'node2'").await;
    let before = fixture.stamp().await;
    let (stamp, moved) = leader.done(&decision).await;
    assert_eq!((stamp, moved), (before, 0));
    assert_eq!(fixture.running_on("node2").await, 1);
}

async fn a_monitor_bound_elsewhere_meanwhile_is_left_alone(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(2, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Release, &made, Some("node1"), None);
    let bind = "UPDATE komainu_assignment SET node_id = 'node2', assigned_node = 'node1' WHERE monitor_id";
    fixture.raw.execute(&format!("{bind} = {}", made[0])).await;
    let (_, moved) = leader.done(&decision).await;
    assert_eq!(moved, 1);
    assert_eq!(fixture.assignment(made[0]).await, ["node1", "node1", "-", "-"]);
    assert_eq!(fixture.assignment(made[1]).await[0], "");
}

async fn a_monitor_at_home_bears_no_assigned_node(kind: Kind) {
    let (mut fixture, [mut one, mut two], mut leader) = two_nodes(kind).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let mut decision = leader.decision(fixture.stamp().await);
    for (from, source, to) in [("node1", 11, "node2"), ("node2", 22, "node1")] {
        decision.guards = vec![];
        decision.moves = vec![step(Step::Release, monitor, Some(from), None)];
        let (stamp, _) = leader.done(&decision).await;
        let tenure = if from == "node1" { &mut one } else { &mut two };
        tenure.acknowledge(stamp).await.unwrap();
        decision.seen = stamp;
        decision.guards = vec![acknowledged(from, source, stamp.generation)];
        decision.moves = vec![step(Step::Arrive, monitor, None, Some(to))];
        decision.seen = leader.done(&decision).await.0;
    }
    assert_eq!(fixture.assignment(monitor).await, ["node1", "-", "-", "-"]);
}

async fn while_frozen_only_what_an_operator_asked_for_begins_and_what_had_begun_ends(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _nodes = (fixture.start_node("node1", 11).await, fixture.start_node("node2", 22).await);
    let made = fixture.monitors(3, Some("node1")).await;
    let away = "UPDATE komainu_assignment SET assigned_node = '' WHERE monitor_id = ";
    fixture.raw.execute(&format!("{away}{}", made[0])).await;
    let asked = "UPDATE komainu_assignment SET node_id = 'node2', assigned_node = 'node1', asked = 1";
    fixture.raw.execute(&format!("{asked} WHERE monitor_id = {}", made[1])).await;
    let mut leader = fixture.leader("w1", 1).await;
    hands::freeze(&fixture.store, "test").await.unwrap();
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Release, &made[1..], Some("node1"), None);
    decision.moves[0].asked = true;
    decision.moves[0].home = Some("node2".into());
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::Frozen), "one of them nobody asked for");
    decision.moves.truncate(1);
    assert_eq!(leader.done(&decision).await.1, 1);
    let mut arrival = leader.decision(fixture.stamp().await);
    arrival.moves = steps(Step::Arrive, &made[..1], None, Some("node1"));
    assert_eq!(leader.done(&arrival).await.1, 1);
}

async fn a_monitor_sent_elsewhere_meanwhile_is_left_alone(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    fixture.add_node("node2").await;
    let made = fixture.monitors(1, Some("node1")).await;
    let sent = "UPDATE komainu_assignment SET assigned_node = '', asked = 1";
    fixture.raw.execute(sent).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Arrive, &made, None, Some("node2"));
    assert_eq!(leader.done(&decision).await.1, 0);
}
