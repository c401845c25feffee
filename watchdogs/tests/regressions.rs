//! What the simulation found, each told as one small story.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::facts::{
    ClusterRow, Counts, LeaderRow, MonitorRow, NodeRow, NodeStatus, Observation, ObservationRow, Round, Shard, Target,
    Vote, WatchdogRow,
};
use komainu_watchdogs::ids::{Generation, Incarnation, MonitorId, NodeId, Nonce, Stamp, WatchdogId};
use komainu_watchdogs::io::{Errand, Found, Input, LeadershipAnswer, Output, ProbeOutcome};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::quorum::Word;
use komainu_watchdogs::roster::Roster;
use komainu_watchdogs::shard::{Field, Slot, plan};
use komainu_watchdogs::tenure::{self, OwnRow, Request, Tenure};
use komainu_watchdogs::time::{Mono, Wall};
use komainu_watchdogs::view::{DatabaseView, Health};
use komainu_watchdogs::watchdog::{Identity, Watchdog};

fn watchdog() -> Watchdog {
    let identity =
        Identity { watchdog: "w1".into(), incarnation: Incarnation(7), zone: "z1".into(), canaries: Vec::new() };
    Watchdog::new(identity, Policy::default(), Mono::secs(0), 1)
}

fn drain(watchdog: &mut Watchdog) -> Vec<Output> {
    std::iter::from_fn(|| watchdog.poll_output()).collect()
}

#[test]
fn an_answer_that_waited_while_the_process_was_stopped_says_no_calm() {
    let mut watchdog = watchdog();
    drain(&mut watchdog);
    watchdog.handle(Mono::secs(25), Input::Written(Ok(())));
    assert_eq!(watchdog.view(Mono::secs(25)).database, DatabaseView::Down);
}

fn row_of(watchdog: &str, incarnation: u64, seq: u64) -> WatchdogRow {
    WatchdogRow {
        watchdog: watchdog.into(),
        incarnation: Incarnation(incarnation),
        seq,
        zone: "z1".into(),
        advertise: String::new(),
        isolated: false,
        stopped: false,
        last_seen: Wall(0),
    }
}

/// A round that begins and ends at `at`, with one node.
fn round(at: Mono, node: NodeRow) -> Input {
    Input::Round(Box::new(rows(at, node)))
}

fn rows(at: Mono, node: NodeRow) -> Round {
    Round {
        began_at: at,
        ended_at: at,
        database_time: Wall(0),
        cluster: ClusterRow::default(),
        leader: LeaderRow::default(),
        watchdogs: vec![row_of("w1", 7, at.as_micros())],
        own: None,
        nodes: vec![node],
        observations: Vec::new(),
    }
}

fn node(status: NodeStatus, lease_seq: u64) -> NodeRow {
    NodeRow { node: "n1".into(), status, incarnation: Some(Incarnation(9)), lease_seq, ..NodeRow::default() }
}

fn probed(watchdog: &mut Watchdog, second: u64, outcome: &ProbeOutcome) {
    watchdog.handle(Mono::secs(second), Input::Probed(Target::Node("n1".into()), outcome.clone()));
}

#[test]
fn what_was_seen_before_a_long_standstill_is_no_vote_any_more() {
    let mut watchdog = watchdog();
    watchdog.handle(Mono::secs(0), round(Mono::secs(0), node(NodeStatus::Online, 1)));
    for second in 1..=3 {
        probed(&mut watchdog, second, &ProbeOutcome::Failed(String::new()));
    }
    assert_eq!(watchdog.report().observations[0].vote, Vote::Down);
    watchdog.handle(Mono::secs(25), round(Mono::secs(25), node(NodeStatus::Online, 9)));
    assert_eq!(watchdog.report().observations[0].vote, Vote::Unknown);
}

