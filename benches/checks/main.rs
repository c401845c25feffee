//! From a fault to the verdict, and what a thousand checks cost: three watchdogs, a node and `MariaDB` as real processes.
//!
//! `cargo bench --bench checks [-- --targets 200 --idle 1000]`. A quarter of the targets each refuses, hangs, answers 500, and loses its name; each fails
//! at its own moment within an interval, once with 20 s between the looks of one watchdog and once with 60 s. Prints a table to standard output, each line with
//! the bar that it is held against; progress goes to standard error. It judges no correctness and always ends with 0: a bench is no test.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::print_stderr, reason = "progress goes where the table does not")]

#[path = "../usage.rs"]
mod usage;

/// The clusters of real processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "much of what the stories do has nothing to do here")]
    pub(crate) mod cluster;
    #[path = "support/name_server.rs"]
    pub(crate) mod name_server;
}

mod targets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;

use self::it::cluster::database::Kind;
use self::it::cluster::wait::wait_until;
use self::it::cluster::{Cluster, Shape};
use self::it::name_server::NameServer;
use self::targets::{Fault, Targets};

const WATCHDOGS: [&str; 3] = ["w1", "w2", "w3"];

/// How long a look may take: what hangs costs it.
const TIMEOUT_S: u64 = 5;

/// How long idle checks are watched.
const IDLE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let (mut targets, mut idle) = (200_usize, 1_000_usize);
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for pair in arguments.chunks(2) {
        match (pair[0].as_str(), pair.get(1).and_then(|value| value.parse().ok())) {
            ("--targets", Some(count)) => targets = count,
            ("--idle", Some(count)) => idle = count,
            _ => {
                eprintln!("usage: cargo bench --bench checks [-- --targets N --idle N]");
                return ExitCode::FAILURE;
            }
        }
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("{:<64} {:>24}  bar", "what", "figure");
    let shape = Shape { nodes: 1, monitors: 1, ..Shape::default() };
    for interval in [20, 60] {
        let (cluster, names) = start(shape, interval).await;
        Box::pin(faults(&cluster, names, targets, interval)).await;
    }
    let mut cluster = Cluster::start(Kind::MariaDb, shape).await;
    Box::pin(quiet(&mut cluster, idle)).await;
    ExitCode::SUCCESS
}

/// Makes these checks, and waits until all are up on every watchdog.
async fn watch(cluster: &Cluster, urls: &BTreeMap<String, String>, interval: u64) {
    let items: Vec<Value> = urls
        .iter()
        .map(
            |(name, url)| json!({"name": name, "type": "http", "url": url, "interval": interval, "timeout": TIMEOUT_S}),
        )
        .collect();
    cluster.post("/api/v1/checks/bulk", &Value::Array(items)).await;
    for watchdog in WATCHDOGS {
        let are_up = async || {
            let status = cluster.status_of(watchdog).await;
            status.is_some_and(|(_, status)| status["checks"]["up"].as_u64() == u64::try_from(urls.len()).ok())
        };
        wait_until("all checks are up", Duration::from_secs(180), are_up).await;
    }
}

/// A cluster whose watchdogs ask a name server of this bench's own: a file of theirs stands where the system's settings stand. For that this has to run as
/// root.
async fn start(shape: Shape, number: u64) -> (Cluster, NameServer) {
    let address = IpAddr::from([127, 53, 0, u8::try_from(number).unwrap()]);
    let names = NameServer::start(UdpSocket::bind((address, 53)).await.unwrap());
    let mut cluster = Cluster::prepare(Kind::MariaDb, shape, "").await;
    let settings = cluster.folder().join("resolv.conf");
    std::fs::write(&settings, format!("nameserver {address}\n")).unwrap();
    let mounts = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", settings.display());
    for watchdog in WATCHDOGS {
        cluster.start_by(watchdog, ["unshare", "--mount", "sh", "-c", &mounts, "sh"].map(str::to_owned).into());
    }
    cluster.begin(shape).await;
    (cluster, names)
}

