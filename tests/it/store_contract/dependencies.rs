//! What depends on something that people know of is not told while that lasts, and in one message afterwards, if it is still bad.

use komainu::store::dependencies::{self, DependencyFilter, Refusal, Wish};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Matcher, Route, Routing};
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, Vendor, deliverer, raise, resolve, routing};
use crate::cluster::wait::wait_until;

on_both_databases! {
    five_hundred_under_one_cause_are_one_message_and_what_is_still_bad_afterwards_one_more,
    a_channel_that_is_not_told_of_the_cause_is_told_of_what_depends_on_it,
    a_cause_that_its_own_cause_hides_goes_on_hiding_what_depends_on_it,
    circles_are_refused_whoever_closes_them_and_what_is_deleted_depends_on_nothing,
}

const HELD: &str = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'held' AND held_by IS NOT NULL";

/// What stands in the table, whatever kinds there are.
async fn declare(fixture: &mut Fixture, pairs: &[(String, String)]) {
    let rows: Vec<_> = pairs.iter().map(|(child, cause)| format!("('{child}', '{cause}')")).collect();
    let sql = format!("INSERT INTO komainu_dependency (child, cause) VALUES {}", rows.join(", "));
    fixture.raw.execute(&sql).await;
}

fn pair(child: &str, cause: &str) -> (String, String) {
    (child.to_owned(), cause.to_owned())
}

/// As if the time in which things may recover had passed.
async fn let_settle(fixture: &mut Fixture, key: &str) {
    let sql = format!("UPDATE komainu_incident SET resolved_at = resolved_at - 60000 WHERE k = '{key}'");
    fixture.raw.execute(&sql).await;
}

async fn five_hundred_under_one_cause_are_one_message_and_what_is_still_bad_afterwards_one_more(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let children: Vec<_> = (1..=500).map(|number| format!("later/{number:03}")).collect();
    let pairs: Vec<_> = children.iter().map(|child| pair(child, "later/router")).collect();
    declare(&mut fixture, &pairs).await;
    raise(&fixture, "later/router", &routing).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    for key in &children {
        let summary = format!("{key} is bad");
        let alarm = Alarm { key: key.clone(), severity: Severity::Critical, summary, votes: (2, 3) };
        watch.raise(&alarm, &routing).await.unwrap();
    }
    let _running: Vec<_> = (1..=3).map(|me| deliverer(&fixture, me, &routing, &[("ops", &ops)])).collect();
    wait_until("all are held", PATIENCE, async || fixture.raw.count(HELD).await == 500).await;
    ops.wait_for(1).await;
    assert_eq!(ops.told(), [["opened later/router"]]);
    // Most recover with their cause.
    fixture.raw.execute("UPDATE komainu_incident SET resolved_at = opened_at WHERE k LIKE 'later/4%'").await;
    let seen = fixture.raw.count("SELECT last_bad_at FROM komainu_incident WHERE k = 'later/router'").await;
    assert!(watch.resolve("later/router", Wall(seen)).await.unwrap());
    ops.wait_for(2).await;
    wait_until("those are dropped", PATIENCE, async || fixture.raw.count(HELD).await == 400).await;
    assert_eq!(ops.told(), [["opened later/router"], ["resolved later/router"]]);
    let_settle(&mut fixture, "later/router").await;
    ops.wait_for(3).await;
    wait_until("nothing is held", PATIENCE, async || fixture.raw.count(HELD).await == 0).await;
    let told = ops.told();
    assert_eq!((told.len(), told[2].len()), (3, 400), "one message of all that is still bad");
    assert!(!told[2].iter().any(|line| line.starts_with("opened later/4")), "which is over, and nobody heard of");
}

