//! One watchdog as a process, its database, and the heartbeats that will be pushed.

use std::net::SocketAddr;
use std::time::Duration;

use komainu::heartbeat::secret;
use komainu::keys::ClusterKey;
use komainu::store::heartbeats::{self, Definition};
use komainu::store::migrate::{self, MigrateOptions};
use komainu::store::{DatabaseUrl, Store};
use tempfile::TempDir;

use crate::it::cluster::database::{self, Database, Kind};
use crate::it::cluster::ports::free_port;
use crate::it::cluster::process::Process;
use crate::it::cluster::server::MariaDb;
use crate::it::cluster::wait::wait_until;

/// Everything; ended when dropped.
pub(crate) struct Place {
    _process: Process,
    _server: Option<MariaDb>,
    _folder: TempDir,
    database: Database,
    /// Where the watchdog listens.
    pub(crate) address: SocketAddr,
    /// Names and secrets.
    pub(crate) bots: Vec<(String, String)>,
}

/// What the history holds.
pub(crate) struct Stored {
    pub(crate) count: u64,
    /// Pushes that bear the same moment, on average: those of one commit, or of several within a millisecond.
    pub(crate) per_moment: f64,
}

impl Place {
    pub(crate) async fn start(kind: Kind, names: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("komainu-bench-").tempdir().unwrap();
        let (server, database, url) = database::fresh(kind, folder.path()).await;
        let store = Store::connect(&DatabaseUrl::parse(&url).unwrap()).await.unwrap();
        migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
        let key = ClusterKey::generate();
        let mut bots = Vec::new();
        for number in 0..names {
            let definition = Definition {
                name: format!("bot{number:05}"),
                period_s: Some(60),
                grace_s: 60,
                severity: "critical".to_owned(),
                nonce: secret::draw_nonce(),
                ..Definition::default()
            };
            heartbeats::create(&store, &definition, None, "test").await.unwrap();
            let secret = secret::derive(&key, &definition.name, &definition.nonce);
            bots.push((definition.name, secret));
        }
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = folder.path().join("w1.toml");
        let text = format!(
            "[cluster]\nname = \"bench\"\nkey = \"{}\"\n[database]\nurl = \"{url}\"\n[watchdog]\nid = \"w1\"\nlisten = \"{address}\"\n",
            key.reveal()
        );
        std::fs::write(&config, text).unwrap();
        let process = Process::start_with_log("watchdog", &config, "info");
        let answers = async || tokio::net::TcpStream::connect(address).await.is_ok();
        wait_until("the watchdog listens", Duration::from_secs(30), answers).await;
        Self { _process: process, _server: server, _folder: folder, database, address, bots }
    }

    pub(crate) async fn stored(&self) -> Stored {
        let rows = self.database.rows("SELECT COUNT(*), COUNT(DISTINCT at) FROM komainu_push").await;
        let number = |at: usize| rows[0][at].parse::<u32>().unwrap();
        Stored { count: number(0).into(), per_moment: f64::from(number(0)) / f64::from(number(1).max(1)) }
    }
}
