//! What a watchdog reads and writes each round.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu::store::beginning::Beginnings;
use komainu::store::watchdogs::{self, Stillness};
use komainu::store::{Beat, StoreError, nodes};
use komainu_watchdogs::decision::Step;
use komainu_watchdogs::facts::{Mode, NodeStatus, Observation, ProgressRow, Report, Source, Target, Vote};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::Write;
use komainu_watchdogs::sampling::{CIRCLE, Look, Part};
use komainu_watchdogs::tail::Claim;
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind, StoresBeats, beat, identity, step};
use super::on_both_databases;
use crate::cluster::wait::wait_until;
use crate::support::raw::Raw;

on_both_databases! {
    a_round_of_a_fresh_cluster_is_empty,
    a_round_shows_who_runs_what,
    a_round_shows_nodes_as_they_stand,
    a_foreign_status_is_noticed,
    unplaced_and_leftover_monitors_are_counted,
    labels_come_from_clients_and_from_tags_in_kumas_own_ui,
    a_watchdog_writes_all_that_it_sees_with_its_counter,
    a_round_takes_two_trips_to_the_database,
    an_index_that_was_renamed_is_looked_for_anew,
    a_living_process_keeps_its_watchdog_id,
    a_watchdog_that_stopped_is_replaced_at_once,
    a_removed_watchdog_writes_all_of_it_again,
    overdue_monitors_are_counted_from_the_latest_sign_of_life,
    a_monitor_beats_while_its_last_beat_is_no_older_than_its_interval_and_a_little,
    of_a_large_node_a_part_is_looked_at_and_stands_for_the_whole,
    a_node_whose_clock_is_wrong_is_not_behind,
    a_step_of_a_nodes_clock_neither_makes_it_overdue_nor_hides_that_it_is,
    the_shard_is_read_whole,
}

fn seen(target: Target, vote: Vote) -> Observation {
    Observation { target, vote, failures: 0, detail: String::new(), is_refused: false, is_blind: false }
}

fn write(incarnation: u64, seq: u64, observations: Vec<Observation>) -> Write {
    let report = Report {
        watchdog: "w1".into(),
        incarnation: Incarnation(incarnation),
        seq,
        zone: "rack-a".into(),
        isolated: false,
        database_ok: true,
        observations,
        database_report: None,
        seen: None,
    };
    Write { report, claim: Claim::default(), stopped: false }
}

async fn a_round_of_a_fresh_cluster_is_empty(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let round = watch.read_round().await.unwrap();
    assert_eq!(round.cluster.mode, Mode::Active);
    assert_eq!(round.cluster.stamp, fixture.stamp().await);
    assert_eq!((round.leader.epoch.0, round.leader.holder), (0, None));
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    let counts = errands.counts().await.unwrap();
    assert_eq!((counts.shards, counts.leftover), (vec![], 0));
    assert!(
        errands.progress(&BTreeMap::new()).await.unwrap().is_empty() && errands.incidents().await.unwrap().is_empty()
    );
    assert!(round.ended_at >= round.began_at);
    let off = komainu::clock::wall().0.abs_diff(round.database_time.0);
    assert!(off < 5_000, "the database runs on this host: {off} ms");
    let leader = fixture.leader("w1", 1).await;
    let round = watch.read_round().await.unwrap();
    assert_eq!((round.leader.epoch, round.leader.holder), (leader.epoch, Some(Incarnation(1))));
    assert_eq!(round.leader.watchdog, Some("w1".into()));
}

