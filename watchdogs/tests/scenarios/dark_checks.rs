//! Checks that fall and rise while the database is away: people hear of each beginning and each end once, from whoever can see it.

use komainu_watchdogs::outbox::Event::{Flapping, Opened, Resolved};

use super::dark::Dark;

/// Three watchdogs whose database has been away for a minute, which people know.
fn in_the_dark() -> Dark {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.run(60);
    dark
}

#[test]
fn a_check_that_falls_in_the_dark_is_told_once_and_so_is_its_end() {
    let mut dark = in_the_dark();
    dark.falls("check/shop", &["ops"]);
    dark.run(120);
    dark.rises("check/shop");
    dark.run(120);
    let news = dark.news();
    let [(fell, ..), (rose, ..)] = news[..] else { panic!("{news:?}") };
    assert_eq!(news[0], (fell, "w1", "ops", vec![("check/shop", Opened)]));
    assert_eq!(news[1], (rose, "w1", "ops", vec![("check/shop", Resolved)]));
    assert!((65..68).contains(&fell) && (185..188).contains(&rose), "told after {fell} and {rose} s");
    assert_eq!(dark.told().len(), 1, "and the database only once");
}

#[test]
fn a_check_that_fell_before_the_database_was_missed_is_told_along_with_it() {
    let mut dark = Dark::watched_by(3);
    dark.database_stops();
    dark.falls("check/shop", &["ops"]);
    dark.run(120);
    let news = dark.news();
    assert_eq!(news.len(), 1, "{news:?}");
    assert_eq!(news[0].0, dark.told_after().as_secs());
}

#[test]
fn what_lasts_for_a_moment_is_told_to_nobody() {
    let mut dark = in_the_dark();
    dark.falls("check/shop", &["ops"]);
    dark.run(3);
    dark.rises("check/shop");
    dark.run(120);
    assert_eq!(dark.news(), []);
}

#[test]
fn the_next_one_tells_the_end_when_the_speaker_has_died_since() {
    let mut dark = in_the_dark();
    dark.falls("check/shop", &["ops"]);
    dark.run(30);
    dark.kill("w1");
    dark.run(60);
    assert_eq!(dark.news().len(), 1, "all have heard that it was told");
    dark.rises("check/shop");
    dark.run(60);
    let news = dark.news();
    assert_eq!((news.len(), news[1].1, &news[1].3), (2, "w2", &vec![("check/shop", Resolved)]));
}

#[test]
fn a_speaker_that_dies_while_it_speaks_is_followed_once_after_thirty_seconds() {
    let mut dark = in_the_dark();
    dark.dog("w1").speaks_for = std::time::Duration::from_secs(4);
    dark.falls("check/shop", &["ops"]);
    dark.run(7);
    dark.kill("w1");
    dark.run(200);
    let news = dark.news();
    assert_eq!((news.len(), news[0].1), (1, "w2"), "{news:?}");
    assert!((95..110).contains(&news[0].0), "{news:?}");
}

#[test]
fn one_that_can_say_nothing_of_checks_tells_nothing_and_the_next_one_does() {
    let mut dark = in_the_dark();
    dark.dog("w1").has_eyes = false;
    dark.falls("check/shop", &["ops"]);
    dark.run(120);
    let news = dark.news();
    assert_eq!((news.len(), news[0].1), (1, "w2"), "{news:?}");
    assert!((95..110).contains(&news[0].0), "after the time that the first one has, {news:?}");
    dark.all_dogs(|dog| dog.has_eyes = false);
    dark.falls("check/web", &["ops"]);
    dark.rises("check/shop");
    dark.run(200);
    assert_eq!(dark.news().len(), 1);
}

#[test]
fn a_minority_that_lost_its_own_way_to_the_database_tells_nothing_of_checks() {
    let mut dark = Dark::watched_by(3);
    dark.dog("w1").reaches_database = false;
    dark.falls("check/shop", &["ops"]);
    dark.run(300);
    assert_eq!(dark.news(), [], "those who have the database enter it there");
}

#[test]
fn what_stood_in_the_tables_is_not_told_again_and_its_end_is_told_to_those_who_know_it() {
    let mut dark = Dark::watched_by(3);
    dark.stood_open("check/shop", &["ops"]);
    dark.falls("check/shop", &["mail", "ops"]);
    dark.database_stops();
    dark.run(60);
    let news = dark.news();
    assert_eq!((news.len(), news[0].2), (1, "mail"), "who was still to be told: {news:?}");
    dark.rises("check/shop");
    dark.run(60);
    let ends: Vec<_> = dark.news()[1..].iter().map(|(.., channel, changes)| (*channel, changes[0].1)).collect();
    assert_eq!(ends, [("ops", Resolved), ("mail", Resolved)]);
}

#[test]
fn what_nobody_can_judge_any_more_is_neither_told_nor_called_over() {
    let mut dark = in_the_dark();
    dark.falls("check/shop", &["ops"]);
    dark.run(30);
    dark.is_unknown("check/shop");
    dark.run(120);
    assert_eq!(dark.news().len(), 1);
}

#[test]
fn whoever_carried_the_beginning_for_another_tells_the_end() {
    let mut dark = in_the_dark();
    dark.dog("w1").via = Some("mail");
    dark.falls("check/shop", &["ops"]);
    dark.run(30);
    dark.dog("w1").via = None;
    dark.rises("check/shop");
    dark.run(120);
    let news = dark.news();
    assert_eq!(news.len(), 2, "{news:?}");
    assert_eq!((news[1].2, &news[1].3), ("mail", &vec![("check/shop", Resolved)]));
}

