//! What is counted of checks: by watchdog and minute, folded into hours and days, and gone when its time has come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use komainu::check::{Draft, Guard};
use komainu::clock;
use komainu::store::checks::{self, Counted, Counts, Minute, Span, Target, Wish};
use komainu::store::prune::check_statistics::CheckStatistics;
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use serde_json::json;

use super::fixture::{Fixture, Kind};
use super::on_both_databases;

on_both_databases! {
    a_minute_that_is_entered_again_because_its_answer_was_lost_counts_once,
    looks_of_one_minute_add_up_and_of_verdicts_the_longest_is_believed,
    hours_and_days_are_made_of_what_they_consist_of_however_often,
    hours_and_days_are_made_also_of_checks_that_are_paused_or_looked_at_seldom,
    what_a_process_left_that_ended_hours_ago_is_made_by_the_next,
    an_uptime_misses_nothing_while_an_hour_or_a_day_is_over_and_not_made_yet,
    an_uptime_is_of_the_time_in_which_anybody_could_say,
    what_is_too_old_goes_and_what_was_counted_of_a_deleted_check_goes_too,
    of_a_check_that_is_not_there_nothing_is_counted,
}

async fn make(fixture: &Fixture, name: &str) {
    let fields = json!({"name": name, "type": "ping", "hostname": "a.example"});
    let (draft, _) = Draft::read_what_can_be(fields.as_object().unwrap());
    let wish = Wish { target: Target::New, draft, if_match: vec![] };
    checks::write(&fixture.store, "key/test", &[wish], &Guard::default()).await.unwrap().unwrap();
}

fn looks(up: u32, failed: u32) -> Counts {
    Counts { up, failed, ms_sum: u64::from(up) * 20, ms_most: 30, ..Counts::default() }
}

fn stood(up_s: u32, down_s: u32, unknown_s: u32) -> Counts {
    Counts { up_s, down_s, unknown_s, ..Counts::default() }
}

/// Minutes of one process bear ever higher numbers.
static LAST: AtomicU64 = AtomicU64::new(0);

fn minute(at: i64, looks: Counts, verdict: Counts) -> Minute {
    let of = |counts| BTreeMap::from([("shop".to_owned(), counts)]);
    Minute { number: LAST.fetch_add(1, Ordering::Relaxed), at, looks: of(looks), verdicts: of(verdict) }
}

const PROCESS: Incarnation = Incarnation(7);

async fn count(fixture: &Fixture, watchdog: &str, minute: &Minute) {
    count_of(fixture, (watchdog, PROCESS), minute).await;
}

async fn count_of(fixture: &Fixture, (watchdog, process): (&str, Incarnation), minute: &Minute) {
    checks::count(&fixture.store, (&WatchdogId::from(watchdog), process), minute).await.unwrap();
}

async fn rows(fixture: &Fixture, span: Span) -> Vec<Counted> {
    checks::history(&fixture.store, "shop", span, 0..i64::MAX).await.unwrap()
}

async fn looks_of_one_minute_add_up_and_of_verdicts_the_longest_is_believed(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    for (watchdog, up, verdict) in [("w1", 2, stood(20, 0, 5)), ("w1", 1, stood(3, 1, 0)), ("w2", 3, stood(30, 30, 0))]
    {
        count(&fixture, watchdog, &minute(600, looks(up, 1), verdict)).await;
    }
    count(&fixture, "w3", &minute(600, looks(0, 0), stood(0, 0, 59))).await;
    let counted = rows(&fixture, Span::Minute).await;
    let of = |watchdog: Option<&str>| {
        let row = counted.iter().find(|row| row.watchdog.as_ref().map(WatchdogId::as_str) == watchdog);
        row.unwrap().counts
    };
    assert_eq!(of(Some("w1")), Counts { failed: 2, ..looks(3, 0) });
    assert_eq!(of(Some("w2")), looks(3, 1));
    assert_eq!(of(None), stood(30, 30, 0), "who watched longest knows");
}

