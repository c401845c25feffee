//! Moves, pins and drains by hand: what they write, and what they do to whatever the leader planned meanwhile.

use komainu::store::audit::{self, AuditFilter};
use komainu::store::cluster;
use komainu::store::hands::{
    self, Drain, Goal, HandMove, HandOutcome, MonitorFault, MovedByHand, PinPlace, Refusal, Selection, WhyNot,
};
use komainu::store::monitors::{self, MonitorSpec, NewMonitor};
use komainu::store::nodes::{self, NodeChange};
use komainu_watchdogs::decision::Step;
use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use serde_json::{Value, json};

use super::fixture::{Fixture, Kind, seen, step, steps};
use super::on_both_databases;
use super::rows::observed;

on_both_databases! {
    a_moved_monitor_stays_where_it_runs_until_the_leader_takes_it_off,
    a_monitor_moved_back_to_where_it_runs_never_left,
    a_new_monitor_is_moved_at_once,
    a_monitor_that_is_nobodys_keeps_its_source,
    a_move_leaves_nothing_of_what_was_planned_for_it_before,
    a_move_of_many_is_all_or_nothing,
    a_tag_and_a_node_name_many,
    a_node_without_the_type_or_the_labels_is_refused,
    a_draining_node_takes_no_move,
    nothing_moves_by_hand_before_adoption,
    a_pin_binds_a_monitor_to_where_it_runs,
    a_moved_monitor_stays_pinned,
    an_unpinned_monitor_keeps_its_home,
    the_later_of_two_hands_wins,
    every_hand_leaves_what_was_and_what_is,
    a_drain_is_refused_while_pinned_monitors_are_there,
    a_drain_asked_twice_goes_on_as_it_was,
    a_resume_during_a_drain_undoes_what_was_planned,
}

async fn by_hand(fixture: &Fixture, which: Selection, goal: Goal) -> HandOutcome<MovedByHand> {
    hands::move_by_hand(&fixture.store, &HandMove { which, goal }, "key/ada").await.unwrap()
}

async fn done(fixture: &Fixture, which: Selection, goal: Goal) -> MovedByHand {
    match by_hand(fixture, which, goal).await {
        HandOutcome::Done(done) => done,
        HandOutcome::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn to(node: &str) -> Goal {
    Goal::Move { to: node.into(), pin: None }
}

fn only(monitor: MonitorId) -> Selection {
    Selection::Ids(vec![monitor])
}

/// Home, assigned node, pin, wish.
async fn stands(fixture: &mut Fixture, monitor: MonitorId) -> Vec<String> {
    let sql =
        format!("SELECT node_id, assigned_node, pinned, asked FROM komainu_assignment WHERE monitor_id = {monitor}");
    fixture.raw.rows(&sql).await.remove(0)
}

async fn nodes(kind: Kind, names: &[&str]) -> Fixture {
    let fixture = Fixture::native(kind).await;
    for name in names {
        fixture.add_node(name).await;
    }
    fixture
}

async fn a_moved_monitor_stays_where_it_runs_until_the_leader_takes_it_off(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let before = fixture.stamp().await.generation;
    let moved = done(&fixture, only(monitor), to("node2")).await;
    assert_eq!((moved.items[0].from.clone(), moved.items[0].to.clone()), (Some("node1".into()), Some("node2".into())));
    assert_eq!(stands(&mut fixture, monitor).await, ["node2", "node1", "0", "1"]);
    assert_eq!(fixture.stamp().await.generation, before.next());
    let again = done(&fixture, only(monitor), to("node2")).await;
    assert_eq!((again.items.len(), again.already_there), (1, 0), "it is on its way");
    assert_eq!(fixture.stamp().await.generation, before.next(), "nothing was left to write");
}

async fn a_monitor_moved_back_to_where_it_runs_never_left(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    done(&fixture, only(monitor), to("node2")).await;
    done(&fixture, only(monitor), to("node1")).await;
    assert_eq!(stands(&mut fixture, monitor).await, ["node1", "-", "0", "0"]);
    let there = done(&fixture, only(monitor), to("node1")).await;
    assert_eq!((there.items.len(), there.already_there), (0, 1));
}

async fn a_new_monitor_is_moved_at_once(kind: Kind) {
    let mut fixture = nodes(kind, &["node1"]).await;
    let monitor = fixture.monitors(1, None).await[0];
    done(&fixture, only(monitor), Goal::Move { to: "node1".into(), pin: Some(true) }).await;
    assert_eq!(stands(&mut fixture, monitor).await, ["node1", "-", "1", "0"]);
}

async fn a_monitor_that_is_nobodys_keeps_its_source(kind: Kind) {
    let mut fixture = nodes(kind, &["node2"]).await;
    let _one = fixture.start_node("node1", 11).await;
    let mut leader = fixture.leader("w1", 1).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Release, monitor, Some("node1"), None)];
    leader.done(&decision).await;
    done(&fixture, only(monitor), to("node2")).await;
    let eleven = Incarnation(11).to_string();
    assert_eq!(fixture.assignment(monitor).await, ["", "", "node1", eleven.as_str()]);
    assert_eq!(stands(&mut fixture, monitor).await, ["node2", "", "0", "1"]);
}

