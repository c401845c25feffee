use super::*;
use crate::io::Severity;

const NOW: Wall = Wall(1_000_000);

/// Delivery `n` of incident `n`, that was due at this second before (or, negative, after) now.
fn waiting(number: i64, key: &str, due_s_ago: i64) -> Queued {
    Queued {
        delivery: number,
        incident: number,
        key: key.to_owned(),
        node: None,
        causes: vec![],
        entered_at: Wall(NOW.0 - 60_000),
        is_open: true,
        event: Event::Opened,
        is_held: false,
        held_by: None,
        silenced_by: None,
        due_at: Wall(NOW.0 - due_s_ago * 1_000),
        group_wait: Duration::from_secs(5),
        claimed_until: None,
        begun: None,
        attempts: 0,
        last_error: None,
        retry_at: None,
        unanswered: 0,
        company: None,
        has_readers: false,
        failed_at: None,
        is_suspect: false,
    }
}

fn monitor(number: i64, node: &str, due_s_ago: i64) -> Queued {
    Queued { node: Some(node.into()), ..waiting(number, &format!("monitor/{number}"), due_s_ago) }
}

fn parent(incident: i64, key: &str) -> Parent {
    Parent { incident, key: key.to_owned(), severity: Severity::Critical, is_told: true, ended_at: None }
}

fn sent(plan: &Plan) -> Vec<i64> {
    plan.message.as_ref().map_or(vec![], |message| message.deliveries.clone())
}

#[test]
fn nothing_is_sent_before_the_first_is_due_and_then_all_that_opened_within_its_wait() {
    let queue = [waiting(1, "node/node1", -1), waiting(2, "capacity", -3)];
    assert_eq!(plan(NOW, &queue, &[]), Plan::default());
    let queue = [waiting(1, "node/node1", 0), waiting(2, "capacity", -3), waiting(3, "leader", -600)];
    assert_eq!(sent(&plan(NOW, &queue, &[])), [1, 2]);
}

#[test]
fn an_end_that_waited_for_calm_takes_no_other_along_before_its_time() {
    let calm = |number, due_s_ago| Queued {
        event: Event::Resolved,
        is_open: false,
        group_wait: CALM_AFTER_FLAPPING,
        ..waiting(number, "node/node1", due_s_ago)
    };
    assert_eq!(sent(&plan(NOW, &[calm(1, 0), calm(2, -500)], &[])), [1]);
}

#[test]
fn more_than_ten_become_a_digest() {
    for (how_many, is_digest) in [(10, false), (11, true)] {
        let queue: Vec<_> = (1..=how_many).map(|number| waiting(number, "heartbeat/x", 1)).collect();
        let message = plan(NOW, &queue, &[]).message.unwrap();
        assert_eq!((message.deliveries.len(), message.is_digest), (usize::try_from(how_many).unwrap(), is_digest));
    }
}

#[test]
fn what_somebody_is_sending_is_left_alone_and_so_is_what_follows_it() {
    let mut opened = waiting(1, "node/node1", 9);
    opened.claimed_until = Some(Wall(NOW.0 + 1));
    let resolved = Queued { delivery: 2, event: Event::Resolved, is_open: false, ..waiting(1, "node/node1", 1) };
    assert_eq!(plan(NOW, &[opened.clone(), resolved.clone()], &[]), Plan::default());
    opened.begun = Some("n1".to_owned());
    assert_eq!(plan(NOW, &[opened, resolved], &[]), Plan::default());
}

#[test]
fn a_message_whose_sender_is_gone_is_repeated_as_it_was() {
    let begun = |number| Queued {
        begun: Some("n1".to_owned()),
        claimed_until: Some(NOW),
        attempts: 1,
        ..waiting(number, "heartbeat/x", 31)
    };
    let queue = [begun(1), begun(2), waiting(3, "heartbeat/y", 20)];
    let message = plan(NOW, &queue, &[]).message.unwrap();
    assert_eq!((message.deliveries, message.repeats.as_deref()), (vec![1, 2], Some("n1")));
}

