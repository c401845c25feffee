//! Decisions about nodes: verdicts, overlays, losses; and what every decision leaves behind.

use std::collections::BTreeMap;

use komainu_watchdogs::decision::{StatusChange, StatusReason, Step};
use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::ids::Incarnation;

use super::fixture::{Fixture, Kind, StoresBeats, beat, identity, revoke, step, steps};
use super::moves::two_nodes;
use super::on_both_databases;
use crate::support::kuma;
use komainu::store::audit::{self, AuditFilter};
use komainu::store::beginning::Beginnings;
use komainu::store::hands::{self, Drain};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::{cluster, nodes};

on_both_databases! {
    statuses_alone_raise_no_generation,
    an_operator_who_changed_the_overlay_wins,
    losses_are_counted_and_forgotten,
    emptied_is_remembered_until_recovered,
    leftover_assignments_are_forgotten,
    every_decision_leaves_an_audit_row,
    the_forks_table_of_nodes_serves_as_well_as_our_own,
}

pub(super) fn status(node: &str, status: NodeStatus) -> StatusChange {
    StatusChange {
        node: node.into(),
        status,
        overlay_seen: Overlay::None,
        overlay: Overlay::None,
        is_loss: false,
        forgets_losses: false,
        recovered: false,
        reason: StatusReason::AllWell,
    }
}

async fn statuses_alone_raise_no_generation(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let before = fixture.stamp().await;
    let mut decision = leader.decision(before);
    decision.statuses = vec![status("node1", NodeStatus::Online)];
    assert_eq!(leader.done(&decision).await, (before, 0));
    let row = fixture.raw.rows("SELECT status, komainu_status FROM node WHERE node_id = 'node1'").await;
    assert_eq!(row[0], ["online", "online"]);
}

async fn an_operator_who_changed_the_overlay_wins(kind: Kind) {
    let (fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    hands::drain(&fixture.store, &"node1".into(), Drain::default(), "test").await.unwrap();
    let mut decision = leader.decision(fixture.stamp().await);
    decision.statuses = vec![StatusChange { overlay: Overlay::Drained, ..status("node1", NodeStatus::Online) }];
    leader.done(&decision).await;
    let node = nodes::get(&fixture.store, &"node1".into()).await.unwrap().unwrap();
    assert_eq!((node.overlay, node.status.as_str()), (Overlay::Draining, "new"));
    decision.statuses[0].overlay_seen = Overlay::Draining;
    leader.done(&decision).await;
    let node = nodes::get(&fixture.store, &"node1".into()).await.unwrap().unwrap();
    assert_eq!((node.overlay, node.status.as_str()), (Overlay::Drained, "online"));
}

async fn losses_are_counted_and_forgotten(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let mut decision = leader.decision(fixture.stamp().await);
    let losses = "SELECT losses, lost_at_ms IS NULL FROM node WHERE node_id = 'node1'";
    for (is_loss, forgets_losses, expected) in
        [(true, false, ["1", "0"]), (true, false, ["2", "0"]), (false, true, ["0", "1"]), (true, true, ["1", "0"])]
    {
        decision.statuses = vec![StatusChange { is_loss, forgets_losses, ..status("node1", NodeStatus::Offline) }];
        leader.done(&decision).await;
        assert_eq!(fixture.raw.rows(losses).await[0], expected);
    }
}

async fn emptied_is_remembered_until_recovered(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let mut decision = leader.decision(fixture.stamp().await);
    let mut taken = revoke("node1", 11, None);
    taken.is_emptied = true;
    decision.revokes = vec![taken];
    decision.seen = leader.done(&decision).await.0;
    let emptied = "SELECT emptied, recover_asked FROM node WHERE node_id = 'node1'";
    assert_eq!(fixture.raw.rows(emptied).await[0], [Incarnation(11).to_string().as_str(), "0"]);
    hands::ask_recover(&fixture.store, &"node1".into(), "test").await.unwrap();
    assert_eq!(fixture.raw.rows(emptied).await[0][1], "1");
    decision.seen = fixture.stamp().await;
    decision.revokes = vec![];
    decision.statuses = vec![StatusChange { recovered: true, ..status("node1", NodeStatus::Online) }];
    leader.done(&decision).await;
    assert_eq!(fixture.raw.rows(emptied).await[0], ["-", "0"]);
}

async fn leftover_assignments_are_forgotten(kind: Kind) {
    let (mut fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(3, Some("node1")).await;
    fixture.raw.execute(&format!("DELETE FROM monitor WHERE id = {}", made[1])).await;
    let before = fixture.stamp().await;
    let mut decision = leader.decision(before);
    decision.forget_leftover = true;
    assert_eq!(leader.done(&decision).await, (before, 0));
    assert_eq!(fixture.running_on("node1").await, 2);
}

async fn every_decision_leaves_an_audit_row(kind: Kind) {
    let (fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(2, None).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Place, &made, None, Some("node1"));
    leader.done(&decision).await;
    let decisions = AuditFilter { what: Some("decision".to_owned()), ..AuditFilter::default() };
    let trail = audit::list(&fixture.store, &decisions, None, 10).await.unwrap().items;
    assert_eq!(trail.len(), 1);
    assert_eq!(trail[0].deed.who, "w1/epoch 1");
    assert!(trail[0].deed.after.as_deref().unwrap().contains("\"monitors\":2"), "{:?}", trail[0]);
}

async fn the_forks_table_of_nodes_serves_as_well_as_our_own(kind: Kind) {
    let mut fixture = Fixture::empty(kind).await;
    fixture.raw.execute(&kuma::stock(kind == Kind::Sqlite)).await;
    fixture.raw.execute(&kuma::fork(kind == Kind::Sqlite)).await;
    fixture.raw.execute("INSERT INTO monitor (name, type, node_id) VALUES ('a', 'http', 'node1')").await;
    migrate::apply(&fixture.store, MigrateOptions::default()).await.unwrap();
    cluster::adopt(&fixture.store, &cluster::Homes::FromFork, "cli/ada").await.unwrap();
    let mut one = fixture.tenure("node1", 11).await;
    assert!(one.register(None, 0).await.unwrap());
    let (stamp, monitors) = one.read_assignments().await.unwrap();
    assert!(one.acknowledge(stamp).await.unwrap());
    let monitor = monitors[0].id;
    Beginnings::new(fixture.store.clone(), "node1".into(), Incarnation(11)).start(&[monitor]).await.unwrap();
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &[beat(monitor)]).await.unwrap(), 1);
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let round = watch.read_round().await.unwrap();
    assert!(round.nodes[0].applied_is_known && !round.nodes[0].has_foreign_status);
    let progress = fixture.store.errands(&"w1".into()).await.unwrap().progress(&BTreeMap::new()).await.unwrap();
    assert_eq!(progress[0].probing, 1);
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(stamp);
    decision.revokes = vec![revoke("node1", 11, Some(2))];
    decision.statuses = vec![status("node1", NodeStatus::Unreachable)];
    decision.moves = vec![step(Step::Failover, monitor, Some("node1"), Some("node2"))];
    assert_eq!(leader.done(&decision).await.1, 1);
    assert_eq!(fixture.running_on("node2").await, 1);
    let nodes = nodes::list(&fixture.store).await.unwrap();
    assert_eq!((nodes[0].status.as_str(), nodes[0].home_monitors, nodes[1].monitors), ("unreachable", 1, 1));
}
