//! One tenure's stories: fence, reconciliation, quarantine, registration.

use super::*;
use crate::ids::{Generation, Nonce};

const MINE: Incarnation = Incarnation(1);
const OTHER: Incarnation = Incarnation(2);

fn stamp(generation: u64, nonce: u64) -> Stamp {
    Stamp { generation: Generation(generation), nonce: Nonce(nonce) }
}

fn monitors(ids: &[i64]) -> BTreeSet<MonitorId> {
    ids.iter().copied().map(MonitorId).collect()
}

fn drain(tenure: &mut Tenure) -> Vec<Output> {
    std::iter::from_fn(|| tenure.poll_output()).collect()
}

fn row(incarnation: Option<Incarnation>, lease_seq: u64) -> Input {
    Input::Row(Some(OwnRow {
        incarnation,
        is_released: false,
        lease_seq,
        hostname: "elsewhere".into(),
        is_abandoned: false,
    }))
}

/// The holder listened where this process does, and its lock is free.
fn abandoned(lease_seq: u64) -> Input {
    let hostname = "here".into();
    let row = OwnRow { incarnation: Some(OTHER), is_released: false, lease_seq, hostname, is_abandoned: true };
    Input::Row(Some(row))
}

/// What the process orders that reads these rows, one after the other at these milliseconds, from its start.
fn reading(rows: impl IntoIterator<Item = (u64, Input)>) -> Vec<(u64, Output)> {
    let mut tenure = Tenure::new(Policy::default(), MINE, Mono::secs(0));
    let mut ordered = Vec::new();
    for (at, row) in rows {
        tenure.handle(Mono::millis(at), Input::Tick);
        drain(&mut tenure);
        tenure.handle(Mono::millis(at), row);
        ordered.extend(drain(&mut tenure).into_iter().map(|output| (at, output)));
    }
    ordered.retain(|(_, output)| matches!(output, Output::Register { .. }));
    ordered
}

/// Registered at 0 s, applied `stamp(5, 55)` with monitors 1 and 2.
fn a_running_node() -> Tenure {
    let mut tenure = Tenure::new(Policy::default(), MINE, Mono::secs(0));
    drain(&mut tenure);
    tenure.handle(Mono::secs(0), row(None, 0));
    tenure.handle(Mono::secs(0), Input::Registered { began_at: Mono::secs(0), won: true });
    reconcile(&mut tenure, 0, stamp(5, 55), &[1, 2]);
    tenure
}

fn reconcile(tenure: &mut Tenure, at: u64, to: Stamp, ids: &[i64]) -> Vec<Output> {
    let at = Mono::secs(at);
    drain(tenure);
    tenure.handle(at, Input::Hint);
    tenure.handle(at, Input::StampRead { began_at: at, stamp: to, applied_is_known: true });
    tenure.handle(at, Input::Assigned { stamp: to, monitors: monitors(ids) });
    if drain(tenure).iter().any(|output| matches!(output, Output::Stop(_))) {
        tenure.handle(at, Input::Stopped);
    }
    tenure.handle(at, Input::Acknowledged { began_at: at, ours: true });
    drain(tenure)
}

#[test]
fn a_node_whose_last_renewal_was_sent_eight_seconds_ago_runs_nothing() {
    let tenure = a_running_node();
    assert_eq!(tenure.may_run(Mono::millis(7_999), MonitorId(1)), Ok(()));
    assert_eq!(tenure.may_run(Mono::secs(8), MonitorId(1)), Err(Fence::LeaseTooOld));
}

#[test]
fn a_node_that_was_out_for_longer_than_its_fence_reconciles_before_its_first_run() {
    let mut tenure = a_running_node();
    tenure.handle(Mono::secs(2), Input::Tick);
    tenure.handle(Mono::secs(20), Input::Renewed { began_at: Mono::secs(20), ours: true });
    assert_eq!(tenure.may_run(Mono::secs(20), MonitorId(1)), Err(Fence::NotReconciled));
    reconcile(&mut tenure, 20, stamp(5, 55), &[1, 2]);
    assert_eq!(tenure.may_run(Mono::secs(20), MonitorId(1)), Ok(()));
}

