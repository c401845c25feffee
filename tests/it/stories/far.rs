//! The database is a second away: the cluster decides all the same, more slowly, and says so.

use std::time::Duration;

use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

const SHAPE: Shape = Shape { watchdogs: 3, nodes: 3, monitors: 9, interval: 5, with_proxies: false };

/// What takes seconds there takes as many more on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(300);

async fn wait_until_slow_and_well(cluster: &Cluster, watchdog: &str) {
    let is_named = async || {
        let status = cluster.status_of(watchdog).await;
        status.is_some_and(|(code, status)| {
            code == 200 && status["reasons"].to_string().contains("the database is slow: a round trip takes 1")
        })
    };
    wait_until(&format!("{watchdog} says that the database is slow, and no more"), LIMIT, is_named).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_database_a_second_away_is_slow_and_nothing_else() {
    let vendor = Vendor::start().await;
    let mut cluster = Cluster::start_movable(SHAPE, &vendor.sections()).await;
    cluster.move_database_away(Duration::from_secs(1));
    wait_until_slow_and_well(&cluster, "w2").await;
    let lost = cluster.owned_by("node3").await;
    let killed_at = Cluster::now_us();
    cluster.process("node3").kill();
    cluster.wait_for_beats_elsewhere(&lost, "node3", killed_at).await;
    let is_told = async || !vendor.told("node/node3", "opened").is_empty();
    wait_until("the loss is told", LIMIT, is_told).await;
    // What starts there finds its way, too.
    cluster.start_process("node3");
    let is_back = async || cluster.node_status("node3").await == "online";
    wait_until("the node is back", LIMIT, is_back).await;
    cluster.process("w3").kill();
    cluster.start_process("w3");
    wait_until_slow_and_well(&cluster, "w3").await;
    let others: Vec<_> = vendor.messages().into_iter().flat_map(|message| message.items).collect();
    let is_own = |key: &str| ["database", "nodes", "leader", "progress/"].iter().any(|kind| key.starts_with(kind));
    assert!(!others.iter().any(|(key, _)| is_own(key)), "{others:?}");
    cluster.assert_one_owner().await;
}
