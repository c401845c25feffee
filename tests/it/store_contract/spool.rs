//! What was told while the database was down is entered once, and told no second time.

use komainu::store::incidents::{self, IncidentFilter};
use komainu::store::spool::{self, BlackoutDelivery, Outage};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    an_outage_is_one_incident_with_its_messages_already_sent,
    twenty_who_enter_the_same_outage_at_once_enter_it_once,
    an_outage_that_is_over_is_not_opened_again_by_a_late_entry,
    a_second_outage_is_told_and_entered_as_such,
    an_outage_after_the_clock_was_set_back_is_another_than_the_one_before,
    an_outage_is_told_from_the_one_before_whatever_the_clock_says,
    an_outage_of_which_nobody_could_be_told_is_entered_once_and_told_by_its_end,
    an_outage_that_lasts_is_not_called_over_by_whoever_read_it_before,
    what_may_have_been_told_is_told_again_under_its_id_and_marked,
    a_message_that_waited_when_the_database_went_away_is_told_once,
    who_was_told_hears_that_it_is_over,
    what_was_told_although_it_was_held_since_is_told,
    who_was_told_of_something_else_by_a_fallback_hears_of_its_end,
    what_was_told_and_taken_back_since_is_told_to_be_over,
    what_may_have_been_told_and_was_taken_back_since_is_told_to_be_over,
    what_may_have_been_told_was_taken_back_and_came_again_since_is_told_again,
    an_end_that_is_entered_late_does_not_hide_what_was_told_after_it,
    an_outage_that_began_before_the_end_of_the_one_before_was_told_is_another,
    what_may_have_arrived_is_told_again_although_a_fallback_took_it,
    a_channel_that_told_of_an_outage_that_is_over_by_then_tells_the_end,
    a_fallback_that_told_of_an_outage_again_after_its_end_tells_that_end_too,
    what_waits_of_an_earlier_outage_is_not_told_while_the_database_is_away_again,
    what_a_fallback_may_have_told_goes_on_being_told_where_it_was_meant_for_and_ends_for_both,
    what_may_have_been_told_is_not_told_again_after_more_was_told,
}

fn routing() -> Routing {
    Routing { channels: vec!["mail".to_owned(), "ops".to_owned()], routes: vec![] }
}

fn told(channel: &str, notice: &str) -> BlackoutDelivery {
    BlackoutDelivery {
        delivery: None,
        channel: channel.to_owned(),
        via: channel.to_owned(),
        notice_id: notice.to_owned(),
        at: Wall(komainu::clock::wall().0 - 20_000),
        is_sent: true,
        vendor_ref: None,
    }
}

fn outage(told: Vec<BlackoutDelivery>) -> Outage {
    let summary = "the database takes no writes; 3 of 3 watchdogs see it".to_owned();
    let began_at = Wall(komainu::clock::wall().0 - 40_000);
    Outage { began_at, after_event: None, summary, votes: (3, 3), told }
}

/// Event, channel, state and message of each delivery.
async fn deliveries(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT CONCAT(e.kind, ' ', d.channel, ' ', d.state, ' ', COALESCE(d.notice_id, '-')) \
         FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id ORDER BY d.id";
    fixture.raw.rows(sql).await.into_iter().map(|row| row.concat()).collect()
}

async fn enter(fixture: &Fixture, outage: &Outage) {
    spool::enter(&fixture.store, &routing(), outage).await.unwrap();
}

async fn resolve(fixture: &Fixture) {
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let open = watch.incidents().await.unwrap();
    let seen = open.iter().find(|row| row.key == "database").unwrap().last_bad_at;
    assert!(watch.resolve("database", seen).await.unwrap());
}

async fn an_outage_is_one_incident_with_its_messages_already_sent(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let outage = outage(vec![told("ops", "n1")]);
    enter(&fixture, &outage).await;
    enter(&fixture, &outage).await;
    let page = incidents::list(&fixture.store, &IncidentFilter::default(), None, 10).await.unwrap();
    let [incident] = page.items.as_slice() else { panic!("{} incidents", page.items.len()) };
    assert_eq!((incident.key.as_str(), incident.opened_at), ("database", outage.began_at));
    // Nobody told mail: the outbox does.
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened ops sent n1"]);
}

