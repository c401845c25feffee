//! Nodes as operators add, change and delete them.

use komainu::store::audit::{self, AuditFilter};
use komainu::store::hands::{self, Goal, HandMove, HandOutcome, Selection};
use komainu::store::nodes::{self, Deletion, DeletionWish, NewNode, NodeChange};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::rows::observed;

on_both_databases! {
    nodes_are_added_changed_and_deleted,
    a_node_of_the_fork_is_entered_once,
    a_node_with_monitors_or_a_lease_is_not_deleted,
    a_node_whose_process_vanished_is_deleted_once_its_lease_is_over,
    a_deleted_nodes_monitors_are_at_home_where_they_run,
    a_node_that_takes_all_traffic_is_not_deleted,
    what_an_edit_does_not_name_stays,
    an_edit_that_changes_nothing_leaves_no_trace,
}

const REHOME: DeletionWish = DeletionWish { rehome: true, is_lease_over: false };

async fn delete(fixture: &Fixture, node: &str, wish: DeletionWish) -> Deletion {
    nodes::delete(&fixture.store, &node.into(), wish, "test").await.unwrap()
}

async fn nodes_are_added_changed_and_deleted(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let node = "node1".into();
    let again = NewNode { node_id: "node1".into(), weight: 1, ..NewNode::default() };
    assert!(!nodes::add(&fixture.store, &again, "test").await.unwrap());
    let change = NodeChange { name: Some("One".to_owned()), ..NodeChange::default() };
    assert!(nodes::edit(&fixture.store, &node, &change, "test").await.unwrap());
    assert!(!nodes::edit(&fixture.store, &"nobody".into(), &change, "test").await.unwrap());
    let info = nodes::get(&fixture.store, &node).await.unwrap().unwrap();
    assert_eq!((info.name.as_str(), info.address.as_str(), info.weight), ("One", "http://node1:3001", 100));
    assert_eq!((info.status.as_str(), info.capacity, info.incarnation), ("new", None, None));
    assert_eq!(delete(&fixture, "node1", DeletionWish::default()).await, Deletion::Deleted);
    assert_eq!(delete(&fixture, "node1", DeletionWish::default()).await, Deletion::Unknown);
    let trail = audit::list(&fixture.store, &AuditFilter::default(), None, 10).await.unwrap().items;
    let whats: Vec<&str> = trail.iter().map(|row| row.deed.what.as_str()).collect();
    assert_eq!(whats, ["node.delete", "node.edit", "node.add"]);
    assert!(trail.iter().all(|row| row.deed.who == "test" && row.deed.subject == "node1"));
    let edit = &trail[1].deed;
    let (before, after) = (edit.before.as_deref().unwrap(), edit.after.as_deref().unwrap());
    assert_eq!((before, after), (r#"{"name":"node1"}"#, r#"{"name":"One"}"#));
}

async fn what_an_edit_does_not_name_stays(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let node = "node1".into();
    let before = fixture.stamp().await.generation;
    let labels = NodeChange { labels: Some(vec!["eu".to_owned(), "ssd".to_owned()]), ..NodeChange::default() };
    let capacity = NodeChange { capacity: Some(Some(7)), weight: Some(50), ..NodeChange::default() };
    // Two operators at once, each with a field of its own.
    let (one, other) = tokio::join!(
        nodes::edit(&fixture.store, &node, &labels, "ada"),
        nodes::edit(&fixture.store, &node, &capacity, "bob")
    );
    assert!(one.unwrap() && other.unwrap());
    let info = nodes::get(&fixture.store, &node).await.unwrap().unwrap();
    assert_eq!((info.labels, info.capacity, info.weight), (vec!["eu".to_owned(), "ssd".to_owned()], Some(7), 50));
    assert_eq!(fixture.stamp().await.generation.0, before.0 + 2, "what was planned before is refused");
    let limit = NodeChange { capacity: Some(None), ..NodeChange::default() };
    assert!(nodes::edit(&fixture.store, &node, &limit, "test").await.unwrap());
    assert_eq!(nodes::get(&fixture.store, &node).await.unwrap().unwrap().capacity, None);
}

async fn an_edit_that_changes_nothing_leaves_no_trace(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let before = fixture.stamp().await;
    let same = NodeChange { weight: Some(100), labels: Some(vec![]), ..NodeChange::default() };
    assert!(nodes::edit(&fixture.store, &"node1".into(), &same, "test").await.unwrap());
    assert_eq!(fixture.stamp().await, before);
    let filter = AuditFilter { what: Some("node.edit".to_owned()), ..AuditFilter::default() };
    assert!(audit::list(&fixture.store, &filter, None, 10).await.unwrap().items.is_empty());
}

async fn a_node_of_the_fork_is_entered_once(kind: Kind) {
    let fixture = observed(kind, true).await;
    let new = NewNode {
        node_id: "node1".into(),
        name: "another name".to_owned(),
        address: "http://10.0.0.1:3001".to_owned(),
        weight: 50,
        ..NewNode::default()
    };
    assert!(nodes::add(&fixture.store, &new, "test").await.unwrap());
    let node = nodes::get(&fixture.store, &"node1".into()).await.unwrap().unwrap();
    assert_eq!((node.name.as_str(), node.status.as_str()), ("One", "online"), "the fork's own");
    assert_eq!((node.address.as_str(), node.weight), ("http://10.0.0.1:3001", 50));
    assert!(!nodes::add(&fixture.store, &new, "test").await.unwrap(), "it is komainu's now");
}

async fn a_node_with_monitors_or_a_lease_is_not_deleted(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut tenure = fixture.start_node("node1", 11).await;
    fixture.monitors(2, Some("node1")).await;
    assert_eq!(delete(&fixture, "node1", REHOME).await, Deletion::Alive);
    tenure.release().await.unwrap();
    assert_eq!(delete(&fixture, "node1", REHOME).await, Deletion::Runs(2));
    let info = nodes::get(&fixture.store, &"node1".into()).await.unwrap().unwrap();
    assert_eq!((info.monitors, info.home_monitors), (2, 2));
}

async fn a_node_whose_process_vanished_is_deleted_once_its_lease_is_over(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _killed = fixture.start_node("node1", 11).await;
    assert_eq!(delete(&fixture, "node1", DeletionWish::default()).await, Deletion::Alive);
    let over = DeletionWish { is_lease_over: true, ..DeletionWish::default() };
    assert_eq!(delete(&fixture, "node1", over).await, Deletion::Deleted);
}

async fn a_deleted_nodes_monitors_are_at_home_where_they_run(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    fixture.add_node("node2").await;
    let made = fixture.monitors(3, Some("node1")).await;
    let away = "UPDATE komainu_assignment SET assigned_node = 'node2'";
    fixture.raw.execute(away).await;
    assert_eq!(delete(&fixture, "node1", DeletionWish::default()).await, Deletion::IsHome(3));
    let released = format!("UPDATE komainu_assignment SET assigned_node = '' WHERE monitor_id = {}", made[0]);
    fixture.raw.execute(&released).await;
    assert_eq!(delete(&fixture, "node1", REHOME).await, Deletion::Runs(1), "it may arrive at any moment");
    fixture.raw.execute(away).await;
    fixture.raw.execute(&format!("UPDATE komainu_assignment SET pinned = 1 WHERE monitor_id = {}", made[0])).await;
    assert_eq!(delete(&fixture, "node1", REHOME).await, Deletion::HasPins(1));
    let unpin = HandMove { which: Selection::Ids(vec![made[0]]), goal: Goal::Unpin };
    assert!(matches!(hands::move_by_hand(&fixture.store, &unpin, "test").await.unwrap(), HandOutcome::Done(_)));
    assert_eq!(delete(&fixture, "node1", REHOME).await, Deletion::Deleted);
    for monitor in made {
        assert_eq!(fixture.assignment(monitor).await, ["node2", "-", "-", "-"]);
    }
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_assignment WHERE node_id = 'node2'").await, 3);
}

async fn a_node_that_takes_all_traffic_is_not_deleted(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    assert_eq!(hands::pin_routing(&fixture.store, &"node1".into(), "ada").await.unwrap(), HandOutcome::Done(true));
    assert_eq!(hands::pin_routing(&fixture.store, &"node1".into(), "bob").await.unwrap(), HandOutcome::Done(false));
    assert_eq!(hands::pinned_node(&fixture.store).await.unwrap(), Some("node1".into()));
    assert_eq!(delete(&fixture, "node1", REHOME).await, Deletion::TakesTraffic);
    assert!(hands::unpin_routing(&fixture.store, "ada").await.unwrap());
    assert!(!hands::unpin_routing(&fixture.store, "ada").await.unwrap());
    assert_eq!(delete(&fixture, "node1", REHOME).await, Deletion::Deleted);
}
