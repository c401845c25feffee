//! A gateway between stand-ins: nodes that say who they are, watchdogs that show the table a story wants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::nginx::{Heard, KEY, Nginx};
use super::standin::{Reply, Request, StandIn};
use crate::cluster::wait::wait_until;

/// What a watchdog that is out of its mind answers.
#[derive(Clone, Copy)]
pub(crate) enum Nonsense {
    /// This, in place of the table.
    Text(&'static str),
    /// This, and then a byte now and again.
    Endless(&'static str),
}

/// What the watchdogs show.
#[derive(Default)]
pub(crate) struct ServedTables {
    routes: Mutex<Value>,
    owners: Mutex<BTreeMap<String, String>>,
    /// Nodes that do not run a monitor, whatever the table says, and what they answer to its pushes.
    strangers: Mutex<BTreeMap<String, (u16, &'static str)>>,
    /// What the first of them answers in place of the table.
    garbled: Mutex<Option<Nonsense>>,
    looks: AtomicU64,
    rounds: AtomicI64,
}

/// Everything of one story.
pub(crate) struct Stage {
    pub(crate) nodes: Vec<StandIn>,
    pub(crate) watchdogs: Vec<StandIn>,
    pub(crate) gateway: Nginx,
    shown: Arc<ServedTables>,
}

impl Stage {
    /// `node1` ... with loads 0.1, 0.2 ... and watchdogs that know them.
    pub(crate) async fn start(nodes: usize, watchdogs: usize) -> Self {
        Self::start_with(nodes, watchdogs, &[]).await
    }

    /// The same, with more variables for the gateway.
    pub(crate) async fn start_with(nodes: usize, watchdogs: usize, more: &[(&str, &str)]) -> Self {
        let shown = Arc::new(ServedTables::default());
        let nodes: Vec<_> = (1..=nodes).map(|number| node(&format!("node{number}"), Arc::clone(&shown))).collect();
        let lines = nodes.iter().zip(1_u32..).map(|(node, number)| {
            json!({
                "node_id": format!("node{number}"), "address": node.url(), "status": "online", "overlay": "none",
                "load": f64::from(number) / 10.0, "monitor_count": 100 * number,
                "accepts_sessions": true, "keeps_sessions": true,
            })
        });
        *shown.routes.lock().unwrap() =
            json!({"pinned_node": null, "generation": 1, "nodes": lines.collect::<Vec<_>>()});
        let watchdogs: Vec<_> =
            (1..=watchdogs).map(|number| watchdog(&format!("w{number}"), Arc::clone(&shown))).collect();
        let urls: Vec<_> = watchdogs.iter().map(StandIn::url).collect();
        let gateway = Nginx::start(&urls, KEY, more).await;
        let stage = Self { nodes, watchdogs, gateway, shown };
        stage.wait_for_look().await;
        stage
    }

    /// Changes the table, and waits until the gateway has it.
    pub(crate) async fn show(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.shown.routes.lock().unwrap());
        self.wait_for_look().await;
    }

    /// What the first watchdog answers from now on. The others go on showing the table.
    pub(crate) fn garble(&self, answer: Nonsense) {
        *self.shown.garbled.lock().unwrap() = Some(answer);
    }

    /// Changes fields of one node in the table.
    pub(crate) async fn show_node(&self, node: usize, fields: Value) {
        self.show(|table| {
            for (name, value) in fields.as_object().unwrap() {
                table["nodes"][node - 1][name] = value.clone();
            }
        })
        .await;
    }

    /// Says who owns a token's monitor, and waits until the gateway knows.
    pub(crate) async fn own(&self, token: &str, owner: &str) {
        self.own_unseen(token, owner);
        self.wait_for_look().await;
    }

    /// The same, without waiting.
    pub(crate) fn own_unseen(&self, token: &str, owner: &str) {
        use hmac::{KeyInit, Mac};
        let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(token.as_bytes());
        let digest = hex::encode(mac.finalize().into_bytes());
        self.shown.owners.lock().unwrap().insert(digest, owner.to_owned());
    }

    /// What a node answers to pushes from now on; nothing: it takes them.
    pub(crate) fn answer_pushes(&self, node: &str, answer: Option<(u16, &'static str)>) {
        let mut strangers = self.shown.strangers.lock().unwrap();
        match answer {
            Some(answer) => strangers.insert(node.to_owned(), answer),
            None => strangers.remove(node),
        };
    }

    /// Its watchdogs are gone with it; it starts again in the same place.
    pub(crate) async fn restart_gateway(&mut self) {
        self.gateway.restart().await;
    }

    /// The gateway's rounds go one after another: when the second begins, the first is over.
    pub(crate) async fn wait_for_look(&self) {
        let before = self.shown.looks.load(Ordering::SeqCst);
        let has_looked = async || self.shown.looks.load(Ordering::SeqCst) >= before + 2;
        wait_until("the gateway has looked", Duration::from_secs(30), has_looked).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Heard {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn get_with(&self, path: &str, header: (&str, &str)) -> Heard {
        self.send("GET", path, &[header], "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Heard {
        self.gateway.send(method, path, headers, body).await
    }

    /// Opens a Socket.IO session by polling: its id, and its node.
    pub(crate) async fn open_session(&self) -> (String, String) {
        let opened = self.get("/socket.io/?EIO=4&transport=polling").await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let said: Value = serde_json::from_str(opened.body.strip_prefix('0').unwrap()).unwrap();
        (said["sid"].as_str().unwrap().to_owned(), opened.header("x-routed-to").to_owned())
    }

    /// Polls within a session.
    pub(crate) async fn poll(&self, session: &str) -> Heard {
        self.get(&format!("/socket.io/?EIO=4&transport=polling&sid={session}")).await
    }

    /// Upgrades a session to a websocket.
    pub(crate) async fn upgrade(&self, session: &str) -> Websocket {
        Websocket::open(self.gateway.port(), session).await
    }
}

impl Heard {
    /// The node that answered, by its own words; what the gateway says must agree.
    pub(crate) fn node(&self) -> String {
        let name = self.json()["node"].as_str().unwrap_or_default().to_owned();
        assert_eq!(self.header("x-routed-to"), name, "{self:?}");
        name
    }
}

/// A connection that became a tunnel.
pub(crate) struct Websocket(BufReader<TcpStream>);

impl Websocket {
    async fn open(port: u16, session: &str) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        let head = format!(
            "GET /socket.io/?EIO=4&transport=websocket&sid={session} HTTP/1.1\r\nHost: kuma.example\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).await.unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(stream)
    }

    /// Says a line; what comes back, `None` when the connection is over.
    pub(crate) async fn say(&mut self, line: &str) -> Option<String> {
        self.0.write_all(format!("{line}\n").as_bytes()).await.ok()?;
        let mut heard = String::new();
        let read = self.0.read_line(&mut heard).await.ok()?;
        (read > 0).then(|| heard.trim_end().to_owned())
    }
}

/// Says who it is; its sessions are those that it opened since it started, as in Kuma.
fn node(name: &str, shown: Arc<ServedTables>) -> StandIn {
    let (name, opened) = (name.to_owned(), AtomicU64::new(0));
    StandIn::start(move |request| {
        let said = |status, body: String| Reply::Answer(status, vec![("Content-Type", "text/plain".to_owned())], body);
        if request.path.starts_with("/claims") {
            let claims = [
                ("X-Accel-Redirect", "/lb/ping"),
                ("X-Accel-Limit-Rate", "1"),
                ("X-Routed-To", "somebody"),
                ("X-Routed-Via", "magic"),
                ("X-Routes-Stale", "99"),
            ];
            let claims = claims.into_iter().map(|(header, value)| (header, value.to_owned())).collect();
            return Reply::Answer(200, claims, json!({"node": name}).to_string());
        }
        if request.path.starts_with("/api/push/")
            && let Some((status, body)) = shown.strangers.lock().unwrap().get(&name)
        {
            return said(*status, (*body).to_owned());
        }
        if request.path.starts_with("/hang-up") {
            return Reply::HangUp;
        }
        if !request.path.starts_with("/socket.io/") {
            return said(200, json!({"node": name, "path": request.path, "method": request.method}).to_string());
        }
        let session = request.path.split("sid=").nth(1);
        match session {
            None => {
                let session = format!("{name}-{}", opened.fetch_add(1, Ordering::SeqCst));
                said(200, format!("0{}", json!({"sid": session, "upgrades": ["websocket"], "pingInterval": 25000})))
            }
            Some(session) if !session.starts_with(&name) => {
                said(400, json!({"code": 1, "message": "Session ID unknown", "node": name}).to_string())
            }
            Some(_) if request.headers.contains_key("upgrade") => Reply::Echo(name.clone()),
            Some(_) => said(200, json!({"node": name}).to_string()),
        }
    })
}

/// Shows the table, each time as of a new round; says who it is to everything else.
fn watchdog(name: &str, shown: Arc<ServedTables>) -> StandIn {
    let name = name.to_owned();
    StandIn::start(move |request| {
        let json = |value: &Value| {
            Reply::Answer(200, vec![("Content-Type", "application/json".to_owned())], value.to_string())
        };
        let is_known = request.headers.get("authorization") == Some(&format!("Bearer {KEY}"));
        let is_api = request.path.starts_with("/api/v1/");
        if is_api && request.headers.get("authorization").is_some_and(|key| key.ends_with("kmn_nobodys")) {
            return Reply::Answer(401, Vec::new(), String::new());
        }
        match request.path.as_str() {
            // As a watchdog that hides all but its colour from strangers.
            "/lb/routes" if !is_known => Reply::Answer(401, Vec::new(), String::new()),
            "/lb/routes" if name == "w1" && shown.garbled.lock().unwrap().is_some() => {
                match shown.garbled.lock().unwrap().unwrap() {
                    Nonsense::Text(text) => Reply::Answer(200, Vec::new(), text.to_owned()),
                    Nonsense::Endless(beginning) => Reply::Dribble(beginning),
                }
            }
            "/lb/routes" => {
                shown.looks.fetch_add(1, Ordering::SeqCst);
                let mut table = shown.routes.lock().unwrap().clone();
                table["checked_at"] = json!(shown.rounds.fetch_add(1, Ordering::SeqCst));
                json(&table)
            }
            "/lb/pushes" => owners(&shown, request),
            "/heartbeats/cut-off" if name == "w1" => Reply::Answer(503, Vec::new(), "nobody knows".to_owned()),
            _ => json(&json!({"watchdog": name, "path": request.path, "method": request.method})),
        }
    })
}

fn owners(shown: &ServedTables, request: &Request) -> Reply {
    assert_eq!(request.headers.get("authorization"), Some(&format!("Bearer {KEY}")));
    let owners = json!({"generation": 1, "owners": *shown.owners.lock().unwrap()}).to_string();
    let tag = format!("\"{}\"", hex::encode(owners.as_bytes()));
    if request.headers.get("if-none-match") == Some(&tag) {
        return Reply::Answer(304, vec![("ETag", tag)], String::new());
    }
    Reply::Answer(200, vec![("ETag", tag)], owners)
}