#[test]
fn what_comes_back_again_and_again_is_at_last_only_told_to_flap_and_its_end_when_it_is_calm() {
    let mut dark = in_the_dark();
    for _ in 0..8 {
        dark.falls("check/shop", &["ops"]);
        dark.run(40);
        dark.rises("check/shop");
        dark.run(40);
    }
    let events: Vec<_> = dark.news().iter().map(|(.., changes)| changes[0].1).collect();
    assert_eq!(events, [Opened, Resolved, Opened, Resolved, Opened, Resolved, Flapping]);
    dark.run(600);
    assert_eq!(dark.news().len(), 8);
    assert_eq!(dark.news()[7].3, [("check/shop", Resolved)]);
}

#[test]
fn what_nobody_is_to_hear_of_is_told_to_nobody() {
    let mut dark = in_the_dark();
    dark.falls("partial/shop", &[]);
    dark.run(60);
    dark.rises("partial/shop");
    dark.run(60);
    assert_eq!(dark.news(), []);
}

#[test]
fn a_watchdog_that_is_started_anew_remembers_what_it_told_of_checks() {
    let mut dark = in_the_dark();
    dark.falls("check/shop", &["ops"]);
    dark.run(30);
    for name in ["w1", "w2", "w3"] {
        dark.kill(name);
    }
    dark.start("w2");
    dark.start("w3");
    dark.run(200);
    assert_eq!(dark.news().len(), 1);
    dark.rises("check/shop");
    dark.run(60);
    let news = dark.news();
    assert_eq!((news.len(), news[1].1), (2, "w2"), "{news:?}");
}

#[test]
fn nothing_of_checks_is_told_while_the_database_takes_writes() {
    let mut dark = Dark::watched_by(3);
    dark.all_dogs(|dog| dog.can_judge = false);
    dark.database_stops();
    dark.database_returns();
    dark.falls("check/shop", &["ops"]);
    dark.run(120);
    assert_eq!((dark.told().len(), dark.news().len()), (1, 0));
}

#[test]
fn ten_thousand_at_once_are_told_once_in_few_messages_and_reports_stay_small() {
    let mut dark = in_the_dark();
    for number in 0..10_000 {
        dark.falls(&format!("check/number-{number:05}"), &["ops"]);
    }
    dark.run(150);
    let news = dark.news();
    assert_eq!(news.len(), 10, "a thousand in each");
    assert!(news.iter().all(|(.., changes)| changes.len() == 1_000));
    assert_eq!(dark.most_named(), 60, "peers ask each second, and an answer has its bound");
    for name in ["w1", "w2", "w3"] {
        assert_eq!(dark.kept(name).len(), 10_000, "{name} knows each, and enters it");
    }
    // The next one tells the end, and nothing again.
    dark.kill("w1");
    dark.run(60);
    for number in 0..10_000 {
        dark.rises(&format!("check/number-{number:05}"));
    }
    dark.run(200);
    let news = dark.news();
    let told: usize = news.iter().map(|(.., changes)| changes.len()).sum();
    assert_eq!((news.len(), told), (20, 20_000));
    assert!(news[10..].iter().all(|(_, by, ..)| *by == "w2"));
}

#[test]
fn a_second_outage_knows_nothing_of_what_was_told_in_the_first() {
    let mut dark = in_the_dark();
    dark.falls("check/shop", &["ops"]);
    dark.run(30);
    dark.rises("check/shop");
    dark.database_returns();
    dark.run(30);
    dark.database_stops();
    dark.falls("check/shop", &["ops"]);
    dark.run(60);
    let events: Vec<_> = dark.news().iter().map(|(.., changes)| changes[0].1).collect();
    assert_eq!(events, [Opened, Opened], "that the first is over was the outbox's to tell");
}

#[test]
fn what_was_paused_or_deleted_while_it_was_down_is_over_once_and_never_again() {
    let mut dark = Dark::watched_by(3);
    // The tables said last that it stood open; nobody looks at it any more.
    dark.stood_open("check/shop", &["ops"]);
    dark.database_stops();
    dark.run(60);
    let is_told = |dark: &Dark| {
        let news = dark.news();
        news.iter().map(|(.., changes)| changes.clone()).collect::<Vec<_>>() == [vec![("check/shop", Resolved)]]
    };
    assert!(is_told(&dark), "{:?}", dark.news());
    dark.kill("w1");
    dark.run(100);
    dark.start("w1");
    dark.run(200);
    assert!(is_told(&dark), "{:?}", dark.news());
}

#[test]
fn what_somebody_acknowledged_is_not_told_again_whoever_speaks_and_its_end_is() {
    let mut dark = Dark::watched_by(3);
    dark.stood_open("check/shop", &["ops"]);
    dark.falls("check/shop", &["ops"]);
    dark.database_stops();
    dark.run(100);
    dark.kill("w1");
    dark.run(100);
    dark.start("w1");
    dark.run(100);
    assert_eq!(dark.news(), []);
    dark.rises("check/shop");
    dark.run(100);
    let news = dark.news();
    assert_eq!((news.len(), &news[0].3), (1, &vec![("check/shop", Resolved)]), "{news:?}");
}

#[test]
fn what_a_minority_saw_and_then_all_see_is_told_once() {
    let mut dark = in_the_dark();
    // Nobody asked to hear of the first.
    dark.falls("partial/shop", &[]);
    dark.run(100);
    assert_eq!(dark.news(), []);
    dark.rises("partial/shop");
    dark.falls("check/shop", &["ops"]);
    dark.run(100);
    let news = dark.news();
    assert_eq!((news.len(), &news[0].3), (1, &vec![("check/shop", Opened)]), "{news:?}");
}
