//! Reminders: told again by what the incident is now, however much else waits.

use std::time::Duration;

use komainu::opinion::SecondOpinion;
use komainu::store::downtimes;
use komainu::store::outbox as store;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Matcher, Route, Routing};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{PATIENCE, Vendor, deliverer, raise, resolve};
use crate::cluster::wait::wait_until;

on_both_databases! {
    what_turned_critical_is_told_again_where_criticals_are,
    what_came_back_more_than_three_times_is_told_again,
    what_names_its_own_channels_is_told_again_as_often_as_its_routes_say,
    a_monitor_that_names_another_channel_since_is_told_again_there,
    what_is_down_after_maintenance_is_told_again_whatever_its_nodes_clock_shows,
    ten_thousand_reminders_keep_no_courier_waiting,
    thousands_that_are_not_due_yet_hide_nothing_that_is,
}

const HOUR: Duration = Duration::from_secs(3_600);

fn route(severity: Option<Severity>, channel: &str, repeat: Option<Duration>) -> Route {
    let matcher = Matcher { severity, ..Matcher::default() };
    Route { matcher, channels: vec![channel.to_owned()], group_wait: Duration::ZERO, repeat, ..Route::default() }
}

fn routing(routes: &[Route]) -> Routing {
    Routing { channels: ["mail", "ops", "phone"].map(str::to_owned).to_vec(), routes: routes.to_vec() }
}

async fn remind(fixture: &Fixture, routing: &Routing) -> usize {
    store::remind(&fixture.store, routing, 0).await.unwrap().incidents
}

/// All that waits was told so long ago.
async fn told(fixture: &mut Fixture, seconds: u64) {
    let ago = seconds * 1_000;
    let all = "UPDATE komainu_delivery SET state = 'sent', sent_at = created_at WHERE state = 'waiting'";
    fixture.raw.execute(all).await;
    fixture.raw.execute(&format!("UPDATE komainu_delivery SET sent_at = sent_at - {ago}")).await;
    fixture.raw.execute(&format!("UPDATE komainu_incident SET opened_at = opened_at - {ago}")).await;
}

async fn reminded(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT d.channel FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id \
         WHERE e.kind = 'reminder' ORDER BY d.channel";
    fixture.raw.rows(sql).await.concat()
}

async fn what_turned_critical_is_told_again_where_criticals_are(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (warning, critical) = (Some(Severity::Warning), Some(Severity::Critical));
    let routing = routing(&[route(warning, "mail", None), route(critical, "phone", Some(HOUR))]);
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    for severity in [Severity::Warning, Severity::Critical] {
        let alarm = Alarm { key: "capacity".into(), severity, summary: "full".into(), votes: (0, 0) };
        errands.raise(&alarm, &routing).await.unwrap();
        told(&mut fixture, 1).await;
    }
    assert_eq!(remind(&fixture, &routing).await, 0);
    told(&mut fixture, 3_600).await;
    assert_eq!(remind(&fixture, &routing).await, 1);
    assert_eq!(reminded(&mut fixture).await, ["phone"]);
}

async fn what_came_back_more_than_three_times_is_told_again(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&[route(None, "ops", Some(HOUR))]);
    for _ in 0..5 {
        raise(&fixture, "leader", &routing).await;
        told(&mut fixture, 0).await;
        resolve(&fixture, "leader").await;
    }
    raise(&fixture, "leader", &routing).await;
    assert_eq!(remind(&fixture, &routing).await, 0);
    told(&mut fixture, 3_600).await;
    assert_eq!(remind(&fixture, &routing).await, 1);
    let said = fixture.raw.rows("SELECT summary FROM komainu_event ORDER BY id DESC LIMIT 1").await.concat();
    assert_eq!(said, ["leader is bad (it came back 5 times)"]);
}

/// A monitor of this channel that is down and was told of.
async fn down(fixture: &mut Fixture, channel: &str, routing: &Routing) -> i64 {
    fixture.add_node("node1").await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let names = format!("UPDATE komainu_monitor SET channels = '[\"{channel}\"]' WHERE monitor_id = {monitor}");
    fixture.raw.execute(&names).await;
    fixture.change(monitor, 0, 0).await;
    assert_eq!(
        downtimes::settle(&fixture.store, &[monitor], (routing, &SecondOpinion::default())).await.unwrap(),
        (1, 0)
    );
    monitor.0
}

async fn what_names_its_own_channels_is_told_again_as_often_as_its_routes_say(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&[route(None, "ops", Some(2 * HOUR)), route(None, "mail", Some(HOUR))]);
    down(&mut fixture, "phone", &routing).await;
    told(&mut fixture, 3_000).await;
    assert_eq!(remind(&fixture, &routing).await, 0);
    told(&mut fixture, 600).await;
    assert_eq!(remind(&fixture, &routing).await, 1);
    assert_eq!(reminded(&mut fixture).await, ["phone"]);
}

async fn a_monitor_that_names_another_channel_since_is_told_again_there(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&[route(None, "ops", Some(HOUR))]);
    let monitor = down(&mut fixture, "phone", &routing).await;
    told(&mut fixture, 3_600).await;
    let moved = format!("UPDATE komainu_monitor SET channels = '[\"mail\"]' WHERE monitor_id = {monitor}");
    fixture.raw.execute(&moved).await;
    assert_eq!(remind(&fixture, &routing).await, 1);
    assert_eq!(reminded(&mut fixture).await, ["mail"]);
    assert_eq!(remind(&fixture, &routing).await, 0, "it waits to be sent");
    told(&mut fixture, 0).await;
    assert_eq!(remind(&fixture, &routing).await, 0);
}

