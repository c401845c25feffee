//! A cluster of real processes on one machine, for stories that kill, freeze and cut off.
//!
//! Owns starting and ending of everything: database, watchdogs, nodes, target, proxies; [`asking`] talks to them. Which process does what to whom
//! is the story's business; whether it was right is judged by [`judge`].

mod asking;
pub(crate) mod bot;
pub(crate) mod database;
pub(crate) mod galera;
pub(crate) mod haproxy;
pub(crate) mod judge;
pub(crate) mod mailbox;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod strangers;
pub(crate) mod tap;
pub(crate) mod target;
pub(crate) mod vendor;
pub(crate) mod wait;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use komainu::keys::ClusterKey;
use komainu::store::apikeys::{self, Scope};
use komainu::store::migrate::grants::{self, Accounts};
use komainu::store::migrate::{self, MigrateOptions, MigrationPlan};
use komainu::store::{DatabaseUrl, Store, nodes};
use serde_json::json;
use tempfile::TempDir;

use self::database::{Database, Kind};
use self::ports::free_port;
use self::process::Process;
use self::proxy::Proxy;
use self::server::MariaDb;
use self::target::Target;
use self::wait::wait_until;

/// How large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// `w1` ...
    pub(crate) watchdogs: usize,
    /// `node1` ...
    pub(crate) nodes: usize,
    /// Numbered from 1.
    pub(crate) monitors: i64,
    /// Seconds between the runs of each.
    pub(crate) interval: u32,
    /// Database and HTTP of `node1`, and the databases of the watchdogs, go through proxies that can vanish (MariaDB
    /// only).
    pub(crate) with_proxies: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { watchdogs: 3, nodes: 3, monitors: 30, interval: 2, with_proxies: false }
    }
}

/// The database user of a process.
fn user_of(process: &str) -> &'static str {
    if process.starts_with("node") { "komainu_node" } else { "komainu_watchdog" }
}

/// Users who may do what their processes do and no more, so that a grant which is missing is a story that fails.
async fn make_users(database: &Database, store: &Store, plan: &MigrationPlan) {
    let Database::MariaDb(_) = database else { return };
    let accounts = Accounts { watchdog: user_of("w1").parse().unwrap(), node: user_of("node1").parse().unwrap() };
    for account in [&accounts.watchdog, &accounts.node] {
        database.execute(&format!("CREATE USER IF NOT EXISTS {account}")).await;
    }
    grants::give(store, plan, &accounts).await.unwrap();
}

/// Everything of one story; ended when dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    /// For stories that stop or kill it.
    pub(crate) server: Option<MariaDb>,
    /// As the test sees it.
    pub(crate) database: Database,
    /// What monitors ask.
    pub(crate) target: Target,
    processes: BTreeMap<String, Process>,
    ports: BTreeMap<String, u16>,
    /// Between a process's name and the database.
    pub(crate) proxies: BTreeMap<String, Proxy>,
    http: reqwest::Client,
    api_key: String,
    watchdogs: Vec<String>,
    /// What the watchdogs speak.
    scheme: &'static str,
    /// What each process that is started from now on says in its log.
    log_level: &'static str,
    /// What starts a process, where that is another program.
    starters: BTreeMap<String, Vec<String>>,
}

impl Cluster {
    /// Starts everything and waits until all monitors have beaten.
    pub(crate) async fn start(kind: Kind, shape: Shape) -> Self {
        Self::start_with(kind, shape, "").await
    }

    /// The same, with more sections in the configuration of each watchdog.
    pub(crate) async fn start_with(kind: Kind, shape: Shape, sections: &str) -> Self {
        let mut cluster = Self::prepare(kind, shape, sections).await;
        cluster.begin(shape).await;
        cluster
    }

