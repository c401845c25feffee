//! A database of its own for each test, and the words in which the tests speak.

use std::collections::BTreeSet;

use komainu::store::beats::keeper::{BeatKeeper, Earlier, Receipt};
use komainu::store::migrate::grants::{self, Accounts};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::monitors::{self, MonitorSpec, NewMonitor};
use komainu::store::nodes::{self, NewNode};
use komainu::store::{
    Beat, BeatStatus, DatabaseUrl, Leadership, NodeProcess, Store, StoreError, TenureConnection, WatchdogIdentity,
    cluster,
};
use komainu_watchdogs::decision::{Commit, Decision, Guard, Move, MoveReason, NodeSeen, Revoke, Step};
use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{Epoch, Generation, Incarnation, MonitorId, NodeId, Stamp};
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};

use crate::cluster::server::MariaDb;
use crate::support::raw::Raw;

/// Which database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    MariaDb,
    Sqlite,
}

/// One database.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) url: DatabaseUrl,
    pub(super) text: String,
    pub(super) kind: Kind,
    pub(super) raw: Raw,
    _dir: Option<tempfile::TempDir>,
}

impl Fixture {
    /// Without any table.
    pub(super) async fn empty(kind: Kind) -> Self {
        let (text, dir) = match kind {
            Kind::MariaDb => {
                let server = MariaDb::shared();
                (server.url(&server.fresh_database().await), None)
            }
            Kind::Sqlite => {
                let dir = tempfile::tempdir().unwrap();
                (format!("sqlite://{}/k.db", dir.path().display()), Some(dir))
            }
        };
        let url = DatabaseUrl::parse(&text).unwrap();
        let store = Store::connect(&url).await.unwrap();
        let raw = Raw::connect(&text).await;
        Self { store, url, text, kind, raw, _dir: dir }
    }

    /// For native nodes, without Kuma. On `MariaDB` the store is a user who may do what watchdogs and native nodes may do.
    pub(super) async fn native(kind: Kind) -> Self {
        let mut fixture = Self::empty(kind).await;
        migrate::apply(&fixture.store, MigrateOptions { without_kuma: true }).await.unwrap();
        if kind == Kind::MariaDb {
            let user = format!("worker_{}", fixture.url.database());
            fixture.raw.execute(&format!("CREATE USER {user}@'%'")).await;
            fixture.give(&user).await;
            fixture.url = DatabaseUrl::parse(&fixture.text.replacen("root@", &format!("{user}@"), 1)).unwrap();
            fixture.store = Store::connect(&fixture.url).await.unwrap();
        }
        fixture
    }

    /// Tables that a test made are the worker's too.
    pub(super) async fn give_new_tables(&self) {
        if self.kind == Kind::MariaDb {
            self.give(&format!("worker_{}", self.url.database())).await;
        }
    }

    /// The store as whoever migrates, where watchdogs and nodes may do less.
    pub(super) async fn migrating(mut self) -> Self {
        self.store = self.root().await;
        self
    }

    async fn root(&self) -> Store {
        Store::connect(&DatabaseUrl::parse(&self.text).unwrap()).await.unwrap()
    }

    async fn give(&self, user: &str) {
        let root = self.root().await;
        let plan = migrate::plan(&root, MigrateOptions { without_kuma: true }).await.unwrap();
        let accounts = Accounts { watchdog: user.parse().unwrap(), node: user.parse().unwrap() };
        grants::give(&root, &plan, &accounts).await.unwrap();
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.kind == Kind::Sqlite
    }

    pub(super) async fn add_node(&self, node: &str) {
        let new = NewNode {
            node_id: node.into(),
            name: node.to_owned(),
            address: format!("http://{node}:3001"),
            ..NewNode::default()
        };
        assert!(nodes::add(&self.store, &new, "test").await.unwrap());
    }

