//! Second opinions: who wants one, and what people are told and when.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::opinion::{
    AT_ONCE, Admission, Asked, Case, Choice, Crowd, HELD_AT_MOST, LAST_THAT_HOLDS, Line, Opinion, Record, Remark, Rule,
    Said, Seen, Source, Teller, Telling, Wish, before_telling, crowd, line, patience, rank, room,
};
use komainu_watchdogs::time::Wall;

pub(super) const CHANGE: i64 = 70;

pub(super) fn at(seconds: i64) -> Wall {
    Wall(1_000_000 + 1_000 * seconds)
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn opinion(seen: Seen) -> Opinion {
    let votes = match seen {
        Seen::Down => (3, 3),
        Seen::Up | Seen::Nothing => (0, 3),
        Seen::Split => (1, 3),
    };
    Opinion { seen, votes, words: format!("they see it {}", seen.as_str()), unheard: 0 }
}

pub(super) fn asked() -> Record {
    Record::asked(CHANGE, at(0))
}

pub(super) fn answered(seen: Seen) -> Record {
    asked().after(at(1), opinion(seen))
}

fn telling(now: i64, wish: Wish, record: Option<&Record>) -> Telling {
    before_telling(at(now), wish, (CHANGE, record), (patience(seconds(5)), Crowd::Unknown))
}

pub(super) fn case(record: Option<&Record>) -> Case<'_> {
    Case {
        now: at(2),
        wish: Wish::Require,
        said: Said::Down(CHANGE),
        teller: Teller::Komainu,
        interval: seconds(60),
        record,
        is_open: false,
    }
}

// Who wants one.

#[test]
fn the_monitor_says_it_before_its_tag_the_tag_before_a_rule_and_a_rule_before_the_default() {
    let rule = |tag: &str, wish| Rule { tag: tag.to_owned(), wish, zones: BTreeSet::new() };
    let choice = Choice { default: Wish::Note, rules: vec![rule("shop", Wish::Require), rule("lab", Wish::Off)] };
    let of = |own, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
        let chosen = choice.of(own, &tags);
        (chosen.wish, chosen.source)
    };
    assert_eq!(of(Some(Wish::Off), &["second_opinion:require", "shop"]), (Wish::Off, Source::Monitor));
    assert_eq!(of(None, &["second_opinion", "second_opinion:off", "shop"]), (Wish::Off, Source::Tag));
    assert_eq!(
        of(None, &["lab", "shop"]),
        (Wish::Require, Source::Rule),
        "the first rule, in the order of the configuration"
    );
    assert_eq!(of(None, &["other"]), (Wish::Note, Source::Default));
    assert_eq!(Choice::default().of(None, &["shop".to_owned()]).wish, Wish::Off, "nobody asked for one");
}

#[test]
fn of_several_tags_the_strictest_holds_and_a_value_that_is_none_says_nothing() {
    let of = |tags: &[&str]| Choice::default().of(None, &tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>());
    assert_eq!(of(&["second_opinion:note", "second_opinion:require"]).wish, Wish::Require);
    for nonsense in ["second_opinion", "second_opinion:yes", "second_opinions:require", "second_opinion:Require"] {
        assert_eq!(of(&[nonsense]).source, Source::Default, "{nonsense}");
    }
}

#[test]
fn a_rule_may_name_the_zones_that_are_asked() {
    let rule = Rule { tag: "site:b".to_owned(), wish: Wish::Note, zones: ["b".into()].into() };
    let choice = Choice { default: Wish::Off, rules: vec![rule] };
    let chosen = choice.of(Some(Wish::Require), &["site:b".to_owned(), "site".to_owned()]);
    assert_eq!((chosen.wish, chosen.zones), (Wish::Require, ["b".into()].into()));
    assert_eq!(Vec::from_iter(choice.tags()), ["second_opinion", "site", "site:b"]);
}

// What waits, and for how long.

#[test]
fn without_a_wish_people_are_told_at_once_and_nobody_is_asked() {
    assert_eq!(telling(0, Wish::Off, None), Telling::Tell(Remark::Unasked));
    assert_eq!(telling(0, Wish::Off, Some(&asked())), Telling::Tell(Remark::Unasked));
}

