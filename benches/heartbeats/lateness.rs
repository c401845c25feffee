//! From a deadline that passes to the message at the vendor: three watchdogs, one webhook, the default `group_wait`.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

use crate::it::cluster::database::Kind;
use crate::it::cluster::vendor::Vendor;
use crate::it::cluster::wait::wait_until;
use crate::it::cluster::{Cluster, Shape};

/// Heartbeats that fall silent one after the other.
const HEARTBEATS: i64 = 60;

/// Between two deadlines: longer than `group_wait`, so that most open a group of their own, would take minutes; shorter
/// ones join the group of an earlier one, and wait less.
const APART_MS: i64 = 1_700;

/// Until the first is due: all are made by then.
const FIRST_MS: i64 = 8_000;

/// Milliseconds from each deadline to its message.
pub(crate) async fn run(kind: Kind) -> Histogram<u64> {
    let vendor = Vendor::start().await;
    let shape = Shape { nodes: 1, monitors: 1, ..Shape::default() };
    let cluster = Cluster::start_with(kind, shape, &vendor.sections()).await;
    let first_ms = Cluster::now_us() / 1_000 + FIRST_MS;
    let due_ms = |number: i64| first_ms + number * APART_MS;
    for number in 0..HEARTBEATS {
        let name = format!("bot{number}");
        let body = json!({"name": name, "period_s": 3_600, "grace_s": 0, "first_due": due_ms(number)});
        cluster.post("/api/v1/heartbeats", &body).await;
    }
    let key = |number: i64| format!("heartbeat/bot{number}");
    let mut times = Histogram::new(3).unwrap();
    for number in 0..HEARTBEATS {
        let is_told = async || !vendor.told(&key(number), "opened").is_empty();
        wait_until("it is told", Duration::from_secs(200), is_told).await;
        let told_us = vendor.told(&key(number), "opened")[0].at_us;
        times.record(u64::try_from(told_us / 1_000 - due_ms(number)).unwrap_or(0)).unwrap();
    }
    times
}