#[test]
fn of_several_that_wait_for_one_incident_only_the_last_is_told() {
    let flapping = Queued { delivery: 2, event: Event::Flapping, ..waiting(1, "capacity", 1) };
    let plan = plan(NOW, &[waiting(1, "capacity", 60), flapping], &[]);
    assert_eq!((sent(&plan), plan.cancel), (vec![2], vec![1]));
}

#[test]
fn the_monitors_of_a_lost_node_are_held_and_others_are_not() {
    let queue = [monitor(1, "node1", 1), monitor(2, "node2", 1), waiting(3, "heartbeat/x", 1)];
    let plan = plan(NOW, &queue, &[parent(9, "node/node1")]);
    assert_eq!((&plan.hold[..], sent(&plan)), (&[(1, Holder::Incident(9))][..], vec![2, 3]));
}

#[test]
fn what_may_have_arrived_is_not_held_for_what_is_held_ends_without_a_word() {
    let queue = [Queued { unanswered: 1, ..monitor(2, "node1", 10) }, monitor(3, "node1", 10)];
    let plan = plan(NOW, &queue, &[parent(9, "node/node1")]);
    assert_eq!((plan.hold.as_slice(), sent(&plan)), ([(3, Holder::Incident(9))].as_slice(), vec![2]));
}

#[test]
fn a_node_that_merely_cannot_be_reached_hides_nothing() {
    let unreachable = Parent { severity: Severity::Warning, ..parent(9, "node/node1") };
    let queue = [monitor(1, "node1", 1), Queued { is_held: true, ..monitor(2, "node1", 60) }];
    let plan = plan(NOW, &queue, &[unreachable]);
    assert_eq!((sent(&plan), plan.hold, plan.release), (vec![1], vec![], vec![2]));
}

#[test]
fn a_monitor_that_another_node_runs_by_now_is_told() {
    let moved = Queued { is_held: true, ..monitor(1, "node2", 60) };
    assert_eq!(plan(NOW, &[moved], &[parent(9, "node/node1")]).release, [1]);
}

#[test]
fn nothing_is_held_for_longer_than_ten_minutes_whatever_explains_it_and_whatever_the_clock_did() {
    for key in ["node/node1", "nodes", "database"] {
        let entered = |ago_ms: i64| Queued { entered_at: Wall(NOW.0 - ago_ms), ..monitor(1, "node1", 1) };
        assert_eq!(plan(NOW, &[entered(599_999)], &[parent(9, key)]).hold, [(1, Holder::Incident(9))], "{key}");
        for ago_ms in [600_000, 3_600_000, -3_600_000, 86_400_000, -86_400_000] {
            let held = Queued { is_held: true, ..entered(ago_ms) };
            assert_eq!(plan(NOW, &[held], &[parent(9, key)]).release, [1], "{key} {ago_ms}");
            assert_eq!(sent(&plan(NOW, &[entered(ago_ms)], &[parent(9, key)])), [1], "{key} {ago_ms}");
        }
    }
}

#[test]
fn the_farthest_reaching_trouble_is_the_one_named() {
    let parents = [parent(7, "node/node1"), parent(8, "database"), parent(9, "nodes")];
    let queue = [monitor(1, "node1", 1), waiting(7, "node/node1", 1), waiting(8, "database", 1)];
    let plan = plan(NOW, &queue, &parents);
    assert_eq!((&plan.hold[..], sent(&plan)), (&[(1, Holder::Incident(8)), (7, Holder::Incident(8))][..], vec![8]));
}

#[test]
fn ends_are_never_held() {
    let mut resolved = monitor(1, "node1", 1);
    (resolved.event, resolved.is_open) = (Event::Resolved, false);
    assert_eq!(sent(&plan(NOW, &[resolved], &[parent(9, "node/node1")])), [1]);
}

#[test]
fn what_was_held_is_released_while_it_is_bad_and_dropped_when_it_is_over() {
    let held = |number| Queued { is_held: true, ..monitor(number, "node1", 100) };
    let over = Queued { is_open: false, ..held(2) };
    let after = plan(NOW, &[held(1), over.clone()], &[]);
    assert_eq!((after.release, after.cancel, after.message), (vec![1], vec![2], None));
    let meanwhile = plan(NOW, &[held(1), over], &[parent(9, "node/node1")]);
    assert_eq!((meanwhile.release, meanwhile.cancel), (vec![], vec![2]));
}

