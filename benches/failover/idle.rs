//! What one watchdog costs while nothing happens: five nodes, 4,000 monitors, two peers.

use std::path::PathBuf;
use std::time::Duration;

use crate::it::cluster::database::Kind;
use crate::it::cluster::ports::free_port;
use crate::it::cluster::process::Process;
use crate::simulated::{NODES, Simulated, Size};
use crate::table::{Table, name};
use crate::usage::{TICKS_PER_SECOND, resident_kib, ticks};

/// How long it is watched.
const SPAN: Duration = Duration::from_secs(30);

/// Measures the leader, which has most to do.
pub(crate) async fn run(kind: Kind, table: &Table) {
    eprintln!("{}: an idle watchdog", name(kind));
    let cluster = Simulated::start(kind, Size { first: 4_000 / NODES, others: 4_000 / NODES, beats: 25 }).await;
    let mut processes = Vec::new();
    for number in 1..=3 {
        processes.push(Process::start("watchdog", &config(&cluster, &format!("w{number}"))));
        if number == 1 {
            cluster.wait_until_online().await;
        }
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut most = (0.0, 0);
    let before: Vec<_> = processes.iter().map(|process| ticks(process.id())).collect();
    tokio::time::sleep(SPAN).await;
    for (process, before) in processes.iter().zip(before) {
        let used = f64::from(u32::try_from(ticks(process.id()) - before).unwrap());
        let span = f64::from(u32::try_from(SPAN.as_secs() * TICKS_PER_SECOND).unwrap());
        let percent = 100.0 * used / span;
        let kib = resident_kib(process.id());
        eprintln!("  {percent:.1} % of a core, {} MiB", kib / 1_024);
        most = (f64::max(most.0, percent), u64::max(most.1, kib));
    }
    let (percent, mib) = (most.0, most.1 / 1_024);
    let line = |what, figure: &str, bar, is_ok| table.figure(what, kind, (figure, bar), is_ok);
    line("idle watchdog, 5 nodes, 4,000 monitors: CPU", &format!("{percent:.1} % of a core"), "<= 5 %", percent <= 5.0);
    line("idle watchdog, 5 nodes, 4,000 monitors: RSS", &format!("{mib} MiB"), "<= 60 MiB", mib <= 60);
}

fn config(cluster: &Simulated, watchdog: &str) -> PathBuf {
    let path = cluster.folder.path().join(format!("{watchdog}.toml"));
    let text = format!(
        "[cluster]\nname = \"bench\"\nkey = \"{}\"\n[database]\nurl = \"{}\"\n[watchdog]\nid = \"{watchdog}\"\n\
         listen = \"127.0.0.1:{}\"\n",
        String::from_utf8_lossy(cluster.key.as_bytes()),
        cluster.url,
        free_port()
    );
    std::fs::write(&path, text).unwrap();
    path
}
