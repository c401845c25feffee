//! The target of all monitors: an HTTP server that logs who asked for what and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::get;
use komainu::clock;

/// How long the target takes to answer: with a second between runs, a node that freezes has some on their way.
const THINKING: Duration = Duration::from_millis(300);

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Microseconds UTC.
    pub(crate) at_us: i64,
    /// The node, as it names itself.
    pub(crate) node: String,
    /// The monitor's number in the path.
    pub(crate) monitor: i64,
}

/// The server; ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Target {
    port: u16,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Target {
    /// Listens on a free loopback port.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Self { port: listener.local_addr().unwrap().port(), log: Arc::default() };
        let app = Router::new().route("/monitor/{number}", get(answer)).with_state(target.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        target
    }

    /// What a monitor with this number asks.
    pub(crate) fn url(&self, number: i64) -> String {
        format!("http://127.0.0.1:{}/monitor/{number}", self.port)
    }

    /// Everything that arrived so far.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

async fn answer(State(target): State<Target>, Path(monitor): Path<i64>, headers: HeaderMap) -> &'static str {
    let node = headers.get("komainu-node").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    target.log.lock().unwrap().push(Request { at_us: clock::wall_micros(), node, monitor });
    tokio::time::sleep(THINKING).await;
    "all is well"
}
