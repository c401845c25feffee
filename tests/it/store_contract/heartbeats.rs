//! Heartbeats: a push counts once, late is marked once, an outage is forgiven.

use std::time::Duration;

use komainu::clock;
use komainu::heartbeat::reschedule;
use komainu::store::heartbeats::{
    self, Arrival, CacheReader, CachedHeartbeat, Definition, IntakeConnection, Judged, LastPush, SettleConnection,
    Vitals, Words,
};
use komainu::store::prune::histories::{Histories, Share};
use komainu::store::prune::{self, Rounds};
use komainu::store::{DatabaseUrl, Store};
use komainu_watchdogs::heartbeat::{Need, Push, PushStatus, Replayed, State, Terms};
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;
use crate::cluster::proxy::Proxy;
use crate::cluster::server::MariaDb;

on_both_databases! {
    the_same_push_at_three_watchdogs_counts_once,
    batches_that_overlap_never_wait_for_each_other,
    pushes_of_one_name_in_a_batch_go_one_after_another,
    a_push_of_a_deleted_heartbeat_brings_nothing_back,
    a_heartbeat_made_anew_under_its_name_counts_no_old_push_again,
    three_watchdogs_mark_five_hundred_late_once_each,
    a_watchdog_that_knows_an_old_deadline_marks_nobody,
    an_ok_ends_the_incident_and_so_does_deleting,
    pausing_ends_the_incident_and_what_goes_on_is_told_if_it_failed,
    a_deadlines_clock_stands_still_while_no_watchdog_proves_that_it_could_take_a_push,
    gaps_more_often_than_the_grace_delay_a_dead_job_by_their_length_and_a_minute,
    a_run_that_hangs_is_marked_though_another_ended,
    that_no_push_can_be_taken_is_told_once_and_ends,
    a_clock_that_was_set_back_delays_nothing_by_more_than_the_schedule,
    a_reading_shows_what_changed_and_how_many_there_are,
    old_pushes_are_pruned,
    a_chatty_job_keeps_the_output_of_its_last_good_runs_and_of_what_failed,
    a_heartbeat_has_no_more_pushes_and_bytes_than_its_share,
}

struct Plain;

impl Words for Plain {
    fn alarm(&self, known: &CachedHeartbeat, _: &LastPush, _: Wall) -> (Alarm, Subject) {
        let key = format!("heartbeat/{}", known.definition.name);
        let alarm = Alarm { key, severity: Severity::Critical, summary: "silent".to_owned(), votes: (0, 0) };
        let subject = Subject::of(&alarm);
        (alarm, subject)
    }

    fn relief(&self, _: &CachedHeartbeat, _: Wall) -> String {
        "well again".to_owned()
    }
}

fn judge(known: &CachedHeartbeat, push: &Push, now: Wall) -> Result<Vitals, Replayed> {
    let terms =
        Terms { next_due: Some(now + Duration::from_secs(55)), grace: Duration::from_secs(5), max_runtime: None };
    let record = known.vitals.record.after(push, now, terms)?;
    Ok(Vitals { record, last_at: Some(now), ..known.vitals.clone() })
}

async fn make(fixture: &Fixture, name: &str, deadline: Option<Wall>) {
    let definition = Definition {
        name: name.to_owned(),
        period_s: Some(60),
        grace_s: 5,
        severity: "critical".to_owned(),
        nonce: "0".repeat(32),
        ..Definition::default()
    };
    heartbeats::create(&fixture.store, &definition, deadline, "test").await.unwrap();
}

fn arrival(name: &str, time_us: i64, status: PushStatus) -> Arrival {
    Arrival {
        name: name.to_owned(),
        push_id: hex::encode(rand::random::<[u8; 16]>()),
        push: Push { time_us, status, run_id: None },
        told: LastPush::default(),
    }
}

async fn intake(fixture: &Fixture, watchdog: &str) -> IntakeConnection {
    IntakeConnection::connect(&fixture.store, watchdog.into()).await.unwrap()
}

