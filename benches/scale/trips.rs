//! Round trips to the database that leases hang on: on one that is a second away, all of them together are the delay.
//!
//! Counted before any watchdog starts, by one of the bench's own that leaves no trace.

use komainu::store::{Leadership, WatchdogIdentity, cluster};
use komainu_watchdogs::decision::{Commit, Decision, Move, MoveReason, Step};
use komainu_watchdogs::facts::Report;
use komainu_watchdogs::ids::{Epoch, Incarnation, MonitorId};
use komainu_watchdogs::io::{LeadershipAct, Write};
use komainu_watchdogs::tail::Claim;

use crate::measures::line;
use crate::simulated::Simulated;

const ME: Incarnation = Incarnation(1);

/// Prints how many trips a round, a renewal, the reading of all monitors and a decision take.
pub(crate) async fn count(simulated: &Simulated) {
    let identity = WatchdogIdentity {
        watchdog: "bench".into(),
        zone: "bench".into(),
        advertise: String::new(),
        hostname: String::new(),
        version: String::new(),
    };
    print("a watchdog's round", of_round(simulated, identity.clone()).await, 2);
    let url = simulated.store.url().clone();
    let mut leadership = Leadership::new(url, "bench-trips", identity, ME);
    let epoch = claim(simulated, &mut leadership).await;
    let before = leadership.trips();
    leadership.perform(LeadershipAct::Renew { epoch, with_lock: true }).await;
    let renewed = leadership.trips();
    leadership.read_shard().await.unwrap();
    let read = leadership.trips();
    decide(simulated, &mut leadership, epoch).await;
    print("a leader's renewal", renewed - before, 1);
    print("reading all monitors", read - renewed, 1);
    print("a decision", leadership.trips() - read, 3);
    leadership.perform(LeadershipAct::Release).await;
    let forget = "UPDATE komainu_leader SET holder = NULL, watchdog_id = NULL WHERE watchdog_id = 'bench'";
    simulated.database.execute(forget).await;
    simulated.database.execute("DELETE FROM komainu_watchdog WHERE watchdog_id = 'bench'").await;
}

fn print(what: &str, trips: u64, bar: u64) {
    line(&format!("round trips: {what}"), &trips.to_string(), &format!("<= {bar}"), trips <= bar);
}

async fn of_round(simulated: &Simulated, identity: WatchdogIdentity) -> u64 {
    let report = |seq| Report {
        watchdog: "bench".into(),
        incarnation: ME,
        seq,
        zone: "bench".into(),
        isolated: false,
        database_ok: true,
        observations: Vec::new(),
        database_report: None,
        seen: None,
    };
    let mut watch = simulated.store.watch(identity).await.unwrap();
    // The first takes the row.
    watch.write(&Write { report: report(1), claim: Claim::default(), stopped: false }).await.unwrap();
    let before = watch.trips();
    watch.write(&Write { report: report(2), claim: Claim::default(), stopped: false }).await.unwrap();
    watch.read_round().await.unwrap();
    watch.trips() - before
}

/// Nobody else leads yet. Whether it was taken shows when a decision is committed.
async fn claim(simulated: &Simulated, leadership: &mut Leadership) -> Epoch {
    let rows = simulated.database.rows("SELECT epoch FROM komainu_leader WHERE id = 1").await;
    let seen: u64 = rows[0][0].parse().unwrap();
    leadership.perform(LeadershipAct::Attempt).await;
    leadership.perform(LeadershipAct::Claim { seen: Epoch(seen), with_lock: true }).await;
    Epoch(seen + 1)
}

/// One new monitor is placed.
async fn decide(simulated: &Simulated, leadership: &mut Leadership, epoch: Epoch) {
    simulated.database.execute("DELETE FROM komainu_assignment WHERE monitor_id = 1").await;
    let placed = Move {
        monitor: MonitorId(1),
        from: None,
        to: Some("node1".into()),
        home: None,
        pinned: false,
        asked: false,
        step: Step::Place,
        reason: MoveReason::Drain,
    };
    let decision = Decision {
        epoch,
        holder: ME,
        seen: cluster::get(&simulated.store).await.unwrap().stamp,
        nodes: vec![],
        guards: vec![],
        revokes: vec![],
        statuses: vec![],
        moves: vec![placed],
        forget_leftover: false,
    };
    let commit = leadership.commit(&decision).await;
    assert!(matches!(commit, Commit::Done { moved: 1, .. }), "{commit:?}");
}
