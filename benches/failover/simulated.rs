//! A cluster of many monitors without anybody who runs them: the database is real, so are its watchdogs; of the nodes
//! only the lease and the answer to `/api/v1/health` are there.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use komainu::keys::ClusterKey;
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::{DatabaseUrl, NodeProcess, Store, TenureConnection, nodes};
use komainu_watchdogs::ids::{Incarnation, NodeId, Stamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::it::cluster::database::{self, Database, Kind};
use crate::it::cluster::server::MariaDb;
use crate::it::cluster::wait::wait_until;

/// As a node's.
const RENEWAL: Duration = Duration::from_secs(2);

/// Nodes of a simulated cluster.
pub(crate) const NODES: usize = 5;

/// How many monitors, and how long a past they have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Of `node1`.
    pub(crate) first: usize,
    /// Of each of the others.
    pub(crate) others: usize,
    /// Beats stored of each monitor.
    pub(crate) beats: usize,
}

impl Size {
    fn monitors(self) -> usize {
        self.first + (NODES - 1) * self.others
    }
}

/// The cluster; ended when dropped.
pub(crate) struct Simulated {
    /// For configurations and logs.
    pub(crate) folder: TempDir,
    _server: Option<MariaDb>,
    /// Past komainu's code.
    pub(crate) database: Database,
    /// Through it.
    pub(crate) store: Store,
    /// Where it is.
    pub(crate) url: String,
    /// Shared by its watchdogs.
    pub(crate) key: ClusterKey,
    nodes: Vec<Node>,
}

/// The lease and the HTTP surface of a node; both end together, unannounced.
struct Node {
    lease: JoinHandle<()>,
    server: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.lease.abort();
        self.server.abort();
    }
}

impl Simulated {
    /// Makes the database, its monitors and the nodes that hold them.
    pub(crate) async fn start(kind: Kind, size: Size) -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-bench-").tempdir().unwrap();
        let (server, database, url) = database::fresh(kind, folder.path()).await;
        let store = Store::connect(&DatabaseUrl::parse(&url).unwrap()).await.unwrap();
        migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
        fill(&database, size).await;
        let key = ClusterKey::generate();
        let mut cluster = Self { folder, _server: server, database, store, url, key, nodes: Vec::new() };
        for number in 1..=NODES {
            let node = start_node(&cluster.store, &format!("node{number}")).await;
            cluster.nodes.push(node);
        }
        cluster
    }

    /// Waits until the leader holds all nodes to be online.
    pub(crate) async fn wait_until_online(&self) {
        let online = format!("SELECT COUNT(*) FROM node WHERE status = 'online' HAVING COUNT(*) = {NODES}");
        let are_online = async || !self.database.rows(&online).await.is_empty();
        wait_until("all simulated nodes are online", Duration::from_secs(120), are_online).await;
    }

    /// From now on `node1` neither renews nor answers.
    pub(crate) fn lose_first_node(&mut self) {
        drop(self.nodes.remove(0));
    }
}

async fn fill(database: &Database, size: Size) {
    let monitors = size.monitors();
    let list = match database {
        Database::Sqlite(_) => {
            format!(
                "(WITH RECURSIVE s (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM s WHERE seq < {monitors}) \
                 SELECT seq FROM s) s"
            )
        }
        Database::MariaDb(_) => format!("seq_1_to_{monitors} s"),
    };
    let concat = |prefix: &str, what: &str| match database {
        Database::Sqlite(_) => format!("'{prefix}' || ({what})"),
        Database::MariaDb(_) => format!("CONCAT('{prefix}', {what})"),
    };
    let divide = match database {
        Database::Sqlite(_) => "/",
        Database::MariaDb(_) => "DIV",
    };
    let (name, url) = (concat("monitor ", "seq"), concat("http://127.0.0.1:9/", "seq"));
    let home = concat("node", &format!("2 + (seq - {} - 1) {divide} {}", size.first, size.others.max(1)));
    let now = komainu::clock::wall().0;
    // Runs an hour apart: nobody is overdue while this lasts, although nobody runs them.
    database
        .execute(&format!(
            "INSERT INTO monitor (id, name, type, url, `interval`) SELECT seq, {name}, 'http', {url}, 3600 FROM {list}"
        ))
        .await;
    database
        .execute(&format!(
            "INSERT INTO komainu_assignment (monitor_id, node_id, reason, changed_at) \
             SELECT seq, CASE WHEN seq <= {} THEN 'node1' ELSE {home} END, 'adopted', {now} FROM {list}",
            size.first
        ))
        .await;
    // Made through the API: whatever becomes of them is komainu's to tell.
    database
        .execute(&format!(
            "INSERT INTO komainu_monitor (monitor_id, channels, made_by, created_at, updated_at) \
             SELECT seq, '[]', 'api', {now}, {now} FROM {list}"
        ))
        .await;
    for number in 0..size.beats {
        let beat = format!(
            "INSERT INTO heartbeat (monitor_id, status, time, msg, ping, duration) \
             SELECT seq, 1, '2026-01-01 00:00:{number:02}', '200 - OK', 12, 20 FROM {list}"
        );
        database.execute(&beat).await;
    }
    if let Database::MariaDb(_) = database {
        database.execute("ANALYZE TABLE monitor, komainu_assignment, heartbeat").await;
    }
}

async fn start_node(store: &Store, name: &str) -> Node {
    let node = NodeId::from(name);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let new = nodes::NewNode {
        node_id: node.clone(),
        name: name.to_owned(),
        address: address.clone(),
        capacity: Some(1_000_000),
        ..nodes::NewNode::default()
    };
    assert!(nodes::add(store, &new, "test").await.unwrap());
    let health = format!("{{\"node_id\": \"{name}\"}}");
    let app = Router::new()
        .route("/api/v1/health", get(move || async move { health }))
        .route("/api/v1/reconcile-monitors", post(|| async { "{}" }));
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let incarnation = Incarnation(rand::random());
    let hostname = "simulated".to_owned();
    let process = NodeProcess { node, incarnation, hostname, address, kinds: Vec::new() };
    let mut tenure = store.tenure(process).await.unwrap();
    assert!(tenure.register(None, 0).await.unwrap());
    let lease = tokio::spawn(async move { hold(&mut tenure).await });
    Node { lease, server }
}

/// Renews, and acknowledges whatever generation there is.
async fn hold(tenure: &mut TenureConnection) {
    let mut applied: Option<Stamp> = None;
    loop {
        if let Ok((stamp, _)) = tenure.read_stamp(None).await {
            applied = Some(stamp);
        }
        let _ = tenure.renew(applied, 0).await;
        tokio::time::sleep(RENEWAL).await;
    }
}
