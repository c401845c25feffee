//! Incidents of monitors: opened and ended by the state that stands in the beats, by whoever looks.

use std::sync::Arc;
use std::time::Duration;

use komainu::opinion::SecondOpinion;
use komainu::store::downtimes::{Change, Mark, Span};
use komainu::store::{Beat, BeatStatus, Store, downtimes, monitors};
use komainu::voice::Voice;
use komainu_watchdogs::downtime::State;
use komainu_watchdogs::ids::{Incarnation, MonitorId, WatchdogId};
use komainu_watchdogs::rota::Rota;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::Wall;
use tokio_util::task::AbortOnDropHandle;

use super::fixture::{Fixture, Kind, StoresBeats, beat};
use super::on_both_databases;
use crate::cluster::wait::wait_until;

on_both_databases! {
    a_monitor_that_goes_down_opens_one_incident_whoever_looks_and_up_ends_it,
    a_monitor_of_kumas_ui_is_told_on_native_nodes_only_and_not_for_a_move,
    a_node_whose_clock_steps_neither_hides_a_down_nor_keeps_its_end,
    a_down_stored_right_before_a_release_is_told_wherever_the_monitor_runs_then,
    a_down_that_kuma_told_is_not_told_again_for_a_move,
    what_kumas_notifications_tell_is_komainus_only_where_no_stock_node_sends_them,
    what_a_stock_node_tells_for_a_native_one_is_told_by_it_alone,
    what_stock_nodes_told_is_handed_over_once_all_of_them_are_gone,
    own_trouble_right_after_a_down_hides_nothing,
    a_note_of_a_down_ends_with_it_whoever_finds_the_monitor_up,
    a_paused_and_a_deleted_monitor_have_no_incident,
    a_span_of_beats_shows_its_changes_and_that_others_were_added,
    who_comes_later_finds_only_what_nobody_has_settled,
    a_change_is_settled_though_the_watchdog_whose_turn_it_was_is_gone,
    a_change_that_commits_after_later_ones_is_seen,
    a_thousand_monitors_that_go_down_at_once_open_an_incident_each,
}

const DOWN: i64 = 0;
const UP: i64 = 1;

fn routing() -> Routing {
    Routing { channels: vec!["mail".to_owned(), "ops".to_owned()], routes: vec![] }
}

async fn settle(fixture: &Fixture, monitors: &[MonitorId]) -> (u32, u32) {
    downtimes::settle(&fixture.store, monitors, (&routing(), &SecondOpinion::default())).await.unwrap()
}

async fn native_node(fixture: &mut Fixture, node: &str) {
    fixture.add_node(node).await;
    fixture.raw.execute(&format!("UPDATE node SET runner = 'native' WHERE node_id = '{node}'")).await;
}

fn watch(fixture: &Fixture, rota: Rota) -> AbortOnDropHandle<()> {
    let (store, with) = (fixture.store.clone(), (Arc::new(routing()), Arc::new(SecondOpinion::default())));
    AbortOnDropHandle::new(tokio::spawn(komainu::alerts::monitors::run(store, with, Voice::default(), move || rota)))
}

async fn incidents(fixture: &mut Fixture) -> Vec<String> {
    let sql = "SELECT k, CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'over' END FROM komainu_incident ORDER BY id";
    fixture.raw.rows(sql).await.into_iter().map(|row| row.join(" ")).collect()
}

async fn a_monitor_that_goes_down_opens_one_incident_whoever_looks_and_up_ends_it(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    let monitor = fixture.monitors(1, Some("node1")).await[0];
    fixture.change(monitor, UP, 0).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0));
    fixture.change(monitor, DOWN, 1).await;
    let looks = (0..3).map(|_| settle(&fixture, std::slice::from_ref(&monitor)));
    let looks: Vec<(u32, u32)> = futures_util::future::join_all(looks).await;
    assert_eq!(looks.iter().map(|look| look.0).sum::<u32>(), 1);
    let row = fixture.raw.rows("SELECT summary, subject_json FROM komainu_incident").await.remove(0);
    assert!(row[0].ends_with(" is down: timeout"), "{row:?}");
    assert!(row[1].contains("\"node\":\"node1\""), "{row:?}");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_delivery").await, 2);
    fixture.change(monitor, UP, 2).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 1));
    assert_eq!(incidents(&mut fixture).await, [format!("monitor/{monitor} over")]);
}

