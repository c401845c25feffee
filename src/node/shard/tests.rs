//! The shard as a story: starts, runs, fences, edits.

use komainu_watchdogs::beginning::{Beginning, Past};
use komainu_watchdogs::time::{Mono, Wall};

use super::*;
use crate::run::RunStatus;

#[test]
fn a_monitor_runs_only_once_its_last_beat_is_read() {
    let mut shard = Shard::default();
    shard.start(Mono::secs(0), vec![http(1, 60)]);
    assert!(matches!(shard.next(Mono::secs(1), any), Next::Wait(None)));
    let (read, asked) = shard.unread(10).unwrap();
    assert_eq!(asked, [MonitorId(1)]);
    shard.remember(Mono::secs(2), read, &asked, &[]);
    assert_eq!(launched(&mut shard, Mono::secs(2)), [1]);
}

#[test]
fn a_thousand_monitors_start_within_four_seconds() {
    let mut shard = started((1..=1_000).map(|id| http(id, 60)).collect());
    assert_eq!(launched(&mut shard, Mono::secs(1)).len(), 251);
    assert_eq!(launched(&mut shard, Mono::secs(4)).len(), 749);
}

#[test]
fn the_next_run_begins_one_interval_after_the_last_one_began() {
    let mut shard = started(vec![http(1, 60)]);
    let launch = launch(&mut shard, Mono::secs(0));
    assert!(shard.finish(Mono::secs(7), done(&launch, Mono::secs(0), RunStatus::Up)).is_some());
    assert!(launched(&mut shard, Mono::secs(59)).is_empty());
    assert_eq!(launched(&mut shard, Mono::secs(60)), [1]);
}

#[test]
fn a_run_longer_than_its_interval_is_followed_at_once() {
    let mut shard = started(vec![http(1, 5)]);
    let launch = launch(&mut shard, Mono::secs(0));
    shard.finish(Mono::secs(9), done(&launch, Mono::secs(0), RunStatus::Up));
    assert_eq!(launched(&mut shard, Mono::secs(10)), [1]);
}

#[test]
fn a_pending_monitor_is_retried_at_its_retry_interval() {
    let spec = MonitorSpec { maxretries: 2, retry_interval: 10, ..http(1, 60) };
    let mut shard = started(vec![spec]);
    let launch = launch(&mut shard, Mono::secs(0));
    let queued = shard.finish(Mono::secs(1), done(&launch, Mono::secs(0), RunStatus::Down)).unwrap();
    assert_eq!(queued.beat.status, BeatStatus::Pending);
    assert_eq!(launched(&mut shard, Mono::secs(10)), [1]);
}

#[test]
fn what_may_have_ended_a_node_waits_for_its_turn_and_says_when_it_is_over() {
    let mut shard = Shard::default();
    shard.start(Mono::secs(0), vec![http(1, 60), http(2, 60), push(3, "abc")]);
    let (read, asked) = shard.unread(10).unwrap();
    assert_eq!(shard.unknown(&asked), asked);
    let past = Past { started_after: Some(4), ..Past::default() };
    shard.recall(&[(MonitorId(1), past), (MonitorId(2), past), (MonitorId(3), past)]);
    shard.remember(Mono::secs(0), read, &asked, &[last_beat(2, BeatStatus::Up, 101_000)]);
    assert_eq!(launched(&mut shard, Mono::secs(2)), [2], "it has run since");
    assert_eq!(shard.said(), [RunNews::Started, RunNews::Wants(MonitorId(1), Beginning::Apart)]);
    assert!(shard.unknown(&asked).is_empty() && launched(&mut shard, Mono::secs(3)).is_empty());
    shard.begin_apart(Mono::secs(8), [MonitorId(1), MonitorId(2), MonitorId(9)]);
    let launch = launch(&mut shard, Mono::secs(8));
    assert_eq!((launch.monitor.id, shard.said()), (MonitorId(1), vec![]));
    assert!(shard.finish(Mono::secs(9), done(&launch, Mono::secs(8), RunStatus::Down)).is_some());
    assert_eq!(shard.said(), [RunNews::Over(MonitorId(1))]);
    assert!(launched(&mut shard, Mono::secs(100)).contains(&1), "from now on it is as any other");
}