async fn a_round_shows_who_runs_what(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _one = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(4, Some("node1")).await;
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", made[0])).await;
    fixture.raw.execute(&format!("UPDATE monitor SET type = 'push' WHERE id = {}", made[1])).await;
    let mut leader = fixture.leader("w1", 1).await;
    let mut decision = leader.decision(fixture.stamp().await);
    decision.moves = vec![step(Step::Release, made[2], Some("node1"), None)];
    let (stamp, _) = leader.done(&decision).await;
    let shards = fixture.store.errands(&"w1".into()).await.unwrap().counts().await.unwrap().shards;
    assert_eq!(shards.len(), 3);
    let nobodys = shards.iter().find(|group| group.effective.is_none()).unwrap();
    let source = Source { node: "node1".into(), incarnation: Incarnation(11), released_at: stamp.generation };
    assert_eq!((nobodys.source.as_ref(), nobodys.home.as_ref()), (Some(&source), Some(&"node1".into())));
    let push = shards.iter().find(|group| group.kind == "push").unwrap();
    assert_eq!((push.active, push.monitors), (1, 1));
    let rest = shards.iter().find(|group| group.effective.is_some() && group.kind == "http").unwrap();
    assert_eq!((rest.active, rest.monitors), (1, 2));
}

async fn a_round_shows_nodes_as_they_stand(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut one = fixture.start_node("node1", 11).await;
    let change = nodes::NodeChange {
        weight: Some(50),
        capacity: Some(Some(700)),
        kinds: Some(vec!["http".to_owned()]),
        ..nodes::NodeChange::default()
    };
    assert!(nodes::edit(&fixture.store, &"node1".into(), &change, "test").await.unwrap());
    one.acknowledge(fixture.stamp().await).await.unwrap();
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let node = watch.read_round().await.unwrap().nodes.remove(0);
    assert_eq!((node.status, node.incarnation, node.lease_seq), (NodeStatus::New, Some(Incarnation(11)), 2));
    assert_eq!((node.weight, node.capacity, node.kinds), (50, Some(700), vec!["http".to_owned()]));
    assert_eq!((node.applied, node.applied_is_known), (Some(fixture.stamp().await), true));
    assert!(!node.is_released && !node.has_foreign_status && node.last_seen.is_some());
    one.release().await.unwrap();
    let node = watch.read_round().await.unwrap().nodes.remove(0);
    assert_eq!((node.incarnation, node.is_released), (None, true));
}

async fn a_foreign_status_is_noticed(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    fixture.raw.execute("UPDATE node SET status = 'online'").await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let node = watch.read_round().await.unwrap().nodes.remove(0);
    assert_eq!((node.has_foreign_status, node.status), (true, NodeStatus::New));
    fixture.raw.execute("UPDATE node SET komainu_status = NULL").await;
    assert!(!watch.read_round().await.unwrap().nodes[0].has_foreign_status, "the fork's own, from before");
}

async fn unplaced_and_leftover_monitors_are_counted(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let placed = fixture.monitors(3, Some("node1")).await;
    fixture.monitors(2, None).await;
    fixture.raw.execute(&format!("DELETE FROM monitor WHERE id = {}", placed[0])).await;
    let round = fixture.store.errands(&"w1".into()).await.unwrap().counts().await.unwrap();
    let unplaced: Vec<_> = round.shards.iter().filter(|group| group.effective.is_none()).collect();
    assert_eq!(unplaced.len(), 1);
    let unplaced = unplaced[0];
    assert_eq!((unplaced.kind.as_str(), unplaced.active, unplaced.monitors), ("http", 2, 2));
    assert_eq!((unplaced.home.as_ref(), unplaced.source.as_ref(), unplaced.pinned), (None, None, false));
    assert_eq!(round.leftover, 1);
}

