//! Targets that fail when they are told to: one refuses, one hangs, one answers 500, one loses its name.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::it::name_server::NameServer;

/// How a target fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fault {
    /// Nobody listens any more.
    Refuses,
    /// Connections are taken, and nothing is answered.
    Hangs,
    /// Status 500.
    Answers500,
    /// Its name is known no more.
    LosesName,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::Refuses, Self::Hangs, Self::Answers500, Self::LosesName];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refuses => "refuses",
            Self::Hangs => "hangs",
            Self::Answers500 => "answers-500",
            Self::LosesName => "loses-name",
        }
    }
}

/// One server for those that are there when they fail, one of its own for each that refuses, and a name server.
pub(crate) struct Targets {
    names: NameServer,
    port: u16,
    failing: Arc<Mutex<BTreeMap<String, Fault>>>,
    refusing: BTreeMap<String, (u16, JoinHandle<()>)>,
}

impl Targets {
    /// `names`: what the watchdogs ask for names.
    pub(crate) async fn start(names: NameServer) -> Self {
        let failing = Arc::new(Mutex::new(BTreeMap::new()));
        let (port, _) = serve(&failing).await;
        Self { names, port, failing, refusing: BTreeMap::new() }
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
        if fault != Fault::LosesName {
            return format!("http://127.0.0.1:{port}/{name}");
        }
        self.names.set(&host(name), &[Ipv4Addr::LOCALHOST.into()]);
        format!("http://{}:{port}/{name}", host(name))
    }

    /// From now on it fails.
    pub(crate) fn fail(&mut self, name: &str, fault: Fault) {
        if let Some((_, server)) = self.refusing.remove(name) {
            server.abort();
        }
        if fault == Fault::LosesName {
            return self.names.forget(&host(name));
        }
        self.failing.lock().unwrap().insert(name.to_owned(), fault);
    }
}

fn host(name: &str) -> String {
    format!("{name}.test")
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
        Some(Fault::Refuses | Fault::Answers500 | Fault::LosesName) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
