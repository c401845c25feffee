//! Statistics are what Kuma 2.5.3's own calculator makes of the same beats.
//!
//! `fixtures/kuma/statistics.json` was written by `server/uptime-calculator.js` of that version, once storing numbers as
//! `MariaDB` keeps them (two decimals) and once as `SQLite` does. A `null` among the beats is a new process that goes on
//! where the one before stopped.

use std::collections::BTreeMap;

use komainu::store::beats::keeper::{Attempt, BeatKeeper, Earlier, Receipt};
use komainu::store::stats::uptime::{Uptime, Uptimes};
use komainu::store::{Beat, BeatStatus};
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::time::Wall;
use serde_json::{Value as Json, json};

use super::fixture::{Fixture, Kind, beat};
use super::on_both_databases;

on_both_databases! {
    statistics_are_those_of_kumas_own_calculator,
    statistics_are_the_same_however_beats_are_batched,
    a_refused_beat_is_not_counted,
    a_beat_whose_answer_was_lost_is_counted_once,
    a_later_beat_is_not_taken_for_the_one_in_doubt,
    a_beat_that_was_never_tried_is_not_taken_for_one_like_it,
    a_full_row_of_statistics_counts_no_further_and_keeps_no_beat_out,
    own_trouble_is_stored_and_not_counted,
    what_others_wrote_into_a_row_is_counted_on_and_kept,
    a_database_without_the_tables_stores_beats_alone,
}

/// What the columns keep: two decimals in single precision, or all of them.
fn slack(kind: Kind) -> f64 {
    if kind == Kind::Sqlite { 1e-6 } else { 0.0101 }
}

async fn statistics_are_those_of_kumas_own_calculator(kind: Kind) {
    play_all(kind, 1).await;
}

async fn statistics_are_the_same_however_beats_are_batched(kind: Kind) {
    play_all(kind, 97).await;
}

async fn play_all(kind: Kind, batch: usize) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let stories: Vec<Json> = serde_json::from_str(include_str!("../fixtures/kuma/statistics.json")).unwrap();
    let made = fixture.monitors(stories.len(), Some("node1")).await;
    for (story, monitor) in stories.iter().zip(made) {
        play(&fixture, story, monitor, batch).await;
        compare(&mut fixture, story, monitor, kind).await;
    }
}

async fn play(fixture: &Fixture, story: &Json, monitor: MonitorId, batch: usize) {
    for process in story["beats"].as_array().unwrap().split(Json::is_null) {
        let keeper = keeper(fixture);
        let beats: Vec<Beat> = process.iter().map(|told| beat_of(monitor, told)).collect();
        for part in beats.chunks(batch) {
            let receipts = keeper.keep(part, Earlier::Answered).await.unwrap();
            assert!(receipts.iter().all(|receipt| *receipt == Receipt::Stored));
        }
    }
}

fn beat_of(monitor: MonitorId, told: &Json) -> Beat {
    let at = Wall(told[0].as_i64().unwrap());
    let status = BeatStatus::from_code(told[1].as_i64().unwrap()).unwrap();
    Beat { status, time: at, end_time: at, ping_ms: told[2].as_i64(), ..beat(monitor) }
}

async fn compare(fixture: &mut Fixture, story: &Json, monitor: MonitorId, kind: Kind) {
    let name = story["story"].as_str().unwrap();
    let kumas = if kind == Kind::Sqlite { &story["sqlite"] } else { &story["mariadb"] };
    for table in ["minutely", "hourly", "daily"] {
        let ours = rows_of(fixture, table, monitor).await;
        let theirs = kumas[table].as_array().unwrap();
        // Kuma deletes minutes and hours that are too old while it counts; here that is the upkeep's work.
        let oldest = theirs[0][0].as_i64().unwrap();
        assert_eq!(ours.range(oldest..).count(), theirs.len(), "{name}, {table}");
        for kuma in theirs {
            let our = &ours[&kuma[0].as_i64().unwrap()];
            let numbers = |row: &[Json]| row.iter().map(|cell| cell.as_f64().unwrap()).collect::<Vec<_>>();
            let (our_numbers, kumas_numbers) = (numbers(&our[1..6]), numbers(&kuma.as_array().unwrap()[1..6]));
            let is_same = our_numbers.iter().zip(&kumas_numbers).all(|(our, kuma)| (our - kuma).abs() <= slack(kind));
            assert!(is_same, "{name}, {table} of {}: {our_numbers:?} is not {kumas_numbers:?}", kuma[0]);
            assert_eq!(our[6], kuma[6], "{name}, {table}");
        }
    }
    let read_at = Wall(story["read_at"].as_i64().unwrap());
    let uptimes = fixture.store.uptimes_at(monitor, read_at).await.unwrap();
    let period = |name: &str| &kumas["uptime"][name];
    for (our, kuma) in [(uptimes.day, period("24h")), (uptimes.week, period("7d")), (uptimes.month, period("30d"))] {
        assert!(is_same_uptime(our, kuma, kind), "{name}: {our:?} is not {kuma}");
    }
}

