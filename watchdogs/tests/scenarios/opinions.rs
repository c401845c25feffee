//! Second opinions: who is asked, what people are told and when, and what the watchdogs and a node make of contradicting each other.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::check::{Failure, Outcome, Trouble};
use komainu_watchdogs::opinion::{
    Case, Choice, Dissent, MOST_WAITING, Opinion, Over, Record, Remark, Rounds, Rule, Said, Seen, Source, Step, Teller,
    Telling, Wish, again, before_telling, counted, dispute, is_claimed, line, looks_on, patience, rank, room,
};
use komainu_watchdogs::time::{Mono, Wall};

const CHANGE: i64 = 70;

fn at(seconds: i64) -> Wall {
    Wall(1_000_000 + 1_000 * seconds)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn opinion(seen: Seen) -> Opinion {
    let votes = match seen {
        Seen::Down => (3, 3),
        Seen::Up | Seen::Nothing => (0, 3),
        Seen::Split => (1, 3),
    };
    Opinion { seen, votes, words: format!("they see it {}", seen.as_str()) }
}

fn asked() -> Record {
    Record::asked(CHANGE, at(0))
}

fn answered(seen: Seen) -> Record {
    asked().after(at(1), opinion(seen))
}

fn telling(now: i64, wish: Wish, record: Option<&Record>) -> Telling {
    before_telling(at(now), wish, (CHANGE, record), patience(seconds(5)))
}

fn case(record: Option<&Record>) -> Case<'_> {
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
fn of_thousands_that_go_down_at_once_the_most_important_are_asked_about_and_the_others_are_told() {
    assert_eq!((room(0), room(MOST_WAITING - 1), room(MOST_WAITING), room(10_000)), (MOST_WAITING, 1, 0, 0));
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
fn who_was_killed_with_a_question_is_followed_by_another_within_seconds() {
    assert!(!is_claimed(at(10), None));
    assert!(is_claimed(at(16), Some(at(10))));
    assert!(!is_claimed(at(17), Some(at(10))), "its claim was not renewed");
    assert!(!is_claimed(at(3), Some(at(10))), "nor does one hold that stands ahead of the clock");
}

#[test]
fn a_look_where_it_may_not_look_or_that_was_cut_short_is_no_vote() {
    assert_eq!(counted(Outcome::Failed(Failure::Forbidden), false), Outcome::Unable(Trouble::Permission));
    assert_eq!(counted(Outcome::Failed(Failure::AnswerTimeout), true), Outcome::Unable(Trouble::Lost));
    assert_eq!(counted(Outcome::Failed(Failure::AnswerTimeout), false), Outcome::Failed(Failure::AnswerTimeout));
    assert_eq!(counted(Outcome::Failed(Failure::ConnectTimeout), true), Outcome::Failed(Failure::ConnectTimeout));
}

// Disagreements.

#[test]
fn a_node_that_alone_sees_a_monitor_down_is_contradicted() {
    for seen in [Seen::Up, Seen::Split] {
        assert_eq!(dispute(&case(Some(&answered(seen)))), Step::Open(Dissent::Node));
    }
    let open = Case { is_open: true, ..case(None) };
    assert_eq!(dispute(&Case { record: Some(&answered(Seen::Up)), ..open }), Step::Leave, "it is told already");
    assert_eq!(dispute(&case(Some(&answered(Seen::Down)))), Step::Leave);
    assert_eq!(dispute(&case(Some(&answered(Seen::Nothing)))), Step::Leave);
    let noted = Case { wish: Wish::Note, ..case(None) };
    assert_eq!(
        dispute(&Case { record: Some(&answered(Seen::Up)), ..noted }),
        Step::Leave,
        "the message itself says it"
    );
}

#[test]
fn it_is_over_when_the_watchdogs_see_it_down_too_and_that_is_told() {
    let record = answered(Seen::Up).after(at(30), opinion(Seen::Down));
    let open = Case { is_open: true, now: at(31), ..case(Some(&record)) };
    assert_eq!(dispute(&open), Step::Leave, "first it is told that it is down");
    assert_eq!(dispute(&Case { teller: Teller::Told, ..open }), Step::End(Over::Agreed));
}

#[test]
fn it_is_over_when_the_node_says_up_again() {
    let record = answered(Seen::Up);
    let up = Case { said: Said::Up, is_open: true, ..case(Some(&record)) };
    assert_eq!(dispute(&up), Step::End(Over::Up));
    assert!(dispute(&up).forgets());
    assert_eq!(dispute(&Case { is_open: false, ..up }), Step::Forget);
}

#[test]
fn it_is_over_when_the_monitor_is_told_all_the_same() {
    let record = answered(Seen::Up);
    let told = Case { teller: Teller::Told, is_open: true, now: at(700), ..case(Some(&record)) };
    assert_eq!(dispute(&told), Step::End(Over::Told));
}

#[test]
fn it_is_over_when_nobody_asks_any_more_or_there_is_nothing_to_ask_about() {
    let record = answered(Seen::Up);
    let open = Case { is_open: true, ..case(Some(&record)) };
    assert_eq!(dispute(&Case { wish: Wish::Off, ..open }), Step::End(Over::Unwished));
    assert_eq!(dispute(&Case { said: Said::Paused, ..open }), Step::End(Over::Paused));
    assert_eq!(dispute(&Case { said: Said::Gone, ..open }), Step::End(Over::Deleted));
}

#[test]
fn a_monitor_in_maintenance_or_being_tried_again_begins_and_ends_nothing() {
    let record = answered(Seen::Up);
    for is_open in [false, true] {
        assert_eq!(dispute(&Case { said: Said::Neither, is_open, ..case(Some(&record)) }), Step::Leave);
    }
}

#[test]
fn what_kuma_itself_tells_is_not_held_back_and_is_contradicted() {
    let kuma = Case { teller: Teller::Kuma, ..case(None) };
    for wish in [Wish::Note, Wish::Require] {
        assert_eq!(dispute(&Case { wish, ..kuma }), Step::Ask(CHANGE));
        assert_eq!(dispute(&Case { wish, record: Some(&answered(Seen::Up)), ..kuma }), Step::Open(Dissent::Node));
        let open = Case { wish, is_open: true, ..kuma };
        assert_eq!(dispute(&Case { record: Some(&answered(Seen::Down)), ..open }), Step::End(Over::Agreed));
        assert_eq!(dispute(&Case { record: Some(&answered(Seen::Up)), now: at(700), ..open }), Step::End(Over::Unseen));
    }
}

#[test]
fn a_node_that_says_up_is_contradicted_once_the_watchdogs_have_seen_it_down_for_three_intervals() {
    let suspected = Record::asked(0, at(0)).after(at(0), opinion(Seen::Down));
    let lasting = suspected.after(at(60), opinion(Seen::Down)).after(at(120), opinion(Seen::Down));
    let up = Case { said: Said::Up, ..case(None) };
    assert_eq!(dispute(&Case { now: at(179), record: Some(&lasting), ..up }), Step::Leave);
    assert_eq!(dispute(&Case { now: at(180), record: Some(&lasting), ..up }), Step::Open(Dissent::Watchdogs));
    let interrupted = lasting.after(at(150), opinion(Seen::Up)).after(at(170), opinion(Seen::Down));
    assert_eq!(dispute(&Case { now: at(181), record: Some(&interrupted), ..up }), Step::Leave, "it was up in between");
}

#[test]
fn what_was_suspected_and_is_seen_up_is_forgotten_or_over() {
    let record = Record::asked(0, at(0)).after(at(1), opinion(Seen::Up));
    let up = Case { said: Said::Up, ..case(Some(&record)) };
    assert_eq!(dispute(&up), Step::Forget);
    assert_eq!(dispute(&Case { is_open: true, ..up }), Step::End(Over::SeenUp));
    let blind = Record::asked(0, at(0)).after(at(1), opinion(Seen::Nothing));
    assert_eq!(
        dispute(&Case { record: Some(&blind), ..up }),
        Step::Forget,
        "whoever looks next may be able to say more"
    );
}

#[test]
fn a_node_that_comes_round_ends_the_watchdogs_dissent() {
    let record = Record::asked(0, at(0)).after(at(1), opinion(Seen::Down));
    let open = Case { is_open: true, now: at(200), ..case(Some(&record)) };
    assert_eq!(dispute(&open), Step::Leave, "what is told of the monitor waits for a look of its own");
    let told = asked().after(at(201), opinion(Seen::Down));
    assert_eq!(dispute(&Case { teller: Teller::Told, record: Some(&told), ..open }), Step::End(Over::Agreed));
}

#[test]
fn they_look_on_only_while_it_may_change_what_people_are_told() {
    let on = |case: Case<'_>| looks_on(&case);
    assert!(on(case(Some(&answered(Seen::Up)))) && on(case(Some(&asked()))));
    assert!(!on(case(Some(&answered(Seen::Down)))) && !on(case(Some(&answered(Seen::Nothing)))));
    assert!(!on(Case { wish: Wish::Note, ..case(Some(&answered(Seen::Up))) }));
    assert!(!on(Case { teller: Teller::Told, ..case(Some(&answered(Seen::Up))) }));
    assert!(on(Case { teller: Teller::Kuma, ..case(Some(&answered(Seen::Nothing))) }));
    assert!(!on(case(None)));
    let suspected = Record::asked(0, at(0)).after(at(0), opinion(Seen::Down));
    assert!(on(Case { said: Said::Up, ..case(Some(&suspected)) }));
    assert_eq!([5, 45, 3_600].map(|interval| again(seconds(interval))), [20, 45, 60].map(seconds));
}

// Looking in turn.

#[test]
fn all_watchdogs_together_look_no_more_than_fifty_times_a_second_at_what_is_up() {
    for living in [1, 3, 7] {
        let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
        let mut looks = 0;
        for millis in (0..10_000).step_by(20) {
            while rounds.try_next(Mono::millis(millis), living) {
                looks += 1;
            }
        }
        let together = looks * living;
        assert!((490..=560).contains(&together), "{living} watchdogs: {together} in ten seconds");
    }
}

#[test]
fn the_looks_of_a_round_are_spread_over_it() {
    let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
    let mut second = 0;
    for _ in 0..90 {
        while !rounds.try_next(Mono::secs(second), 3) {
            second += 1;
        }
    }
    assert!(second < 10, "of the first round nobody knows how many there are");
    assert!(!rounds.try_begin(Mono::secs(599)) && rounds.try_begin(Mono::secs(600)));
    let mut at = vec![];
    for second in 600..1_200 {
        while rounds.try_next(Mono::secs(second), 3) && at.len() < 90 {
            at.push(second);
        }
    }
    assert_eq!((at.len(), at[0]), (90, 600));
    assert!((1_120..=1_140).contains(at.last().unwrap()), "{at:?}");
}

#[test]
fn too_many_monitors_for_the_time_are_said_to_be() {
    let mut rounds = Rounds::new(seconds(10), Mono::secs(0));
    assert_eq!(rounds.lateness(Mono::secs(10)), None);
    assert_eq!(rounds.lateness(Mono::secs(25)), Some(seconds(25)), "it has not even come round");
    assert!(rounds.try_begin(Mono::secs(25)));
    assert_eq!(rounds.lateness(Mono::secs(26)), Some(seconds(25)));
    assert!(rounds.try_begin(Mono::secs(35)));
    assert_eq!(rounds.lateness(Mono::secs(36)), None);
    assert_eq!(rounds.number(), 2);
}