async fn labels_come_from_clients_and_from_tags_in_kumas_own_ui(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let made = fixture.monitors(2, Some("node1")).await;
    fixture.raw.execute("UPDATE node SET labels = '[\"eu\", \"gpu\"]', runner = 'native', drains_pinned = 1").await;
    let said = "UPDATE komainu_monitor SET run_on = '[\"gpu\"]' WHERE monitor_id =";
    fixture.raw.execute(&format!("{said} {}", made[0])).await;
    fixture.raw.execute("INSERT INTO tag (id, name, color) VALUES (7, 'run_on', '#fff'), (8, 'team', '#fff')").await;
    for (tag, value) in [(7, "us, eu"), (7, "gpu"), (8, "payments")] {
        let tagged = "INSERT INTO monitor_tag (monitor_id, tag_id, value)";
        fixture.raw.execute(&format!("{tagged} VALUES ({}, {tag}, '{value}')", made[1])).await;
    }
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let round = watch.read_round().await.unwrap();
    let node = &round.nodes[0];
    assert_eq!((node.labels.join(" "), node.is_native, node.drains_pinned), ("eu gpu".to_owned(), true, true));
    let counts = fixture.store.errands(&"w1".into()).await.unwrap().counts().await.unwrap();
    let mut asked_for: Vec<_> = counts.shards.iter().map(|group| (group.run_on.join(" "), group.monitors)).collect();
    asked_for.sort();
    assert_eq!(asked_for, [("eu gpu us".to_owned(), 1), ("gpu".to_owned(), 1)]);
}

async fn a_watchdog_writes_all_that_it_sees_with_its_counter(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let (node, canary) = (Target::Node("node1".into()), Target::Canary("tcp://1.1.1.1:443".to_owned()));
    let detail = "connection refused: \"node1\", 'quoted' \\ and \u{1f436}".to_owned();
    let down =
        Observation { target: node.clone(), vote: Vote::Down, failures: 3, detail, is_refused: true, is_blind: false };
    watch.write(&write(1, 1, vec![seen(node.clone(), Vote::Up), seen(canary.clone(), Vote::Up)])).await.unwrap();
    watch.write(&write(1, 2, vec![down.clone(), seen(canary.clone(), Vote::Up)])).await.unwrap();
    let round = watch.read_round().await.unwrap();
    assert_eq!((round.watchdogs[0].seq, round.watchdogs[0].incarnation), (2, Incarnation(1)));
    assert_eq!(round.watchdogs[0].advertise, "http://w1:8900");
    let rows: Vec<_> = round.observations.iter().map(|row| (&row.observation, row.seq)).collect();
    assert_eq!(rows, [(&down, 2), (&seen(canary, Vote::Up), 2)]);
    watch.write(&write(1, 3, vec![seen(node, Vote::Up)])).await.unwrap();
    assert_eq!(watch.read_round().await.unwrap().observations.len(), 1, "a target that is gone");
}

async fn a_round_takes_two_trips_to_the_database(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    watch.write(&write(1, 1, vec![])).await.unwrap();
    let before = watch.trips();
    watch.write(&write(1, 2, vec![])).await.unwrap();
    assert_eq!(watch.read_round().await.unwrap().nodes.len(), 1);
    if kind == Kind::MariaDb {
        assert_eq!(watch.trips() - before, 2);
    }
}

async fn an_index_that_was_renamed_is_looked_for_anew(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(1, Some("node1")).await;
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap().len(), 1);
    assert_eq!(fixture.store.last_beats(&made).await.unwrap().len(), 0);
    if kind == Kind::MariaDb {
        // The one on `monitor_id` alone: through it, the beat that was stored last is found.
        let read_through = "SELECT index_name FROM information_schema.statistics WHERE table_schema = DATABASE() \
             AND table_name = 'heartbeat' GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(column_name) = 'monitor_id'";
        let names = fixture.raw.rows(read_through).await;
        assert_eq!(names.len(), 1, "{names:?}");
        let rename = format!("ALTER TABLE heartbeat RENAME INDEX `{}` TO renamed", names[0][0]);
        fixture.raw.execute(&rename).await;
        assert!(errands.progress(&BTreeMap::new()).await.is_err());
        assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap().len(), 1);
        // A node has nobody who reads progress. (A hint may be a prefix of an index's name.)
        fixture.raw.execute("ALTER TABLE heartbeat RENAME INDEX renamed TO another").await;
        fixture.store.last_beats(&made).await.unwrap_err();
        assert_eq!(fixture.store.last_beats(&made).await.unwrap().len(), 0);
    }
}

