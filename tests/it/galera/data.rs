//! Two servers that both take writes: nothing is promised of it, and no data goes wrong all the same.
//!
//! `wsrep_retry_autocommit` is 0 here: nothing rests on the server's own attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use komainu::clock;
use komainu::store::beats::keeper::{BeatKeeper, Earlier, Receipt};
use komainu::store::heartbeats::{
    self, Arrival, CachedHeartbeat, Definition, IntakeConnection, Judged, LastPush, Vitals,
};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::monitors::{self, MonitorSpec, NewMonitor};
use komainu::store::nodes::{self, NewNode};
use komainu::store::{Beat, BeatStatus, DatabaseUrl, Leadership, NodeProcess, Store, StoreError, TenureConnection};
use komainu_watchdogs::heartbeat::{Push, PushStatus, Replayed, Terms};
use komainu_watchdogs::ids::{Epoch, Incarnation, MonitorId, NodeId};
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};
use komainu_watchdogs::time::Wall;

use crate::cluster::galera::Galera;
use crate::cluster::haproxy::HaProxy;
use crate::cluster::server;
use crate::cluster::wait::wait_until;
use crate::store_contract::fixture::identity;
use crate::support::raw::Raw;

/// Each is sent to both servers at once.
const PUSHES: i64 = 400;

/// How often the node is taken over on the other server while its beats are stored.
const TAKE_OVERS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn two_writers_lose_and_double_nothing_and_a_leadership_outlasts_its_server() {
    let Some(mut galera) = Galera::start().await else { return };
    let mut raw = Raw::connect(&galera.url(0, "mysql")).await;
    raw.execute("CREATE DATABASE kuma").await;
    let (one, other) = (store(&galera, 0).await, store(&galera, 1).await);
    migrate::apply(&one, MigrateOptions { without_kuma: true }).await.unwrap();
    pushes_count_once((&one, &other), &mut Raw::connect(&galera.url(2, "kuma")).await).await;
    beats_end_with_their_process((&one, &other), &galera).await;
    a_leadership_outlasts_its_server(&mut galera).await;
}

/// The server that it is renewed on stops; then the leader stops, and the next one need not wait.
async fn a_leadership_outlasts_its_server(galera: &mut Galera) {
    let folder = tempfile::tempdir().unwrap();
    let proxy = HaProxy::start(folder.path(), &galera.ports());
    let url = DatabaseUrl::parse(&server::url(proxy.port(), "kuma")).unwrap();
    let has_server = async || Store::connect(&url).await.is_ok();
    wait_until("the proxy has a server", Duration::from_secs(30), has_server).await;
    let lead = |name, number| Leadership::new(url.clone(), "test", identity(name), Incarnation(number));
    let (mut one, mut other) = (lead("w1", 1), lead("w2", 2));
    let (with_lock, epoch) = (true, Epoch(1));
    assert_eq!(attempted(&mut one).await, (true, Epoch(0)), "nobody has led yet");
    let claim = LeadershipAct::Claim { seen: Epoch(0), with_lock };
    assert_eq!(one.perform(claim).await, LeadershipAnswer::Claimed(epoch));
    galera.stop(0);
    let renewed = one.perform(LeadershipAct::Renew { epoch, with_lock }).await;
    assert_eq!(renewed, LeadershipAnswer::Renewed, "on the next server, whose turn it is within the same act");
    assert_eq!(attempted(&mut other).await, (false, epoch), "somebody leads");
    assert_eq!(one.perform(LeadershipAct::Release).await, LeadershipAnswer::Released);
    assert_eq!(attempted(&mut other).await, (true, epoch), "who stops leaves it to whoever comes first");
    let claim = LeadershipAct::Claim { seen: epoch, with_lock };
    assert_eq!(other.perform(claim).await, LeadershipAnswer::Claimed(Epoch(2)));
}

async fn attempted(leadership: &mut Leadership) -> (bool, Epoch) {
    match leadership.perform(LeadershipAct::Attempt).await {
        LeadershipAnswer::Attempted { locked, row } => (locked, row.epoch),
        other => panic!("{other:?}"),
    }
}