fn accepted(judged: &[Judged]) -> usize {
    judged.iter().filter(|judged| matches!(judged, Judged::Accepted(_))).count()
}

async fn the_same_push_at_three_watchdogs_counts_once(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "bot", None).await;
    let mut intakes = Vec::new();
    for name in ["w1", "w2", "w3"] {
        intakes.push(intake(&fixture, name).await);
    }
    for time_us in 1..=100 {
        let mut takings = tokio::task::JoinSet::new();
        for mut intake in intakes.drain(..) {
            takings.spawn(async move {
                let judged = intake.take(&[arrival("bot", time_us, PushStatus::Ok)], judge).await.unwrap();
                (intake, accepted(&judged))
            });
        }
        let mut counted = 0;
        while let Some(taken) = takings.join_next().await {
            let (intake, accepted) = taken.unwrap();
            intakes.push(intake);
            counted += accepted;
        }
        assert_eq!(counted, 1, "push {time_us}");
    }
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_push").await, 100);
    assert_eq!(fixture.raw.count("SELECT COUNT(DISTINCT time_us) FROM komainu_push").await, 100);
}

async fn batches_that_overlap_never_wait_for_each_other(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let names: Vec<String> = (0..20).map(|number| format!("bot{number}")).collect();
    for name in &names {
        make(&fixture, name, None).await;
    }
    let mut takings = tokio::task::JoinSet::new();
    for watchdog in 0..3 {
        let mut intake = intake(&fixture, &format!("w{watchdog}")).await;
        let mut names = names.clone();
        // Each in an order of its own: the rows are locked in one all the same.
        names.rotate_left(watchdog * 7);
        takings.spawn(async move {
            for round in 1..=50_i64 {
                let time_us = round * 3 + i64::try_from(watchdog).unwrap();
                let batch: Vec<_> = names.iter().map(|name| arrival(name, time_us, PushStatus::Ok)).collect();
                intake.take(&batch, judge).await.expect("no deadlock");
            }
        });
    }
    while let Some(taken) = takings.join_next().await {
        taken.unwrap();
    }
    let doubled =
        "SELECT COUNT(*) FROM (SELECT name, time_us FROM komainu_push GROUP BY name, time_us HAVING COUNT(*) > 1) d";
    assert_eq!(fixture.raw.count(doubled).await, 0);
}

async fn pushes_of_one_name_in_a_batch_go_one_after_another(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "bot", None).await;
    let batch = [
        arrival("bot", 10, PushStatus::Start),
        arrival("bot", 10, PushStatus::Ok),
        arrival("bot", 10, PushStatus::Ok),
        arrival("bot", 11, PushStatus::Fail),
    ];
    let judged = intake(&fixture, "w1").await.take(&batch, judge).await.unwrap();
    let replayed = Judged::Replayed(Replayed { last_time_us: 10 });
    assert_eq!((accepted(&judged), &judged[2]), (3, &replayed));
    let heartbeat = heartbeats::get(&fixture.store, "bot").await.unwrap().unwrap();
    assert_eq!((heartbeat.vitals.record.state, heartbeat.vitals.record.last_time_us), (State::Failed, 11));
    assert_eq!(heartbeat.vitals.last_push_id.as_deref(), Some(batch[3].push_id.as_str()));
    let found = intake(&fixture, "w1").await.find(&batch).await.unwrap();
    assert!(found.len() == 3 && !found.contains(&batch[2].push_id));
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_push WHERE name = 'bot'").await, 3);
}

async fn a_push_of_a_deleted_heartbeat_brings_nothing_back(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "bot", None).await;
    make(&fixture, "cat", None).await;
    assert!(heartbeats::delete(&fixture.store, "bot", "test").await.unwrap().is_some());
    let batch = [arrival("bot", 1, PushStatus::Ok), arrival("cat", 1, PushStatus::Ok)];
    let judged = intake(&fixture, "w1").await.take(&batch, judge).await.unwrap();
    assert_eq!((&judged[0], accepted(&judged)), (&Judged::Gone, 1));
    assert_eq!(fixture.raw.one("SELECT name FROM komainu_heartbeat").await, "cat");
}

