//! Incidents: one open per key, resolved only when nobody saw it bad since.

use komainu::store::incidents::{self, IncidentFilter};
use komainu_watchdogs::io::{Alarm, Severity};

use super::fixture::{Fixture, Kind, identity};
use super::on_both_databases;

on_both_databases! {
    twenty_who_raise_at_once_open_one_incident,
    a_resolve_fails_when_somebody_saw_it_bad_since,
    a_resolved_incident_opens_anew,
    people_list_and_acknowledge,
}

fn alarm(key: &str) -> Alarm {
    Alarm { key: key.to_owned(), severity: Severity::Critical, summary: "it is gone".to_owned(), votes: (2, 3) }
}

async fn twenty_who_raise_at_once_open_one_incident(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut raises = vec![];
    for watchdog in 0..20 {
        let mut watch = fixture.store.watch(identity(&format!("w{watchdog}"))).await.unwrap();
        raises.push(tokio::spawn(async move { watch.raise(&alarm("node/node1")).await.unwrap() }));
    }
    let mut opened = 0;
    for raise in raises {
        opened += u32::from(raise.await.unwrap());
    }
    assert_eq!(opened, 1);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 1);
}

async fn a_resolve_fails_when_somebody_saw_it_bad_since(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.store.watch(identity("w1")).await.unwrap();
    let mut two = fixture.store.watch(identity("w2")).await.unwrap();
    assert!(one.raise(&alarm("node/node1")).await.unwrap());
    let seen = one.read_round(false).await.unwrap().incidents[0].last_bad_at;
    assert!(!two.raise(&alarm("node/node1")).await.unwrap());
    assert!(!one.resolve("node/node1", seen).await.unwrap());
    let seen = one.read_round(false).await.unwrap().incidents[0].last_bad_at;
    assert!(one.resolve("node/node1", seen).await.unwrap());
    assert!(!one.resolve("node/node1", seen).await.unwrap());
    assert!(one.read_round(false).await.unwrap().incidents.is_empty());
}

async fn a_resolved_incident_opens_anew(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    for _ in 0..3 {
        assert!(watch.raise(&alarm("capacity")).await.unwrap());
        let seen = watch.read_round(false).await.unwrap().incidents[0].last_bad_at;
        assert!(watch.resolve("capacity", seen).await.unwrap());
    }
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident WHERE k = 'capacity'").await, 3);
}

async fn people_list_and_acknowledge(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    for key in ["node/node1", "node/node2", "leader"] {
        watch.raise(&alarm(key)).await.unwrap();
    }
    let of_nodes = IncidentFilter { is_open: Some(true), key: Some("node".to_owned()) };
    let page = incidents::list(&fixture.store, &of_nodes, None, 1).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].key.as_str()), (1, "node/node2"));
    let rest = incidents::list(&fixture.store, &of_nodes, page.next.as_deref(), 1).await.unwrap();
    assert_eq!((rest.items[0].key.as_str(), rest.next), ("node/node1", None));
    assert_eq!((rest.items[0].votes_bad, rest.items[0].votes_of), (2, 3));
    let id = rest.items[0].id;
    assert!(incidents::acknowledge(&fixture.store, id, "ada").await.unwrap());
    assert!(!incidents::acknowledge(&fixture.store, 999, "ada").await.unwrap());
    let all = incidents::list(&fixture.store, &IncidentFilter::default(), None, 10).await.unwrap().items;
    let acknowledged = all.iter().find(|incident| incident.id == id).unwrap();
    assert_eq!(acknowledged.acknowledged_by.as_deref(), Some("ada"));
    assert!(incidents::list(&fixture.store, &of_nodes, Some("garbage"), 1).await.is_err());
}