#[test]
fn a_status_is_written_only_while_it_can_be_said() {
    let mut watchdog = watchdog();
    for second in 0..=5 {
        watchdog.handle(Mono::secs(second), round(Mono::secs(second), node(NodeStatus::New, second)));
        probed(&mut watchdog, second, &ProbeOutcome::Answered);
    }
    // Its own view is online; then a failed read begins its watch of the lease anew, and it comes to lead.
    watchdog.handle(Mono::secs(6), Input::RoundFailed(String::new()));
    let locked = LeadershipAnswer::Attempted { locked: true, row: LeaderRow::default() };
    watchdog.handle(Mono::secs(6), Input::Leadership { began_at: Mono::secs(6), answer: locked });
    watchdog.handle(Mono::secs(7), Input::Tick);
    let claimed = LeadershipAnswer::Claimed(komainu_watchdogs::ids::Epoch(1));
    watchdog.handle(Mono::secs(7), Input::Leadership { began_at: Mono::secs(7), answer: claimed });
    watchdog.handle(Mono::secs(7), Input::Leadership { began_at: Mono::secs(7), answer: LeadershipAnswer::Renewed });
    drain(&mut watchdog);
    watchdog.handle(Mono::secs(7), round(Mono::secs(7), node(NodeStatus::New, 6)));
    assert!(!drain(&mut watchdog).iter().any(|output| matches!(output, Output::Commit(_))));
    watchdog.handle(Mono::secs(8), round(Mono::secs(8), node(NodeStatus::New, 7)));
    assert!(drain(&mut watchdog).iter().any(|output| matches!(output, Output::Commit(_))));
}

#[test]
fn a_new_leader_decides_on_nothing_that_it_read_before_its_claim() {
    let mut watchdog = watchdog();
    for second in 0..=6 {
        watchdog.handle(Mono::secs(second), round(Mono::secs(second), node(NodeStatus::New, second)));
        probed(&mut watchdog, second, &ProbeOutcome::Answered);
    }
    let locked = LeadershipAnswer::Attempted { locked: true, row: LeaderRow::default() };
    watchdog.handle(Mono::secs(6), Input::Leadership { began_at: Mono::secs(6), answer: locked });
    watchdog.handle(Mono::secs(7), Input::Tick);
    drain(&mut watchdog);
    // Its predecessor may have written the node online at 6.5 s, and counted it.
    let claimed = LeadershipAnswer::Claimed(komainu_watchdogs::ids::Epoch(1));
    watchdog.handle(Mono::secs(7), Input::Leadership { began_at: Mono::secs(7), answer: claimed });
    watchdog.handle(Mono::secs(7), Input::Leadership { began_at: Mono::secs(7), answer: LeadershipAnswer::Renewed });
    let ordered = drain(&mut watchdog);
    assert!(!ordered.iter().any(|output| matches!(output, Output::Commit(_))), "{ordered:?}");
    watchdog.handle(Mono::secs(7), round(Mono::secs(7), node(NodeStatus::New, 7)));
    assert!(drain(&mut watchdog).iter().any(|output| matches!(output, Output::Commit(_))));
}

#[test]
fn a_peer_whose_row_was_not_seen_to_move_since_the_last_error_says_nothing() {
    let (policy, me) = (Policy::default(), WatchdogId::from("w1"));
    let target = Target::Node("n1".into());
    let mut roster = Roster::default();
    let hear = |roster: &mut Roster, second: u64, seq: u64| {
        let mut round = rows(Mono::secs(second), node(NodeStatus::Online, second));
        round.watchdogs.push(row_of("w2", 8, seq));
        let observation = Observation {
            target: target.clone(),
            vote: Vote::Down,
            failures: 3,
            detail: String::new(),
            is_refused: false,
            is_blind: false,
        };
        round.observations =
            vec![ObservationRow { watchdog: "w2".into(), incarnation: Incarnation(8), seq: 1, observation }];
        roster.handle_round(&round);
        let voters = roster.voters(&me, false, &policy);
        let ballots = roster.ballots(&voters, &me, &target, Word { vote: Vote::Up, ..Word::default() });
        ballots.iter().map(|ballot| ballot.word.vote).collect::<Vec<_>>()
    };
    hear(&mut roster, 1, 1);
    assert_eq!(hear(&mut roster, 2, 2), [Vote::Up, Vote::Down]);
    roster.reset();
    assert_eq!(hear(&mut roster, 60, 2), [Vote::Up, Vote::Unknown]);
    assert_eq!(hear(&mut roster, 61, 3), [Vote::Up, Vote::Down]);
}