async fn a_heartbeat_made_anew_under_its_name_counts_no_old_push_again(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "bot", None).await;
    let push = arrival("bot", 5, PushStatus::Ok);
    assert_eq!(accepted(&intake(&fixture, "w1").await.take(std::slice::from_ref(&push), judge).await.unwrap()), 1);
    heartbeats::delete(&fixture.store, "bot", "test").await.unwrap();
    make(&fixture, "bot", None).await;
    let again = [Arrival { push_id: "f".repeat(32), ..push }, arrival("bot", 6, PushStatus::Ok)];
    let judged = intake(&fixture, "w1").await.take(&again, judge).await.unwrap();
    assert!(matches!(judged[0], Judged::Replayed(_)), "a fixed secret signs for both");
    assert_eq!(accepted(&judged), 1);
}

async fn settle(fixture: &Fixture) -> SettleConnection {
    SettleConnection::connect(&fixture.store).await.unwrap()
}

fn routing() -> Routing {
    Routing { channels: vec!["ops".to_owned()], routes: vec![] }
}

async fn three_watchdogs_mark_five_hundred_late_once_each(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let names: Vec<String> = (0..500).map(|number| format!("bot{number:03}")).collect();
    for name in &names {
        make(&fixture, name, Some(Wall(1_000))).await;
    }
    let mut settlings = tokio::task::JoinSet::new();
    for _ in ["w1", "w2", "w3"] {
        let mut connection = settle(&fixture).await;
        let names = names.clone();
        settlings.spawn(async move {
            let mut marked = 0;
            // What another holds is skipped: look until nothing is left, as the watchdogs do.
            for _ in 0..3 {
                for part in names.chunks(100) {
                    marked += connection.settle(part, &Plain, &routing()).await.unwrap().len();
                }
            }
            marked
        });
    }
    let mut marked = 0;
    while let Some(count) = settlings.join_next().await {
        marked += count.unwrap();
    }
    assert_eq!(marked, 500);
    for (count, sql) in [
        (500, "SELECT COUNT(*) FROM komainu_heartbeat WHERE state = 'late' AND incident_id IS NOT NULL"),
        (500, "SELECT COUNT(*) FROM komainu_incident WHERE k LIKE 'heartbeat/%' AND resolved_at IS NULL"),
        (500, "SELECT COUNT(*) FROM komainu_delivery WHERE channel = 'ops'"),
    ] {
        assert_eq!(fixture.raw.count(sql).await, count, "{sql}");
    }
}

async fn a_watchdog_that_knows_an_old_deadline_marks_nobody(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "bot", Some(Wall(1_000))).await;
    // Accepted elsewhere while this one was frozen.
    intake(&fixture, "w2").await.take(&[arrival("bot", 1, PushStatus::Ok)], judge).await.unwrap();
    let settled = settle(&fixture).await.settle(&["bot".to_owned()], &Plain, &routing()).await.unwrap();
    assert_eq!(settled, vec![]);
    assert_eq!(fixture.raw.one("SELECT state FROM komainu_heartbeat").await, "up");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident").await, 0);
}

async fn needs(fixture: &Fixture, name: &str) -> Vec<Need> {
    let done = settle(fixture).await.settle(&[name.to_owned()], &Plain, &routing()).await.unwrap();
    done.into_iter().map(|(need, _)| need).collect()
}

async fn an_ok_ends_the_incident_and_so_does_deleting(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL";
    make(&fixture, "bot", None).await;
    let mut intake = intake(&fixture, "w1").await;
    // The watchdog that took the push died before it opened the incident.
    intake.take(&[arrival("bot", 1, PushStatus::Fail)], judge).await.unwrap();
    assert_eq!(needs(&fixture, "bot").await, [Need::OpenIncident]);
    assert_eq!(needs(&fixture, "bot").await, []);
    assert_eq!(fixture.raw.count(open).await, 1);
    intake.take(&[arrival("bot", 2, PushStatus::Ok)], judge).await.unwrap();
    assert_eq!(needs(&fixture, "bot").await, [Need::ResolveIncident]);
    assert_eq!(fixture.raw.count(open).await, 0);
    make(&fixture, "cat", Some(Wall(1_000))).await;
    assert_eq!(needs(&fixture, "cat").await, [Need::MarkLate]);
    assert_eq!(fixture.raw.count(open).await, 1);
    heartbeats::delete(&fixture.store, "cat", "test").await.unwrap();
    assert_eq!(fixture.raw.count(open).await, 0);
}