#[test]
fn that_only_a_stock_kuma_can_look_is_said_once_for_each_target() {
    let mut shard = started(vec![http(1, 60)]);
    shard.said();
    let run = |shard: &mut Shard, second: u64| {
        let launch = launch(shard, Mono::secs(second));
        let mut done = done(&launch, Mono::secs(second), RunStatus::Unable);
        if let RunOutcome::Result(result) = &mut done.outcome {
            result.is_only_kumas = true;
        }
        assert!(shard.finish(Mono::secs(second), done).is_some(), "it is stored as what it is");
        shard.said()
    };
    assert_eq!(run(&mut shard, 0), [RunNews::OnlyKuma(MonitorId(1))]);
    assert_eq!(run(&mut shard, 60), []);
    shard.compare(Mono::secs(61), (0, 1), vec![MonitorSpec { url: Some("https://other/".to_owned()), ..http(1, 60) }]);
    assert_eq!(run(&mut shard, 120), [RunNews::OnlyKuma(MonitorId(1))]);
}

#[test]
fn what_is_stopped_while_it_waits_for_its_turn_waits_no_more() {
    let mut shard = Shard::default();
    shard.start(Mono::secs(0), vec![http(1, 60)]);
    let (read, asked) = shard.unread(10).unwrap();
    let past = Past { started_after: Some(4), begun_with: Some(1), last_beat: None };
    shard.recall(&[(MonitorId(1), past)]);
    shard.remember(Mono::secs(0), read, &asked, &[]);
    assert!(launched(&mut shard, Mono::secs(2)).is_empty());
    assert_eq!(shard.said(), [RunNews::Started, RunNews::Wants(MonitorId(1), Beginning::PutAside)]);
    shard.stop(&BTreeSet::from([MonitorId(1)]));
    assert_eq!(shard.said(), [RunNews::Over(MonitorId(1))]);
}

#[test]
fn a_result_of_a_monitor_that_was_stopped_is_thrown_away() {
    let mut shard = started(vec![http(1, 60)]);
    let launch = launch(&mut shard, Mono::secs(0));
    assert_eq!(shard.stop(&BTreeSet::from([MonitorId(1)])), [launch.run]);
    assert!(shard.finish(Mono::secs(1), done(&launch, Mono::secs(0), RunStatus::Up)).is_none());
}

#[test]
fn a_result_of_an_earlier_tenure_is_thrown_away() {
    let mut shard = started(vec![http(1, 60)]);
    let launch = launch(&mut shard, Mono::secs(0));
    shard.stop(&BTreeSet::from([MonitorId(1)]));
    start(&mut shard, Mono::secs(1), vec![http(1, 60)]);
    assert!(shard.finish(Mono::secs(2), done(&launch, Mono::secs(0), RunStatus::Up)).is_none());
}

