//! The whole topology as containers run it, without containers: MariaDB, three watchdogs, three native nodes, and the
//! gateway in front of all of it, each with the configuration of compose/.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use komainu::clock;
use serde_json::{Value, json};

use super::nginx::{Heard, Nginx};
use crate::cluster::database::Kind;
use crate::cluster::wait::wait_until;
use crate::cluster::{Cluster, Shape};

const PUSH_MONITORS: usize = 6;
const HTTP_MONITORS: i64 = 6;

/// A cluster, and its gateway.
struct Topology {
    cluster: Cluster,
    gateway: Nginx,
}

impl Topology {
    async fn start() -> Self {
        let mut cluster = Cluster::prepare(Kind::MariaDb, Shape::default(), "").await;
        let watchdogs: Vec<_> = (1..=3).map(|number| cluster.url_of(&format!("w{number}"), "")).collect();
        let gateway = Nginx::start(&watchdogs, &gateway_key(&cluster), &[]).await;
        let names = (1..=3).map(|number| (format!("w{number}"), format!("node{number}")));
        // All of them before the first reads what they share.
        for (watchdog, node) in names.clone() {
            cluster.edit_config(&watchdog, |made| of_watchdog(cluster.folder(), made, &watchdogs));
            cluster.edit_config(&node, |made| of_node(cluster.folder(), made));
        }
        for (watchdog, node) in names {
            cluster.start_process(&watchdog);
            cluster.start_process(&node);
        }
        let topology = Self { cluster, gateway };
        topology.wait_for_nodes(&["node1", "node2", "node3"]).await;
        topology
    }

    /// With the admin key, as an operator does it.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Heard {
        let key = format!("Bearer {}", self.cluster.api_key());
        let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.gateway.send(method, path, &headers, &body).await
    }

    async fn get(&self, path: &str) -> Heard {
        self.gateway.send("GET", path, &[], "").await
    }

    /// Until new sessions go to these nodes and to no other.
    async fn wait_for_nodes(&self, expected: &[&str]) {
        let shows_them = async || {
            let list = self.get("/lb/available-nodes").await.json();
            let mut nodes: Vec<_> =
                list["available_nodes"].as_array().unwrap().iter().map(|node| &node["node_id"]).collect();
            nodes.sort_by_key(|node| node.as_str());
            nodes == expected
        };
        wait_until(&format!("people go to {expected:?}"), Duration::from_secs(60), shows_them).await;
    }

    /// The node that runs a push monitor, as the database says; nothing while it is nobody's.
    async fn owner(&self, token: &str) -> String {
        let sql = format!(
            "SELECT a.effective_node FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
             WHERE m.push_token = '{token}'"
        );
        self.cluster.database.rows(&sql).await.first().map_or_else(String::new, |row| row[0].clone())
    }

    /// Each push is taken, by the node that owns the monitor.
    async fn wait_for_pushes(&self, tokens: &[String]) {
        for token in tokens {
            let is_taken = async || {
                let owner = self.owner(token).await;
                let heard = self.get(&format!("/api/push/{token}?status=up&msg=OK")).await;
                heard.status == 200 && heard.json()["ok"] == true && heard.header("x-routed-to") == owner
            };
            wait_until("a push is taken by the owner", Duration::from_secs(90), is_taken).await;
        }
    }

    /// Pushes to each every second, and never again; what was not taken in the end.
    async fn push_meanwhile(&self, tokens: &[String], act: impl Future<Output = ()>) -> Vec<String> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let mut pushes = tokio::task::JoinSet::new();
        let mut pace = tokio::time::interval(Duration::from_secs(1));
        tokio::pin!(act);
        loop {
            tokio::select! {
                () = &mut act => break,
                _ = pace.tick() => for token in tokens {
                    let asked = client.get(self.gateway.url(&format!("/api/push/{token}?status=up"))).send();
                    pushes.spawn(asked);
                },
            }
        }
        let answers = pushes.join_all().await.into_iter().map(|answer| answer.unwrap());
        answers.filter(|answer| answer.status() != 200).map(|answer| format!("{answer:?}")).collect()
    }

    /// Made through the gateway as well; each beats.
    async fn add_http_monitors(&self) {
        for number in 1..=HTTP_MONITORS {
            let url = self.cluster.target.url(number);
            let body = json!({"name": format!("site {number}"), "type": "http", "url": url, "interval": 2});
            let made = self.ask("POST", "/api/v1/monitors", &body).await;
            assert_eq!((made.status, &made.json()["id"]), (201, &json!(number)), "{made:?}");
        }
        let all: Vec<_> = (1..=HTTP_MONITORS).collect();
        self.cluster.wait_for_beats(&all, 0, Duration::from_secs(60)).await;
    }

    async fn add_push_monitors(&self) -> Vec<String> {
        let tokens: Vec<_> = (1..=PUSH_MONITORS).map(|number| format!("pushTokenNumber{number}")).collect();
        for token in &tokens {
            let body = json!({"name": token, "type": "push", "push_token": token, "interval": 60});
            let made = self.ask("POST", "/api/v1/monitors", &body).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        tokens
    }

    /// A signed heartbeat, as a program sends it.
    async fn send_heartbeat(&self, name: &str, secret: &str) -> u16 {
        use hmac::{KeyInit, Mac};
        let us = clock::wall_micros();
        let body = format!("{{\"time\": {}.{:06}}}", us / 1_000_000, us % 1_000_000);
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let headers = [("x-hub-signature-256", signature.as_str())];
        self.gateway.send("POST", &format!("/heartbeats/{name}"), &headers, &body).await.status
    }
}