async fn proved_at(fixture: &mut Fixture, at: i64) {
    let sql = format!("UPDATE komainu_intake SET proved_at = {at}");
    fixture.raw.execute(&sql).await;
}

async fn left(fixture: &Fixture, name: &str, now: Wall) -> i64 {
    let heartbeat = heartbeats::get(&fixture.store, name).await.unwrap().unwrap();
    heartbeat.vitals.record.deadline().unwrap().0 - now.0
}

async fn a_deadlines_clock_stands_still_while_no_watchdog_proves_that_it_could_take_a_push(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let now = heartbeats_now(&fixture).await;
    for (name, left_s) in [("before", -90), ("meanwhile", -30), ("soon", 2), ("later", 3_600)] {
        make(&fixture, name, Some(Wall(now.0 + left_s * 1_000))).await;
    }
    let (mut w1, mut w2) = (intake(&fixture, "w1").await, intake(&fixture, "w2").await);
    w1.prove(false).await.unwrap();
    // The rows were there before; nobody could push for the last minute.
    fixture.raw.execute("UPDATE komainu_heartbeat SET created_at = 1000").await;
    proved_at(&mut fixture, now.0 - 60_000).await;
    let names = ["before", "later", "meanwhile", "soon"].map(str::to_owned);
    let mut connection = settle(&fixture).await;
    assert_eq!(connection.settle(&names, &Plain, &routing()).await.unwrap(), vec![], "none is late while it lasts");
    w2.prove(true).await.unwrap();
    w1.prove(false).await.unwrap();
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_outage").await, 1, "accounted for once");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_push").await, 0, "a rehearsal leaves nothing behind");
    let done = connection.settle(&names, &Plain, &routing()).await.unwrap();
    let marked: Vec<_> = done.iter().map(|(_, known)| known.definition.name.as_str()).collect();
    assert_eq!(marked, ["before"], "only what was late before it");
    // Its length, and a minute where it touched what was due.
    for (name, least) in [("meanwhile", 90_000), ("soon", 122_000), ("later", 3_660_000)] {
        let left = left(&fixture, name, now).await;
        assert!((least..least + 5_000).contains(&left), "{name}: {left}");
    }
    let known = CacheReader::connect(&fixture.store).await.unwrap().glance(None).await.unwrap().rows;
    let soon = known.iter().find(|known| known.definition.name == "soon").unwrap();
    assert!(soon.vitals.record.deadline().unwrap().0 - now.0 >= 122_000, "the cache shows the same");
}

/// As the intake does: a proof is due each second, and what gathered meanwhile is taken in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB"]
async fn a_watchdog_a_second_away_that_is_busy_with_pushes_makes_no_gap_and_sees_in_one_trip() {
    let mut fixture = Fixture::native(Kind::MariaDb).await;
    make(&fixture, "bot", None).await;
    let database = fixture.raw.one("SELECT DATABASE()").await;
    let proxy = Proxy::start_afar(MariaDb::shared().port(), Duration::from_millis(500)).await;
    let url = DatabaseUrl::parse(&crate::cluster::server::url(proxy.port(), &database)).unwrap();
    let store = Store::unconnected(&url);
    let pushing = async {
        let mut intake = IntakeConnection::connect(&store, "w1".into()).await.unwrap();
        for time_us in 1..=2 {
            intake.prove(false).await.unwrap();
            let began_at = clock::now();
            let judged = intake.take(&[arrival("bot", time_us, PushStatus::Ok)], judge).await.unwrap();
            assert_eq!(accepted(&judged), 1);
            assert!(clock::now().since(began_at) < Duration::from_millis(2_800), "two trips");
        }
        intake.prove(false).await.unwrap();
    };
    let looking = async {
        let mut cache = CacheReader::connect(&store).await.unwrap();
        cache.glance(None).await.unwrap();
        let began_at = clock::now();
        cache.glance(Some(Wall(0))).await.unwrap();
        clock::now().since(began_at)
    };
    let ((), took) = tokio::join!(pushing, looking);
    assert!(took < Duration::from_millis(1_800), "{took:?}");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_outage").await, 0);
}

