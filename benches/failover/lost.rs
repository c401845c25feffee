//! Real processes that are killed, vanish, or are stopped: until the others have taken over.
//!
//! Several clusters are tried at the same time, since most of a trial is waiting. Between two trials the lost process
//! comes back, its monitors come home, and the cool-off that a loss leaves behind is taken away.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use sqlx::{Connection, SqliteConnection};

use crate::it::cluster::database::{Database, Kind};
use crate::it::cluster::wait::wait_until;
use crate::it::cluster::{Cluster, Shape};
use crate::options::{Options, Section};
use crate::table::{Bar, Table, name};

/// What is measured here.
pub(crate) const SECTIONS: [Section; 5] =
    [Section::Killed, Section::Vanished, Section::Handover, Section::LeaderKilled, Section::LeaderVanished];

/// Seconds between runs: far longer than what is measured, so that a first beat is due to the failover alone.
const INTERVAL: u32 = 60;

/// The node that is lost; its connections can vanish.
const NODE: &str = "node1";

/// Where a trial is given up.
const LIMIT: Duration = Duration::from_secs(120);

/// These sections on one database.
pub(crate) async fn run(kind: Kind, sections: &[Section], options: &Options, table: &Table) {
    for with_proxies in [false, true] {
        let sections: Vec<_> =
            sections.iter().filter(|section| needs_proxies(kind, **section) == with_proxies).collect();
        if sections.is_empty() {
            continue;
        }
        let shape = Shape { interval: INTERVAL, with_proxies, ..Shape::default() };
        eprintln!("{}: starting {} clusters", name(kind), options.clusters);
        let mut clusters = join_all((0..options.clusters).map(|_| Cluster::start(kind, shape))).await;
        for &section in sections {
            let each = options.trials.div_ceil(clusters.len());
            eprintln!("{}: {section:?}, {each} trials on each of {} clusters", name(kind), clusters.len());
            let trials = clusters.iter_mut().map(|cluster| try_all(kind, section, cluster, each));
            let times: Vec<_> = join_all(trials).await.into_iter().flatten().collect();
            let (what, bar) = words(kind, section);
            table.times(what, kind, &times, bar);
        }
    }
}

/// Whose host vanishes does so behind them. Whoever is killed is not: a proxy goes on to accept for a process that is gone.
fn needs_proxies(kind: Kind, section: Section) -> bool {
    kind == Kind::MariaDb && matches!(section, Section::Vanished | Section::LeaderVanished)
}

fn words(kind: Kind, section: Section) -> (&'static str, Bar) {
    let seconds = Duration::from_secs;
    let killed = match kind {
        Kind::MariaDb => seconds(6),
        Kind::Sqlite => seconds(20),
    };
    match section {
        Section::Killed => ("node killed -> first beats of all its monitors", Bar::P99(killed)),
        Section::Vanished => ("node vanished -> first beats of all its monitors", Bar::P99(seconds(25))),
        Section::Handover => ("node stopped cleanly -> first beats of all of them", Bar::None),
        Section::LeaderKilled => ("leader killed -> next leader's claim", Bar::Most(seconds(3))),
        Section::LeaderVanished => ("leader vanished -> next leader's claim", Bar::Most(seconds(15))),
        Section::Decision | Section::Idle => ("", Bar::None),
    }
}

/// Trials on one cluster, until one fails.
async fn try_all(kind: Kind, section: Section, cluster: &mut Cluster, trials: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..trials {
        let trial = AssertUnwindSafe(try_once(kind, section, cluster)).catch_unwind();
        let Ok(time) = trial.await else {
            eprintln!("{}: a trial of {section:?} failed", name(kind));
            break;
        };
        eprintln!("{}: {section:?} {:.3} s", name(kind), time.as_secs_f64());
        times.push(time);
    }
    times
}

async fn try_once(kind: Kind, section: Section, cluster: &mut Cluster) -> Duration {
    // Anywhere within the rhythms of renewals, rounds and probes.
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..5_000))).await;
    match section {
        Section::LeaderKilled => replace_leader(kind, section, cluster).await,
        Section::LeaderVanished => {
            // Whoever replaces a killed leader holds the advisory lock: the slower way to vanish.
            replace_leader(kind, Section::LeaderKilled, cluster).await;
            replace_leader(kind, section, cluster).await
        }
        Section::Killed | Section::Vanished | Section::Handover | Section::Decision | Section::Idle => {
            lose_node(kind, section, cluster).await
        }
    }
}

