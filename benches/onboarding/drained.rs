//! A node is emptied by hand: how long its monitors are unwatched, and that nobody runs them twice meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::it::cluster::Cluster;
use crate::it::cluster::database::Kind;
use crate::it::cluster::wait::wait_until;
use crate::options::Options;
use crate::table::{Bar, Table, name};

/// The node.
const NODE: &str = "node1";

/// Where it is given up.
const LIMIT: Duration = Duration::from_secs(180);

/// A monitor that is moved by hand between living nodes is unwatched for at most this, and its own interval.
const ALLOWED: Duration = Duration::from_secs(5);

/// Drains it.
pub(crate) async fn run(cluster: &Cluster, kind: Kind, options: &Options, table: &Table) {
    let monitors = cluster.owned_by(NODE).await;
    eprintln!("{}: draining {NODE} of its {} monitors", name(kind), monitors.len());
    let interval = Duration::from_secs(u64::from(options.interval));
    // Every monitor is in its rhythm: the first runs after a start are closer together than an interval.
    cluster.wait_for_beats(&monitors, Cluster::now_us(), LIMIT).await;
    let since_us = Cluster::now_us();
    cluster.post(&format!("/api/v1/nodes/{NODE}/drain"), &json!({})).await;
    let overlay = format!("SELECT overlay FROM node WHERE node_id = '{NODE}'");
    wait_until("it is drained", LIMIT, async || cluster.database.rows(&overlay).await[0][0] == "drained").await;
    let drained = Duration::from_micros(u64::try_from(Cluster::now_us() - since_us).unwrap());
    cluster.wait_for_beats(&monitors, Cluster::now_us(), LIMIT).await;

    table.times(&format!("drain of a node with {} monitors", monitors.len()), kind, &[drained], Bar::None);
    let gaps = longest_gaps(cluster, &monitors, since_us, interval).await;
    table.times("longest time without a beat of each", kind, &gaps, Bar::Most(interval + ALLOWED));
}

/// Of each monitor, the longest span between two beats since one interval before the drain.
async fn longest_gaps(cluster: &Cluster, monitors: &[i64], since_us: i64, interval: Duration) -> Vec<Duration> {
    let from_us = since_us - i64::try_from(interval.as_micros()).unwrap() - 1_000_000;
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    let mut longest: BTreeMap<i64, i64> = monitors.iter().map(|&monitor| (monitor, 0)).collect();
    for beat in cluster.database.beats().await.into_iter().filter(|beat| beat.at_us >= from_us) {
        let Some(gap) = longest.get_mut(&beat.monitor) else { continue };
        if let Some(before) = last.insert(beat.monitor, beat.at_us) {
            *gap = (beat.at_us - before).max(*gap);
        }
    }
    longest.into_values().map(|gap| Duration::from_micros(u64::try_from(gap).unwrap())).collect()
}
