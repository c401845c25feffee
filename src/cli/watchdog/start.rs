//! What a watchdog starts with when nothing is sure: perhaps no database, and what is on its disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use komainu_notifiers::ChannelError;
use komainu_notifiers::mail::{self, letter::Postman};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::tail::Remembrance;
use komainu_watchdogs::view::View;
use komainu_watchdogs::watchdog::Identity;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::alerts;
use crate::alerts::opinions::Sampling;
use crate::answers::{self, AnswerLinks, LateAnswers, LateSettings};
use crate::blackout;
use crate::channels::Channels;
use crate::chores::Chores;
use crate::config::{Config, WatchdogConfig, without_slash};
use crate::deadman::{self, Deadman};
use crate::driver::{Published, WatchdogSettings};
use crate::heartbeat::{self, Heartbeats};
use crate::looks::{self, LastKnown, Looks};
use crate::lost_tail::{self, Salvage};
use crate::opinion::SecondOpinion;
use crate::outbox::Outbox;
use crate::probe::Prober;
use crate::run::queries::Program;
use crate::server_watch;
use crate::state_dir::StateDir;
use crate::steps;
use crate::store::capacity::Ids;
use crate::store::{DatabaseUrl, Share, Store, StoreError};
use crate::subscriptions::{self, Clients, Sender, Subscriptions};
use crate::voice::Voice;

/// Between two looks at a database that was away at the start.
const SCHEMA_LOOK: Duration = Duration::from_secs(1);

/// How long what was answered last may be unknown to the next process: it finds losses that reach further back.
const REMEMBERED_EACH: Duration = Duration::from_secs(10);

/// A server that is away is no reason not to start: that is when people must be told.
pub(super) async fn connect(url: &DatabaseUrl) -> Result<Store, StoreError> {
    let store = Store::unconnected(url);
    match store.check_schema().await {
        Err(error) if (error.is_lost_connection() || error.is_unavailable()) && url.is_server() => {
            tracing::warn!(%error, "starting without the database, from what was last known");
            Ok(store)
        }
        checked => checked.map(|()| store),
    }
}

/// Ends as soon as the database is seen to be none that this komainu can work with.
pub(super) async fn schema_misfit(store: Store) -> StoreError {
    loop {
        match store.check_schema().await {
            Ok(()) => return std::future::pending().await,
            Err(error) if error.is_lost_connection() => {}
            Err(
                error @ (StoreError::SchemaMissing | StoreError::SchemaTooOld { .. } | StoreError::SchemaTooNew { .. }),
            ) => return error,
            Err(error) => tracing::warn!(%error, "the schema cannot be checked yet"),
        }
        tokio::time::sleep(SCHEMA_LOOK).await;
    }
}

/// What speaks, and what takes answers, while the database is down, until the handles are dropped.
pub(super) async fn dark(
    config: (&Config, &WatchdogConfig),
    settings: (&WatchdogSettings, &Store),
    (published, looks): (&Published, &Looks),
) -> anyhow::Result<([AbortOnDropHandle<()>; 2], blackout::Published, LateAnswers)> {
    let channels = Channels::prepare(&config.0.channels)?;
    let (speaking, told) = blackout(config, settings, (published, looks, channels.clone())).await?;
    let (late_answers, keeping) = late_answers(config.1, settings, (published, channels)).await;
    Ok(([speaking, keeping], told, late_answers))
}

/// The task that speaks while the database is down, until the handle is dropped.
async fn blackout(
    (config, watchdog): (&Config, &WatchdogConfig),
    (settings, alerts): (&WatchdogSettings, &Store),
    (published, looks, channels): (&Published, &Looks, Channels),
) -> anyhow::Result<(AbortOnDropHandle<()>, blackout::Published)> {
    if watchdog.state_dir.is_none() && !config.channels.is_empty() {
        tracing::warn!("[watchdog] has no state_dir: what is told while the database is down dies with this process");
    }
    let settings = blackout::Settings {
        watchdog: watchdog.id.clone(),
        incarnation: settings.incarnation,
        cluster: settings.cluster.clone(),
        peers: watchdog.peers.iter().map(without_slash).collect(),
        runbook: watchdog.runbook_url(),
        limit: 3 * settings.policy.probe_interval,
        prober: Prober::new(settings.key.clone(), settings.policy.probe_timeout, &settings.credentials)?,
        store: alerts.clone(),
        routing: Arc::clone(&settings.routing),
        state: StateDir::open(watchdog.state_dir.clone()),
        channels,
        looks: looks.clone(),
    };
    let (driver, told) = blackout::Driver::new(settings, published.contact.clone(), published.report.clone()).await;
    Ok((AbortOnDropHandle::new(tokio::spawn(driver.run())), told))
}

