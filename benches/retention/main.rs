//! Whether deleting old beats and statistics keeps up with writing them, and how long who writes waits meanwhile.
//!
//! `cargo bench --bench retention [-- SECONDS]`, on MariaDB. Two million beats and a million minutes of statistics are past
//! their time; somebody writes 500 beats in one statement ten times a second, 5,000/s, as 100,000 monitors do at 20 s. It
//! judges nothing and always ends with 0: a bench is no test.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]

/// The databases that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "only a server is needed here")]
    pub(crate) mod cluster;
}

use std::time::Duration;

use hdrhistogram::Histogram;
use komainu::clock;
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::prune::{self, Rounds};
use komainu::store::{DatabaseUrl, Store};

use self::it::cluster::database::{self, Database, Kind};

/// Monitors that write.
const MONITORS: u64 = 5_000;

/// Written in one statement.
const TOGETHER: u64 = 500;

/// Between two of these.
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().unwrap();
    let (_server, database, url) = database::fresh(Kind::MariaDb, folder.path()).await;
    let store = Store::connect(&DatabaseUrl::parse(&url).unwrap()).await.unwrap();
    migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
    fill(&database).await;
    let alone = tokio::join!(write(&database, seconds / 3), std::future::ready(())).0;
    let (waits, deleted) = tokio::join!(write(&database, seconds), delete(&store, seconds));
    println!("{:<44} {:>10}", "rows deleted each second", deleted / seconds);
    println!("{:<44} {:>10}", "beats written each second", waits.len() * TOGETHER / seconds);
    for (name, waits) in [("500 beats in one statement, alone", alone), ("the same while old rows go", waits)] {
        let ms = |quantile: f64| Duration::from_micros(waits.value_at_quantile(quantile)).as_millis();
        println!("{name:<44} {:>10}", format!("p50 {} ms, p99 {} ms", ms(0.5), ms(0.99)));
    }
}

async fn fill(database: &Database) {
    let monitors = format!("INSERT INTO monitor (id, name) SELECT seq, 'm' FROM seq_1_to_{MONITORS}");
    let beats = format!(
        "INSERT INTO heartbeat (monitor_id, status, time) \
         SELECT seq % {MONITORS} + 1, 1, UTC_TIMESTAMP() - INTERVAL 30 HOUR + INTERVAL seq DIV 10000 SECOND \
         FROM seq_1_to_2000000"
    );
    let recent = format!(
        "INSERT INTO heartbeat (monitor_id, status, time) SELECT seq % {MONITORS} + 1, 1, UTC_TIMESTAMP() \
         FROM seq_1_to_{}",
        100 * MONITORS
    );
    let minutes = format!(
        "INSERT INTO stat_minutely (monitor_id, timestamp, ping, up, down) \
         SELECT seq % {MONITORS} + 1, UNIX_TIMESTAMP() - 180000 + 60 * (seq DIV {MONITORS}), 1, 1, 0 FROM seq_1_to_1000000"
    );
    for statement in [monitors, beats, recent, minutes] {
        database.execute(&statement).await;
    }
}

/// As the leader does, over and over; says how many rows went.
async fn delete(store: &Store, seconds: u64) -> u64 {
    let (mut rounds, mut deleted, began_at) = (Rounds::default(), 0, clock::now());
    while clock::now().since(began_at) < Duration::from_secs(seconds) {
        deleted += prune::keep_up(store, &mut rounds).await.unwrap();
    }
    deleted
}

/// How long each statement took, in microseconds.
async fn write(database: &Database, seconds: u64) -> Histogram<u64> {
    let mut waits = Histogram::new_with_bounds(1, 600_000_000, 3).unwrap();
    let mut pace = tokio::time::interval(PAUSE);
    let began_at = clock::now();
    while clock::now().since(began_at) < Duration::from_secs(seconds) {
        pace.tick().await;
        let sql = format!(
            "INSERT INTO heartbeat (monitor_id, status, time) \
             SELECT 1 + (seq * 7) % {MONITORS}, 1, UTC_TIMESTAMP() FROM seq_1_to_{TOGETHER}"
        );
        let sent_at = clock::now();
        database.execute(&sql).await;
        waits.saturating_record(u64::try_from(clock::now().since(sent_at).as_micros()).unwrap());
    }
    waits
}
