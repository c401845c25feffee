//! Who works while servers come and go, and remembers what was answered: bots that push, an operator, and one who watches the
//! leadership.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use komainu::clock;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, MySqlConnection, Row as _};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::cluster::bot::Bot;
use crate::cluster::database::Database;
use crate::cluster::galera::Galera;
use crate::cluster::wait::wait_until;

/// A stall of commits, a proxy that looks around, and a machine that is busy with other tests.
pub(super) const RECOVERS_WITHIN: Duration = Duration::from_secs(60);

/// Between two pushes of a bot, two acts of the operator, or two looks at the leadership.
const PAUSE: Duration = Duration::from_millis(100);

/// Three bots; each offers every push to all three watchdogs at once.
pub(super) struct Pushers {
    accepted: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<(String, i64)>>>,
}

impl Pushers {
    pub(super) async fn start(cluster: &Cluster) -> Self {
        let (accepted, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = Vec::new();
        for name in ["bot1", "bot2", "bot3"] {
            let bot = Bot::make(cluster, name, 3_600).await;
            tasks.push(tokio::spawn(push(bot, watchdogs(cluster), Arc::clone(&accepted), Arc::clone(&is_over))));
        }
        Self { accepted, is_over, tasks }
    }

    /// Until each bot has been answered some times more.
    pub(super) async fn wait_for_more(&self, after: &str) {
        let before = self.accepted.load(Ordering::Relaxed);
        let has_more = async || self.accepted.load(Ordering::Relaxed) >= before + 30;
        wait_until(&format!("pushes are taken after this: {after}"), RECOVERS_WITHIN, has_more).await;
    }

    /// What was answered 200 is in a row, and nothing is in two.
    pub(super) async fn assert_in_rows_once(self, galera: &Galera) {
        self.is_over.store(true, Ordering::Relaxed);
        let mut answered = Vec::new();
        for task in self.tasks {
            answered.extend(task.await.unwrap());
        }
        let rows = all_of(galera, "SELECT name, time_us, COUNT(*) FROM komainu_push GROUP BY name, time_us").await;
        let kept: BTreeMap<(String, i64), String> =
            rows.into_iter().map(|row| ((row[0].clone(), row[1].parse().unwrap()), row[2].clone())).collect();
        let doubled: Vec<_> = kept.iter().filter(|(_, rows)| *rows != "1").collect();
        assert!(doubled.is_empty(), "pushes that count twice: {doubled:?}");
        let lost: Vec<_> = answered.iter().filter(|push| !kept.contains_key(push)).collect();
        assert!(lost.is_empty(), "answered 200 and in no row: {lost:?} of {}", answered.len());
    }
}

fn watchdogs(cluster: &Cluster) -> Vec<String> {
    ["w1", "w2", "w3"].iter().map(|name| cluster.url_of(name, "")).collect()
}

async fn all_of(galera: &Galera, sql: &str) -> Vec<Vec<String>> {
    // This one may be behind.
    let sql = format!("SET SESSION wsrep_sync_wait = 1; {sql}");
    Database::MariaDb(galera.url(2, "kuma")).rows(&sql).await
}

async fn push(
    bot: Bot,
    watchdogs: Vec<String>,
    accepted: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) -> Vec<(String, i64)> {
    let mut answered = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let time_us = Cluster::now_us();
        let offers = watchdogs.iter().map(|watchdog| bot.push(watchdog, time_us));
        let codes = futures_util::future::join_all(offers).await;
        let taken = codes.iter().filter(|code| **code == Some(200)).count();
        assert!(taken <= 1, "{} at {time_us} was accepted {taken} times", bot.name);
        if taken == 1 {
            answered.push((bot.name.clone(), time_us));
            accepted.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
    answered
}

/// Edits one monitor and moves another one, again and again, at one watchdog after another.
pub(super) struct Operator {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Acts>,
}

/// What was asked, and whether it was answered 2xx.
#[derive(Default)]
struct Acts {
    /// New names of the first monitor.
    edits: Vec<(String, bool)>,
    /// New homes of the second one.
    moves: Vec<(String, bool)>,
}

impl Operator {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let asking = operate(watchdogs(cluster), cluster.api_key().to_owned(), Arc::clone(&is_over));
        Self { is_over, task: tokio::spawn(asking) }
    }

    /// Each of what was answered is in the audit trail, nothing is there twice, and the last word holds.
    pub(super) async fn assert_done_once(self, galera: &Galera) {
        self.is_over.store(true, Ordering::Relaxed);
        let Acts { edits, moves } = self.task.await.unwrap();
        assert!(edits.iter().any(|(_, is_answered)| *is_answered), "edits were answered");
        assert!(moves.iter().any(|(_, is_answered)| *is_answered), "moves were answered");
        let trail =
            all_of(galera, "SELECT what, after_json FROM komainu_audit WHERE what LIKE 'monitor.%' ORDER BY id").await;
        for (name, is_answered) in &edits {
            let times = trail.iter().filter(|row| row[1].contains(&format!("\"{name}\""))).count();
            assert!(times == 1 || times == 0 && !is_answered, "{name} is {times} times in the audit trail");
        }
        let done: Vec<_> = trail.iter().filter(|row| row[0] == "monitor.move").map(|row| &row[1]).collect();
        assert!(done.windows(2).all(|two| two[0] != two[1]), "a move counts twice: {done:?}");
        // After one that was answered it stood at the other node: so this one was no word about nothing.
        let certain = moves.windows(2).filter(|two| two[0].1 && two[1].1).count();
        assert!((certain..=moves.len()).contains(&done.len()), "{done:?} of {moves:?}");
        let name = all_of(galera, "SELECT name FROM monitor WHERE id = 1").await;
        assert!(last_words(&edits).contains(&name[0][0].as_str()), "{name:?} after {edits:?}");
        let home = all_of(galera, "SELECT node_id FROM komainu_assignment WHERE monitor_id = 2").await;
        assert!(last_words(&moves).contains(&home[0][0].as_str()), "{home:?} after {moves:?}");
    }
}

/// What may hold at the end: the last that was answered, or one whose answer nobody has seen.
fn last_words(asked: &[(String, bool)]) -> Vec<&str> {
    let last = asked.iter().rposition(|(_, is_answered)| *is_answered);
    let may_hold = |at: usize, is_answered: bool| !is_answered || Some(at) == last;
    asked.iter().enumerate().filter(|(at, asked)| may_hold(*at, asked.1)).map(|(_, asked)| asked.0.as_str()).collect()
}

async fn operate(watchdogs: Vec<String>, key: String, is_over: Arc<AtomicBool>) -> Acts {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let ask = async |method: Method, url: String, body: &Value| {
        let request = http.request(method, url).bearer_auth(&key).header("content-type", "application/json");
        request.body(body.to_string()).send().await.is_ok_and(|response| response.status().is_success())
    };
    let mut acts = Acts::default();
    for (number, watchdog) in watchdogs.iter().cycle().enumerate() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("edit {number} of the first");
        let is_answered = ask(Method::PATCH, format!("{watchdog}/api/v1/monitors/1"), &json!({"name": name})).await;
        acts.edits.push((name, is_answered));
        // A monitor that is moved all the time would never beat.
        if number % 20 == 0 {
            let node = ["node1", "node2"][number / 20 % 2];
            let url = format!("{watchdog}/api/v1/monitors/2/move");
            let is_answered = ask(Method::POST, url, &json!({"node_id": node})).await;
            acts.moves.push((node.to_owned(), is_answered));
        }
        tokio::time::sleep(PAUSE).await;
    }
    acts
}

