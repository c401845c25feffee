//! Three watchdogs and three nodes on a Galera cluster whose servers die, freeze and come back: behind `HAProxy`, and
//! without it.

use std::time::Duration;

use sqlx::{Connection as _, MySqlConnection, Row as _};

use super::witnesses::{LeaderWatch, Operator, Pushers, RECOVERS_WITHIN};
use crate::cluster::database::Database;
use crate::cluster::galera::Galera;
use crate::cluster::haproxy::HaProxy;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::raw::Raw;

/// Everybody sees within ten seconds that there are two, looks twice, and goes when nothing is open. Seen: 20 s; where a busy
/// machine has had the proxy give up servers before, each move makes the next one wait twice as long: 10, 20, 40, 80 s.
const COME_TOGETHER_WITHIN: Duration = Duration::from_secs(180);

/// The leader's fence of 8 s, the 10 s for which the others watch its row, and a machine that is busy with other tests.
const LED_AGAIN_WITHIN: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn servers_that_die_freeze_and_join_lose_no_push_that_was_answered_and_double_no_monitor() {
    let Some(mut galera) = Galera::start().await else { return };
    make_database(&galera).await;
    let folder = tempfile::tempdir().unwrap();
    let proxy = HaProxy::start(folder.path(), &galera.ports());
    let url = crate::cluster::server::url(proxy.port(), "kuma");
    wait_until("the proxy has a server", RECOVERS_WITHIN, async || MySqlConnection::connect(&url).await.is_ok()).await;
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
    wait_until("the proxy has a server", RECOVERS_WITHIN, async || MySqlConnection::connect(&url).await.is_ok()).await;
    let mut cluster = Cluster::start_at((&url, Database::MariaDb(url.clone())), shape()).await;
    cluster.database = Database::MariaDb(galera.url(2, "kuma"));
    let pushers = Pushers::start(&cluster).await;

    galera.stop(0);
    pushers.wait_for_more("the writer stopped").await;
    galera.start_again(0, &[]).await;
    pushers.wait_for_more("it joined again").await;
    let is_led_to = async || server_at(&url).await.is_some_and(|name| name == "g1");
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
    pushers.assert_in_rows_once(&galera).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

/// Where the proxy leads; nowhere while it believes in none of them.
async fn server_at(url: &str) -> Option<String> {
    let mut wire = MySqlConnection::connect(url).await.ok()?;
    let row = sqlx::query("SELECT @@wsrep_node_name").fetch_one(&mut wire).await.ok()?;
    Some(row.get_unchecked(0))
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
        let rows = Database::MariaDb(galera.url(at, "mysql")).rows(sql).await;
        *count = rows[0][0].parse().unwrap();
    }
    counts
}

/// The writer dies and joins again, with a failover meanwhile; the next one is cut off from the two others, with another
/// failover, and comes back; the last one freezes. `joined` looks in between.
async fn live_through(galera: &mut Galera, cluster: &mut Cluster, joined: impl AsyncFnOnce(&Galera)) {
    let pushers = Pushers::start(cluster).await;
    let operator = Operator::start(cluster);

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
    cluster.start_process("node3");
    cut_off(galera, cluster, &pushers).await;
    let next = writer(galera).await;
    galera.freeze(next);
    pushers.wait_for_more("the next writer froze").await;
    galera.wake(next);

    pushers.assert_in_rows_once(galera).await;
    operator.assert_done_once(galera).await;
    cluster.assert_one_owner().await;
    cluster.assert_no_false_down().await;
}

/// The writer hears nothing of the two others any more, while everybody still reaches it; a node dies at the same time.
async fn cut_off(galera: &Galera, cluster: &mut Cluster, pushers: &Pushers) {
    galera.wait_until_whole().await;
    let at = writer(galera).await;
    let watch = LeaderWatch::start(galera);
    galera.cut_off(at).await;
    let (lost, killed_at) = (cluster.owned_by("node2").await, Cluster::now_us());
    cluster.process("node2").kill();
    pushers.wait_for_more("the writer was cut off from the other servers").await;
    let took = cluster.wait_for_beats_elsewhere(&lost, "node2", killed_at).await;
    assert_ne!(writer(galera).await, at, "nobody is left on the one that is cut off");
    galera.join_again(at).await;
    galera.wait_until_whole().await;
    pushers.wait_for_more("it joined again").await;
    let longest = watch.longest_pause().await;
    say(&format!("a writer cut off: {longest:.1?} without a renewal, {took:.1?} until a killed node's monitors beat"));
    assert!(longest < LED_AGAIN_WITHIN, "nobody led for {longest:?}");
}

/// The first or the second server, whichever watchdogs and nodes use; the third is the test's own eyes.
async fn writer(galera: &Galera) -> usize {
    let [first, second] = users_of(galera, [0, 1]).await;
    usize::from(second > first)
}

#[expect(clippy::print_stdout, reason = "docs/database.md has these figures")]
fn say(what: &str) {
    println!("{what}");
}