#[test]
fn an_acknowledgement_waits_until_nothing_of_the_stopped_can_be_stored() {
    let mut tenure = a_running_node();
    let at = Mono::secs(1);
    tenure.handle(at, Input::Hint);
    tenure.handle(at, Input::StampRead { began_at: at, stamp: stamp(6, 66), applied_is_known: true });
    drain(&mut tenure);
    tenure.handle(at, Input::Assigned { stamp: stamp(6, 66), monitors: monitors(&[2, 3]) });
    assert_eq!(drain(&mut tenure), [Output::Stop(monitors(&[1]))]);
    assert_eq!(tenure.may_store(at, MonitorId(1)), Err(Fence::NotMine));
    tenure.handle(at, Input::Stopped);
    assert_eq!(drain(&mut tenure), [Output::Acknowledge(stamp(6, 66))]);
    assert_eq!(tenure.may_run(at, MonitorId(3)), Err(Fence::NotMine));
    tenure.handle(at, Input::Acknowledged { began_at: at, ours: true });
    assert_eq!(drain(&mut tenure), [Output::Start(monitors(&[3]))]);
}

/// Read `stamp(6, 66)`, which brings monitor 3, and ordered its acknowledgement.
fn a_node_that_acknowledges() -> Tenure {
    let mut tenure = a_running_node();
    let at = Mono::secs(1);
    tenure.handle(at, Input::Hint);
    tenure.handle(at, Input::StampRead { began_at: at, stamp: stamp(6, 66), applied_is_known: true });
    tenure.handle(at, Input::Assigned { stamp: stamp(6, 66), monitors: monitors(&[1, 2, 3]) });
    assert!(drain(&mut tenure).contains(&Output::Acknowledge(stamp(6, 66))));
    tenure
}

#[test]
fn what_was_read_before_a_failure_is_read_again_before_anything_starts() {
    let mut tenure = a_node_that_acknowledges();
    let at = Mono::secs(2);
    tenure.handle(at, Input::Failed(Request::Renew));
    tenure.handle(at, Input::Acknowledged { began_at: at, ours: true });
    assert!(!drain(&mut tenure).iter().any(|output| matches!(output, Output::Start(_))));
    assert_eq!(tenure.may_run(at, MonitorId(3)), Err(Fence::NotMine));
    let outputs = reconcile(&mut tenure, 3, stamp(6, 66), &[1, 2, 3]);
    assert!(outputs.contains(&Output::Start(monitors(&[3]))));
}

#[test]
fn what_was_asked_before_a_failure_is_not_applied() {
    let mut tenure = a_running_node();
    let at = Mono::secs(1);
    tenure.handle(at, Input::Hint);
    tenure.handle(at, Input::StampRead { began_at: at, stamp: stamp(6, 66), applied_is_known: true });
    tenure.handle(Mono::secs(2), Input::Failed(Request::Renew));
    tenure.handle(Mono::secs(3), Input::Assigned { stamp: stamp(6, 66), monitors: monitors(&[1, 2, 3]) });
    assert!(!drain(&mut tenure).contains(&Output::Acknowledge(stamp(6, 66))));
}

#[test]
fn the_answer_to_an_earlier_acknowledgement_starts_nothing_of_a_later_one() {
    let mut tenure = a_node_that_acknowledges();
    let at = Mono::secs(2);
    // The first acknowledgement is still without an answer.
    tenure.handle(at, Input::Tick);
    tenure.handle(at, Input::StampRead { began_at: at, stamp: stamp(5, 77), applied_is_known: false });
    tenure.handle(at, Input::Assigned { stamp: stamp(5, 77), monitors: monitors(&[1]) });
    tenure.handle(at, Input::Stopped);
    tenure.handle(at, Input::Acknowledged { began_at: at, ours: true });
    assert_eq!(tenure.applied(), None);
}