async fn gaps_more_often_than_the_grace_delay_a_dead_job_by_their_length_and_a_minute(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let now = heartbeats_now(&fixture).await;
    make(&fixture, "bot", Some(Wall(now.0 - 100_000))).await;
    fixture.raw.execute("UPDATE komainu_heartbeat SET created_at = 1000").await;
    let gap = async |fixture: &mut Fixture, began: i64| {
        let sql = format!(
            "INSERT INTO komainu_outage (began_at, ended_at, noticed_by) VALUES ({}, {}, 'w1')",
            now.0 - began * 1_000,
            now.0 - began * 1_000 + 4_000
        );
        fixture.raw.execute(&sql).await;
    };
    for began in (30..130).rev().step_by(10) {
        gap(&mut fixture, began).await;
    }
    // Due 5 s before its deadline: nine of them began before it in the end, 36 s and a minute.
    let deadline = left(&fixture, "bot", now).await;
    assert!((-100_000..=-100_000 + 40_000 + 60_000).contains(&deadline), "{deadline}");
    assert_eq!(needs(&fixture, "bot").await, [Need::MarkLate]);
    // Written with all of them counted in; what comes later changes nothing of what was counted.
    assert_eq!(left(&fixture, "bot", now).await, deadline);
}

async fn a_run_that_hangs_is_marked_though_another_ended(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "bot", None).await;
    let of_run = |time_us, status, run: &str| {
        let arrival = arrival("bot", time_us, status);
        Arrival { push: Push { run_id: Some(run.to_owned()), ..arrival.push }, ..arrival }
    };
    let hangs = |known: &CachedHeartbeat, push: &Push, now: Wall| {
        let terms = Terms {
            next_due: Some(now + Duration::from_secs(60)),
            max_runtime: Some(Duration::ZERO),
            ..Terms::default()
        };
        let record = known.vitals.record.after(push, now, terms)?;
        Ok(Vitals { record, last_at: Some(now), ..known.vitals.clone() })
    };
    let mut intake = intake(&fixture, "w1").await;
    for (time_us, status, run) in
        [(1, PushStatus::Start, "r1"), (2, PushStatus::Start, "r2"), (3, PushStatus::Ok, "r1")]
    {
        assert_eq!(accepted(&intake.take(&[of_run(time_us, status, run)], hangs).await.unwrap()), 1);
    }
    assert_eq!(needs(&fixture, "bot").await, [Need::MarkLate]);
    let heartbeat = heartbeats::get(&fixture.store, "bot").await.unwrap().unwrap();
    let open: Vec<_> = heartbeat.vitals.record.limits.runs.iter().map(|run| run.run_id.as_deref()).collect();
    assert_eq!((heartbeat.vitals.record.state, open), (State::Late, vec![Some("r2")]));
    intake.take(&[of_run(4, PushStatus::Ok, "r3")], hangs).await.unwrap();
    assert_eq!(needs(&fixture, "bot").await, [Need::ResolveIncident]);
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL").await, 0);
}