async fn twenty_who_enter_the_same_outage_at_once_enter_it_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let outage = outage(vec![told("mail", "n1"), told("ops", "n2")]);
    let mut entries = vec![];
    for _ in 0..20 {
        let (store, outage) = (fixture.store.clone(), outage.clone());
        entries.push(tokio::spawn(async move {
            // Whoever fails in the crowd tries again a second later.
            while spool::enter(&store, &routing(), &outage).await.is_err() {}
        }));
    }
    for entry in entries {
        entry.await.unwrap();
    }
    assert_eq!(deliveries(&mut fixture).await, ["opened mail sent n1", "opened ops sent n2"]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 1);
}

async fn an_outage_that_is_over_is_not_opened_again_by_a_late_entry(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    enter(&fixture, &outage(vec![told("mail", "n1"), told("ops", "n2")])).await;
    resolve(&fixture).await;
    // A speaker that nobody had heard told it too.
    enter(&fixture, &outage(vec![told("mail", "n3"), told("ops", "n2")])).await;
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL").await, 0);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 1);
    assert!(deliveries(&mut fixture).await.contains(&"opened mail sent n3".to_owned()));
}

async fn an_outage_that_lasts_is_not_called_over_by_whoever_read_it_before(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    enter(&fixture, &outage(vec![told("mail", "n1"), told("ops", "n2")])).await;
    let (store, routing) = (fixture.store.clone(), routing());
    let lasts = || spool::lasts(&store, &routing, ("nobody can judge; 2 of 3".to_owned(), (2, 3)));
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let seen = watch.incidents().await.unwrap()[0].last_bad_at;
    lasts().await.unwrap();
    assert!(!watch.resolve("database", seen).await.unwrap(), "somebody said since that it lasts");
    resolve(&fixture).await;
    // One that was called over all the same is told again.
    lasts().await.unwrap();
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'database' AND resolved_at IS NULL";
    assert_eq!(fixture.raw.count(open).await, 1);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 1);
}

async fn a_second_outage_is_told_and_entered_as_such(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let first = Outage { began_at: Wall(komainu::clock::wall().0 - 3_000), ..outage(vec![told("ops", "n1")]) };
    enter(&fixture, &first).await;
    resolve(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent' WHERE state = 'waiting'").await;
    let second = Outage { began_at: Wall(komainu::clock::wall().0 + 1), ..outage(vec![told("ops", "n2")]) };
    enter(&fixture, &second).await;
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL").await, 1);
    assert!(deliveries(&mut fixture).await.contains(&"opened ops sent n2".to_owned()));
}

async fn an_outage_after_the_clock_was_set_back_is_another_than_the_one_before(kind: Kind) {
    for told in [vec![told("ops", "n2")], vec![]] {
        let mut fixture = Fixture::native(kind).await;
        enter(&fixture, &outage(vec![told_to_ops()])).await;
        resolve(&fixture).await;
        fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent' WHERE state = 'waiting'").await;
        // Written by a clock that was an hour ahead, and longer ago than what comes back as the same incident.
        fixture.raw.execute("UPDATE komainu_incident SET resolved_at = resolved_at + 3600000, resolved_by = 'x'").await;
        let told_somebody = !told.is_empty();
        enter(&fixture, &outage(told)).await;
        assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 2);
        let news = if told_somebody { "opened mail waiting -" } else { "resolved mail waiting -" };
        let deliveries = deliveries(&mut fixture).await;
        assert!(deliveries.contains(&news.to_owned()), "{deliveries:?}");
    }
}