async fn a_minute_that_is_entered_again_because_its_answer_was_lost_counts_once(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    let of_w1 = async || {
        let counted = rows(&fixture, Span::Minute).await;
        counted.iter().find(|row| row.watchdog.is_some()).unwrap().counts
    };
    let (first, second) = (minute(600, looks(2, 1), stood(60, 0, 0)), minute(600, looks(1, 0), stood(3, 0, 0)));
    for _ in 0..3 {
        count(&fixture, "w1", &first).await;
    }
    assert_eq!(of_w1().await, looks(2, 1), "it is the same minute of the same process");
    count(&fixture, "w1", &second).await;
    count(&fixture, "w1", &first).await;
    assert_eq!(of_w1().await, Counts { failed: 1, ..looks(3, 0) }, "a clock that was set back made another of it");
    count_of(&fixture, ("w1", Incarnation(8)), &first).await;
    assert_eq!(
        of_w1().await,
        Counts { failed: 2, ..looks(5, 0) },
        "and so did another process, which counts from 1 too"
    );
    count(&fixture, "w2", &first).await;
    assert_eq!(rows(&fixture, Span::Minute).await.len(), 3, "w1, w2 and the verdict");
}

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// Of the verdict, or of the looks.
async fn made(fixture: &Fixture, span: Span, is_verdict: bool) -> Vec<(i64, Counts)> {
    let rows = rows(fixture, span).await;
    rows.iter().filter(|row| row.watchdog.is_none() == is_verdict).map(|row| (row.at, row.counts)).collect()
}

async fn hours_and_days_are_made_of_what_they_consist_of_however_often(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    for at in [DAY, DAY + 60, DAY + HOUR, DAY + 23 * HOUR, 2 * DAY] {
        count(&fixture, "w1", &minute(at, looks(2, 1), stood(50, 10, 0))).await;
    }
    // The clock was set back, and comes there once more.
    count(&fixture, "w1", &minute(2 * DAY - 60, looks(0, 0), stood(0, 0, 0))).await;
    count(&fixture, "w1", &minute(2 * DAY + 60, looks(0, 0), stood(0, 0, 0))).await;
    let hours = [(DAY, stood(100, 20, 0)), (DAY + HOUR, stood(50, 10, 0)), (DAY + 23 * HOUR, stood(50, 10, 0))];
    assert_eq!(made(&fixture, Span::Hour, true).await, hours);
    let day = Counts { failed: 4, ms_sum: 160, ..looks(8, 0) };
    assert_eq!(made(&fixture, Span::Day, false).await, [(DAY, day)]);
}

async fn hours_and_days_are_made_also_of_checks_that_are_paused_or_looked_at_seldom(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    count(&fixture, "w1", &minute(2 * DAY - 120, looks(1, 0), stood(60, 0, 0))).await;
    let nothing =
        |at| Minute { looks: BTreeMap::new(), verdicts: BTreeMap::new(), ..minute(at, looks(0, 0), stood(0, 0, 0)) };
    for at in [2 * DAY - 60, 2 * DAY] {
        count(&fixture, "w1", &nothing(at)).await;
    }
    for (span, at) in [(Span::Hour, 2 * DAY - HOUR), (Span::Day, DAY)] {
        assert_eq!(made(&fixture, span, true).await, [(at, stood(60, 0, 0))]);
        assert_eq!(made(&fixture, span, false).await, [(at, looks(1, 0))]);
    }
}

async fn what_a_process_left_that_ended_hours_ago_is_made_by_the_next(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    count(&fixture, "w1", &minute(2 * DAY - 2 * HOUR, looks(1, 0), stood(60, 0, 0))).await;
    count_of(&fixture, ("w1", Incarnation(8)), &minute(2 * DAY + 5 * HOUR, looks(1, 0), stood(60, 0, 0))).await;
    assert_eq!(made(&fixture, Span::Hour, true).await, [(2 * DAY - 2 * HOUR, stood(60, 0, 0))]);
    assert_eq!(made(&fixture, Span::Day, true).await, [(DAY, stood(60, 0, 0))]);
    // Of an hour whose minutes are deleted by now what was made of them is left.
    count_of(&fixture, ("w1", Incarnation(9)), &minute(4 * DAY, looks(1, 0), stood(60, 0, 0))).await;
    assert_eq!(made(&fixture, Span::Hour, true).await.len(), 1);
}