    /// The same with a proxy between each process and its database, which can move away (`MariaDB`).
    pub(crate) async fn start_movable(shape: Shape, sections: &str) -> Self {
        let mut cluster = Self::prepare(Kind::MariaDb, shape, sections).await;
        let upstream = cluster.server.as_ref().expect("proxies stand before MariaDB").port();
        for name in Self::names("w", shape.watchdogs).chain(Self::names("node", shape.nodes)) {
            let proxy = Proxy::start(upstream).await;
            let (near, far) = (format!(":{upstream}/kuma"), format!(":{}/kuma", proxy.port()));
            cluster.edit_config(&name, |text| text.replace(&near, &far));
            cluster.proxies.insert(name, proxy);
        }
        cluster.begin(shape).await;
        cluster
    }

    /// From now on a round trip to the database takes this long, for everybody.
    pub(crate) fn move_database_away(&self, trip: Duration) {
        self.proxies.values().for_each(|proxy| proxy.move_away(trip / 2));
    }

    /// From here on the watchdogs speak TLS; before any of them is started.
    pub(crate) fn speak_tls(&mut self) {
        let made = Process::certify(self.folder.path(), &self.watchdogs);
        assert!(made, "komainu init --tls makes the certificates");
        for name in self.watchdogs.clone() {
            let section = format!("[tls]\ncert = \"{name}.crt\"\nkey = \"{name}.key\"\nca = \"ca.crt\"\n");
            self.edit_config(&name, |text| format!("{text}\n{section}"));
        }
        self.scheme = "https";
    }

    /// No process that is started from here on may open more than this.
    pub(crate) fn limit_descriptors(&mut self, most: u32) {
        for name in self.ports.keys().cloned().collect::<Vec<_>>() {
            self.start_by(&name, ["prlimit".to_owned(), format!("--nofile={most}")].into());
        }
    }

    /// Every process that is started from here on logs all there is to log, also of the libraries that it uses.
    pub(crate) fn log_everything(&mut self) {
        self.log_level = "trace";
    }

    /// This process is started by another program from here on, which becomes it: on another host, say.
    pub(crate) fn start_by(&mut self, name: &str, starter: Vec<String>) {
        self.starters.insert(name.to_owned(), starter);
    }

    /// What all processes logged.
    pub(crate) fn logs(&self) -> String {
        self.processes.values().map(Process::log).collect()
    }

    /// Starts what [`Self::prepare`] has made ready, and waits until all monitors have beaten.
    pub(crate) async fn begin(&mut self, shape: Shape) {
        // The first watchdog leads, so that stories can name the leader.
        self.start_process("w1");
        let leads = async || self.leader().await.0 == "w1";
        wait_until("w1 leads", Duration::from_secs(30), leads).await;
        for name in Self::names("w", shape.watchdogs).skip(1).chain(Self::names("node", shape.nodes)) {
            self.start_process(&name);
        }
        // Monitors are placed as they come: a node that comes later would get none.
        let are_online = async || self.has_online(shape.nodes).await;
        wait_until("all nodes are online", Duration::from_secs(60), are_online).await;
        self.add_monitors(shape).await;
        let all: Vec<_> = (1..=shape.monitors).collect();
        self.wait_for_beats(&all, 0, Duration::from_secs(60)).await;
        let is_ok = async || self.status().await.is_some_and(|status| status["status"] == "ok");
        wait_until("the status is ok", Duration::from_secs(30), is_ok).await;
    }

    async fn has_online(&self, nodes: usize) -> bool {
        let rows = self.database.rows("SELECT COUNT(*) FROM node WHERE status = 'online'").await;
        rows[0][0] == nodes.to_string()
    }

    fn names(prefix: &'static str, count: usize) -> impl Iterator<Item = String> + use<> {
        (1..=count).map(move |number| format!("{prefix}{number}"))
    }

    /// Database and configurations, without any process yet.
    pub(crate) async fn prepare(kind: Kind, shape: Shape, sections: &str) -> Self {
        Self::prepare_on(kind, shape, sections, |_| String::new()).await
    }

    /// The same on a database that has something already: the statements that made it, if there are any.
    pub(crate) async fn prepare_on(
        kind: Kind,
        shape: Shape,
        sections: &str,
        ground: impl Fn(&Target) -> String,
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-it-").tempdir().unwrap();
        let fresh = database::fresh(kind, folder.path()).await;
        Self::prepare_at((folder, fresh), shape, sections, ground).await
    }