async fn that_no_push_can_be_taken_is_told_once_and_ends(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let now = heartbeats_now(&fixture).await;
    let mut proving = intake(&fixture, "w1").await;
    let alarm =
        Alarm { key: "pushes".to_owned(), severity: Severity::Critical, summary: "none".to_owned(), votes: (0, 0) };
    let mut connection = settle(&fixture).await;
    assert!(!connection.tell_outage(&alarm, &routing()).await.unwrap(), "nobody proved anything yet");
    proving.prove(false).await.unwrap();
    proved_at(&mut fixture, now.0 - 30_000).await;
    assert!(!connection.tell_outage(&alarm, &routing()).await.unwrap(), "not for half a minute");
    proved_at(&mut fixture, now.0 - 61_000).await;
    assert!(connection.tell_outage(&alarm, &routing()).await.unwrap());
    assert!(!settle(&fixture).await.tell_outage(&alarm, &routing()).await.unwrap(), "another comes second");
    proving.prove(false).await.unwrap();
    assert!(connection.tell_outage(&alarm, &routing()).await.unwrap(), "it is over");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NOT NULL").await, 1);
}

async fn a_clock_that_was_set_back_delays_nothing_by_more_than_the_schedule(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "bot", None).await;
    for jump in [3_600_000, 86_400_000] {
        intake(&fixture, "w1").await.take(&[arrival("bot", jump, PushStatus::Ok)], judge).await.unwrap();
        let now = heartbeats_now(&fixture).await;
        // As if the push had come by a clock that was ahead.
        let heartbeat = heartbeats::get(&fixture.store, "bot").await.unwrap().unwrap();
        let ahead = heartbeat.vitals.record.limits.map(|limit, _| komainu_watchdogs::heartbeat::limits::Limit {
            due: Wall(limit.due.0 + jump),
            at: Wall(limit.at.0 + jump),
            ..limit
        });
        let text = serde_json::to_string(&ahead).unwrap();
        let deadline = ahead.earliest().unwrap().0;
        fixture.raw.execute(&format!("UPDATE komainu_heartbeat SET limits = '{text}', deadline = {deadline}")).await;
        assert_eq!(needs(&fixture, "bot").await, [Need::Recount]);
        let left = left(&fixture, "bot", now).await;
        assert!((50_000..=70_000).contains(&left), "{left}");
        assert_eq!(needs(&fixture, "bot").await, []);
    }
}

async fn heartbeats_now(fixture: &Fixture) -> Wall {
    CacheReader::connect(&fixture.store).await.unwrap().glance(None).await.unwrap().database_at()
}

async fn a_reading_shows_what_changed_and_how_many_there_are(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    for name in ["a", "b", "c"] {
        make(&fixture, name, None).await;
    }
    let mut cache = CacheReader::connect(&fixture.store).await.unwrap();
    let whole = cache.glance(None).await.unwrap();
    assert_eq!((whole.count, whole.rows.len(), whole.outage_since), (3, 3, None));
    let last = whole.rows.iter().map(|known| known.vitals.changed_at).max().unwrap();
    intake(&fixture, "w1").await.take(&[arrival("b", 1, PushStatus::Ok)], judge).await.unwrap();
    let changed = cache.glance(Some(Wall(last.0 + 1))).await.unwrap();
    let names: Vec<_> = changed.rows.iter().map(|known| known.definition.name.as_str()).collect();
    assert_eq!(names, ["b"]);
    heartbeats::delete(&fixture.store, "a", "test").await.unwrap();
    assert_eq!(cache.glance(Some(Wall(i64::MAX))).await.unwrap().count, 2);
}

async fn old_pushes_are_pruned(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "bot", None).await;
    let mut intake = intake(&fixture, "w1").await;
    intake.take(&[arrival("bot", 1, PushStatus::Ok), arrival("bot", 2, PushStatus::Ok)], judge).await.unwrap();
    fixture.raw.execute("UPDATE komainu_push SET at = 1000 WHERE time_us = 1").await;
    fixture.store.prune(&prune::Retention::default()).await.unwrap();
    assert_eq!(fixture.raw.one("SELECT time_us FROM komainu_push").await, "2");
}