async fn a_move_leaves_nothing_of_what_was_planned_for_it_before(kind: Kind) {
    let mut fixture = nodes(kind, &["node2", "node3"]).await;
    let _one = fixture.start_node("node1", 11).await;
    let mut leader = fixture.leader("w1", 1).await;
    let made = fixture.monitors(2, Some("node1")).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Release, &made, Some("node1"), None);
    done(&fixture, only(made[0]), to("node2")).await;
    let (_, moved) = leader.done(&decision).await;
    assert_eq!((moved, stands(&mut fixture, made[0]).await[0].as_str()), (1, "node2"));
}

async fn a_move_of_many_is_all_or_nothing(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let before = fixture.stamp().await;
    let ids = vec![made[0], MonitorId(9_999), made[1]];
    let unknown = MonitorFault { monitor: MonitorId(9_999), why: WhyNot::Unknown };
    assert_eq!(
        by_hand(&fixture, Selection::Ids(ids), to("node2")).await,
        HandOutcome::Refused(Refusal::Impossible(vec![unknown]))
    );
    assert_eq!(
        by_hand(&fixture, Selection::Ids(made.clone()), to("node9")).await,
        HandOutcome::Refused(Refusal::NoSuchNode("node9".into()))
    );
    assert_eq!(fixture.stamp().await, before);
    assert_eq!(stands(&mut fixture, made[0]).await, ["node1", "-", "0", "0"]);
    assert_eq!(done(&fixture, Selection::Ids(made), to("node2")).await.items.len(), 3);
}

async fn a_tag_and_a_node_name_many(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let plain = fixture.monitors(2, Some("node1")).await;
    let spec = MonitorSpec { url: Some("http://t/".to_owned()), ..MonitorSpec::default() };
    let tagged =
        NewMonitor { spec, tags: vec!["shop".to_owned()], node_id: Some("node1".into()), ..NewMonitor::default() };
    let tagged = monitors::create_all(&fixture.store, &[tagged]).await.unwrap()[0];
    let moved = done(&fixture, Selection::Tag("shop".to_owned()), to("node2")).await;
    assert_eq!(moved.items.iter().map(|one| one.id).collect::<Vec<_>>(), [tagged]);
    // It still runs there, and is on its way.
    let moved = done(&fixture, Selection::FromNode("node1".into()), to("node2")).await;
    assert_eq!((moved.items.len(), moved.already_there), (3, 0));
    assert_eq!(stands(&mut fixture, plain[0]).await, ["node2", "node1", "0", "1"]);
    assert_eq!(done(&fixture, Selection::Tag("none".to_owned()), to("node2")).await, MovedByHand::default());
}

async fn a_node_without_the_type_or_the_labels_is_refused(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let wants = format!("UPDATE komainu_monitor SET run_on = '[\"eu\",\"ssd\"]' WHERE monitor_id = {}", made[0]);
    fixture.raw.execute(&wants).await;
    fixture.raw.execute(&format!("UPDATE monitor SET type = 'docker' WHERE id = {}", made[1])).await;
    fixture.raw.execute("INSERT INTO tag (id, name, color) VALUES (1, 'run_on', '#000000')").await;
    let tagged = format!("INSERT INTO monitor_tag (monitor_id, tag_id, value) VALUES ({}, 1, 'eu, lan')", made[2]);
    fixture.raw.execute(&tagged).await;
    let change = NodeChange {
        kinds: Some(vec!["http".to_owned()]),
        labels: Some(vec!["eu".to_owned()]),
        ..NodeChange::default()
    };
    nodes::edit(&fixture.store, &"node2".into(), &change, "test").await.unwrap();
    let node = || "node2".into();
    let faults = vec![
        MonitorFault { monitor: made[0], why: WhyNot::Labels { missing: vec!["ssd".to_owned()], node: node() } },
        MonitorFault { monitor: made[1], why: WhyNot::Kind { kind: "docker".to_owned(), node: node() } },
        MonitorFault { monitor: made[2], why: WhyNot::Labels { missing: vec!["lan".to_owned()], node: node() } },
    ];
    let refused = by_hand(&fixture, Selection::Ids(made), to("node2")).await;
    assert_eq!(refused, HandOutcome::Refused(Refusal::Impossible(faults)));
}