async fn lose_node(kind: Kind, section: Section, cluster: &mut Cluster) -> Duration {
    let monitors = cluster.owned_by(NODE).await;
    let since_us = strike(kind, section, cluster, NODE).await;
    let took = first_beats(cluster, &monitors, "<>", since_us).await;
    let back_us = Cluster::now_us();
    restore(kind, section, cluster, NODE).await;
    cluster.database.execute("UPDATE node SET losses = 0, lost_at_ms = NULL").await;
    wait_until("the monitors are home", LIMIT, async || cluster.owned_by(NODE).await == monitors).await;
    first_beats(cluster, &monitors, "=", back_us).await;
    took
}

/// Waits until each has beaten on a node that it was given to after `since_us`; how long after it the last did.
async fn first_beats(cluster: &Cluster, monitors: &[i64], which: &str, since_us: i64) -> Duration {
    let sql = format!(
        "SELECT b.monitor_id, MIN(b.at_us) FROM test_history h JOIN test_beats b ON b.monitor_id = h.monitor_id \
         AND b.at_us >= h.at_us WHERE h.at_us > {since_us} AND h.node_id <> '' AND h.node_id {which} '{NODE}' \
         AND b.at_us > {since_us} GROUP BY b.monitor_id"
    );
    let mut last_us = since_us;
    wait_until("all beat", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let rows = cluster.database.rows(&sql).await;
        let at_us = |monitor: &i64| rows.iter().find(|row| row[0] == monitor.to_string())?[1].parse::<i64>().ok();
        let firsts: Option<Vec<_>> = monitors.iter().map(at_us).collect();
        last_us = firsts.as_ref().and_then(|firsts| firsts.iter().max().copied()).unwrap_or(last_us);
        firsts.is_some()
    })
    .await;
    Duration::from_micros(u64::try_from(last_us - since_us).unwrap())
}

async fn replace_leader(kind: Kind, section: Section, cluster: &mut Cluster) -> Duration {
    let (leader, epoch) = cluster.leader().await;
    let since_us = strike(kind, section, cluster, &leader).await;
    let claimed = format!("SELECT claimed_at FROM komainu_leader WHERE epoch > {epoch}");
    let mut claimed_ms = 0;
    wait_until("another watchdog leads", LIMIT, async || {
        let rows = cluster.database.rows(&claimed).await;
        claimed_ms = rows.first().map_or(0, |row| row[0].parse().unwrap());
        !rows.is_empty()
    })
    .await;
    restore(kind, section, cluster, &leader).await;
    for watchdog in ["w1", "w2", "w3"] {
        let is_well = async || cluster.status_of(watchdog).await.is_some_and(|(_, status)| status["status"] == "ok");
        wait_until("all watchdogs watch again", LIMIT, is_well).await;
    }
    Duration::from_micros(u64::try_from(claimed_ms * 1_000 - since_us).unwrap_or(0))
}

/// What the section is about; when it happened.
async fn strike(kind: Kind, section: Section, cluster: &mut Cluster, process: &str) -> i64 {
    let now = Cluster::now_us();
    match section {
        Section::Vanished | Section::LeaderVanished => return vanish(kind, cluster, process).await,
        Section::Handover => cluster.process(process).terminate(),
        Section::Killed | Section::LeaderKilled => cluster.process(process).kill(),
        Section::Decision | Section::Idle => {}
    }
    now
}

/// Undoes it.
async fn restore(kind: Kind, section: Section, cluster: &mut Cluster, process: &str) {
    if matches!(section, Section::Vanished | Section::LeaderVanished) {
        return appear(kind, cluster, process);
    }
    wait_until("the process ends", LIMIT, async || cluster.process(process).exit_status().is_some()).await;
    cluster.start_process(process);
}

/// Its host vanishes; since when. On one machine with SQLite a frozen process looks like that.
async fn vanish(kind: Kind, cluster: &mut Cluster, process: &str) -> i64 {
    if kind == Kind::MariaDb {
        let now = Cluster::now_us();
        for proxy in proxies(process) {
            cluster.proxies.get(&proxy).inspect(|proxy| proxy.vanish());
        }
        return now;
    }
    loop {
        let now = Cluster::now_us();
        cluster.process(process).freeze();
        // Frozen inside a write transaction it would block every writer: a limit of SQLite, and not what is measured.
        if takes_writes(&cluster.database).await {
            return now;
        }
        cluster.process(process).wake();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn appear(kind: Kind, cluster: &mut Cluster, process: &str) {
    if kind == Kind::Sqlite {
        cluster.process(process).wake();
    }
    for proxy in proxies(process) {
        cluster.proxies.get(&proxy).inspect(|proxy| proxy.heal());
    }
}

/// Of its database connection, and of its HTTP port where it has one.
fn proxies(process: &str) -> [String; 2] {
    [process.to_owned(), format!("{process}-http")]
}

async fn takes_writes(database: &Database) -> bool {
    let Database::Sqlite(path) = database else { return true };
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_millis(300));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await.is_ok()
}
