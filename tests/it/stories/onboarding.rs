//! A pipeline brings thousands of monitors, and the watchdog that takes them dies in the middle.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(a_bulk_whose_watchdog_is_killed_is_there_as_a_whole_or_not_at_all_and_sent_again_makes_nothing_twice,);

const MANY: usize = 4_000;

/// Paused, so that nobody has to run them.
fn batch(round: usize) -> Value {
    let item = |number: usize| {
        let name = format!("bulk/{round}/{number}");
        json!({"ref": name, "name": name, "type": "http", "url": "http://127.0.0.1:1/", "active": false, "tags": ["bulk"]})
    };
    (0..MANY).map(item).collect()
}

async fn made(cluster: &Cluster, round: usize) -> usize {
    let sql = format!(
        "SELECT COUNT(*) FROM komainu_monitor k JOIN monitor m ON m.id = k.monitor_id \
         JOIN monitor_tag t ON t.monitor_id = m.id WHERE k.ref LIKE 'bulk/{round}/%'"
    );
    cluster.database.rows(&sql).await[0][0].parse().unwrap()
}

fn upsert(cluster: &Cluster, watchdog: &str, round: usize) -> reqwest::RequestBuilder {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let url = cluster.url_of(watchdog, "/api/v1/monitors/bulk?upsert=true");
    let request = http.request(Method::POST, url).bearer_auth(cluster.api_key());
    request.header("content-type", "application/json").body(batch(round).to_string())
}

async fn a_bulk_whose_watchdog_is_killed_is_there_as_a_whole_or_not_at_all_and_sent_again_makes_nothing_twice(
    kind: Kind,
) {
    let mut cluster = Cluster::start(kind, Shape { nodes: 1, monitors: 1, ..Shape::default() }).await;
    let mut outcomes = [0, 0];
    for (round, millis) in [20_u64, 80, 200, 450, 900, 2_000].into_iter().enumerate() {
        let sending = tokio::spawn(upsert(&cluster, "w2", round).send());
        // Wherever that is in the middle of it.
        tokio::time::sleep(Duration::from_millis(millis)).await;
        cluster.process("w2").kill();
        let was_answered = sending.await.unwrap().is_ok_and(|answer| answer.status() == StatusCode::CREATED);
        // The database may still find out that nobody is there any more.
        let is_settled =
            async || upsert(&cluster, "w1", round).send().await.is_ok_and(|answer| answer.status().is_success());
        let before = made(&cluster, round).await;
        assert!(before == 0 || before == MANY, "{before} of {MANY} after {millis} ms");
        assert!(!was_answered || before == MANY, "what was answered is there");
        wait_until("another watchdog takes it", Duration::from_secs(30), is_settled).await;
        assert_eq!(made(&cluster, round).await, MANY);
        outcomes[usize::from(before == MANY)] += 1;
        cluster.start_process("w2");
        let is_up = async || cluster.status_of("w2").await.is_some();
        wait_until("w2 is back", Duration::from_secs(30), is_up).await;
    }
    let rows = cluster.database.rows("SELECT COUNT(*) FROM monitor").await;
    assert_eq!(rows, [[(6 * MANY + 1).to_string()]], "{outcomes:?}: none, all");
}