async fn a_living_process_keeps_its_watchdog_id(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut first = fixture.store.watch(identity("w1")).await.unwrap();
    let mut second = fixture.store.watch(identity("w1")).await.unwrap();
    first.write(&write(1, 1, vec![])).await.unwrap();
    let error = second.write(&write(2, 1, vec![])).await.unwrap_err();
    assert!(matches!(error, StoreError::IdInUse { .. }), "{error:?}");
    assert_eq!(error.to_string(), "watchdog id w1 is in use by host host");
    // Once the first is silent, the second follows; then the first is the one who is told.
    let took_over = async || second.write(&write(2, 1, vec![])).await.is_ok();
    wait_until("the second follows", Duration::from_secs(10), took_over).await;
    assert!(matches!(first.write(&write(1, 2, vec![])).await, Err(StoreError::IdInUse { .. })));
    second.write(&write(2, 2, vec![])).await.unwrap();
}

async fn a_watchdog_that_stopped_is_replaced_at_once(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut first = fixture.store.watch(identity("w1")).await.unwrap();
    let node = Target::Node("node1".into());
    let observed = vec![seen(node, Vote::Down)];
    first.write(&Write { stopped: true, ..write(1, 1, observed) }).await.unwrap();
    let mut second = fixture.store.watch(identity("w1")).await.unwrap();
    second.write(&write(2, 1, vec![])).await.unwrap();
    let round = second.read_round().await.unwrap();
    assert_eq!((round.watchdogs[0].incarnation, round.watchdogs[0].stopped), (Incarnation(2), false));
    assert!(round.observations.is_empty(), "what the earlier process saw is gone with it");
}

async fn a_removed_watchdog_writes_all_of_it_again(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let mut watch = fixture.store.watch(identity("w1")).await.unwrap();
    let node = Target::Node("node1".into());
    let observed = vec![seen(node.clone(), Vote::Up)];
    watch.write(&write(1, 1, observed.clone())).await.unwrap();
    let row = watchdogs::list(&fixture.store).await.unwrap().remove(0).row;
    let seen = Stillness { incarnation: row.incarnation, seq: row.seq };
    let moved = Stillness { seq: row.seq + 1, ..seen };
    assert!(!watchdogs::remove(&fixture.store, &"w1".into(), moved, "test").await.unwrap(), "it lives");
    assert_eq!(watch.read_round().await.unwrap().observations.len(), 1);
    assert!(watchdogs::remove(&fixture.store, &"w1".into(), seen, "test").await.unwrap());
    assert!(!watchdogs::remove(&fixture.store, &"w1".into(), seen, "test").await.unwrap());
    assert!(watchdogs::list(&fixture.store).await.unwrap().is_empty());
    watch.write(&write(1, 2, observed)).await.unwrap();
    assert_eq!(watch.read_round().await.unwrap().observations.len(), 1);
    assert_eq!(watchdogs::list(&fixture.store).await.unwrap()[0].hostname, "host");
}