/// `compose/config/watchdog.toml`, where only what a container's environment and secrets say is said otherwise.
fn of_watchdog(folder: &Path, made: &str, watchdogs: &[String]) -> String {
    let port = value(made, "listen").rsplit_once(':').unwrap().1.to_owned();
    let me = format!("http://127.0.0.1:{port}");
    let peers: Vec<_> = watchdogs.iter().filter(|url| **url != me).map(|url| format!("\"{url}\"")).collect();
    let environment =
        format!("[watchdog]\nid = \"{}\"\nadvertise = \"{me}\"\npeers = [{}]\n", value(made, "id"), peers.join(", "));
    as_in_compose("watchdog.toml", folder, made)
        .replace("\n[watchdog]\n", &format!("\n{environment}"))
        .replace("/var/lib/komainu", value(made, "state_dir"))
}

/// `compose/config/node.toml`, in the same way; and its trace, by which the story is judged.
fn of_node(folder: &Path, made: &str) -> String {
    let (id, key) = (value(made, "id"), made.lines().rev().find(|line| line.starts_with("key = ")).unwrap());
    let key_file = folder.join(format!("{id}.key"));
    std::fs::write(&key_file, value(key, "key")).unwrap();
    let environment = format!(
        "[node]\nid = \"{id}\"\nadvertise = \"{}\"\ntrace_file = \"{}\"\n",
        value(made, "advertise"),
        value(made, "trace_file")
    );
    as_in_compose("node.toml", folder, made)
        .replace("\n[node]\n", &format!("\n{environment}"))
        .replace("/run/secrets/node_key", &key_file.display().to_string())
}

fn as_in_compose(name: &str, folder: &Path, made: &str) -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/config").join(name);
    let shipped = std::fs::read_to_string(shipped).unwrap();
    let mut text = shipped;
    for (secret, key) in [("cluster_key", "key"), ("database_url", "url")] {
        // Watchdogs and nodes have a database user each.
        let file = folder.join(format!("{}.{secret}", value(made, "id")));
        std::fs::write(&file, value(made, key)).unwrap();
        text = text.replace(&format!("/run/secrets/{secret}"), &file.display().to_string());
    }
    let listen = text.lines().find(|line| line.starts_with("listen = ")).unwrap().to_owned();
    text.replace(&listen, &format!("listen = \"{}\"", value(made, "listen")))
}

/// The first value of that name in a configuration.
fn value<'a>(config: &'a str, name: &str) -> &'a str {
    let mut lines = config.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
    lines.next().unwrap_or_else(|| panic!("{name} is not in {config}")).trim_end_matches('"')
}

