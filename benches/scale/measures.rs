//! The three questions, and what the server's log of slow queries says of all of them.

use std::time::Duration;

use komainu::clock;
use komainu::store::Store;
use komainu::store::hands::{self, Goal, HandMove, Selection};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Mono;
use tokio_util::task::AbortOnDropHandle;

use crate::crowd::Crowd;

/// Ten hands a second.
const BETWEEN_HANDS: Duration = Duration::from_millis(100);
/// Nothing is waited for any longer.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) fn line(what: &str, figure: &str, bar: &str, is_ok: bool) {
    println!("{what:<66} {figure:>14}  {bar:<14} {}", if is_ok { "ok" } else { "MISSED" });
}

fn seconds(what: &str, took: Option<Duration>, bar: Duration) {
    let figure = took.map_or("never".to_owned(), |took| format!("{:.2} s", took.as_secs_f64()));
    line(what, &figure, &format!("<= {} s", bar.as_secs()), took.is_some_and(|took| took <= bar));
}

/// Nothing happens.
pub(crate) async fn idle(crowd: &Crowd) {
    eprintln!("idle");
    let cores = crowd.database_cores(Duration::from_secs(60)).await;
    let what = format!("idle, {} monitors, {} watchdogs: cores of the database", crowd.share * 5, crowd.watchdogs);
    line(&what, &format!("{cores:.3}"), "<= 0.2", cores <= 0.2);
    let oldest = crowd.oldest_verdict().await;
    seconds("idle: the oldest verdict", Some(oldest), Duration::from_secs(2));
    let memory = crowd.most_memory();
    line("idle: memory of the largest watchdog", &format!("{memory} MiB"), "<= 300 MiB", memory <= 300);
}

/// Half of all monitors go down in one second.
pub(crate) async fn mass_outage(crowd: &Crowd) {
    let down = crowd.share * 5 / 2;
    eprintln!("{down} monitors down");
    crowd.forget_messages();
    let began_us = clock::wall_micros();
    let beat = format!(
        "INSERT INTO heartbeat (important, monitor_id, status, time, msg, duration) \
         SELECT 1, seq, 0, UTC_TIMESTAMP(3), 'timeout', 60 FROM seq_1_to_{down}"
    );
    crowd.cluster.database.execute(&beat).await;
    let open = "SELECT COUNT(*) FROM komainu_incident WHERE k LIKE 'monitor/%' AND resolved_at IS NULL";
    let (began, mut oldest, mut memory, mut entered) = (clock::now(), Duration::ZERO, 0, None);
    let (mut told, mut rounds) = (None, Rounds::default());
    while clock::now().since(began) < PATIENCE && (entered.is_none() || told.is_none()) {
        tokio::time::sleep(LOOK).await;
        oldest = oldest.max(crowd.oldest_verdict().await);
        rounds.look(crowd).await;
        memory = memory.max(crowd.most_memory());
        let took = || Some(clock::now().since(began));
        if entered.is_none() && crowd.count(open).await >= i64::try_from(down).unwrap() {
            entered = took();
        }
        told = told.or(crowd.told_at().and_then(|at| u64::try_from(at - began_us).ok()).map(Duration::from_micros));
    }
    seconds(&format!("{down} down at once: the first message"), told, Duration::from_secs(10));
    seconds("  all incidents entered", entered, Duration::from_secs(60));
    if entered.is_none() {
        eprintln!("  {} of {down} were entered", crowd.count(open).await);
    }
    // A round begins a second after the one before it has ended, so that between two writes there is that and a round's time.
    seconds("  the longest between two rounds of a watchdog", Some(rounds.longest), Duration::from_secs(2));
    // Which counts as a verdict once everything is counted, too; `/status` is 200 for this long.
    seconds("  the oldest verdict meanwhile", Some(oldest), Duration::from_secs(15));
    line("  memory of the largest watchdog", &format!("{memory} MiB"), "<= 300 MiB", memory <= 300);
}

/// When each watchdog was last seen to have written its own row, and the longest that one took for it.
#[derive(Default)]
struct Rounds {
    counters: std::collections::BTreeMap<String, (String, Mono)>,
    longest: Duration,
}

