//! One watchdog, one native node without a trace, and monitors put straight into the tables.

use std::time::Duration;

use crate::it::cluster::database::Kind;
use crate::it::cluster::wait::wait_until;
use crate::it::cluster::{Cluster, Shape};

/// The node that is measured.
pub(crate) const NODE: &str = "node1";

/// Rows of one INSERT.
const ROWS: i64 = 1_000;

/// Starts both, and waits until the node is online.
pub(crate) async fn start(kind: Kind) -> Cluster {
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 0, ..Shape::default() };
    let mut cluster = Cluster::prepare(kind, shape, "").await;
    let without_trace = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("trace_file"));
        lines.collect::<Vec<_>>().join("\n")
    };
    cluster.edit_config(NODE, without_trace);
    // What the tests write down of each beat is no cost of the node's.
    cluster.database.execute("DROP TRIGGER test_beat").await;
    cluster.database.execute("UPDATE node SET capacity = 1000000").await;
    for name in ["w1", NODE] {
        cluster.start_process(name);
    }
    let is_online = async || cluster.node_status(NODE).await == "online";
    wait_until("the node is online", Duration::from_secs(60), is_online).await;
    cluster
}

/// Puts so many http monitors into the tables; the leader places them.
pub(crate) async fn add(cluster: &Cluster, monitors: u32, interval: u32) {
    let all = i64::from(monitors);
    for first in (1..=all).step_by(usize::try_from(ROWS).unwrap()) {
        let last = (first + ROWS - 1).min(all);
        let rows: Vec<_> = (first..=last)
            .map(|number| {
                let url = cluster.target.url(number);
                let timeout = f64::from(interval) * 0.8;
                format!("('monitor {number}', 'http', '{url}', {interval}, {interval}, {timeout})")
            })
            .collect();
        let head = "INSERT INTO monitor (name, type, url, `interval`, retry_interval, timeout) VALUES";
        cluster.database.execute(&format!("{head} {}", rows.join(", "))).await;
    }
}