async fn a_draining_node_takes_no_move(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    hands::drain(&fixture.store, &"node2".into(), Drain::default(), "test").await.unwrap();
    let refused = by_hand(&fixture, only(monitor), to("node2")).await;
    assert_eq!(refused, HandOutcome::Refused(Refusal::Draining("node2".into())));
    assert_eq!(stands(&mut fixture, monitor).await, ["node1", "-", "0", "0"]);
}

async fn nothing_moves_by_hand_before_adoption(kind: Kind) {
    let mut fixture = observed(kind, false).await;
    fixture.add_node("node1").await;
    let monitor = MonitorId(fixture.raw.count("SELECT MIN(id) FROM monitor").await);
    assert_eq!(by_hand(&fixture, only(monitor), to("node1")).await, HandOutcome::Refused(Refusal::Observing));
    cluster::adopt(&fixture.store, &cluster::Homes::ByLeader, "cli/ada").await.unwrap();
    done(&fixture, only(monitor), to("node1")).await;
}

async fn a_pin_binds_a_monitor_to_where_it_runs(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let made = fixture.monitors(2, Some("node1")).await;
    let away = format!("UPDATE komainu_assignment SET assigned_node = 'node2' WHERE monitor_id = {}", made[0]);
    fixture.raw.execute(&away).await;
    done(&fixture, Selection::Ids(made.clone()), Goal::Pin(PinPlace::WhereItRuns)).await;
    assert_eq!(stands(&mut fixture, made[0]).await, ["node2", "-", "1", "0"]);
    assert_eq!(stands(&mut fixture, made[1]).await, ["node1", "-", "1", "0"]);
    done(&fixture, only(made[1]), Goal::Pin(PinPlace::Node("node2".into()))).await;
    assert_eq!(stands(&mut fixture, made[1]).await, ["node2", "node1", "1", "1"]);
    let new = fixture.monitors(1, None).await[0];
    let nowhere = MonitorFault { monitor: new, why: WhyNot::Nowhere };
    assert_eq!(
        by_hand(&fixture, only(new), Goal::Pin(PinPlace::WhereItRuns)).await,
        HandOutcome::Refused(Refusal::Impossible(vec![nowhere]))
    );
}

async fn a_moved_monitor_stays_pinned(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2"]).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    done(&fixture, only(monitor), Goal::Pin(PinPlace::WhereItRuns)).await;
    done(&fixture, only(monitor), to("node2")).await;
    assert_eq!(stands(&mut fixture, monitor).await, ["node2", "node1", "1", "1"]);
    done(&fixture, only(monitor), Goal::Move { to: "node2".into(), pin: Some(false) }).await;
    assert_eq!(stands(&mut fixture, monitor).await, ["node2", "node1", "0", "1"]);
}

async fn an_unpinned_monitor_keeps_its_home(kind: Kind) {
    let mut fixture = nodes(kind, &["node1"]).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    done(&fixture, only(monitor), Goal::Pin(PinPlace::WhereItRuns)).await;
    assert_eq!(done(&fixture, only(monitor), Goal::Unpin).await.items.len(), 1);
    assert_eq!(stands(&mut fixture, monitor).await, ["node1", "-", "0", "0"]);
    let again = done(&fixture, only(monitor), Goal::Unpin).await;
    assert_eq!((again.items.len(), again.already_there), (0, 1));
}

async fn the_later_of_two_hands_wins(kind: Kind) {
    let mut fixture = nodes(kind, &["node1", "node2", "node3"]).await;
    let made = fixture.monitors(20, Some("node1")).await;
    let all = || Selection::Ids(made.clone());
    let before = fixture.stamp().await.generation;
    let (one, other) = tokio::join!(
        done(&fixture, all(), to("node2")),
        done(&fixture, all(), Goal::Pin(PinPlace::Node("node3".into())))
    );
    assert_eq!((one.items.len(), other.items.len()), (20, 20));
    // Whichever came last, it holds for all of them, and the pin of one survives the move of the other.
    let homes = fixture.raw.rows("SELECT DISTINCT node_id, assigned_node, pinned, asked FROM komainu_assignment").await;
    assert_eq!((homes.len(), &homes[0][1..]), (1, ["node1", "1", "1"].map(str::to_owned).as_slice()));
    assert_eq!(fixture.stamp().await.generation.0, before.0 + 2);
}

