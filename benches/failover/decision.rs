//! Deciding and committing a failover: from the commit of a lost node's status to the commit of its last move.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu::clock;

use crate::it::cluster::database::Kind;
use crate::it::cluster::wait::wait_until;
use crate::options::Options;
use crate::pack::{Pack, identity};
use crate::simulated::{Simulated, Size};
use crate::table::{Bar, Table, name};
use crate::trace::{Mark, Marks};

/// Monitors of the lost node, and the bar.
const SIZES: [(usize, Duration); 3] =
    [(1_000, Duration::from_millis(500)), (4_000, Duration::from_secs(1)), (100_000, Duration::from_secs(15))];

/// Rounds read for a figure.
const ROUNDS: usize = 10;

/// What one failover took.
struct Outcome {
    whole: Duration,
    /// Until the first transaction that moves was begun: reading and planning.
    until_first: Duration,
    /// All transactions, without what lies between them.
    together: Duration,
    /// The longest transaction.
    longest: Duration,
    transactions: usize,
    /// Of a round read without, and with, the progress of the nodes.
    rounds: [Vec<Duration>; 2],
}

/// All sizes on one database.
pub(crate) async fn run(kind: Kind, options: &Options, marks: &Marks, table: &Table) {
    for (monitors, bar) in SIZES {
        let mut outcomes = Vec::new();
        for number in 1..=options.repeats {
            eprintln!("{}: decision over {monitors} monitors, {number} of {}", name(kind), options.repeats);
            outcomes.push(fail_over(kind, monitors, marks).await);
        }
        let times = |of: fn(&Outcome) -> Duration| outcomes.iter().map(of).collect::<Vec<_>>();
        let transactions = outcomes.iter().map(|outcome| outcome.transactions).max().unwrap_or(0);
        let what = format!("failover of {monitors}: decision + commit ({transactions} tx)");
        table.times(&what, kind, &times(|outcome| outcome.whole), Bar::Most(bar));
        table.times("  of that: reading and planning", kind, &times(|outcome| outcome.until_first), Bar::None);
        table.times("  of that: the transactions together", kind, &times(|outcome| outcome.together), Bar::None);
        let two_seconds = Bar::Most(Duration::from_secs(2));
        table.times("  of that: the longest transaction", kind, &times(|outcome| outcome.longest), two_seconds);
        for (what, at) in [("  one round read", 0), ("  one round read, with progress", 1)] {
            let rounds: Vec<_> = outcomes.iter().flat_map(|outcome| outcome.rounds[at].clone()).collect();
            table.times(what, kind, &rounds, Bar::None);
        }
    }
}

async fn fail_over(kind: Kind, monitors: usize, marks: &Marks) -> Outcome {
    let beats = if monitors > 10_000 { 5 } else { 25 };
    let mut cluster = Simulated::start(kind, Size { first: monitors, others: 1_000, beats }).await;
    let rounds = [read_rounds(&cluster, false).await, read_rounds(&cluster, true).await];
    let pack = Pack::start(&cluster).await;
    cluster.wait_until_online().await;
    let lost_at = clock::wall_micros();
    cluster.lose_first_node();
    let wanted = u64::try_from(monitors).unwrap();
    let has_moved = async || moves(&marks.since(lost_at)).iter().map(|mark| mark.moves).sum::<u64>() >= wanted;
    wait_until("the lost node's monitors are moved", Duration::from_secs(120), has_moved).await;
    let marks = marks.since(lost_at);
    pack.stop().await;
    outcome(&marks, rounds)
}

fn outcome(marks: &[Mark], rounds: [Vec<Duration>; 2]) -> Outcome {
    let is_offline = |mark: &&Mark| mark.text.starts_with("node status changed") && mark.text.contains("\"offline\"");
    let offline_at = marks.iter().find(is_offline).expect("the lost node was announced").at_us;
    let moves = moves(marks);
    let (first, last) = (&moves[0], &moves[moves.len() - 1]);
    let micros = |until: i64| Duration::from_micros(u64::try_from(until - offline_at).unwrap_or(0));
    let whole = micros(last.at_us);
    let until_first = micros(first.at_us).saturating_sub(Duration::from_millis(first.duration_ms));
    let longest = Duration::from_millis(moves.iter().map(|mark| mark.duration_ms).max().unwrap_or(0));
    let together = Duration::from_millis(moves.iter().map(|mark| mark.duration_ms).sum());
    Outcome { whole, until_first, together, longest, transactions: moves.len(), rounds }
}

/// Committed decisions that moved monitors.
fn moves(marks: &[Mark]) -> Vec<Mark> {
    let is_move = |mark: &&Mark| mark.text.starts_with("decision committed") && mark.moves > 0;
    marks.iter().filter(is_move).cloned().collect()
}

async fn read_rounds(cluster: &Simulated, with_progress: bool) -> Vec<Duration> {
    let mut watch = cluster.store.watch(identity("bench", String::new())).await.unwrap();
    let mut errands = cluster.store.errands(&"bench".into()).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began_at = clock::now();
        watch.read_round().await.unwrap();
        errands.counts().await.unwrap();
        if with_progress {
            errands.progress(&BTreeMap::new()).await.unwrap();
        }
        times.push(clock::now().since(began_at));
    }
    watch.close().await;
    times
}
