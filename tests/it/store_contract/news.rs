//! What was told of checks while the database was down is entered as it was: since when, who heard what, and nothing is told again as new.

use std::collections::BTreeMap;

use komainu::store::checks;
use komainu::store::spool::{self, BlackoutNews};
use komainu_watchdogs::blackout::Change;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_check_that_fell_is_an_incident_since_then_and_whoever_was_told_is_told_no_more,
    a_check_that_fell_and_rose_is_over_and_those_who_were_told_nothing_hear_of_its_end,
    a_check_that_stood_open_ends_when_people_were_told_so,
    a_check_that_ended_and_came_back_counts_from_its_return,
    whoever_opened_it_from_the_tables_first_tells_nothing_again,
    what_may_have_been_told_of_a_check_is_told_again_under_its_id_and_marked,
    what_is_known_later_to_have_arrived_is_told_no_more,
    a_channel_that_helped_out_hears_of_the_end,
    what_is_entered_late_leaves_a_later_incident_alone,
    twenty_who_enter_hundreds_of_checks_at_once_enter_each_once,
}

const HOUR_MS: i64 = 3_600_000;

fn routing() -> Routing {
    Routing { channels: vec!["mail".to_owned(), "ops".to_owned()], routes: vec![] }
}

/// Seconds ago.
fn ago(seconds: i64) -> Wall {
    Wall(komainu::clock::wall().0 - seconds * 1_000)
}

fn change(key: &str, event: Event, began_at: Wall) -> Change {
    Change {
        key: key.to_owned(),
        event,
        flaps: 0,
        is_back: false,
        began_at,
        severity: Severity::Critical,
        summary: "2 of 3 watchdogs see it fail".to_owned(),
        votes: (2, 3),
    }
}

fn told(notice: &str, at: Wall, changes: Vec<Change>) -> BlackoutNews {
    BlackoutNews {
        after_event: Some(0),
        channel: "ops".to_owned(),
        via: "ops".to_owned(),
        notice_id: notice.to_owned(),
        at,
        is_sent: true,
        vendor_ref: None,
        changes,
    }
}

async fn enter(fixture: &Fixture, news: &[BlackoutNews]) {
    spool::enter_news(&fixture.store, &routing(), (news, &BTreeMap::new())).await.unwrap();
}

/// Event, channel, state and message of each delivery.
async fn deliveries(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT CONCAT(e.kind, ' ', d.channel, ' ', d.state, ' ', COALESCE(d.notice_id, '-')) \
         FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id ORDER BY d.event_id, d.channel, d.id";
    fixture.raw.rows(sql).await.into_iter().map(|row| row.concat()).collect()
}

async fn raise(fixture: &Fixture, key: &str) {
    let (severity, summary) = (Severity::Critical, "2 of 3 watchdogs see it fail".to_owned());
    let alarm = Alarm { key: key.to_owned(), severity, summary, votes: (2, 3) };
    let subject = Subject::of(&alarm);
    checks::raise(&fixture.store, &[(alarm, subject)], &routing(), |_| true).await.unwrap();
}

async fn resolve(fixture: &Fixture, key: &str) {
    let open = checks::incidents(&fixture.store).await.unwrap();
    let seen = open.iter().find(|row| row.key == key).unwrap().last_bad_at;
    assert!(checks::resolve(&fixture.store, (key, None), seen, || true).await.unwrap());
}

/// When it opened, for the first time and last, and when it ended; 0: not so.
async fn times(fixture: &mut Fixture) -> Vec<[i64; 3]> {
    let sql =
        "SELECT COALESCE(first_opened_at, 0), opened_at, COALESCE(resolved_at, 0) FROM komainu_incident ORDER BY id";
    let rows = fixture.raw.rows(sql).await;
    rows.iter().map(|row| [0, 1, 2].map(|at: usize| row[at].parse().unwrap())).collect()
}

