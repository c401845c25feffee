//! A whole node on a database of its own, with real targets.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use komainu_watchdogs::ids::MonitorId;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tokio::task::JoinHandle;

use super::*;
use crate::keys::ClusterKey;
use crate::probe::Prober;
use crate::store::DatabaseUrl;
use crate::store::migrate::{self, MigrateOptions};
use crate::store::monitors::{self, MonitorSpec, NewMonitor};
use crate::store::nodes::{self, NewNode};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_what_is_assigned_to_it_and_stores_the_beats() {
    let site = Site::new().await;
    let monitors = site.monitors(20, "/").await;
    let node = site.start();
    for monitor in monitors {
        assert_eq!(site.beats(monitor, 2).await, (1, "200 - OK".to_owned()));
    }
    assert_eq!(site.number("SELECT COUNT(*) FROM heartbeat WHERE important = 1").await, 20);
    assert_eq!(node.stop().await, ExitReason::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stopped_stores_what_it_has_and_gives_its_row_back() {
    let site = Site::new().await;
    let monitor = site.monitors(1, "/").await[0];
    let node = site.start();
    site.beats(monitor, 1).await;
    node.stop().await;
    assert_eq!(site.number("SELECT COUNT(*) FROM node WHERE incarnation IS NULL AND is_released = 1").await, 1);
    let runs = site.trace().matches("\"run\"").count();
    let stored = site.trace().matches("\"stored\"").count();
    assert!(runs > 0 && stored > 0 && stored <= runs, "{runs} runs, {stored} stored");
    let rows = site.number("SELECT COUNT(*) FROM heartbeat").await;
    assert_eq!(i64::try_from(stored).ok(), Some(rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_goes_on_where_its_predecessor_stopped() {
    let site = Site::new().await;
    let monitor = site.monitors(1, "/").await[0];
    let first = site.start();
    site.beats(monitor, 1).await;
    first.stop().await;
    let before = site.number("SELECT COUNT(*) FROM heartbeat").await;
    let second = site.start();
    site.beats(monitor, before + 1).await;
    second.stop().await;
    assert_eq!(site.number("SELECT COUNT(*) FROM heartbeat WHERE important = 1").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_monitor_is_run_as_edited_within_seconds() {
    let site = Site::new().await;
    let monitor = site.monitors(1, "/").await[0];
    let node = site.start();
    site.beats(monitor, 1).await;
    site.sql(&format!("UPDATE monitor SET url = '{}/missing'", site.target)).await;
    site.until("SELECT COUNT(*) FROM heartbeat WHERE msg = 'Request failed with status code 404'", 1).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_monitor_is_not_run_and_goes_on_when_it_is_resumed() {
    let site = Site::new().await;
    let monitor = site.monitors(1, "/").await[0];
    let node = site.start();
    site.beats(monitor, 1).await;
    site.sql("UPDATE monitor SET active = 0").await;
    site.until_traced("\"stop\"").await;
    let paused = site.number("SELECT COUNT(*) FROM heartbeat").await;
    site.sql("UPDATE monitor SET active = 1").await;
    site.beats(monitor, paused + 1).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_ended_a_node_is_begun_apart_and_what_has_is_not_run_again() {
    let site = Site::new().await;
    let [innocent, suspect, deadly] = site.monitors(3, "/").await.try_into().unwrap();
    // A process that is gone started two of them, and had begun one by itself.
    let row =
        |set: &str, monitor: MonitorId| format!("UPDATE komainu_assignment SET {set} WHERE monitor_id = {}", monitor.0);
    site.sql(&row("started_after = 0", suspect)).await;
    site.sql(&row("started_after = 0, begun_by = '00000000000000ff', begun_with = 1", deadly)).await;
    let node = site.start();
    site.until("SELECT COUNT(*) FROM komainu_assignment WHERE put_aside = 1", 1).await;
    site.beats(suspect, 1).await;
    let of = |monitor: MonitorId| format!("SELECT COUNT(*) FROM heartbeat WHERE monitor_id = {}", monitor.0);
    assert!(site.number(&of(innocent)).await >= 3, "it went on for seconds before the other was begun");
    // The mark of the process that is gone stays: it may be heard of again.
    site.until("SELECT COUNT(*) FROM komainu_assignment WHERE begun_by IS NULL", 2).await;
    assert_eq!(site.number(&of(deadly)).await, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nobody_added_says_so() {
    let site = Site::new().await;
    site.sql("DELETE FROM node").await;
    assert_eq!(site.start().ended().await, ExitReason::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named() {
    let site = Site::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = NodeSettings { listen: taken.local_addr().unwrap(), ..site.settings() };
    let error = Box::pin(run(settings, CancellationToken::new())).await.unwrap_err();
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_node_says_what_it_runs() {
    let site = Site::new().await;
    let monitor = site.monitors(3, "/").await[0];
    let free = free_address();
    let node = Site::start_with(NodeSettings { listen: free, ..site.settings() });
    site.beats(monitor, 1).await;
    let answer = reqwest_plain().get(format!("http://{free}/api/v1/health")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let health: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!((&health["node_id"], &health["running"]), (&"node1".into(), &3.into()));
    assert!(health["generation"].is_u64() && health["lag_ms"].is_u64());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_asked_says_from_when_on_a_monitor_runs_as_edited() {
    let site = Site::new().await;
    let monitor = site.monitors(1, "/").await[0];
    let (free, key, node1) = (free_address(), ClusterKey::generate(), NodeId::from("node1"));
    let node = Site::start_with(NodeSettings { listen: free, key: key.node_key(&node1), ..site.settings() });
    let prober = Prober::new(key, Duration::from_secs(3), &Credentials::none()).unwrap();
    site.beats(monitor, 1).await;
    for path in ["/gone", "/"] {
        site.sql(&format!("UPDATE monitor SET url = '{}{path}'", site.target)).await;
        let at = prober.reread(&node1, &format!("http://{free}"), monitor).await.unwrap().0;
        let since = format!("FROM heartbeat WHERE ROUND(unixepoch(time, 'subsec') * 1000) >= {at}");
        site.until(&format!("SELECT COUNT(*) {since}"), 2).await;
        let expected = i64::from(path == "/");
        assert_eq!(site.number(&format!("SELECT COUNT(*) {since} AND status <> {expected}")).await, 0, "{path}");
    }
    let stranger = Prober::new(ClusterKey::generate(), Duration::from_secs(3), &Credentials::none()).unwrap();
    assert_eq!(stranger.reread(&node1, &format!("http://{free}"), monitor).await, None);
    node.stop().await;
}

fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], crate::ports::free_port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_answered_when_it_is_stored_and_its_absence_is_noticed() {
    let site = Site::new().await;
    let monitor = site.monitors(1, "/").await[0];
    site.sql("UPDATE monitor SET type = 'push', push_token = 'abc123', `interval` = 2, maxretries = 0").await;
    let free = free_address();
    let node = Site::start_with(NodeSettings { listen: free, ..site.settings() });
    site.until_traced("\"start\"").await;
    let push = async |path: &str| {
        let answer = reqwest_plain().get(format!("http://{free}/api/push/{path}")).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap())
    };
    assert_eq!(push("abc123?status=up&msg=done&ping=7").await, (200, r#"{"ok":true}"#.to_owned()));
    let stored = site.number("SELECT COUNT(*) FROM heartbeat WHERE status = 1 AND msg = 'done' AND ping = 7").await;
    assert_eq!(stored, 1, "what is answered is stored");
    assert_eq!(push("other").await, (404, r#"{"ok":false,"msg":"Monitor not found or not active."}"#.to_owned()));
    assert_eq!(push("abc123?ping=-1").await.0, 404);
    assert_eq!(push("abc123?status=down&msg=broken").await.0, 200);
    assert_eq!(site.number("SELECT COUNT(*) FROM heartbeat WHERE status = 0 AND important = 1").await, 1);
    assert_eq!(push("abc123").await.0, 200);
    let late = "SELECT COUNT(*) FROM heartbeat WHERE msg = 'No heartbeat in the time window' AND status = 0";
    site.until(late, 1).await;
    assert!(
        site.number(&format!(
            "SELECT MIN(duration) FROM heartbeat WHERE monitor_id = {} AND status = 0 AND msg LIKE 'No%'",
            monitor.0
        ))
        .await
            >= 2
    );
    node.stop().await;
}

const LIMIT: Duration = Duration::from_secs(30);

/// A database with one node, and a target.
struct Site {
    store: Store,
    rows: SqlitePool,
    target: String,
    folder: tempfile::TempDir,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<ExitReason, NodeError>>,
}

impl Running {
    async fn stop(self) -> ExitReason {
        self.shutdown.cancel();
        self.ended().await
    }

    async fn ended(self) -> ExitReason {
        tokio::time::timeout(LIMIT, self.task).await.unwrap().unwrap().unwrap()
    }
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("komainu.db");
        let store = Store::connect(&DatabaseUrl::sqlite(&path)).await.unwrap();
        migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
        let node = NewNode {
            node_id: NodeId::from("node1"),
            name: "node1".to_owned(),
            address: "http://127.0.0.1:0".to_owned(),
            kinds: KINDS.iter().map(|&kind| kind.to_owned()).collect(),
            ..NewNode::default()
        };
        nodes::add(&store, &node, "test").await.unwrap();
        let rows = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path)).await.unwrap();
        Self { store, rows, target: serve().await, folder }
    }

    /// Makes monitors that are the node's.
    async fn monitors(&self, count: usize, path: &str) -> Vec<MonitorId> {
        let spec = MonitorSpec {
            name: "a monitor".to_owned(),
            interval: 1,
            timeout: 5.0,
            url: Some(format!("{}{path}", self.target)),
            ..MonitorSpec::default()
        };
        let new = NewMonitor { spec, node_id: Some(NodeId::from("node1")), ..NewMonitor::default() };
        monitors::create_all(&self.store, &vec![new; count]).await.unwrap()
    }

    fn settings(&self) -> NodeSettings {
        let node = NodeId::from("node1");
        NodeSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            address: "http://127.0.0.1:0".to_owned(),
            key: ClusterKey::generate().node_key(&node),
            node,
            store: self.store.clone(),
            policy: Policy::default(),
            canaries: Vec::new(),
            trace_file: Some(self.trace_file()),
            user_agent: None,
            start_spread: StartSpread::Soon,
            entrance: entrance(Credentials::none(), Proxies::default()),
            evaluator: Program::default(),
        }
    }

    fn start(&self) -> Running {
        Self::start_with(self.settings())
    }

    fn start_with(settings: NodeSettings) -> Running {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(settings, shutdown.clone()));
        Running { shutdown, task }
    }

    /// Waits for so many beats of a monitor; the status and message of the last one.
    async fn beats(&self, monitor: MonitorId, count: i64) -> (i64, String) {
        self.until(&format!("SELECT COUNT(*) FROM heartbeat WHERE monitor_id = {}", monitor.0), count).await;
        let last = format!("SELECT status, msg FROM heartbeat WHERE monitor_id = {} ORDER BY id DESC", monitor.0);
        sqlx::query_as(sqlx::AssertSqlSafe(last)).fetch_one(&self.rows).await.unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&self.rows).await.unwrap()
    }

    async fn sql(&self, sql: &str) {
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&self.rows).await.unwrap();
    }

    /// Waits until the number is at least so high.
    async fn until(&self, sql: &str, least: i64) {
        let reached = async {
            while self.number(sql).await < least {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(LIMIT, reached).await;
        assert!(waited.is_ok(), "not reached: {sql}\n{}", self.trace());
    }

    async fn until_traced(&self, text: &str) {
        let traced = async {
            while !self.trace().contains(text) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, traced).await.expect("it is traced in time");
    }

    fn trace_file(&self) -> PathBuf {
        self.folder.path().join("trace.jsonl")
    }

    fn trace(&self) -> String {
        std::fs::read_to_string(self.trace_file()).unwrap_or_default()
    }
}

async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/", get(|| async { "fine" }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

fn reqwest_plain() -> reqwest::Client {
    crate::run::http::Clients::new(Caller::new(&NodeId::from("test"), None), crate::run::names::Names::of_system())
        .plain()
        .unwrap()
}