/// What the deliverer needs; it waits while something that was told is not entered yet.
pub(super) fn outbox(
    config: &Config,
    watchdog: &WatchdogConfig,
    (settings, alerts): (&WatchdogSettings, &Store),
    (is_told_elsewhere, voice): (watch::Receiver<bool>, &Voice),
) -> anyhow::Result<Outbox> {
    Ok(Outbox {
        store: alerts.clone(),
        cluster: settings.cluster.clone(),
        me: settings.incarnation,
        routing: Arc::clone(&settings.routing),
        on_call: Arc::clone(&config.on_call),
        outlets: Channels::prepare(&config.channels)?.outlets(),
        runbook: watchdog.runbook_url(),
        answers: answer_links(config, watchdog).map(Arc::new),
        voice: voice.clone(),
        is_told_elsewhere,
    })
}

/// What takes answers that the database does not take, until the handle is dropped.
async fn late_answers(
    watchdog: &WatchdogConfig,
    (settings, alerts): (&WatchdogSettings, &Store),
    (published, channels): (&Published, Channels),
) -> (LateAnswers, AbortOnDropHandle<()>) {
    let (late, keeping) = answers::keep_late(LateSettings {
        store: alerts.clone(),
        state: StateDir::open(watchdog.state_dir.clone()),
        channels,
        cluster: settings.cluster.clone(),
        runbook: watchdog.runbook_url(),
        view: published.view.clone(),
        contact: published.contact.clone(),
    })
    .await;
    (late, AbortOnDropHandle::new(tokio::spawn(keeping)))
}

fn answer_links(config: &Config, watchdog: &WatchdogConfig) -> Option<AnswerLinks> {
    let channels = config.channels.iter().filter(|channel| channel.answers).map(|channel| channel.name.clone());
    Some(AnswerLinks::of(config.cluster.key.as_ref()?, watchdog.public_base(), channels.collect()))
}

/// The task that tells those who subscribed to public pages, and what the surface needs to take subscriptions.
pub(super) fn subscriptions(
    (config, watchdog): (&Config, &WatchdogConfig),
    (settings, published): (&WatchdogSettings, &Published),
    stopping: CancellationToken,
) -> anyhow::Result<(JoinHandle<()>, Subscriptions)> {
    let pages = &config.pages;
    let subscriptions = Subscriptions::new(pages.mail.is_some(), config.checks.guard.clone(), pages.private_webhooks);
    let postman =
        |(name, config): &(String, mail::Config)| Ok::<_, ChannelError>((name.clone(), Postman::new(config.clone())?));
    let (me, view) = (settings.identity.watchdog.clone(), published.view.clone());
    let sender = Sender {
        store: settings.store.share(Share::Subscribers),
        me: settings.incarnation,
        key: settings.key.clone(),
        base: Arc::from(watchdog.public_base()),
        mail: pages.mail.as_ref().map(postman).transpose().context("[pages] mail")?,
        mails_per_second: pages.mails_per_second,
        clients: Clients::new(&subscriptions).context("cannot prepare HTTP for webhooks of subscribers")?,
        subscriptions: subscriptions.clone(),
        living: Box::new(move || view.borrow().rota(&me).living()),
    };
    Ok((tokio::spawn(subscriptions::run(sender, stopping)), subscriptions))
}

/// Looks for monitors that are down, asks for second opinions on them, looks for certificates that expire, ids that end, what was put aside, what is
/// gone, steps of the clock and the server, until the handles are dropped. Publishes how far the ids are used up, and how well second opinions go.
pub(super) fn alerts(
    (store, settings): (&Store, &WatchdogSettings),
    (wishes, looks): (&Arc<SecondOpinion>, &Looks),
    (voice, view): (&Voice, &watch::Receiver<Arc<View>>),
    chores: &Chores,
) -> ([AbortOnDropHandle<()>; 10], watch::Receiver<Arc<Ids>>, watch::Receiver<Sampling>) {
    let routing = &settings.routing;
    let (me, view) = (settings.identity.watchdog.clone(), view.clone());
    let rota = move || view.borrow().rota(&me);
    let told_by = (Arc::clone(routing), Arc::clone(wishes));
    let monitors = alerts::monitors::run(store.clone(), told_by, voice.clone(), rota);
    let (published, sampling) = watch::channel(Sampling::default());
    let asking = alerts::opinions::Settings {
        store: store.clone(),
        routing: Arc::clone(routing),
        wishes: Arc::clone(wishes),
        me: settings.incarnation,
        looks: looks.clone(),
        chores: chores.clone(),
    };
    let opinions = tokio::spawn(alerts::opinions::run(asking, published));
    let certificates = alerts::certificates::run(store.clone(), Arc::clone(routing), chores.clone());
    let (seen, ids) = watch::channel(Arc::default());
    let capacity = tokio::spawn(alerts::capacity::run(store.clone(), Arc::clone(routing), chores.clone(), seen));
    let leftover = tokio::spawn(alerts::leftover::run(store.clone(), Arc::clone(routing), chores.clone()));
    let own = (settings.identity.watchdog.clone(), Arc::clone(&settings.credentials));
    let own = tokio::spawn(alerts::own_certificate::run(store.clone(), Arc::clone(routing), chores.clone(), own));
    let aside = tokio::spawn(alerts::aside::run(store.clone(), Arc::clone(routing), chores.clone()));
    let steps = tokio::spawn(steps::run(store.clone(), chores.clone()));
    let (monitors, certificates) = (tokio::spawn(monitors), tokio::spawn(certificates));
    let server = tokio::spawn(server_watch::run(store.clone()));
    let servers = tokio::spawn(alerts::servers::run(store.clone(), Arc::clone(routing), chores.clone()));
    let tasks = [monitors, opinions, certificates, capacity, leftover, aside, steps, own, server, servers];
    (tasks.map(AbortOnDropHandle::new), ids, sampling)
}

