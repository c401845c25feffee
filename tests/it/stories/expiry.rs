//! Many programs fall silent at once, a whole rack of them: people get a message or two, not hundreds.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::on_both;
use crate::cluster::database::Kind;
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

on_both!(five_hundred_heartbeats_that_expire_in_one_second_are_told_in_two_messages_at_most);

const HEARTBEATS: usize = 500;

/// Long enough to make all of them before the first is due, also on a slow machine.
const DUE_AFTER_MS: i64 = 30_000;

async fn five_hundred_heartbeats_that_expire_in_one_second_are_told_in_two_messages_at_most(kind: Kind) {
    let vendor = Vendor::start().await;
    let shape = Shape { nodes: 1, monitors: 1, ..Shape::default() };
    let cluster = Cluster::start_with(kind, shape, &vendor.sections()).await;
    let due_at_ms = Cluster::now_us() / 1_000 + DUE_AFTER_MS;
    let make = async |number| {
        let body = json!({
            "name": format!("bot{number}"),
            "period_s": 3_600,
            "grace_s": 0,
            "first_due": due_at_ms,
        });
        cluster.post("/api/v1/heartbeats", &body).await;
    };
    stream::iter(0..HEARTBEATS).for_each_concurrent(8, make).await;
    assert!(Cluster::now_us() / 1_000 < due_at_ms, "all were made before the first was due");
    let told = || {
        let messages = vendor.messages().into_iter().flat_map(|message| message.items);
        messages.filter(|(key, event)| key.starts_with("heartbeat/") && event == "opened").collect::<Vec<_>>()
    };
    wait_until("all are told", Duration::from_secs(120), async || told().len() >= HEARTBEATS).await;
    let all = told();
    assert_eq!(all.len(), HEARTBEATS, "none is told twice");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), HEARTBEATS, "each is told");
    let messages = vendor.messages();
    assert!(messages.len() <= 2, "{} messages", messages.len());
}