async fn what_is_down_after_maintenance_is_told_again_whatever_its_nodes_clock_shows(kind: Kind) {
    for off in [-3_600, 0, 3_600] {
        let mut fixture = Fixture::native(kind).await;
        let routing = routing(&[route(None, "ops", None)]);
        fixture.add_node("node1").await;
        fixture.raw.execute(&format!("UPDATE node SET last_seen_ms = 0, clock_ms = {off} * 1000")).await;
        let monitor = fixture.monitors(1, Some("node1")).await[0];
        fixture.change(monitor, 0, off - 60).await;
        assert_eq!(
            downtimes::settle(&fixture.store, &[monitor], (&routing, &SecondOpinion::default())).await.unwrap(),
            (1, 0)
        );
        told(&mut fixture, 59).await;
        fixture.change(monitor, 3, off - 40).await;
        assert_eq!(remind(&fixture, &routing).await, 0, "{off}: people work on it");
        fixture.change(monitor, 0, off - 20).await;
        assert_eq!(remind(&fixture, &routing).await, 1, "{off}");
        told(&mut fixture, 0).await;
        assert_eq!(remind(&fixture, &routing).await, 0, "{off}: once");
    }
}

/// Open incidents that were told of on this channel two hours ago.
async fn old_incidents(fixture: &mut Fixture, how_many: usize, channel: &str) {
    let numbers = format!(
        "(WITH RECURSIVE s (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM s WHERE seq < 1000) \
         SELECT a.seq + b.seq * 1000 AS seq FROM s a JOIN s b ON b.seq <= {}) n",
        how_many / 1_000
    );
    let now = komainu::clock::wall().0 - 7_200_000;
    let key = if fixture.is_sqlite() { "'check/' || seq" } else { "CONCAT('check/', seq)" };
    let subject = if fixture.is_sqlite() {
        "'{\"key\":\"check/' || seq || '\",\"severity\":\"critical\",\"tags\":[\"old\"],\"channels\":[],\"node\":null}'"
    } else {
        "CONCAT('{\"key\":\"check/', seq, '\",\"severity\":\"critical\",\"tags\":[\"old\"],\"channels\":[],\"node\":null}')"
    };
    let incidents = format!(
        "INSERT INTO komainu_incident (id, k, severity, summary, subject_json, opened_at, last_bad_at) \
         SELECT 1000000 + seq, {key}, 'critical', 'bad', {subject}, {now}, {now} FROM {numbers}"
    );
    let events = format!(
        "INSERT INTO komainu_event (id, incident_id, kind, severity, summary, at) \
         SELECT 1000000 + seq, 1000000 + seq, 'opened', 'critical', 'bad', {now} FROM {numbers}"
    );
    let deliveries = format!(
        "INSERT INTO komainu_delivery (event_id, incident_id, channel, state, group_wait_ms, due_at, created_at, sent_at) \
         SELECT 1000000 + seq, 1000000 + seq, '{channel}', 'sent', 0, {now}, {now}, {now} FROM {numbers}"
    );
    for sql in [incidents, events, deliveries] {
        fixture.raw.execute(&sql).await;
    }
}

async fn ten_thousand_reminders_keep_no_courier_waiting(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let old = Matcher { tag: Some("old".to_owned()), ..Matcher::default() };
    let routing = routing(&[route(None, "ops", None), Route { matcher: old, ..route(None, "mail", Some(HOUR)) }]);
    old_incidents(&mut fixture, 10_000, "mail").await;
    raise(&fixture, "leader", &routing).await;
    let (ops, mail) = (Vendor::default(), Vendor::default());
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops), ("mail", &mail)]);
    ops.wait_for(1).await;
    let entered = "SELECT COUNT(*) FROM komainu_event WHERE kind = 'reminder'";
    let before = fixture.raw.count(entered).await;
    assert!(before < 5_000, "{before} reminders went first");
    wait_until("all are reminded of", 3 * PATIENCE, async || fixture.raw.count(entered).await >= 10_000).await;
    assert_eq!(fixture.raw.count(entered).await, 10_000);
}

async fn thousands_that_are_not_due_yet_hide_nothing_that_is(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(&[route(None, "ops", None)]);
    old_incidents(&mut fixture, 6_000, "ops").await;
    let later = komainu::clock::wall().0 + 600_000;
    // Ends of what flapped wait ten minutes; what failed rests for as long.
    for waits in [format!("due_at = {later}"), format!("due_at = due_at - 700000, retry_at = {later}")] {
        fixture.raw.execute(&format!("UPDATE komainu_delivery SET state = 'waiting', {waits}")).await;
        raise(&fixture, "leader", &routing).await;
        let queue = store::snapshot(&fixture.store, "ops").await.unwrap().queue;
        assert!(queue.iter().any(|row| row.key == "leader"), "what is due is read");
        assert!(queue.is_sorted_by_key(|row| row.delivery), "in the order of entering");
        resolve(&fixture, "leader").await;
        let leader = "SELECT id FROM komainu_incident WHERE k = 'leader'";
        fixture.raw.execute(&format!("DELETE FROM komainu_delivery WHERE incident_id IN ({leader})")).await;
        fixture.raw.execute("DELETE FROM komainu_incident WHERE k = 'leader'").await;
    }
    let ops = Vendor::default();
    raise(&fixture, "leader", &routing).await;
    let _running = deliverer(&fixture, 1, &routing, &[("ops", &ops)]);
    ops.wait_for(1).await;
    assert_eq!(ops.told().concat(), ["opened leader"]);
}