async fn a_channel_that_is_not_told_of_the_cause_is_told_of_what_depends_on_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (all, ops, phone) = (routing(&["ops", "phone"], None), Vendor::default(), Vendor::default());
    let of_child = Matcher { key: Some("later/child".to_owned()), ..Matcher::default() };
    let routes = vec![
        Route { channels: vec!["ops".to_owned()], ..all.routes[0].clone() },
        Route { matcher: of_child, channels: vec!["phone".to_owned()], ..all.routes[0].clone() },
    ];
    let routing = Routing { routes, ..all };
    declare(&mut fixture, &[pair("later/child", "later/cause")]).await;
    raise(&fixture, "later/cause", &routing).await;
    raise(&fixture, "later/child", &routing).await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops), ("phone", &phone)]);
    phone.wait_for(1).await;
    ops.wait_for(1).await;
    wait_until("one is held", PATIENCE, async || fixture.raw.count(HELD).await == 1).await;
    assert_eq!(
        (ops.told(), phone.told()),
        (vec![vec!["opened later/cause".to_owned()]], vec![vec!["opened later/child".to_owned()]])
    );
}

async fn a_cause_that_its_own_cause_hides_goes_on_hiding_what_depends_on_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    declare(&mut fixture, &[pair("later/host", "later/line"), pair("later/app", "later/host")]).await;
    for key in ["later/line", "later/host", "later/app"] {
        raise(&fixture, key, &routing).await;
    }
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    wait_until("two are held", PATIENCE, async || fixture.raw.count(HELD).await == 2).await;
    ops.wait_for(1).await;
    resolve(&fixture, "later/line").await;
    resolve(&fixture, "later/host").await;
    ops.wait_for(2).await;
    wait_until("the host is dropped", PATIENCE, async || fixture.raw.count(HELD).await == 1).await;
    assert_eq!(ops.told(), [["opened later/line"], ["resolved later/line"]]);
    let_settle(&mut fixture, "later/host").await;
    ops.wait_for(3).await;
    assert_eq!(ops.told()[2], ["opened later/app"]);
}

async fn circles_are_refused_whoever_closes_them_and_what_is_deleted_depends_on_nothing(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    for node in ["n1", "n2", "n3"] {
        fixture.add_node(node).await;
    }
    let wish = |child: &str, cause: &str| Wish { subject: child.to_owned(), causes: vec![cause.to_owned()] };
    let write = async |wishes: &[Wish]| dependencies::write(&fixture.store, "key/ops", wishes).await.unwrap();
    let made = write(&[wish("node/n1", "node/n2"), wish("node/n2", "node/n3")]).await;
    assert_eq!(made, Ok(vec!["node/n1".to_owned(), "node/n2".to_owned()]));
    let circle = "is a circle: node/n3 depends on node/n1 depends on node/n2 depends on node/n3".to_owned();
    assert_eq!(write(&[wish("node/n3", "node/n1")]).await, Err(Refusal::Faults(vec![(0, "depends_on", circle)])));
    let lost = write(&[wish("node/n3", "monitor/900000")]).await;
    assert_eq!(lost, Err(Refusal::Faults(vec![(0, "depends_on", "there is no monitor 900000".to_owned())])));
    let nothing = Wish { subject: "node/n2".to_owned(), causes: vec![] };
    assert_eq!(write(&[nothing]).await, Ok(vec!["node/n2".to_owned()]));
    // Two at once, of which neither sees the other's: one of them comes first, and the other would close the circle.
    let (to, fro) = ([wish("node/n2", "node/n3")], [wish("node/n3", "node/n2")]);
    let (one, other) = tokio::join!(write(&to), write(&fro));
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|is_done| **is_done).count(), 1, "{one:?} {other:?}");
    let all = dependencies::list(&fixture.store, &DependencyFilter::default(), None, 10).await.unwrap().items;
    assert_eq!(
        all.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(),
        ["node/n1", if one.is_ok() { "node/n2" } else { "node/n3" }]
    );
    let trail = "SELECT COUNT(*) FROM komainu_audit WHERE what = 'dependency.edit'";
    assert_eq!(fixture.raw.count(trail).await, 4);
}
