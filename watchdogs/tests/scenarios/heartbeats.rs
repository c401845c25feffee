//! Heartbeats of programs: what counts, what makes them late, what repairs them.

use std::time::Duration;

use komainu_watchdogs::heartbeat::limits::{Gap, Limit, Limits, MOST_RUNS};
use komainu_watchdogs::heartbeat::{
    Need, OUTAGE_AFTER, OutageNeed, Push, PushStatus, Record, Replayed, State, Terms, counts_from, is_within_window,
    outage_need, outage_since,
};
use komainu_watchdogs::time::Wall;
use proptest::prelude::*;

/// Due every 60 s with 10 s of grace.
fn terms(now_s: i64) -> Terms {
    Terms { next_due: Some(wall(now_s + 60)), grace: Duration::from_secs(10), max_runtime: None }
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
    record.deadline().map(|at| at.0 / 1_000)
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
    assert_eq!(new.need(wall(1_000_000), false, false), None);
    let due = Record { limits: Limits::of(Limit::new(wall(0), wall(490), wall(500))), ..new };
    assert_eq!((due.need(wall(499), false, false), due.need(wall(500), false, false)), (None, Some(Need::MarkLate)));
}

#[test]
fn silence_beyond_the_deadline_is_late_and_an_ok_repairs_it() {
    let up = after(&Record::default(), 100, PushStatus::Ok);
    assert_eq!((up.state, deadline(&up)), (State::Up, Some(170)));
    assert_eq!((up.need(wall(169), false, false), up.need(wall(170), false, false)), (None, Some(Need::MarkLate)));
    let late = Record { state: State::Late, ..up };
    assert_eq!(late.need(wall(171), false, false), Some(Need::OpenIncident), "marked by somebody who then died");
    assert_eq!(late.need(wall(171), true, false), None);
    let again = after(&late, 200, PushStatus::Ok);
    assert_eq!((again.state, deadline(&again)), (State::Up, Some(270)));
    assert_eq!(again.need(wall(201), true, false), Some(Need::ResolveIncident));
}

#[test]
fn a_fail_is_told_at_once_and_stays_until_the_next_ok() {
    let failed = after(&after(&Record::default(), 100, PushStatus::Ok), 110, PushStatus::Fail);
    assert_eq!((failed.state, failed.need(wall(110), false, false)), (State::Failed, Some(Need::OpenIncident)));
    let started = after(&failed, 120, PushStatus::Start);
    assert_eq!((started.state, started.need(wall(1_000), true, false)), (State::Failed, None));
    assert_eq!(after(&started, 130, PushStatus::Ok).state, State::Up);
}

#[test]
fn a_run_must_end_within_its_longest_runtime() {
    let up = after(&Record::default(), 100, PushStatus::Ok);
    let running = after(&up, 160, PushStatus::Start);
    assert_eq!((running.state, deadline(&running), running.started_at), (State::Up, Some(190), Some(wall(160))));
    assert_eq!(running.need(wall(190), false, false), Some(Need::MarkLate));
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
    assert_eq!(record.need(wall(130), false, false), Some(Need::MarkLate));
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
    assert_eq!(outage_since(None, wall(10), OUTAGE_AFTER), None, "nobody ever wrote");
    assert_eq!(outage_since(Some(Wall(7_000)), wall(10), OUTAGE_AFTER), None);
    assert_eq!(outage_since(Some(Wall(6_999)), wall(10), OUTAGE_AFTER), Some(Wall(6_999)));
    assert_eq!(outage_since(Some(wall(11)), wall(10), OUTAGE_AFTER), None, "the database's clock was set back");
}

#[test]
fn nothing_is_late_while_no_push_can_be_taken() {
    let up = after(&Record::default(), 100, PushStatus::Ok);
    assert_eq!((up.need(wall(170), false, true), up.need(wall(170), false, false)), (None, Some(Need::MarkLate)));
}

#[test]
fn that_no_push_can_be_taken_is_told_after_a_minute_and_until_one_can() {
    let lasting = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!((outage_need(lasting(60), false), outage_need(lasting(61), false)), (None, Some(OutageNeed::Tell)));
    assert_eq!((outage_need(lasting(61), true), outage_need(None, true)), (None, Some(OutageNeed::Resolve)));
    assert_eq!(outage_need(None, false), None);
}

#[test]
fn the_next_due_counts_from_the_later_of_arrival_and_the_senders_time() {
    let early = push(100, PushStatus::Ok, None);
    assert_eq!(counts_from(&early, Wall(99_000)), wall(100), "the sender's host is a second ahead");
    assert_eq!(counts_from(&early, Wall(103_000)), wall(103), "it came late");
}

fn run(record: &Record, at_s: i64, status: PushStatus, id: &str) -> Record {
    record.after(&push(at_s, status, Some(id)), wall(at_s), with_runs(at_s)).unwrap()
}