#[test]
fn a_fence_suspends_all_and_all_go_on_within_ten_seconds_whatever_their_interval() {
    let mut shard = started((1..=100).map(|id| http(id, 3_600)).collect());
    for launch in launches(&mut shard, Mono::secs(5)) {
        shard.finish(Mono::secs(6), done(&launch, Mono::secs(5), RunStatus::Up));
    }
    shard.fence();
    assert!(matches!(shard.next(Mono::secs(4_000), any), Next::Fenced));
    shard.resume(Mono::secs(4_000));
    let mut resumed = launched(&mut shard, Mono::secs(4_010));
    resumed.sort_unstable();
    assert_eq!(resumed, (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_run_that_the_fence_overtook_does_not_keep_its_monitor_from_a_new_one() {
    let mut shard = started(vec![http(1, 3_600)]);
    let slow = launch(&mut shard, Mono::secs(0));
    assert_eq!(shard.fence(), [slow.run]);
    shard.resume(Mono::secs(30));
    assert_eq!(launched(&mut shard, Mono::secs(40)), [1]);
    assert!(shard.finish(Mono::secs(41), done(&slow, Mono::secs(0), RunStatus::Down)).is_none());
}

#[test]
fn a_lease_that_does_not_allow_runs_is_noticed_at_the_next_run() {
    let mut shard = started(vec![http(1, 60)]);
    assert!(matches!(shard.next(Mono::secs(1), |_| Err(Fence::LeaseTooOld)), Next::Fenced));
    assert_eq!(launched(&mut shard, Mono::secs(1)), [1], "it is still due");
}

#[test]
fn a_run_whose_right_ended_before_it_asked_is_due_again() {
    let mut shard = started(vec![http(1, 60)]);
    let launch = launch(&mut shard, Mono::secs(0));
    let refused = RunDone { outcome: RunOutcome::NotAllowed, ..done(&launch, Mono::secs(0), RunStatus::Up) };
    assert!(shard.finish(Mono::secs(1), refused).is_none());
    assert_eq!(launched(&mut shard, Mono::secs(1)), [1]);
}

#[test]
fn a_monitor_that_is_not_mine_does_not_suspend_the_others() {
    let mut shard = started(vec![http(1, 60), http(2, 60)]);
    let not_the_first = |monitor| if monitor == MonitorId(1) { Err(Fence::NotMine) } else { Ok(()) };
    let Next::Run(launch) = shard.next(Mono::secs(60), not_the_first) else { panic!("the second one runs") };
    assert_eq!(launch.monitor.id, MonitorId(2));
}

#[test]
fn an_edited_monitor_is_restarted_and_keeps_its_memory() {
    let mut shard = started(vec![http(1, 3_600)]);
    let first = launch(&mut shard, Mono::secs(0));
    shard.finish(Mono::secs(1), done(&first, Mono::secs(0), RunStatus::Up));
    let edited = MonitorSpec { url: Some("http://elsewhere/".to_owned()), ..http(1, 3_600) };
    let (_, differs) = shard.compare(Mono::secs(2), (1, 5), vec![edited]);
    assert!(!differs);
    let again = launch(&mut shard, Mono::secs(2));
    assert_eq!(again.monitor.url.as_deref(), Some("http://elsewhere/"));
    let queued = shard.finish(Mono::secs(3), done(&again, Mono::secs(2), RunStatus::Up)).unwrap();
    assert!(!queued.beat.important);
}

#[test]
fn monitors_that_came_or_went_are_told() {
    let mut shard = started(vec![http(1, 60), http(5, 60), http(6, 60)]);
    assert!(!shard.compare(Mono::secs(2), (1, 5), vec![http(1, 60), http(6, 60)]).1);
    assert!(shard.compare(Mono::secs(2), (1, 5), vec![http(1, 60)]).1);
    assert!(shard.compare(Mono::secs(2), (0, 5), vec![http(5, 60), http(10, 60)]).1);
}

#[test]
fn kinds_that_cannot_be_run_are_held_but_not_run() {
    let docker = MonitorSpec { kind: "docker".to_owned(), ..http(1, 60) };
    let mut shard = started(vec![docker.clone()]);
    assert_eq!((shard.len(), launched(&mut shard, Mono::secs(100)).len()), (1, 0));
    assert!(!shard.compare(Mono::secs(2), (1, 5), vec![docker]).1);
}

#[test]
fn after_a_beat_was_thrown_away_the_next_one_is_judged_against_the_database() {
    let mut shard = started(vec![http(1, 60)]);
    let first = launch(&mut shard, Mono::secs(0));
    let lost = shard.finish(Mono::secs(1), done(&first, Mono::secs(0), RunStatus::Down)).unwrap();
    assert!(lost.beat.important);
    shard.redo(Mono::secs(2), &[MonitorId(1)]);
    assert!(matches!(shard.next(Mono::secs(3), any), Next::Wait(None)));
    let (read, asked) = shard.unread(10).unwrap();
    shard.remember(Mono::secs(3), read, &asked, &[last_beat(1, BeatStatus::Up, 0)]);
    let second = launch(&mut shard, Mono::secs(3));
    let queued = shard.finish(Mono::secs(4), done(&second, Mono::secs(3), RunStatus::Down)).unwrap();
    assert!(queued.beat.important && queued.is_fresh);
}

#[test]
fn a_read_that_began_before_a_beat_was_lost_does_not_count() {
    let mut shard = Shard::default();
    shard.start(Mono::secs(0), vec![http(1, 60)]);
    let (stale, asked) = shard.unread(10).unwrap();
    shard.forget(&[MonitorId(1)]);
    shard.remember(Mono::secs(1), stale, &asked, &[]);
    assert_eq!(launched(&mut shard, Mono::secs(1)).len(), 0);
    assert!(shard.unread(10).is_some());
}

#[test]
fn a_failed_read_is_repeated() {
    let mut shard = Shard::default();
    shard.start(Mono::secs(0), vec![http(1, 60)]);
    let (read, asked) = shard.unread(10).unwrap();
    shard.remember_failed(read, &asked);
    assert_eq!(shard.unread(10).map(|(_, asked)| asked), Some(vec![MonitorId(1)]));
}

#[test]
fn beats_that_somebody_else_makes_of_a_monitor_held_for_long_are_counted_once() {
    let mut shard = started(vec![http(1, 60)]);
    let launch = launch(&mut shard, Mono::secs(0));
    shard.finish(Mono::secs(1), done(&launch, Mono::secs(0), RunStatus::Up));
    let own = [last_beat(1, BeatStatus::Up, 0)];
    let foreign = [last_beat(1, BeatStatus::Up, 20_000)];
    assert_eq!(shard.count_foreign(Mono::secs(100), &own), 0);
    assert_eq!(shard.count_foreign(Mono::secs(30), &foreign), 0, "not held for long");
    let foreign = [last_beat(1, BeatStatus::Up, 30_000)];
    assert_eq!(shard.count_foreign(Mono::secs(100), &foreign), 1);
    assert_eq!(shard.count_foreign(Mono::secs(135), &foreign), 0, "counted already");
}

#[test]
fn beats_made_before_the_own_clock_stepped_are_not_foreign() {
    for step in [3_600_000, 86_400_000, -3_600_000, -86_400_000] {
        let mut shard = started(vec![http(1, 60)]);
        let mut stored = 0;
        for run in 1..=5 {
            let mut done = done(&launch(&mut shard, Mono::secs(run * 60)), Mono::secs(run * 60), RunStatus::Up);
            // The third run is the first after the step.
            let at = Wall(done.times.began_at.0 + if run < 3 { step } else { 0 });
            done.times = Times { began_at: at, ended_at: at };
            shard.finish(Mono::secs(run * 60), done);
            stored += 1;
            let last = LastBeat { id: stored, ..last_beat(1, BeatStatus::Up, at.0) };
            assert_eq!(shard.count_foreign(Mono::secs(run * 60 + 30), &[last]), 0, "{step}, run {run}");
        }
        let foreign = LastBeat { id: stored + 1, ..last_beat(1, BeatStatus::Up, 330_000) };
        assert_eq!(shard.count_foreign(Mono::secs(340), &[foreign]), 1, "{step}");
    }
}

#[test]
fn pushes_after_the_own_clock_stepped_back_bear_the_time_that_is_and_their_absence_is_noticed() {
    let mut shard = started(vec![push(1, "abc")]);
    let said = Report { is_up: true, msg: "OK".to_owned(), ping_ms: None };
    shard.push((Mono::secs(60), Wall(3_660_000)), "abc", said.clone(), false);
    let Pushed::Beat(queued) = shard.push((Mono::secs(61), Wall(61_000)), "abc", said.clone(), false) else { panic!() };
    assert_eq!(queued.beat.time, Wall(61_000));
    let Pushed::Beat(queued) = shard.push((Mono::secs(61), Wall(61_000)), "abc", said, false) else { panic!() };
    assert_eq!(queued.beat.time, Wall(61_001), "two pushes of one millisecond are two");
    let look = launch(&mut shard, Mono::secs(125));
    assert_eq!(look.heard_at, Mono::secs(61));
}

#[test]
fn what_was_settled_before_own_trouble_survives_a_restart() {
    for (settled, is_news) in [(BeatStatus::Down, true), (BeatStatus::Up, false)] {
        let mut shard = Shard::new(StartSpread::default());
        shard.start(Mono::secs(0), vec![http(1, 60)]);
        let (read, asked) = shard.unread(10).unwrap();
        let last = LastBeat { settled: Some(settled), ..last_beat(1, BeatStatus::Pending, 1_000) };
        shard.remember(Mono::secs(0), read, &asked, &[last]);
        let launch = launch(&mut shard, Mono::secs(60));
        let queued = shard.finish(Mono::secs(61), done(&launch, Mono::secs(60), RunStatus::Up)).unwrap();
        assert_eq!(queued.beat.important, is_news, "{settled:?}");
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where the tenure answers")]
fn any(_: MonitorId) -> Result<(), Fence> {
    Ok(())
}

#[test]
fn a_push_monitor_is_looked_at_when_its_interval_is_over_and_not_before() {
    let mut shard = started(vec![push(1, "abc")]);
    // Ten seconds until whoever pushes has found the way here.
    assert!(launched(&mut shard, Mono::secs(69)).is_empty());
    assert_eq!(launch(&mut shard, Mono::secs(70)).heard_at, Mono::secs(10));
    let edited = MonitorSpec { name: "another".to_owned(), ..push(1, "abc") };
    shard.compare(Mono::secs(71), (0, 1), vec![edited]);
    assert!(launched(&mut shard, Mono::secs(130)).is_empty());
    assert_eq!(launch(&mut shard, Mono::secs(131)).heard_at, Mono::secs(71), "an edit is no take-over");
}

#[test]
fn whoever_pushes_has_an_interval_from_when_a_push_could_be_taken() {
    let mut shard = Shard::default();
    shard.start(Mono::secs(0), vec![push(1, "abc")]);
    let (read, asked) = shard.unread(100).unwrap();
    assert!(launched(&mut shard, Mono::secs(90)).is_empty(), "its last beat is not known yet");
    shard.remember(Mono::secs(95), read, &asked, &[]);
    assert!(launched(&mut shard, Mono::secs(154)).is_empty());
    assert_eq!(launch(&mut shard, Mono::secs(155)).heard_at, Mono::secs(95));
}

#[test]
fn a_push_becomes_a_beat_and_makes_the_look_under_way_worthless() {
    let mut shard = started(vec![push(1, "abc")]);
    let look = launch(&mut shard, Mono::secs(70));
    let said = Report { is_up: true, msg: "OK".to_owned(), ping_ms: None };
    let pushed = shard.push((Mono::secs(70), Wall(60_000)), "abc", said.clone(), false);
    let Pushed::Beat(queued) = pushed else { panic!("{pushed:?}") };
    assert_eq!((queued.beat.status, queued.beat.time), (BeatStatus::Up, Wall(60_000)));
    assert!(shard.finish(Mono::secs(71), done(&look, Mono::secs(70), RunStatus::Down)).is_none());
    let next = launch(&mut shard, Mono::secs(130));
    assert_eq!(next.previous.as_ref().map(|previous| previous.time), Some(Wall(60_000)));
    let again = RunDone {
        outcome: RunOutcome::LookAgain(Duration::from_secs(9)),
        ..done(&next, Mono::secs(130), RunStatus::Up)
    };
    assert!(shard.finish(Mono::secs(130), again).is_none());
    assert_eq!(launched(&mut shard, Mono::secs(139)), [1]);
}

#[test]
fn a_token_that_is_not_held_or_was_changed_is_unknown() {
    let mut shard = started(vec![push(1, "abc"), http(2, 60)]);
    let said = Report { is_up: true, msg: "OK".to_owned(), ping_ms: None };
    shard.compare(Mono::secs(1), (0, 1), vec![push(1, "new"), http(2, 60)]);
    assert_eq!(shard.push((Mono::secs(1), Wall(0)), "abc", said.clone(), false), Pushed::Unknown);
    assert!(matches!(shard.push((Mono::secs(1), Wall(0)), "new", said.clone(), false), Pushed::Beat(_)));
    shard.stop(&BTreeSet::from([MonitorId(1)]));
    assert_eq!(shard.push((Mono::secs(1), Wall(0)), "new", said, false), Pushed::Unknown);
}

#[test]
fn a_push_before_the_last_beat_is_read_has_to_wait() {
    let mut shard = Shard::default();
    shard.start(Mono::secs(0), vec![push(1, "abc")]);
    let said = Report { is_up: true, msg: "OK".to_owned(), ping_ms: None };
    assert_eq!(shard.push((Mono::secs(0), Wall(0)), "abc", said, false), Pushed::Unread);
}

fn push(id: i64, token: &str) -> MonitorSpec {
    MonitorSpec { kind: "push".to_owned(), push_token: Some(token.to_owned()), ..http(id, 60) }
}

fn http(id: i64, interval: u32) -> MonitorSpec {
    MonitorSpec { id: MonitorId(id), interval, ..MonitorSpec::default() }
}

/// Started at second 0, with no beat before.
fn started(specs: Vec<MonitorSpec>) -> Shard {
    let mut shard = Shard::default();
    start(&mut shard, Mono::secs(0), specs);
    shard
}

fn start(shard: &mut Shard, now: Mono, specs: Vec<MonitorSpec>) {
    shard.start(now, specs);
    while let Some((read, asked)) = shard.unread(100) {
        shard.remember(now, read, &asked, &[]);
    }
}

fn launches(shard: &mut Shard, now: Mono) -> Vec<Launch> {
    let mut launches = Vec::new();
    while let Next::Run(launch) = shard.next(now, any) {
        launches.push(launch);
    }
    launches
}

fn launched(shard: &mut Shard, now: Mono) -> Vec<i64> {
    launches(shard, now).iter().map(|launch| launch.monitor.id.0).collect()
}

fn launch(shard: &mut Shard, now: Mono) -> Launch {
    match shard.next(now, any) {
        Next::Run(launch) => launch,
        other @ (Next::Wait(_) | Next::Fenced) => panic!("nothing to run: {other:?}"),
    }
}

fn done(launch: &Launch, began_at: Mono, status: RunStatus) -> RunDone {
    let began_wall = Wall(i64::try_from(began_at.as_micros() / 1_000).unwrap());
    RunDone {
        monitor: launch.monitor.id,
        run: launch.run,
        began_at,
        times: Times { began_at: began_wall, ended_at: began_wall },
        outcome: RunOutcome::Result(RunResult::new(status, "said")),
    }
}

fn last_beat(id: i64, status: BeatStatus, at_ms: i64) -> LastBeat {
    LastBeat {
        id: at_ms,
        monitor: MonitorId(id),
        status,
        important: false,
        time: Wall(at_ms),
        down_count: 0,
        retries: 0,
        msg: String::new(),
        ping_ms: None,
        settled: None,
    }
}