async fn an_uptime_misses_nothing_while_an_hour_or_a_day_is_over_and_not_made_yet(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    for at in [DAY, DAY + 12 * HOUR, 2 * DAY - 60] {
        count(&fixture, "w1", &minute(at, looks(1, 1), stood(20, 40, 0))).await;
    }
    for now in [2 * DAY, 2 * DAY + 30] {
        for days in [7, 30, 90] {
            let was = checks::availability(&fixture.store, "shop", days, now).await.unwrap();
            assert_eq!(was.counts.down_s, 120, "{days} days at {now}");
        }
    }
    count(&fixture, "w1", &minute(2 * DAY, looks(1, 1), stood(20, 40, 0))).await;
    for later in [60, HOUR + 60, DAY + 60, 2 * DAY + 60] {
        let now = 2 * DAY + later;
        count(&fixture, "w1", &minute(now, looks(0, 0), stood(0, 0, 0))).await;
        for days in [7, 30, 90] {
            let was = checks::availability(&fixture.store, "shop", days, now + 60).await.unwrap();
            assert_eq!((was.counts.down_s, was.counts.up), (160, 4), "{days} days, {later} s later");
        }
    }
}

async fn an_uptime_is_of_the_time_in_which_anybody_could_say(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    let now = 100 * DAY + 7_300;
    let week = 96 * DAY;
    count(&fixture, "w1", &minute(week, looks(0, 3), stood(0, 40, 0))).await;
    count(&fixture, "w1", &minute(week + HOUR, looks(0, 0), stood(0, 0, 0))).await;
    count(&fixture, "w1", &minute(week + DAY, looks(0, 0), stood(0, 0, 0))).await;
    let at = Span::Minute.of(now) - 60;
    count(&fixture, "w1", &minute(at, looks(2, 1), stood(30, 10, 20))).await;
    count(&fixture, "w2", &minute(at, looks(2, 1), stood(30, 10, 20))).await;
    let of = async |days| checks::availability(&fixture.store, "shop", days, now).await.unwrap();
    let day = of(1).await;
    assert_eq!((day.share(), day.avg_ms(), day.counts.unknown_s), (Some(0.75), Some(20.0), 20));
    for days in [7, 30, 90] {
        assert_eq!(of(days).await.share(), Some(30.0 / 80.0), "{days} days");
    }
    assert_eq!(checks::availability(&fixture.store, "gone", 1, now).await.unwrap().share(), None);
}

async fn what_is_too_old_goes_and_what_was_counted_of_a_deleted_check_goes_too(kind: Kind) {
    let mut fixture = Fixture::native(kind).await;
    make(&fixture, "shop").await;
    let now = clock::wall().0 / 1_000;
    for at in [now - 27 * 3_600, now - 25 * 3_600] {
        count(&fixture, "w1", &minute(Span::Minute.of(at), looks(1, 0), stood(60, 0, 0))).await;
    }
    assert_eq!(CheckStatistics::default().step(&fixture.store).await.unwrap(), 0);
    assert_eq!(rows(&fixture, Span::Minute).await.len(), 2, "one of the looks, one of the verdict");
    checks::delete(&fixture.store, "key/test", "shop", &[]).await.unwrap().unwrap();
    make(&fixture, "shop").await;
    assert_eq!(rows(&fixture, Span::Minute).await, [], "another check of the same name begins anew");
    CheckStatistics::default().step(&fixture.store).await.unwrap();
    let left = fixture.raw.rows("SELECT COUNT(*) FROM komainu_check_stat").await;
    assert_eq!(left, [["0"]]);
}

async fn of_a_check_that_is_not_there_nothing_is_counted(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    count(&fixture, "w1", &minute(600, looks(1, 0), stood(60, 0, 0))).await;
    assert_eq!(rows(&fixture, Span::Minute).await, []);
}
