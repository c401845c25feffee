//! Golden cases; those of cron and changing clocks are what croner 8.1.2 for JavaScript says, which Kuma 2.5.3 uses.

use super::*;

const BERLIN: &str = "Europe/Berlin";

#[test]
fn a_manual_window_is_on_as_long_as_it_is_switched_on() {
    let manual = WindowRow { end_date: text("2020-01-01 00:00:00"), ..window("manual") };
    assert_eq!(span_of(&manual, "2026-01-05T00:00:00Z"), Some(Span::ALWAYS));
}

#[test]
fn a_single_window_is_on_between_its_dates_in_its_own_zone() {
    let single = WindowRow {
        start_date: text("2026-07-01T22:00"),
        end_date: text("2026-07-02 01:30:00"),
        timezone: text(BERLIN),
        cron: text("-"),
        ..window("single")
    };
    assert!(!is_on(&single, "2026-07-01T19:59:59.999Z"));
    assert!(is_on(&single, "2026-07-01T20:00:00Z"));
    assert!(is_on(&single, "2026-07-01T23:30:00Z"), "the very end is part of it");
    assert!(!is_on(&single, "2026-07-01T23:30:00.001Z"));
}

#[test]
fn a_single_window_without_dates_or_with_dates_that_are_none_is_on() {
    assert!(is_on(&window("single"), "2026-07-01T20:00:00Z"));
    let garbled = WindowRow { start_date: text("soon"), end_date: text("0000-00-00 00:00:00"), ..window("single") };
    assert!(is_on(&garbled, "2026-07-01T20:00:00Z"));
}

#[test]
fn the_zone_of_the_server_counts_where_the_row_says_so_and_utc_where_it_says_nothing() {
    let dated = WindowRow { start_date: text("2026-07-01 22:00:00"), ..window("single") };
    let as_server = WindowRow { timezone: text("SAME_AS_SERVER"), ..dated.clone() };
    assert!(is_on(&as_server, "2026-07-01T20:00:00Z"));
    assert!(!is_on(&dated, "2026-07-01T20:00:00Z"));
    assert!(is_on(&dated, "2026-07-01T22:00:00Z"));
    let unknown = WindowRow { timezone: text("Europe/Atlantis"), ..dated };
    assert_eq!(refusal(&unknown), WindowError::Zone("Europe/Atlantis".to_owned()));
}

#[test]
fn a_weekday_window_that_crosses_midnight_is_on_on_the_next_day_too() {
    let sundays = WindowRow {
        cron: text("0 22 * * 0"),
        duration: Some(5 * 3_600),
        timezone: text(BERLIN),
        ..window("recurring-weekday")
    };
    assert!(!is_on(&sundays, "2026-01-11T20:59:59Z"));
    assert!(is_on(&sundays, "2026-01-11T21:00:00Z"));
    assert!(is_on(&sundays, "2026-01-12T01:59:59Z"), "Monday");
    assert!(!is_on(&sundays, "2026-01-12T02:00:00Z"));
    assert!(!is_on(&sundays, "2026-01-12T21:30:00Z"));
}

#[test]
fn dates_bound_what_recurs() {
    let nightly = WindowRow {
        cron: text("0 2 * * *"),
        duration: Some(7_200),
        start_date: text("2026-01-10 03:00:00"),
        end_date: text("2026-01-12 03:00:00"),
        timezone: text("UTC"),
        ..window("cron")
    };
    assert!(!is_on(&nightly, "2026-01-10T02:30:00Z"));
    assert!(is_on(&nightly, "2026-01-10T03:30:00Z"));
    assert!(is_on(&nightly, "2026-01-12T02:30:00Z"));
    assert!(!is_on(&nightly, "2026-01-12T03:30:00Z"));
}

