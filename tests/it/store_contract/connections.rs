//! What happens when a leader vanishes, a connection is killed, or somebody sits on a lock.

use std::time::Duration;

use komainu::clock;
use komainu::store::monitors::{self, MonitorSpec, NewMonitor};
use komainu_watchdogs::decision::{Commit, Step};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};

use super::fixture::{Fixture, Kind, Leader, steps};
use super::on_both_databases;
use crate::cluster::proxy::Proxy;
use crate::cluster::server::MariaDb;
use crate::cluster::wait::wait_until;
use crate::support::raw::Raw;

on_both_databases! {
    a_lock_wait_that_fills_fails_and_keeps_nothing,
    a_statement_that_takes_too_long_is_ended_where_it_runs_and_holds_nothing_afterwards,
    a_write_that_is_ended_in_the_middle_keeps_nothing_whoever_ends_it,
}

/// `idle_transaction_timeout` is 5 s; the rest is what a loaded machine adds.
const FREED_WITHIN: Duration = Duration::from_secs(8);

/// Our sessions give a lock up after 3 s.
const LOCK_WAIT_SEEN_WITHIN: Duration = Duration::from_secs(3);

/// A leader, a node with monitors, and a decision that places them.
async fn deciding(kind: Kind) -> (Fixture, Leader, komainu_watchdogs::decision::Decision) {
    let fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let made = fixture.monitors(50, None).await;
    let leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Place, &made, None, Some("node1"));
    (fixture, leader, decision)
}

async fn a_lock_wait_that_fills_fails_and_keeps_nothing(kind: Kind) {
    let (mut fixture, mut leader, decision) = deciding(kind).await;
    let before = fixture.stamp().await;
    let mut other = Raw::connect(&fixture.text).await;
    // The generation is written last: everything before it has been done by then, and must go again.
    other.execute(if fixture.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" }).await;
    other.execute("INSERT INTO komainu_generation VALUES (1, 'x', 0, 0, '', 0)").await;
    let answer = leader.commit(&decision).await;
    assert!(matches!(answer, Commit::Failed(_)), "{answer:?}");
    other.execute("ROLLBACK").await;
    assert_eq!(fixture.running_on("node1").await, 0);
    assert_eq!(fixture.stamp().await, before);
    assert!(matches!(leader.renew().await, LeadershipAnswer::Failed(_)), "its connection was closed");
    leader.claim().await;
    let mut again = leader.decision(before);
    again.moves = decision.moves;
    assert_eq!(leader.done(&again).await.1, 50);
}

/// Each insert of a monitor takes a minute and more.
const NEVER_ENDING: &str = "CREATE TRIGGER too_slow BEFORE INSERT ON monitor FOR EACH ROW SET @slept = SLEEP(60)";
const NEVER_ENDING_SQLITE: &str = "CREATE VIEW endless AS WITH RECURSIVE numbers(n) AS \
     (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT n FROM numbers; \
     CREATE TRIGGER too_slow BEFORE INSERT ON monitor BEGIN SELECT COUNT(*) FROM endless; END";

async fn a_statement_that_takes_too_long_is_ended_where_it_runs_and_holds_nothing_afterwards(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let is_sqlite = fixture.is_sqlite();
    fixture.raw.execute(if is_sqlite { NEVER_ENDING_SQLITE } else { NEVER_ENDING }).await;
    let spec = MonitorSpec { url: Some("http://shop/".to_owned()), ..MonitorSpec::default() };
    let shop = NewMonitor { spec, ..NewMonitor::default() };
    let error = monitors::create(&fixture.store, &shop).await.unwrap_err();
    assert!(error.is_unavailable() && !error.is_in_doubt(), "{error:?}");
    let began_at = clock::now();
    fixture.raw.execute("DROP TRIGGER too_slow").await;
    monitors::create(&fixture.store, &shop).await.unwrap();
    assert!(clock::now().since(began_at) < Duration::from_secs(2), "nothing of it goes on");
}

/// The monitor is written, and what follows it never ends.
const NEVER_DONE: &str = "CREATE TRIGGER too_slow AFTER INSERT ON monitor FOR EACH ROW SET @slept = SLEEP(60)";
const NEVER_DONE_SQLITE: &str = "CREATE VIEW endless AS WITH RECURSIVE numbers(n) AS \
     (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT n FROM numbers; \
     CREATE TRIGGER too_slow AFTER INSERT ON monitor BEGIN SELECT COUNT(*) FROM endless; END";

async fn a_write_that_is_ended_in_the_middle_keeps_nothing_whoever_ends_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let is_sqlite = fixture.is_sqlite();
    fixture.raw.execute(if is_sqlite { NEVER_DONE_SQLITE } else { NEVER_DONE }).await;
    let spec = MonitorSpec { url: Some("http://shop/".to_owned()), ..MonitorSpec::default() };
    let shop = NewMonitor { spec, ..NewMonitor::default() };
    // By the statement's limit; by whoever waited for it; and by both, one after the other.
    monitors::create(&fixture.store, &shop).await.unwrap_err();
    let waiting = tokio::time::timeout(Duration::from_millis(500), monitors::create(&fixture.store, &shop));
    assert!(waiting.await.is_err(), "nobody waits for it any more");
    monitors::create(&fixture.store, &shop).await.unwrap_err();
    let began_at = clock::now();
    fixture.raw.execute("DROP TRIGGER too_slow").await;
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM monitor").await, 0);
    monitors::create(&fixture.store, &shop).await.unwrap();
    assert!(clock::now().since(began_at) < Duration::from_secs(2), "nothing of it goes on");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM monitor").await, 1);
}