async fn faults(cluster: &Cluster, names: NameServer, count: usize, interval: u64) {
    let mut targets = Targets::start(names).await;
    let (mut urls, mut plan) = (BTreeMap::new(), vec![]);
    for number in 0..count {
        let fault = Fault::ALL[number % Fault::ALL.len()];
        let name = format!("{}-{number}", fault.name());
        urls.insert(name.clone(), targets.add(&name, fault).await);
        plan.push((name, fault));
    }
    watch(cluster, &urls, interval).await;
    eprintln!("{count} targets fail, one after another, within {interval} s");
    let pause = Duration::from_secs(interval) / u32::try_from(count).unwrap();
    let mut failed_at = BTreeMap::new();
    for (name, fault) in &plan {
        targets.fail(name, *fault);
        failed_at.insert(name.clone(), Cluster::now_us() / 1_000);
        tokio::time::sleep(pause).await;
    }
    let found = "SELECT name, at_ms FROM komainu_check_transition WHERE to_state = 'down'";
    let are_found = async || cluster.database.rows(found).await.len() >= count;
    wait_until("all are down", Duration::from_secs(3 * interval + 60), are_found).await;
    let rows = cluster.database.rows(found).await;
    let found_at: BTreeMap<_, i64> = rows.into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
    for fault in Fault::ALL {
        let of_kind = plan.iter().filter(|(_, kind)| *kind == fault);
        let mut took: Vec<_> = of_kind.map(|(name, _)| found_at[name] - failed_at[name]).collect();
        took.sort_unstable();
        let percentile = |percent: usize| took[(took.len() - 1) * percent / 100];
        let figure = format!("p50 {:.1} s, p99 {:.1} s", seconds(percentile(50)), seconds(percentile(99)));
        let hang = if fault == Fault::Hangs { TIMEOUT_S } else { 0 };
        let bar = if interval == 20 {
            format!("p50 {} s, p99 {} s", 6 + hang, 10 + hang)
        } else {
            format!("p99 {} s", 25 + hang)
        };
        println!(
            "{:<64} {figure:>24}  {bar}",
            format!("each {interval} s, {}: from the fault to the verdict", fault.name())
        );
    }
}

fn seconds(millis: i64) -> f64 {
    f64::from(i32::try_from(millis).unwrap()) / 1e3
}

async fn quiet(cluster: &mut Cluster, count: usize) {
    let mut targets = Targets::start(NameServer::default()).await;
    let mut urls = BTreeMap::new();
    for number in 0..count {
        let name = format!("idle-{number}");
        urls.insert(name.clone(), targets.add(&name, Fault::Hangs).await);
    }
    let pids = |cluster: &mut Cluster| WATCHDOGS.map(|name| cluster.process(name).id());
    let before = used(&pids(cluster)).await;
    watch(cluster, &urls, 20).await;
    eprintln!("{count} checks are well");
    let after = used(&pids(cluster)).await;
    for (at, watchdog) in WATCHDOGS.iter().enumerate() {
        let what = format!("{watchdog}: {count} checks each 20 s, all well");
        let ((plain, _), (busy, mib)) = (before[at], after[at]);
        let figure = format!("{:.1} % of a core, {mib} MiB", busy - plain);
        println!("{what:<64} {figure:>24}  10 %, 80 MiB; without checks {plain:.1} %");
    }
}

/// Percent of a core over [`IDLE`], and MiB, of each process.
async fn used(pids: &[u32; 3]) -> [(f64, u64); 3] {
    let before = pids.map(usage::ticks);
    tokio::time::sleep(IDLE).await;
    let mut used = [(0.0, 0); 3];
    for (at, pid) in pids.iter().enumerate() {
        let ticks = usage::ticks(*pid) - before[at];
        let share =
            f64::from(u32::try_from(ticks).unwrap()) / f64::from(u32::try_from(usage::TICKS_PER_SECOND).unwrap());
        used[at] = (100.0 * share / IDLE.as_secs_f64(), usage::resident_kib(*pid) / 1_024);
    }
    used
}