async fn a_check_that_fell_is_an_incident_since_then_and_whoever_was_told_is_told_no_more(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let fell = ago(50);
    let news = [told("n1", ago(40), vec![change("check/shop", Event::Opened, fell)])];
    enter(&fixture, &news).await;
    enter(&fixture, &news).await;
    assert_eq!(times(&mut fixture).await, [[0, fell.0, 0]]);
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened ops sent n1"]);
    raise(&fixture, "check/shop").await;
    assert_eq!(deliveries(&mut fixture).await.len(), 2, "it is open already");
    resolve(&fixture, "check/shop").await;
    assert_eq!(deliveries(&mut fixture).await[2..], ["resolved mail waiting -", "resolved ops waiting -"]);
}

async fn a_check_that_fell_and_rose_is_over_and_those_who_were_told_nothing_hear_of_its_end(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (fell, rose) = (ago(50), ago(20));
    // Of a channel the latest is kept.
    let news = [told("n2", rose, vec![change("check/shop", Event::Resolved, fell)])];
    enter(&fixture, &news).await;
    enter(&fixture, &news).await;
    assert_eq!(times(&mut fixture).await, [[0, fell.0, rose.0]]);
    let live: Vec<_> = deliveries(&mut fixture).await.into_iter().filter(|row| !row.contains("cancelled")).collect();
    assert_eq!(live, ["resolved mail waiting -", "resolved ops sent n2"]);
}

async fn a_check_that_stood_open_ends_when_people_were_told_so(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    raise(&fixture, "check/shop").await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    fixture.raw.execute("UPDATE komainu_incident SET opened_at = opened_at - 100000").await;
    let [_, opened_at, _] = times(&mut fixture).await[0];
    let (_, latest) = spool::undelivered(&fixture.store).await.unwrap();
    let rose = ago(20);
    let over = told("n1", rose, vec![change("check/shop", Event::Resolved, Wall(opened_at))]);
    enter(&fixture, &[BlackoutNews { after_event: Some(latest), ..over.clone() }]).await;
    assert_eq!(times(&mut fixture).await, [[0, opened_at, rose.0]]);
    assert_eq!(deliveries(&mut fixture).await[2..], ["resolved mail waiting -", "resolved ops sent n1"]);
    // Another one knows the same by another message, and comes later.
    enter(&fixture, &[BlackoutNews { after_event: Some(latest), notice_id: "n2".to_owned(), ..over }]).await;
    assert_eq!(deliveries(&mut fixture).await.len(), 4);
}

async fn a_check_that_ended_and_came_back_counts_from_its_return(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    raise(&fixture, "check/shop").await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent'").await;
    fixture.raw.execute("UPDATE komainu_incident SET opened_at = opened_at - 100000").await;
    let [_, opened_at, _] = times(&mut fixture).await[0];
    let (_, latest) = spool::undelivered(&fixture.store).await.unwrap();
    let back = ago(30);
    let change = Change { is_back: true, flaps: 1, ..change("check/shop", Event::Opened, back) };
    let news = [BlackoutNews { after_event: Some(latest), ..told("n1", ago(20), vec![change]) }];
    enter(&fixture, &news).await;
    enter(&fixture, &news).await;
    assert_eq!(times(&mut fixture).await, [[opened_at, back.0, 0]]);
    let rows = deliveries(&mut fixture).await;
    assert!(rows.contains(&"opened ops sent n1".to_owned()), "{rows:?}");
    assert!(!rows.iter().any(|row| row.starts_with("opened ops waiting")), "{rows:?}");
}

async fn whoever_opened_it_from_the_tables_first_tells_nothing_again(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    raise(&fixture, "check/shop").await;
    let fell = ago(50);
    enter(&fixture, &[told("n1", ago(40), vec![change("check/shop", Event::Opened, fell)])]).await;
    assert_eq!(times(&mut fixture).await, [[0, fell.0, 0]]);
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened ops sent n1"]);
}

async fn what_may_have_been_told_of_a_check_is_told_again_under_its_id_and_marked(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let unsure = told("n1", ago(40), vec![change("check/shop", Event::Opened, ago(50))]);
    enter(&fixture, &[BlackoutNews { is_sent: false, ..unsure }]).await;
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened ops waiting n1"]);
    let marked =
        "SELECT COUNT(*) FROM komainu_delivery WHERE channel = 'ops' AND may_be_repeated = 1 AND sending_at > 0";
    assert_eq!(fixture.raw.count(marked).await, 1);
}