#[test]
fn a_database_that_lost_its_tail_stops_everything_for_one_lease() {
    let mut tenure = a_running_node();
    let outputs = reconcile(&mut tenure, 3, stamp(4, 44), &[1, 2]);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Start(_))));
    assert_eq!(tenure.may_run(Mono::secs(3), MonitorId(1)), Err(Fence::NotMine));
    let outputs = reconcile(&mut tenure, 14, stamp(4, 44), &[1, 2]);
    assert!(outputs.contains(&Output::Start(monitors(&[1, 2]))));
}

#[test]
fn the_same_generation_with_another_nonce_is_a_lost_tail() {
    let mut tenure = a_running_node();
    reconcile(&mut tenure, 3, stamp(5, 56), &[1, 2]);
    assert_eq!(tenure.may_run(Mono::secs(3), MonitorId(1)), Err(Fence::NotMine));
}

#[test]
fn a_node_that_lost_its_row_stops_everything_and_registers_anew() {
    let mut tenure = a_running_node();
    tenure.handle(Mono::secs(2), Input::Tick);
    drain(&mut tenure);
    tenure.handle(Mono::secs(2), Input::Renewed { began_at: Mono::secs(2), ours: false });
    let outputs = drain(&mut tenure);
    assert!(outputs.contains(&Output::Stop(monitors(&[1, 2]))) && outputs.contains(&Output::ReadRow));
    assert_eq!(tenure.may_store(Mono::secs(2), MonitorId(1)), Err(Fence::NotRegistered));
}

#[test]
fn an_id_that_another_process_keeps_renewing_is_refused_after_two_leases() {
    let mut tenure = Tenure::new(Policy::default(), MINE, Mono::secs(0));
    for second in 0..=22 {
        tenure.handle(Mono::secs(second), Input::Tick);
        tenure.handle(Mono::secs(second), row(Some(OTHER), second));
    }
    let exit = Output::Exit(ExitReason::IdInUse { hostname: "elsewhere".into() });
    assert!(drain(&mut tenure).contains(&exit));
}

#[test]
fn a_node_whose_registration_is_under_way_sleeps_until_its_next_look() {
    let mut tenure = Tenure::new(Policy::default(), MINE, Mono::secs(0));
    tenure.handle(Mono::secs(0), row(None, 0));
    tenure.handle(Mono::secs(1), Input::Tick);
    assert_eq!(tenure.poll_timeout(), Mono::secs(2));
}

#[test]
fn a_vanished_holders_row_is_taken_after_one_watched_lease() {
    let mut tenure = Tenure::new(Policy::default(), MINE, Mono::secs(0));
    for second in 0..=11 {
        tenure.handle(Mono::secs(second), Input::Tick);
        tenure.handle(Mono::secs(second), row(Some(OTHER), 40));
        let registers = drain(&mut tenure).iter().any(|output| matches!(output, Output::Register { .. }));
        assert_eq!(registers, second == 11, "at {second} s");
    }
}

#[test]
fn a_process_that_was_killed_where_this_one_listens_is_not_watched_for_a_whole_lease() {
    let ordered = reading((0..5).map(|second| (second * 1_000, abandoned(7))));
    assert_eq!(ordered, [(3_000, Output::Register { seen: Some(OTHER), lease_seq: 7 })]);
}

#[test]
fn a_process_that_renews_or_has_its_lock_again_is_not_taken_for_killed() {
    let renews = (0..10).map(|second| (second * 1_000, abandoned(7 + second / 2)));
    assert_eq!(reading(renews), []);
    let has_it_again = (0..10).map(|second| {
        let is_free = second % 3 != 2;
        (second * 1_000, if is_free { abandoned(7) } else { row(Some(OTHER), 7) })
    });
    assert_eq!(reading(has_it_again), []);
}

#[test]
fn a_lease_that_is_taken_away_while_it_is_watched_need_not_be_watched_again() {
    let rows = (0..13).map(|second| (second * 1_000, row((second < 9).then_some(OTHER), 7)));
    assert_eq!(reading(rows), [(11_000, Output::Register { seen: None, lease_seq: 7 })]);
}
