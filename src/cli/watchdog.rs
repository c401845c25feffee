//! `komainu watchdog`: one watchdog, with its HTTP surface.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::serve::ListenerExt;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::routing::Routing;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::channels::Channels;
use crate::config::{Config, WatchdogConfig, without_slash};
use crate::deadman::Deadman;
use crate::driver::{Driver, Published, WatchdogSettings};
use crate::heartbeat::{self, Heartbeats};
use crate::outbox::Outbox;
use crate::probe::Prober;
use crate::state_dir::StateDir;
use crate::store::{DatabaseUrl, Store, StoreError, WatchdogIdentity};
use crate::{alerts, api, blackout, deadman, lifecycle, outbox};

/// Between two looks at a database that was away at the start.
const SCHEMA_LOOK: Duration = Duration::from_secs(1);

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
    let store = connect(&config.database.url).await?;
    let listener = listen(watchdog.listen, "watchdog").await?;
    let settings = WatchdogSettings {
        identity: identity(&watchdog),
        incarnation: Incarnation(rand::random()),
        cluster: config.cluster.name.clone(),
        key,
        canaries: config.cluster.canaries.clone(),
        policy: config.policy.clone(),
        store,
        routing: Arc::new(config.routing.clone()),
    };
    let outbox = outbox_of(&config, &watchdog, &settings)?;
    let (driver, published) = Driver::new(&settings)?;
    let heartbeats = heartbeats(&config, &watchdog, &settings, &published)?;
    let (dark, told) = blackout(&config, &watchdog, &settings, &published).await?;
    let _dark = AbortOnDropHandle::new(tokio::spawn(dark.run()));
    let _deadman = ping_outside(&config, &settings, &published);
    let unfit = schema_misfit(settings.store.clone());
    let stop_delivering = shutdown.child_token();
    let deliverer = tokio::spawn(outbox::run(outbox, stop_delivering.clone()));
    let monitors = alerts::monitors::run(settings.store.clone(), Arc::clone(&settings.routing));
    let _monitors = AbortOnDropHandle::new(tokio::spawn(monitors));
    let router = api::router(api::State {
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
        word: told.word,
    });
    tracing::info!(watchdog.id = %watchdog.id, incarnation = %settings.incarnation, listen = %watchdog.listen, "watching");
    // Answers are small and each is waited for: Nagle's algorithm would hold some of them back for 40 ms.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    // Peers and people are answered until the very end: a stopping watchdog still says so.
    let outcome = tokio::select! {
        outcome = Box::pin(driver.run(shutdown)) => outcome.map_err(anyhow::Error::from),
        error = unfit => Err(error.into()),
    };
    stop_delivering.cancel();
    // A message on its way is brought to its end, which its own time limit bounds; otherwise another would repeat it.
    if deliverer.await.is_err() {
        tracing::warn!("the deliverer ended in a panic");
    }
    server.abort();
    outcome
}

/// What carries messages to the channels of this configuration.
fn outbox_of(config: &Config, watchdog: &WatchdogConfig, settings: &WatchdogSettings) -> anyhow::Result<Outbox> {
    Ok(Outbox {
        store: settings.store.clone(),
        cluster: settings.cluster.clone(),
        me: settings.incarnation,
        routing: Arc::clone(&settings.routing),
        outlets: Channels::prepare(&config.channels)?.outlets(),
        runbook: watchdog.runbook_url(),
    })
}

/// Tells an outside service that this watchdog watches.
fn ping_outside(config: &Config, settings: &WatchdogSettings, published: &Published) -> Option<AbortOnDropHandle<()>> {
    let deadman = config.deadman.as_ref()?;
    let url = deadman.url.reveal().clone();
    let deadman = Deadman { url, interval: deadman.interval, fresh_for: 3 * settings.policy.probe_interval };
    Some(AbortOnDropHandle::new(tokio::spawn(deadman::run(deadman, published.view.clone()))))
}

/// A server that is away is no reason not to start: that is when people must be told.
async fn connect(url: &DatabaseUrl) -> Result<Store, StoreError> {
    let store = Store::unconnected(url);
    match store.check_schema().await {
        Err(error) if error.is_lost_connection() && url.is_server() => {
            tracing::warn!(%error, "starting without the database, from what was last known");
            Ok(store)
        }
        checked => checked.map(|()| store),
    }
}

/// Ends as soon as the database is seen to be none that this komainu can work with.
async fn schema_misfit(store: Store) -> StoreError {
    loop {
        match store.check_schema().await {
            Ok(()) => return std::future::pending().await,
            Err(error) if error.is_lost_connection() => {}
            Err(
                error @ (StoreError::SchemaMissing | StoreError::SchemaTooOld { .. } | StoreError::SchemaTooNew { .. }),
            ) => {
                return error;
            }
            Err(error) => tracing::warn!(%error, "the schema cannot be checked yet"),
        }
        tokio::time::sleep(SCHEMA_LOOK).await;
    }
}

/// The task that speaks while the database is down.
async fn blackout(
    config: &Config,
    watchdog: &WatchdogConfig,
    settings: &WatchdogSettings,
    published: &Published,
) -> anyhow::Result<(blackout::Driver, blackout::Published)> {
    if watchdog.state_dir.is_none() && !config.channels.is_empty() {
        tracing::warn!("[watchdog] has no state_dir: what is told while the database is down dies with this process");
    }
    let public_url = watchdog.public_url.as_ref().unwrap_or(&watchdog.advertise);
    let settings = blackout::Settings {
        watchdog: watchdog.id.clone(),
        incarnation: settings.incarnation,
        cluster: settings.cluster.clone(),
        peers: watchdog.peers.iter().map(without_slash).collect(),
        runbook: without_slash(public_url),
        limit: 3 * settings.policy.probe_interval,
        prober: Prober::new(settings.key.clone(), settings.policy.probe_timeout)?,
        store: settings.store.clone(),
        routing: Arc::clone(&settings.routing),
        state: StateDir::open(watchdog.state_dir.clone()),
        channels: Channels::prepare(&config.channels)?,
    };
    Ok(blackout::Driver::new(settings, published.contact.clone(), published.report.clone()).await)
}

/// What takes pushes and marks who is late.
fn heartbeats(
    config: &Config,
    watchdog: &WatchdogConfig,
    settings: &WatchdogSettings,
    published: &Published,
) -> anyhow::Result<Heartbeats> {
    let settings = heartbeat::Settings {
        store: settings.store.clone(),
        key: settings.key.clone(),
        fixed_secrets: fixed_secrets(config),
        routing: Routing::clone(&settings.routing),
        watchdog: watchdog.id.clone(),
        peers: watchdog.peers.iter().map(without_slash).collect(),
        view: published.view.clone(),
    };
    Heartbeats::start(settings).context("cannot set up calls to peers")
}

/// For senders that cannot change theirs.
fn fixed_secrets(config: &Config) -> BTreeMap<String, String> {
    config.heartbeat_secrets.iter().map(|(name, secret)| (name.clone(), secret.reveal().to_owned())).collect()
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

/// Takes a port, or says who needs it.
pub(super) async fn listen(address: std::net::SocketAddr, section: &str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address}; free that port or change listen in [{section}]"))
}