async fn overdue_monitors_are_counted_from_the_latest_sign_of_life(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(5, Some("node1")).await;
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    let fresh = errands.progress(&BTreeMap::new()).await.unwrap();
    assert_eq!(fresh, [ProgressRow { node: "node1".into(), probing: 5, overdue: 0, beating: 5 }], "just made");
    // All of it long ago: assigned, made, no beat ever. One is pushed to and one paused: they do not probe.
    fixture.raw.execute("UPDATE komainu_assignment SET changed_at = 0").await;
    fixture.raw.execute("UPDATE komainu_monitor SET updated_at = 0").await;
    fixture.raw.execute(&format!("UPDATE monitor SET type = 'push' WHERE id = {}", made[3])).await;
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", made[4])).await;
    let progress = errands.progress(&BTreeMap::new()).await.unwrap();
    assert_eq!(progress, [ProgressRow { node: "node1".into(), probing: 3, overdue: 3, beating: 0 }]);
    let within = |seconds| Look { within: Some(Duration::from_secs(seconds)), part: None };
    let span = |seconds| BTreeMap::from([("node1".into(), within(seconds))]);
    assert_eq!(errands.progress(&span(100)).await.unwrap()[0].overdue, 0, "it could not have run them yet");
    assert_eq!(errands.progress(&span(200)).await.unwrap()[0].overdue, 3);
    // 2 x 60 s + 48 s are allowed.
    let ago = |seconds: i64| Wall(komainu::clock::wall().0 - seconds * 1_000);
    let beats = [Beat { time: ago(160), ..beat(made[0]) }, Beat { time: ago(180), ..beat(made[1]) }];
    fixture.store.store_beats(&"node1".into(), Incarnation(11), &beats).await.unwrap();
    assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap()[0].overdue, 2);
    Beginnings::new(fixture.store.clone(), "node1".into(), Incarnation(11)).start(&[made[2]]).await.unwrap();
    assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap()[0].overdue, 1);
}

async fn a_monitor_beats_while_its_last_beat_is_no_older_than_its_interval_and_a_little(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(3, Some("node1")).await;
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    let mut beating = async |span: u64| {
        let look = Look { within: Some(Duration::from_secs(span)), part: None };
        let rows = errands.progress(&BTreeMap::from([("node1".into(), look)])).await.unwrap();
        (rows[0].beating, rows[0].overdue)
    };
    began_ago(&mut fixture.raw, 15).await;
    assert_eq!(beating(3_600).await, (3, 0), "their first beats need not be there yet");
    began_ago(&mut fixture.raw, 25).await;
    assert_eq!(beating(3_600).await, (0, 0), "nothing was run, and nothing is overdue");
    assert_eq!(beating(15).await, (3, 0), "whoever runs them has only just begun");
    let beats = [Beat { time: Wall(ago(20)), ..beat(made[0]) }, Beat { time: Wall(ago(20)), ..beat(made[1]) }];
    fixture.store.store_beats(&"node1".into(), Incarnation(11), &beats).await.unwrap();
    assert_eq!(beating(3_600).await, (2, 0));
    began_ago(&mut fixture.raw, 3_600).await;
    fixture.raw.execute("UPDATE monitor SET `interval` = 20").await;
    fixture
        .store
        .store_beats(&"node1".into(), Incarnation(11), &[Beat { time: Wall(ago(35)), ..beat(made[1]) }])
        .await
        .unwrap();
    assert_eq!(beating(3_600).await, (1, 1), "20 s and 10 s; the third has never beaten");
}

fn ago(seconds: i64) -> i64 {
    komainu::clock::wall().0 - seconds * 1_000
}

async fn began_ago(raw: &mut Raw, seconds: i64) {
    raw.execute(&format!("UPDATE komainu_assignment SET changed_at = {}", ago(seconds))).await;
    raw.execute(&format!("UPDATE komainu_monitor SET updated_at = {}", ago(seconds))).await;
}

async fn of_a_large_node_a_part_is_looked_at_and_stands_for_the_whole(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _large = fixture.start_node("node1", 11).await;
    let _small = fixture.start_node("node2", 12).await;
    let made = fixture.monitors(60, Some("node1")).await;
    fixture.monitors(3, Some("node2")).await;
    fixture.raw.execute("UPDATE komainu_assignment SET changed_at = 0").await;
    fixture.raw.execute("UPDATE komainu_monitor SET updated_at = 0").await;
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    for (from, until) in [(0, CIRCLE / 3), (CIRCLE / 3, 2 * (CIRCLE / 3)), (2 * (CIRCLE / 3), CIRCLE)] {
        let part = Part { from, until, of: 3 };
        let looked = made.iter().filter(|monitor| part.contains(**monitor)).count();
        assert!((15..=25).contains(&looked), "{looked}");
        for within in [None, Some(Duration::from_secs(100))] {
            let looks = BTreeMap::from([("node1".into(), Look { within, part: Some(part) })]);
            let probing = u32::try_from(looked * 3).unwrap();
            let overdue = if within.is_none() { probing } else { 0 };
            let large = ProgressRow { node: "node1".into(), probing, overdue, beating: 0 };
            let small = ProgressRow { node: "node2".into(), probing: 3, overdue: 3, beating: 0 };
            assert_eq!(errands.progress(&looks).await.unwrap(), [large, small]);
        }
    }
}

