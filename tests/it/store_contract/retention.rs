//! What grows is kept as long as Kuma keeps it.

use komainu::store::Beat;
use komainu::store::prune::thinning::Thinning;
use komainu::store::prune::{self, Retention, Rounds};
use komainu_watchdogs::ids::{Incarnation, MonitorId};
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind, StoresBeats, beat};
use super::on_both_databases;

on_both_databases! {
    statistics_are_kept_as_long_as_kuma_keeps_them,
    what_grows_fast_goes_batch_after_batch_until_nothing_is_left,
    rows_that_a_clock_dated_ahead_keep_nothing_that_is_old,
    days_are_left_to_kuma_where_there_is_one,
    beats_that_changed_nothing_go_after_a_day_but_for_the_last_hundred,
    beats_are_left_to_kuma_where_there_is_one,
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

async fn statistics_are_kept_as_long_as_kuma_keeps_them(kind: Kind) {
    let mut fixture = with_old_statistics(kind).await;
    while fixture.store.prune(&Retention::default()).await.unwrap() > 0 {}
    assert_eq!(ages(&mut fixture, "minutely").await, [23 * HOUR]);
    assert_eq!(ages(&mut fixture, "hourly").await, [29 * DAY]);
    assert_eq!(ages(&mut fixture, "daily").await, [364 * DAY]);
}

async fn what_grows_fast_goes_batch_after_batch_until_nothing_is_left(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let monitor = fixture.monitors(1, None).await[0];
    let old = komainu::clock::wall().0 / 1_000 - 40 * HOUR;
    let rows: Vec<_> = (0..3_500).map(|minute| format!("({monitor}, {}, 1, 1, 0)", old - 60 * minute)).collect();
    let sql = format!("INSERT INTO stat_minutely (monitor_id, timestamp, ping, up, down) VALUES {}", rows.join(", "));
    fixture.raw.execute(&sql).await;
    let deleted = prune::keep_up(&fixture.store, &mut Rounds::default()).await.unwrap();
    assert_eq!(deleted, 3_500, "one call takes more than one batch");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM stat_minutely").await, 0);
}

async fn rows_that_a_clock_dated_ahead_keep_nothing_that_is_old(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let monitor = fixture.monitors(1, None).await[0];
    let now = komainu::clock::wall().0 / 1_000;
    for (first, how_many, at) in [(1, 1_500, now + 300 * DAY), (5_000, 1_200, now - 40 * HOUR), (90_000, 10, now)] {
        let row = |number: i64| format!("({}, {monitor}, {}, 1, 1, 0)", first + number, at - 60 * number);
        let rows: Vec<_> = (0..how_many).map(row).collect();
        let sql =
            format!("INSERT INTO stat_minutely (id, monitor_id, timestamp, ping, up, down) VALUES {}", rows.join(", "));
        fixture.raw.execute(&sql).await;
    }
    while fixture.store.prune(&Retention::default()).await.unwrap() > 0 {}
    let old = format!("SELECT COUNT(*) FROM stat_minutely WHERE timestamp < {now} - {}", 30 * HOUR);
    assert_eq!(fixture.raw.count(&old).await, 0);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM stat_minutely").await, 1_510);
}

async fn days_are_left_to_kuma_where_there_is_one(kind: Kind) {
    let mut fixture = with_old_statistics(kind).await;
    fixture.raw.execute("UPDATE komainu_schema SET kuma_tables = ''").await;
    while fixture.store.prune(&Retention::default()).await.unwrap() > 0 {}
    assert_eq!(ages(&mut fixture, "hourly").await, [29 * DAY]);
    assert_eq!(ages(&mut fixture, "daily").await, [366 * DAY, 364 * DAY]);
}

async fn with_old_statistics(kind: Kind) -> Fixture {
    let mut fixture = Fixture::native(kind).await;
    let monitor = fixture.monitors(1, None).await[0];
    let now = komainu::clock::wall().0 / 1_000;
    let ages =
        [("minutely", [25 * HOUR, 23 * HOUR]), ("hourly", [31 * DAY, 29 * DAY]), ("daily", [366 * DAY, 364 * DAY])];
    for (table, ages) in ages {
        for age in ages {
            let sql = format!(
                "INSERT INTO stat_{table} (monitor_id, timestamp, ping, up, down) VALUES ({monitor}, {}, 1, 1, 0)",
                now - age
            );
            fixture.raw.execute(&sql).await;
        }
    }
    fixture
}

/// To the next hour: the clock goes on.
async fn ages(fixture: &mut Fixture, table: &str) -> Vec<i64> {
    let rows = fixture.raw.rows(&format!("SELECT timestamp FROM stat_{table} ORDER BY timestamp")).await;
    let now = komainu::clock::wall().0 / 1_000;
    rows.iter().map(|row| (now - row[0].parse::<i64>().unwrap()) / HOUR * HOUR).collect()
}

async fn beats_that_changed_nothing_go_after_a_day_but_for_the_last_hundred(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let made = with_old_beats(&mut fixture).await;
    let mut thinning = Thinning::default();
    while thinning.step(&fixture.store).await.unwrap() > 0 {}
    let mut left = async |monitor: MonitorId| {
        fixture.raw.count(&format!("SELECT COUNT(*) FROM heartbeat WHERE monitor_id = {monitor}")).await
    };
    // Of 150 old ones the last hundred, and one earlier that changed something.
    assert_eq!(left(made[0]).await, 101);
    // 120 of today, none of those before.
    assert_eq!(left(made[1]).await, 120);
    assert_eq!(left(made[2]).await, 30);
}

async fn beats_are_left_to_kuma_where_there_is_one(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    with_old_beats(&mut fixture).await;
    fixture.raw.execute("UPDATE komainu_schema SET kuma_tables = ''").await;
    assert_eq!(Thinning::default().step(&fixture.store).await.unwrap(), 0);
}

/// One monitor that is silent since the day before yesterday, one that beats until now, one that has few beats.
async fn with_old_beats(fixture: &mut Fixture) -> Vec<MonitorId> {
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let now = komainu::clock::wall().0;
    let ago = |monitor, seconds: i64| Beat { time: Wall(now - seconds * 1_000), ..beat(monitor) };
    let mut beats: Vec<Beat> = (0..150).map(|at| ago(made[0], 2 * DAY - at)).collect();
    beats[10].important = true;
    beats.extend((0..30).map(|at| ago(made[1], 2 * DAY - at)));
    beats.extend((0..120).map(|at| ago(made[1], HOUR - at)));
    beats.extend((0..30).map(|at| ago(made[2], 2 * DAY - at)));
    fixture.store.store_beats(&"node1".into(), Incarnation(11), &beats).await.unwrap();
    made
}
