//! One URL that names several servers: which of them is used, by whom, and that all go together.
//!
//! The servers here are no replicas of each other's: each says by its own rows what a replica would.

use std::time::Duration;

use komainu::clock;
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::{DatabaseUrl, Leadership, Share, Store, Watch, hands};
use komainu_watchdogs::ids::{Epoch, Incarnation};
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::server::MariaDb;
use crate::cluster::wait::wait_until;
use crate::store_contract::fixture::identity;
use crate::support::raw::Raw;

/// A look around, and a machine that is busy with other tests.
const COMES: Duration = Duration::from_secs(20);

/// Two servers with komainu's tables, the second of which is read-only.
struct Two {
    one: MariaDb,
    two: MariaDb,
    url: DatabaseUrl,
}

impl Two {
    async fn start() -> Self {
        let (one, two) = (MariaDb::start(), MariaDb::start());
        for server in [&one, &two] {
            Raw::connect(&server.url("mysql")).await.execute("CREATE DATABASE kuma").await;
            let store = Store::connect(&DatabaseUrl::parse(&server.url("kuma")).unwrap()).await.unwrap();
            migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
            let mut raw = Raw::connect(&server.url("mysql")).await;
            raw.execute("CREATE USER worker@'%'; GRANT ALL ON kuma.* TO worker@'%'").await;
        }
        let text = format!("mysql://worker@127.0.0.1:{},127.0.0.1:{}/kuma", one.port(), two.port());
        let servers = Self { one, two, url: DatabaseUrl::parse(&text).unwrap() };
        servers.set_read_only(&servers.two, true).await;
        servers
    }

    /// As a process that starts now.
    fn anew(&self) -> DatabaseUrl {
        DatabaseUrl::parse_all(&[&self.one, &self.two].map(|server| server.url_as("worker", "kuma"))).unwrap()
    }

    async fn set_read_only(&self, server: &MariaDb, is: bool) {
        let sql = format!("SET GLOBAL read_only = {}", i32::from(is));
        Raw::connect(&server.url("mysql")).await.execute(&sql).await;
    }

    /// The leader's row of this server, as replication would bring it.
    async fn set_leader(&self, server: &MariaDb, (epoch, renewals): (u64, u64), leaders: &MariaDb) {
        let name = name_of(leaders).await;
        let sql = format!("UPDATE komainu_leader SET epoch = {epoch}, renewals = {renewals}, server = '{name}'");
        Raw::connect(&server.url("kuma")).await.execute(&sql).await;
    }
}

async fn name_of(server: &MariaDb) -> String {
    Raw::connect(&server.url("mysql")).await.one("SELECT CONCAT(@@hostname, ':', @@port)").await
}

/// Which server this process uses.
async fn used(store: &Store) -> String {
    store.ping().await.unwrap();
    store.server().expect("a server").name
}

fn signal(server: &MariaDb, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap(), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn the_one_that_takes_writes_is_used_and_the_first_draws_nobody_when_it_is_back() {
    let servers = Two::start().await;
    let (first, second) = (name_of(&servers.one).await, name_of(&servers.two).await);
    let store = Store::connect(&servers.url).await.unwrap();
    assert_eq!(used(&store).await, first);
    // A planned switch: nobody ends a connection.
    servers.set_leader(&servers.one, (4, 900), &servers.one).await;
    servers.set_read_only(&servers.one, true).await;
    servers.set_leader(&servers.two, (5, 901), &servers.two).await;
    servers.set_read_only(&servers.two, false).await;
    let fresh = Store::connect(&servers.anew()).await.unwrap();
    assert_eq!(used(&fresh).await, second);
    let moves = async || {
        // What a server refuses that became a replica is what makes the process look around.
        let _ = refused(&store).await;
        used(&store).await == second
    };
    wait_until("the process has moved", COMES, moves).await;
    // It must start read-only. This one does not.
    servers.set_read_only(&servers.one, false).await;
    assert_eq!(used(&Store::connect(&servers.anew()).await.unwrap()).await, second, "the live one is ahead");
    assert_eq!(used(&store).await, second);
}

/// A write, by a user who may not write on a replica.
async fn refused(store: &Store) -> Result<(), komainu::store::StoreError> {
    hands::freeze(store, "test").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_server_that_stands_still_or_is_gone_is_left_within_two_seconds() {
    let mut servers = Two::start().await;
    let second = name_of(&servers.two).await;
    let store = Store::connect(&servers.url).await.unwrap();
    servers.set_read_only(&servers.two, false).await;
    signal(&servers.one, Signal::STOP);
    let began_at = clock::now();
    let other = Store::connect(&servers.anew()).await.unwrap();
    assert_eq!(used(&other).await, second);
    let took = clock::now().since(began_at);
    assert!(took < Duration::from_secs(2), "{took:?}");
    // One that was used until then: its idle connection is given up first.
    let moves = async || store.ping().await.is_ok() && store.server().is_some_and(|server| server.name == second);
    wait_until("the process has moved", COMES, moves).await;
    signal(&servers.one, Signal::CONT);
    servers.two.kill();
    let moves = async || store.ping().await.is_ok() && store.server().is_some_and(|server| server.name != second);
    wait_until("the process is back, because the other one is gone", COMES, moves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn where_no_server_takes_writes_each_is_named_with_its_reason() {
    let mut servers = Two::start().await;
    let port = servers.one.port();
    servers.one.stop();
    let error = Store::connect(&servers.url).await.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{port}: ")) && error.contains("it is read-only"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn everybody_goes_where_the_leader_is_and_the_leader_says_where() {
    let servers = Two::start().await;
    let (first, second) = (name_of(&servers.one).await, name_of(&servers.two).await);
    let mut leader = Leadership::new(servers.url.clone(), "test", identity("w1"), Incarnation(1));
    assert!(matches!(leader.perform(LeadershipAct::Attempt).await, LeadershipAnswer::Attempted { locked: true, .. }));
    let claim = LeadershipAct::Claim { seen: Epoch(0), with_lock: true };
    assert_eq!(leader.perform(claim).await, LeadershipAnswer::Claimed(Epoch(1)));
    let mut raw = Raw::connect(&servers.one.url("kuma")).await;
    assert_eq!(raw.one("SELECT server FROM komainu_leader").await, first);
    let store = Store::connect(&servers.anew()).await.unwrap().share(Share::Reads);
    let mut watch: Watch = store.watch(identity("w2")).await.unwrap();
    assert_eq!(used(&store).await, first);
    // The next leader is on the second one, which takes writes now; the first one, still open, has that by replication.
    servers.set_read_only(&servers.two, false).await;
    for server in [&servers.one, &servers.two] {
        servers.set_leader(server, (2, 50), &servers.two).await;
    }
    watch.read_round().await.unwrap();
    let moves = async || used(&store).await == second;
    wait_until("the process has followed", COMES, moves).await;
    assert!(watch.read_round().await.is_err_and(|error| error.is_lost_connection()), "leases are watched anew there");
}
