//! What the simulation found, each told as one small story.

use komainu_watchdogs::facts::{
    ClusterRow, LeaderRow, NodeRow, NodeStatus, Observation, ObservationRow, Round, Target, Vote, WatchdogRow,
};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::io::{Input, LeadershipAnswer, Output, ProbeOutcome};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::roster::Roster;
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
        nodes: vec![node],
        observations: Vec::new(),
        shards: Vec::new(),
        leftover: 0,
        progress: None,
        incidents: Vec::new(),
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
fn a_peer_whose_row_was_not_seen_to_move_since_the_last_error_says_nothing() {
    let (policy, me) = (Policy::default(), WatchdogId::from("w1"));
    let target = Target::Node("n1".into());
    let mut roster = Roster::default();
    let hear = |roster: &mut Roster, second: u64, seq: u64| {
        let mut round = rows(Mono::secs(second), node(NodeStatus::Online, second));
        round.watchdogs.push(row_of("w2", 8, seq));
        let observation = Observation { target: target.clone(), vote: Vote::Down, failures: 3, detail: String::new() };
        round.observations =
            vec![ObservationRow { watchdog: "w2".into(), incarnation: Incarnation(8), seq: 1, observation }];
        roster.handle_round(&round);
        let voters = roster.voters(&me, false, &policy);
        let ballots = roster.ballots(&voters, &me, &target, Vote::Up);
        ballots.iter().map(|ballot| ballot.vote).collect::<Vec<_>>()
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
    watchdog.handle(Mono::secs(0), round(Mono::secs(0), node(NodeStatus::Online, 1)));
    for second in 0..=20 {
        watchdog.handle(Mono::secs(second), Input::Written(Ok(())));
        watchdog.handle(Mono::secs(second), Input::RoundFailed(String::new()));
        let is_calm = watchdog.view(Mono::secs(second)).status != Health::Down;
        assert_eq!(is_calm, second < 15, "at {second} s");
    }
}