    /// Stores an important beat that shows this many seconds after now.
    pub(super) async fn change(&mut self, monitor: MonitorId, status: i64, seconds: i64) {
        let time = if self.is_sqlite() {
            format!("strftime('%Y-%m-%d %H:%M:%f', 'now', '{seconds} seconds')")
        } else {
            format!("UTC_TIMESTAMP(3) + INTERVAL {seconds} SECOND")
        };
        let sql = format!(
            "INSERT INTO heartbeat (important, monitor_id, status, msg, time, duration) \
             VALUES (1, {monitor}, {status}, 'timeout', {time}, 60)"
        );
        self.raw.execute(&sql).await;
    }

    /// Adds a node, and a process that registered for it.
    pub(super) async fn start_node(&self, node: &str, incarnation: u64) -> TenureConnection {
        self.add_node(node).await;
        let mut tenure = self.tenure(node, incarnation).await;
        assert!(tenure.register(None, 0).await.unwrap());
        tenure
    }

    pub(super) async fn tenure(&self, node: &str, incarnation: u64) -> TenureConnection {
        let process = NodeProcess {
            node: node.into(),
            incarnation: Incarnation(incarnation),
            hostname: "host".to_owned(),
            address: "http://host:3001".to_owned(),
            kinds: Vec::new(),
        };
        self.store.tenure(process).await.unwrap()
    }

    /// Makes active HTTP monitors at home on this node, or without a home.
    pub(super) async fn monitors(&self, how_many: usize, home: Option<&str>) -> Vec<MonitorId> {
        let spec = MonitorSpec { url: Some("http://target/".to_owned()), ..MonitorSpec::default() };
        let new = NewMonitor { spec, node_id: home.map(NodeId::from), ..NewMonitor::default() };
        monitors::create_all(&self.store, &vec![new; how_many]).await.unwrap()
    }

    pub(super) async fn stamp(&self) -> Stamp {
        cluster::get(&self.store).await.unwrap().stamp
    }

    /// A watchdog that leads, by lock and row.
    pub(super) async fn leader(&self, watchdog: &str, incarnation: u64) -> Leader {
        let mut leader = self.follower(watchdog, incarnation);
        leader.claim().await;
        leader
    }

    pub(super) fn follower(&self, watchdog: &str, incarnation: u64) -> Leader {
        let leadership = Leadership::new(self.url.clone(), "test", identity(watchdog), Incarnation(incarnation));
        Leader { leadership, incarnation: Incarnation(incarnation), epoch: Epoch(0) }
    }

    /// `(assigned, source node, source incarnation)` of a monitor, `-` for NULL.
    pub(super) async fn assignment(&mut self, monitor: MonitorId) -> Vec<String> {
        let sql = format!(
            "SELECT effective_node, assigned_node, source_node, source_incarnation FROM komainu_assignment \
             WHERE monitor_id = {monitor}"
        );
        self.raw.rows(&sql).await.remove(0)
    }

    pub(super) async fn running_on(&mut self, node: &str) -> i64 {
        self.raw.count(&format!("SELECT COUNT(*) FROM komainu_assignment WHERE effective_node = '{node}'")).await
    }
}