async fn a_monitor_of_kumas_ui_is_told_on_native_nodes_only_and_not_for_a_move(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    fixture.add_node("kuma1").await;
    let monitor = fixture.monitors(1, Some("kuma1")).await[0];
    // An edit through the API does not make it ours.
    fixture.raw.execute("UPDATE komainu_monitor SET made_by = 'kuma'").await;
    fixture.change(monitor, DOWN, -30).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "Kuma tells");
    let moved = "UPDATE komainu_assignment SET assigned_node = 'node1'";
    fixture.raw.execute(moved).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "a move is no change of state");
    fixture.change(monitor, UP, 1).await;
    fixture.change(monitor, DOWN, 2).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (1, 0));
    fixture.raw.execute("UPDATE komainu_assignment SET assigned_node = NULL").await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "nor is the move back");
    fixture.change(monitor, UP, 3).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 1));
}

async fn a_node_whose_clock_steps_neither_hides_a_down_nor_keeps_its_end(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    for (ahead, steps) in [3_600, 86_400, -3_600, -86_400].into_iter().enumerate() {
        let monitor = fixture.monitors(1, Some("node1")).await[0];
        fixture.change(monitor, UP, steps).await;
        fixture.change(monitor, DOWN, 0).await;
        let (suspects, _) = downtimes::suspects(&fixture.store, MonitorId(0), 100).await.unwrap();
        assert_eq!(suspects, [monitor], "{steps}");
        assert_eq!(settle(&fixture, &[monitor]).await, (1, 0), "{steps}: set right, and the target dies");
        fixture.change(monitor, DOWN, steps).await;
        fixture.change(monitor, UP, 1).await;
        assert_eq!(settle(&fixture, &[monitor]).await, (0, 1), "{steps}: set right, and the target is back");
        assert_eq!(incidents(&mut fixture).await.len(), ahead + 1);
    }
}

/// Made in Kuma's UI, at home on this node.
async fn of_kumas_ui(fixture: &mut Fixture, node: &str) -> MonitorId {
    let monitor = fixture.monitors(1, Some(node)).await[0];
    fixture.raw.execute("UPDATE komainu_monitor SET made_by = 'kuma'").await;
    monitor
}

async fn move_to(fixture: &mut Fixture, node: &str) {
    let sql = format!("UPDATE komainu_assignment SET assigned_node = '{node}', changed_at = changed_at + 60000");
    fixture.raw.execute(&sql).await;
}

/// Stored by the process 11 of `node1`, whose clock is so many seconds behind.
async fn store(fixture: &Fixture, monitor: MonitorId, status: BeatStatus, behind: i64) {
    let now = komainu::clock::wall().0 - behind * 1_000;
    let important = status != BeatStatus::Pending;
    let beat = Beat { status, important, time: Wall(now), end_time: Wall(now), ..beat(monitor) };
    assert_eq!(fixture.store.store_beats(&"node1".into(), Incarnation(11), &[beat]).await.unwrap(), 1);
}

async fn a_down_stored_right_before_a_release_is_told_wherever_the_monitor_runs_then(kind: Kind) {
    for to in ["", "kuma1", "node2"] {
        let mut fixture = Fixture::native(kind).await;
        let _node = fixture.start_node("node1", 11).await;
        let _other = fixture.start_node("node2", 22).await;
        fixture.add_node("kuma1").await;
        let monitor = of_kumas_ui(&mut fixture, "node1").await;
        store(&fixture, monitor, BeatStatus::Down, 5).await;
        move_to(&mut fixture, to).await;
        assert_eq!(settle(&fixture, &[monitor]).await, (1, 0), "to {to:?}");
    }
}

async fn a_down_that_kuma_told_is_not_told_again_for_a_move(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    fixture.add_node("kuma1").await;
    let monitor = of_kumas_ui(&mut fixture, "kuma1").await;
    // Its clock is an hour ahead: by the times it went down after the move.
    fixture.change(monitor, DOWN, 3_600).await;
    move_to(&mut fixture, "node1").await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0));
    store(&fixture, monitor, BeatStatus::Up, 0).await;
    store(&fixture, monitor, BeatStatus::Down, 0).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (1, 0), "this one is komainu's");
}

/// A native `node1`, and `kuma1`, whose notifications tell of all monitors.
async fn with_kumas_notifications(kind: Kind) -> (Fixture, impl Sized) {
    let mut fixture = Fixture::native(kind).await;
    let node = fixture.start_node("node1", 11).await;
    fixture.add_node("kuma1").await;
    fixture.raw.execute("CREATE TABLE monitor_notification (monitor_id INT, notification_id INT)").await;
    fixture.give_new_tables().await;
    fixture.store = Store::connect(&fixture.url).await.unwrap();
    (fixture, node)
}

