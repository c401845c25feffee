//! Heartbeats at real watchdogs: pushes to all of them at once, under kill -9, and through an outage of the database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor, MySqlConnection};
use tokio::task::JoinSet;

use super::on_both;
use crate::cluster::bot::Bot;
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(
    the_same_push_at_all_watchdogs_at_once_counts_exactly_once,
    what_a_killed_watchdog_acknowledged_is_in_the_history,
    an_accepted_push_shows_on_every_watchdog,
    a_silent_heartbeat_is_late_everywhere_and_told_once_also_by_a_watchdog_that_was_frozen,
);

/// As many as there are watchdogs in [`Shape::default`].
const WATCHDOGS: [&str; 3] = ["w1", "w2", "w3"];

async fn start(kind: Kind) -> Cluster {
    Cluster::start(kind, Shape { nodes: 1, monitors: 1, ..Shape::default() }).await
}

async fn the_same_push_at_all_watchdogs_at_once_counts_exactly_once(kind: Kind) {
    const PUSHES: usize = 1_000;
    let cluster = start(kind).await;
    // Fewer than 50 a second of each name.
    let mut bots = Vec::new();
    for number in 0..20 {
        bots.push(Bot::make(&cluster, &format!("bot{number}"), 3_600).await);
    }
    let bases = WATCHDOGS.map(|watchdog| cluster.url_of(watchdog, ""));
    for number in 0..PUSHES {
        let (bot, time_us) = (&bots[number % bots.len()], Cluster::now_us());
        let sent = bases.iter().map(|base| bot.push(base, time_us));
        let codes = futures_util::future::join_all(sent).await;
        let accepted = codes.iter().filter(|code| **code == Some(200)).count();
        let replayed = codes.iter().filter(|code| **code == Some(409)).count();
        assert_eq!((accepted, replayed), (1, 2), "push {number}: {codes:?}");
    }
    let rows = cluster.database.rows("SELECT COUNT(*), COUNT(DISTINCT push_id) FROM komainu_push").await;
    assert_eq!(rows[0], [PUSHES.to_string(), PUSHES.to_string()]);
}

