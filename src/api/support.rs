//! A surface on an embedded database of its own, for the tests of each resource.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use komainu_watchdogs::facts::{Mode, NodeStatus, Overlay, Report, Vote};
use komainu_watchdogs::ids::{Epoch, Generation, Incarnation};
use komainu_watchdogs::io::{Alarm, Severity, Write};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::tail::Claim;
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::{DatabaseView, Health, IncidentView, LeaderView, MonitorsView, NodeView, View};
use komainu_watchdogs::watchdog::Identity;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use super::{State, Telling};
use crate::alerts::opinions::Sampling;
use crate::check::Guard;
use crate::chores::Chores;
use crate::config::{ChecksConfig, Details};
use crate::driver::Contact;
use crate::heartbeat::{Heartbeats, Settings};
use crate::keys::{ApiKey, ClusterKey};
use crate::looks::{self, LastKnown, Looks};
use crate::probe::Prober;
use crate::run::queries::Program;
use crate::state_dir::StateDir;
use crate::store::apikeys::{self, Scope};
use crate::store::incidents::{self, IncidentFilter};
use crate::store::migrate::{self, MigrateOptions};
use crate::store::monitors::{self, NewMonitor};
use crate::store::nodes::{self, NewNode};
use crate::store::{DatabaseUrl, MonitorSpec, Store, Watch, WatchdogIdentity};
use crate::subscriptions::Subscriptions;
use crate::tls::Credentials;
use crate::voice::Voice;

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The surface of `w1`, which leads.
pub(crate) struct Surface {
    pub(crate) state: State,
    /// The same surface for all requests, which it remembers.
    lasting: Option<Router>,
    /// What it answers on the port for the public.
    public: Option<Router>,
    _folder: TempDir,
    _published: (watch::Sender<Arc<View>>, watch::Sender<Arc<Report>>),
    contact: watch::Sender<Arc<Contact>>,
    looking: AbortOnDropHandle<()>,
}

/// What came back.
pub(crate) struct TestAnswer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl TestAnswer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }
}

/// Of a watchdog that has the channel `ops`.
fn voice() -> Voice {
    let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
    Voice::new(&routing, &[], &Policy::default())
}

/// Of a watchdog alone, which has no checks.
fn looks(store: &Store, contact: watch::Receiver<Arc<Contact>>) -> (Looks, AbortOnDropHandle<()>) {
    let key = || ClusterKey::parse(KEY).unwrap();
    let identity =
        Identity { watchdog: "w1".into(), incarnation: Incarnation(1), zone: "here".into(), canaries: Vec::new() };
    let settings = looks::Settings {
        identity,
        checks: ChecksConfig { guard: Guard::default(), looks_at_once: 10 },
        store: store.clone(),
        routing: Arc::default(),
        key: key(),
        credentials: Credentials::none(),
        prober: Prober::new(key(), Policy::default().probe_timeout, &Credentials::none()).unwrap(),
        evaluator: Program::default(),
        contact,
        chores: Chores::new(|_, _| {}),
        state: StateDir::open(None),
    };
    Looks::start(settings, LastKnown::default()).unwrap()
}

impl Surface {
    pub(crate) async fn plain() -> Self {
        Self::showing(view()).await
    }

