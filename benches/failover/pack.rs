//! Three watchdogs of this very process: drivers with their HTTP surface, as `komainu watchdog` starts them.

use komainu::api;
use komainu::config::{ChecksConfig, Details};
use komainu::driver::{Driver, Published, WatchdogSettings};
use komainu::heartbeat::{self, Heartbeats};
use komainu::looks::Looks;
use komainu::probe::Prober;
use komainu::store::{Store, WatchdogIdentity};
use komainu::tls::Credentials;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::watchdog::Identity;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::simulated::Simulated;

/// How many.
const WATCHDOGS: usize = 3;

/// The watchdogs.
pub(crate) struct Pack {
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Pack {
    /// Starts them on this cluster, each with a pool of its own.
    pub(crate) async fn start(cluster: &Simulated) -> Self {
        let mut pack = Self { shutdown: CancellationToken::new(), tasks: JoinSet::new() };
        for number in 1..=WATCHDOGS {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let settings = WatchdogSettings {
                identity: identity(&format!("w{number}"), address),
                incarnation: Incarnation(rand::random()),
                cluster: "bench".to_owned(),
                key: cluster.key.clone(),
                canaries: Vec::new(),
                policy: Policy::default(),
                store: Store::connect(cluster.store.url()).await.unwrap(),
                routing: std::sync::Arc::default(),
                credentials: Credentials::none(),
                earlier: komainu_watchdogs::tail::Remembrance::default(),
            };
            let (driver, published) = Driver::new(&settings).unwrap();
            let heartbeats = heartbeats(&settings, &published);
            let (looks, looking) = looks(&settings, &published, &driver);
            let router = api::router(api::State {
                public_base: std::sync::Arc::from(""),
                late_answers: komainu::answers::LateAnswers::none(),
                subscriptions: komainu::subscriptions::Subscriptions::default(),
                looks,
                voice: komainu::voice::Voice::default(),
                database_report: tokio::sync::watch::channel(std::sync::Arc::default()).1,
                store: settings.store,
                view: published.view,
                report: published.report,
                cluster: settings.cluster,
                watchdog: settings.identity.watchdog,
                incarnation: settings.incarnation,
                prober: Prober::new(settings.key.clone(), settings.policy.probe_timeout, &settings.credentials)
                    .unwrap(),
                key: settings.key,
                policy: settings.policy,
                details: Details::Public,
                guard: komainu::check::Guard::default(),
                second_opinion: std::sync::Arc::default(),
                sampling: tokio::sync::watch::channel(komainu::alerts::opinions::Sampling::default()).1,
                heartbeats,
                telling: api::Telling::default(),
                stopping: pack.shutdown.clone(),
                credentials: Credentials::none(),
                ids: tokio::sync::watch::channel(std::sync::Arc::default()).1,
            });
            pack.run((driver, looking), (listener, router));
        }
        pack
    }

    fn run(
        &mut self,
        (driver, looking): (Driver, AbortOnDropHandle<()>),
        (listener, router): (TcpListener, axum::Router),
    ) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let server = tokio::spawn(async move { axum::serve(listener, router).await });
            Box::pin(driver.run(shutdown)).await.unwrap();
            drop(looking);
            server.abort();
        });
    }

    /// Stops them as SIGTERM does.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Eyes that have nothing to look at.
fn looks(settings: &WatchdogSettings, published: &Published, driver: &Driver) -> (Looks, AbortOnDropHandle<()>) {
    let identity = Identity {
        watchdog: settings.identity.watchdog.clone(),
        incarnation: settings.incarnation,
        zone: settings.identity.zone.clone(),
        canaries: Vec::new(),
    };
    let settings = komainu::looks::Settings {
        identity,
        checks: ChecksConfig { guard: komainu::check::Guard::default(), looks_at_once: 200 },
        store: settings.store.clone(),
        routing: std::sync::Arc::default(),
        key: settings.key.clone(),
        credentials: Credentials::none(),
        prober: Prober::new(settings.key.clone(), settings.policy.probe_timeout, &settings.credentials).unwrap(),
        evaluator: komainu::run::queries::Program::default(),
        contact: published.contact.clone(),
        chores: driver.chores(),
        state: komainu::state_dir::StateDir::open(None),
    };
    Looks::start(settings, komainu::looks::LastKnown::default()).unwrap()
}

/// Who a watchdog says it is.
pub(crate) fn identity(name: &str, advertise: String) -> WatchdogIdentity {
    WatchdogIdentity {
        watchdog: name.into(),
        zone: "bench".into(),
        advertise,
        hostname: "bench".to_owned(),
        version: "0.0.0".to_owned(),
    }
}

/// Nobody pushes.
fn heartbeats(settings: &WatchdogSettings, published: &Published) -> Heartbeats {
    let started = Heartbeats::start(heartbeat::Settings {
        store: settings.store.clone(),
        key: settings.key.clone(),
        fixed_secrets: std::collections::BTreeMap::new(),
        routing: Routing::default(),
        watchdog: settings.identity.watchdog.clone(),
        peers: Vec::new(),
        voice: komainu::voice::Voice::default(),
        view: published.view.clone(),
        credentials: Credentials::none(),
    });
    started.unwrap()
}