async fn an_outage_is_told_from_the_one_before_whatever_the_clock_says(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let first = Outage { after_event: Some(0), ..outage(vec![told("mail", "n1"), told("ops", "n2")]) };
    enter(&fixture, &first).await;
    resolve(&fixture).await;
    // A clock that was set back: what it left ahead was pulled in, and so the end stands within the second outage.
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent' WHERE state = 'waiting'").await;
    let (_, latest) = spool::undelivered(&fixture.store).await.unwrap();
    let second = Outage { after_event: Some(latest), ..outage(vec![told("mail", "n3"), told("ops", "n4")]) };
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL";
    enter(&fixture, &second).await;
    assert_eq!(fixture.raw.count(open).await, 1, "its end is still to be told");
    resolve(&fixture).await;
    // Both were told by others too, who come late: nothing is opened for that.
    enter(&fixture, &Outage { told: vec![told("ops", "n5")], ..second }).await;
    enter(&fixture, &Outage { told: vec![told("ops", "n6")], ..first }).await;
    assert_eq!(fixture.raw.count(open).await, 0);
}

async fn an_outage_that_began_before_the_end_of_the_one_before_was_told_is_another(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    enter(&fixture, &Outage { after_event: Some(0), ..outage(vec![told("mail", "n1"), told("ops", "n2")]) }).await;
    // All is well again, and the incident is still open when the next one begins; then it is resolved.
    let (_, after_event) = spool::undelivered(&fixture.store).await.unwrap();
    resolve(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent' WHERE state = 'waiting'").await;
    let second = Outage { after_event: Some(after_event), ..outage(vec![told("mail", "n3"), told("ops", "n4")]) };
    enter(&fixture, &second).await;
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL";
    assert_eq!(fixture.raw.count(open).await, 1, "its end is still to be told");
    enter(&fixture, &second).await;
    resolve(&fixture).await;
    enter(&fixture, &second).await;
    assert_eq!(fixture.raw.count(open).await, 0, "the same messages are known");
}

async fn what_may_have_been_told_and_was_taken_back_since_is_told_to_be_over(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let severity = Severity::Critical;
    let alarm = Alarm { key: "node/node1".to_owned(), severity, summary: "it is gone".to_owned(), votes: (2, 3) };
    watch.raise(&alarm, &routing()).await.unwrap();
    let (waiting, _) = spool::undelivered(&fixture.store).await.unwrap();
    // It was over before anybody entered that it may have been told; nobody is told of an end by then.
    let seen = watch.incidents().await.unwrap()[0].last_bad_at;
    assert!(watch.resolve("node/node1", seen).await.unwrap());
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'cancelled'").await;
    let unsure = BlackoutDelivery { delivery: Some(waiting[0].delivery), is_sent: false, ..told("mail", "n1") };
    enter(&fixture, &outage(vec![unsure])).await;
    let ends: Vec<_> = deliveries(&mut fixture).await.into_iter().filter(|row| row.contains("waiting")).collect();
    assert_eq!(ends, ["resolved mail waiting -"]);
    // It comes back before anybody told that end, and is over again: whoever may have read of it hears of it all the same.
    watch.raise(&alarm, &routing()).await.unwrap();
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'cancelled' WHERE state = 'waiting'").await;
    let seen = watch.incidents().await.unwrap()[0].last_bad_at;
    assert!(watch.resolve("node/node1", seen).await.unwrap());
    let ends: Vec<_> = deliveries(&mut fixture).await.into_iter().filter(|row| row.contains("waiting")).collect();
    assert_eq!(ends, ["resolved mail waiting -"]);
}

/// Of the lost node, before anybody entered what was told of it.
async fn resolve_node(fixture: &Fixture) {
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let open = watch.incidents().await.unwrap();
    let seen = open.iter().find(|row| row.key == "node/node1").unwrap().last_bad_at;
    assert!(watch.resolve("node/node1", seen).await.unwrap());
}

async fn what_may_have_been_told_was_taken_back_and_came_again_since_is_told_again(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let line = waiting_line(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'held'").await;
    resolve_node(&fixture).await;
    waiting_line(&fixture).await;
    enter(&fixture, &outage(vec![BlackoutDelivery { is_sent: false, ..line }])).await;
    let rows = deliveries(&mut fixture).await;
    assert_eq!(rows[..2], ["opened mail cancelled -", "opened ops waiting n1"], "{rows:?}");
}

async fn an_end_that_is_entered_late_does_not_hide_what_was_told_after_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    waiting_line(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    resolve_node(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent' WHERE channel = 'mail'").await;
    // Somebody died over telling the end, and it opened again.
    fixture.raw.execute("UPDATE komainu_delivery SET sending_at = 1 WHERE state = 'waiting'").await;
    let (waiting, _) = spool::undelivered(&fixture.store).await.unwrap();
    let end = waiting[0].delivery;
    waiting_line(&fixture).await;
    let (waiting, _) = spool::undelivered(&fixture.store).await.unwrap();
    let opened = waiting.iter().rev().find(|row| row.channel == "ops").unwrap().delivery;
    let by_phone = |delivery: i64, notice: &str| BlackoutDelivery {
        delivery: Some(delivery),
        via: "phone".to_owned(),
        ..told("ops", notice)
    };
    enter(&fixture, &outage(vec![by_phone(opened, "n1"), by_phone(end, "n2")])).await;
    resolve_node(&fixture).await;
    let rows = deliveries(&mut fixture).await;
    assert!(rows.contains(&"resolved phone sent n2".to_owned()), "{rows:?}");
    assert!(rows.contains(&"resolved phone waiting -".to_owned()), "{rows:?}");
}

async fn an_outage_of_which_nobody_could_be_told_is_entered_once_and_told_by_its_end(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let outage = Outage { summary: "nothing was watched from 1 to 2".to_owned(), ..outage(vec![]) };
    enter(&fixture, &outage).await;
    enter(&fixture, &outage).await;
    let page = incidents::list(&fixture.store, &IncidentFilter::default(), None, 10).await.unwrap();
    let [incident] = page.items.as_slice() else { panic!("{} incidents", page.items.len()) };
    assert_eq!((incident.key.as_str(), incident.opened_at), ("database", outage.began_at));
    assert!(incident.resolved_at.is_some());
    let told = deliveries(&mut fixture).await;
    let waiting: Vec<_> = told.iter().filter(|row| row.contains(" waiting ")).collect();
    assert_eq!(waiting, ["resolved mail waiting -", "resolved ops waiting -"], "{told:?}");
    let text = "SELECT DISTINCT e.summary FROM komainu_event e WHERE e.kind = 'resolved'";
    assert_eq!(fixture.raw.one(text).await, "nothing was watched from 1 to 2");
    // One that told somebody enters the same outage later.
    enter(&fixture, &Outage { told: vec![told_to_ops()], ..outage.clone() }).await;
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 1);
}

fn told_to_ops() -> BlackoutDelivery {
    told("ops", "n1")
}

async fn what_may_have_been_told_is_told_again_under_its_id_and_marked(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let unsure = BlackoutDelivery { is_sent: false, ..told("ops", "n2") };
    enter(&fixture, &outage(vec![told("mail", "n1"), unsure])).await;
    assert_eq!(deliveries(&mut fixture).await, ["opened mail sent n1", "opened ops waiting n2"]);
    let marked = "SELECT COUNT(*) FROM komainu_delivery WHERE may_be_repeated = 1 AND sending_at IS NOT NULL";
    assert_eq!(fixture.raw.count(marked).await, 1);
}

async fn a_message_that_waited_when_the_database_went_away_is_told_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let severity = Severity::Critical;
    let alarm = Alarm { key: "node/node1".to_owned(), severity, summary: "it is gone".to_owned(), votes: (2, 3) };
    assert!(watch.raise(&alarm, &routing()).await.unwrap());
    let (waiting, _) = spool::undelivered(&fixture.store).await.unwrap();
    let seen: Vec<_> = waiting.iter().map(|row| (row.key.as_str(), row.channel.as_str(), row.event.as_str())).collect();
    assert_eq!(seen, [("node/node1", "mail", "opened"), ("node/node1", "ops", "opened")]);
    let line = BlackoutDelivery { delivery: Some(waiting[1].delivery), ..told("ops", "n1") };
    enter(&fixture, &outage(vec![told("ops", "n1"), line])).await;
    let expected = ["opened mail waiting -", "opened ops sent n1", "opened mail waiting -", "opened ops sent n1"];
    assert_eq!(deliveries(&mut fixture).await, expected);
    // That the database was down has a line of its own.
    let (waiting, _) = spool::undelivered(&fixture.store).await.unwrap();
    assert_eq!(waiting.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["node/node1"]);
}

async fn who_was_told_hears_that_it_is_over(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let via_fallback = BlackoutDelivery { via: "phone".to_owned(), ..told("ops", "n2") };
    enter(&fixture, &outage(vec![told("mail", "n1"), via_fallback])).await;
    resolve(&fixture).await;
    let expected =
        ["opened mail sent n1", "opened phone sent n2", "resolved mail waiting -", "resolved phone waiting -"];
    assert_eq!(deliveries(&mut fixture).await, expected);
}

/// Who waits to be told of a lost node; `ops` is the second.
async fn waiting_line(fixture: &Fixture) -> BlackoutDelivery {
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let severity = Severity::Critical;
    let alarm = Alarm { key: "node/node1".to_owned(), severity, summary: "it is gone".to_owned(), votes: (2, 3) };
    assert!(watch.raise(&alarm, &routing()).await.unwrap());
    let (waiting, _) = spool::undelivered(&fixture.store).await.unwrap();
    BlackoutDelivery { delivery: Some(waiting[1].delivery), ..told("ops", "n1") }
}

async fn what_was_told_although_it_was_held_since_is_told(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let line = waiting_line(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'held' WHERE channel = 'ops'").await;
    enter(&fixture, &outage(vec![line])).await;
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened ops sent n1"]);
}

async fn who_was_told_of_something_else_by_a_fallback_hears_of_its_end(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let line = waiting_line(&fixture).await;
    enter(&fixture, &outage(vec![BlackoutDelivery { via: "phone".to_owned(), ..line.clone() }])).await;
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened phone sent n1"]);
    // The other watchdog that told it had only the channel's own answer missing.
    enter(&fixture, &outage(vec![BlackoutDelivery { via: "pager".to_owned(), notice_id: "n2".to_owned(), ..line }]))
        .await;
    assert!(deliveries(&mut fixture).await.contains(&"opened pager sent n2".to_owned()));
}

async fn what_was_told_and_taken_back_since_is_told_to_be_over(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let line = waiting_line(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'held' WHERE channel = 'ops'").await;
    let mut watch = fixture.store.errands(&"w1".into()).await.unwrap();
    let open = watch.incidents().await.unwrap();
    assert!(watch.resolve("node/node1", open[0].last_bad_at).await.unwrap());
    enter(&fixture, &outage(vec![line])).await;
    let rows = deliveries(&mut fixture).await;
    assert!(rows.contains(&"opened ops sent n1".to_owned()), "{rows:?}");
    assert!(rows.contains(&"resolved ops waiting -".to_owned()), "{rows:?}");
}

async fn what_may_have_arrived_is_told_again_although_a_fallback_took_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let unsure = BlackoutDelivery { is_sent: false, ..told("ops", "n2") };
    let via_fallback = BlackoutDelivery { via: "phone".to_owned(), ..told("ops", "n3") };
    enter(&fixture, &outage(vec![unsure, via_fallback])).await;
    let rows = deliveries(&mut fixture).await;
    assert_eq!(rows, ["opened mail waiting -", "opened ops waiting n2", "opened phone sent n3"]);
}

async fn a_channel_that_told_of_an_outage_that_is_over_by_then_tells_the_end(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    enter(&fixture, &outage(vec![told("mail", "n1"), told("ops", "n2")])).await;
    resolve(&fixture).await;
    enter(&fixture, &outage(vec![BlackoutDelivery { via: "phone".to_owned(), ..told("ops", "n3") }])).await;
    let rows = deliveries(&mut fixture).await;
    assert_eq!(rows[4..], ["opened phone sent n3", "resolved phone waiting -"], "{rows:?}");
}

async fn a_fallback_that_told_of_an_outage_again_after_its_end_tells_that_end_too(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let by_phone = |notice: &str| BlackoutDelivery { via: "phone".to_owned(), ..told("ops", notice) };
    let unsure = BlackoutDelivery { is_sent: false, ..told("ops", "n2") };
    enter(&fixture, &outage(vec![told("mail", "n1"), unsure, by_phone("n3")])).await;
    resolve(&fixture).await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent' WHERE channel = 'phone'").await;
    // Nobody but the fallback has read of the end when the next one comes.
    let second = Outage { began_at: Wall(komainu::clock::wall().0 + 1), ..outage(vec![by_phone("n4")]) };
    enter(&fixture, &second).await;
    resolve(&fixture).await;
    let phone = |rows: Vec<String>| rows.into_iter().filter(|row| row.contains(" phone ")).collect::<Vec<_>>();
    let rows = phone(deliveries(&mut fixture).await);
    let expected =
        ["opened phone sent n3", "resolved phone sent -", "opened phone sent n4", "resolved phone waiting -"];
    assert_eq!(rows, expected);
}

async fn what_waits_of_an_earlier_outage_is_not_told_while_the_database_is_away_again(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    enter(&fixture, &outage(vec![told("ops", "n1")])).await;
    resolve(&fixture).await;
    super::vendor::raise(&fixture, "capacity", &routing()).await;
    let (undelivered, _) = spool::undelivered(&fixture.store).await.unwrap();
    let keys: Vec<_> = undelivered.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["capacity", "capacity"], "an end would be read as that of the outage at hand");
}

async fn what_a_fallback_may_have_told_goes_on_being_told_where_it_was_meant_for_and_ends_for_both(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let line = waiting_line(&fixture).await;
    let by_phone = |line: BlackoutDelivery| BlackoutDelivery { via: "phone".to_owned(), is_sent: false, ..line };
    let told_of = outage(vec![told("mail", "n1"), by_phone(line), by_phone(told("ops", "n2"))]);
    for _ in 0..2 {
        enter(&fixture, &told_of).await;
    }
    let phone = |rows: Vec<String>| rows.into_iter().filter(|row| row.contains(" phone ")).collect::<Vec<_>>();
    let rows = deliveries(&mut fixture).await;
    assert_eq!(rows.iter().filter(|row| *row == "opened ops waiting -").count(), 2, "{rows:?}");
    assert_eq!(phone(rows), ["opened phone cancelled n1", "opened phone cancelled n2"]);
    resolve(&fixture).await;
    resolve_node(&fixture).await;
    let ends = phone(deliveries(&mut fixture).await).split_off(2);
    assert_eq!(ends, ["resolved phone waiting -", "resolved phone waiting -"]);
}

async fn what_may_have_been_told_is_not_told_again_after_more_was_told(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let line = BlackoutDelivery { is_sent: false, ..waiting_line(&fixture).await };
    let delivery = line.delivery.unwrap();
    fixture.raw.execute(&format!("UPDATE komainu_delivery SET state = 'cancelled' WHERE id = {delivery}")).await;
    let worse = "INSERT INTO komainu_event (incident_id, kind, severity, summary, at) \
         SELECT id, 'worse', 'critical', 'it is offline', opened_at FROM komainu_incident";
    fixture.raw.execute(worse).await;
    let sent = "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, due_at, created_at) \
         SELECT MAX(id), incident_id, 'ops', 'sent', 1, 1 FROM komainu_event GROUP BY incident_id";
    fixture.raw.execute(sent).await;
    enter(&fixture, &outage(vec![line])).await;
    let rows = deliveries(&mut fixture).await;
    assert_eq!(rows, ["opened mail waiting -", "opened ops cancelled -", "worse ops sent -"]);
}