/// Pushes of `bot` that print much, the oldest first.
async fn print_much(fixture: &Fixture, pushes: impl Iterator<Item = (PushStatus, usize)>) {
    make(fixture, "bot", None).await;
    let mut intake = intake(fixture, "w1").await;
    for (time_us, (status, characters)) in (1..).zip(pushes) {
        let told = LastPush { message: Some(format!("{}the end", "ä".repeat(characters))), ..LastPush::default() };
        let arrival = Arrival { told, ..arrival("bot", time_us, status) };
        assert_eq!(accepted(&intake.take(&[arrival], judge).await.unwrap()), 1);
    }
}

async fn a_chatty_job_keeps_the_output_of_its_last_good_runs_and_of_what_failed(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let pushes = (0..40).map(|run| (if run == 5 { PushStatus::Fail } else { PushStatus::Ok }, 5_000));
    print_much(&fixture, pushes).await;
    prune::keep_up(&fixture.store, &mut Rounds::default()).await.unwrap();
    let long = "SELECT COUNT(*) FROM komainu_push WHERE LENGTH(message) > 5000 AND status = ";
    assert_eq!(fixture.raw.count(&format!("{long} 'ok'")).await, 10);
    assert_eq!(fixture.raw.count(&format!("{long} 'fail'")).await, 1);
    let cut = fixture.raw.one("SELECT message FROM komainu_push WHERE time_us = 1").await;
    assert_eq!((cut.chars().count(), cut.starts_with("… ä"), cut.ends_with("the end")), (202, true, true));
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_push").await, 40, "a push is not lost for what it said");
}

async fn a_heartbeat_has_no_more_pushes_and_bytes_than_its_share(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    print_much(&fixture, (0..40).map(|_| (PushStatus::Fail, 1_000))).await;
    let share = Share { pushes: 30, good_outputs: 10, output_bytes: 20_000 };
    let mut rounds = Rounds { histories: Histories::with(share), ..Rounds::default() };
    prune::keep_up(&fixture.store, &mut rounds).await.unwrap();
    assert_eq!(fixture.raw.one("SELECT MIN(time_us) FROM komainu_push").await, "11", "the oldest go");
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_push").await, 30);
    // 2,007 bytes each; SQLite counts them as MariaDB does.
    assert_eq!(fixture.raw.count("SELECT COUNT(*) FROM komainu_push WHERE LENGTH(message) > 1000").await, 9);
}

async fn pause(fixture: &Fixture, name: &str, is_paused: bool) {
    let changed = heartbeats::update(&fixture.store, name, "test", |heartbeat, now| {
        let edited = Definition { is_paused, ..heartbeat.definition.clone() };
        Ok::<_, std::convert::Infallible>(reschedule::after_edit(heartbeat, &edited, now))
    });
    assert!(matches!(changed.await.unwrap(), Some(Ok(()))));
}

async fn pausing_ends_the_incident_and_what_goes_on_is_told_if_it_failed(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE resolved_at IS NULL";
    make(&fixture, "cat", Some(Wall(1_000))).await;
    assert_eq!(needs(&fixture, "cat").await, [Need::MarkLate]);
    pause(&fixture, "cat", true).await;
    assert_eq!(needs(&fixture, "cat").await, [Need::ResolveIncident]);
    assert_eq!((fixture.raw.count(open).await, needs(&fixture, "cat").await), (0, vec![]));
    pause(&fixture, "cat", false).await;
    assert_eq!(needs(&fixture, "cat").await, [], "it begins anew");
    let mut intake = intake(&fixture, "w1").await;
    pause(&fixture, "cat", true).await;
    let judged = intake.take(&[arrival("cat", 1, PushStatus::Fail)], judge).await.unwrap();
    assert_eq!(accepted(&judged), 1);
    assert_eq!((needs(&fixture, "cat").await, fixture.raw.count(open).await), (vec![], 0));
    pause(&fixture, "cat", false).await;
    assert_eq!(needs(&fixture, "cat").await, [Need::OpenIncident]);
    let trail = "SELECT COUNT(*) FROM komainu_audit WHERE what = 'heartbeat.edit' AND after_json LIKE '%\"paused\":%'";
    assert_eq!(fixture.raw.count(trail).await, 4);
}