#[test]
fn a_watchdog_that_writes_but_reads_nothing_says_no_calm() {
    let mut watchdog = watchdog();
    watchdog.handle(Mono::secs(0), Input::Errand(Errand::Counts, Ok(Found::Counts(Box::default()))));
    watchdog.handle(Mono::secs(0), round(Mono::secs(0), node(NodeStatus::Online, 1)));
    for second in 0..=20 {
        watchdog.handle(Mono::secs(second), Input::Written(Ok(())));
        watchdog.handle(Mono::secs(second), Input::RoundFailed(String::new()));
        let is_calm = watchdog.view(Mono::secs(second)).status != Health::Down;
        assert_eq!(is_calm, second < 15, "at {second} s");
    }
}

#[test]
fn a_count_that_fails_again_and_again_is_tried_once_a_second() {
    let mut watchdog = watchdog();
    let counted = Ok(Found::Counts(Box::default()));
    drain(&mut watchdog);
    watchdog.handle(Mono::secs(0), Input::Errand(Errand::Counts, counted));
    watchdog.handle(Mono::secs(1), Input::RoundFailed(String::new()));
    let mut tries = 0;
    for tenth in 10..=100 {
        let at = Mono::default() + Duration::from_millis(100 * tenth);
        watchdog.handle(at, Input::Tick);
        while let Some(output) = watchdog.poll_output() {
            if output == Output::Errand(Errand::Counts) {
                tries += 1;
                assert!(tries <= 20, "tried again at once, at {at:?}");
                watchdog.handle(at, Input::Errand(Errand::Counts, Err(String::new())));
            }
        }
    }
    assert!((8..=10).contains(&tries), "{tries} tries in nine seconds");
}

fn stamp(generation: u64) -> Stamp {
    Stamp { generation: Generation(generation), nonce: Nonce(generation * 11) }
}

/// A node that holds its lease at 0 s, and has applied `stamp(5)` with these monitors.
fn a_running_node(mine: &BTreeSet<MonitorId>) -> Tenure {
    let at = Mono::secs(0);
    let row =
        OwnRow { incarnation: None, is_released: false, lease_seq: 0, hostname: String::new(), is_abandoned: false };
    let mut node = Tenure::new(Policy::default(), Incarnation(7), at);
    node.handle(at, tenure::Input::Row(Some(row)));
    node.handle(at, tenure::Input::Registered { began_at: at, won: true });
    node.handle(at, tenure::Input::StampRead { began_at: at, stamp: stamp(5), applied_is_known: true });
    node.handle(at, tenure::Input::Assigned { stamp: stamp(5), monitors: mine.clone() });
    node.handle(at, tenure::Input::Acknowledged { began_at: at, ours: true });
    node
}

#[test]
fn an_answer_that_shows_a_lost_tail_stops_the_node_however_late_it_comes() {
    let mut node = a_running_node(&BTreeSet::from([MonitorId(1)]));
    node.handle(Mono::secs(1), tenure::Input::Edited);
    node.handle(Mono::secs(2), tenure::Input::Failed(Request::ReadStamp));
    assert_eq!(node.may_run(Mono::secs(3), MonitorId(1)), Ok(()));
    node.handle(Mono::secs(3), tenure::Input::Assigned { stamp: stamp(4), monitors: BTreeSet::new() });
    assert!(node.may_run(Mono::secs(3), MonitorId(1)).is_err());
}

