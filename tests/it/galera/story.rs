//! Three watchdogs and three nodes on a Galera cluster whose servers die, freeze and come back: behind `HAProxy`, and
//! without it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::Connection as _;

use crate::cluster::bot::Bot;
use crate::cluster::database::Database;
use crate::cluster::galera::Galera;
use crate::cluster::haproxy::HaProxy;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::raw::Raw;

/// A stall of commits, a proxy that looks around, and a machine that is busy with other tests.
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);

/// Everybody sees within ten seconds that there are two, looks twice, and goes when nothing is open.
const COME_TOGETHER_WITHIN: Duration = Duration::from_secs(90);

/// Between two pushes of a bot.
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn servers_that_die_freeze_and_join_lose_no_push_that_was_answered_and_double_no_monitor() {
    let Some(mut galera) = Galera::start().await else { return };
    make_database(&galera).await;
    let folder = tempfile::tempdir().unwrap();
    let proxy = HaProxy::start(folder.path(), &galera.ports());
    let url = crate::cluster::server::url(proxy.port(), "kuma");
    wait_until("the proxy has a server", RECOVERS_WITHIN, async || sqlx::MySqlConnection::connect(&url).await.is_ok())
        .await;
    let mut cluster = Cluster::start_at((&url, Database::MariaDb(url.clone())), shape()).await;
    // The test itself looks past the proxy, at the server that lives through all of it.
    cluster.database = Database::MariaDb(galera.url(2, "kuma"));
    live_through(&mut galera, &mut cluster, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn without_a_proxy_all_go_to_the_next_server_together_and_none_goes_back_to_one_that_joins() {
    let Some(mut galera) = Galera::start().await else { return };
    make_database(&galera).await;
    let hosts: Vec<_> = galera.ports().iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let url = format!("mysql://root@{}/kuma", hosts.join(","));
    let database = Database::MariaDb(galera.url(2, "kuma"));
    let mut cluster = Cluster::start_at((&url, database), shape()).await;
    assert_eq!(users_of(&galera, [1, 2]).await, [0, 0], "all are on the first one");
    live_through(&mut galera, &mut cluster, async |galera| {
        assert_eq!(users_of(galera, [0, 2]).await, [0, 0], "the first one is back, and draws nobody");
    })
    .await;
}

/// A proxy as many have it: `backup` and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn behind_a_proxy_that_leaves_old_sessions_on_the_former_server_all_come_together_again() {
    let Some(mut galera) = Galera::start().await else { return };
    make_database(&galera).await;
    let folder = tempfile::tempdir().unwrap();
    let proxy = HaProxy::start_without_table(folder.path(), &galera.ports());
    let url = crate::cluster::server::url(proxy.port(), "kuma");
    wait_until("the proxy has a server", RECOVERS_WITHIN, async || sqlx::MySqlConnection::connect(&url).await.is_ok())
        .await;
    let mut cluster = Cluster::start_at((&url, Database::MariaDb(url.clone())), shape()).await;
    cluster.database = Database::MariaDb(galera.url(2, "kuma"));
    let pushers = Pushers::start(&cluster).await;

    galera.stop(0);
    pushers.wait_for_more("the writer stopped").await;
    galera.start_again(0, &[]).await;
    pushers.wait_for_more("it joined again").await;
    let is_led_to = async || {
        let mut wire = Raw::connect(&url).await;
        wire.one("SELECT @@wsrep_node_name").await == galera_name(&galera, 0).await
    };
    wait_until("who connects goes to the first server", RECOVERS_WITHIN, is_led_to).await;
    // One process that connects now is on the first one, with all others on the second.
    cluster.process("w3").kill();
    cluster.start_process("w3");
    let are_together = async || users_of(&galera, [1, 2]).await == [0, 0] && users_of(&galera, [0, 2]).await[0] > 0;
    wait_until("all are on the first one", COME_TOGETHER_WITHIN, are_together).await;
    pushers.wait_for_more("all went to another server").await;
    let is_named = async || {
        let servers = cluster.database.rows("SELECT DISTINCT server FROM komainu_watchdog").await;
        let leaders = cluster.database.rows("SELECT server FROM komainu_leader").await;
        servers == leaders
    };
    wait_until("the leader's row names it", RECOVERS_WITHIN, is_named).await;
    assert_in_rows_once(&galera, &pushers.end().await).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

async fn galera_name(galera: &Galera, at: usize) -> String {
    Raw::connect(&galera.url(at, "mysql")).await.one("SELECT @@wsrep_node_name").await
}

fn shape() -> Shape {
    Shape { monitors: 12, ..Shape::default() }
}

async fn make_database(galera: &Galera) {
    Raw::connect(&galera.url(0, "mysql")).await.execute("CREATE DATABASE kuma CHARACTER SET utf8mb4").await;
}

/// How many connections watchdogs and nodes have to these servers.
async fn users_of(galera: &Galera, servers: [usize; 2]) -> [i64; 2] {
    let mut counts = [0; 2];
    for (count, at) in counts.iter_mut().zip(servers) {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user LIKE 'komainu%'";
        *count = Raw::connect(&galera.url(at, "mysql")).await.count(sql).await;
    }
    counts
}

/// The writer dies and joins again, with a failover meanwhile; the next one freezes. `joined` looks in between.
async fn live_through(galera: &mut Galera, cluster: &mut Cluster, joined: impl AsyncFnOnce(&Galera)) {
    let pushers = Pushers::start(cluster).await;

    galera.kill(0);
    pushers.wait_for_more("the writer was killed").await;
    // With a failover while the killed one gets its data from a donor.
    let lost = cluster.owned_by("node3").await;
    let killed_at = Cluster::now_us();
    cluster.process("node3").kill();
    galera.start_again(0, &[]).await;
    pushers.wait_for_more("a server joined").await;
    cluster.wait_for_beats_elsewhere(&lost, "node3", killed_at).await;
    joined(galera).await;
    galera.freeze(1);
    pushers.wait_for_more("the next writer froze").await;
    galera.wake(1);

    assert_in_rows_once(galera, &pushers.end().await).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

async fn assert_in_rows_once(galera: &Galera, answered: &[(String, i64)]) {
    let mut raw = Raw::connect(&galera.url(2, "kuma")).await;
    raw.execute("SET SESSION wsrep_sync_wait = 1").await;
    let rows = raw.rows("SELECT name, time_us, COUNT(*) FROM komainu_push GROUP BY name, time_us").await;
    let kept: BTreeMap<(String, i64), String> =
        rows.into_iter().map(|row| ((row[0].clone(), row[1].parse().unwrap()), row[2].clone())).collect();
    let doubled: Vec<_> = kept.iter().filter(|(_, rows)| *rows != "1").collect();
    assert!(doubled.is_empty(), "pushes that count twice: {doubled:?}");
    let lost: Vec<_> = answered.iter().filter(|push| !kept.contains_key(push)).collect();
    assert!(lost.is_empty(), "answered 200 and in no row: {lost:?} of {}", answered.len());
}

/// Three bots; each offers every push to all three watchdogs at once.
struct Pushers {
    accepted: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<(String, i64)>>>,
}

impl Pushers {
    async fn start(cluster: &Cluster) -> Self {
        let (accepted, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let watchdogs: Vec<_> = ["w1", "w2", "w3"].iter().map(|name| cluster.url_of(name, "")).collect();
        let mut tasks = Vec::new();
        for name in ["bot1", "bot2", "bot3"] {
            let bot = Bot::make(cluster, name, 3_600).await;
            tasks.push(tokio::spawn(push(bot, watchdogs.clone(), Arc::clone(&accepted), Arc::clone(&is_over))));
        }
        Self { accepted, is_over, tasks }
    }

    /// Until each bot has been answered some times more.
    async fn wait_for_more(&self, after: &str) {
        let before = self.accepted.load(Ordering::Relaxed);
        let has_more = async || self.accepted.load(Ordering::Relaxed) >= before + 30;
        wait_until(&format!("pushes are taken after this: {after}"), RECOVERS_WITHIN, has_more).await;
    }

    /// What was answered 200: which heartbeat, and the push's time.
    async fn end(self) -> Vec<(String, i64)> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut answered = Vec::new();
        for task in self.tasks {
            answered.extend(task.await.unwrap());
        }
        answered
    }
}

async fn push(
    bot: Bot,
    watchdogs: Vec<String>,
    accepted: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) -> Vec<(String, i64)> {
    let mut answered = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let time_us = Cluster::now_us();
        let offers = watchdogs.iter().map(|watchdog| bot.push(watchdog, time_us));
        let codes = futures_util::future::join_all(offers).await;
        let taken = codes.iter().filter(|code| **code == Some(200)).count();
        assert!(taken <= 1, "{} at {time_us} was accepted {taken} times", bot.name);
        if taken == 1 {
            answered.push((bot.name.clone(), time_us));
            accepted.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
    answered
}
