//! MariaDB is gone, and people hear of it all the same: once, marked, and of its end. SQLite has no server to lose.

use std::time::Duration;

use serde_json::json;

use crate::cluster::bot::Bot;
use crate::cluster::database::Kind;
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::raw::Raw;

const SHAPE: Shape = Shape { watchdogs: 3, nodes: 3, monitors: 12, interval: 5, with_proxies: false };

async fn wait_until_told(vendor: &Vendor, key: &str, event: &str, limit: u64) {
    let is_told = async || !vendor.told(key, event).is_empty();
    wait_until(&format!("{key} {event} is told"), Duration::from_secs(limit), is_told).await;
}

/// Time in which a second message would come.
pub(super) async fn let_pass(seconds: i64) {
    let since = Cluster::now_us();
    let is_over = async || Cluster::now_us() - since >= seconds * 1_000_000;
    wait_until("time has passed", Duration::from_secs(120), is_over).await;
}

async fn wait_until_over(cluster: &Cluster, watchdog: &str) {
    let is_over = async || {
        let sql = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'database' AND resolved_at IS NOT NULL";
        cluster.database.rows(sql).await[0][0] == "1"
    };
    wait_until("the incident is entered and resolved", Duration::from_secs(60), is_over).await;
    let is_ok = async || cluster.status_of(watchdog).await.is_some_and(|(code, _)| code == 200);
    wait_until("the status is 200 again", Duration::from_secs(60), is_ok).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_dead_database_is_told_once_and_so_is_what_dies_or_falls_silent_meanwhile() {
    let vendor = Vendor::start().await;
    let mut cluster = Cluster::start_with(Kind::MariaDb, SHAPE, &vendor.sections()).await;
    let base = cluster.url_of("w1", "");
    // Both are due while the database is away; one goes on as soon as it can, the other never.
    let (silent, alive) = (Bot::make(&cluster, "silent", 20).await, Bot::make(&cluster, "alive", 20).await);
    for bot in [&silent, &alive] {
        assert_eq!(bot.push(&base, Cluster::now_us()).await, Some(200));
    }
    let healthy_at = Cluster::now_us();
    cluster.server.as_mut().unwrap().stop();
    let stopped_at = Cluster::now_us();
    wait_until_told(&vendor, "database", "opened", 40).await;
    cluster.process("node3").kill();
    let told_after_us = vendor.told("database", "opened")[0].at_us - stopped_at;
    assert!(told_after_us > 12_000_000, "three intervals are waited for, not {told_after_us} us");
    assert!(vendor.pings(0..healthy_at) > 0, "the dead-man is pinged while all is well");
    // The second would speak after 30 s, the third after 60 s, if they had not heard that it was told.
    let_pass(40).await;
    let seen = vendor.told("database", "opened");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].doubt.as_deref(), Some("database_unreachable"));
    // A ping that was under way, or due before three intervals had passed.
    assert_eq!(vendor.pings(stopped_at + 21_000_000..Cluster::now_us()), 0, "no ping without a database");
    let back_at = Cluster::now_us();
    cluster.server.as_mut().unwrap().start_again();
    let is_taken = async || alive.push(&base, Cluster::now_us()).await == Some(200);
    wait_until("a push is taken again", Duration::from_secs(30), is_taken).await;
    let calmed = json!({"period_s": 3_600});
    cluster.patch("/api/v1/heartbeats/alive", &calmed).await;
    wait_until_over(&cluster, "w1").await;
    wait_until_told(&vendor, "database", "resolved", 60).await;
    wait_until_told(&vendor, "node/node3", "opened", 90).await;
    wait_until_told(&vendor, "heartbeat/silent", "opened", 120).await;
    let forgiven_us = vendor.told("heartbeat/silent", "opened")[0].at_us - back_at;
    assert!(forgiven_us > 60_000_000, "it gets a minute after the outage, not {forgiven_us} us");
    let_pass(15).await;
    assert!(vendor.told("heartbeat/alive", "opened").is_empty(), "late because pushes were refused");
    let all =
        [("database", "opened"), ("database", "resolved"), ("node/node3", "opened"), ("heartbeat/silent", "opened")];
    for (key, event) in all {
        let seen = vendor.told(key, event);
        assert_eq!(seen.len(), 1, "{key} {event}: {seen:?} of {:?}", vendor.messages());
    }
    assert!(vendor.pings(back_at..Cluster::now_us()) > 0, "the dead-man is pinged again");
    let opened = "SELECT opened_at FROM komainu_incident WHERE k = 'database'";
    let opened_at: i64 = cluster.database.rows(opened).await[0][0].parse().unwrap();
    let drift = (opened_at * 1_000 - stopped_at).abs();
    assert!(drift < 10_000_000, "it opened when the database stopped, {drift} us apart");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn a_speaker_killed_when_its_message_arrived_is_repeated_at_most_once_and_marked() {
    let vendor = Vendor::start().await;
    let mut cluster = Cluster::start_with(Kind::MariaDb, SHAPE, &vendor.sections()).await;
    vendor.kill_when_told_of("database", cluster.process("w1").id());
    cluster.server.as_mut().unwrap().stop();
    wait_until_told(&vendor, "database", "opened", 40).await;
    let is_dead = async || cluster.process("w1").exit_status().is_some();
    wait_until("w1 is dead", Duration::from_secs(10), is_dead).await;
    let_pass(75).await;
    let seen = vendor.told("database", "opened");
    assert!(seen.len() <= 2, "{seen:?}");
    assert!(seen.iter().all(|message| message.doubt.as_deref() == Some("database_unreachable")), "{seen:?}");
    assert_eq!(seen.first().map(|message| &message.id), seen.last().map(|message| &message.id), "one id");
    cluster.server.as_mut().unwrap().start_again();
    wait_until_over(&cluster, "w2").await;
    wait_until_told(&vendor, "database", "resolved", 60).await;
    // It comes back with its spool: what it had begun is told already.
    cluster.start_process("w1");
    let_pass(20).await;
    assert_eq!(vendor.told("database", "opened").len(), seen.len());
    assert_eq!(vendor.told("database", "resolved").len(), 1);
    let incidents = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'database'";
    assert_eq!(cluster.database.rows(incidents).await[0][0], "1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn watchdogs_that_start_while_the_database_is_down_speak_from_what_is_on_their_disks() {
    let vendor = Vendor::start().await;
    let mut cluster = Cluster::start_with(Kind::MariaDb, SHAPE, &vendor.sections()).await;
    let knows = |name: &str| {
        let known = std::fs::read_to_string(cluster.folder().join(format!("{name}.state/known.json")));
        known.is_ok_and(|text| ["w1", "w2", "w3"].iter().all(|member| text.contains(member)))
    };
    let all_know = async || ["w1", "w2", "w3"].into_iter().all(knows);
    wait_until("all know each other on disk", Duration::from_secs(30), all_know).await;
    for name in ["w1", "w2", "w3"] {
        cluster.process(name).kill();
    }
    cluster.server.as_mut().unwrap().stop();
    cluster.start_process("w2");
    cluster.start_process("w3");
    let says_503 = async || cluster.status_of("w2").await.is_some_and(|(code, _)| code == 503);
    wait_until("it answers, with 503", Duration::from_secs(20), says_503).await;
    wait_until_told(&vendor, "database", "opened", 40).await;
    let_pass(35).await;
    let seen = vendor.told("database", "opened");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].doubt.as_deref(), Some("database_unreachable"), "two of three known members");
    cluster.server.as_mut().unwrap().start_again();
    wait_until_over(&cluster, "w2").await;
    wait_until_told(&vendor, "database", "resolved", 60).await;
    assert_eq!(vendor.told("database", "opened").len(), 1);
}

