//! Ids of 64 bits: on MariaDB, whose `INT UNSIGNED` ends after 4.3 billion beats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use komainu::store::capacity;
use komainu::store::migrate::{self, MigrateOptions};
use komainu_watchdogs::routing::Routing;

use super::fixture::{Fixture, Kind};
use crate::support::kuma;
use crate::support::raw::Raw;

const GROWING: [&str; 4] = ["heartbeat", "stat_minutely", "stat_hourly", "stat_daily"];

async fn type_of_ids(fixture: &mut Fixture, table: &str) -> String {
    let sql = "SELECT CAST(column_type AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() \
         AND column_name = 'id' AND table_name =";
    fixture.raw.one(&format!("{sql} '{table}'")).await
}

/// As the third schema made it.
async fn with_narrow_ids() -> Fixture {
    let mut fixture = Fixture::native(Kind::MariaDb).await.migrating().await;
    for table in GROWING {
        let narrow = format!("ALTER TABLE {table} MODIFY COLUMN id INT UNSIGNED NOT NULL AUTO_INCREMENT");
        fixture.raw.execute(&narrow).await;
    }
    fixture.raw.execute("UPDATE komainu_schema SET version = 3").await;
    fixture
}

async fn migrate(fixture: &Fixture) -> migrate::MigrationPlan {
    migrate::apply(&fixture.store, MigrateOptions::default()).await.unwrap()
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn tables_that_komainu_makes_have_ids_of_64_bits() {
    let mut fixture = Fixture::native(Kind::MariaDb).await.migrating().await;
    for table in GROWING {
        assert_eq!(type_of_ids(&mut fixture, table).await, "bigint(20) unsigned", "{table}");
    }
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn kumas_own_tables_are_left_as_they_are() {
    let mut fixture = Fixture::empty(Kind::MariaDb).await;
    fixture.raw.execute(&kuma::stock(false)).await;
    migrate(&fixture).await;
    assert_eq!(type_of_ids(&mut fixture, "heartbeat").await, "int(10) unsigned");
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn small_tables_are_widened_with_the_migration() {
    let mut fixture = with_narrow_ids().await;
    let planned = migrate::plan(&fixture.store, MigrateOptions::default()).await.unwrap();
    let altered = planned.statements.iter().filter(|sql| sql.contains("MODIFY COLUMN id BIGINT")).count();
    assert_eq!(altered, GROWING.len());
    migrate(&fixture).await;
    for table in GROWING {
        assert_eq!(type_of_ids(&mut fixture, table).await, "bigint(20) unsigned", "{table}");
    }
}

/// Writes beats, changes some and deletes some, until it is told to end; what is there then is what was written.
async fn work(text: String, is_over: Arc<AtomicBool>) -> i64 {
    let mut raw = Raw::connect(&text).await;
    let mut written = 0;
    while !is_over.load(Ordering::Relaxed) {
        written += 1;
        let sql = format!(
            "INSERT INTO heartbeat (monitor_id, status, time, msg) VALUES (7, 1, UTC_TIMESTAMP(), 'live {written}')"
        );
        let update = format!("UPDATE heartbeat SET duration = 5 WHERE id = {written}");
        let delete = format!("DELETE FROM heartbeat WHERE id = {}", 60_000 + written);
        for statement in [sql, update, delete] {
            persistently(&mut raw, &statement).await;
        }
    }
    written
}

/// As every writer of komainu's: whoever lost a deadlock begins again.
async fn persistently(raw: &mut Raw, sql: &str) {
    loop {
        match raw.try_execute(sql).await {
            Ok(_) => return,
            Err(error) => assert!(error.to_string().contains("1213"), "{sql}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_large_table_is_widened_beside_the_work_on_it_and_loses_nothing() {
    let mut fixture = with_narrow_ids().await;
    let rows = "INSERT INTO heartbeat (monitor_id, status, time, msg) \
         SELECT seq % 50 + 1, 1, UTC_TIMESTAMP(), 'before' FROM seq_1_to_120000";
    fixture.raw.execute(rows).await;
    // A migration was killed here once: what it left is begun anew.
    fixture.raw.execute("CREATE TABLE komainu_wide_heartbeat (id INT)").await;
    fixture.raw.execute("CREATE TABLE komainu_narrow_stat_daily (id INT)").await;
    let planned = migrate::plan(&fixture.store, MigrateOptions::default()).await.unwrap();
    assert!(planned.notes.iter().any(|note| note.contains("TRIGGER")), "{:?}", planned.notes);
    let is_over = Arc::new(AtomicBool::new(false));
    let worker = tokio::spawn(work(fixture.text.clone(), Arc::clone(&is_over)));
    migrate(&fixture).await;
    is_over.store(true, Ordering::Relaxed);
    let written = worker.await.unwrap();
    assert!(written > 10, "somebody worked meanwhile");
    assert_eq!(type_of_ids(&mut fixture, "heartbeat").await, "bigint(20) unsigned");
    let count = async |raw: &mut Raw, condition: &str| {
        raw.count(&format!("SELECT COUNT(*) FROM heartbeat WHERE {condition}")).await
    };
    assert_eq!(count(&mut fixture.raw, "msg LIKE 'live %'").await, written);
    assert_eq!(count(&mut fixture.raw, "msg = 'before'").await, 120_000 - written);
    assert_eq!(count(&mut fixture.raw, "duration = 5").await, written);
    let left = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() \
         AND (table_name LIKE 'komainu_wide_%' OR table_name LIKE 'komainu_narrow_%')";
    assert_eq!(fixture.raw.count(left).await, 0);
    assert_eq!(fixture.raw.rows("SHOW TRIGGERS").await.len(), 0);
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn ids_of_kumas_own_tables_are_told_of_before_they_end_and_the_incident_ends_with_wide_ones() {
    let mut fixture = Fixture::empty(Kind::MariaDb).await;
    fixture.raw.execute(&kuma::stock(false)).await;
    migrate(&fixture).await;
    fixture.raw.execute("INSERT INTO monitor (id, name, `interval`) VALUES (1, 'web', 60)").await;
    // Two thousand million ids in the last two days: half of the range ends tomorrow.
    let beat = "INSERT INTO heartbeat (id, monitor_id, status, time) VALUES";
    for (id, hours) in [(1_000_u64, 48), (1_100_000_000, 24), (1_200_000_000, 23), (2_200_000_000, 0)] {
        let time = format!("UTC_TIMESTAMP() - INTERVAL {hours} HOUR + INTERVAL 1 MINUTE");
        fixture.raw.execute(&format!("{beat} ({id}, 1, 1, {time})")).await;
    }
    let ids = capacity::read(&fixture.store).await.unwrap();
    let beats = ids.ranges.iter().find(|range| range.table == "heartbeat").unwrap();
    assert_eq!((beats.last, beats.percent()), (2_200_000_000, 51));
    let per_day = beats.per_day.unwrap();
    assert!((1_099_000_000..1_102_000_000).contains(&per_day), "{per_day}");
    let routing = Routing::default();
    assert!(capacity::settle(&fixture.store, &ids, &routing).await.unwrap());
    assert!(!capacity::settle(&fixture.store, &ids, &routing).await.unwrap(), "it is told once");
    let open = "SELECT severity FROM komainu_incident WHERE k = 'capacity/ids' AND resolved_at IS NULL";
    assert_eq!(fixture.raw.one(open).await, "warning");
    fixture.raw.execute("ALTER TABLE heartbeat MODIFY COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT").await;
    let ids = capacity::read(&fixture.store).await.unwrap();
    assert!(ids.ranges.iter().all(|range| range.table != "heartbeat"));
    assert!(capacity::settle(&fixture.store, &ids, &routing).await.unwrap());
    assert_eq!(fixture.raw.rows(open).await.len(), 0);
}