#[test]
fn a_message_waits_until_the_watchdogs_have_looked() {
    assert_eq!(telling(0, Wish::Note, None), Telling::Ask);
    assert_eq!(telling(3, Wish::Note, Some(&asked())), Telling::Wait);
    assert_eq!(telling(3, Wish::Note, Some(&answered(Seen::Down))), Telling::Tell(Remark::Seen));
}

#[test]
fn what_was_said_of_another_change_says_nothing_of_this_one() {
    let before = Record { change: CHANGE - 1, ..answered(Seen::Up) };
    assert_eq!(telling(3, Wish::Require, Some(&before)), Telling::Ask);
}

#[test]
fn no_message_waits_for_longer_than_a_look_and_a_quarter_of_a_minute() {
    assert_eq!(patience(seconds(5)), seconds(20));
    assert_eq!(telling(19, Wish::Require, Some(&asked())), Telling::Wait);
    assert_eq!(telling(20, Wish::Require, Some(&asked())), Telling::Tell(Remark::Late));
    assert_eq!(patience(seconds(3_600)), seconds(75), "however long the monitor's own timeout is");
}

#[test]
fn a_clock_that_is_set_back_lets_no_message_wait_for_long() {
    assert_eq!(telling(-19, Wish::Require, Some(&asked())), Telling::Wait);
    assert_eq!(telling(-20, Wish::Require, Some(&asked())), Telling::Tell(Remark::Late));
}

#[test]
fn where_too_few_can_look_it_is_told_as_the_node_says_it() {
    for wish in [Wish::Note, Wish::Require] {
        assert_eq!(telling(3, wish, Some(&answered(Seen::Nothing))), Telling::Tell(Remark::Unclear));
    }
}

#[test]
fn a_note_says_what_they_see_whatever_that_is() {
    for seen in [Seen::Down, Seen::Up, Seen::Split] {
        assert_eq!(telling(3, Wish::Note, Some(&answered(seen))), Telling::Tell(Remark::Seen));
    }
}

#[test]
fn where_it_is_required_nobody_is_paged_unless_a_majority_sees_it_too() {
    assert_eq!(telling(3, Wish::Require, Some(&answered(Seen::Down))), Telling::Tell(Remark::Seen));
    assert_eq!(telling(3, Wish::Require, Some(&answered(Seen::Up))), Telling::Withhold);
    assert_eq!(telling(3, Wish::Require, Some(&answered(Seen::Split))), Telling::Withhold, "a tie is no majority");
}

#[test]
fn a_denial_that_nobody_could_confirm_for_ten_minutes_holds_no_page_back() {
    let denied = answered(Seen::Up);
    assert_eq!(telling(600, Wish::Require, Some(&denied)), Telling::Withhold);
    assert_eq!(telling(601, Wish::Require, Some(&denied)), Telling::Tell(Remark::Lost));
    let blind = denied.after(at(300), opinion(Seen::Nothing));
    assert_eq!(blind, denied, "that too few could look takes nothing back, and confirms nothing");
    let again = denied.after(at(300), opinion(Seen::Up));
    assert_eq!(telling(899, Wish::Require, Some(&again)), Telling::Withhold);
}

#[test]
fn if_they_agree_later_it_is_told_then() {
    let later = answered(Seen::Up).after(at(30), opinion(Seen::Down));
    assert_eq!(telling(31, Wish::Require, Some(&later)), Telling::Tell(Remark::Seen));
}

#[test]
fn each_line_says_why_there_is_no_opinion_or_what_it_is() {
    let said = |remark| line(remark, "2 of 3 watchdogs see it fail").unwrap_or_default();
    assert_eq!(said(Remark::Unasked), "");
    assert_eq!(said(Remark::Seen), "second opinion: 2 of 3 watchdogs see it fail");
    for remark in [Remark::Late, Remark::Unclear, Remark::Lost, Remark::Crowded] {
        assert!(said(remark).starts_with("no second opinion"), "{remark:?}");
    }
}

// How many are asked, and by whom.

