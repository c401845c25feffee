//! From one request to thousands of monitors that beat.

use std::time::Duration;

use komainu::clock;
use serde_json::{Value, json};

use crate::it::cluster::Cluster;
use crate::it::cluster::database::Kind;
use crate::it::cluster::wait::wait_until;
use crate::options::Options;
use crate::table::{Bar, Table, name};

/// Where it is given up.
const LIMIT: Duration = Duration::from_secs(120);

/// Makes all monitors in one request; measures the answer, the last placement and the last first beat.
pub(crate) async fn run(cluster: &Cluster, kind: Kind, options: &Options, table: &Table) {
    let body: Value = (1..=options.monitors).map(|number| monitor(cluster, number, options.interval)).collect();
    eprintln!("{}: {} monitors in one request", name(kind), options.monitors);
    let began_at = clock::now();
    let answer = cluster.post("/api/v1/monitors/bulk", &body).await;
    let answered = clock::now().since(began_at);
    let answered_us = Cluster::now_us();
    assert_eq!(answer["items"].as_array().unwrap().len(), usize::try_from(options.monitors).unwrap());
    table.times(&format!("{} monitors in one request", options.monitors), kind, &[answered], five());

    let placed = "SELECT COUNT(*) FROM komainu_assignment WHERE COALESCE(assigned_node, node_id, '') <> ''";
    let all = options.monitors.to_string();
    wait_until("all are placed", LIMIT, async || cluster.database.rows(placed).await[0][0] == all).await;
    let last = cluster.database.rows("SELECT MAX(at_us) FROM test_history").await[0][0].parse::<i64>().unwrap();
    let placed = Duration::from_micros(u64::try_from((last - answered_us).max(0)).unwrap());
    table.times("answered -> all of them placed", kind, &[placed], Bar::None);

    let monitors: Vec<i64> = (1..=options.monitors).collect();
    let beating = cluster.wait_for_beats(&monitors, answered_us, LIMIT).await;
    table.times("answered -> first beats of all of them", kind, &[beating], Bar::Most(Duration::from_secs(10)));
}

fn five() -> Bar {
    Bar::Most(Duration::from_secs(5))
}

fn monitor(cluster: &Cluster, number: i64, interval: u32) -> Value {
    json!({
        "name": format!("monitor {number}"),
        "type": "http",
        "url": cluster.target.url(number),
        "interval": interval,
        "ref": format!("m{number}"),
    })
}