async fn what_is_known_later_to_have_arrived_is_told_no_more(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let fell = ago(50);
    let sent = |notice: &str, event| told(notice, ago(40), vec![change("check/shop", event, fell)]);
    let opened = sent("n1", Event::Opened);
    enter(&fixture, &[BlackoutNews { is_sent: false, ..opened.clone() }]).await;
    enter(&fixture, std::slice::from_ref(&opened)).await;
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened ops sent n1"]);
    let over = sent("n2", Event::Resolved);
    enter(&fixture, &[BlackoutNews { is_sent: false, ..over.clone() }]).await;
    enter(&fixture, &[over]).await;
    // Nor does it stand otherwise for having been entered twice.
    enter(&fixture, &[BlackoutNews { is_sent: false, ..opened.clone() }, opened]).await;
    let rows = deliveries(&mut fixture).await;
    let of_ops: Vec<_> = rows.iter().filter(|row| row.contains(" ops ")).collect();
    assert_eq!(of_ops, ["opened ops sent n1", "resolved ops sent n2"], "{rows:?}");
    assert_eq!(times(&mut fixture).await.len(), 1);
}

async fn a_channel_that_helped_out_hears_of_the_end(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let helped = told("n1", ago(40), vec![change("check/shop", Event::Opened, ago(50))]);
    enter(&fixture, &[BlackoutNews { via: "phone".to_owned(), ..helped }]).await;
    assert_eq!(deliveries(&mut fixture).await, ["opened mail waiting -", "opened phone sent n1"]);
    resolve(&fixture, "check/shop").await;
    assert!(deliveries(&mut fixture).await.contains(&"resolved phone waiting -".to_owned()));
}

async fn what_is_entered_late_leaves_a_later_incident_alone(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let fell = Wall(ago(0).0 - HOUR_MS);
    let at = Wall(fell.0 + 10_000);
    enter(&fixture, &[told("n1", at, vec![change("check/shop", Event::Opened, fell)])]).await;
    resolve(&fixture, "check/shop").await;
    // Long ago, so that what comes is another incident.
    fixture.raw.execute("UPDATE komainu_incident SET resolved_at = resolved_at - 1800000, resolved_by = 'x'").await;
    raise(&fixture, "check/shop").await;
    for (notice, event) in [("n2", Event::Opened), ("n3", Event::Resolved)] {
        enter(&fixture, &[told(notice, at, vec![change("check/shop", event, fell)])]).await;
    }
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL";
    assert_eq!(fixture.raw.count(open).await, 1);
    assert!(times(&mut fixture).await[1][1] > at.0 + HOUR_MS / 2, "it opened a moment ago");
    let waiting = "SELECT COUNT(*) FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
                   WHERE i.resolved_at IS NULL AND d.state = 'waiting'";
    assert_eq!(fixture.raw.count(waiting).await, 2, "both channels are still to hear of it");
}

async fn twenty_who_enter_hundreds_of_checks_at_once_enter_each_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let fell = ago(50);
    let changes = (0..250).map(|number| change(&format!("check/{number}"), Event::Opened, fell)).collect();
    let news = [told("n1", ago(40), changes)];
    let mut entries = vec![];
    for _ in 0..20 {
        let (store, news) = (fixture.store.clone(), news.clone());
        entries.push(tokio::spawn(async move {
            // Whoever fails in the crowd tries again a second later.
            while spool::enter_news(&store, &routing(), (&news, &BTreeMap::new())).await.is_err() {}
        }));
    }
    for entry in entries {
        entry.await.unwrap();
    }
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 250);
    let sent = "SELECT COUNT(*) FROM komainu_delivery WHERE channel = 'ops' AND state = 'sent'";
    let waiting = "SELECT COUNT(*) FROM komainu_delivery WHERE channel = 'mail' AND state = 'waiting'";
    assert_eq!((fixture.raw.count(sent).await, fixture.raw.count(waiting).await), (250, 250));
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_delivery").await, 500);
}
