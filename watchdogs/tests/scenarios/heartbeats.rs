//! Heartbeats of programs: what counts, what makes them late, what repairs them.

use std::time::Duration;

use komainu_watchdogs::heartbeat::{
    Need, Push, PushStatus, Record, Replayed, State, Terms, forgiven_until, is_within_window, outage_since,
};
use komainu_watchdogs::time::Wall;

/// Due every 60 s with 10 s of grace.
fn terms(now_s: i64) -> Terms {
    Terms { next_deadline: Some(wall(now_s + 70)), max_runtime: None }
}

/// The same, and a run may take 30 s.
fn with_runs(now_s: i64) -> Terms {
    Terms { max_runtime: Some(Duration::from_secs(30)), ..terms(now_s) }
}

fn wall(seconds: i64) -> Wall {
    Wall(seconds * 1_000)
}

fn push(time_s: i64, status: PushStatus, run: Option<&str>) -> Push {
    Push { time_us: time_s * 1_000_000, status, run_id: run.map(str::to_owned) }
}

fn after(record: &Record, at_s: i64, status: PushStatus) -> Record {
    record.after(&push(at_s, status, None), wall(at_s), with_runs(at_s)).unwrap()
}

fn deadline(record: &Record) -> Option<i64> {
    record.deadline.map(|at| at.0 / 1_000)
}

#[test]
fn a_clock_may_be_off_by_five_minutes_in_either_direction() {
    let server_us = 1_763_800_000_000_000;
    for (offset_us, is_fine) in
        [(0, true), (300_000_000, true), (-300_000_000, true), (300_000_001, false), (-300_000_001, false)]
    {
        assert_eq!(is_within_window(server_us + offset_us, server_us), is_fine, "{offset_us}");
    }
    assert!(!is_within_window(i64::MAX, i64::MIN));
}

#[test]
fn a_push_counts_once_and_an_older_one_never() {
    let up = after(&Record::default(), 100, PushStatus::Ok);
    let replayed = Err(Replayed { last_time_us: 100_000_000 });
    assert_eq!(up.after(&push(100, PushStatus::Ok, None), wall(101), terms(101)), replayed);
    assert_eq!(up.after(&push(99, PushStatus::Fail, None), wall(101), terms(101)), replayed);
    let later = Push { time_us: 100_000_001, ..push(0, PushStatus::Ok, None) };
    assert!(up.after(&later, wall(101), terms(101)).is_ok());
}

#[test]
fn one_time_counts_twice_only_from_the_start_to_the_end_of_the_same_run() {
    let started = Record::default().after(&push(100, PushStatus::Start, Some("a")), wall(100), terms(100)).unwrap();
    let told = |status, run| started.after(&push(100, status, Some(run)), wall(101), terms(101)).is_ok();
    assert!(told(PushStatus::Ok, "a") && told(PushStatus::Fail, "a"));
    assert!(!told(PushStatus::Ok, "b") && !told(PushStatus::Start, "a"));
    let ended = started.after(&push(100, PushStatus::Ok, Some("a")), wall(101), terms(101)).unwrap();
    assert!(ended.after(&push(100, PushStatus::Fail, Some("a")), wall(102), terms(102)).is_err());
}

#[test]
fn what_was_never_seen_is_not_late_unless_a_first_push_was_due() {
    let new = Record::default();
    assert_eq!(new.need(wall(1_000_000), false), None);
    let due = Record { deadline: Some(wall(500)), ..new };
    assert_eq!((due.need(wall(499), false), due.need(wall(500), false)), (None, Some(Need::MarkLate)));
}

#[test]
fn silence_beyond_the_deadline_is_late_and_an_ok_repairs_it() {
    let up = after(&Record::default(), 100, PushStatus::Ok);
    assert_eq!((up.state, deadline(&up)), (State::Up, Some(170)));
    assert_eq!((up.need(wall(169), false), up.need(wall(170), false)), (None, Some(Need::MarkLate)));
    let late = Record { state: State::Late, ..up };
    assert_eq!(late.need(wall(171), false), Some(Need::OpenIncident), "marked by somebody who then died");
    assert_eq!(late.need(wall(171), true), None);
    let again = after(&late, 200, PushStatus::Ok);
    assert_eq!((again.state, deadline(&again)), (State::Up, Some(270)));
    assert_eq!(again.need(wall(201), true), Some(Need::ResolveIncident));
}

#[test]
fn a_fail_is_told_at_once_and_stays_until_the_next_ok() {
    let failed = after(&after(&Record::default(), 100, PushStatus::Ok), 110, PushStatus::Fail);
    assert_eq!((failed.state, failed.need(wall(110), false)), (State::Failed, Some(Need::OpenIncident)));
    let started = after(&failed, 120, PushStatus::Start);
    assert_eq!((started.state, started.need(wall(1_000), true)), (State::Failed, None));
    assert_eq!(after(&started, 130, PushStatus::Ok).state, State::Up);
}

#[test]
fn a_run_must_end_within_its_longest_runtime() {
    let up = after(&Record::default(), 100, PushStatus::Ok);
    let running = after(&up, 160, PushStatus::Start);
    assert_eq!((running.state, deadline(&running), running.started_at), (State::Up, Some(190), Some(wall(160))));
    assert_eq!(running.need(wall(190), false), Some(Need::MarkLate));
    let ended = after(&running, 185, PushStatus::Ok);
    assert_eq!((deadline(&ended), ended.started_at), (Some(255), None));
}

#[test]
fn a_program_that_crashes_and_restarts_for_ever_is_late() {
    let mut record = after(&Record::default(), 100, PushStatus::Start);
    for at in [110, 120, 129] {
        record = after(&record, at, PushStatus::Start);
    }
    assert_eq!((deadline(&record), record.started_at), (Some(130), Some(wall(129))));
    assert_eq!(record.need(wall(130), false), Some(Need::MarkLate));
}

#[test]
fn a_start_without_a_longest_runtime_leaves_the_schedule_alone() {
    let started = Record::default().after(&push(100, PushStatus::Start, None), wall(100), terms(100)).unwrap();
    assert_eq!((started.state, deadline(&started)), (State::Up, Some(170)));
    let again = started.after(&push(150, PushStatus::Start, None), wall(150), terms(150)).unwrap();
    assert_eq!(deadline(&again), Some(170));
}

#[test]
fn when_nobody_wrote_for_more_than_three_seconds_nobody_could_take_a_push() {
    assert_eq!(outage_since(None, wall(10)), None, "nobody ever wrote");
    assert_eq!(outage_since(Some(Wall(7_000)), wall(10)), None);
    assert_eq!(outage_since(Some(Wall(6_999)), wall(10)), Some(Wall(6_999)));
    assert_eq!(outage_since(Some(wall(11)), wall(10)), None, "the database's clock was set back");
    assert_eq!(forgiven_until(wall(100), Duration::from_secs(5)), wall(160));
    assert_eq!(forgiven_until(wall(100), Duration::from_secs(600)), wall(700));
}