/// The server's id of the leadership's connection.
async fn connection_of_leader(raw: &mut Raw, database: &str) -> String {
    let sql = format!(
        "SELECT id FROM information_schema.processlist WHERE db = '{database}' \
         AND id = IS_USED_LOCK('komainu:{database}:test')"
    );
    raw.one(&sql).await
}

/// How the engine's report names a connection.
fn mark_of(connection: &str) -> String {
    format!("MariaDB thread id {connection},")
}

/// Waits until a transaction whose part of the engine's report has this mark waits for a lock.
///
/// The engine's own report is fresh at every look; `information_schema.innodb_trx` is renewed only when nobody has read
/// it for 100 ms, so two tests that poll it starve each other.
pub(super) async fn wait_for_lock_wait(raw: &mut Raw, mark: &str) {
    wait_until("a transaction waits for a lock", LOCK_WAIT_SEEN_WITHIN, async || {
        let report = raw.engine_report().await;
        report.split("---TRANSACTION ").any(|part| part.contains("LOCK WAIT") && part.contains(mark))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_connection_killed_between_guard_and_commit_keeps_nothing() {
    let (mut fixture, mut leader, decision) = deciding(Kind::MariaDb).await;
    let before = fixture.stamp().await;
    let database = fixture.url.database();
    let connection = connection_of_leader(&mut fixture.raw, &database).await;
    let mut other = Raw::connect(&fixture.text).await;
    other.execute("BEGIN").await;
    other.execute("INSERT INTO komainu_generation VALUES (1, 'x', 0, 0, '', 0)").await;
    let committing = tokio::spawn(async move { leader.commit(&decision).await });
    wait_for_lock_wait(&mut fixture.raw, &mark_of(&connection)).await;
    fixture.raw.execute(&format!("KILL {connection}")).await;
    let answer = committing.await.unwrap();
    assert!(matches!(answer, Commit::Failed(_)), "{answer:?}");
    other.execute("ROLLBACK").await;
    assert_eq!(fixture.stamp().await, before);
    assert_eq!(fixture.running_on("node1").await, 0);
    // The server ends a killed connection, and frees its lock, in its own time.
    let mut follower = fixture.follower("w2", 2);
    wait_until("the lock is free", Duration::from_secs(5), async || follower.attempt().await.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_connection_killed_after_the_commit_keeps_all_of_it() {
    let (mut fixture, mut leader, decision) = deciding(Kind::MariaDb).await;
    let database = fixture.url.database();
    let connection = connection_of_leader(&mut fixture.raw, &database).await;
    let (stamp, moved) = leader.done(&decision).await;
    assert_eq!(moved, 50);
    fixture.raw.execute(&format!("KILL {connection}")).await;
    assert!(matches!(leader.renew().await, LeadershipAnswer::Failed(_)));
    assert_eq!(fixture.stamp().await, stamp);
    assert_eq!(fixture.running_on("node1").await, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_vanished_leaders_open_transaction_holds_its_successor_up_for_seconds_only() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let mut vanished = Raw::connect(&fixture.text).await;
    // What a leader's session is set to, and a leader that says nothing more in the middle of a decision.
    vanished.execute("SET SESSION idle_transaction_timeout = 5, innodb_lock_wait_timeout = 3").await;
    vanished.execute("BEGIN").await;
    vanished.execute("UPDATE komainu_leader SET renewals = renewals + 1").await;
    let began_at = clock::now();
    let mut successor = fixture.follower("w2", 2);
    loop {
        let (_, seen) = successor.attempt().await;
        let answer = successor.leadership.perform(LeadershipAct::Claim { seen, with_lock: false }).await;
        if let LeadershipAnswer::Claimed(epoch) = answer {
            assert_eq!(epoch.0, 1);
            break;
        }
        assert!(clock::now().since(began_at) < FREED_WITHIN, "{answer:?}");
    }
    assert!(vanished.try_execute("COMMIT").await.is_err(), "the server ended it");
    assert_eq!(fixture.raw.count("SELECT renewals FROM komainu_leader").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_leader_frozen_inside_a_decision_is_freed_by_its_own_settings() {
    let (fixture, mut leader, decision) = deciding(Kind::MariaDb).await;
    let database = fixture.url.database();
    let mut blocker = Raw::connect(&fixture.text).await;
    let mut raw = Raw::connect(&fixture.text).await;
    let mark = mark_of(&connection_of_leader(&mut raw, &database).await);
    blocker.execute("BEGIN").await;
    let first = decision.moves[0].monitor.0;
    let columns = "monitor_id, node_id, reason, epoch, generation, changed_at";
    blocker.execute(&format!("INSERT INTO komainu_assignment ({columns}) VALUES ({first}, 'x', '', 0, 0, 0)")).await;
    // Frozen in the middle: the statements are under way, and nobody reads their answers or sends the end.
    let mut committing = Box::pin(leader.leadership.commit(&decision));
    let frozen = tokio::select! {
        answer = &mut committing => Some(answer),
        () = wait_for_lock_wait(&mut raw, &mark) => None,
    };
    assert_eq!(frozen, None);
    blocker.execute("ROLLBACK").await;
    let began_at = clock::now();
    let mut successor = fixture.follower("w2", 2);
    loop {
        let (_, seen) = successor.attempt().await;
        let answer = successor.leadership.perform(LeadershipAct::Claim { seen, with_lock: false }).await;
        if matches!(answer, LeadershipAnswer::Claimed(_)) {
            break;
        }
        assert!(clock::now().since(began_at) < FREED_WITHIN, "{answer:?}");
    }
    let woken = committing.await;
    assert!(matches!(woken, Commit::Failed(_)), "{woken:?}");
    assert_eq!(raw.count("SELECT COUNT(*) FROM komainu_assignment").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_restarted_server_is_found_again_by_the_pool_but_not_by_a_watch() {
    let mut server = MariaDb::start();
    let text = server.url(&server.fresh_database().await);
    let url = komainu::store::DatabaseUrl::parse(&text).unwrap();
    let store = komainu::store::Store::connect(&url).await.unwrap();
    let options = komainu::store::migrate::MigrateOptions { without_kuma: true };
    komainu::store::migrate::apply(&store, options).await.unwrap();
    let mut watch = store.watch(super::fixture::identity("w1")).await.unwrap();
    watch.read_round().await.unwrap();
    server.kill();
    assert!(watch.read_round().await.unwrap_err().is_lost_connection());
    assert!(store.ping().await.unwrap_err().is_lost_connection());
    server.start_again();
    store.check_schema().await.unwrap();
    assert!(watch.read_round().await.unwrap_err().is_lost_connection(), "it is connected anew by its owner");
    server.stop();
    assert!(store.ping().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_server_that_answers_nothing_is_given_up_in_time() {
    let server = MariaDb::start();
    let text = server.url(&server.fresh_database().await);
    let url = komainu::store::DatabaseUrl::parse(&text).unwrap();
    let store = komainu::store::Store::connect(&url).await.unwrap();
    let options = komainu::store::migrate::MigrateOptions { without_kuma: true };
    komainu::store::migrate::apply(&store, options).await.unwrap();
    let mut watch = store.watch(super::fixture::identity("w1")).await.unwrap();
    signal(&server, rustix::process::Signal::STOP);
    // Each thread stops when it next looks, and until then it answers.
    wait_until("the server stands still", Duration::from_secs(5), async || stands_still(server.pid())).await;
    let began_at = clock::now();
    let error = watch.read_round().await.unwrap_err();
    assert!(error.is_lost_connection(), "{error:?}");
    assert!(store.ping().await.unwrap_err().is_lost_connection());
    assert!(clock::now().since(began_at) < Duration::from_secs(15));
    signal(&server, rustix::process::Signal::CONT);
    store.ping().await.unwrap();
    assert!(watch.read_round().await.is_err(), "an answer that comes late belongs to nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_database_a_second_away_is_watched_led_and_served() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    fixture.add_node("node1").await;
    let database = fixture.raw.one("SELECT DATABASE()").await;
    let proxy = Proxy::start_afar(MariaDb::shared().port(), Duration::from_millis(500)).await;
    let url = crate::cluster::server::url(proxy.port(), &database);
    let url = komainu::store::DatabaseUrl::parse(&url).unwrap();
    let store = komainu::store::Store::unconnected(&url);
    let watching = async {
        store.watch(super::fixture::identity("w1")).await.unwrap().read_round().await.unwrap();
    };
    let leading = async {
        let identity = super::fixture::identity("w1");
        let mut leadership = komainu::store::Leadership::new(url.clone(), "test", identity, Incarnation(1));
        let answer = leadership.perform(LeadershipAct::Attempt).await;
        assert!(matches!(answer, LeadershipAnswer::Attempted { locked: true, .. }), "{answer:?}");
    };
    let serving = async {
        let process = komainu::store::NodeProcess {
            node: "node1".into(),
            incarnation: Incarnation(11),
            hostname: "host".to_owned(),
            address: "http://host:3001".to_owned(),
            kinds: Vec::new(),
        };
        let mut tenure = store.tenure(process).await.unwrap();
        assert!(tenure.register(None, 0).await.unwrap());
        assert!(tenure.read_assignments().await.unwrap().1.is_empty());
    };
    tokio::join!(watching, leading, serving);
}

/// Whether all threads of this process are stopped.
fn stands_still(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.filter_map(Result::ok).all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:\tT"))
    })
}

fn signal(server: &MariaDb, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A statement's limit, read-only, out of step with its cluster, full.
const NOT_NOW: [u16; 4] = [1969, 1290, 1047, 1114];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn what_the_server_cannot_do_now_is_no_fault_of_ours_and_no_answer_for_good() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let spec = MonitorSpec { url: Some("http://shop/".to_owned()), ..MonitorSpec::default() };
    let shop = NewMonitor { spec, ..NewMonitor::default() };
    for code in NOT_NOW {
        let signal = format!("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'not now'");
        let trigger = format!("CREATE OR REPLACE TRIGGER not_now BEFORE INSERT ON monitor FOR EACH ROW {signal}");
        fixture.raw.execute(&trigger).await;
        let error = monitors::create(&fixture.store, &shop).await.unwrap_err();
        assert!(error.is_unavailable(), "{code}: {error:?}");
        assert!(!error.is_lost_connection() && !error.is_of_content(), "{code}: {error:?}");
    }
    fixture.raw.execute("DROP TRIGGER not_now").await;
    monitors::create(&fixture.store, &shop).await.unwrap();
}
