use komainu_watchdogs::io::Severity;

use super::*;

const NOW: Wall = Wall(1_764_460_800_000);

fn labels<'a>(key: &'a str, tags: &'a [String]) -> Labels<'a> {
    Labels { key, severity: Severity::Critical, tags, node: Some("eu-1"), channel: "ops" }
}

fn silence(matchers: &[&str]) -> NewSilence {
    NewSilence {
        matchers: matchers.iter().map(|text| Matcher::parse(text).unwrap()).collect(),
        starts_at: NOW,
        ends_at: NOW + Duration::from_secs(3_600),
        until_resolved: false,
        recurrence: None,
        author: "ada".to_owned(),
        comment: "the switch is replaced".to_owned(),
        window: None,
    }
}

#[test]
fn a_matcher_is_like_alertmanagers() {
    let tags = ["shop".to_owned(), "eu".to_owned()];
    for (matcher, takes) in [
        ("kind=monitor", true),
        ("kind=\"monitor\"", true),
        ("kind=node", false),
        ("key=monitor/7", true),
        ("key=~monitor/[0-9]+", true),
        ("key=~monitor", false),
        ("severity=critical", true),
        ("severity!=critical", false),
        ("tag=shop", true),
        ("tag=eu", true),
        ("tag!=shop", false),
        ("tag!=us", true),
        ("tag=~sh.p", true),
        ("tag!~sh.p", false),
        ("node=eu-1", true),
        ("node!~eu-.*", false),
        ("channel=ops", true),
        ("channel=phone", false),
    ] {
        assert_eq!(Matcher::parse(matcher).unwrap().takes(&labels("monitor/7", &tags)), takes, "{matcher}");
    }
    let nothing = Labels { node: None, ..labels("leader", &[]) };
    assert!(Matcher::parse("node=").unwrap().takes(&nothing), "what is not there is empty");
    assert!(Matcher::parse("tag=").unwrap().takes(&nothing));
    assert!(Matcher::parse("node=n1").unwrap().takes(&Labels { node: None, ..labels("node/n1", &[]) }));
}

#[test]
fn a_matcher_is_written_as_it_is_read_and_a_wrong_one_says_why() {
    for text in ["kind=\"monitor\"", "key=~\"monitor/.*\"", "tag!=\"shop\"", "node!~\"eu-.*\""] {
        assert_eq!(Matcher::parse(text).unwrap().to_string(), text);
    }
    for (text, why) in [
        ("monitor", "must be like kind=monitor"),
        ("colour=red", "of kind, key, severity, tag, node, channel"),
        ("key=~(", "is no regular expression"),
        ("key=~(((a{90}){90}){90})", "too large"),
    ] {
        let refused = Matcher::parse(text).unwrap_err();
        assert!(refused.contains(why), "{text}: {refused}");
    }
}

#[test]
fn all_matchers_must_hold_and_no_silence_holds_words_about_silences() {
    let both = silence(&["kind=monitor", "tag=shop"]);
    assert!(both.takes(&labels("monitor/7", &["shop".to_owned()])));
    assert!(!both.takes(&labels("monitor/7", &[])));
    let all = silence(&["kind=~.+"]);
    assert!(all.takes(&labels("node/n1", &[])) && !all.takes(&labels("silence/7", &[])));
}

#[test]
fn what_holds_where_there_is_nothing_names_nothing() {
    for (matcher, is_nothing) in [
        ("tag=", true),
        ("tag=~.*", true),
        ("tag!=shop", true),
        ("tag=shop", false),
        ("tag=~.+", false),
        ("tag!=", false),
    ] {
        assert_eq!(Matcher::parse(matcher).unwrap().takes_nothing_in_particular(), is_nothing, "{matcher}");
    }
}

#[test]
fn a_silence_is_in_force_from_its_start_to_its_end() {
    let once = silence(&["kind=monitor"]);
    let at = |s: i64| once.phase(Wall(NOW.0 + s * 1_000));
    let phases = [-1, 0, 3_599, 3_600].map(at);
    assert_eq!(phases, [Phase::Pending, Phase::Active, Phase::Active, Phase::Expired]);
}

#[test]
fn one_that_comes_again_is_in_force_at_its_times_in_its_zone() {
    // From 02:00 to 04:00 in Berlin, which is 01:00 to 03:00 UTC in winter; NOW is midnight UTC.
    let times = Recurrence { cron: "0 2 * * *".into(), duration_s: 7_200, time_zone: "Europe/Berlin".into() };
    assert_eq!(times.check(NOW), Ok(()));
    let nightly = NewSilence {
        ends_at: NOW + Duration::from_secs(86_400 * 7),
        recurrence: Some(times.clone()),
        ..silence(&["kind=monitor"])
    };
    let at = |minutes: i64| nightly.phase(Wall(NOW.0 + minutes * 60_000));
    assert_eq!(
        [0, 59, 60, 179, 181].map(at),
        [Phase::Pending, Phase::Pending, Phase::Active, Phase::Active, Phase::Pending]
    );
    assert_eq!(at(24 * 60 + 61), Phase::Active, "the next night");
    let field = |times: Recurrence| times.check(NOW).unwrap_err().0;
    assert_eq!(field(Recurrence { cron: "61 * * * *".into(), ..times.clone() }), "cron");
    assert_eq!(field(Recurrence { time_zone: "Mars".into(), ..times }), "time_zone");
}