async fn every_hand_leaves_what_was_and_what_is(kind: Kind) {
    let fixture = nodes(kind, &["node1", "node2"]).await;
    let made = fixture.monitors(2, Some("node1")).await;
    done(&fixture, only(made[0]), Goal::Move { to: "node2".into(), pin: Some(true) }).await;
    done(&fixture, Selection::Ids(made.clone()), to("node2")).await;
    hands::drain(&fixture.store, &"node1".into(), Drain { move_pinned: true }, "key/bob").await.unwrap();
    let trail = audit::list(&fixture.store, &AuditFilter::default(), None, 3).await.unwrap().items;
    let deeds: Vec<_> =
        trail.iter().map(|row| (row.deed.who.as_str(), row.deed.what.as_str(), row.deed.subject.clone())).collect();
    let one = format!("monitor/{}", made[0]);
    let other = format!("monitor/{}", made[1]);
    assert_eq!(
        deeds,
        [
            ("key/bob", "node.drain", "node1".to_owned()),
            ("key/ada", "monitor.move", other),
            ("key/ada", "monitor.move", one),
        ]
    );
    let said = |text: &Option<String>| serde_json::from_str::<Value>(text.as_deref().unwrap()).unwrap();
    let before = json!({"node_id": "node1", "effective_node": "node1", "pinned": false});
    assert_eq!(said(&trail[2].deed.before), before);
    assert_eq!(said(&trail[2].deed.after), json!({"node_id": "node2", "pinned": true}));
}

async fn a_drain_is_refused_while_pinned_monitors_are_there(kind: Kind) {
    let fixture = nodes(kind, &["node1"]).await;
    let made = fixture.monitors(2, Some("node1")).await;
    done(&fixture, only(made[1]), Goal::Pin(PinPlace::WhereItRuns)).await;
    let node = "node1".into();
    let before = fixture.stamp().await;
    let refused = hands::drain(&fixture.store, &node, Drain::default(), "test").await.unwrap();
    let HandOutcome::Refused(Refusal::Pinned(pinned)) = refused else { panic!("{refused:?}") };
    assert_eq!(pinned.iter().map(|one| one.id).collect::<Vec<_>>(), [made[1]]);
    assert_eq!(fixture.stamp().await, before);
    let along = Drain { move_pinned: true };
    assert_eq!(hands::drain(&fixture.store, &node, along, "test").await.unwrap(), HandOutcome::Done(true));
    let info = nodes::get(&fixture.store, &node).await.unwrap().unwrap();
    assert_eq!((info.overlay, info.drains_pinned), (Overlay::Draining, true));
    let unknown = hands::drain(&fixture.store, &"nobody".into(), along, "test").await.unwrap();
    assert_eq!(unknown, HandOutcome::Refused(Refusal::NoSuchNode("nobody".into())));
}

async fn a_drain_asked_twice_goes_on_as_it_was(kind: Kind) {
    let fixture = nodes(kind, &["node1"]).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    done(&fixture, only(monitor), Goal::Pin(PinPlace::WhereItRuns)).await;
    let node = "node1".into();
    hands::drain(&fixture.store, &node, Drain { move_pinned: true }, "ada").await.unwrap();
    let before = fixture.stamp().await;
    let again = hands::drain(&fixture.store, &node, Drain::default(), "bob").await.unwrap();
    assert_eq!(again, HandOutcome::Done(false), "pinned monitors were told to go along");
    assert_eq!(fixture.stamp().await, before);
    assert_eq!(hands::resume(&fixture.store, &node, "ada").await.unwrap(), HandOutcome::Done(true));
    assert_eq!(hands::resume(&fixture.store, &node, "bob").await.unwrap(), HandOutcome::Done(false));
    let info = nodes::get(&fixture.store, &node).await.unwrap().unwrap();
    assert_eq!((info.overlay, info.drains_pinned), (Overlay::None, false));
}

async fn a_resume_during_a_drain_undoes_what_was_planned(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let mut leader = fixture.leader("w1", 1).await;
    let made = fixture.monitors(3, Some("node1")).await;
    hands::drain(&fixture.store, &"node1".into(), Drain::default(), "test").await.unwrap();
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Release, &made, Some("node1"), None);
    decision.nodes = vec![seen("node1", Overlay::Draining)];
    hands::resume(&fixture.store, &"node1".into(), "test").await.unwrap();
    assert_eq!(leader.done(&decision).await.1, 0);
    assert_eq!(fixture.running_on("node1").await, 3);
}
