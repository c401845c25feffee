//! How monitors are begun: marks that only their owner makes, and what becomes of those that are put aside.

use std::collections::BTreeSet;

use komainu::store::aside::{self, Settled};
use komainu::store::beginning::Beginnings;
use komainu_watchdogs::beginning::{Beginning, Past};
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::routing::Routing;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_start_is_noted_for_the_holder_only_and_says_what_was_noted_before,
    what_a_process_began_apart_speaks_only_once_that_process_is_gone,
    what_is_put_aside_is_paused_and_told_once_until_somebody_resumes_it,
}

async fn a_start_is_noted_for_the_holder_only_and_says_what_was_noted_before(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let own = fixture.monitors(2, Some("node1")).await;
    let (holder, stranger) = (marks(&fixture, 11), marks(&fixture, 12));
    let noted = "SELECT COUNT(*) FROM komainu_assignment WHERE started_at_ms IS NOT NULL";
    assert_eq!(stranger.start(&own).await.unwrap().len(), 2);
    assert_eq!(fixture.raw.count(noted).await, 0);
    assert_eq!(holder.start(&own[..1]).await.unwrap(), [(own[0], Past::default())], "never before");
    assert_eq!(fixture.raw.count(noted).await, 1);
    let pasts = holder.start(&own).await.unwrap();
    assert!(pasts[0].1.started_at.is_some() && pasts[1].1.started_at.is_none(), "{pasts:?}");
    assert_eq!(fixture.raw.count(noted).await, 2);
}

async fn what_a_process_began_apart_speaks_only_once_that_process_is_gone(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let own = fixture.monitors(3, Some("node1")).await;
    let first = marks(&fixture, 11);
    first.start(&own).await.unwrap();
    let all: BTreeSet<MonitorId> = own.iter().copied().collect();
    assert!(!marks(&fixture, 12).begin_apart(&all).await.unwrap(), "whoever holds nothing begins nothing");
    assert!(first.begin_apart(&all).await.unwrap());
    first.begun_well(&BTreeSet::from([own[0]])).await.unwrap();
    assert!(first.begin_apart(&BTreeSet::from([own[1]])).await.unwrap());
    let begun = |pasts: Vec<(MonitorId, Past)>| pasts.into_iter().map(|(_, past)| past.begun_with).collect::<Vec<_>>();
    assert_eq!(begun(first.start(&own).await.unwrap()), [None, None, None], "it lives");
    let row = one.read_row().await.unwrap().unwrap();
    let mut two = fixture.tenure("node1", 12).await;
    assert!(two.register(row.incarnation, row.lease_seq).await.unwrap());
    let pasts = marks(&fixture, 12).start(&own).await.unwrap();
    assert_eq!(begun(pasts.clone()), [None, Some(1), Some(3)]);
    let beginnings: Vec<_> = pasts.iter().map(|(_, past)| past.beginning()).collect();
    assert_eq!(beginnings, [Beginning::Apart, Beginning::PutAside, Beginning::Alone]);
    first.put_aside(&all).await.unwrap();
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_assignment WHERE put_aside = 1").await, 0);
}

async fn what_is_put_aside_is_paused_and_told_once_until_somebody_resumes_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let own = fixture.monitors(2, Some("node1")).await;
    let (marks, routing) = (marks(&fixture, 11), Routing::default());
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap(), Settled::default());
    marks.start(&own).await.unwrap();
    marks.put_aside(&BTreeSet::from([own[1]])).await.unwrap();
    let settled = aside::settle(&fixture.store, &routing).await.unwrap();
    assert_eq!(settled, Settled { paused: 1, ended: 0 });
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap(), Settled::default(), "once");
    let active = fixture.raw.rows("SELECT active FROM monitor ORDER BY id").await;
    assert_eq!(active, [["1"], ["0"]]);
    let open = "SELECT k, severity FROM komainu_incident WHERE resolved_at IS NULL";
    assert_eq!(fixture.raw.rows(open).await, [[format!("aside/{}", own[1]), "critical".to_owned()]]);
    let deed = fixture.raw.rows("SELECT who, subject FROM komainu_audit WHERE what = 'monitor.aside'").await;
    assert_eq!(deed, [["komainu".to_owned(), format!("monitor/{}", own[1])]]);
    fixture.raw.execute("UPDATE monitor SET active = 1").await;
    assert_eq!(aside::settle(&fixture.store, &routing).await.unwrap(), Settled { paused: 0, ended: 1 });
    let past = marks.start(&own[1..]).await.unwrap()[0].1;
    assert_eq!(past.beginning(), Beginning::Apart, "it is begun with care");
}

fn marks(fixture: &Fixture, incarnation: u64) -> Beginnings {
    Beginnings::new(fixture.store.clone(), "node1".into(), Incarnation(incarnation))
}
