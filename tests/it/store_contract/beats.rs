//! Beats are stored by the owner of a monitor, and by nobody else.

use komainu::store::{Beat, BeatStatus, StoreError};
use komainu_watchdogs::decision::Step;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind, StoresBeats, beat, revoke, steps};
use super::on_both_databases;

on_both_databases! {
    a_beat_is_written_as_kuma_writes_it,
    the_owner_stores_its_beats,
    nothing_is_stored_after_a_revoke,
    nothing_is_stored_after_a_release,
    nothing_is_stored_after_a_move,
    nothing_is_stored_for_a_paused_or_deleted_monitor,
    of_a_batch_only_the_own_is_stored,
    the_last_beat_of_each_monitor_is_found,
    old_beats_are_pruned_where_no_kuma_does,
}

async fn a_beat_is_written_as_kuma_writes_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let written = Beat {
        status: BeatStatus::Down,
        important: true,
        msg: "Zeitüberschreitung 😀 \"quoted\" \\ 'x'".to_owned(),
        time: Wall(1_763_800_000_250),
        ping_ms: None,
        duration_s: 61,
        down_count: 3,
        retries: 2,
        end_time: Wall(1_763_800_001_750),
        response: Some("G0AABQA=".to_owned()),
        ..beat(monitor)
    };
    let stored = fixture.store.store_beats(&"node1".into(), Incarnation(11), std::slice::from_ref(&written)).await;
    assert_eq!(stored.unwrap(), 1);
    let sql = "SELECT monitor_id, status, important, msg, ping, duration, down_count, retries, response FROM heartbeat";
    let id = monitor.to_string();
    let expected = [id.as_str(), "0", "1", written.msg.as_str(), "-", "61", "3", "2", "G0AABQA="];
    assert_eq!(fixture.raw.rows(sql).await[0], expected);
    let times = fixture.raw.rows("SELECT CAST(time AS CHAR), CAST(end_time AS CHAR) FROM heartbeat").await;
    let millis = if kind == Kind::Sqlite { [".250", ".750"] } else { ["", ""] };
    let times_expected = [format!("2025-11-22 08:26:40{}", millis[0]), format!("2025-11-22 08:26:41{}", millis[1])];
    assert_eq!(times[0], times_expected);
}

async fn the_owner_stores_its_beats(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(300, Some("node1")).await;
    let beats: Vec<Beat> = made.iter().rev().map(|monitor| beat(*monitor)).collect();
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &beats).await.unwrap(), 300);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM heartbeat").await, 300);
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(12), &beats).await.unwrap(), 0);
    assert_eq!(fixture.store.store_beats(&"node2".into(), Incarnation(11), &beats).await.unwrap(), 0);
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &[]).await.unwrap(), 0);
}

async fn nothing_is_stored_after_a_revoke(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.revokes = vec![revoke("node1", 11, Some(1))];
    leader.done(&decision).await;
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &[beat(made[0])]).await.unwrap(), 0);
}

async fn nothing_is_stored_after_a_release(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(1, Some("node1")).await;
    assert!(node.release().await.unwrap());
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &[beat(made[0])]).await.unwrap(), 0);
}

async fn nothing_is_stored_after_a_move(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = steps(Step::Release, &made, Some("node1"), None);
    leader.done(&decision).await;
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &[beat(made[0])]).await.unwrap(), 0);
}

async fn nothing_is_stored_for_a_paused_or_deleted_monitor(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(2, Some("node1")).await;
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", made[0])).await;
    fixture.raw.execute(&format!("DELETE FROM monitor WHERE id = {}", made[1])).await;
    let beats = [beat(made[0]), beat(made[1])];
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &beats).await.unwrap(), 0);
}

async fn of_a_batch_only_the_own_is_stored(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let _two = fixture.start_node("node2", 22).await;
    let own = fixture.monitors(2, Some("node1")).await;
    let other = fixture.monitors(2, Some("node2")).await;
    let beats: Vec<Beat> = own.iter().chain(&other).map(|monitor| beat(*monitor)).collect();
    assert_eq!(fixture.store.store_beats(&"node2".into(), Incarnation(22), &beats).await.unwrap(), 2);
}

async fn the_last_beat_of_each_monitor_is_found(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let at = |monitor, second: i64, retries| Beat {
        time: Wall(1_763_800_000_000 + second * 1_000),
        retries,
        ..beat(monitor)
    };
    // The latest by time, and of one second the latest by key.
    for stored in [at(made[0], 9, 1), at(made[0], 5, 2), at(made[1], 1, 3), at(made[1], 1, 4)] {
        fixture.store.store_beats(&"node1".into(), Incarnation(11), &[stored]).await.unwrap();
    }
    let mut last = fixture.store.last_beats(&made).await.unwrap();
    last.sort_by_key(|beat| beat.monitor);
    let seen: Vec<_> = last.iter().map(|beat| (beat.monitor, beat.time, beat.retries)).collect();
    assert_eq!(seen, [(made[0], Wall(1_763_800_009_000), 1), (made[1], Wall(1_763_800_001_000), 4)]);
}

async fn old_beats_are_pruned_where_no_kuma_does(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    let old = Beat { time: Wall(1_600_000_000_000), ..beat(monitor) };
    fixture.store.store_beats(&"node1".into(), Incarnation(11), &[old.clone(), old, beat(monitor)]).await.unwrap();
    let day = std::time::Duration::from_secs(86_400);
    assert_eq!(fixture.store.prune_beats(day).await.unwrap(), 2);
    assert_eq!(fixture.store.prune_beats(day).await.unwrap(), 0);
    fixture.raw.execute("UPDATE komainu_schema SET kuma_tables = ''").await;
    fixture.raw.execute("UPDATE heartbeat SET time = '2020-01-01 00:00:00'").await;
    assert_eq!(fixture.store.prune_beats(day).await.unwrap(), 0, "Kuma cleans its own");
    assert_eq!(fixture.store.prune(&komainu::store::prune::Retention::default()).await.unwrap(), 0);
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_decision_under_way_holds_up_the_beats_of_what_it_takes() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    // A decision that has locked the node's row and has not committed yet.
    fixture.raw.execute("BEGIN").await;
    fixture.raw.execute("UPDATE node SET incarnation = NULL WHERE node_id = 'node1'").await;
    let store = fixture.store.clone();
    let stored =
        tokio::spawn(async move { store.store_beats(&"node1".into(), Incarnation(11), &[beat(monitor)]).await });
    let mut other = crate::support::raw::Raw::connect(&fixture.text).await;
    let of_this_database = format!("of table `{}`.", fixture.url.database());
    super::connections::wait_for_lock_wait(&mut other, &of_this_database).await;
    fixture.raw.execute("COMMIT").await;
    assert_eq!(stored.await.unwrap().unwrap(), 0);
}

#[tokio::test]
#[ignore = "needs MariaDB"]
async fn a_lock_wait_is_told_apart_from_a_lost_connection() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    fixture.raw.execute("BEGIN").await;
    fixture.raw.execute("UPDATE node SET active = 0 WHERE node_id = 'node1'").await;
    let error = fixture.store.store_beats(&"node1".into(), Incarnation(11), &[beat(monitor)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Contention { is_deadlock: false, .. }), "{error:?}");
    assert!(!error.is_lost_connection());
}
