//! `komainu watchdog`: one watchdog, with its HTTP surface.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::tail::Remembrance;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, WatchdogConfig, without_slash};
use crate::driver::{Driver, WatchdogSettings};
use crate::keys::ClusterKey;
use crate::probe::Prober;
use crate::state_dir::StateDir;
use crate::store::{Share, Store, WatchdogIdentity};
use crate::surface::{self, Entrance, Places};
use crate::tls::Credentials;
use crate::voice::Voice;
use crate::{api, lifecycle, outbox};

mod start;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration, with a section `[watchdog]`.
    #[arg(long, default_value = "komainu.toml")]
    config: PathBuf,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    let (Some(watchdog), Some(key)) = (config.watchdog.clone(), config.cluster.key.clone()) else {
        bail!("{}: there is no section [watchdog]; `komainu init` prints one", args.config.display());
    };
    let shutdown = lifecycle::shutdown_on_signals().context("cannot listen for signals")?;
    let (store, state) = (start::connect(&config.database.url).await?, StateDir::open(watchdog.state_dir.clone()));
    let ports = Ports::open(&watchdog)?;
    let settings = settings(&config, &watchdog, (key, store), state.answered().await)?;
    let (mut driver, published) = Driver::new(&settings)?;
    let (alerts, misfit) = (settings.store.share(Share::Alerts), start::schema_misfit(settings.store.clone()));
    let voice = Voice::new(&settings.routing, &config.channels, &settings.policy);
    let heartbeats = start::heartbeats(&config, &watchdog, &settings, (&published, &voice))?;
    let _beside = start::beside((&settings, &alerts), (&heartbeats, driver.lost_tails()), (state, &published));
    let around = (&config, &watchdog);
    let (looks, _looking) = start::looks(around, (&settings, &alerts), (&published, &driver.chores())).await?;
    let (_dark, told, late_answers) = start::dark(around, (&settings, &alerts), (&published, &looks)).await?;
    let _deadman = start::deadman(&config, &settings, (&published, &voice));
    let outbox = start::outbox(&config, &watchdog, (&settings, &alerts), (told.is_unentered, &voice))?;
    let (stop_delivering, unserved) = (shutdown.child_token(), CancellationToken::new());
    let deliverer = tokio::spawn(outbox::run(outbox, stop_delivering.clone()));
    let beside = (&config.second_opinion, &looks);
    let (_alerts, ids, sampling) =
        start::alerts((&alerts, &settings), beside, (&voice, &published.view), &driver.chores());
    let (teller, subscriptions) = start::subscriptions(around, (&settings, &published), stop_delivering.clone())?;
    let routers = api::routers(api::State {
        looks,
        prober: Prober::new(settings.key.clone(), settings.policy.probe_timeout, &settings.credentials)?,
        store: settings.store,
        view: published.view,
        report: published.report,
        cluster: settings.cluster,
        watchdog: watchdog.id.clone(),
        incarnation: settings.incarnation,
        key: settings.key,
        policy: settings.policy,
        details: config.status.details,
        heartbeats,
        telling: api::Telling { routing: settings.routing, on_call: config.on_call.clone() },
        voice,
        database_report: told.database_report,
        stopping: shutdown.clone(),
        ids,
        guard: config.checks.guard.clone(),
        second_opinion: config.second_opinion.clone(),
        sampling,
        credentials: Arc::clone(&settings.credentials),
        public_base: Arc::from(watchdog.public_base()),
        late_answers,
        subscriptions,
    });
    tracing::info!(watchdog.id = %watchdog.id, incarnation = %settings.incarnation, listen = %watchdog.listen, "watching");
    let servers = ports.serve(routers, entrance(&config, settings.credentials), &unserved);
    // Peers and people are answered until the very end: a stopping watchdog still says so.
    let outcome = tokio::select! {
        outcome = Box::pin(driver.run(shutdown.clone())) => outcome.map_err(anyhow::Error::from),
        error = misfit => Err(error.into()),
    };
    end((stop_delivering, deliverer, teller), (unserved, servers)).await;
    outcome
}

/// A message on its way is brought to its end, which its own time limit bounds; otherwise another would repeat it.
async fn end(
    (stop_delivering, deliverer, teller): (CancellationToken, JoinHandle<()>, JoinHandle<()>),
    (unserved, servers): (CancellationToken, Vec<JoinHandle<()>>),
) {
    stop_delivering.cancel();
    unserved.cancel();
    let ended = futures_util::future::join_all(servers.into_iter().chain([deliverer, teller])).await;
    if ended.iter().any(Result::is_err) {
        tracing::warn!("a part of this watchdog ended in a panic");
    }
}

/// Who comes in, and how.
fn entrance(config: &Config, credentials: Arc<Credentials>) -> Entrance {
    let places = Places::beside(crate::looks::at_once(&config.checks));
    Entrance { places, credentials, proxies: config.proxies.clone() }
}

/// What the watchdog goes by; a warning where nobody hears of something.
fn settings(
    config: &Config,
    watchdog: &WatchdogConfig,
    (key, store): (ClusterKey, Store),
    earlier: Remembrance,
) -> anyhow::Result<WatchdogSettings> {
    if let Some(unheard) = config.unheard() {
        tracing::warn!(unheard, "no route takes these kinds, and unmatched = \"drop\": nobody is told of them");
    }
    Ok(WatchdogSettings {
        identity: identity(watchdog),
        incarnation: Incarnation(rand::random()),
        cluster: config.cluster.name.clone(),
        key,
        canaries: config.cluster.canaries.clone(),
        policy: config.policy.clone(),
        store,
        routing: Arc::new(config.routing.clone()),
        credentials: Credentials::open(config.tls.clone()).context("[tls]")?,
        earlier,
    })
}

fn identity(watchdog: &WatchdogConfig) -> WatchdogIdentity {
    WatchdogIdentity {
        watchdog: watchdog.id.clone(),
        zone: watchdog.zone.clone(),
        advertise: without_slash(&watchdog.advertise),
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Where a watchdog answers.
struct Ports {
    own: TcpListener,
    public: Option<TcpListener>,
}

impl Ports {
    fn open(watchdog: &WatchdogConfig) -> anyhow::Result<Self> {
        let public = |address: SocketAddr| {
            surface::listen(address).with_context(|| {
                format!("cannot listen on {address}; free that port or change public_listen in [watchdog]")
            })
        };
        let own = listen(watchdog.listen, "watchdog")?;
        Ok(Self { own, public: watchdog.public_listen.map(public).transpose()? })
    }

    /// Answers on each until it is cancelled. Two ports share the places there are: strangers at the one keep nobody from the other.
    fn serve(self, routers: api::Routers, entrance: Entrance, unserved: &CancellationToken) -> Vec<JoinHandle<()>> {
        let Self { own, public } = self;
        let places = if public.is_some() { entrance.places.halved() } else { entrance.places };
        let entrance = Entrance { places, ..entrance };
        let serve =
            |listener, router| tokio::spawn(surface::serve(listener, router, entrance.clone(), unserved.clone()));
        let public = public.map(|listener| serve(listener, routers.public));
        [serve(own, routers.own)].into_iter().chain(public).collect()
    }
}

/// Takes a port, or says who needs it.
pub(super) fn listen(address: SocketAddr, section: &str) -> anyhow::Result<TcpListener> {
    let bound = surface::listen(address);
    bound.with_context(|| format!("cannot listen on {address}; free that port or change listen in [{section}]"))
}
