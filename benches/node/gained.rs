//! A node gains a thousand monitors: until each was checked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::it::cluster::database::Kind;
use crate::it::cluster::wait::wait_until;
use crate::place;
use crate::table::{Bar, Table, name};

/// How many.
const MONITORS: u32 = 1_000;

/// Measures from each monitor's placement to the first request for it.
pub(crate) async fn run(kind: Kind, table: &Table) {
    eprintln!("{}: a node gains {MONITORS} monitors", name(kind));
    let cluster = place::start(kind).await;
    place::add(&cluster, MONITORS, 60).await;
    let mut first: BTreeMap<i64, i64> = BTreeMap::new();
    wait_until("all were checked", Duration::from_secs(60), async || {
        for request in cluster.target.log() {
            first.entry(request.monitor).or_insert(request.at_us);
        }
        first.len() == usize::try_from(MONITORS).unwrap()
    })
    .await;
    let placed = cluster.database.rows("SELECT MIN(at_us) FROM test_history").await[0][0].parse::<i64>().unwrap();
    let last = first.values().max().unwrap();
    let took = Duration::from_micros(u64::try_from(last - placed).unwrap());
    table.times("1,000 monitors gained -> all of them checked", kind, &[took], Bar::Most(Duration::from_secs(5)));
}