fn is_same_uptime(our: Uptime, kuma: &Json, kind: Kind) -> bool {
    let is_near = |our: Option<f64>, kuma: Option<f64>| match (our, kuma) {
        // Averages of averages: the slack of each row, and the same again for those read back.
        (Some(our), Some(kuma)) => (our - kuma).abs() <= 2.0 * slack(kind),
        (our, kuma) => our == kuma,
    };
    let counted = (our.up + our.down > 0).then(|| kuma[0].as_f64().unwrap());
    is_near(our.uptime, counted) && is_near(our.avg_ping_ms, kuma[1].as_f64())
}

/// By timestamp, in the order of the fixture's columns.
async fn rows_of(fixture: &mut Fixture, table: &str, monitor: MonitorId) -> BTreeMap<i64, Vec<Json>> {
    let sql = format!(
        "SELECT timestamp, up, down, ping, ping_min, ping_max, COALESCE(extras, 'null') FROM stat_{table} \
         WHERE monitor_id = {monitor}"
    );
    let rows = fixture.raw.rows(&sql).await;
    let cells = |row: Vec<String>| -> Vec<Json> {
        let (extras, numbers) = row.split_last().unwrap();
        let numbers = numbers.iter().map(|cell| serde_json::from_str(cell).unwrap());
        let extras = if extras == "null" { Json::Null } else { Json::from(extras.as_str()) };
        numbers.chain([extras]).collect()
    };
    rows.into_iter().map(cells).map(|row| (row[0].as_i64().unwrap(), row)).collect()
}

async fn a_refused_beat_is_not_counted(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let _other = fixture.start_node("node2", 22).await;
    let own = fixture.monitors(1, Some("node1")).await[0];
    let foreign = fixture.monitors(1, Some("node2")).await[0];
    let receipts = keeper(&fixture).keep(&[beat(own), beat(foreign)], Earlier::Answered).await.unwrap();
    assert_eq!(receipts, [Receipt::Stored, Receipt::Refused]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM stat_hourly").await, 1);
    assert_eq!(fixture.raw.count(&format!("SELECT up FROM stat_hourly WHERE monitor_id = {own}")).await, 1);
}

async fn a_beat_whose_answer_was_lost_is_counted_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(2, Some("node1")).await;
    let keeper = keeper(&fixture);
    let beats = [beat(made[0]), beat(made[1])];
    keeper.keep(&beats[..1], Earlier::Answered).await.unwrap();
    let receipts = keeper.keep(&beats, Earlier::InDoubt).await.unwrap();
    assert_eq!(receipts, [Receipt::AlreadyThere, Receipt::Stored]);
    assert_eq!(fixture.raw.count("SELECT SUM(up) FROM stat_daily").await, 2);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM heartbeat").await, 2);
}

async fn a_later_beat_is_not_taken_for_the_one_in_doubt(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let keeper = keeper(&fixture);
    let first = beat(monitor);
    let push = Beat { msg: "a push".to_owned(), ..first.clone() };
    let later = Beat { time: Wall(first.time.0 + 5_000), end_time: Wall(first.end_time.0 + 5_000), ..first.clone() };
    keeper.keep(&[first.clone(), later], Earlier::Answered).await.unwrap();
    let receipts = keeper.keep(&[first.clone(), push, first], Earlier::InDoubt).await.unwrap();
    assert_eq!(receipts, [Receipt::AlreadyThere, Receipt::Stored, Receipt::Stored], "a row stands for one beat");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM heartbeat").await, 4);
}