/// Pings while watching happens, until the handle is dropped.
pub(super) fn deadman(
    config: &Config,
    settings: &WatchdogSettings,
    (published, voice): (&Published, &Voice),
) -> Option<AbortOnDropHandle<()>> {
    let deadman = config.deadman.as_ref()?;
    let url = deadman.url.reveal().clone();
    let deadman = Deadman { url, interval: deadman.interval, fresh_for: 3 * settings.policy.probe_interval };
    Some(AbortOnDropHandle::new(tokio::spawn(deadman::run(deadman, published.view.clone(), voice.clone()))))
}

/// What takes pushes and marks who is late.
pub(super) fn heartbeats(
    config: &Config,
    watchdog: &WatchdogConfig,
    settings: &WatchdogSettings,
    (published, voice): (&Published, &Voice),
) -> anyhow::Result<Heartbeats> {
    let settings = heartbeat::Settings {
        store: settings.store.clone(),
        key: settings.key.clone(),
        fixed_secrets: fixed_secrets(config),
        routing: Routing::clone(&settings.routing),
        watchdog: watchdog.id.clone(),
        peers: watchdog.peers.iter().map(without_slash).collect(),
        voice: voice.clone(),
        view: published.view.clone(),
        credentials: Arc::clone(&settings.credentials),
    };
    Heartbeats::start(settings).context("cannot set up calls to peers")
}

/// What sees to it that nothing is forgotten silently, keeps what the next process has to know, and follows the files of
/// certificates; until the handles are dropped.
pub(super) fn beside(
    (settings, alerts): (&WatchdogSettings, &Store),
    (heartbeats, orders): (&Heartbeats, mpsc::Receiver<lost_tail::Order>),
    (state, published): (StateDir, &Published),
) -> [AbortOnDropHandle<()>; 3] {
    let salvage = Salvage {
        store: alerts.clone(),
        watchdog: settings.identity.watchdog.clone(),
        routing: Arc::clone(&settings.routing),
        heartbeats: heartbeats.clone(),
    };
    let remembering = remember(state, published.remembrance.clone());
    let certificates = Arc::clone(&settings.credentials).watch();
    [tokio::spawn(salvage.run(orders)), tokio::spawn(remembering), tokio::spawn(certificates)]
        .map(AbortOnDropHandle::new)
}

async fn remember(state: StateDir, mut remembrance: watch::Receiver<Remembrance>) {
    while remembrance.changed().await.is_ok() {
        let answered = *remembrance.borrow_and_update();
        state.keep_answered(&answered).await;
        tokio::time::sleep(REMEMBERED_EACH).await;
    }
}

/// For senders that cannot change theirs.
fn fixed_secrets(config: &Config) -> BTreeMap<String, String> {
    config.heartbeat_secrets.iter().map(|(name, secret)| (name.clone(), secret.reveal().to_owned())).collect()
}

/// The watchdog's own eyes, open until the handle is dropped.
pub(super) async fn looks(
    (config, watchdog): (&Config, &WatchdogConfig),
    (settings, store): (&WatchdogSettings, &Store),
    (published, chores): (&Published, &Chores),
) -> anyhow::Result<(Looks, AbortOnDropHandle<()>)> {
    let identity = Identity {
        watchdog: settings.identity.watchdog.clone(),
        incarnation: settings.incarnation,
        zone: settings.identity.zone.clone(),
        canaries: settings.canaries.clone(),
    };
    let settings = looks::Settings {
        identity,
        checks: config.checks.clone(),
        store: store.clone(),
        routing: Arc::clone(&settings.routing),
        key: settings.key.clone(),
        credentials: Arc::clone(&settings.credentials),
        prober: Prober::new(settings.key.clone(), settings.policy.probe_timeout, &settings.credentials)?,
        evaluator: Program::default(),
        contact: published.contact.clone(),
        chores: chores.clone(),
        state: StateDir::open(watchdog.state_dir.clone()),
    };
    let known = LastKnown::read(&settings.state).await;
    Looks::start(settings, known).context("cannot set up looks at checks")
}
