//! Ladders: who is called when nobody takes care of something. Each step is told once, by whoever acts first, and to nobody in vain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu::oncall::{NamedLadder, OnCall, Targets};
use komainu::outbox::{Calendar, Outlet};
use komainu::silence::{Matcher, NewSilence};
use komainu::store::outbox as store;
use komainu::store::silences::{self, Made};
use komainu::store::{incidents, prune};
use komainu_watchdogs::ladder::Ladder;
use komainu_watchdogs::routing::{Route, Routing};
use komainu_watchdogs::time::Wall;
use tokio_util::task::AbortOnDropHandle;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, Vendor, raise, resolve, start_on_call};
use crate::cluster::wait::wait_until;

on_both_databases! {
    nobody_takes_care_of_it_and_each_step_is_told_once_and_its_end_to_all,
    whoever_dies_over_a_step_it_is_entered_once,
    whoever_takes_care_of_it_stops_it_until_that_is_too_old,
    what_people_are_told_nothing_of_climbs_nothing_until_they_are,
    what_is_back_begins_anew_and_what_is_over_leaves_nothing,
}

const DUE: &str = "SELECT COUNT(*) FROM komainu_climb WHERE due_at IS NOT NULL";

/// Everything to `ops`, and up the ladder: `phone` after the first of these times, `boss` after the second.
fn calling(afters_ms: [u64; 2], ack_timeout: Option<Duration>) -> (Routing, OnCall) {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let route = Route { channels: names(&["ops"]), group_wait: Duration::ZERO, ..Route::default() };
    let to = |channel: &str| Targets { channels: names(&[channel]), ..Targets::default() };
    let times = Ladder { afters: afters_ms.map(Duration::from_millis).to_vec(), repeat: None, ack_timeout };
    let ladder = NamedLadder { times, steps: vec![to("phone"), to("boss")] };
    let on_call = OnCall {
        ladders: [("night".to_owned(), ladder)].into(),
        of_routes: vec![Some("night".to_owned())],
        ..OnCall::default()
    };
    (Routing { channels: names(&["boss", "ops", "phone"]), routes: vec![route] }, on_call)
}

fn deliverers(
    fixture: &Fixture,
    (routing, on_call): &(Routing, OnCall),
    vendors: &[(&str, &Vendor)],
) -> Vec<AbortOnDropHandle<()>> {
    let outlet =
        |vendor: &Vendor| Outlet { channel: Arc::new(vendor.clone()), fallback: None, calendar: Calendar::default() };
    let outlets: BTreeMap<_, _> = vendors.iter().map(|(name, vendor)| ((*name).to_owned(), outlet(vendor))).collect();
    (1..=3).map(|me| start_on_call(fixture, me, (routing, on_call), outlets.clone())).collect()
}

async fn nobody_takes_care_of_it_and_each_step_is_told_once_and_its_end_to_all(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (ops, phone, boss) = (Vendor::default(), Vendor::default(), Vendor::default());
    let calling = calling([0, 3_000], None);
    let _running = deliverers(&fixture, &calling, &[("ops", &ops), ("phone", &phone), ("boss", &boss)]);
    raise(&fixture, "later/1", &calling.0).await;
    phone.wait_for(1).await;
    boss.wait_for(1).await;
    let opened = "SELECT opened_at FROM komainu_incident";
    let told = "SELECT MAX(at) FROM komainu_event";
    let took = fixture.raw.count(told).await - fixture.raw.count(opened).await;
    assert!((3_000..5_000).contains(&took), "the second step is entered within 2 s of its time: {took} ms");
    let words = |vendor: &Vendor| vendor.taken()[0].items[0].summary.clone();
    assert_eq!(words(&phone), "later/1 is bad (nobody has acknowledged it: night, step 1)");
    assert_eq!(words(&boss), "later/1 is bad (nobody has acknowledged it: night, step 2)");
    resolve(&fixture, "later/1").await;
    for vendor in [&ops, &phone, &boss] {
        vendor.wait_for(2).await;
        assert_eq!(vendor.told(), [["opened later/1"], ["resolved later/1"]]);
    }
}

async fn whoever_dies_over_a_step_it_is_entered_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, on_call) = calling([0, 0], None);
    for number in 0..20 {
        raise(&fixture, &format!("later/{number}"), &routing).await;
    }
    let steps = "SELECT COUNT(*) FROM komainu_event WHERE summary LIKE '%(nobody has acknowledged it: night, step%'";
    let mut killed = 0_u64;
    while fixture.raw.count(steps).await < 40 && killed < 6_000 {
        // Each dies somewhere else; later ones live for longer.
        let lives = Duration::from_millis(killed % 40);
        let climbs = (0..3).map(|_| Box::pin(store::climb(&fixture.store, &routing, &on_call)));
        let _ = tokio::time::timeout(lives, futures_util::future::join_all(climbs)).await;
        killed += 3;
    }
    // Whoever has nothing to do does nothing.
    store::climb(&fixture.store, &routing, &on_call).await.unwrap();
    let each = "SELECT COUNT(*) FROM (SELECT DISTINCT incident_id, summary FROM komainu_event \
                WHERE summary LIKE '%(nobody has acknowledged it: night, step%') x";
    assert_eq!((fixture.raw.count(steps).await, fixture.raw.count(each).await), (40, 40), "after {killed} deaths");
}