#[test]
fn a_run_that_hangs_is_late_though_another_ended_well() {
    let first = run(&Record::default(), 100, PushStatus::Start, "r1");
    let both = run(&first, 105, PushStatus::Start, "r2");
    let one = run(&both, 110, PushStatus::Ok, "r1");
    assert_eq!((one.state, deadline(&one), one.started_at), (State::Up, Some(135), Some(wall(105))));
    assert_eq!(one.need(wall(135), false, false), Some(Need::MarkLate));
    assert_eq!(one.limits.overdue_run(wall(135)).unwrap().run_id.as_deref(), Some("r2"));
    let late = Record { state: State::Late, ..one.clone() };
    let well = run(&run(&late, 160, PushStatus::Start, "r3"), 170, PushStatus::Ok, "r3");
    assert_eq!((well.state, deadline(&well)), (State::Up, Some(240)), "it was told, and is not told again");
    let ended = run(&one, 120, PushStatus::Ok, "r2");
    assert_eq!((deadline(&ended), ended.started_at), (Some(190), None));
}

#[test]
fn a_named_run_without_a_longest_runtime_must_end_before_the_next_would_be_late() {
    let start =
        |record: &Record, at: i64, id| record.after(&push(at, PushStatus::Start, Some(id)), wall(at), terms(at));
    let both = start(&start(&Record::default(), 100, "r1").unwrap(), 105, "r2").unwrap();
    let mut record = both.after(&push(110, PushStatus::Ok, Some("r1")), wall(110), terms(110)).unwrap();
    assert_eq!(deadline(&record), Some(175), "r2 began at 105");
    record = record.after(&push(160, PushStatus::Ok, Some("r3")), wall(160), terms(160)).unwrap();
    assert_eq!(record.need(wall(175), false, false), Some(Need::MarkLate));
}

#[test]
fn an_end_that_was_overtaken_by_a_host_whose_clock_is_ahead_counts_once() {
    let both = run(&run(&Record::default(), 100, PushStatus::Start, "r2"), 103, PushStatus::Start, "r1");
    let end = push(101, PushStatus::Ok, Some("r2"));
    let one = both.after(&end, wall(101), with_runs(101)).unwrap();
    assert_eq!((one.limits.runs.len(), one.last_time_us), (1, 103_000_000));
    assert!(one.after(&end, wall(102), with_runs(102)).is_err(), "a copy");
    assert!(one.after(&push(100, PushStatus::Start, Some("r2")), wall(102), with_runs(102)).is_err(), "an old start");
    let failed = run(&both, 104, PushStatus::Fail, "r1");
    let ended = failed.after(&end, wall(105), with_runs(105)).unwrap();
    assert_eq!((ended.state, ended.limits.runs.len()), (State::Failed, 0), "said before the failure");
}

#[test]
fn of_many_open_runs_the_first_are_watched_and_who_names_none_ends_all() {
    let mut record = Record::default();
    for number in 0..200 {
        record = run(&record, 100 + number, PushStatus::Start, &format!("r{number}"));
    }
    assert_eq!((record.limits.runs.len(), deadline(&record)), (MOST_RUNS, Some(130)));
    assert_eq!(after(&record, 400, PushStatus::Ok).limits.runs, []);
}

fn gap(id: i64, began_s: i64, ended_s: i64) -> Gap {
    Gap { id, began_at: wall(began_s), ended_at: wall(ended_s) }
}

fn counted(limit: Limit, gaps: &[Gap]) -> i64 {
    Limits::of(limit).after_gaps(gaps, wall(0)).earliest().unwrap().0 / 1_000
}

#[test]
fn a_deadlines_clock_stands_still_in_a_gap_and_a_minute_is_added_once() {
    let limit = Limit::new(wall(0), wall(1_000), wall(1_100));
    assert_eq!(counted(limit, &[gap(1, 100, 150)]), 1_150, "long before it is due");
    assert_eq!(counted(limit, &[gap(1, 1_200, 1_300)]), 1_100, "it was late before");
    assert_eq!(counted(limit, &[gap(1, 1_050, 1_090)]), 1_200);
    assert_eq!(counted(limit, &[gap(1, 1_050, 1_090), gap(2, 1_110, 1_120)]), 1_210);
    let many: Vec<_> = (0..1_000).map(|number| gap(number, 1_000 + number * 10, 1_005 + number * 10)).collect();
    assert_eq!(counted(limit, &many[..20]), 1_000 + 100 + 60 + 20 * 5);
    assert!(counted(limit, &many) <= 1_320, "gaps more often than the grace push it no further than their length");
    let set_later = Limits::of(limit).after_gaps(&[gap(1, 100, 150)], wall(120)).earliest();
    assert_eq!(set_later, Some(wall(1_130)), "only from when it was set");
}