impl Rounds {
    async fn look(&mut self, crowd: &Crowd) {
        let now = clock::now();
        for row in crowd.cluster.database.rows("SELECT watchdog_id, seq FROM komainu_watchdog").await {
            let [watchdog, counter] = row.try_into().expect("two columns");
            let known = self.counters.entry(watchdog).or_insert_with(|| (counter.clone(), now));
            if known.0 != counter {
                self.longest = self.longest.max(now.since(known.1));
                *known = (counter, now);
            }
        }
    }
}

/// A node is lost while hands move monitors of others.
pub(crate) async fn failover_under_hands(crowd: &mut Crowd) {
    let first = i64::try_from(crowd.share * 2 + 1).unwrap();
    let hands = AbortOnDropHandle::new(tokio::spawn(hands_at_work(crowd.cluster.store.clone(), first)));
    tokio::time::sleep(Duration::from_secs(3)).await;
    failover(crowd, "node1", "under 10 hands a second").await;
    drop(hands);
}

/// All that went down is back in one second, and a node is lost in the same.
pub(crate) async fn failover_while_many_are_told(crowd: &mut Crowd) {
    let back = crowd.share * 5 / 2;
    eprintln!("{back} monitors are back");
    let beat = format!(
        "INSERT INTO heartbeat (important, monitor_id, status, time, msg, duration) \
         SELECT 1, seq, 1, UTC_TIMESTAMP(3), 'back', 60 FROM seq_1_to_{back}"
    );
    crowd.cluster.database.execute(&beat).await;
    failover(crowd, "node2", &format!("while {back} are told to be back")).await;
}

/// The node that comes first is lost; `when`: what happens meanwhile.
async fn failover(crowd: &mut Crowd, node: &str, when: &str) {
    let is_lost = format!("SELECT COUNT(*) FROM node WHERE node_id = '{node}' AND status IN ('offline', 'stalled')");
    let left = format!("SELECT COUNT(*) FROM komainu_assignment WHERE effective_node = '{node}'");
    let monitors = crowd.count(&left).await;
    eprintln!("{node} with {monitors} monitors is lost {when}");
    crowd.cluster.lose_first_node();
    let lost = clock::now();
    let (mut decided, mut moved) = (None, None);
    while clock::now().since(lost) < PATIENCE && moved.is_none() {
        tokio::time::sleep(LOOK).await;
        if decided.is_none() && crowd.count(&is_lost).await > 0 {
            decided = Some(clock::now());
        }
        moved = (crowd.count(&left).await == 0).then(clock::now);
    }
    let what = format!("failover of {monitors} {when}: from the verdict");
    let took = moved.map(|moved| moved.since(decided.unwrap_or(lost)));
    seconds(&what, took, Duration::from_secs(15));
    seconds("  from the loss", moved.map(|moved| moved.since(lost)), Duration::from_secs(60));
}

async fn hands_at_work(store: Store, first: i64) {
    let mut ticks = tokio::time::interval(BETWEEN_HANDS);
    for number in 0.. {
        ticks.tick().await;
        let to = if number % 2 == 0 { "node4" } else { "node5" };
        let which = Selection::Ids(vec![MonitorId(first + number % 1_000)]);
        let wish = HandMove { which, goal: Goal::Move { to: to.into(), pin: None } };
        if let Err(error) = hands::move_by_hand(&store, &wish, "bench").await {
            eprintln!("  a hand failed: {error}");
        }
    }
}

/// What took longer than a second, since this was asked last or the watchdogs started.
pub(crate) async fn slow_queries(crowd: &Crowd) {
    // The bench's own are those that fill and look.
    let ours = "FROM mysql.slow_log WHERE db = 'kuma' AND sql_text NOT LIKE '%seq_1_to_%' AND sql_text NOT LIKE 'SELECT COUNT(*) FROM komainu_%'";
    let slow = crowd.count(&format!("SELECT COUNT(*) {ours}")).await;
    line("  queries of more than a second so far", &slow.to_string(), "0", slow == 0);
    let worst = format!("SELECT CAST(query_time AS CHAR), LEFT(sql_text, 900) {ours} ORDER BY query_time DESC LIMIT 5");
    for row in crowd.cluster.database.rows(&worst).await {
        eprintln!("  {} {}", row[0], row[1].replace('\n', " "));
    }
    crowd.cluster.database.execute("TRUNCATE mysql.slow_log").await;
}