async fn whoever_takes_care_of_it_stops_it_until_that_is_too_old(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (ops, phone, boss) = (Vendor::default(), Vendor::default(), Vendor::default());
    let timeout = Duration::from_secs(4);
    let calling = calling([0, 2_000], Some(timeout));
    let running = deliverers(&fixture, &calling, &[("ops", &ops), ("phone", &phone), ("boss", &boss)]);
    raise(&fixture, "later/1", &calling.0).await;
    phone.wait_for(1).await;
    let id = fixture.raw.count("SELECT id FROM komainu_incident").await;
    assert!(incidents::acknowledge(&fixture.store, id, "key/ada").await.unwrap());
    let acked = fixture.raw.count("SELECT acknowledged_at FROM komainu_incident").await;
    boss.wait_for(1).await;
    let told = fixture.raw.count("SELECT MAX(at) FROM komainu_event").await;
    assert!((4_000..7_000).contains(&(told - acked)), "{} ms", told - acked);
    assert_eq!(phone.told().concat(), ["opened later/1", "acknowledged later/1"]);
    assert_eq!(boss.told().concat(), ["opened later/1"]);

    // They would go on by their own ladder.
    drop(running);
    let (routing, on_call) = self::calling([0, 600_000], None);
    raise(&fixture, "later/2", &routing).await;
    store::climb(&fixture.store, &routing, &on_call).await.unwrap();
    let id = fixture.raw.count("SELECT id FROM komainu_incident WHERE k = 'later/2'").await;
    assert!(incidents::acknowledge(&fixture.store, id, "key/ada").await.unwrap());
    let due = format!("UPDATE komainu_climb SET due_at = due_at - 600000 WHERE incident_id = {id}");
    fixture.raw.execute(&due).await;
    store::climb(&fixture.store, &routing, &on_call).await.unwrap();
    let left = format!("{DUE} AND incident_id = {id}");
    assert_eq!((fixture.raw.count(&left).await, boss.told().len()), (0, 1), "it is stopped for good");
}

async fn what_people_are_told_nothing_of_climbs_nothing_until_they_are(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (ops, phone, boss) = (Vendor::default(), Vendor::default(), Vendor::default());
    let calling = calling([0, 1_000], None);
    let now = komainu::clock::wall();
    let new = NewSilence {
        matchers: vec![Matcher::parse("key=later/1").unwrap()],
        starts_at: Wall(now.0 - 1_000),
        ends_at: now + Duration::from_secs(3_600),
        until_resolved: false,
        recurrence: None,
        author: "ada".to_owned(),
        comment: "a new switch".to_owned(),
        window: None,
    };
    let Made::Silence(silence) = silences::create(&fixture.store, &new, "key/ada").await.unwrap() else {
        panic!("there is room");
    };
    raise(&fixture, "later/1", &calling.0).await;
    raise(&fixture, "later/2", &calling.0).await;
    let _running = deliverers(&fixture, &calling, &[("ops", &ops), ("phone", &phone), ("boss", &boss)]);
    boss.wait_for(1).await;
    for vendor in [&ops, &phone, &boss] {
        assert_eq!(vendor.told(), [["opened later/2"]]);
    }
    silences::expire(&fixture.store, &silence.uid, "key/ada").await.unwrap().unwrap();
    for vendor in [&ops, &phone, &boss] {
        vendor.wait_for(2).await;
        assert_eq!(vendor.told()[1], ["opened later/1"]);
    }
}

async fn what_is_back_begins_anew_and_what_is_over_leaves_nothing(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (ops, phone, boss) = (Vendor::default(), Vendor::default(), Vendor::default());
    let calling = calling([0, 600_000], None);
    let _running = deliverers(&fixture, &calling, &[("ops", &ops), ("phone", &phone), ("boss", &boss)]);
    raise(&fixture, "later/1", &calling.0).await;
    phone.wait_for(1).await;
    resolve(&fixture, "later/1").await;
    phone.wait_for(2).await;
    raise(&fixture, "later/1", &calling.0).await;
    phone.wait_for(3).await;
    assert_eq!(phone.told(), [["opened later/1"], ["resolved later/1"], ["opened later/1"]]);
    resolve(&fixture, "later/1").await;
    phone.wait_for(4).await;
    fixture.store.prune(&prune::Retention::default()).await.unwrap();
    wait_until("nothing climbs", PATIENCE, async || fixture.raw.count("SELECT COUNT(*) FROM komainu_climb").await == 0)
        .await;
    assert!(boss.taken().is_empty());
}