/// As an operator gets it: printed by the program, from the cluster's key.
fn gateway_key(cluster: &Cluster) -> String {
    let config = std::fs::read_to_string(cluster.folder().join("w1.toml")).unwrap();
    let file = cluster.folder().join("cluster.key");
    std::fs::write(&file, value(&config, "key")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_komainu"));
    let output = command.args(["keygen", "--gateway", "--key-file"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB and nginx"]
async fn a_whole_cluster_is_served_under_one_name_and_survives_its_parts() {
    let mut topology = Topology::start().await;
    assert_eq!(topology.get("/status").await.json()["status"], "ok");
    assert_eq!(topology.get("/api/v1/nodes").await.status, 401, "without a key");
    assert_eq!(topology.gateway.send("PUT", "/api/v1/routing/pin", &[], "{}").await.status, 401, "without a key");
    assert_eq!(topology.get("/lb/pushes").await.status, 404, "for gateways only");
    topology.add_http_monitors().await;
    let tokens = topology.add_push_monitors().await;
    topology.wait_for_pushes(&tokens).await;

    let made = topology.ask("POST", "/api/v1/heartbeats", &json!({"name": "backup", "period_s": 60})).await.json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert_eq!(topology.get("/heartbeats/backup").await.status, 404, "never seen");
    assert_eq!(topology.send_heartbeat("backup", &secret).await, 200);
    let is_alive = async || topology.get("/heartbeats/backup").await.status == 200;
    wait_until("the heartbeat is alive", Duration::from_secs(10), is_alive).await;

    let pinned = topology.ask("PUT", "/api/v1/routing/pin", &json!({"node_id": "node2"})).await;
    assert_eq!(pinned.status, 200, "{pinned:?}");
    let to_the_pinned = async || {
        let heard = topology.get("/dashboard").await;
        (heard.header("x-routed-via"), heard.header("x-routed-to")) == ("cluster-pin", "node2")
    };
    wait_until("everybody goes to the pinned node", Duration::from_secs(20), to_the_pinned).await;
    assert_eq!(topology.ask("DELETE", "/api/v1/routing/pin", &Value::Null).await.status, 200);

    let moves = async {
        let drained = topology.ask("POST", "/api/v1/nodes/node3/drain", &json!({})).await;
        assert!(drained.status < 300, "{drained:?}");
        topology.wait_for_nodes(&["node1", "node2"]).await;
        let sql = "SELECT monitor_id FROM komainu_assignment WHERE effective_node NOT IN ('node1', 'node2')";
        let has_moved = async || topology.cluster.database.rows(sql).await.is_empty();
        wait_until("everything has moved", Duration::from_secs(60), has_moved).await;
        topology.wait_for_pushes(&tokens).await;
        let resumed = topology.ask("POST", "/api/v1/nodes/node3/resume", &json!({})).await;
        assert!(resumed.status < 300, "{resumed:?}");
        topology.wait_for_nodes(&["node1", "node2", "node3"]).await;
    };
    let lost = topology.push_meanwhile(&tokens, moves).await;
    assert!(lost.is_empty(), "pushes of a planned move: {lost:?}");

    // A node and the leading watchdog at once.
    topology.cluster.process("node1").kill();
    topology.cluster.process("w1").kill();
    for _ in 0..20 {
        let heard = topology.get("/dashboard").await;
        assert_ne!((heard.status, heard.header("x-routed-to")), (503, "node1"), "somebody else is there");
    }
    topology.wait_for_nodes(&["node2", "node3"]).await;
    topology.wait_for_pushes(&tokens).await;
    assert_eq!(topology.send_heartbeat("backup", &secret).await, 200, "another watchdog takes it");
    topology.cluster.start_process("node1");
    topology.cluster.start_process("w1");
    topology.wait_for_nodes(&["node1", "node2", "node3"]).await;
    topology.cluster.assert_one_owner().await;
    assert!(!topology.gateway.log().contains("pushToken"), "the log shows no token");
}
