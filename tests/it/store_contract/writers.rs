//! Who writes to which database server, and what people are told where there are several.

use komainu::store::writers::{self, Writers};
use komainu_watchdogs::facts::Report;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::Write;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::tail::Claim;

use super::fixture::{Fixture, Kind, identity};

/// A round of this watchdog.
async fn write(fixture: &Fixture, watchdog: &str) {
    let report = Report {
        watchdog: watchdog.into(),
        incarnation: Incarnation(1),
        seq: 1,
        zone: "rack-a".into(),
        isolated: false,
        database_ok: true,
        observations: vec![],
        database_report: None,
        seen: None,
    };
    let mut watch = fixture.store.watch(identity(watchdog)).await.unwrap();
    watch.write(&Write { report, claim: Claim::default(), stopped: false }).await.unwrap();
}

fn names(writers: &Writers) -> Vec<(&str, Vec<&str>)> {
    writers.iter().map(|(server, who)| (server.as_str(), who.iter().map(String::as_str).collect())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn watchdogs_and_nodes_enter_where_they_write_and_an_incident_says_when_they_differ() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let mut node = fixture.start_node("node1", rand::random()).await;
    assert!(node.renew(None, 0).await.unwrap());
    for watchdog in ["w1", "w2"] {
        write(&fixture, watchdog).await;
    }
    let here = fixture.store.server().unwrap().name;
    let routing = Routing::default();
    let all = writers::seen(&fixture.store).await.unwrap();
    assert_eq!(names(&all), [(here.as_str(), vec!["node1", "w1", "w2"])]);
    assert!(!writers::settle(&fixture.store, &all, &routing).await.unwrap());
    // As another server's name would come by replication.
    fixture.raw.execute("UPDATE komainu_watchdog SET server = 'zz:3306' WHERE watchdog_id = 'w2'").await;
    let two = writers::seen(&fixture.store).await.unwrap();
    assert_eq!(names(&two), [(here.as_str(), vec!["node1", "w1"]), ("zz:3306", vec!["w2"])]);
    assert!(writers::settle(&fixture.store, &two, &routing).await.unwrap());
    let open = "SELECT severity, summary FROM komainu_incident WHERE k = 'servers' AND resolved_at IS NULL";
    let summary = format!("several database servers are written to: {here} (node1, w1); zz:3306 (w2)");
    assert_eq!(fixture.raw.rows(open).await, [["critical".to_owned(), summary]], "they are no cluster");
    write(&fixture, "w2").await;
    let one = writers::seen(&fixture.store).await.unwrap();
    assert!(writers::settle(&fixture.store, &one, &routing).await.unwrap());
    assert!(fixture.raw.rows(open).await.is_empty());
    // Who stopped, or is long silent, writes nowhere.
    fixture.raw.execute("UPDATE komainu_watchdog SET last_seen = last_seen - 11000, server = 'zz:3306'").await;
    assert_eq!(names(&writers::seen(&fixture.store).await.unwrap()), [(here.as_str(), vec!["node1"])]);
}