/// Every watchdog writes its own row, and none can say who runs what.
async fn nobody_can_judge(locks: &str) {
    let vendor = Vendor::start().await;
    let cluster = Cluster::start_with(Kind::MariaDb, SHAPE, &vendor.sections()).await;
    let mut stranger = Raw::connect(&cluster.server.as_ref().unwrap().url("kuma")).await;
    stranger.execute(locks).await;
    let locked_at = Cluster::now_us();
    wait_until_told(&vendor, "database", "opened", 60).await;
    let told = vendor.told("database", "opened");
    assert!(told[0].summaries.iter().any(|text| text.contains("nobody can judge")), "{told:?}");
    assert_eq!(told[0].doubt.as_deref(), Some("may_be_repeated"), "the database is there: {told:?}");
    assert!(told[0].at_us - locked_at > 12_000_000, "three intervals are waited for");
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE k = 'database' AND resolved_at IS NULL";
    let is_entered = async || cluster.database.rows(open).await[0][0] == "1";
    wait_until("it is entered while it lasts", Duration::from_secs(20), is_entered).await;
    let_pass(35).await;
    assert!(is_entered().await, "it is not over");
    stranger.execute("UNLOCK TABLES").await;
    wait_until_over(&cluster, "w1").await;
    wait_until_told(&vendor, "database", "resolved", 60).await;
    for event in ["opened", "resolved"] {
        let seen = vendor.told("database", event);
        assert_eq!(seen.len(), 1, "{event}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn that_nobody_can_judge_beside_locked_monitors_is_told_once_and_so_is_its_end() {
    nobody_can_judge("LOCK TABLES monitor WRITE, heartbeat WRITE").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn that_nobody_can_judge_without_the_assignments_is_told_once_and_so_is_its_end() {
    nobody_can_judge("LOCK TABLES komainu_assignment WRITE").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB"]
async fn what_is_never_answered_is_repeated_three_times_and_then_told_by_another_channel() {
    let vendor = Vendor::start().await;
    let shape = Shape { watchdogs: 1, nodes: 1, monitors: 2, ..SHAPE };
    let mut cluster = Cluster::start_with(Kind::MariaDb, shape, &vendor.silent_sections()).await;
    cluster.server.as_mut().unwrap().stop();
    wait_until_told(&vendor, "database", "opened", 120).await;
    let_pass(45).await;
    let sent = vendor.unanswered();
    assert_eq!(sent.len(), 4, "once, and three times more: {sent:?}");
    assert!(sent.iter().all(|message| message.doubt.as_deref() == Some("database_unreachable")), "{sent:?}");
    assert_eq!(vendor.told("database", "opened").len(), 1, "{:?}", vendor.messages());
}