fn wall(text: &str) -> Wall {
    Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn window(subjects: &[&str]) -> NewSilence {
    let subjects = subjects.iter().map(|&subject| subject.to_owned()).collect();
    let window = Window { name: "disks".to_owned(), subjects, public: None, managed_by: None };
    NewSilence { window: Some(window), ..silence(&[]) }
}

#[test]
fn a_window_takes_what_any_of_its_subjects_has_to_do_with_and_nothing_else() {
    let tags = ["shop".to_owned()];
    for (subject, key, node, takes) in [
        ("monitor/7", "monitor/7", None, true),
        ("monitor/7", "disagreement/monitor/7", None, true),
        ("monitor/7", "monitor/71", None, false),
        ("monitor/7", "certificate/7", None, false),
        ("check/shop", "check/shop", None, true),
        ("check/shop", "partial/shop", None, true),
        ("check/shop", "heartbeat/shop", None, false),
        ("heartbeat/backup", "heartbeat/backup", None, true),
        ("node/n1", "node/n1", None, true),
        ("node/n1", "progress/n1", None, true),
        ("node/n1", "disagreement/n1", None, true),
        ("node/n1", "monitor/7", Some("n1"), true),
        ("node/n1", "monitor/7", Some("n2"), false),
        ("node/n1", "check/n1", None, false),
        ("tag/shop", "monitor/8", None, true),
        ("tag/shop2", "monitor/8", None, false),
    ] {
        let labels = Labels { node, ..labels(key, &tags) };
        assert_eq!(window(&[subject]).takes(&labels), takes, "{subject}: {key} on {node:?}");
    }
    let both = window(&["check/a", "check/b"]);
    assert!(both.takes(&labels("check/a", &[])) && both.takes(&labels("check/b", &[])));
    assert!(!window(&["tag/shop"]).takes(&labels("silence/x", &tags)), "a word about an end is never held");
}

fn again(cron: &str, hours: u64, zone: &str) -> NewSilence {
    let times = Recurrence { cron: cron.to_owned(), duration_s: hours * 3_600, time_zone: zone.to_owned() };
    let starts_at = wall("2026-01-01T00:00:00Z");
    NewSilence { recurrence: Some(times), starts_at, ends_at: window::NEVER, ..window(&["check/a"]) }
}

#[test]
fn a_window_over_midnight_lasts_as_long_as_it_says_also_when_clocks_change() {
    let nightly = again("0 23 * * *", 4, "Europe/Berlin");
    for (now, phase) in [
        ("2026-01-10T21:59:59Z", Phase::Pending),
        ("2026-01-10T22:00:00Z", Phase::Active),
        ("2026-01-10T23:30:00Z", Phase::Active),
        ("2026-01-11T01:59:59Z", Phase::Active),
        ("2026-01-11T02:00:00Z", Phase::Pending),
        // Clocks go forward at 01:00 UTC: four hours are four hours, to 04:00 on the wall.
        ("2026-03-29T01:59:59Z", Phase::Active),
        ("2026-03-29T02:00:00Z", Phase::Pending),
        // From the next night on it begins by the new clock.
        ("2026-03-29T20:59:59Z", Phase::Pending),
        ("2026-03-29T21:00:00Z", Phase::Active),
        // And back at 01:00 UTC in autumn.
        ("2026-10-24T21:00:00Z", Phase::Active),
        ("2026-10-25T00:59:59Z", Phase::Active),
        ("2026-10-25T01:00:00Z", Phase::Pending),
        ("2026-10-25T22:00:00Z", Phase::Active),
    ] {
        assert_eq!(nightly.phase(wall(now)), phase, "{now}");
    }
    let skipped = again("30 2 * * *", 1, "Europe/Berlin");
    let next = skipped.next_time(wall("2026-03-29T00:00:00Z"));
    assert_eq!(next, Some((wall("2026-03-29T01:00:00Z"), wall("2026-03-29T02:00:00Z"))), "right after the gap");
}

#[test]
fn the_next_time_of_a_window_is_the_one_that_is_on_or_comes() {
    let nightly = again("0 23 * * *", 4, "UTC");
    let time = |from: &str, until: &str| Some((wall(from), wall(until)));
    let is_on = nightly.next_time(wall("2026-01-11T02:00:00Z"));
    assert_eq!(is_on, time("2026-01-10T23:00:00Z", "2026-01-11T03:00:00Z"));
    let comes = nightly.next_time(wall("2026-01-11T03:00:00Z"));
    assert_eq!(comes, time("2026-01-11T23:00:00Z", "2026-01-12T03:00:00Z"));
    let once =
        NewSilence { starts_at: wall("2026-01-05T00:00:00Z"), ends_at: wall("2026-01-05T01:00:00Z"), ..window(&[]) };
    assert_eq!(once.next_time(wall("2026-01-01T00:00:00Z")), time("2026-01-05T00:00:00Z", "2026-01-05T01:00:00Z"));
    assert_eq!(once.next_time(wall("2026-01-05T01:00:00Z")), None, "it is over");
    let cut = NewSilence { ends_at: wall("2026-01-11T00:00:00Z"), ..nightly };
    assert_eq!(cut.next_time(wall("2026-01-10T12:00:00Z")), time("2026-01-10T23:00:00Z", "2026-01-11T00:00:00Z"));
}

#[test]
fn a_time_that_runs_into_the_next_is_noticed() {
    let overlaps =
        |cron: &str, hours| again(cron, hours, "UTC").recurrence.unwrap().overlaps(wall("2026-01-01T00:00:00Z"));
    assert!(overlaps("0 * * * *", 2) && overlaps("0 0 * * 1,2", 25));
    assert!(!overlaps("0 0 * * *", 24) && !overlaps("0 2 * * 0", 4));
}