async fn kuma_was_seen(fixture: &mut Fixture, seconds_ago: i64) {
    let now = komainu::clock::wall().0;
    let sql = format!(
        "UPDATE node SET runner = 'kuma', incarnation = 'aaaaaaaaaaaaaaaa', last_seen_ms = {now} - {seconds_ago} * 1000 \
         WHERE node_id = 'kuma1'"
    );
    fixture.raw.execute(&sql).await;
}

async fn told_by_kuma(fixture: &mut Fixture, node: &str) -> MonitorId {
    let monitor = of_kumas_ui(fixture, node).await;
    fixture.raw.execute(&format!("INSERT INTO monitor_notification VALUES ({monitor}, 1)")).await;
    monitor
}

async fn what_kumas_notifications_tell_is_komainus_only_where_no_stock_node_sends_them(kind: Kind) {
    let (mut fixture, _node) = with_kumas_notifications(kind).await;
    let monitor = told_by_kuma(&mut fixture, "node1").await;
    kuma_was_seen(&mut fixture, 1).await;
    store(&fixture, monitor, BeatStatus::Down, 0).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "kuma1 is about to send them");
    kuma_was_seen(&mut fixture, 40).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (1, 0), "nobody is");
    let told = fixture.raw.rows("SELECT summary FROM komainu_event WHERE kind = 'opened'").await.concat();
    assert!(told[0].contains("Kuma's own notifications were not sent"), "{told:?}");
    let taken = "SELECT COUNT(*) FROM komainu_relay WHERE holder = 'komainu' AND is_done = 1 \
                 AND beat = (SELECT MAX(id) FROM heartbeat)";
    assert_eq!(fixture.raw.count(taken).await, 1, "so that no stock node tells it as well");
    store(&fixture, monitor, BeatStatus::Up, 0).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 1));
}

async fn what_a_stock_node_tells_for_a_native_one_is_told_by_it_alone(kind: Kind) {
    let (mut fixture, _node) = with_kumas_notifications(kind).await;
    let monitor = told_by_kuma(&mut fixture, "node1").await;
    store(&fixture, monitor, BeatStatus::Down, 0).await;
    let (now, beat) = (komainu::clock::wall().0, fixture.raw.count("SELECT MAX(id) FROM heartbeat").await);
    let sql = format!(
        "INSERT INTO komainu_relay (monitor_id, beat, holder, at, is_done) \
         VALUES ({monitor}, {beat}, 'aaaaaaaaaaaaaaaa', {now}, 0)"
    );
    fixture.raw.execute(&sql).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "it is sending them");
    fixture.raw.execute("UPDATE komainu_relay SET is_done = 1, at = 0").await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "it sent them");
    fixture.raw.execute("UPDATE komainu_relay SET is_done = 0").await;
    assert_eq!(settle(&fixture, &[monitor]).await, (1, 0), "it was lost meanwhile");
}

async fn what_stock_nodes_told_is_handed_over_once_all_of_them_are_gone(kind: Kind) {
    let (mut fixture, _node) = with_kumas_notifications(kind).await;
    let monitor = told_by_kuma(&mut fixture, "kuma1").await;
    fixture.change(monitor, DOWN, 0).await;
    kuma_was_seen(&mut fixture, 70).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "still Kuma's");
    move_to(&mut fixture, "node1").await;
    kuma_was_seen(&mut fixture, 40).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "it may only be started anew");
    kuma_was_seen(&mut fixture, 70).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (1, 0));
    store(&fixture, monitor, BeatStatus::Up, 0).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 1));
}

async fn own_trouble_right_after_a_down_hides_nothing(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    let monitor = of_kumas_ui(&mut fixture, "node1").await;
    store(&fixture, monitor, BeatStatus::Down, 0).await;
    store(&fixture, monitor, BeatStatus::Pending, 0).await;
    let last = fixture.store.last_beats(&[monitor]).await.unwrap().remove(0);
    assert_eq!((last.status, last.settled), (BeatStatus::Pending, Some(BeatStatus::Down)));
    let (suspects, _) = downtimes::suspects(&fixture.store, MonitorId(0), 100).await.unwrap();
    assert_eq!(suspects, [monitor]);
    assert_eq!(settle(&fixture, &[monitor]).await, (1, 0));
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0));
    store(&fixture, monitor, BeatStatus::Up, 0).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 1));
}

