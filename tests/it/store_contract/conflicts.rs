//! A write that meets others (1213) is made again, with pauses, by whoever writes; a trigger plays the others.

use komainu_watchdogs::decision::{Commit, Refusal, Step};
use komainu_watchdogs::facts::Report;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::{Alarm, LeadershipAnswer, Severity, Write};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::tail::Claim;
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind, identity, step};

/// More than three tries, fewer than ten.
const SOME: u32 = 6;
const ALWAYS: u32 = 1_000;

/// The next writes of this table meet others so often on each connection, and are rolled back.
async fn meet(fixture: &mut Fixture, table: &str, event: &str, times: u32) {
    let sql = format!(
        "CREATE TRIGGER test_meets_others BEFORE {event} ON {table} FOR EACH ROW BEGIN \
         SET @met = COALESCE(@met, 0) + 1; \
         IF @met <= {times} THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'; END IF; END"
    );
    fixture.raw.execute(&sql).await;
}

fn write(seq: u64) -> Write {
    let report = Report {
        watchdog: "w1".into(),
        incarnation: Incarnation(1),
        seq,
        zone: "rack-a".into(),
        isolated: false,
        database_ok: true,
        observations: vec![],
        database_report: None,
        seen: None,
    };
    Write { report, claim: Claim::default(), stopped: false }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_watchdogs_own_row_is_written_although_it_meets_others_six_times() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    watch.write(&write(1)).await.unwrap();
    meet(&mut fixture, "komainu_watchdog", "UPDATE", SOME).await;
    watch.write(&write(2)).await.unwrap();
    assert_eq!(fixture.raw.count("SELECT seq FROM komainu_watchdog").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn an_incident_is_opened_and_resolved_although_it_meets_others_six_times() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    meet(&mut fixture, "komainu_incident", "INSERT", SOME).await;
    let (key, summary) = ("capacity".to_owned(), "too much".to_owned());
    let alarm = Alarm { key: key.clone(), severity: Severity::Critical, summary, votes: (0, 0) };
    assert!(errands.raise(&alarm, &Routing::default()).await.unwrap());
    fixture.raw.execute("DROP TRIGGER test_meets_others").await;
    meet(&mut fixture, "komainu_incident", "UPDATE", 2 * SOME).await;
    let last_bad_at = Wall(fixture.raw.count("SELECT last_bad_at FROM komainu_incident").await);
    assert!(errands.resolve(&key, last_bad_at).await.unwrap());
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_decision_is_carried_out_although_it_meets_others_six_times() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let _node = fixture.start_node("node1", rand::random()).await;
    let monitor = fixture.monitors(1, None).await[0];
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Place, monitor, None, Some("node1"))];
    meet(&mut fixture, "komainu_cluster", "UPDATE", SOME).await;
    leader.done(&decision).await;
    assert_eq!(fixture.running_on("node1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_decision_that_always_meets_others_is_refused_and_costs_no_leadership() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let _node = fixture.start_node("node1", rand::random()).await;
    let monitor = fixture.monitors(1, None).await[0];
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Place, monitor, None, Some("node1"))];
    meet(&mut fixture, "komainu_cluster", "UPDATE", ALWAYS).await;
    assert_eq!(leader.commit(&decision).await, Commit::Refused(Refusal::MetOthers));
    assert_eq!(fixture.running_on("node1").await, 0);
    assert_eq!(leader.renew().await, LeadershipAnswer::Renewed);
}