#[test]
fn a_late_message_says_how_late_and_why() {
    let late = |attempts, error: Option<&str>| {
        let row = Queued { attempts, last_error: error.map(str::to_owned), ..waiting(1, "leader", 90) };
        plan(NOW, &[row], &[]).message.unwrap().lateness.unwrap()
    };
    assert_eq!(late(0, None), (Duration::from_secs(90), "no watchdog was able to send it".to_owned()));
    assert_eq!(late(3, Some("answered 503")).1, "the channel failed 3 times, at last: answered 503");
    assert_eq!(late(1, None).1, "the watchdog that was sending it went away");
    assert_eq!(plan(NOW, &[waiting(1, "leader", 60)], &[]).message.unwrap().lateness, None);
}

fn later(seconds: i64) -> Wall {
    Wall(NOW.0 + seconds * 1_000)
}

fn unanswered(number: i64, times: u32) -> Queued {
    let begun = Some(format!("n{number}"));
    Queued { begun, unanswered: times, retry_at: Some(later(2)), ..waiting(number, "heartbeat/x", 31) }
}

#[test]
fn a_message_that_got_no_answer_rests_and_others_overtake_it() {
    let queue = [unanswered(1, 1), waiting(2, "heartbeat/y", 1)];
    assert_eq!(sent(&plan(NOW, &queue, &[])), [2]);
    let rested = plan(Wall(NOW.0 + 2_000), &queue, &[]).message.unwrap();
    assert_eq!((rested.deliveries, rested.repeats.as_deref(), rested.is_doubtful), (vec![1], Some("n1"), true));
}

#[test]
fn a_clock_that_jumped_makes_nothing_rest_longer_than_an_hour() {
    let jumped = Queued { retry_at: Some(later(3_601)), ..unanswered(1, 1) };
    assert_eq!(sent(&plan(NOW, &[jumped], &[])), [1]);
}

#[test]
fn what_its_fourth_sender_died_over_is_given_up() {
    let orphan = |times| Queued { retry_at: None, ..unanswered(1, times) };
    let is_exhausted = |row| plan(NOW, &[row], &[]).message.unwrap().is_exhausted;
    assert_eq!((is_exhausted(orphan(3)), is_exhausted(orphan(4))), (false, true));
    // Nobody else could tell it: it is tried again while it is bad.
    let kept = Queued { retry_at: Some(NOW), ..unanswered(1, 4) };
    assert!(!is_exhausted(kept.clone()) && is_exhausted(Queued { is_open: false, ..kept }));
}

#[test]
fn what_may_have_arrived_too_often_does_not_keep_the_end_waiting() {
    let end = Queued { delivery: 2, event: Event::Resolved, is_open: false, ..waiting(1, "heartbeat/x", 1) };
    assert_eq!(plan(NOW, &[unanswered(1, 3), end.clone()], &[]).message, None, "the opening may still be told");
    assert_eq!(sent(&plan(NOW, &[unanswered(1, 4), end], &[])), [2]);
}

#[test]
fn of_what_was_refused_together_only_as_many_go_together_as_are_allowed() {
    let halved = |number| Queued { company: Some(2), ..waiting(number, "heartbeat/x", 9) };
    let queue = [halved(1), halved(2), halved(3), waiting(4, "heartbeat/y", 1)];
    assert_eq!(sent(&plan(NOW, &queue, &[])), [1, 2]);
    let alone = Queued { company: Some(1), ..waiting(1, "heartbeat/x", 1) };
    assert_eq!(sent(&plan(NOW, &[alone.clone(), waiting(2, "heartbeat/y", 9)], &[])), [2]);
    assert_eq!(sent(&plan(NOW, &[alone], &[])), [1]);
}

#[test]
fn those_who_were_refused_while_others_have_it_read_nothing_twice() {
    let half = Queued { has_readers: true, begun: Some("n1".to_owned()), ..waiting(1, "heartbeat/x", 31) };
    let message = plan(NOW, &[half], &[]).message.unwrap();
    assert_eq!((message.repeats.as_deref(), message.is_doubtful), (Some("n1"), false));
}

