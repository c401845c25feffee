//! Drills and weekly lines: the way of every message, and no alarm to anybody.

use std::sync::Arc;

use komainu::heartbeat::schedule::Schedule;
use komainu::outbox::{Calendar, Outlet};
use komainu::silence::{Matcher, NewSilence};
use komainu::store::incidents::{self, IncidentFilter};
use komainu::store::outbox::notes::{self, Note};
use komainu::store::outbox::telling;
use komainu::store::silences;
use komainu_notifiers::DeliveryError;
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, Vendor, deliverer, raise, routing, start};
use crate::cluster::wait::wait_until;

on_both_databases! {
    a_drill_goes_the_way_of_a_message_alone_and_is_taken_back,
    a_drill_that_fails_opens_the_incident_of_its_channel_and_is_told_nowhere_else,
    what_a_calendar_says_is_entered_once_by_whoever_comes_first,
}

async fn list(fixture: &Fixture, key: Option<&str>) -> Vec<String> {
    let filter = IncidentFilter { is_open: None, key: key.map(str::to_owned) };
    let page = incidents::list(&fixture.store, &filter, None, 100).await.unwrap();
    page.items.into_iter().map(|incident| incident.key).collect()
}

async fn a_drill_goes_the_way_of_a_message_alone_and_is_taken_back(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, ops) = (routing(&["ops"], None), Vendor::default());
    let now = komainu::clock::wall();
    let all = NewSilence {
        matchers: vec![Matcher::parse("kind=~.+").unwrap(), Matcher::parse("key!=leader").unwrap()],
        starts_at: Wall(now.0 - 1_000),
        ends_at: Wall(now.0 + 3_600_000),
        until_resolved: false,
        recurrence: None,
        author: "ada".to_owned(),
        comment: "all".to_owned(),
        window: None,
    };
    silences::create(&fixture.store, &all, "key/ops").await.unwrap();
    raise(&fixture, "leader", &routing).await;
    let drill = notes::drill(&fixture.store, "ops", "key/ada").await.unwrap().unwrap();
    assert_eq!(notes::drill(&fixture.store, "ops", "key/ada").await.unwrap(), None, "one is on its way");
    let _running: Vec<_> = (1..=3).map(|me| deliverer(&fixture, me, &routing, &[("ops", &ops)])).collect();
    ops.wait_for(2).await;
    let mut told = ops.told();
    told.sort();
    assert_eq!(told, [["opened drill/ops"], ["opened leader"]], "it goes alone");
    wait_until("it is taken back", PATIENCE, async || ops.taken_back().len() == 1).await;
    let is_noted = async || {
        let story = incidents::get(&fixture.store, drill).await.unwrap().unwrap();
        story.deliveries[0].answer.as_deref() == Some("ok (taken back afterwards)")
    };
    wait_until("that is noted", PATIENCE, is_noted).await;
    let story = incidents::get(&fixture.store, drill).await.unwrap().unwrap();
    let delivery = &story.deliveries[0];
    assert!(delivery.sent_at >= Some(delivery.entered_at), "{delivery:?}");
    assert_eq!(delivery.vendor_ref, Some(ops.taken_back()[0].clone()));
    assert_eq!(list(&fixture, None).await, ["leader"], "it is no incident to anybody");
    assert_eq!(list(&fixture, Some("drill")).await, ["drill/ops"], "unless they ask");
}

async fn a_drill_that_fails_opens_the_incident_of_its_channel_and_is_told_nowhere_else(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, ops, mail) = (routing(&["ops", "mail"], None), Vendor::default(), Vendor::default());
    ops.refuse(Some(DeliveryError::Permanent { reason: "answered 403".to_owned() }));
    let outlet = |vendor: &Vendor, fallback: Option<&str>| Outlet {
        channel: Arc::new(vendor.clone()),
        fallback: fallback.map(str::to_owned),
        calendar: Calendar::default(),
    };
    let outlets = [("ops".to_owned(), outlet(&ops, Some("mail"))), ("mail".to_owned(), outlet(&mail, None))];
    let drill = notes::drill(&fixture.store, "ops", "key/ada").await.unwrap().unwrap();
    let _running = start(&fixture, 1, &routing, outlets.into());
    mail.wait_for(1).await;
    assert_eq!(mail.told(), [["opened channel/ops"]], "and nothing of the drill");
    let story = incidents::get(&fixture.store, drill).await.unwrap().unwrap();
    let told: Vec<_> = story.deliveries.iter().map(|one| (one.channel.as_str(), one.state.as_str())).collect();
    assert_eq!(told, [("ops", "failed")], "it is not tried again");
    assert!(
        telling(&fixture.store).await.unwrap().failing.contains("ops"),
        "whoever asks whether people can be told knows"
    );
    ops.refuse(None);
    notes::drill(&fixture.store, "ops", "key/ada").await.unwrap().unwrap();
    ops.wait_for(1).await;
    mail.wait_for(2).await;
    assert_eq!(mail.told()[1], ["resolved channel/ops"]);
}

async fn what_a_calendar_says_is_entered_once_by_whoever_comes_first(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let calendar = Schedule::cron("0 9 * * 1", "Europe/Berlin", Wall(0)).unwrap();
    let store = fixture.store.clone();
    let enter = async || notes::enter_due(&store, "ops", Note::Weekly, &calendar).await.unwrap();
    assert!(!enter().await, "seen for the first time it counts from now");
    assert!(!enter().await);
    raise(&fixture, "leader", &routing(&["mail"], None)).await;
    let ago = |days: i64| format!("UPDATE komainu_channel SET weekly_at = weekly_at - {}", days * 86_400_000);
    fixture.raw.execute(&ago(30)).await;
    let all = tokio::join!(enter(), enter(), enter());
    assert_eq!([all.0, all.1, all.2].into_iter().filter(|entered| *entered).count(), 1, "{all:?}");
    assert!(!enter().await, "at most once a week");
    let filter = IncidentFilter { is_open: None, key: Some("weekly/ops".to_owned()) };
    let line = incidents::list(&fixture.store, &filter, None, 10).await.unwrap().items;
    assert_eq!(line.len(), 1);
    let words = &line[0].summary;
    assert!(words.starts_with("alive: 1 incident in 30 days, 1 open now; 0 messages"), "{words}");
    fixture.raw.execute(&ago(-60)).await;
    assert!(!enter().await);
    komainu::store::ahead::put_right(&fixture.store).await.unwrap();
    let ahead = format!("SELECT COUNT(*) FROM komainu_channel WHERE weekly_at > {}", komainu::clock::wall().0 + 60_000);
    assert_eq!(fixture.raw.count(&ahead).await, 0, "a clock that jumped back silences it for no longer");
}