/// Looks again and again at the leader's row, on a server that lives through all of it.
pub(super) struct LeaderWatch {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Duration>,
}

impl LeaderWatch {
    pub(super) fn start(galera: &Galera) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        Self { task: tokio::spawn(watch(galera.url(2, "kuma"), Arc::clone(&is_over))), is_over }
    }

    /// The longest time in which nobody renewed or claimed it.
    pub(super) async fn longest_pause(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn watch(url: String, is_over: Arc<AtomicBool>) -> Duration {
    let (mut seen, mut moved_at, mut longest) = (None, clock::now(), Duration::ZERO);
    while !is_over.load(Ordering::Relaxed) {
        let now = leaders_row(&url).await;
        if now.is_some() && now != seen {
            (seen, moved_at) = (now, clock::now());
        }
        longest = longest.max(clock::now().since(moved_at));
        tokio::time::sleep(PAUSE).await;
    }
    longest
}

async fn leaders_row(url: &str) -> Option<(u64, u64)> {
    let mut wire = MySqlConnection::connect(url).await.ok()?;
    let row = sqlx::query("SELECT epoch, renewals FROM komainu_leader WHERE id = 1").fetch_one(&mut wire).await.ok()?;
    Some((row.try_get_unchecked(0).ok()?, row.try_get_unchecked(1).ok()?))
}
