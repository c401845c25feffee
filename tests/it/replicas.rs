//! A primary that dies with what its replica had not got yet, and the replica that is promoted: whatever was answered is in a
//! row once, or is named.

use std::time::Duration;

use komainu_watchdogs::time::Mono;
use reqwest::Method;
use serde_json::Value;

use crate::cluster::bot::Bot;
use crate::cluster::database::Database;
use crate::cluster::server::MariaDb;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::raw::Raw;

/// A look around, a round, and a machine that is busy with other tests.
const RECOVERS_WITHIN: Duration = Duration::from_secs(60);

/// Asynchronous replication between two servers.
struct Pair {
    primary: MariaDb,
    replica: MariaDb,
}

impl Pair {
    async fn start() -> Self {
        let primary = MariaDb::start_with(&["--server-id=1", "--log-bin=binlog", "--binlog-format=ROW"]);
        let replica =
            MariaDb::start_with(&["--server-id=2", "--log-bin=binlog", "--log-slave-updates", "--read-only=1"]);
        let pair = Self { primary, replica };
        let follow = format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos; \
             START SLAVE",
            pair.primary.port()
        );
        pair.on_replica(&follow).await;
        Raw::connect(&pair.primary.url("mysql")).await.execute("CREATE DATABASE kuma CHARACTER SET utf8mb4").await;
        pair.catch_up().await;
        pair
    }

    async fn on_replica(&self, sql: &str) {
        Raw::connect(&self.replica.url("mysql")).await.execute(sql).await;
    }

    /// The replica has all that the primary had a moment ago.
    async fn catch_up(&self) {
        let position: String = Raw::connect(&self.primary.url("mysql")).await.one("SELECT @@gtid_binlog_pos").await;
        let mut replica = Raw::connect(&self.replica.url("mysql")).await;
        let waited = replica.count(&format!("SELECT MASTER_GTID_WAIT('{position}', 30)")).await;
        assert_eq!(waited, 0, "the replica is behind");
    }

    async fn promote(&self) {
        self.on_replica("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0").await;
    }
}

/// Pushes that a watchdog answered with 200, by their times.
async fn push(bot: &Bot, base: &str, times: usize) -> Vec<i64> {
    let mut answered = Vec::new();
    for _ in 0..times {
        let time_us = Cluster::now_us();
        assert_eq!(bot.push(base, time_us).await, Some(200));
        answered.push(time_us);
    }
    answered
}

async fn kept(database: &Database, bot: &Bot) -> Vec<i64> {
    let sql = format!("SELECT time_us FROM komainu_push WHERE name = '{}' ORDER BY time_us", bot.name);
    database.rows(&sql).await.iter().map(|row| row[0].parse().unwrap()).collect()
}

async fn summary(cluster: &Cluster) -> String {
    let sql = "SELECT summary FROM komainu_incident WHERE k = 'database/lost-tail' AND resolved_at IS NULL";
    cluster.database.rows(sql).await.into_iter().next().map(|row| row[0].clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn what_a_promoted_replica_had_not_got_is_told_and_pushes_are_entered_again() {
    let mut pair = Pair::start().await;
    let url = format!("mysql://root@127.0.0.1:{},127.0.0.1:{}/kuma", pair.primary.port(), pair.replica.port());
    let shape = Shape { monitors: 6, ..Shape::default() };
    let mut cluster = Cluster::start_at((&url, Database::MariaDb(pair.primary.url("kuma"))), shape).await;
    let (quiet, busy) = (Bot::make(&cluster, "quiet", 3_600).await, Bot::make(&cluster, "busy", 3_600).await);
    let [one, two] = ["w1", "w2"].map(|name| cluster.url_of(name, ""));
    let mut of_quiet = push(&quiet, &one, 5).await;
    let mut of_busy = push(&busy, &two, 5).await;
    pair.catch_up().await;
    pair.on_replica("STOP SLAVE IO_THREAD").await;

    of_quiet.extend(push(&quiet, &one, 5).await);
    of_busy.extend(push(&busy, &two, 5).await);
    assert_eq!(cluster.call(Method::POST, "/api/v1/nodes/node3/drain", &Value::Null).await, 202);
    // Each watchdog has written its row since.
    let sql = "SELECT MIN(writes) FROM komainu_watchdog";
    let before: i64 = cluster.database.rows(sql).await[0][0].parse().unwrap();
    let have_written = async || cluster.database.rows(sql).await[0][0].parse::<i64>().unwrap() >= before + 3;
    wait_until("all watchdogs have written", RECOVERS_WITHIN, have_written).await;
    let killed_at = komainu::clock::now();
    pair.primary.kill();
    pair.promote().await;
    cluster.database = Database::MariaDb(pair.replica.url("kuma"));
    // One job goes on, and does not wait for what was forgotten.
    let goes_on = async || busy.push(&two, of_busy[9] + 1).await.is_some_and(|code| code == 200);
    wait_until("pushes are taken again", RECOVERS_WITHIN, goes_on).await;
    of_busy.push(of_busy[9] + 1);
    say("pushes are taken again", killed_at);

    let is_told = async || summary(&cluster).await.contains("found by w1, w2, w3");
    wait_until("all three watchdogs found it", RECOVERS_WITHIN, is_told).await;
    say("all three have told of it", killed_at);
    let told = summary(&cluster).await;
    assert!(told.contains("node.drain node3 by key/test"), "{told}");
    assert_eq!(kept(&cluster.database, &quiet).await, of_quiet, "each in a row once: {told}");
    let of_busy_kept = kept(&cluster.database, &busy).await;
    let missing: Vec<_> = of_busy.iter().filter(|time| !of_busy_kept.contains(time)).collect();
    assert!(told.contains(&format!("{} were overtaken", missing.len())), "{missing:?}: {told}");
    assert!(of_busy_kept.iter().all(|time| of_busy.contains(time)), "none counts twice");
    assert!(cluster.logs().contains("the database lost what it had answered"), "in the log, too");
    let all: Vec<_> = (1..=6).collect();
    cluster.wait_for_beats(&all, Cluster::now_us(), RECOVERS_WITHIN).await;
    say("every monitor has beaten again", killed_at);
    say(&told, killed_at);
    a_restart_is_no_second_loss(&mut cluster).await;
}

#[expect(clippy::print_stdout, reason = "docs/database.md has these figures")]
fn say(what: &str, killed_at: Mono) {
    println!("{:.1} s after the kill: {what}", komainu::clock::now().since(killed_at).as_secs_f64());
}

async fn a_restart_is_no_second_loss(cluster: &mut Cluster) {
    let found = "SELECT COUNT(*) FROM komainu_lost_tail";
    assert_eq!(cluster.database.rows(found).await[0][0], "3");
    cluster.process("w2").kill();
    cluster.start_process("w2");
    let sql = "SELECT writes, incarnation FROM komainu_watchdog WHERE watchdog_id = 'w2'";
    let before = cluster.database.rows(sql).await[0].clone();
    let writes = |row: &[String]| row[0].parse::<i64>().unwrap();
    let has_written = async || {
        let row = cluster.database.rows(sql).await[0].clone();
        row[1] != before[1] && writes(&row) >= writes(&before) + 4
    };
    wait_until("the new process writes the row", RECOVERS_WITHIN, has_written).await;
    assert_eq!(cluster.database.rows(found).await[0][0], "3");
    cluster.assert_no_false_down().await;
}
