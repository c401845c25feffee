//! Where monitors are and were before, and what moved lately.

use komainu::store::hands::{self, Goal, HandMove, PinPlace, Selection};
use komainu::store::monitors;
use komainu_watchdogs::decision::{MoveReason, Step};
use komainu_watchdogs::ids::MonitorId;

use super::fixture::{Fixture, Kind, revoke, steps};
use super::moves::two_nodes;
use super::on_both_databases;

on_both_databases! {
    where_a_monitor_was_is_told_with_why,
    what_moved_lately_is_told_by_decision,
    what_was_is_cut_at_its_bound,
}

/// Node and reason, the latest first.
async fn told(fixture: &Fixture, monitor: MonitorId) -> Vec<(String, String)> {
    let places = monitors::places(&fixture.store, monitor).await.unwrap().unwrap();
    places.into_iter().map(|place| (place.node.to_string(), place.reason)).collect()
}

fn of(places: &[(&str, &str)]) -> Vec<(String, String)> {
    places.iter().map(|(node, reason)| ((*node).to_owned(), (*reason).to_owned())).collect()
}

async fn where_a_monitor_was_is_told_with_why(kind: Kind) {
    let (fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(2, Some("node1")).await;
    assert_eq!(told(&fixture, made[0]).await, of(&[("node1", "operator")]));
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
    decision.moves.iter_mut().for_each(|step| step.reason = MoveReason::NodeOffline);
    leader.done(&decision).await;
    let moved = of(&[("node2", "node_offline"), ("node1", "operator")]);
    assert_eq!(told(&fixture, made[0]).await, moved);
    // A pin moves nothing.
    let pin = HandMove { which: Selection::Ids(vec![made[0]]), goal: Goal::Pin(PinPlace::WhereItRuns) };
    hands::move_by_hand(&fixture.store, &pin, "test").await.unwrap();
    assert_eq!(told(&fixture, made[0]).await, moved);
    assert_eq!(told(&fixture, made[1]).await, moved);
    assert!(monitors::places(&fixture.store, MonitorId(4_711)).await.unwrap().is_none());
}

async fn what_moved_lately_is_told_by_decision(kind: Kind) {
    let (fixture, [_one, _two], mut leader) = two_nodes(kind).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    decision.moves = steps(Step::Failover, &made, Some("node1"), Some("node2"));
    let (stamp, _) = leader.done(&decision).await;
    let lately = monitors::arrivals(&fixture.store, 10).await.unwrap();
    let [arrival] = lately.as_slice() else { panic!("{lately:?}") };
    let told = (arrival.generation, arrival.node.as_str(), arrival.monitors, arrival.reason.as_str());
    assert_eq!(told, (stamp.generation, "node2", 3, "drain"));
    assert!(arrival.at.0 > 0);
}

async fn what_was_is_cut_at_its_bound(kind: Kind) {
    let (mut fixture, [_one, _two], _leader) = two_nodes(kind).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let to =
        |node: &str| HandMove { which: Selection::Ids(vec![made[0]]), goal: Goal::Move { to: node.into(), pin: None } };
    for turn in 0..40 {
        let home = if turn % 2 == 0 { "node2" } else { "node1" };
        hands::move_by_hand(&fixture.store, &to(home), "test").await.unwrap();
    }
    let kept =
        format!("SELECT COUNT(*) FROM komainu_assignment WHERE LENGTH(places) = 400 AND monitor_id = {}", made[0].0);
    assert_eq!(fixture.raw.count(&kept).await, 1);
    assert_eq!(told(&fixture, made[0]).await.first().map(|(node, _)| node.as_str()), Some("node1"));
}