#[test]
fn windows_begin_where_clocks_change_as_they_do_in_kuma() {
    for (cron, zone, after, expected) in [
        // Skipped: 02:00 to 03:00 in Berlin on 29 March.
        ("30 2 * * *", BERLIN, "2026-03-28T12:00:00Z", ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]),
        ("0 2 * * *", BERLIN, "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]),
        // Twice: 02:00 to 03:00 on 25 October.
        ("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", ["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]),
        ("0 * * * *", BERLIN, "2026-10-24T23:30:00Z", ["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]),
        ("0 0 * * *", "America/Santiago", "2026-09-05T10:00:00Z", ["2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"]),
    ] {
        let row = WindowRow { cron: text(cron), duration: Some(60), timezone: text(zone), ..window("cron") };
        assert_eq!(begins(&row, after), expected, "{cron} {zone}");
    }
}

#[test]
fn expressions_are_read_as_kumas_library_reads_them() {
    for (cron, expected) in [
        ("0 2 1,L * *", ["2026-01-31T02:00:00Z", "2026-02-01T02:00:00Z"]),
        ("0 0 13 * 5", ["2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"]),
        ("0/10 * * * *", ["2026-01-05T00:10:00Z", "2026-01-05T00:20:00Z"]),
        ("*/10 * * * * *", ["2026-01-05T00:00:10Z", "2026-01-05T00:00:20Z"]),
        ("0 2 * * SUN", ["2026-01-11T02:00:00Z", "2026-01-18T02:00:00Z"]),
        ("0 2 * * 1#2", ["2026-01-12T02:00:00Z", "2026-02-09T02:00:00Z"]),
        ("@daily", ["2026-01-06T00:00:00Z", "2026-01-07T00:00:00Z"]),
    ] {
        let row = WindowRow { cron: text(cron), duration: Some(5), timezone: text("UTC"), ..window("cron") };
        assert_eq!(begins(&row, "2026-01-05T00:00:00Z"), expected, "{cron}");
    }
    for cron in ["", "70 2 * * *", "0 2 * *", "0 0 2 * * * 2026", "nightly"] {
        let row = WindowRow { cron: text(cron), duration: Some(5), timezone: text("UTC"), ..window("cron") };
        assert!(matches!(refusal(&row), WindowError::Cron(..)), "{cron}");
    }
}

#[test]
fn an_interval_begins_after_its_first_day_as_in_kuma_and_counts_from_there() {
    let daily = WindowRow {
        cron: text("0 2  * * *"),
        duration: Some(3_600),
        start_date: text("2026-01-05 00:00:00"),
        start_time: text("02:00:00"),
        interval_day: Some(1),
        timezone: text(BERLIN),
        ..window("recurring-interval")
    };
    assert_eq!(begins(&daily, "2026-01-01T00:00:00Z"), ["2026-01-06T01:00:00Z", "2026-01-07T01:00:00Z"]);
    let third = WindowRow { interval_day: Some(3), ..daily.clone() };
    assert_eq!(begins(&third, "2026-01-01T00:00:00Z"), ["2026-01-06T01:00:00Z", "2026-01-09T01:00:00Z"]);
    assert_eq!(begins(&third, "2026-03-27T00:00:00Z"), ["2026-03-28T01:00:00Z", "2026-03-31T00:00:00Z"], "summer");
    let without_start = WindowRow { start_date: None, ..third };
    assert_eq!(begins(&without_start, "2026-01-01T12:00:00Z"), ["2026-01-02T01:00:00Z", "2026-01-03T01:00:00Z"]);
    assert_eq!(refusal(&WindowRow { start_time: None, ..daily }), WindowError::StartTime);
}

#[test]
fn a_row_of_an_old_version_gets_its_expression_as_kuma_makes_it() {
    let old = |strategy| WindowRow {
        start_time: text("23:30"),
        end_time: text("00:15:00"),
        weekdays: text("[5,1]"),
        days_of_month: text("[1,\"lastDay1\",\"lastDay2\"]"),
        ..window(strategy)
    };
    assert_eq!(begins(&old("recurring-weekday"), MONDAY), ["2026-01-05T23:30:00Z", "2026-01-09T23:30:00Z"]);
    assert_eq!(begins(&old("recurring-day-of-month"), MONDAY), ["2026-01-31T23:30:00Z", "2026-02-01T23:30:00Z"]);
    assert!(is_on(&old("recurring-interval"), "2026-01-06T00:14:59Z"));
    assert!(!is_on(&old("recurring-interval"), "2026-01-06T00:15:00Z"));
}

#[test]
fn a_row_full_of_nulls_never_begins_and_never_crashes() {
    for strategy in ["cron", "recurring-interval", "recurring-weekday", "recurring-day-of-month", "", "of a fork"] {
        assert!(Window::read(&window(strategy), &TimeZone::UTC).is_err(), "{strategy}");
    }
    let endless = WindowRow { cron: text("* * * * *"), ..window("cron") };
    assert_eq!(refusal(&endless), WindowError::Duration);
    let no_list = WindowRow { start_time: text("02:00"), weekdays: text("{"), ..window("recurring-weekday") };
    assert_eq!(refusal(&no_list), WindowError::Days("{".to_owned()));
    let no_day = WindowRow { weekdays: text("[]"), end_time: text("03:00"), ..no_list };
    assert!(matches!(refusal(&no_day), WindowError::Cron(..)));
    let never = WindowRow { cron: text("0 0 30 2 *"), duration: Some(60), ..window("cron") };
    assert_eq!(span_of(&never, MONDAY), None);
}

#[test]
fn a_window_that_begins_again_before_it_is_over_goes_on() {
    let row = WindowRow { cron: text("* * * * *"), duration: Some(60), timezone: text("UTC"), ..window("cron") };
    let span = span_of(&row, "2026-01-05T10:00:59.500Z").unwrap();
    assert!(span.contains(wall("2026-01-05T10:01:20Z")), "{span:?}");
}

#[test]
fn a_window_is_known_before_it_begins() {
    let row = WindowRow { cron: text("0 2 * * *"), duration: Some(60), timezone: text("UTC"), ..window("cron") };
    let span = span_of(&row, "2026-01-05T01:59:45Z").unwrap();
    assert_eq!(span, Span { from: wall("2026-01-05T02:00:00Z"), until: wall("2026-01-05T02:01:00Z") });
    assert_eq!(span_of(&row, "2026-01-05T01:59:15Z"), None);
}

const MONDAY: &str = "2026-01-05T00:00:00Z";

fn window(strategy: &str) -> WindowRow {
    WindowRow { strategy: strategy.to_owned(), ..WindowRow::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "columns may be NULL")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn wall(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}

/// Where the server is.
fn berlin() -> TimeZone {
    TimeZone::get(BERLIN).unwrap()
}

fn refusal(row: &WindowRow) -> WindowError {
    Window::read(row, &berlin()).unwrap_err()
}

fn span_of(row: &WindowRow, now: &str) -> Option<Span> {
    let now = wall(now);
    Window::read(row, &berlin()).unwrap().span(now, now + Duration::from_secs(30))
}

fn is_on(row: &WindowRow, now: &str) -> bool {
    span_of(row, now).is_some_and(|span| span.contains(wall(now)))
}

/// The next two beginnings.
fn begins(row: &WindowRow, after: &str) -> [String; 2] {
    let window = Window::read(row, &berlin()).unwrap();
    let mut at = wall(after);
    std::array::from_fn(|_| {
        at = window.span(Wall(at.0 + 1 + row.duration.unwrap_or(2_700) * 1_000), Wall(i64::MAX)).unwrap().from;
        Timestamp::from_millisecond(at.0).unwrap().to_string()
    })
}
