//! Second opinions: who is asked, what people are told and when, and what the watchdogs and a node make of contradicting each other.

use std::collections::BTreeSet;
use std::time::Duration;

use komainu_watchdogs::check::trial::supposed;
use komainu_watchdogs::check::{Answer, Definition, Failure, Members, Outcome, Policy, Quorum, Trouble};
use komainu_watchdogs::ids::{MonitorId, WatchdogId, Zone};
use komainu_watchdogs::io::Severity;
use komainu_watchdogs::opinion::{
    AT_ONCE, Admission, Asked, Case, Choice, Crowd, Dissent, Ends, HELD_AT_MOST, LAST_THAT_HOLDS, Line, Opinion, Over,
    Record, Remark, Rounds, Rule, Said, Seen, Source, Step, Teller, Telling, Wish, again, at_once, before_telling,
    counted, crowd, dispute, is_claimed, is_decided, line, looks_on, passes_on, patience, rank, room,
};
use komainu_watchdogs::rota::Rota;
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
    Opinion { seen, votes, words: format!("they see it {}", seen.as_str()), unheard: 0 }
}

fn asked() -> Record {
    Record::asked(CHANGE, at(0))
}

fn answered(seen: Seen) -> Record {
    asked().after(at(1), opinion(seen))
}

fn telling(now: i64, wish: Wish, record: Option<&Record>) -> Telling {
    before_telling(at(now), wish, (CHANGE, record), (patience(seconds(5)), Crowd::Unknown))
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

// Who is heard.

fn definition() -> Definition {
    Definition {
        name: "opinion".into(),
        version: 0,
        interval: seconds(60),
        timeout: seconds(5),
        quorum: Quorum::Majority,
        zones: BTreeSet::new(),
        severity: Severity::Critical,
        paused: false,
        upside_down: false,
    }
}

fn name(at: usize) -> WatchdogId {
    WatchdogId::from(format!("w{}", at + 1).as_str())
}

const UP: Option<Outcome> = Some(Outcome::Up);
const FAILED: Option<Outcome> = Some(Outcome::Failed(Failure::Refused));
const UNABLE: Option<Outcome> = Some(Outcome::Unable(Trouble::Route));

/// Those who answered, one in each of these zones; `None`: it has not answered.
fn hearing(zones: &[&str], said: &[Option<Outcome>]) -> (Opinion, bool) {
    let living = zones.iter().enumerate().map(|(at, zone)| (name(at), Zone::from(*zone), true)).collect();
    let members = Members { is_isolated: false, living, registered: zones.len() };
    let answered = said.iter().enumerate().filter_map(|(at, outcome)| Some((name(at), (*outcome)?)));
    let seen = answered.map(|(watchdog, outcome)| (watchdog, (outcome, Answer::default()))).collect();
    let silent = said.iter().enumerate().filter(|(_, outcome)| outcome.is_none());
    let awaited = silent.map(|(at, _)| name(at)).collect();
    let verdict = supposed(&definition(), &members, &seen, &Policy::default()).verdict;
    (Opinion::of(&verdict, &name(0)), is_decided(&definition(), &members, &seen, &awaited))
}

#[test]
fn nobody_is_waited_for_once_a_majority_is_clear() {
    let decided = |zones: &[&str], said: &[Option<Outcome>]| hearing(zones, said).1;
    let three = ["a", "b", "c"];
    assert!(decided(&three, &[UP, UP, None]), "the third can only add a line");
    assert!(decided(&three, &[FAILED, FAILED, None]));
    assert!(!decided(&three, &[UP, FAILED, None]) && !decided(&three, &[FAILED, None, None]));
    assert!(!decided(&["a", "a", "b"], &[FAILED, FAILED, None]), "it may be that zone's network");
    assert!(decided(&["a", "a", "a"], &[FAILED, FAILED, None]));
    assert!(!decided(&["a"; 5], &[UP, UP, FAILED, None, None]) && decided(&["a"; 5], &[UP, UP, UP, None, None]));
}

#[test]
fn nobody_is_waited_for_who_can_make_no_majority_any_more() {
    let decided = |said: &[Option<Outcome>]| hearing(&["a", "b", "c"], said).1;
    assert!(decided(&[None, UNABLE, UNABLE]), "one alone is none");
    assert!(!decided(&[None, UNABLE, None]));
}

#[test]
fn who_hears_too_few_leaves_the_question_to_those_whom_it_did_not_hear() {
    let unheard = |said: &[Option<Outcome>]| hearing(&["a", "b", "c"], said).0.unheard;
    assert_eq!([unheard(&[UP, None, None]), unheard(&[None, None, None])], [2, 2], "whoever asks is not another one");
    assert_eq!(unheard(&[UNABLE, UNABLE, None]), 0, "one more would make it no clearer");
    assert_eq!(unheard(&[UP, UP, None]), 0, "it is clear");
    let passes =
        |now, record: &Record, unheard, passed| passes_on(at(now), record, patience(seconds(5)), (unheard, passed));
    assert!(passes(10, &asked(), 2, 0) && passes(10, &asked(), 2, 1));
    assert!(!passes(10, &asked(), 2, 2), "all of them have asked");
    assert!(!passes(20, &asked(), 2, 0), "people wait for it no longer");
    assert!(!passes(10, &asked(), 0, 0), "those who answered could not look");
    assert!(!passes(10, &answered(Seen::Up), 2, 0), "what was seen before stands");
}

#[test]
fn who_heard_nobody_takes_one_question_at_a_time_until_it_hears_somebody() {
    assert_eq!([at_once(true, 32, 0), at_once(true, 3, 29)], [32, 3]);
    assert_eq!([at_once(false, 32, 0), at_once(false, 31, 1), at_once(false, 0, 0)], [1, 0, 0]);
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

const ENDS: Ends = Ends { first: MonitorId(1), last: MonitorId(90) };

fn place(me: &str, living: &[&str]) -> Rota {
    let living: Vec<_> = living.iter().map(|&name| WatchdogId::from(name)).collect();
    Rota::of(&me.into(), &living)
}

/// At this second of a round that begins at 0: the keys that have their turn.
fn draw(rounds: &mut Rounds, second: i64, rota: Rota, ends: Ends) -> Vec<i64> {
    let Some(turn) = rounds.next(Wall(540_000_000 + 1_000 * second), rota, ends) else { return vec![] };
    rounds.note_drawn(turn, turn.upto);
    (turn.after.0 + 1..=turn.upto.0).filter(|key| turn.is_mine(rota, MonitorId(*key))).collect()
}

#[test]
fn all_watchdogs_together_look_no_more_than_fifty_times_a_second_at_what_is_up() {
    for living in [1, 3, 7] {
        let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
        let mut looks = 0;
        for millis in (0..10_000).step_by(20) {
            while rounds.try_take(Mono::millis(millis), living) {
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
    let alone = Rota::alone();
    assert_eq!(draw(&mut rounds, 60, alone, ENDS), (1..=10).collect::<Vec<_>>(), "who begins goes back by a minute");
    let mut at = vec![];
    for second in 61..=600 {
        at.extend(draw(&mut rounds, second, alone, ENDS).into_iter().map(|key| (key, second)));
    }
    assert_eq!(at.len(), 90);
    // A key every six seconds: each has its turn nine minutes after the last.
    assert!(at[..80].iter().all(|(key, second)| *second == key * 6), "{at:?}");
    assert_eq!(at[80..], (1..=10).map(|key| (key, 540 + key * 6)).collect::<Vec<_>>());
}

#[test]
fn whose_turn_it_is_depends_on_nothing_that_a_process_forgets() {
    let living = ["w1", "w2", "w3"];
    let mut all = living.map(|me| (place(me, &living), Rounds::new(seconds(600), Mono::secs(0))));
    for second in 0..300 {
        for (rota, rounds) in &mut all {
            draw(rounds, second, *rota, ENDS);
        }
    }
    // One of them was started anew.
    all[1].1 = Rounds::new(seconds(600), Mono::secs(0));
    let mut drawn: Vec<i64> = (300..840)
        .flat_map(|second| {
            all.iter_mut().flat_map(|(rota, rounds)| draw(rounds, second, *rota, ENDS)).collect::<Vec<_>>()
        })
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn, (1..=90).collect::<Vec<_>>(), "each once, whoever looks");
}

#[test]
fn what_was_the_turn_of_one_that_was_killed_is_looked_at_by_those_who_miss_it() {
    let (three, two) = (["w1", "w2", "w3"], ["w1", "w3"]);
    let mut left = two.map(|me| (me, Rounds::new(seconds(600), Mono::secs(0))));
    let looks = |left: &mut [(&str, Rounds); 2], seconds: std::ops::Range<i64>, living: &[&str]| {
        let each = |second| {
            left.iter_mut().flat_map(|(me, rounds)| draw(rounds, second, place(me, living), ENDS)).collect::<Vec<_>>()
        };
        seconds.flat_map(each).collect::<BTreeSet<_>>()
    };
    looks(&mut left, 0..200, &three);
    // Killed at 200, and missed at 215.
    let before = looks(&mut left, 200..215, &three);
    assert!(before.len() < 3, "{before:?}");
    let after = looks(&mut left, 215..216, &two);
    assert!((26..=35).all(|key| after.contains(&key)), "a minute's turns once more: {after:?}");
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up_and_who_was_cut_off_begins_anew() {
    let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
    draw(&mut rounds, 500, Rota::alone(), ENDS);
    assert_eq!(draw(&mut rounds, 490, Rota::alone(), ENDS), [0; 0], "by little");
    assert_eq!(draw(&mut rounds, 300, Rota::alone(), ENDS), (41..=50).collect::<Vec<_>>());
    rounds.forget();
    assert_eq!(draw(&mut rounds, 540, Rota::alone(), ENDS), (81..=90).collect::<Vec<_>>());
}

#[test]
fn too_many_monitors_for_the_time_are_said_to_be() {
    let now = |second: i64| Wall(540_000_000 + 1_000 * second);
    let mut rounds = Rounds::new(seconds(600), Mono::secs(0));
    draw(&mut rounds, 100, Rota::alone(), ENDS);
    assert_eq!((rounds.lateness(now(100)), rounds.broken_by(now(100))), (Duration::ZERO, None));
    // Nobody draws any more.
    assert_eq!(rounds.lateness(now(132)), seconds(30));
    assert_eq!(rounds.broken_by(now(162)), None, "of ten minutes one is kept for this");
    assert_eq!(rounds.broken_by(now(202)), Some(seconds(40)));
    // Its round ends before it comes to the end of it: it goes on, and then with the round that it is by then.
    let turn = rounds.next(now(1_700), Rota::alone(), ENDS).unwrap();
    assert_eq!((turn.round, turn.after, turn.upto), (1_000, MonitorId(16), MonitorId(90)));
    rounds.note_drawn(turn, turn.upto);
    assert_eq!(
        rounds.next(now(1_701), Rota::alone(), ENDS).map(|turn| (turn.round, turn.after)),
        Some((1_003, MonitorId(0)))
    );
    assert!(rounds.broken_by(now(1_701)).is_some());
}
