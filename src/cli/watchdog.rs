//! `komainu watchdog`: one watchdog, with its HTTP surface.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::routing::Routing;
use tokio::net::TcpListener;

use crate::config::{Config, WatchdogConfig, without_slash};
use crate::driver::{Driver, WatchdogSettings};
use crate::heartbeat::{self, Heartbeats};
use crate::store::{Store, WatchdogIdentity};
use crate::{api, lifecycle};

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
    let store = Store::connect(&config.database.url).await?;
    store.check_schema().await?;
    let listener = listen(watchdog.listen, "watchdog").await?;
    let settings = WatchdogSettings {
        identity: identity(&watchdog),
        incarnation: Incarnation(rand::random()),
        cluster: config.cluster.name.clone(),
        key,
        canaries: config.cluster.canaries.clone(),
        policy: config.policy.clone(),
        store,
        routing: Arc::default(),
    };
    let (driver, published) = Driver::new(&settings)?;
    let heartbeats = Heartbeats::start(heartbeat::Settings {
        store: settings.store.clone(),
        key: settings.key.clone(),
        fixed_secrets: fixed_secrets(&config),
        routing: Routing::clone(&settings.routing),
        watchdog: watchdog.id.clone(),
        peers: watchdog.peers.iter().map(without_slash).collect(),
        view: published.view.clone(),
    })
    .context("cannot set up calls to peers")?;
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
    });
    tracing::info!(watchdog.id = %watchdog.id, incarnation = %settings.incarnation, listen = %watchdog.listen, "watching");
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    // Peers and people are answered until the very end: a stopping watchdog still says so.
    let outcome = Box::pin(driver.run(shutdown)).await;
    server.abort();
    Ok(outcome?)
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