async fn a_note_of_a_down_ends_with_it_whoever_finds_the_monitor_up(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let _node = fixture.start_node("node1", 11).await;
    fixture.add_node("kuma1").await;
    let monitor = of_kumas_ui(&mut fixture, "node1").await;
    let notes = "SELECT COUNT(*) FROM komainu_down";
    store(&fixture, monitor, BeatStatus::Down, 0).await;
    assert_eq!(fixture.raw.count(notes).await, 1);
    store(&fixture, monitor, BeatStatus::Up, 0).await;
    assert_eq!(fixture.raw.count(notes).await, 0, "the node itself found it up");
    store(&fixture, monitor, BeatStatus::Down, 0).await;
    move_to(&mut fixture, "kuma1").await;
    fixture.change(monitor, UP, 1).await;
    settle(&fixture, &[monitor]).await;
    assert_eq!(fixture.raw.count(notes).await, 0, "a Kuma did, before anybody was told");
    fixture.change(monitor, DOWN, 2).await;
    assert_eq!(settle(&fixture, &[monitor]).await, (0, 0), "so what comes then is Kuma's");
}

async fn a_paused_and_a_deleted_monitor_have_no_incident(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    let monitors = fixture.monitors(2, Some("node1")).await;
    for monitor in &monitors {
        fixture.change(*monitor, DOWN, 1).await;
    }
    assert_eq!(settle(&fixture, &monitors).await, (2, 0));
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", monitors[0])).await;
    assert_eq!(monitors::delete(&fixture.store, "ada", monitors[1], &[]).await.unwrap(), Ok(()));
    let (open, _) = downtimes::open(&fixture.store, "", 100).await.unwrap();
    assert_eq!(settle(&fixture, &open).await, (0, 2));
    let ends = "SELECT summary FROM komainu_event WHERE kind = 'resolved' ORDER BY incident_id";
    let ends = fixture.raw.rows(ends).await.concat();
    assert!(ends[0].ends_with("was paused") && ends[1].ends_with("was deleted"), "{ends:?}");
}

async fn a_span_of_beats_shows_its_changes_and_that_others_were_added(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    let monitors = fixture.monitors(2, Some("node1")).await;
    assert_eq!(downtimes::ends(&fixture.store, &[]).await.unwrap(), (0, vec![]));
    fixture.change(monitors[0], DOWN, 0).await;
    let last = fixture.raw.count("SELECT MAX(id) FROM heartbeat").await;
    let span = Span { after: last - 1, upto: last + 5 };
    let down = Change { monitor: monitors[0], beat: last, state: Some(State::Down) };
    let read = downtimes::changes(&fixture.store, span).await.unwrap();
    assert_eq!(read, [down]);
    let empty = Span { after: last + 5, upto: last + 5 };
    let ends = downtimes::ends(&fixture.store, &[span, empty]).await.unwrap();
    assert_eq!(ends, (last, vec![Mark::of(span, &read), Mark::default()]));
    fixture.change(monitors[1], UP, 1).await;
    let (last, marks) = downtimes::ends(&fixture.store, &[span]).await.unwrap();
    let both = downtimes::changes(&fixture.store, span).await.unwrap();
    assert_eq!((last, both.len(), marks), (down.beat + 1, 2, vec![Mark::of(span, &both)]));
}

async fn who_comes_later_finds_only_what_nobody_has_settled(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    let monitors = fixture.monitors(3, Some("node1")).await;
    let to =
        |state: State| monitors.iter().map(move |monitor| Change { monitor: *monitor, beat: 1, state: Some(state) });
    for monitor in &monitors {
        fixture.change(*monitor, DOWN, 0).await;
    }
    settle(&fixture, &monitors[..2]).await;
    let unsettled = async |state: State| {
        let changes: Vec<_> = to(state).collect();
        downtimes::unsettled(&fixture.store, &changes).await.unwrap()
    };
    assert_eq!(unsettled(State::Down).await, monitors[2..]);
    assert_eq!(unsettled(State::Up).await, monitors[..2]);
    // A watchdog that does not know that a state is settled asks the monitor itself.
    assert_eq!(unsettled(State::Maintenance).await, monitors);
}