async fn store(galera: &Galera, at: usize) -> Store {
    Store::connect(&DatabaseUrl::parse(&galera.url(at, "kuma")).unwrap()).await.unwrap()
}

/// The same push at both servers at once; in between, pushes that each of them has alone.
async fn pushes_count_once((one, other): (&Store, &Store), raw: &mut Raw) {
    let definition = Definition { name: "bot".to_owned(), period_s: Some(60), grace_s: 5, ..definition() };
    heartbeats::create(one, &definition, None, "test").await.unwrap();
    let mut first = Intake { connection: connected(one).await, store: one.clone() };
    let mut second = Intake { connection: connected(other).await, store: other.clone() };
    let mut answered = BTreeMap::new();
    for number in 1..=PUSHES {
        let (here, there) = (arrival(number), arrival(number));
        let (here, there) = tokio::join!(first.take(here), second.take(there));
        let accepted: Vec<_> = here.into_iter().chain(there).collect();
        assert_eq!(accepted.len(), 1, "push {number} counts once");
        answered.extend(accepted.into_iter().map(|id| (id, number)));
    }
    // The third server may be behind.
    raw.execute("SET SESSION wsrep_sync_wait = 1").await;
    let rows = raw.rows("SELECT push_id FROM komainu_push WHERE name = 'bot'").await;
    let kept: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
    let missing: Vec<_> = answered.iter().filter(|(id, _)| !kept.contains(*id)).collect();
    assert!(missing.is_empty(), "answered and in no row: {missing:?}");
    assert_eq!(rows.len(), answered.len(), "nothing else is in a row");
}

fn definition() -> Definition {
    Definition { severity: "critical".to_owned(), nonce: "0".repeat(32), ..Definition::default() }
}

fn arrival(time_us: i64) -> Arrival {
    Arrival {
        name: "bot".to_owned(),
        push_id: hex::encode(rand::random::<[u8; 16]>()),
        push: Push { time_us, status: PushStatus::Ok, run_id: None },
        told: LastPush::default(),
    }
}

/// What takes pushes at one server, as the program does it.
struct Intake {
    connection: IntakeConnection,
    store: Store,
}

impl Intake {
    /// The id of the push, if it was accepted. A conflict is tried again; after an answer that was lost the history knows.
    async fn take(&mut self, arrival: Arrival) -> Option<String> {
        let batch = [arrival];
        let mut was_lost = false;
        for _ in 0..50 {
            match self.connection.take(&batch, judge).await {
                Ok(judged) if matches!(judged[0], Judged::Accepted(_)) => return Some(batch[0].push_id.clone()),
                Ok(_) if was_lost => return self.connection.find(&batch).await.unwrap().pop_first(),
                Ok(_) => return None,
                Err(error) if error.is_lost_connection() => {
                    was_lost = true;
                    self.connection = connected(&self.store).await;
                }
                Err(error) => assert!(error.is_contention(), "{error}"),
            }
        }
        panic!("a push met another one fifty times");
    }
}

async fn connected(store: &Store) -> IntakeConnection {
    IntakeConnection::connect(store, "w1".into()).await.unwrap()
}

fn judge(known: &CachedHeartbeat, push: &Push, now: Wall) -> Result<Vitals, Replayed> {
    let second = Duration::from_secs(1);
    let record = known.vitals.record.after(
        push,
        now,
        Terms { next_due: Some(now + second), grace: second, max_runtime: None },
    )?;
    Ok(Vitals { record, last_at: Some(now), ..known.vitals.clone() })
}

