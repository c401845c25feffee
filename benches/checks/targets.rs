//! Targets that fail when they are told to: one refuses, one hangs, one answers 500.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a target fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fault {
    /// Nobody listens any more.
    Refuses,
    /// Connections are taken, and nothing is answered.
    Hangs,
    /// Status 500.
    Answers500,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::Refuses, Self::Hangs, Self::Answers500];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refuses => "refuses",
            Self::Hangs => "hangs",
            Self::Answers500 => "answers-500",
        }
    }
}

/// One server for those that hang and those that answer 500, and one of its own for each that refuses.
pub(crate) struct Targets {
    port: u16,
    failing: Arc<Mutex<BTreeMap<String, Fault>>>,
    refusing: BTreeMap<String, (u16, JoinHandle<()>)>,
}

impl Targets {
    pub(crate) async fn start() -> Self {
        let failing = Arc::new(Mutex::new(BTreeMap::new()));
        let (port, _) = serve(&failing).await;
        Self { port, failing, refusing: BTreeMap::new() }
    }

    /// Where this target answers.
    pub(crate) async fn add(&mut self, name: &str, fault: Fault) -> String {
        let port = if fault == Fault::Refuses {
            let (port, server) = serve(&self.failing).await;
            self.refusing.insert(name.to_owned(), (port, server));
            port
        } else {
            self.port
        };
        format!("http://127.0.0.1:{port}/{name}")
    }

    /// From now on it fails.
    pub(crate) fn fail(&mut self, name: &str, fault: Fault) {
        if let Some((_, server)) = self.refusing.remove(name) {
            server.abort();
        }
        self.failing.lock().unwrap().insert(name.to_owned(), fault);
    }
}

type Failing = Arc<Mutex<BTreeMap<String, Fault>>>;

async fn serve(failing: &Failing) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().route("/{name}", get(answer)).with_state(Arc::clone(failing));
    (port, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

async fn answer(State(failing): State<Failing>, Path(name): Path<String>) -> StatusCode {
    let fault = failing.lock().unwrap().get(&name).copied();
    match fault {
        None => StatusCode::OK,
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::Refuses | Fault::Answers500) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
