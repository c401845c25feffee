//! What strangers cost: thousands of connections that finish nothing on every watchdog, half of them in the midst of a TLS handshake, while a
//! node is killed.
//!
//! `cargo bench --bench strangers [-- --strangers 5000 --descriptors 1024]`. Three watchdogs with so many descriptors each, two
//! native nodes and `MariaDB` as real processes; the strangers come from 50 addresses, and then from the one that callers have, too.
//! Prints a table to standard output; progress goes to standard error. It judges no correctness (`tests/it/stories/strangers.rs` does)
//! and always ends with 0: a bench is no test. The strangers are a process of their own, this program once more, which gives way to everything
//! else (`nice`): their half of the handshakes takes no time from the monitors' target and the callers, which are in this one.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(clippy::indexing_slicing, reason = "a missing element ends the bench")]
#![expect(clippy::print_stdout, reason = "the table is what this is for")]
#![expect(clippy::print_stderr, reason = "progress goes where the table does not")]

#[expect(dead_code, reason = "the time that processes use is not measured here")]
#[path = "../usage.rs"]
mod usage;

/// The clusters of real processes that the stories use, too.
#[path = "../../tests/it"]
mod it {
    #[expect(dead_code, reason = "much of what the stories do has nothing to do here")]
    pub(crate) mod cluster;
}

mod apart;

use std::process::ExitCode;
use std::time::Duration;

use self::apart::Apart;
use self::it::cluster::database::Kind;
use self::it::cluster::strangers::{Callers, Doors, Heard, Origin};
use self::it::cluster::{Cluster, Shape};

/// Before the node is killed, and after all its monitors have beaten elsewhere.
const BESIDE: Duration = Duration::from_secs(10);

/// Longer than a connection that says nothing may stay.
const AFTERWARDS: Duration = Duration::from_secs(15);

const WATCHDOGS: [&str; 3] = ["w1", "w2", "w3"];

const PROCESSES: [&str; 5] = ["w1", "w2", "w3", "node1", "node2"];

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(crowd) = apart::asked_for() {
        crowd.stand_about().await;
        return ExitCode::SUCCESS;
    }
    let (mut strangers, mut descriptors) = (5_000_usize, 1_024_u32);
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for pair in arguments.chunks(2) {
        match (pair[0].as_str(), pair.get(1).and_then(|value| value.parse::<u32>().ok())) {
            ("--strangers", Some(count)) => strangers = usize::try_from(count).unwrap(),
            ("--descriptors", Some(count)) => descriptors = count,
            _ => {
                eprintln!("usage: cargo bench --bench strangers [-- --strangers N --descriptors N]");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{strangers} strangers at each watchdog, {descriptors} descriptors each");
    for (origin, name) in [(Origin::ManyAddresses, "many addresses"), (Origin::OneAddress, "one address")] {
        Box::pin(trial((strangers, origin), name, descriptors)).await;
    }
    ExitCode::SUCCESS
}

async fn trial(crowd: (usize, Origin), name: &str, descriptors: u32) {
    let shape = Shape { nodes: 2, ..Shape::default() };
    let mut cluster = Cluster::prepare(Kind::MariaDb, shape, "").await;
    cluster.speak_tls();
    cluster.limit_descriptors(descriptors);
    cluster.begin(shape).await;
    println!("\nfrom {name}");
    show_use(&mut cluster, "before");
    let callers = Callers::begin(&cluster, &WATCHDOGS, "alone").await;
    tokio::time::sleep(BESIDE).await;
    show("before", callers.end().await);
    let callers = Callers::begin(&cluster, &WATCHDOGS, "beside").await;
    let strangers = Apart::begin(&Doors::of(&cluster), crowd);
    tokio::time::sleep(BESIDE).await;
    let lost = cluster.owned_by("node1").await;
    let killed_at = Cluster::now_us();
    show_use(&mut cluster, "during");
    eprintln!("node1 is killed");
    cluster.process("node1").kill();
    println!("{:<58} {:>8.1}", "load of this machine when the node was killed", load_of_the_machine());
    let took = cluster.wait_for_beats_elsewhere(&lost, "node1", killed_at).await;
    println!("{:<58} {:>8.1} s", "node killed, until all its monitors have beaten elsewhere", took.as_secs_f64());
    tokio::time::sleep(BESIDE).await;
    show_use(&mut cluster, "during, later");
    show("during", callers.end().await);
    println!("{:<58} {:>8}", "connections that strangers began", strangers.end().await);
    tokio::time::sleep(AFTERWARDS).await;
    show_use(&mut cluster, "after");
    for row in cluster.database.rows("SELECT k, severity, summary FROM komainu_incident ORDER BY id").await {
        println!("incident {}", row.join(" | "));
    }
    for watchdog in WATCHDOGS {
        let status = cluster.status_of(watchdog).await;
        println!(
            "{watchdog}: {:?}",
            status.map(|(code, body)| (code, body["status"].clone(), body["reasons"].clone()))
        );
    }
}

fn show(when: &str, (status, pushes): (Heard, Heard)) {
    for (what, heard) in [("GET /status", status), ("signed pushes", pushes)] {
        println!(
            "{:<58} {:>8} p50 {:>5.1} ms, p99 {:>6.1} ms, longest {:>7.1} ms, unanswered {}, not 2xx {}",
            format!("{what}, {when}"),
            heard.times.len(),
            heard.percentile(50).as_secs_f64() * 1e3,
            heard.percentile(99).as_secs_f64() * 1e3,
            heard.percentile(100).as_secs_f64() * 1e3,
            heard.unanswered,
            heard.refused,
        );
    }
}

/// Processes that wanted a core, over the last minute.
fn load_of_the_machine() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    load.split(' ').next().unwrap().parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn show_use(cluster: &mut Cluster, when: &str) {
    let mut shown = Vec::new();
    for name in PROCESSES {
        let process = cluster.process(name);
        if process.exit_status().is_none() {
            let (kib, descriptors) = (usage::resident_kib(process.id()), descriptors(process.id()));
            shown.push(format!("{name} {} MiB {descriptors} fd", kib / 1_024));
        }
    }
    let server = cluster.server.as_ref().map(|server| usage::resident_kib(server.pid()) / 1_024);
    println!("{:<14} {}, database {} MiB", when, shown.join(", "), server.unwrap_or_default());
}