/// One server stores the beats of a process while on the other one the next process takes the node's row, again and again.
async fn beats_end_with_their_process((one, other): (&Store, &Store), galera: &Galera) {
    let new = NewNode {
        node_id: "node1".into(),
        name: "node1".to_owned(),
        address: "http://n:1".to_owned(),
        ..NewNode::default()
    };
    assert!(nodes::add(one, &new, "test").await.unwrap());
    let spec = MonitorSpec { url: Some("http://target/".to_owned()), ..MonitorSpec::default() };
    let new = NewMonitor { spec, node_id: Some(NodeId::from("node1")), ..NewMonitor::default() };
    let monitor = monitors::create_all(one, &[new]).await.unwrap()[0];
    let mut stored = 0;
    for number in 1..=TAKE_OVERS {
        register(other, number).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let storing = tokio::spawn(store_beats(one.clone(), (monitor, number), Arc::clone(&is_over)));
        tokio::time::sleep(Duration::from_millis(15)).await;
        register(other, number + 1_000).await;
        is_over.store(true, Ordering::Relaxed);
        stored += storing.await.unwrap();
    }
    assert!(stored > 0, "beats were stored");
    let mut last = Raw::connect(&galera.url(2, "kuma")).await;
    last.execute("SET SESSION wsrep_sync_wait = 1").await;
    last.rows("SELECT COUNT(*) FROM heartbeat").await;
    let log = galera.committed();
    let (kept, late) = in_order(&log);
    assert_eq!((kept, late), (stored, 0), "beats as answered; none after the next process took the row");
}

async fn register(store: &Store, number: u64) {
    let mut tenure = tenure(store, number).await;
    loop {
        let row = tenure.read_row().await.unwrap().unwrap();
        if tenure.register(row.incarnation, row.lease_seq).await.unwrap() {
            return;
        }
    }
}

async fn tenure(store: &Store, number: u64) -> TenureConnection {
    let process = NodeProcess {
        node: "node1".into(),
        incarnation: Incarnation(number),
        hostname: "host".to_owned(),
        address: "http://host:3001".to_owned(),
        kinds: Vec::new(),
    };
    store.tenure(process).await.unwrap()
}

/// Until it is told to end; how many beats were answered as stored.
async fn store_beats(store: Store, (monitor, number): (MonitorId, u64), is_over: Arc<AtomicBool>) -> usize {
    let keeper = BeatKeeper::new(store, "node1".into(), Incarnation(number));
    let mut stored = 0;
    while !is_over.load(Ordering::Relaxed) {
        match keeper.keep(&[beat(monitor, number, clock::wall())], Earlier::Answered).await {
            Ok(receipts) => stored += receipts.iter().filter(|receipt| **receipt == Receipt::Stored).count(),
            Err(StoreError::Contention { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    stored
}

fn beat(monitor: MonitorId, number: u64, time: Wall) -> Beat {
    Beat {
        monitor,
        status: BeatStatus::Up,
        important: false,
        msg: format!("of {}", Incarnation(number)),
        time,
        ping_ms: Some(1),
        duration_s: 1,
        down_count: 0,
        retries: 0,
        end_time: time,
        response: None,
        is_own_trouble: false,
    }
}

/// How many beats there are, and how many came after their process had lost its row: by the order in which all committed.
fn in_order(log: &str) -> (usize, usize) {
    let (mut holder, mut table, mut is_new) = (String::new(), "", false);
    let (mut kept, mut late) = (0, 0);
    for line in log.lines().filter_map(|line| line.strip_prefix("### ")) {
        match line {
            "UPDATE `kuma`.`node`" => table = "node",
            "INSERT INTO `kuma`.`heartbeat`" => table = "heartbeat",
            "SET" => is_new = true,
            "WHERE" => is_new = false,
            line if line.starts_with(['U', 'I', 'D']) => table = "",
            line if is_new && table == "node" && is_incarnation(line) => holder = quoted(line),
            line if is_new && table == "heartbeat" && line.contains("='of ") => {
                kept += 1;
                late += usize::from(!quoted(line).ends_with(&holder));
            }
            _ => {}
        }
    }
    (kept, late)
}

/// The only column of the row that holds sixteen hexadecimal digits twice is the process's; the nonce has as many.
fn is_incarnation(line: &str) -> bool {
    let text = quoted(line);
    text.len() == 16 && text.starts_with("00000000")
}

fn quoted(line: &str) -> String {
    line.split('\'').nth(1).unwrap_or_default().to_owned()
}