async fn what_a_killed_watchdog_acknowledged_is_in_the_history(kind: Kind) {
    let mut cluster = start(kind).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for number in 0..24 {
        let bot = Bot::make(&cluster, &format!("bot{number}"), 3_600).await;
        let base = cluster.url_of(WATCHDOGS[number % 3], "");
        let stop = Arc::clone(&stop);
        senders.spawn(async move {
            let mut acknowledged = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let time_us = Cluster::now_us();
                if bot.push(&base, time_us).await == Some(200) {
                    acknowledged.push((bot.name.clone(), time_us.to_string()));
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            acknowledged
        });
    }
    let pushes =
        async || cluster.database.rows("SELECT COUNT(*) FROM komainu_push").await[0][0].parse::<i64>().unwrap();
    wait_until("500 pushes are in", Duration::from_secs(60), async || pushes().await >= 500).await;
    cluster.process("w2").kill();
    let so_far = pushes_of(&cluster).await;
    let go_on = async || pushes_of(&cluster).await >= so_far + 300;
    wait_until("the others go on", Duration::from_secs(60), go_on).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    while let Some(sent) = senders.join_next().await {
        acknowledged.extend(sent.unwrap());
    }
    let rows = cluster.database.rows("SELECT name, time_us FROM komainu_push").await;
    let history: BTreeSet<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(history.len(), rows.len(), "nothing counted twice");
    let lost: Vec<_> = acknowledged.iter().filter(|push| !history.contains(push)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged pushes are lost: {lost:?}", lost.len(), acknowledged.len());
}

async fn pushes_of(cluster: &Cluster) -> i64 {
    cluster.database.rows("SELECT COUNT(*) FROM komainu_push").await[0][0].parse().unwrap()
}

async fn an_accepted_push_shows_on_every_watchdog(kind: Kind) {
    let cluster = start(kind).await;
    let bases = WATCHDOGS.map(|watchdog| cluster.url_of(watchdog, ""));
    for number in 0..10 {
        let bot = Bot::make(&cluster, &format!("bot{number}"), 3_600).await;
        let pushed_us = Cluster::now_us();
        assert_eq!(bot.push(&bases[number % 3], pushed_us).await, Some(200));
        assert_eq!(bot.seen_at(&bases[number % 3]).await, Some(200), "at once where it was accepted");
        for base in &bases {
            let shows = async || bot.seen_at(base).await == Some(200);
            wait_until("the push shows", Duration::from_secs(5), shows).await;
        }
    }
}

async fn a_silent_heartbeat_is_late_everywhere_and_told_once_also_by_a_watchdog_that_was_frozen(kind: Kind) {
    let mut cluster = start(kind).await;
    let bases = WATCHDOGS.map(|watchdog| cluster.url_of(watchdog, ""));
    let bot = Bot::make(&cluster, "bot", 3).await;
    let incidents = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'heartbeat/bot'";
    let open = format!("{incidents} AND resolved_at IS NULL");
    let count = async |cluster: &Cluster, sql: &str| cluster.database.rows(sql).await[0][0].clone();
    assert_eq!(bot.push(&bases[0], Cluster::now_us()).await, Some(200));
    let is_alive = async || bot.seen_at(&bases[2]).await == Some(200);
    wait_until("the last watchdog knows it", Duration::from_secs(5), is_alive).await;
    // Frozen with the knowledge that it is due in three seconds.
    cluster.freeze("w3").await;
    for base in &bases[..2] {
        let is_late = async || bot.seen_at(base).await == Some(404);
        wait_until("it is late", Duration::from_secs(15), is_late).await;
    }
    let is_told = async || count(&cluster, &open).await == "1";
    wait_until("the incident is open", Duration::from_secs(15), is_told).await;
    assert_eq!(bot.push(&bases[1], Cluster::now_us()).await, Some(200));
    let is_over = async || count(&cluster, &open).await == "0";
    wait_until("the incident is over", Duration::from_secs(15), is_over).await;
    let patient = json!({"period_s": 3_600});
    cluster.patch("/api/v1/heartbeats/bot", &patient).await;
    cluster.process("w3").wake();
    let is_alive = async || bot.seen_at(&bases[2]).await == Some(200);
    wait_until("the woken watchdog says 200", Duration::from_secs(15), is_alive).await;
    assert_eq!(count(&cluster, incidents).await, "1", "the woken watchdog told nothing anew");
}

/// Nothing can be pushed while it is away, so nobody is late because of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_database_outage_makes_no_heartbeat_late() {
    let mut cluster = start(Kind::MariaDb).await;
    let bases = WATCHDOGS.map(|watchdog| cluster.url_of(watchdog, ""));
    let bot = Bot::make(&cluster, "bot", 5).await;
    assert_eq!(bot.push(&bases[0], Cluster::now_us()).await, Some(200));
    cluster.server.as_mut().unwrap().stop();
    let began_us = Cluster::now_us();
    let is_refused = async || bot.push(&bases[0], Cluster::now_us()).await == Some(503);
    wait_until("a push is refused", Duration::from_secs(20), is_refused).await;
    let cannot_say = async || bot.seen_at(&bases[0]).await == Some(503);
    wait_until("nobody can say whether it is alive", Duration::from_secs(20), cannot_say).await;
    // Twice as long as it may be silent.
    let is_long = async || Cluster::now_us() - began_us > 12_000_000;
    wait_until("its deadline has passed", Duration::from_secs(20), is_long).await;
    cluster.server.as_mut().unwrap().start_again();
    let is_noticed = async || cluster.database.rows("SELECT id FROM komainu_outage").await.len() == 1;
    wait_until("the outage is accounted for", Duration::from_secs(30), is_noticed).await;
    for base in &bases {
        let is_alive = async || {
            let seen = bot.seen_at(base).await;
            assert_ne!(seen, Some(404), "late because pushes were refused");
            seen == Some(200)
        };
        wait_until("every watchdog says 200 again", Duration::from_secs(30), is_alive).await;
    }
    assert_eq!(bot.push(&bases[1], Cluster::now_us()).await, Some(200));
    let told = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'heartbeat/bot'";
    assert_eq!(cluster.database.rows(told).await[0][0], "0");
}

/// The watchdogs can write their own rows, and no push.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_table_that_somebody_locked_makes_no_heartbeat_late_and_is_told_when_it_lasts() {
    let cluster = start(Kind::MariaDb).await;
    let bases = WATCHDOGS.map(|watchdog| cluster.url_of(watchdog, ""));
    let bot = Bot::make(&cluster, "bot", 5).await;
    assert_eq!(bot.push(&bases[0], Cluster::now_us()).await, Some(200));
    let mut locking = MySqlConnection::connect(&cluster.server.as_ref().unwrap().url("kuma")).await.unwrap();
    locking.execute("LOCK TABLES komainu_heartbeat READ").await.unwrap();
    let began_us = Cluster::now_us();
    let is_named = async || {
        let (code, status) = cluster.status_of("w2").await.unwrap();
        let reasons = status["reasons"].to_string();
        code == 200 && status["status"] == "degraded" && reasons.contains("pushes: none can be taken")
    };
    wait_until("the status names it", Duration::from_secs(20), is_named).await;
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'pushes' AND resolved_at IS NULL";
    let is_told = async || {
        for base in &bases {
            assert_ne!(bot.seen_at(base).await, Some(404), "late because pushes were refused");
        }
        cluster.database.rows(open).await[0][0] == "1"
    };
    let waited = wait_until("it is told", Duration::from_secs(120), is_told).await;
    assert!(Cluster::now_us() - began_us > 55_000_000, "after a minute, not {waited:?}");
    assert_eq!(cluster.status_of("w1").await.unwrap().0, 503);
    locking.execute("UNLOCK TABLES").await.unwrap();
    for base in &bases {
        let is_alive = async || {
            let seen = bot.seen_at(base).await;
            assert_ne!(seen, Some(404), "late because pushes were refused");
            seen == Some(200)
        };
        wait_until("every watchdog says 200 again", Duration::from_secs(30), is_alive).await;
    }
    wait_until("it is over", Duration::from_secs(30), async || cluster.database.rows(open).await[0][0] == "0").await;
    assert_eq!(bot.push(&bases[1], Cluster::now_us()).await, Some(200));
    let told = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'heartbeat/bot'";
    assert_eq!(cluster.database.rows(told).await[0][0], "0");
}