    pub(crate) async fn showing(view: View) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::connect(&DatabaseUrl::sqlite(folder.path().join("komainu.db"))).await.unwrap();
        migrate::apply(&store, MigrateOptions { without_kuma: true }).await.unwrap();
        let (view_sender, view) = watch::channel(Arc::new(view));
        let (report_sender, report) = watch::channel(Arc::new(report()));
        let heartbeats = Heartbeats::start(Settings {
            store: store.clone(),
            key: ClusterKey::parse(KEY).unwrap(),
            fixed_secrets: [("legacy".to_owned(), "hunter2".to_owned())].into(),
            routing: Routing::default(),
            watchdog: "w1".into(),
            peers: Vec::new(),
            voice: Voice::default(),
            view: view.clone(),
            credentials: Credentials::none(),
        })
        .unwrap();
        let routing = Routing { channels: vec!["ops".to_owned(), "mail".to_owned()], routes: vec![] };
        let (contact_sender, contact) = watch::channel(Arc::default());
        let (looks, looking) = looks(&store, contact);
        let state = State {
            late_answers: crate::answers::LateAnswers::none(),
            store,
            looks,
            view,
            report,
            cluster: "test".to_owned(),
            watchdog: "w1".into(),
            incarnation: Incarnation(1),
            key: ClusterKey::parse(KEY).unwrap(),
            prober: Prober::new(ClusterKey::parse(KEY).unwrap(), Policy::default().probe_timeout, &Credentials::none())
                .unwrap(),
            policy: Policy::default(),
            details: Details::Public,
            heartbeats,
            telling: Telling { routing: Arc::new(routing), on_call: Arc::default() },
            voice: voice(),
            database_report: watch::channel(Arc::default()).1,
            stopping: CancellationToken::new(),
            ids: watch::channel(Arc::default()).1,
            guard: Guard::default(),
            second_opinion: Arc::default(),
            sampling: watch::channel(Sampling::default()).1,
            credentials: Credentials::none(),
            public_base: Arc::from("https://status.example"),
            subscriptions: Subscriptions::new(true, Guard::default(), false),
        };
        Self {
            state,
            lasting: None,
            public: None,
            _folder: folder,
            _published: (view_sender, report_sender),
            contact: contact_sender,
            looking,
        }
    }

    pub(crate) fn with_voice(mut self, voice: Voice) -> Self {
        self.state.voice = voice;
        self
    }

    pub(crate) fn with_details(mut self, details: Details) -> Self {
        self.state.details = details;
        self
    }

    /// The loop of its checks hangs since so long.
    pub(super) async fn with_hanging_checks(self, since: Duration) -> Self {
        self.looking.abort();
        while !self.looking.is_finished() {
            tokio::task::yield_now().await;
        }
        self.state.looks.stand_still_for(since);
        self
    }

    /// Of three watchdogs it hears none, nor the database.
    pub(super) async fn with_deaf_checks(self) -> Self {
        let members = ["w1", "w2", "w3"].map(|name| (name.into(), String::new())).into();
        self.contact.send_replace(Arc::new(Contact { members, ..Contact::default() }));
        while self.state.looks.blindness().is_none() {
            tokio::task::yield_now().await;
        }
        self
    }

    /// One surface for all requests to come, instead of one for each.
    pub(crate) fn lasting(mut self) -> Self {
        let super::Routers { own, public } = super::routers(self.state.clone());
        (self.lasting, self.public) = (Some(own), Some(public));
        self
    }

    /// A key of this scope, named after it.
    pub(crate) async fn key(&self, scope: &str) -> String {
        let (key, hash) = ApiKey::generate();
        let known = apikeys::list(&self.state.store).await.unwrap();
        if known.iter().any(|info| info.name == scope) {
            apikeys::delete(&self.state.store, scope, "test").await.unwrap();
        }
        apikeys::create(&self.state.store, scope, Scope::parse(scope).unwrap(), &hash, "test").await.unwrap();
        key
    }

    /// Enters a node, which never starts.
    pub(crate) async fn add_node(&self, node: &str) {
        let address = format!("http://{node}:3001");
        let new = NewNode { node_id: node.into(), name: node.to_owned(), address, ..NewNode::default() };
        assert!(nodes::add(&self.state.store, &new, "test").await.unwrap());
    }

    /// Makes an active push monitor at home on this node.
    pub(crate) async fn add_push_monitor(&self, token: &str, node: &str) {
        let kind = "push".to_owned();
        let spec = MonitorSpec { kind, push_token: Some(token.to_owned()), ..MonitorSpec::default() };
        let new = NewMonitor { spec, node_id: Some(node.into()), ..NewMonitor::default() };
        monitors::create_all(&self.state.store, &[new]).await.unwrap();
    }

    /// Writes the row of a watchdog that then stands still.
    pub(crate) async fn register_watchdog(&self, watchdog: &str) {
        let report = Report { watchdog: watchdog.into(), ..report() };
        let write = Write { report, claim: Claim::default(), stopped: false };
        self.watch_as(watchdog).await.write(&write).await.unwrap();
    }

    /// Opens an incident that one channel is told of; returns its number.
    pub(crate) async fn raise(&self, key: &str) -> i64 {
        let routing = Routing { channels: vec!["ops".to_owned()], routes: vec![] };
        let alarm =
            Alarm { key: key.to_owned(), severity: Severity::Critical, summary: "bad".to_owned(), votes: (3, 3) };
        assert!(self.state.store.errands(&"w1".into()).await.unwrap().raise(&alarm, &routing).await.unwrap());
        let all = incidents::list(&self.state.store, &IncidentFilter::default(), None, 1).await.unwrap();
        all.items[0].id
    }

    pub(crate) async fn resolve(&self, key: &str) {
        let mut watch = self.state.store.errands(&"w1".into()).await.unwrap();
        let seen = watch.incidents().await.unwrap()[0].last_bad_at;
        assert!(watch.resolve(key, seen).await.unwrap());
    }

    async fn watch_as(&self, watchdog: &str) -> Watch {
        let identity = WatchdogIdentity {
            watchdog: watchdog.into(),
            zone: "rack-a".into(),
            advertise: String::new(),
            hostname: String::new(),
            version: String::new(),
        };
        self.state.store.watch(identity).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> TestAnswer {
        self.send("GET", path, None, "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> TestAnswer {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.send_with(method, path, &headers, body).await
    }

    /// Asks the port for the public, of a surface that lasts.
    pub(crate) async fn get_publicly(&self, path: &str) -> TestAnswer {
        self.send_publicly("GET", path, &[], "").await
    }

    /// The same with whatever somebody sends there.
    pub(crate) async fn send_publicly(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TestAnswer {
        answered(self.public.clone().unwrap(), request(method, path, headers, body)).await
    }

    pub(crate) async fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TestAnswer {
        let router = self.lasting.clone().unwrap_or_else(|| super::router(self.state.clone()));
        answered(router, request(method, path, headers, body)).await
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4_000))));
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn answered(router: Router, request: Request<Body>) -> TestAnswer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    TestAnswer { code: parts.status.as_u16(), headers: parts.headers, body }
}

