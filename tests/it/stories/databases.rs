//! The database is stopped, and killed in the middle of a decision.

use std::time::Duration;

use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_database_outage_of_thirty_seconds_moves_nothing_and_makes_nothing_down() {
    let shape = Shape { monitors: 30, interval: 20, ..Shape::default() };
    let mut cluster = Cluster::start(Kind::MariaDb, shape).await;
    let before = cluster.database.history().await;
    cluster.server.as_mut().unwrap().stop();
    let stopped_at = Cluster::now_us();
    let says_503 = async || cluster.status_of("w1").await.is_some_and(|(code, _)| code == 503);
    wait_until("the status is 503", Duration::from_secs(30), says_503).await;
    let is_over = async || Cluster::now_us() - stopped_at >= 30_000_000;
    wait_until("30 s have passed", Duration::from_secs(60), is_over).await;
    cluster.server.as_mut().unwrap().start_again();
    let back_at = Cluster::now_us();
    let all: Vec<_> = (1..=shape.monitors).collect();
    // Whatever its interval, each monitor runs within 10 s; the rest is the machine's.
    cluster.wait_for_beats(&all, back_at, Duration::from_secs(20)).await;
    let is_ok = async || cluster.status_of("w1").await.is_some_and(|(code, _)| code == 200);
    wait_until("the status is 200 again", Duration::from_secs(60), is_ok).await;
    assert_eq!(cluster.database.history().await, before, "no monitor moved");
    cluster.assert_no_false_down().await;
    cluster.assert_one_owner().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_database_killed_in_the_middle_of_a_decision_loses_nothing_and_doubles_nothing() {
    let mut cluster = Cluster::start(Kind::MariaDb, Shape { monitors: 45, ..Shape::default() }).await;
    // Fifteen moves then take 1.5 s: time enough to kill in between.
    let slow = "CREATE TRIGGER test_slow BEFORE UPDATE ON komainu_assignment FOR EACH ROW \
                BEGIN DECLARE slept INT; SET slept = SLEEP(0.1); END";
    cluster.database.execute(slow).await;
    let lost = cluster.owned_by("node3").await;
    let killed_at = Cluster::now_us();
    cluster.process("node3").kill();
    let is_deciding = async || {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%UPDATE komainu_assignment%' \
                   AND info NOT LIKE '%processlist%'";
        cluster.database.rows(sql).await[0][0] != "0"
    };
    wait_until("the leader moves monitors", Duration::from_secs(40), is_deciding).await;
    let server = cluster.server.as_mut().unwrap();
    server.kill();
    server.start_again();
    cluster.database.execute("DROP TRIGGER test_slow").await;
    cluster.wait_for_beats_elsewhere(&lost, "node3", killed_at).await;
    let all: Vec<_> = (1..=45).collect();
    cluster.wait_for_beats(&all, Cluster::now_us(), Duration::from_secs(60)).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}
