//! Routes that hold at certain hours: what is entered outside of them is told by the others, and what is critical by somebody.

use std::time::Duration;

use jiff::tz::TimeZone;
use komainu::oncall::{NamedLadder, OnCall, Targets};
use komainu::opinion::SecondOpinion;
use komainu::store::outbox as store;
use komainu::store::{downtimes, silences};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::ladder::Ladder;
use komainu_watchdogs::routing::{DAY, Hours, Route, Routing};

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use super::vendor::{raise, resolve};

on_both_databases! {
    what_opens_outside_of_a_routes_hours_is_told_by_the_others,
    what_is_critical_outside_of_all_hours_is_told_all_the_same,
    what_is_still_open_when_the_hours_begin_is_told_as_often_as_the_route_says,
    a_ladder_is_climbed_at_the_hours_of_its_route,
}

const HOUR: u16 = 60;

/// Hours around the database's present moment, or two hours away from it.
async fn hours(fixture: &Fixture, is_on: bool) -> Vec<Hours> {
    let now = silences::now(&fixture.store).await.unwrap();
    let minute = u16::try_from(now.0 / 60_000 % i64::from(DAY)).unwrap();
    let later = |minutes: u16| (minute + minutes) % DAY;
    let (from, until) = if is_on { (DAY - 2 * HOUR, 2 * HOUR) } else { (2 * HOUR, 4 * HOUR) };
    vec![Hours { days: [true; 7], from: later(from), until: later(until), zone: TimeZone::UTC }]
}

fn to(channel: &str, hours: &[Hours]) -> Route {
    Route { channels: vec![channel.to_owned()], hours: hours.to_vec(), ..Route::default() }
}

fn routing(routes: Vec<Route>) -> Routing {
    Routing { channels: ["mail", "ops", "phone"].map(str::to_owned).to_vec(), routes }
}

async fn told(fixture: &mut Fixture, key: &str) -> Vec<String> {
    let sql = format!(
        "SELECT d.channel FROM komainu_delivery d JOIN komainu_event e ON e.id = d.event_id JOIN komainu_incident i \
         ON i.id = e.incident_id WHERE i.k = '{key}' AND d.state = 'waiting' ORDER BY d.channel"
    );
    fixture.raw.rows(&sql).await.concat()
}

async fn what_opens_outside_of_a_routes_hours_is_told_by_the_others(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let (on, off) = (hours(&fixture, true).await, hours(&fixture, false).await);
    let routing = routing(vec![to("phone", &off), to("mail", &on), to("ops", &[])]);
    raise(&fixture, "later/1", &routing).await;
    assert_eq!(told(&mut fixture, "later/1").await, ["mail", "ops"]);
    // Opened again it is entered anew, by the routes of that moment.
    resolve(&fixture, "later/1").await;
    fixture.raw.execute("UPDATE komainu_delivery SET state = 'sent', sent_at = created_at").await;
    let turned = self::routing(vec![to("phone", &on), to("mail", &off), to("ops", &[])]);
    raise(&fixture, "later/1", &turned).await;
    assert_eq!(told(&mut fixture, "later/1").await, ["ops", "phone"]);
    // Many at once go another way.
    fixture.add_node("node1").await;
    let monitors = fixture.monitors(2, Some("node1")).await;
    for monitor in &monitors {
        fixture.change(*monitor, 0, 0).await;
    }
    let settled = downtimes::settle(&fixture.store, &monitors, (&routing, &SecondOpinion::default())).await.unwrap();
    assert_eq!(settled, (2, 0));
    for monitor in monitors {
        assert_eq!(told(&mut fixture, &format!("monitor/{monitor}")).await, ["mail", "ops"]);
    }
}

async fn what_is_critical_outside_of_all_hours_is_told_all_the_same(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let routing = routing(vec![to("phone", &hours(&fixture, false).await)]);
    raise(&fixture, "later/1", &routing).await;
    assert_eq!(told(&mut fixture, "later/1").await, ["phone"]);
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    let alarm = |severity| Alarm { key: "later/2".into(), severity, summary: "bad".into(), votes: (0, 0) };
    errands.raise(&alarm(Severity::Warning), &routing).await.unwrap();
    assert_eq!(told(&mut fixture, "later/2").await, [""; 0]);
    errands.raise(&alarm(Severity::Critical), &routing).await.unwrap();
    assert_eq!(told(&mut fixture, "later/2").await, ["phone"], "it turned critical");
}

async fn what_is_still_open_when_the_hours_begin_is_told_as_often_as_the_route_says(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let repeat = Some(Duration::from_secs(3_600));
    let (on, off) = (hours(&fixture, true).await, hours(&fixture, false).await);
    let with = |hours: &[Hours]| routing(vec![Route { repeat, ..to("phone", hours) }, to("ops", &[])]);
    raise(&fixture, "later/1", &with(&off)).await;
    assert_eq!(told(&mut fixture, "later/1").await, ["ops"]);
    fixture.raw.execute("UPDATE komainu_incident SET opened_at = opened_at - 3600000").await;
    assert_eq!(store::remind(&fixture.store, &with(&off), 0).await.unwrap().incidents, 0);
    assert_eq!(store::remind(&fixture.store, &with(&on), 0).await.unwrap().incidents, 1);
    assert_eq!(told(&mut fixture, "later/1").await, ["ops", "phone"]);
}

async fn a_ladder_is_climbed_at_the_hours_of_its_route(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let targets = Targets { channels: vec!["phone".to_owned()], ..Targets::default() };
    let times = Ladder { afters: vec![Duration::from_secs(600)], ..Ladder::default() };
    let on_call = OnCall {
        ladders: [("night".to_owned(), NamedLadder { times, steps: vec![targets] })].into(),
        of_routes: vec![Some("night".to_owned()), None],
        ..OnCall::default()
    };
    let due = "SELECT COUNT(*) FROM komainu_climb WHERE due_at IS NOT NULL";
    for (key, is_on, climbs) in [("later/1", false, 0), ("later/2", true, 1)] {
        let routing = routing(vec![to("ops", &hours(&fixture, is_on).await), to("ops", &[])]);
        raise(&fixture, key, &routing).await;
        store::climb(&fixture.store, &routing, &on_call).await.unwrap();
        assert_eq!(fixture.raw.count(due).await, climbs, "{key}");
    }
}