#[test]
fn a_node_that_has_applied_nothing_waits_for_a_lease_after_a_failure_that_may_hide_a_lost_tail() {
    let mine = BTreeSet::from([MonitorId(1)]);
    let mut node = Tenure::new(Policy::default(), Incarnation(7), Mono::secs(0));
    node.handle(Mono::secs(1), tenure::Input::Failed(Request::ReadRow));
    let apply = |node: &mut Tenure, second: u64| {
        let at = Mono::secs(second);
        node.handle(at, tenure::Input::Hint);
        node.handle(at, tenure::Input::StampRead { began_at: at, stamp: stamp(5), applied_is_known: true });
        node.handle(at, tenure::Input::Assigned { stamp: stamp(5), monitors: mine.clone() });
        node.handle(at, tenure::Input::Acknowledged { began_at: at, ours: true });
    };
    let row =
        OwnRow { incarnation: None, is_released: true, lease_seq: 3, hostname: String::new(), is_abandoned: false };
    node.handle(Mono::secs(2), tenure::Input::Tick);
    node.handle(Mono::secs(2), tenure::Input::Row(Some(row)));
    node.handle(Mono::secs(2), tenure::Input::Registered { began_at: Mono::secs(2), won: true });
    apply(&mut node, 2);
    assert!(node.may_run(Mono::secs(2), MonitorId(1)).is_err(), "another node may run it until its fence");
    node.handle(Mono::secs(11), tenure::Input::Renewed { began_at: Mono::secs(11), ours: true });
    apply(&mut node, 12);
    assert_eq!(node.may_run(Mono::secs(12), MonitorId(1)), Ok(()));
}

#[test]
fn a_step_names_the_home_it_was_planned_by() {
    let node = |node: &str| Some(NodeId::from(node));
    let monitor = MonitorRow {
        only_kuma: false,
        kuma_tells: false,
        monitor: MonitorId(1),
        kind: "http".into(),
        interval_s: 60,
        active: true,
        is_placed: true,
        home: node("n2"),
        effective: node("n1"),
        pinned: true,
        asked: false,
        run_on: Vec::new(),
        source: None,
    };
    let shard = Shard { stamp: stamp(5), monitors: vec![monitor] };
    let nodes = BTreeMap::from([("n1".into(), Slot::default()), ("n2".into(), Slot::default())]);
    let going_home = plan(&shard, &Field { nodes, release_budget: 1, ..Field::default() });
    // Whoever binds it to n1 meanwhile must find that this step, which is for n2, leaves it alone.
    assert_eq!(going_home.moves.iter().map(|step| step.home.clone()).collect::<Vec<_>>(), [node("n2")]);
}

#[test]
fn a_wish_that_failed_and_passed_does_not_silence_a_watchdog_for_ever() {
    let mut watchdog = watchdog();
    for second in 0..=60 {
        let at = Mono::secs(second);
        let mut rows = rows(at, node(NodeStatus::Online, second));
        rows.leader = LeaderRow { holder: Some(Incarnation(8)), renewals: second, ..LeaderRow::default() };
        watchdog.handle(at, Input::Round(Box::new(rows)));
        probed(&mut watchdog, second, &ProbeOutcome::Answered);
        if second == 20 {
            // Raised by nobody any more: it held for one round, and could not be entered.
            watchdog.handle(at, Input::Told("node/n1".to_owned(), Err(String::new())));
        }
        for output in drain(&mut watchdog) {
            let answer = match output {
                Output::Write(_) => Some(Input::Written(Ok(()))),
                Output::Errand(Errand::Counts) => {
                    let counts = Counts { began_at: at, ..Counts::default() };
                    Some(Input::Errand(Errand::Counts, Ok(Found::Counts(Box::new(counts)))))
                }
                Output::Errand(errand) => Some(Input::Errand(errand, Ok(Found::Incidents(Vec::new())))),
                Output::Raise(alarm) => Some(Input::Told(alarm.key, Ok(()))),
                Output::ReadRound
                | Output::ReadProgress(_)
                | Output::Probe(_)
                | Output::Leadership(_)
                | Output::ReadShard
                | Output::Commit(_)
                | Output::Resolve { .. }
                | Output::Announce(_)
                | Output::LostTail(_)
                | Output::Hint(_) => None,
            };
            if let Some(answer) = answer {
                watchdog.handle(at, answer);
            }
        }
    }
    let reasons = watchdog.view(Mono::secs(60)).reasons;
    assert!(!reasons.iter().any(|reason| reason.contains("no verdict")), "{reasons:?}");
}