async fn a_node_whose_clock_is_wrong_is_not_behind(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let made = fixture.monitors(1, Some("node1")).await;
    fixture.raw.execute("UPDATE komainu_assignment SET changed_at = 0").await;
    fixture.raw.execute("UPDATE komainu_monitor SET updated_at = 0").await;
    // The node is an hour behind, and so are its beats.
    fixture.raw.execute("UPDATE node SET clock_ms = last_seen_ms - 3600000").await;
    let hour_ago = Wall(komainu::clock::wall().0 - 3_600_000);
    let late = Beat { time: hour_ago, ..beat(made[0]) };
    fixture.store.store_beats(&"node1".into(), Incarnation(11), &[late]).await.unwrap();
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap()[0].overdue, 0);
    fixture.raw.execute("UPDATE node SET clock_ms = last_seen_ms").await;
    assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap()[0].overdue, 1);
}

async fn a_step_of_a_nodes_clock_neither_makes_it_overdue_nor_hides_that_it_is(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    fixture.raw.execute("UPDATE komainu_assignment SET changed_at = 0").await;
    fixture.raw.execute("UPDATE komainu_monitor SET updated_at = 0").await;
    let mut errands = fixture.store.errands(&"w1".into()).await.unwrap();
    for step in [3_600_000, 86_400_000, -3_600_000, -86_400_000] {
        // Its last beat bears the time before the step, and it stepped this moment.
        fixture.raw.execute("UPDATE node SET clock_ms = last_seen_ms, clock_stepped_ms = last_seen_ms").await;
        let stepped = Beat { time: Wall(komainu::clock::wall().0 + step), ..beat(monitor) };
        fixture.store.store_beats(&"node1".into(), Incarnation(11), &[stepped]).await.unwrap();
        assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap()[0].overdue, 0, "{step}");
        fixture.raw.execute("UPDATE node SET clock_stepped_ms = last_seen_ms - 600000").await;
        assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap()[0].overdue, 1, "{step}: long ago");
        fixture.store.store_beats(&"node1".into(), Incarnation(11), &[beat(monitor)]).await.unwrap();
        assert_eq!(errands.progress(&BTreeMap::new()).await.unwrap()[0].overdue, 0, "{step}: it goes on");
    }
}

async fn the_shard_is_read_whole(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    fixture.add_node("node1").await;
    let placed = fixture.monitors(2, Some("node1")).await;
    let new = fixture.monitors(1, None).await;
    fixture.raw.execute(&format!("UPDATE komainu_assignment SET pinned = 1 WHERE monitor_id = {}", placed[1])).await;
    let mut leader = fixture.leader("w1", 1).await;
    let shard = leader.leadership.read_shard().await.unwrap();
    assert_eq!(shard.stamp, fixture.stamp().await);
    let rows: Vec<_> = shard.monitors.iter().map(|row| (row.monitor, row.is_placed, row.pinned)).collect();
    assert_eq!(rows, [(placed[0], true, false), (placed[1], true, true), (new[0], false, false)]);
    assert_eq!((shard.monitors[0].interval_s, shard.monitors[0].kind.as_str()), (60, "http"));
    assert_eq!((shard.monitors[0].effective.clone(), shard.monitors[2].home.clone()), (Some("node1".into()), None));
}
