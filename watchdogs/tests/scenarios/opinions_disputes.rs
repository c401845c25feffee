//! What the watchdogs and a node make of contradicting each other.

use komainu_watchdogs::opinion::{
    Case, Dissent, Over, Record, Said, Seen, Step, Teller, Wish, again, dispute, looks_on,
};

use super::opinions::{CHANGE, answered, asked, at, case, opinion, seconds};

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
