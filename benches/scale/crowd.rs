//! The cluster that is measured: a large database, watchdogs as real processes, a channel that only notes when it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use komainu::clock;

use crate::it::cluster::database::Kind;
use crate::it::cluster::ports::free_port;
use crate::it::cluster::process::Process;
use crate::simulated::{NODES, Simulated, Size};
use crate::usage::{TICKS_PER_SECOND, ticks};

/// Beats stored of each monitor.
const PAST: usize = 3;

/// Everything of this bench; ended when dropped.
pub(crate) struct Crowd {
    /// Database and nodes.
    pub(crate) cluster: Simulated,
    /// Of each node.
    pub(crate) share: usize,
    /// How many watchdogs.
    pub(crate) watchdogs: usize,
    processes: Vec<Process>,
    ports: Vec<u16>,
    server_pid: u32,
    /// When a message arrived last, in microseconds UTC.
    told_at: Arc<AtomicI64>,
    http: reqwest::Client,
}

impl Crowd {
    /// Waits until all nodes are online and the watchdogs have settled.
    pub(crate) async fn start(monitors: usize, watchdogs: usize) -> Self {
        let share = monitors / NODES;
        eprintln!("making {monitors} monitors");
        let cluster = Simulated::start(Kind::MariaDb, Size { first: share, others: share, beats: PAST }).await;
        crate::trips::count(&cluster).await;
        let slow = "SET GLOBAL log_output = 'TABLE'; SET GLOBAL long_query_time = 1; SET GLOBAL slow_query_log = 1";
        cluster.database.execute(slow).await;
        let pid_file = cluster.database.rows("SELECT CAST(@@pid_file AS CHAR)").await[0][0].clone();
        let server_pid = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        let (told_at, port) = channel().await;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        let mut crowd = Self { cluster, share, watchdogs, processes: vec![], ports: vec![], server_pid, told_at, http };
        for number in 1..=watchdogs {
            crowd.start_watchdog(number, port);
        }
        crowd.cluster.wait_until_online().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        crowd
    }

    fn start_watchdog(&mut self, number: usize, channel: u16) {
        let port = free_port();
        let folder = self.cluster.folder.path();
        let path = folder.join(format!("w{number}.toml"));
        let text = format!(
            "[cluster]\nname = \"bench\"\nkey = \"{}\"\n[database]\nurl = \"{}\"\n[watchdog]\nid = \"w{number}\"\n\
             listen = \"127.0.0.1:{port}\"\nstate_dir = \"{}\"\n\
             [[channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{channel}/hook\"\n",
            String::from_utf8_lossy(self.cluster.key.as_bytes()),
            self.cluster.url,
            folder.join(format!("w{number}.state")).display(),
        );
        std::fs::write(&path, text).unwrap();
        self.processes.push(Process::start_with_log("watchdog", &path, "info"));
        self.ports.push(port);
    }

    /// A number that the database tells.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.cluster.database.rows(sql).await[0][0].parse().unwrap()
    }

    /// Cores that the database used over this span.
    pub(crate) async fn database_cores(&self, span: Duration) -> f64 {
        let before = ticks(self.server_pid);
        tokio::time::sleep(span).await;
        let used = u32::try_from(ticks(self.server_pid) - before).unwrap();
        f64::from(used) / f64::from(u32::try_from(TICKS_PER_SECOND).unwrap()) / span.as_secs_f64()
    }

    /// The largest of the watchdogs, in MiB.
    pub(crate) fn most_memory(&self) -> u64 {
        let kib = self.processes.iter().map(|process| crate::usage::resident_kib(process.id())).max();
        kib.unwrap_or(0) / 1_024
    }

    /// The oldest verdict among the watchdogs that answer.
    pub(crate) async fn oldest_verdict(&self) -> Duration {
        let mut oldest = 0;
        for port in &self.ports {
            let Ok(answer) = self.http.get(format!("http://127.0.0.1:{port}/health")).send().await else { continue };
            let text = answer.text().await.unwrap_or_default();
            let health: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            oldest = oldest.max(health["verdict_age_ms"].as_u64().unwrap_or(0));
        }
        Duration::from_millis(oldest)
    }

    /// Forgets what was told so far.
    pub(crate) fn forget_messages(&self) {
        self.told_at.store(0, Ordering::Relaxed);
    }

    /// When the first message since then arrived.
    pub(crate) fn told_at(&self) -> Option<i64> {
        Some(self.told_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}

async fn channel() -> (Arc<AtomicI64>, u16) {
    let told_at = Arc::new(AtomicI64::new(0));
    let book = Arc::clone(&told_at);
    let note = move || async move {
        let _ = book.compare_exchange(0, clock::wall_micros(), Ordering::Relaxed, Ordering::Relaxed);
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/hook", post(note)).layer(axum::extract::DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (told_at, port)
}