#[test]
fn what_failed_while_others_passed_goes_with_nobody_but_those_it_failed_with() {
    let suspect = |number, failed_at| Queued {
        failed_at: Some(Wall(failed_at)),
        is_suspect: true,
        ..waiting(number, "heartbeat/x", 60 - number)
    };
    let failed = Queued { failed_at: Some(Wall(9)), ..waiting(4, "heartbeat/z", 1) };
    let queue = [suspect(1, 5), suspect(2, 5), suspect(3, 6), failed.clone(), waiting(5, "heartbeat/y", 1)];
    assert_eq!(sent(&plan(NOW, &queue, &[])), [1, 2]);
    assert_eq!(sent(&plan(NOW, &queue[2..], &[])), [3]);
    assert_eq!(sent(&plan(NOW, &queue[3..], &[])), [4, 5]);
}

#[test]
fn who_began_a_message_goes_on_and_another_takes_over_after_three_seconds() {
    let slot = |now, begun_at| Slot { now: Wall(now), next_at: Wall(0), begun_at: Wall(begun_at) };
    let is_left_to_others = |slot: Slot| slot.is_anothers_turn(false);
    assert!(is_left_to_others(slot(10_000, 10_000)) && is_left_to_others(slot(12_999, 10_000)));
    assert!(!slot(10_000, 10_000).is_anothers_turn(true));
    assert!(!is_left_to_others(slot(13_000, 10_000)));
    // By a clock that was an hour ahead.
    assert!(!is_left_to_others(slot(10_000, 3_610_000)));
}

#[test]
fn what_is_silenced_is_held_for_as_long_as_it_is_and_told_then_if_it_is_still_bad() {
    let silenced = Queued { silenced_by: Some(9), ..waiting(1, "heartbeat/backup", 3) };
    let held = plan(NOW, std::slice::from_ref(&silenced), &[]);
    assert_eq!((&held.hold[..], &held.message), (&[(1, Holder::Silence(9))][..], &None));
    // Longer than anything that explains another would hold it.
    let old = Queued { is_held: true, entered_at: Wall(NOW.0 - 86_400_000), ..silenced };
    assert_eq!(plan(NOW, std::slice::from_ref(&old), &[]), Plan::default());
    let over = Queued { silenced_by: None, ..old };
    assert_eq!(plan(NOW, std::slice::from_ref(&over), &[]).release, [1]);
    let gone = Queued { is_open: false, ..over };
    assert_eq!(plan(NOW, &[gone], &[]).cancel, [1], "it is over, and nobody heard of it");
}

#[test]
fn an_end_is_told_whatever_is_silenced_and_so_is_what_may_have_been_read() {
    let end = Queued { event: Event::Resolved, is_open: false, silenced_by: Some(9), ..waiting(1, "node/node1", 3) };
    let read = Queued { silenced_by: Some(9), unanswered: 1, ..waiting(2, "node/node2", 3) };
    let plan = plan(NOW, &[end, read], &[]);
    assert_eq!((plan.hold, plan.message.unwrap().deliveries), (vec![], vec![1, 2]));
}

#[test]
fn what_one_silence_held_is_the_next_ones_when_that_takes_it_too() {
    let held = |by| Queued { is_held: true, held_by: Some(Holder::Silence(by)), ..waiting(1, "heartbeat/backup", 3) };
    assert_eq!(plan(NOW, &[Queued { silenced_by: Some(9), ..held(9) }], &[]), Plan::default());
    assert_eq!(plan(NOW, &[Queued { silenced_by: Some(9), ..held(8) }], &[]).hold, [(1, Holder::Silence(9))]);
}

#[test]
fn what_explains_it_comes_before_the_silence_that_holds_it_too() {
    let both = Queued { silenced_by: Some(9), ..monitor(2, "node1", 3) };
    let plan = plan(NOW, &[both], &[parent(1, "node/node1")]);
    assert_eq!(plan.hold, [(2, Holder::Incident(1))]);
}