    /// Starts everything on a database that somebody else keeps.
    ///
    /// `database`: as the test itself sees it.
    pub(crate) async fn start_at((url, database): (&str, Database), shape: Shape) -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-it-").tempdir().unwrap();
        let fresh = (None, database, url.to_owned());
        let mut cluster = Self::prepare_at((folder, fresh), shape, "", |_| String::new()).await;
        cluster.begin(shape).await;
        cluster
    }

    async fn prepare_at(
        (folder, (server, database, url)): (TempDir, (Option<MariaDb>, Database, String)),
        shape: Shape,
        sections: &str,
        ground: impl Fn(&Target) -> String,
    ) -> Self {
        // The first of several tests installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let target = Target::start().await;
        // Of SQLite this makes the file.
        let store = Store::connect(&DatabaseUrl::parse(&url).unwrap()).await.unwrap();
        let ground = ground(&target);
        if !ground.is_empty() {
            database.execute(&ground).await;
        }
        let plan = migrate::apply(&store, MigrateOptions { without_kuma: ground.is_empty() }).await.unwrap();
        make_users(&database, &store, &plan).await;
        database.watch_history().await;
        let api_key = add_api_key(&store).await;
        let mut cluster = Self {
            folder,
            server,
            database,
            target,
            processes: BTreeMap::new(),
            ports: BTreeMap::new(),
            proxies: BTreeMap::new(),
            http: client(Duration::from_secs(5)).build().unwrap(),
            api_key,
            watchdogs: Vec::new(),
            scheme: "http",
            log_level: process::LEVEL,
            starters: BTreeMap::new(),
        };
        cluster.watchdogs = Self::names("w", shape.watchdogs).collect();
        cluster.write_configs(&store, (&url, sections), shape).await;
        cluster
    }

    async fn write_configs(&mut self, store: &Store, (url, sections): (&str, &str), shape: Shape) {
        let key = ClusterKey::generate();
        if shape.with_proxies {
            let port = self.server.as_ref().expect("proxies stand before MariaDB").port();
            for name in Self::names("w", shape.watchdogs).chain(["node1".to_owned()]) {
                self.proxies.insert(name, Proxy::start(port).await);
            }
        }
        for name in Self::names("w", shape.watchdogs) {
            let port = free_port();
            let state = self.folder.path().join(format!("{name}.state"));
            let section = format!(
                "[watchdog]\nid = \"{name}\"\nlisten = \"127.0.0.1:{port}\"\nstate_dir = \"{}\"\n{sections}",
                state.display()
            );
            self.write_config(&name, port, &section, (url, &key));
        }
        for name in Self::names("node", shape.nodes) {
            let port = free_port();
            let mut address = format!("http://127.0.0.1:{port}");
            if shape.with_proxies && name == "node1" {
                let proxy = Proxy::start(port).await;
                address = format!("http://127.0.0.1:{}", proxy.port());
                self.proxies.insert("node1-http".to_owned(), proxy);
            }
            let node_key = key.node_key(&name.as_str().into());
            let trace = self.folder.path().join(format!("{name}.trace"));
            let section = format!(
                "[node]\nid = \"{name}\"\nlisten = \"127.0.0.1:{port}\"\nadvertise = \"{address}\"\nkey = \"{}\"\n\
                 trace_file = \"{}\"\n",
                node_key.reveal(),
                trace.display()
            );
            self.write_config(&name, port, &section, (url, &key));
            let new = nodes::NewNode {
                node_id: name.as_str().into(),
                name: name.clone(),
                address,
                ..nodes::NewNode::default()
            };
            assert!(nodes::add(store, &new, "test").await.unwrap());
        }
    }

    fn write_config(&mut self, name: &str, port: u16, section: &str, (url, key): (&str, &ClusterKey)) {
        let url = match self.proxies.get(name) {
            Some(proxy) => server::url(proxy.port(), "kuma"),
            None => url.to_owned(),
        };
        let url = url.replacen("root@", &format!("{}@", user_of(name)), 1);
        let text =
            format!("[cluster]\nname = \"test\"\nkey = \"{}\"\n[database]\nurl = \"{url}\"\n{section}", key.reveal());
        std::fs::write(self.config(name), text).unwrap();
        self.ports.insert(name.to_owned(), port);
    }

    /// Lets its users at the tables that a story made, as `komainu migrate --grant` would.
    pub(crate) async fn give_new_tables(&self) {
        let Database::MariaDb(url) = &self.database else { return };
        let store = Store::connect(&DatabaseUrl::parse(url).unwrap()).await.unwrap();
        let plan = migrate::plan(&store, MigrateOptions::default()).await.unwrap();
        make_users(&self.database, &store, &plan).await;
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn config(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    /// Changes the configuration of a process that is not started yet.
    pub(crate) fn edit_config(&self, name: &str, edit: impl Fn(&str) -> String) {
        let text = std::fs::read_to_string(self.config(name)).unwrap();
        std::fs::write(self.config(name), edit(&text)).unwrap();
    }

    /// Starts a process of the cluster, or starts it again.
    pub(crate) fn start_process(&mut self, name: &str) {
        let process = self.spawn(name);
        self.processes.insert(name.to_owned(), process);
    }

    /// Starts another process with the same configuration, outside the cluster's book-keeping.
    pub(crate) fn spawn(&self, name: &str) -> Process {
        let command = if name.starts_with("node") { "node" } else { "watchdog" };
        let config = self.config(name);
        match self.starters.get(name) {
            Some(starter) => Process::start_by(starter, command, &config),
            None => Process::start_with_log(command, &config, self.log_level),
        }
    }

    /// A copy of a node's configuration that listens elsewhere: the same id on another host.
    pub(crate) fn spawn_twin(&self, name: &str) -> Process {
        let text = std::fs::read_to_string(self.config(name)).unwrap();
        let port = format!("127.0.0.1:{}\"", self.ports[name]);
        let twin = self.folder.path().join(format!("{name}-twin.toml"));
        let listen = format!("listen = \"127.0.0.1:{}\"", free_port());
        let text = text.replace(&format!("listen = \"{port}"), &listen).replace(".trace\"", "-twin.trace\"");
        std::fs::write(&twin, text).unwrap();
        Process::start("node", &twin)
    }

    /// Freezes one of its processes between two of its writes. One that stands still in the middle of one keeps everybody
    /// else from writing to SQLite, which is an outage of the database, and another story.
    pub(crate) async fn freeze(&mut self, name: &str) {
        wait_until("it stands still between two writes", Duration::from_secs(30), async || {
            self.process(name).freeze();
            let is_free = self.database.takes_writes().await;
            if !is_free {
                self.process(name).wake();
            }
            is_free
        })
        .await;
    }

    /// One of its processes.
    pub(crate) fn process(&mut self, name: &str) -> &mut Process {
        self.processes.get_mut(name).unwrap()
    }

    async fn add_monitors(&self, shape: Shape) {
        for number in 1..=shape.monitors {
            let body = json!({
                "name": format!("monitor {number}"),
                "type": "http",
                "url": self.target.url(number),
                "interval": shape.interval,
                // Far above what the target thinks: a machine that is busy with other things is no target that is down.
                "timeout": 5,
                "ref": format!("m{number}"),
            });
            let id = self.post("/api/v1/monitors", &body).await["id"].as_i64().unwrap();
            assert_eq!(id, number, "the target tells monitors apart by their number");
        }
    }
}

impl Drop for Cluster {
    /// A failing story shows what its processes said last.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (name, process) in &self.processes {
            let log = process.log();
            let tail: Vec<_> = log.lines().rev().take(25).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            #[expect(clippy::print_stderr, reason = "this is where a failed test explains itself")]
            {
                eprintln!("--- {name}\n{}", tail.join("\n"));
            }
        }
    }
}

/// The certificates of a story are signed by nobody that anybody knows.
fn client(timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder().timeout(timeout).tls_danger_accept_invalid_certs(true)
}

async fn add_api_key(store: &Store) -> String {
    let (text, hash) = komainu::keys::ApiKey::generate();
    apikeys::create(store, "test", Scope::Admin, &hash, "test").await.unwrap();
    text
}
