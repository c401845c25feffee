//! Silences hold telling for as long as they are in force, never ends; what is still bad then is told in one message.

use std::time::Duration;

use komainu::silence::window::MOST_WINDOWS;
use komainu::silence::{MOST_SILENCES, Matcher, NewSilence, Silence, Window};
use komainu::store::maintenances::{self, Refusal, Target};
use komainu::store::prune::Retention;
use komainu::store::silences::{self, Made, upkeep};
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, Vendor, deliverer, raise, resolve, routing};
use crate::cluster::wait::wait_until;

on_both_databases! {
    what_is_silenced_is_told_to_nobody_and_in_one_message_when_the_silence_ends,
    an_end_is_told_to_whoever_heard_of_it_and_to_nobody_else,
    one_channel_alone_may_be_silenced,
    thousands_that_stay_silenced_hide_nothing_that_is_to_be_told,
    people_hear_once_that_a_silence_ends_over_something_bad,
    a_silence_until_something_is_over_ends_with_it,
    there_are_so_many_silences_and_no_more,
    silences_that_are_long_over_go,
    what_a_maintenance_holds_is_told_once_when_it_ends,
    there_are_so_many_maintenances_and_silences_have_room_beside_them,
}

const HELD: &str = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'held' AND silenced_by IS NOT NULL";

/// From now on, for an hour.
fn of(matchers: &[&str]) -> NewSilence {
    let now = komainu::clock::wall();
    NewSilence {
        matchers: matchers.iter().map(|text| Matcher::parse(text).unwrap()).collect(),
        starts_at: Wall(now.0 - 1_000),
        ends_at: now + Duration::from_secs(3_600),
        until_resolved: false,
        recurrence: None,
        author: "ada".to_owned(),
        comment: "a new switch".to_owned(),
        window: None,
    }
}

async fn silence(fixture: &Fixture, new: &NewSilence) -> Silence {
    match silences::create(&fixture.store, new, "key/ops").await.unwrap() {
        Made::Silence(silence) => *silence,
        Made::TooMany => panic!("there is room"),
    }
}

async fn what_is_silenced_is_told_to_nobody_and_in_one_message_when_the_silence_ends(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let made = silence(&fixture, &of(&["kind=node", "key=~node/n.*"])).await;
    let _running: Vec<_> = (1..=3).map(|me| deliverer(&fixture, me, &routing, &[("ops", &ops)])).collect();
    for number in 0..20 {
        raise(&fixture, &format!("node/n{number}"), &routing).await;
    }
    raise(&fixture, "capacity", &routing).await;
    wait_until("all are held", PATIENCE, async || fixture.raw.count(HELD).await == 20).await;
    ops.wait_for(1).await;
    assert_eq!(ops.told(), [["opened capacity"]]);
    let held = silences::held_by(&fixture.store, std::slice::from_ref(&made)).await.unwrap();
    let held = &held[&made.id];
    assert_eq!((held.incidents, held.keys.len(), held.keys[0].as_str()), (20, 20, "node/n0"));
    resolve(&fixture, "node/n7").await;
    silences::expire(&fixture.store, &made.uid, "key/ops").await.unwrap().unwrap();
    ops.wait_for(2).await;
    wait_until("nothing is held", PATIENCE, async || fixture.raw.count(HELD).await == 0).await;
    let told = ops.told();
    assert_eq!((told.len(), told[1].len()), (2, 19), "one message of all that is still bad: {told:?}");
    assert!(!told[1].contains(&"opened node/n7".to_owned()), "which nobody heard of, and is over");
}

async fn an_end_is_told_to_whoever_heard_of_it_and_to_nobody_else(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    raise(&fixture, "node/n1", &routing).await;
    ops.wait_for(1).await;
    silence(&fixture, &of(&["kind=node"])).await;
    raise(&fixture, "node/n2", &routing).await;
    wait_until("the second is held", PATIENCE, async || fixture.raw.count(HELD).await == 1).await;
    resolve(&fixture, "node/n2").await;
    resolve(&fixture, "node/n1").await;
    ops.wait_for(2).await;
    assert_eq!(ops.told(), [["opened node/n1"], ["resolved node/n1"]]);
    let left = "SELECT COUNT(*) FROM komainu_delivery WHERE state IN ('waiting', 'held')";
    wait_until("nothing is left to tell", PATIENCE, async || fixture.raw.count(left).await == 0).await;
    assert_eq!(ops.told().len(), 2);
}