/// A calm cluster of one node with one open incident.
pub(crate) fn view() -> View {
    View {
        status: Health::Ok,
        mode: Mode::Active,
        leader: Some(LeaderView { watchdog_id: "w1".into(), incarnation: Incarnation(1), epoch: Epoch(7) }),
        database: DatabaseView::Up,
        generation: Generation(42),
        nodes: vec![node()],
        monitors: MonitorsView { active: 100, watched: 100, ..MonitorsView::default() },
        incidents: vec![IncidentView {
            key: "node/node2".to_owned(),
            severity: Severity::Critical,
            since: Wall(1),
            first_since: Wall(1),
        }],
        checked_at: Some(Wall(1_763_800_000_000)),
        verdict_age_ms: Some(3),
        ..View::default()
    }
}

fn node() -> NodeView {
    NodeView {
        node_id: "node1".into(),
        status: NodeStatus::Online,
        overlay: Overlay::None,
        monitors: 100,
        home_monitors: 100,
        capacity: 1_000,
        load: 0.1,
        reach: Vote::Up,
        votes_down: (0, 3),
        lease: "fresh",
        overdue: 3,
        address: "http://127.0.0.1:8910".to_owned(),
        last_seen_ms: Some(Wall(1_763_800_000_000)),
    }
}

fn report() -> Report {
    Report {
        watchdog: "w1".into(),
        incarnation: Incarnation(1),
        seq: 5,
        zone: "rack-a".into(),
        isolated: false,
        database_ok: true,
        observations: Vec::new(),
        database_report: None,
        seen: None,
    }
}