pub(crate) fn identity(watchdog: &str) -> WatchdogIdentity {
    WatchdogIdentity {
        watchdog: watchdog.into(),
        zone: "rack-a".into(),
        advertise: format!("http://{watchdog}:8900"),
        hostname: "host".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

/// A watchdog's leadership, claimed or not.
pub(super) struct Leader {
    pub(super) leadership: Leadership,
    pub(super) incarnation: Incarnation,
    pub(super) epoch: Epoch,
}

impl Leader {
    pub(super) async fn claim(&mut self) {
        let (locked, seen) = self.attempt().await;
        assert!(locked, "the lock is free");
        let answer = self.leadership.perform(LeadershipAct::Claim { seen, with_lock: true }).await;
        let LeadershipAnswer::Claimed(epoch) = answer else { panic!("{answer:?}") };
        self.epoch = epoch;
    }

    pub(super) async fn attempt(&mut self) -> (bool, Epoch) {
        match self.leadership.perform(LeadershipAct::Attempt).await {
            LeadershipAnswer::Attempted { locked, row } => (locked, row.epoch),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn renew(&mut self) -> LeadershipAnswer {
        self.leadership.perform(LeadershipAct::Renew { epoch: self.epoch, with_lock: true }).await
    }

    /// A decision of this leader that does nothing yet.
    pub(super) fn decision(&self, seen: Stamp) -> Decision {
        Decision {
            epoch: self.epoch,
            holder: self.incarnation,
            seen,
            nodes: vec![],
            guards: vec![],
            revokes: vec![],
            statuses: vec![],
            moves: vec![],
            forget_leftover: false,
        }
    }

    pub(super) async fn commit(&mut self, decision: &Decision) -> Commit {
        self.leadership.commit(decision).await
    }

    /// Commits; the decision must be carried out.
    pub(super) async fn done(&mut self, decision: &Decision) -> (Stamp, u32) {
        match self.commit(decision).await {
            Commit::Done { stamp, moved } => (stamp, moved),
            other => panic!("{other:?}"),
        }
    }
}

/// A step of a monitor whose home is `node1`, unless it is placed there first.
pub(super) fn step(step: Step, monitor: MonitorId, from: Option<&str>, to: Option<&str>) -> Move {
    let reason = MoveReason::Drain;
    let home = (step != Step::Place).then(|| NodeId::from("node1"));
    Move {
        monitor,
        from: from.map(NodeId::from),
        to: to.map(NodeId::from),
        home,
        pinned: false,
        asked: false,
        step,
        reason,
    }
}

pub(super) fn steps(kind: Step, monitors: &[MonitorId], from: Option<&str>, to: Option<&str>) -> Vec<Move> {
    monitors.iter().map(|monitor| step(kind, *monitor, from, to)).collect()
}

/// A node without types and labels, as a plan saw it.
pub(super) fn seen(node: &str, overlay: Overlay) -> NodeSeen {
    NodeSeen { node: node.into(), overlay, drains_pinned: false, kinds: vec![], labels: vec![] }
}

pub(super) fn revoke(node: &str, incarnation: u64, lease_seq: Option<u64>) -> Revoke {
    Revoke { node: node.into(), incarnation: Incarnation(incarnation), lease_seq, is_emptied: false }
}

pub(super) fn acknowledged(node: &str, incarnation: u64, generation: Generation) -> Guard {
    Guard::Acknowledged { node: node.into(), incarnation: Incarnation(incarnation), generation }
}

pub(super) fn beat(monitor: MonitorId) -> Beat {
    let at = komainu::clock::wall();
    Beat {
        monitor,
        status: BeatStatus::Up,
        important: false,
        msg: "200 - OK".to_owned(),
        time: at,
        ping_ms: Some(12),
        duration_s: 60,
        down_count: 0,
        retries: 0,
        end_time: at,
        response: None,
        is_own_trouble: false,
    }
}

pub(super) fn ids(monitors: &[MonitorSpec]) -> BTreeSet<MonitorId> {
    monitors.iter().map(|spec| spec.id).collect()
}

/// Beats as a node stores them.
pub(super) trait StoresBeats {
    /// Stores those whose monitor this process owns; says how many.
    async fn store_beats(&self, node: &NodeId, incarnation: Incarnation, beats: &[Beat]) -> Result<u64, StoreError>;
}

impl StoresBeats for Store {
    async fn store_beats(&self, node: &NodeId, incarnation: Incarnation, beats: &[Beat]) -> Result<u64, StoreError> {
        let keeper = BeatKeeper::new(self.clone(), node.clone(), incarnation);
        let receipts = keeper.keep(beats, Earlier::Answered).await?;
        Ok(receipts.iter().map(|receipt| u64::from(*receipt == Receipt::Stored)).sum())
    }
}