async fn one_channel_alone_may_be_silenced(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops, phone) = (routing(&["ops", "phone"], None), Vendor::default(), Vendor::default());
    silence(&fixture, &of(&["channel=phone"])).await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops), ("phone", &phone)]);
    raise(&fixture, "node/n1", &routing).await;
    ops.wait_for(1).await;
    wait_until("the phone's is held", PATIENCE, async || fixture.raw.count(HELD).await == 1).await;
    assert!(phone.taken().is_empty());
}

async fn thousands_that_stay_silenced_hide_nothing_that_is_to_be_told(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    silence(&fixture, &of(&["key=node/n1"])).await;
    let short = silence(&fixture, &of(&["key=node/n2"])).await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    raise(&fixture, "node/n1", &routing).await;
    wait_until("the first is held", PATIENCE, async || fixture.raw.count(HELD).await == 1).await;
    let columns = "event_id, incident_id, channel, state, group_wait_ms, due_at, silenced_by, created_at";
    for _ in 0..13 {
        let double = format!("INSERT INTO komainu_delivery ({columns}) SELECT {columns} FROM komainu_delivery");
        fixture.raw.execute(&double).await;
    }
    raise(&fixture, "node/n2", &routing).await;
    wait_until("both are held", PATIENCE, async || fixture.raw.count(HELD).await == 8_193).await;
    silences::expire(&fixture.store, &short.uid, "key/ops").await.unwrap().unwrap();
    ops.wait_for(1).await;
    assert_eq!(ops.told(), [["opened node/n2"]]);
}

async fn people_hear_once_that_a_silence_ends_over_something_bad(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let now = komainu::clock::wall();
    let soon = NewSilence {
        starts_at: Wall(now.0 - 3_600_000),
        ends_at: now + Duration::from_secs(14 * 60),
        ..of(&["kind=~.+"])
    };
    let made = silence(&fixture, &soon).await;
    let warned = format!("SELECT COUNT(*) FROM komainu_incident WHERE k = 'silence/{}'", made.uid);
    upkeep::look_after(&fixture.store, &routing).await.unwrap();
    assert_eq!(fixture.raw.count(&warned).await, 0, "it holds nothing");
    let _running: Vec<_> = (1..=3).map(|me| deliverer(&fixture, me, &routing, &[("ops", &ops)])).collect();
    raise(&fixture, "node/n1", &routing).await;
    ops.wait_for(1).await;
    assert_eq!(ops.told(), [[format!("opened silence/{}", made.uid)]], "which no silence holds");
    let summary = &ops.taken()[0].items[0].summary;
    assert!(summary.contains("of ada ends in") && summary.contains("1 incident will be told"), "{summary}");
    for _ in 0..3 {
        upkeep::look_after(&fixture.store, &routing).await.unwrap();
    }
    assert_eq!(fixture.raw.count(&warned).await, 1);
    silences::expire(&fixture.store, &made.uid, "key/ops").await.unwrap().unwrap();
    let over = format!("{warned} AND resolved_at IS NOT NULL");
    wait_until("the warning is over", PATIENCE, async || fixture.raw.count(&over).await == 1).await;
}

async fn a_silence_until_something_is_over_ends_with_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    raise(&fixture, "node/n1", &routing).await;
    let made = silence(&fixture, &NewSilence { until_resolved: true, ..of(&["key=node/n1"]) }).await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    wait_until("it is held", PATIENCE, async || fixture.raw.count(HELD).await == 1).await;
    resolve(&fixture, "node/n1").await;
    let is_over = async || {
        let silence = silences::get(&fixture.store, &made.uid).await.unwrap().unwrap();
        silence.made.ends_at <= komainu::clock::wall()
    };
    wait_until("the silence is over", PATIENCE, is_over).await;
    assert!(ops.taken().is_empty());
    raise(&fixture, "node/n1", &routing).await;
    ops.wait_for(1).await;
}

async fn there_are_so_many_silences_and_no_more(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let first = silence(&fixture, &of(&["kind=node"])).await;
    for _ in 1..MOST_SILENCES {
        silence(&fixture, &of(&["kind=node"])).await;
    }
    let refused = silences::create(&fixture.store, &of(&["kind=node"]), "key/ops").await.unwrap();
    assert_eq!(refused, Made::TooMany);
    silences::expire(&fixture.store, &first.uid, "key/ops").await.unwrap().unwrap();
    silence(&fixture, &of(&["kind=node"])).await;
}

