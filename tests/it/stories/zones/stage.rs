//! Three watchdogs in three zones, each a host of its own; a database, a target and the rest of the world beside them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::cluster::database::Kind;
use crate::cluster::vendor::Vendor;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};
use crate::support::network::Network;

pub(super) const WATCHDOGS: [&str; 3] = ["w1", "w2", "w3"];

const SHAPE: Shape = Shape { watchdogs: 3, nodes: 0, monitors: 0, interval: 5, with_proxies: false };

/// Where the target listens.
pub(super) const SHOP_PORT: u16 = 8080;

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Far above what any of it takes.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) vendor: Vendor,
    /// Goes after what runs on it.
    pub(super) network: Network,
}

impl Stage {
    /// Not started yet; `None`: there can be no namespaces here, which was said.
    pub(super) async fn prepare() -> Option<Self> {
        let network = Network::build(&["w1", "w2", "w3", "db", "shop", "world"])?;
        let vendor = Vendor::start().await;
        let mut cluster = Cluster::prepare(Kind::MariaDb, SHAPE, &vendor.sections()).await;
        let server = cluster.server.as_ref().unwrap().port();
        network.offer("db", server);
        network.offer("world", vendor.port());
        answer_all(network.listen("world", ANY, 443));
        let ports: Vec<_> = cluster.watchdog_ports().collect();
        let (db, world) = (network.address("db"), network.address("world"));
        for ((watchdog, port), zone) in WATCHDOGS.into_iter().zip(ports).zip(["a", "b", "c"]) {
            let listen = format!("listen = \"127.0.0.1:{port}\"");
            let address = network.address(watchdog);
            let far =
                format!("listen = \"0.0.0.0:{port}\"\nadvertise = \"http://{address}:{port}\"\nzone = \"{zone}\"");
            cluster.edit_config(watchdog, |text| {
                text.replace(&listen, &far)
                    .replace(&format!("127.0.0.1:{server}/"), &format!("{db}:{server}/"))
                    .replace(&format!("127.0.0.1:{}/", vendor.port()), &format!("{world}:{}/", vendor.port()))
                    .replace("[cluster]\n", &format!("[cluster]\ncanaries = [\"tcp://{world}:443\"]\n"))
            });
            cluster.start_by(watchdog, network.starter(watchdog));
            network.expose(watchdog, port).await;
        }
        Some(Self { cluster, vendor, network })
    }

    /// Starts all of them, and waits until each sees all. No node is there: what watchdogs look at needs none.
    pub(super) async fn begin(&mut self) {
        for watchdog in WATCHDOGS {
            self.cluster.start_process(watchdog);
        }
        for watchdog in WATCHDOGS {
            let sees_all = async || {
                let status = self.cluster.status_of(watchdog).await;
                let is_up = |one: &Value| one["status"] == "up";
                status.is_some_and(|(_, status)| {
                    status["watchdogs"].as_array().is_some_and(|all| all.len() == 3 && all.iter().all(is_up))
                })
            };
            wait_until(&format!("{watchdog} sees all three"), LIMIT, sees_all).await;
        }
    }

    /// Started, with a target that all reach, and a check of it.
    pub(super) async fn with_shop() -> Option<(Self, AbortHandle)> {
        let mut stage = Self::prepare().await?;
        stage.begin().await;
        let shop = serve_shop(&stage.network);
        let url = format!("http://{}:{SHOP_PORT}/", stage.network.address("shop"));
        stage.check(&json!({"name": "shop", "type": "http", "url": url})).await;
        stage.wait_for("shop", "up").await;
        Some((stage, shop))
    }

    /// Makes a check that is looked at often.
    pub(super) async fn check(&self, fields: &Value) {
        let mut check = json!({"interval": 5, "timeout": 2});
        check.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.cluster.post("/api/v1/checks", &check).await;
    }

    /// As one watchdog shows it to whoever has a key.
    pub(super) async fn shown(&self, watchdog: &str, check: &str) -> Option<(u16, Value)> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let asked = client.get(self.cluster.url_of(watchdog, &format!("/checks/{check}")));
        let answer = asked.bearer_auth(self.cluster.api_key()).send().await.ok()?;
        Some((answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.ok()?).ok()?))
    }

    pub(super) async fn state(&self, watchdog: &str, check: &str) -> Option<String> {
        Some(self.shown(watchdog, check).await?.1["state"].as_str()?.to_owned())
    }

    /// Waits until all watchdogs say so; returns what the first one shows.
    pub(super) async fn wait_for(&self, check: &str, state: &str) -> Value {
        for watchdog in WATCHDOGS {
            let is_so = async || self.state(watchdog, check).await.is_some_and(|shown| shown == state);
            wait_until(&format!("{watchdog} says that {check} is {state}"), LIMIT, is_so).await;
        }
        self.shown("w1", check).await.unwrap().1
    }

    /// Waits until the votes of all three name this reason: two are enough for a verdict.
    pub(super) async fn wait_for_reason(&self, check: &str, reason: &str) {
        let do_all = async || {
            let shown = self.shown("w1", check).await;
            let says = |vote: &Value| vote["reason"] == reason;
            shown.is_some_and(|(_, shown)| {
                shown["votes"].as_array().is_some_and(|votes| votes.len() == 3 && votes.iter().all(says))
            })
        };
        wait_until(&format!("all see of {check}: {reason}"), LIMIT, do_all).await;
    }

    pub(super) async fn count(&self, sql: &str) -> i64 {
        self.cluster.database.rows(sql).await[0][0].parse().unwrap_or(0)
    }

    pub(super) async fn wait_for_incident(&self, key: &str) {
        let sql = format!("SELECT COUNT(*) FROM komainu_incident WHERE k = '{key}' AND resolved_at IS NULL");
        let is_open = async || self.count(&sql).await == 1;
        wait_until(&format!("the incident {key} is open"), LIMIT, is_open).await;
    }

    pub(super) async fn wait_until_told(&self, key: &str, event: &str) {
        let is_told = async || !self.vendor.told(key, event).is_empty();
        wait_until(&format!("{key} {event} is told"), LIMIT, is_told).await;
    }

    /// Nobody was paged about a check, nor could have been.
    pub(super) async fn assert_nobody_is_paged(&self) {
        assert_eq!(self.count("SELECT COUNT(*) FROM komainu_incident WHERE k LIKE 'check/%'").await, 0);
        let deliveries = "SELECT COUNT(*) FROM komainu_delivery d JOIN komainu_incident i ON i.id = d.incident_id \
             WHERE i.k LIKE '%/shop'";
        assert_eq!(self.count(deliveries).await, 0);
        let downs = "SELECT COUNT(*) FROM komainu_check_transition WHERE to_state = 'down'";
        assert_eq!(self.count(downs).await, 0);
    }
}

/// The target that all reach.
pub(super) fn serve_shop(network: &Network) -> AbortHandle {
    answer_all(network.listen("shop", ANY, SHOP_PORT))
}

/// A server that answers whatever it is asked, until it is ended.
pub(super) fn answer_all(listener: tokio::net::TcpListener) -> AbortHandle {
    let app = Router::new().fallback(|| async { StatusCode::OK });
    tokio::spawn(async move { axum::serve(listener, app).await }).abort_handle()
}

/// How long something took, for whoever runs the tests with `--nocapture`.
pub(super) fn print_time(what: &str, since_us: i64) {
    let millis = (Cluster::now_us() - since_us) / 1_000;
    #[expect(clippy::print_stdout, reason = "a figure")]
    {
        println!("{what}: {}.{} s", millis / 1_000, millis % 1_000 / 100);
    }
}