async fn a_change_that_commits_after_later_ones_is_seen(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    let monitors = fixture.monitors(2, Some("node1")).await;
    let _watching = watch(&fixture, Rota::alone());
    fixture.change(monitors[0], UP, 0).await;
    // The ids before this one are given, and their beats not committed yet.
    fixture.raw.execute("UPDATE heartbeat SET id = 100").await;
    fixture.change(monitors[1], DOWN, 1).await;
    let has_opened = "SELECT COUNT(*) FROM komainu_incident";
    let limit = Duration::from_secs(20);
    wait_until("the later one is seen", limit, async || fixture.raw.count(has_opened).await == 1).await;
    fixture.raw.execute("UPDATE heartbeat SET id = 50, status = 0 WHERE id = 100").await;
    wait_until("the earlier one is seen too", limit, async || fixture.raw.count(has_opened).await == 2).await;
    fixture.raw.execute(&format!("UPDATE monitor SET active = 0 WHERE id = {}", monitors[1])).await;
    let is_over = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NOT NULL";
    wait_until("the paused one is over", limit, async || fixture.raw.count(is_over).await == 1).await;
}

async fn a_change_is_settled_though_the_watchdog_whose_turn_it_was_is_gone(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    let monitors = fixture.monitors(6, Some("node1")).await;
    // Three watchdogs are thought to live, and this one alone does.
    let all = ["w1", "w2", "w3"].map(WatchdogId::from);
    let _watching = watch(&fixture, Rota::of(&all[0], &all));
    for monitor in &monitors {
        fixture.change(*monitor, DOWN, 0).await;
    }
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL";
    let limit = Duration::from_secs(20);
    wait_until("all are told", limit, async || fixture.raw.count(open).await == 6).await;
    for monitor in &monitors {
        fixture.change(*monitor, UP, 1).await;
    }
    let left = "SELECT (SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL) + (SELECT COUNT(*) FROM komainu_down)";
    wait_until("the ends of all are told", limit, async || fixture.raw.count(left).await == 0).await;
}

async fn a_thousand_monitors_that_go_down_at_once_open_an_incident_each(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    native_node(&mut fixture, "node1").await;
    let monitors = fixture.monitors(1_000, Some("node1")).await;
    let time = if fixture.is_sqlite() { "strftime('%Y-%m-%d %H:%M:%f', 'now')" } else { "UTC_TIMESTAMP(3)" };
    let sql = format!(
        "INSERT INTO heartbeat (important, monitor_id, status, msg, time, duration) \
         SELECT 1, id, 0, 'refused', {time}, 60 FROM monitor"
    );
    fixture.raw.execute(&sql).await;
    let (suspects, reached) = downtimes::suspects(&fixture.store, MonitorId(0), 5_000).await.unwrap();
    assert_eq!((suspects.len(), reached), (1_000, MonitorId(0)));
    let looks = (0..3).map(|_| settle(&fixture, &monitors));
    let looks: Vec<(u32, u32)> = futures_util::future::join_all(looks).await;
    assert_eq!(looks.iter().map(|look| look.0).sum::<u32>(), 1_000);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_delivery").await, 2_000);
    let events = "SELECT COUNT(DISTINCT event_id) FROM komainu_delivery d WHERE EXISTS (SELECT 1 FROM komainu_event e \
         WHERE e.id = d.event_id AND e.incident_id = d.incident_id AND e.kind = 'opened')";
    assert_eq!(fixture.raw.count(events).await, 1_000, "each delivery tells its own event");
    let incidents = fixture.store.errands(&"w1".into()).await.unwrap().incidents().await.unwrap();
    assert_eq!(incidents.len(), 200, "a watchdog reads what it judges, and some of the others");
    let (first, after) = downtimes::open(&fixture.store, "", 600).await.unwrap();
    let (rest, end) = downtimes::open(&fixture.store, &after, 600).await.unwrap();
    assert_eq!((first.len(), rest.len(), end.as_str()), (600, 400, ""));
    fixture.raw.execute("UPDATE heartbeat SET status = 1").await;
    let looks = (0..3).map(|_| settle(&fixture, &monitors));
    let looks: Vec<(u32, u32)> = futures_util::future::join_all(looks).await;
    assert_eq!(looks.iter().map(|look| look.1).sum::<u32>(), 1_000);
    let told = "SELECT COUNT(*) FROM komainu_delivery WHERE state = 'waiting'";
    assert_eq!(fixture.raw.count(told).await, 2_000, "what is over before it was told is told as its end alone");
}
