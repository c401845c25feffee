//! A node in its rhythm: share of a core, memory, and how late its runs are.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::it::cluster::Cluster;
use crate::it::cluster::database::Kind;
use crate::it::cluster::target::Request;
use crate::it::cluster::wait::wait_until;
use crate::options::Options;
use crate::place::{self, NODE};
use crate::table::{Bar, Table, name};
use crate::usage::{TICKS_PER_SECOND, resident_kib, ticks};

/// How late a run may be.
const LAG: Duration = Duration::from_secs(1);

/// The bars for so many monitors at 60 s: percent of a core, and MiB.
fn bars(monitors: u32) -> (f64, u64) {
    if monitors <= 10_000 { (15.0, 100) } else { (100.0, 300) }
}

/// Watches it for a while, once every monitor is in its rhythm.
pub(crate) async fn run(kind: Kind, monitors: u32, options: &Options, table: &Table) {
    eprintln!("{}: a node with {monitors} monitors at {} s", name(kind), options.interval);
    let mut cluster = place::start(kind).await;
    place::add(&cluster, monitors, options.interval).await;
    let beaten = "SELECT COUNT(DISTINCT monitor_id) FROM heartbeat";
    let limit = Duration::from_secs(300);
    let all = monitors.to_string();
    wait_until("all have beaten", limit, async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.database.rows(beaten).await[0][0] == all
    })
    .await;
    // The second runs spread over the interval; from the third on each has its rhythm.
    tokio::time::sleep(Duration::from_secs(u64::from(options.interval) * 2)).await;

    let pid = cluster.process(NODE).id();
    let (from_us, before) = (Cluster::now_us(), ticks(pid));
    tokio::time::sleep(options.span).await;
    let (until_us, after) = (Cluster::now_us(), ticks(pid));
    let seconds = Duration::from_micros(u64::try_from(until_us - from_us).unwrap()).as_secs_f64();
    let used = f64::from(u32::try_from(after - before).unwrap()) / f64::from(u32::try_from(TICKS_PER_SECOND).unwrap());
    let (percent, mib) = (100.0 * used / seconds, resident_kib(pid) / 1_024);

    let what = format!("node, {monitors} http monitors at {} s", options.interval);
    let (percent_bar, mib_bar) = bars(monitors);
    let cpu = format!("{percent:.1} % of a core");
    let line = |what: &str, figure: &str, bar: &str, is_ok| table.figure(what, kind, (figure, bar), is_ok);
    line(&format!("{what}: CPU"), &cpu, &format!("<= {percent_bar} %"), percent <= percent_bar);
    line(&format!("{what}: RSS"), &format!("{mib} MiB"), &format!("<= {mib_bar} MiB"), mib <= mib_bar);
    let lags = lags(&cluster.target.log(), (from_us, until_us), options.interval);
    table.times(&format!("{what}: lag of a run"), kind, &lags, Bar::P99(LAG));
}

/// By how much each request in this span came later than one interval after the one before it.
fn lags(log: &[Request], (from_us, until_us): (i64, i64), interval: u32) -> Vec<Duration> {
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    let mut lags = Vec::new();
    for request in log.iter().filter(|request| request.at_us <= until_us) {
        let Some(before) = last.insert(request.monitor, request.at_us) else { continue };
        if request.at_us >= from_us {
            let late_us = request.at_us - before - i64::from(interval) * 1_000_000;
            lags.push(Duration::from_micros(u64::try_from(late_us).unwrap_or(0)));
        }
    }
    lags
}
