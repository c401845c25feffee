//! How monitors are begun: marks that only their owner makes, and what becomes of those that are put aside.

use std::collections::BTreeSet;
use std::sync::Arc;

use komainu::chores::Chores;
use komainu::store::aside::{self, Settled};
use komainu::store::beginning::Beginnings;
use komainu_watchdogs::beginning::{Beginning, Past};
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::upkeep::Chore;
use tokio_util::task::AbortOnDropHandle;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_start_is_noted_for_the_holder_only_and_says_what_was_noted_before,
    what_a_process_began_apart_speaks_only_once_that_process_is_gone,
    what_is_put_aside_is_paused_and_told_once_until_somebody_resumes_it,
    what_was_put_aside_over_a_node_that_was_cut_off_is_resumed_when_that_is_back,
    a_beat_after_the_start_clears_a_monitor_whatever_its_time_says,
    a_look_for_what_was_put_aside_that_fails_is_heard_of,
}

async fn a_start_is_noted_for_the_holder_only_and_says_what_was_noted_before(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let own = fixture.monitors(2, Some("node1")).await;
    let (holder, stranger) = (marks(&fixture, "node1", 11), marks(&fixture, "node1", 12));
    let noted = "SELECT COUNT(*) FROM komainu_assignment WHERE started_at_ms IS NOT NULL";
    assert_eq!(stranger.start(&own).await.unwrap().len(), 2);
    assert_eq!(fixture.raw.count(noted).await, 0);
    assert_eq!(holder.start(&own[..1]).await.unwrap(), [(own[0], Past::default())], "never before");
    assert_eq!(fixture.raw.count(noted).await, 1);
    let pasts = holder.start(&own).await.unwrap();
    assert!(pasts[0].1.started_after.is_some() && pasts[1].1.started_after.is_none(), "{pasts:?}");
    assert_eq!(fixture.raw.count(noted).await, 2);
}

async fn what_a_process_began_apart_speaks_only_once_that_process_is_gone(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let own = fixture.monitors(3, Some("node1")).await;
    let first = marks(&fixture, "node1", 11);
    first.start(&own).await.unwrap();
    let all: BTreeSet<MonitorId> = own.iter().copied().collect();
    assert!(!marks(&fixture, "node1", 12).begin_apart(&all).await.unwrap(), "whoever holds nothing begins nothing");
    assert!(first.begin_apart(&all).await.unwrap());
    first.begun_well(&BTreeSet::from([own[0]])).await.unwrap();
    assert!(first.begin_apart(&BTreeSet::from([own[1]])).await.unwrap());
    let begun = |pasts: Vec<(MonitorId, Past)>| pasts.into_iter().map(|(_, past)| past.begun_with).collect::<Vec<_>>();
    assert_eq!(begun(first.start(&own).await.unwrap()), [None, None, None], "it lives");
    let row = one.read_row().await.unwrap().unwrap();
    let mut two = fixture.tenure("node1", 12).await;
    assert!(two.register(row.incarnation, row.lease_seq).await.unwrap());
    let pasts = marks(&fixture, "node1", 12).start(&own).await.unwrap();
    assert_eq!(begun(pasts.clone()), [None, Some(1), Some(3)]);
    let beginnings: Vec<_> = pasts.iter().map(|(_, past)| past.beginning()).collect();
    assert_eq!(beginnings, [Beginning::Apart, Beginning::PutAside, Beginning::Alone]);
    first.put_aside(&all).await.unwrap();
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_assignment WHERE put_aside = 1").await, 0);
}

async fn what_is_put_aside_is_paused_and_told_once_until_somebody_resumes_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let own = put_aside_one_of_two(&mut fixture).await;
    let routing = Routing::default();
    let settled = aside::settle(&fixture.store, &routing).await.unwrap();
    assert_eq!(settled, Settled { paused: 1, ..Settled::default() });
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap(), Settled::default(), "once");
    assert_eq!(active(&mut fixture).await, ["1", "0"]);
    let open = "SELECT k, severity FROM komainu_incident WHERE resolved_at IS NULL";
    assert_eq!(fixture.raw.rows(open).await, [[format!("aside/{}", own[1]), "critical".to_owned()]]);
    let deed = fixture.raw.rows("SELECT who, subject FROM komainu_audit WHERE what = 'monitor.aside'").await;
    assert_eq!(deed, [["komainu".to_owned(), format!("monitor/{}", own[1])]]);
    fixture.raw.execute("UPDATE monitor SET active = 1").await;
    let past = async |fixture: &Fixture| marks(fixture, "node2", 21).start(&own[1..]).await.unwrap()[0].1;
    assert_eq!(past(&fixture).await.beginning(), Beginning::Apart, "it is begun with care, also before anybody looked");
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap(), Settled { ended: 1, ..Settled::default() });
    assert_eq!(past(&fixture).await.beginning(), Beginning::Apart);
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap(), Settled::default());
}