#[test]
fn a_clock_that_jumped_ahead_and_was_set_right_forgives_no_more_than_the_schedule() {
    for jump in [3_600, 86_400] {
        let up = after(&Record::default(), 100, PushStatus::Ok);
        // Ahead: as if nobody could push for so long.
        let ahead = Record { limits: up.limits.after_gaps(&[gap(1, 101, 101 + jump)], wall(100)), ..up.clone() };
        assert_eq!(ahead.need(wall(102 + jump), false, false), None);
        assert_eq!(ahead.need(wall(103), false, false), Some(Need::Recount));
        let right = Record { limits: ahead.limits.pulled_in(wall(103)), ..ahead };
        assert!(deadline(&right).unwrap() <= 103 + 70 + 60, "{right:?}");
        assert_eq!(right.need(wall(104), false, false), None);
        // Set back while it is waited for: from the moment it is read it is waited for as long as from the push.
        let back = Record { limits: up.limits.pulled_in(wall(100 - jump)), ..up };
        assert_eq!(deadline(&back), Some(170 - jump));
    }
}

/// Times in which nobody could push, one after another: how long it was well before, and how long it lasted.
fn gaps() -> impl Strategy<Value = Vec<Gap>> {
    prop::collection::vec((1_i64..600, 4_i64..1_200), 0..60).prop_map(|spans| {
        let mut at = 0;
        let gap_after = |(number, (pause, length))| {
            let began_s = at + pause;
            at = began_s + length;
            gap(number, began_s, at)
        };
        (0_i64..).zip(spans).map(gap_after).collect()
    })
}

fn known_by(gaps: &[Gap], now: i64) -> Vec<Gap> {
    gaps.iter().filter(|gap| gap.ended_at <= wall(now)).copied().collect()
}

/// Whether it is marked late at this second, by whoever looks at it then.
fn is_late(limit: Limit, gaps: &[Gap], now: i64) -> bool {
    let is_outage = gaps.iter().any(|gap| gap.began_at < wall(now) && wall(now) < gap.ended_at);
    let limits = Limits::of(limit).after_gaps(&known_by(gaps, now), wall(0));
    Record { state: State::Up, limits, ..Record::default() }.need(wall(now), false, is_outage) == Some(Need::MarkLate)
}

proptest! {
    #[test]
    fn a_dead_job_is_late_no_later_than_its_deadline_and_all_gaps_and_a_minute(
        gaps in gaps(), due in 1_i64..20_000, grace in 1_i64..4_000,
    ) {
        let limit = Limit::new(wall(0), wall(due), wall(due + grace));
        let total: i64 = gaps.iter().map(|gap| (gap.ended_at.0 - gap.began_at.0) / 1_000).sum();
        let late_at = counted(limit, &gaps);
        prop_assert!(late_at <= due + grace + total + 60);
        prop_assert!(is_late(limit, &gaps, late_at), "marked at once");
    }

    #[test]
    fn a_job_that_keeps_trying_for_a_minute_is_never_late_by_mistake(
        gaps in gaps(), due in 1_i64..20_000, grace in 1_i64..4_000, early in 0_i64..60, part in 0.0_f64..1.0, needs in 0_i64..60,
    ) {
        let limit = Limit::new(wall(0), wall(due), wall(due + grace));
        // Its first try, on time by its own clock.
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "seconds of a test")]
        let first = (due - early).max(0) + ((grace + early - 1) as f64 * part) as i64;
        let is_shut = |at: i64| gaps.iter().any(|gap| gap.began_at <= wall(at) && wall(at) < gap.ended_at);
        // Refused once, it gets through within a minute of open doors.
        let mut open = 0;
        let mut at = first;
        while is_shut(at) || is_shut(first) && open < needs {
            prop_assert!(!is_late(limit, &gaps, at), "late at {at}, first tried at {first}");
            open += i64::from(!is_shut(at));
            at += 1;
        }
        prop_assert!(!is_late(limit, &gaps, at), "late at {at}, first tried at {first}");
    }
}

#[test]
fn a_paused_heartbeat_is_never_late_and_what_it_says_counts_all_the_same() {
    let up = after(&Record::default(), 100, PushStatus::Ok);
    let paused = Record { is_paused: true, ..up };
    assert!(!paused.is_overdue(wall(100_000)));
    assert_eq!(paused.need(wall(100_000), false, false), None);
    let failed = after(&paused, 200, PushStatus::Fail);
    assert!(failed.is_paused && failed.state == State::Failed && failed.last_time_us == 200_000_000);
    assert_eq!(failed.need(wall(201), false, false), None, "nobody is told of it");
    assert_eq!(failed.need(wall(201), true, false), Some(Need::ResolveIncident), "what was told before is over");
    let resumed = Record { is_paused: false, ..failed };
    assert_eq!(resumed.need(wall(300), false, false), Some(Need::OpenIncident));
}
