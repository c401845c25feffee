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