async fn a_beat_that_was_never_tried_is_not_taken_for_one_like_it(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(2, Some("node1")).await;
    let keeper = keeper(&fixture);
    keeper.keep(&[beat(made[0])], Earlier::Answered).await.unwrap();
    let again = Attempt { beat: beat(made[0]), earlier: Earlier::Answered };
    let doubted = Attempt { beat: beat(made[1]), earlier: Earlier::InDoubt };
    let receipts = keeper.keep_each(&[doubted, again]).await.unwrap();
    assert_eq!(receipts, [Receipt::Stored, Receipt::Stored]);
}

async fn a_full_row_of_statistics_counts_no_further_and_keeps_no_beat_out(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let keeper = keeper(&fixture);
    keeper.keep(&[beat(monitor)], Earlier::Answered).await.unwrap();
    for span in ["minutely", "hourly", "daily"] {
        fixture.raw.execute(&format!("UPDATE stat_{span} SET up = 32767")).await;
    }
    assert_eq!(keeper.keep(&[beat(monitor)], Earlier::Answered).await.unwrap(), [Receipt::Stored]);
    assert_eq!(fixture.raw.count("SELECT up FROM stat_hourly").await, 32_767);
    assert_eq!(fixture.raw.count("SELECT up FROM stat_daily").await, 32_768);
}

async fn own_trouble_is_stored_and_not_counted(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let unable = Beat { status: BeatStatus::Pending, is_own_trouble: true, ..beat(monitor) };
    keeper(&fixture).keep(&[unable], Earlier::Answered).await.unwrap();
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM heartbeat").await, 1);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM stat_daily").await, 0);
}

async fn what_others_wrote_into_a_row_is_counted_on_and_kept(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let keeper = keeper(&fixture);
    let at = |second: i64, ping| {
        let at = Wall(1_763_800_000_000 + second * 1_000);
        Beat { time: at, end_time: at, ping_ms: Some(ping), ..beat(monitor) }
    };
    keeper.keep(&[at(0, 10)], Earlier::Answered).await.unwrap();
    let theirs = "UPDATE stat_hourly SET up = 3, ping = 20, ping_max = 40, extras = '{\"theirs\":7}'";
    fixture.raw.execute(theirs).await;
    let maintenance = Beat { status: BeatStatus::Maintenance, ping_ms: None, ..at(2, 0) };
    keeper.keep(&[at(1, 30), maintenance], Earlier::Answered).await.unwrap();
    let rows = rows_of(&mut fixture, "hourly", monitor).await;
    let row: Vec<f64> = rows.values().next().unwrap()[1..6].iter().map(|cell| cell.as_f64().unwrap()).collect();
    assert_eq!(row, [4.0, 0.0, 22.5, 10.0, 40.0]);
    let extras: Json = serde_json::from_str(rows.values().next().unwrap()[6].as_str().unwrap()).unwrap();
    assert_eq!(extras, json!({"maintenance": 1, "theirs": 7}));
}

async fn a_database_without_the_tables_stores_beats_alone(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    for table in ["stat_minutely", "stat_hourly", "stat_daily"] {
        fixture.raw.execute(&format!("DROP TABLE {table}")).await;
    }
    // What tables there are is read once by each process.
    let fresh = komainu::store::Store::connect(fixture.store.url()).await.unwrap();
    let keeper = BeatKeeper::new(fresh.clone(), "node1".into(), Incarnation(11));
    assert_eq!(keeper.keep(&[beat(monitor)], Earlier::Answered).await.unwrap(), [Receipt::Stored]);
    assert_eq!(fresh.uptimes(monitor).await.unwrap(), Some(Uptimes::default()));
    assert_eq!(fresh.uptimes(MonitorId(4_711)).await.unwrap(), None);
}

fn keeper(fixture: &Fixture) -> BeatKeeper {
    BeatKeeper::new(fixture.store.clone(), "node1".into(), Incarnation(11))
}
