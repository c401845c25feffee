//! Processes that start when not all is well: without a database, with a wrong one, or after everything was killed.

use std::time::Duration;

use serde_json::Value;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::raw::Raw;

on_both!(after_everything_was_killed_no_watchdog_is_calm_before_the_leases_were_watched);

const ONE_OF_EACH: Shape = Shape { watchdogs: 1, nodes: 1, monitors: 3, interval: 2, with_proxies: false };

/// What the node answers about its health.
async fn health(cluster: &Cluster) -> Option<(u16, Value)> {
    let answer = reqwest::get(cluster.url_of("node1", "/api/v1/health")).await.ok()?;
    let code = answer.status().as_u16();
    Some((code, serde_json::from_str(&answer.text().await.ok()?).ok()?))
}

async fn wait_until_it_waits(cluster: &Cluster) {
    let waits = async || health(cluster).await.is_some_and(|(code, body)| code == 503 && body["status"] == "waiting");
    wait_until("node1 says that it waits", Duration::from_secs(20), waits).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_node_that_starts_without_its_database_waits_says_so_and_goes_on_when_it_is_there() {
    let mut cluster = Cluster::start(Kind::MariaDb, ONE_OF_EACH).await;
    cluster.process("node1").kill();
    cluster.server.as_mut().unwrap().stop();
    cluster.start_process("node1");
    wait_until_it_waits(&cluster).await;
    // Some attempts later it still does.
    let has_waited = async || health(&cluster).await.is_some_and(|(_, body)| body["waiting_ms"].as_u64() > Some(4_000));
    wait_until("it has waited", Duration::from_secs(20), has_waited).await;
    let (_, body) = health(&cluster).await.unwrap();
    assert!(body["reason"].as_str().unwrap().contains("cannot reach the database"), "{body}");
    assert!(cluster.process("node1").log().contains("the node waits for its database"));
    assert!(cluster.process("node1").exit_status().is_none());
    cluster.server.as_mut().unwrap().start_again();
    let back_at = Cluster::now_us();
    cluster.wait_for_beats(&[1, 2, 3], back_at, Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_node_that_waits_for_its_database_stops_cleanly_when_asked() {
    let mut cluster = Cluster::prepare(Kind::MariaDb, ONE_OF_EACH, "").await;
    cluster.server.as_mut().unwrap().stop();
    cluster.start_process("node1");
    wait_until_it_waits(&cluster).await;
    cluster.process("node1").terminate();
    let process = cluster.process("node1");
    wait_until("node1 has ended", Duration::from_secs(5), async || process.exit_status().is_some()).await;
    assert!(cluster.process("node1").exit_status().unwrap().success(), "it stopped cleanly");
}

async fn fails_with(cluster: &mut Cluster, words: &str) {
    cluster.start_process("node1");
    let process = cluster.process("node1");
    wait_until("node1 has ended", Duration::from_secs(20), async || process.exit_status().is_some()).await;
    assert!(!cluster.process("node1").exit_status().unwrap().success());
    let log = cluster.process("node1").log();
    assert!(log.contains(words), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_node_with_a_wrong_password_or_without_tables_does_not_wait_but_says_what_is_wrong() {
    let mut cluster = Cluster::prepare(Kind::MariaDb, ONE_OF_EACH, "").await;
    let server = cluster.server.as_ref().unwrap();
    let (own, stranger) = (server.url_as("komainu_node", "kuma"), server.url_as("nobody:wrong", "kuma"));
    let empty = server.url("empty");
    cluster.edit_config("node1", |text| text.replace(&own, &stranger));
    fails_with(&mut cluster, "refuses the user").await;
    cluster.database.execute("CREATE DATABASE empty").await;
    cluster.edit_config("node1", |text| text.replace(&stranger, &empty));
    fails_with(&mut cluster, "run `komainu migrate`").await;
}

async fn after_everything_was_killed_no_watchdog_is_calm_before_the_leases_were_watched(kind: Kind) {
    let mut cluster = Cluster::start(kind, Shape::default()).await;
    for name in ["node1", "node2", "node3", "w1", "w2", "w3"] {
        cluster.process(name).kill();
    }
    for name in ["w1", "w2", "w3"] {
        cluster.start_process(name);
    }
    let started_at = Cluster::now_us();
    let is_over = async || {
        for name in ["w1", "w2", "w3"] {
            if let Some((code, status)) = cluster.status_of(name).await {
                assert_eq!(code, 503, "{name} is calm although nothing is watched: {status}");
            }
        }
        Cluster::now_us() - started_at > 25_000_000
    };
    wait_until("more than two leases have passed", Duration::from_secs(60), is_over).await;
    for name in ["node1", "node2", "node3"] {
        cluster.start_process(name);
    }
    let is_well = async || cluster.status_of("w2").await.is_some_and(|(code, _)| code == 200);
    wait_until("the status is 200 once they are back", Duration::from_secs(120), is_well).await;
}

/// Kills a node while this holds, and waits until its monitors run elsewhere.
async fn moves_in_spite_of(trouble: &str) {
    let mut cluster = Cluster::start(Kind::MariaDb, Shape::default()).await;
    let lost = cluster.owned_by("node3").await;
    let mut stranger = Raw::connect(&cluster.server.as_ref().unwrap().url("kuma")).await;
    stranger.execute(trouble).await;
    let killed_at = Cluster::now_us();
    cluster.process("node3").kill();
    // The bound of a killed process, and what a busy machine takes.
    let took = cluster.wait_for_beats_elsewhere(&lost, "node3", killed_at).await;
    assert!(took < Duration::from_secs(45), "{took:?}");
    cluster.assert_one_owner().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_killed_nodes_monitors_move_although_an_index_that_progress_is_read_through_was_renamed() {
    moves_in_spite_of("ALTER TABLE heartbeat RENAME INDEX monitor_time_index TO renamed_by_somebody").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_killed_nodes_monitors_move_although_no_incident_can_be_read_or_opened() {
    moves_in_spite_of("LOCK TABLES komainu_incident WRITE, komainu_event WRITE").await;
}