#[test]
fn so_many_are_asked_about_at_once_as_can_be_answered_in_time_the_most_important_first() {
    assert_eq!((room(3, 0), room(3, 3 * AT_ONCE - 1), room(3, 3 * AT_ONCE), room(3, 10_000)), (96, 1, 0, 0));
    assert_eq!((room(1, 0), room(7, 0)), (AT_ONCE, 7 * AT_ONCE), "the more watchdogs the more");
    assert_eq!(room(0, 0), AT_ONCE, "whoever counts nobody counts itself");
    let chosen = |wish, default| Choice { default, rules: vec![] }.of(wish, &[]);
    let ranks = [
        rank(&chosen(Some(Wish::Require), Wish::Off)),
        rank(&chosen(None, Wish::Require)),
        rank(&chosen(Some(Wish::Note), Wish::Off)),
        rank(&chosen(None, Wish::Note)),
    ];
    assert!(ranks.is_sorted_by(|one, other| one < other), "{ranks:?}");
}

#[test]
fn what_only_adds_a_line_takes_no_room_from_what_holds_a_page_back() {
    let mut asked = Asked { holding: 0, all: AT_ONCE };
    assert_eq!(asked.admit(Wish::Note, 1), Admission::Dropped, "it is told at once");
    assert_eq!(asked.admit(Wish::Require, 1), Admission::Asked);
    assert_eq!(asked, Asked { holding: 1, all: AT_ONCE + 1 });
    let mut full = Asked { holding: AT_ONCE, all: AT_ONCE };
    assert_eq!(full.admit(Wish::Require, 1), Admission::Waits);
    assert_eq!(full.admit(Wish::Require, 2), Admission::Asked);
    let chosen = Choice { default: Wish::Require, rules: vec![] }.of(None, &[]);
    assert_eq!(rank(&chosen), LAST_THAT_HOLDS);
}

fn in_line(now: i64, wish: Wish, (line, crowd): (Line, Crowd)) -> Telling {
    let record = Record { line, ..asked() };
    before_telling(at(now), wish, (CHANGE, Some(&record)), (patience(seconds(5)), crowd))
}

#[test]
fn what_holds_a_page_back_and_finds_no_room_waits_for_it_no_longer_than_any_message() {
    for line in [Line::Waits, Line::Left] {
        assert_eq!(in_line(19, Wish::Require, (line, Crowd::Unknown)), Telling::Wait);
        assert_eq!(in_line(20, Wish::Require, (line, Crowd::Unknown)), Telling::Tell(Remark::Crowded));
    }
}

#[test]
fn a_crowd_of_which_those_that_were_asked_about_are_down_is_told_at_once() {
    assert_eq!(in_line(1, Wish::Require, (Line::Waits, Crowd::Confirmed)), Telling::Tell(Remark::Crowded));
    assert_eq!(in_line(1, Wish::Require, (Line::Left, Crowd::Confirmed)), Telling::Wait, "its answer is on its way");
    assert_eq!([crowd(9, 0), crowd(10, 0), crowd(10, 10)], [Crowd::Unknown, Crowd::Confirmed, Crowd::Confirmed]);
}

#[test]
fn a_crowd_of_which_those_that_were_asked_about_are_up_is_held_for_two_minutes_at_most() {
    assert_eq!([crowd(0, 1), crowd(3, 4), crowd(0, 0)], [Crowd::Denied, Crowd::Denied, Crowd::Unknown]);
    assert_eq!(HELD_AT_MOST, seconds(120));
    for line in [Line::Waits, Line::Left] {
        assert_eq!(in_line(119, Wish::Require, (line, Crowd::Denied)), Telling::Wait);
        assert_eq!(in_line(120, Wish::Require, (line, Crowd::Denied)), Telling::Tell(Remark::Crowded));
        assert_eq!(in_line(-120, Wish::Require, (line, Crowd::Denied)), Telling::Tell(Remark::Crowded));
    }
    assert_eq!(in_line(20, Wish::Require, (Line::None, Crowd::Denied)), Telling::Tell(Remark::Late), "no crowd");
    assert_eq!(in_line(20, Wish::Note, (Line::Waits, Crowd::Denied)), Telling::Tell(Remark::Crowded));
}
