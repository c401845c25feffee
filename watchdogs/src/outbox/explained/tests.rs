use std::time::Duration;

use super::*;
use crate::outbox::Event;
use crate::outbox::queue::{Holder, Plan, plan};

const NOW: Wall = Wall(10_000_000);

/// Delivery `n` of incident `n`, due a second ago, that depends on these.
fn waiting(number: i64, key: &str, causes: &[i64]) -> Queued {
    Queued {
        delivery: number,
        incident: number,
        key: key.to_owned(),
        node: None,
        causes: causes.to_vec(),
        entered_at: Wall(NOW.0 - 6_000),
        is_open: true,
        event: Event::Opened,
        is_held: false,
        held_by: None,
        silenced_by: None,
        due_at: Wall(NOW.0 - 1_000),
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

fn cause(incident: i64, key: &str) -> Parent {
    Parent { incident, key: key.to_owned(), severity: Severity::Critical, is_told: false, ended_at: None }
}

fn told(incident: i64, key: &str) -> Parent {
    Parent { is_told: true, ..cause(incident, key) }
}

fn sent(plan: &Plan) -> Vec<i64> {
    plan.message.as_ref().map_or(vec![], |message| message.deliveries.clone())
}

fn held(plan: &Plan) -> Vec<(i64, i64)> {
    let by = |holder: &Holder| match holder {
        Holder::Incident(incident) => *incident,
        Holder::Silence(silence) => -silence,
    };
    plan.hold.iter().map(|(delivery, holder)| (*delivery, by(holder))).collect()
}

#[test]
fn of_five_hundred_that_depend_on_one_the_one_is_told_and_the_others_are_held() {
    let mut queue: Vec<_> = (2..=501).map(|number| waiting(number, &format!("check/c{number}"), &[1])).collect();
    queue.insert(0, waiting(1, "check/router", &[]));
    let plan = plan(NOW, &queue, &[cause(1, "check/router")]);
    assert_eq!((sent(&plan), plan.hold.len()), (vec![1], 500));
}

#[test]
fn what_a_channel_was_not_told_of_explains_nothing_to_it() {
    let plan = plan(NOW, &[waiting(2, "check/shop", &[1])], &[]);
    assert_eq!((sent(&plan), held(&plan)), (vec![2], vec![]));
}

#[test]
fn a_cause_that_is_no_more_than_a_warning_hides_nothing() {
    let warning = Parent { severity: Severity::Warning, ..told(1, "heartbeat/backup") };
    assert_eq!(sent(&plan(NOW, &[waiting(2, "check/shop", &[1])], &[warning])), [2]);
}

#[test]
fn what_depends_on_a_cause_is_held_for_as_long_as_that_lasts_and_a_minute_longer() {
    let old = Queued { entered_at: Wall(NOW.0 - 86_400_000), ..waiting(2, "check/shop", &[1]) };
    assert_eq!(held(&plan(NOW, std::slice::from_ref(&old), &[told(1, "node/n1")])), [(2, 1)]);
    let kept = Queued { is_held: true, held_by: Some(Holder::Incident(1)), ..old };
    let ended = |ago_ms: i64| Parent { ended_at: Some(Wall(NOW.0 - ago_ms)), ..told(1, "node/n1") };
    assert_eq!(plan(NOW, std::slice::from_ref(&kept), &[ended(59_999)]), Plan::default());
    for ago_ms in [60_000, -1] {
        assert_eq!(plan(NOW, std::slice::from_ref(&kept), &[ended(ago_ms)]).release, [2], "{ago_ms}");
    }
    let over = Queued { is_open: false, ..kept };
    assert_eq!(plan(NOW, &[over], &[ended(1_000)]).cancel, [2], "it recovered meanwhile, and nobody heard of it");
}

#[test]
fn a_cause_that_a_channel_is_yet_to_be_told_of_hides_nothing_for_longer_than_a_guess() {
    let resting = Queued { retry_at: Some(Wall(NOW.0 + 60_000)), attempts: 3, ..waiting(1, "check/router", &[]) };
    let entered = |ago_ms: i64| Queued { entered_at: Wall(NOW.0 - ago_ms), ..waiting(2, "check/shop", &[1]) };
    let found = |ago_ms: i64| plan(NOW, &[resting.clone(), entered(ago_ms)], &[cause(1, "check/router")]);
    assert_eq!((held(&found(599_999)), sent(&found(600_000))), (vec![(2, 1)], vec![2]));
    let behind = [resting.clone(), Queued { causes: vec![1], ..entered(600_000) }, waiting(3, "check/page", &[2])];
    let found = plan(NOW, &behind, &[cause(1, "check/router"), cause(2, "check/shop")]);
    assert_eq!((sent(&found), held(&found)), (vec![2], vec![(3, 2)]));
}

#[test]
fn an_end_is_told_whatever_it_depends_on() {
    let end = Queued { event: Event::Resolved, is_open: false, ..waiting(2, "check/shop", &[1]) };
    assert_eq!(sent(&plan(NOW, &[end], &[told(1, "check/router")])), [2]);
}

#[test]
fn a_cause_that_is_itself_explained_explains_what_depends_on_it() {
    let queue = [waiting(1, "check/router", &[]), waiting(2, "node/n1", &[1]), waiting(3, "check/shop", &[2])];
    let causes = [cause(1, "check/router"), cause(2, "node/n1")];
    let plan = plan(NOW, &queue, &causes);
    assert_eq!((sent(&plan), held(&plan)), (vec![1], vec![(2, 1), (3, 2)]));
}

#[test]
fn a_cause_that_was_silenced_before_anybody_heard_of_it_explains_nothing() {
    let silenced = Queued { silenced_by: Some(7), ..waiting(1, "check/router", &[]) };
    let queue = [silenced.clone(), waiting(2, "check/shop", &[1])];
    let found = plan(NOW, &queue, &[cause(1, "check/router")]);
    assert_eq!((sent(&found), held(&found)), (vec![2], vec![(1, -7)]));
    let was_told = plan(NOW, &queue, &[told(1, "check/router")]);
    assert_eq!((sent(&was_told), held(&was_told)), (vec![], vec![(1, -7), (2, 1)]));
}

#[test]
fn what_would_explain_each_other_does_not_leave_each_other_untold() {
    // The node depends on a check, the check on a monitor, and that one runs on the node.
    let monitor = Queued { node: Some("n1".into()), ..waiting(3, "monitor/5", &[]) };
    let queue = [waiting(1, "node/n1", &[2]), waiting(2, "check/link", &[3]), monitor];
    let causes = [cause(1, "node/n1"), cause(2, "check/link"), cause(3, "monitor/5")];
    let found = plan(NOW, &queue, &causes);
    assert_eq!((sent(&found), held(&found)), (vec![1], vec![(2, 3), (3, 1)]));
}

#[test]
fn behind_a_row_of_causes_that_is_too_long_everything_is_told() {
    let row = |number: i64| waiting(number, &format!("check/c{number}"), &[number - 1]);
    let queue: Vec<_> = (1..=30).map(row).collect();
    let causes: Vec<_> = (1..=30).map(|number| cause(number, &format!("check/c{number}"))).collect();
    let found = plan(NOW, &queue, &causes);
    let told = sent(&found);
    assert_eq!((told.first(), found.hold.len() + told.len()), (Some(&1), 30));
    assert!(found.hold.len() >= 15, "{:?}", found.hold);
}

#[test]
fn ten_thousand_that_explain_each_other_take_no_time() {
    let row = |number: i64| waiting(number, &format!("check/c{number}"), &[number % 10_000 + 1]);
    let queue: Vec<_> = (1..=10_000).map(row).collect();
    let causes: Vec<_> = (1..=10_000).map(|number| cause(number, &format!("check/c{number}"))).collect();
    assert!(!sent(&plan(NOW, &queue, &causes)).is_empty());
}