async fn what_was_put_aside_over_a_node_that_was_cut_off_is_resumed_when_that_is_back(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let own = put_aside_one_of_two(&mut fixture).await;
    let routing = Routing::default();
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap().paused, 1);
    let mut back = fixture.tenure("node1", 11).await;
    let row = back.read_row().await.unwrap().unwrap();
    assert!(back.register(row.incarnation, row.lease_seq).await.unwrap());
    let settled = aside::settle(&fixture.store, &routing).await.unwrap();
    assert_eq!(settled, Settled { taken_back: 1, ..Settled::default() });
    assert_eq!(active(&mut fixture).await, ["1", "1"]);
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL";
    assert_eq!(fixture.raw.count(open).await, 0);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_assignment WHERE begun_by IS NOT NULL").await, 0);
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap(), Settled::default());
    let past = marks(&fixture, "node2", 21).start(&own[1..]).await.unwrap()[0].1;
    assert_eq!(past.beginning(), Beginning::Apart);
}

async fn a_beat_after_the_start_clears_a_monitor_whatever_its_time_says(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let own = fixture.monitors(2, Some("node1")).await;
    let marks = marks(&fixture, "node1", 11);
    fixture.change(own[0], 1, 60).await;
    marks.start(&own).await.unwrap();
    // By a clock that is an hour behind, and an hour ahead.
    fixture.change(own[1], 1, -3_600).await;
    let pasts = marks.start(&own).await.unwrap();
    let last = fixture.store.last_beats(&own).await.unwrap();
    let begun = |monitor| {
        let last_beat = last.iter().find(|beat| beat.monitor == monitor).map(|beat| beat.id);
        let past = pasts.iter().find(|(of, _)| *of == monitor).unwrap().1;
        Past { last_beat, ..past }.beginning()
    };
    assert_eq!((begun(own[0]), begun(own[1])), (Beginning::Apart, Beginning::AtOnce));
}

async fn a_look_for_what_was_put_aside_that_fails_is_heard_of(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.raw.execute("ALTER TABLE komainu_assignment RENAME TO komainu_mislaid").await;
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let chores = Chores::new(move |chore, outcome| drop(said.send((chore, outcome))));
    let looking = komainu::alerts::aside::run(fixture.store.clone(), Arc::default(), chores);
    let _looking = AbortOnDropHandle::new(tokio::spawn(looking));
    let (chore, outcome) = heard.recv().await.unwrap();
    assert!(chore == Chore::Aside && outcome.is_err(), "{outcome:?}");
}

/// `node1` began the second one apart and is gone; `node2`, which has both now, puts it aside.
async fn put_aside_one_of_two(fixture: &mut Fixture) -> Vec<MonitorId> {
    let _one = fixture.start_node("node1", 11).await;
    let _two = fixture.start_node("node2", 21).await;
    let own = fixture.monitors(2, Some("node1")).await;
    let (first, second) = (marks(fixture, "node1", 11), marks(fixture, "node2", 21));
    assert_eq!(aside::settle(&fixture.store, &Routing::default()).await.unwrap(), Settled::default());
    first.start(&own).await.unwrap();
    first.begin_apart(&BTreeSet::from([own[1]])).await.unwrap();
    fixture.raw.execute("UPDATE node SET incarnation = NULL WHERE node_id = 'node1'").await;
    fixture.raw.execute("UPDATE komainu_assignment SET assigned_node = 'node2'").await;
    let pasts = second.start(&own).await.unwrap();
    let begun: Vec<_> = pasts.iter().map(|(_, past)| past.beginning()).collect();
    assert_eq!(begun, [Beginning::Apart, Beginning::PutAside]);
    second.put_aside(&BTreeSet::from([own[1]])).await.unwrap();
    own
}

async fn active(fixture: &mut Fixture) -> Vec<String> {
    fixture.raw.rows("SELECT active FROM monitor ORDER BY id").await.concat()
}

fn marks(fixture: &Fixture, node: &str, incarnation: u64) -> Beginnings {
    Beginnings::new(fixture.store.clone(), node.into(), Incarnation(incarnation))
}