async fn silences_that_are_long_over_go(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let made = silence(&fixture, &of(&["kind=node"])).await;
    silence(&fixture, &of(&["kind=node"])).await;
    silences::expire(&fixture.store, &made.uid, "key/ops").await.unwrap().unwrap();
    fixture.store.prune(&Retention::default()).await.unwrap();
    let there = "SELECT COUNT(*) FROM komainu_silence";
    assert_eq!(fixture.raw.count(there).await, 2);
    let sql = format!("UPDATE komainu_silence SET ends_at = ends_at - {} WHERE id = {}", 366 * 86_400_000_i64, made.id);
    fixture.raw.execute(&sql).await;
    fixture.store.prune(&Retention::default()).await.unwrap();
    assert_eq!(fixture.raw.count(there).await, 1);
}

fn window(name: &str, subjects: &[&str]) -> NewSilence {
    let subjects = subjects.iter().map(|&subject| subject.to_owned()).collect();
    let window = Window { name: name.to_owned(), subjects, public: None, managed_by: None };
    NewSilence { window: Some(window), ..of(&[]) }
}

async fn plan(fixture: &Fixture, new: &NewSilence) -> Silence {
    let written = maintenances::write(&fixture.store, "key/ops", new, (Target::New, false)).await.unwrap();
    written.unwrap().unwrap()
}

async fn what_a_maintenance_holds_is_told_once_when_it_ends(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    fixture.monitors(1, None).await;
    let nobody = window("typo", &["monitor/2"]);
    let refused = maintenances::write(&fixture.store, "key/ops", &nobody, (Target::New, false)).await.unwrap();
    assert_eq!(refused, Err(Refusal::NoSuch(vec!["monitor/2".to_owned()])));
    plan(&fixture, &window("disks", &["monitor/1", "tag/shop"])).await;
    let _running: Vec<_> = (1..=3).map(|me| deliverer(&fixture, me, &routing, &[("ops", &ops)])).collect();
    raise(&fixture, "monitor/1", &routing).await;
    raise(&fixture, "monitor/11", &routing).await;
    wait_until("it is held", PATIENCE, async || fixture.raw.count(HELD).await == 1).await;
    ops.wait_for(1).await;
    assert_eq!(ops.told(), [["opened monitor/11"]]);
    let ended = maintenances::end(&fixture.store, "key/ops", "disks").await.unwrap().unwrap();
    assert!(ended.made.ends_at <= silences::now(&fixture.store).await.unwrap());
    ops.wait_for(2).await;
    assert_eq!(ops.told(), [["opened monitor/11"], ["opened monitor/1"]]);
    assert_eq!(maintenances::end(&fixture.store, "key/ops", "disks").await.unwrap(), Err(Refusal::NotOn));
    let again = window("disks", &["monitor/1"]);
    let stale = maintenances::write(&fixture.store, "key/ops", &again, (Target::Seen(Wall(1)), false)).await.unwrap();
    assert_eq!(stale, Err(Refusal::Stale));
    maintenances::delete(&fixture.store, "key/ops", "disks").await.unwrap().unwrap();
    wait_until("nothing is held", PATIENCE, async || fixture.raw.count(HELD).await == 0).await;
    assert_eq!(ops.told().len(), 2);
}

async fn there_are_so_many_maintenances_and_silences_have_room_beside_them(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    for number in 0..MOST_WINDOWS {
        plan(&fixture, &window(&format!("w{number}"), &["tag/shop"])).await;
    }
    let more = window("more", &["tag/shop"]);
    let refused = maintenances::write(&fixture.store, "key/ops", &more, (Target::New, false)).await.unwrap();
    assert_eq!(refused, Err(Refusal::TooMany));
    silence(&fixture, &of(&["kind=node"])).await;
    let page = maintenances::list(&fixture.store, None, None, 150).await.unwrap();
    assert_eq!(page.items.len(), 150);
    let rest = maintenances::list(&fixture.store, None, page.next.as_deref(), 150).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (50, None));
    maintenances::end(&fixture.store, "key/ops", "w7").await.unwrap().unwrap();
    plan(&fixture, &more).await;
}
