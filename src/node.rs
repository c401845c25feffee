//! The native node: runs the monitors that the cluster assigned to it, and stores their beats as Kuma does.
//!
//! This file puts the parts together and takes them apart again; each part is a file. [`link`] drives the tenure,
//! which alone decides whether anything may run here; [`runner`] runs the [`shard`] on time; [`run`] asks targets;
//! [`beat`] makes beats; [`storage`] stores them; [`slices`] notices edits; [`canary`] tells own trouble from a
//! target's; [`beginner`] begins apart what may have ended a node; [`windows`] knows which monitors are in maintenance; [`server`] answers;
//! [`waiting`] comes before all of them, where the database is away at the start.
//!
//! ```text
//!   link ── start, stop ──> runner ── run ──> target
//!    │ ^                     │  ^
//!    │ └── may run? ─────────┤  └─ last beats
//!    v                       v
//!   database <────────── storage (may store?)
//! ```

pub mod beat;
pub mod beginner;
pub mod canary;
pub mod certificates;
pub mod link;
pub mod pulse;
pub mod push;
pub mod receipts;
pub mod runner;
pub mod schedule;
pub mod server;
pub mod shard;
pub mod slices;
pub mod storage;
pub mod trace;
pub mod waiting;
pub mod windows;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use komainu_watchdogs::ids::{Incarnation, NodeId};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::tenure::{Input, Tenure};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use komainu_watchdogs::tenure::ExitReason;

pub use self::schedule::StartSpread;
pub use crate::run::spec::KINDS;

use self::beginner::Beginner;
use self::canary::{Canaries, CanaryError};
use self::certificates::{CertificateKeeper, SeenCertificates};
use self::link::{Identity, Link, SharedTenure};
use self::pulse::Pulse;
use self::runner::{Command, Gauges, Runner};
use self::server::{DatabaseProbe, Served};
use self::slices::{Reread, Slices};
use self::storage::{Database, Storage, Writer};
use self::trace::Trace;
use self::windows::WindowReader;
use crate::clock;
use crate::clock::database::DatabaseClock;
use crate::keys::NodeKey;
use crate::run::Runs;
use crate::run::http::Caller;
use crate::run::queries::Program;
use crate::store::Store;
use crate::surface::{self, Entrance, Places, Proxies};
use crate::tls::Credentials;

/// How long a node that stops waits for its last beats to be stored.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// How long it waits for its lease to be released after that: a lease that is not released ends by itself.
const RELEASE_LIMIT: Duration = Duration::from_secs(4);

/// Runs under way at once, if there are file descriptors for them. A target that swallows packets keeps a run for 48 s
/// by default, so 2,000 allow for 2,500 such monitors at 60 s; more of them wait, and the lease never does.
const RUNS_MOST: usize = 2_000;

/// Connections to a node: watchdogs, gateways, people's pushes.
const PLACES: Places = Places { most: 256, most_of_one: 128 };

/// How a node takes those who connect.
pub fn entrance(credentials: Arc<Credentials>, proxies: Proxies) -> Entrance {
    Entrance { places: PLACES, credentials, proxies }
}

/// What a node needs to know.
#[derive(Clone)]
pub struct NodeSettings {
    /// Its name: a row of the table `node`.
    pub node: NodeId,
    /// Where its server listens.
    pub listen: SocketAddr,
    /// Where others reach that server, as a URL.
    pub address: String,
    /// Signs hints to it.
    pub key: NodeKey,
    /// The database that the node works with.
    pub store: Store,
    /// The thresholds, the same for the whole cluster.
    pub policy: Policy,
    /// `tcp://host:port` or `https://…`: while none of them answers, failures are this node's own.
    pub canaries: Vec<String>,
    /// Where to write what was run when, as JSON lines; for debugging.
    pub trace_file: Option<PathBuf>,
    /// How HTTP monitors name themselves; `None`: as komainu.
    pub user_agent: Option<HeaderValue>,
    /// How monitors start that are gained together.
    pub start_spread: StartSpread,
    /// How its server takes those who connect.
    pub entrance: Entrance,
    /// How queries of monitors are evaluated.
    pub evaluator: Program,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its server cannot listen there.
    #[error("cannot listen on {listen}: {source}; change [node] listen")]
    Listen {
        /// The address, as the configuration has it.
        listen: SocketAddr,
        /// As the system says it.
        source: io::Error,
    },
    /// The trace file cannot be opened.
    #[error("cannot open the trace file {path}: {source}; change [node] trace_file")]
    OpenTrace {
        /// The path, as the configuration has it.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
    /// A canary is no address.
    #[error(transparent)]
    ReadCanaries(#[from] CanaryError),
}

/// Runs a node until `shutdown`, or until it learns that it may not be this node.
pub async fn run(settings: NodeSettings, shutdown: CancellationToken) -> Result<ExitReason, NodeError> {
    let node = Node::prepare(settings)?;
    tracing::info!(node.id = %node.identity.node, incarnation = %node.identity.incarnation, "the node starts");
    Ok(node.live(shutdown).await)
}

/// A node that can start: what may fail has been done.
struct Node {
    settings: NodeSettings,
    identity: Identity,
    listener: TcpListener,
    trace: Arc<Trace>,
    canaries: Canaries,
}

impl Node {
    fn prepare(settings: NodeSettings) -> Result<Self, NodeError> {
        let canaries = Canaries::new(&settings.canaries)?;
        let listen = settings.listen;
        let listener = surface::listen(listen).map_err(|source| NodeError::Listen { listen, source })?;
        let identity = Identity {
            node: settings.node.clone(),
            incarnation: Incarnation(rand::random()),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            address: settings.address.clone(),
            clock: DatabaseClock::default(),
        };
        let trace = Trace::open(settings.trace_file.as_deref(), identity.node.clone(), identity.incarnation)
            .map_err(|source| NodeError::OpenTrace { path: settings.trace_file.clone().unwrap_or_default(), source })?;
        Ok(Self { settings, identity, listener, trace: Arc::new(trace), canaries })
    }

    async fn live(self, shutdown: CancellationToken) -> ExitReason {
        let tenure = Tenure::new(self.settings.policy.clone(), self.identity.incarnation, clock::now());
        let tenure = SharedTenure::new(tenure);
        let storage = Storage::default();
        let gauges = Arc::new(Gauges::default());
        let (inputs, coming_inputs) = mpsc::unbounded_channel();
        let (commands, coming_commands) = mpsc::unbounded_channel();
        let (rereads, coming_rereads) = mpsc::unbounded_channel();
        let parts = link::Parts {
            tenure: tenure.clone(),
            identity: self.identity.clone(),
            store: self.settings.store.clone(),
            runner: commands.clone(),
            storage: storage.clone(),
            trace: Arc::clone(&self.trace),
            gauges: Arc::clone(&gauges),
            inputs: inputs.clone(),
        };
        let link = Link::new(parts, coming_inputs);
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        let wires = Wires {
            tenure,
            storage: storage.clone(),
            gauges,
            inputs: inputs.clone(),
            commands: commands.clone(),
            rereads,
        };
        let mut tasks = self.spawn(&wires, (coming_commands, coming_rereads), &ended);
        let reason = drive(link, shutdown, leave(commands, storage, inputs)).await;
        ended.cancel();
        while tasks.join_next().await.is_some() {}
        reason
    }

    /// Starts all parts but the link.
    fn spawn(self, wires: &Wires, (coming_commands, rereads): Coming, ended: &CancellationToken) -> JoinSet<()> {
        let pulse = Arc::new(Pulse::new(clock::now()));
        let caller = Caller::new(&self.identity.node, self.settings.user_agent.as_ref());
        let runs = Arc::new(Runs::new(caller, self.settings.evaluator.clone()));
        let database =
            Database::new(self.settings.store.clone(), self.identity.node.clone(), self.identity.incarnation);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.canaries.clone().probe(Arc::clone(runs.http()), ended.clone()));
        tasks.spawn(wires.writer(database.clone(), Arc::clone(&self.trace)).run(ended.clone()));
        tasks.spawn(wires.slices(&self, rereads).run(ended.clone()));
        let (beginner, said) = mpsc::unbounded_channel();
        let marks = database.beginnings().clone();
        tasks.spawn(Beginner { marks, runner: wires.commands.clone(), said }.run(ended.clone()));
        let (certificates, seen) = certificates::channel();
        tasks.spawn(wires.certificates(&self, seen).run(ended.clone()));
        let (teller, windows) = windows::channel();
        let reader = WindowReader { clock: self.identity.clock.clone(), store: self.settings.store.clone(), teller };
        tasks.spawn(reader.run(ended.clone()));
        let served = wires.served(&self, Arc::clone(&pulse));
        let runner = runner::Parts {
            clock: self.identity.clock.clone(),
            tenure: wires.tenure.clone(),
            runs,
            canaries: self.canaries,
            pulse,
            storage: wires.storage.clone(),
            certificates,
            beginner,
            database,
            families: self.settings.store.clone(),
            windows,
            trace: self.trace,
            gauges: Arc::clone(&wires.gauges),
            start_spread: self.settings.start_spread,
            runs_most: runs_most(),
        };
        tasks.spawn(Runner::new(runner, coming_commands).run(ended.clone()));
        tasks.spawn(serve(self.listener, served, self.settings.entrance.clone(), ended.clone()));
        let credentials = Arc::clone(&self.settings.entrance.credentials);
        tasks.spawn({
            let ended = ended.clone();
            async move { ended.run_until_cancelled(credentials.watch()).await.unwrap_or_default() }
        });
        tasks
    }
}

/// What the loop hears; who wants rows read at once.
type Coming = (mpsc::UnboundedReceiver<Command>, mpsc::UnboundedReceiver<Reread>);

/// What connects the parts.
struct Wires {
    tenure: SharedTenure,
    storage: Storage,
    gauges: Arc<Gauges>,
    inputs: mpsc::UnboundedSender<Input>,
    commands: mpsc::UnboundedSender<Command>,
    rereads: mpsc::UnboundedSender<Reread>,
}

impl Wires {
    fn writer(&self, database: Database, trace: Arc<Trace>) -> Writer<Database> {
        let tenure = self.tenure.clone();
        let commands = self.commands.clone();
        Writer {
            storage: self.storage.clone(),
            database,
            may_store: Box::new(move |monitor| tenure.lock().may_store(clock::now(), monitor).is_ok()),
            report: Box::new(move |fate| {
                let _ = commands.send(Command::Fate(fate));
            }),
            trace,
        }
    }

    fn certificates(&self, node: &Node, seen: SeenCertificates) -> CertificateKeeper {
        let tenure = self.tenure.clone();
        CertificateKeeper {
            store: node.settings.store.clone(),
            node: node.identity.node.clone(),
            incarnation: node.identity.incarnation,
            may_store: Box::new(move |monitor| tenure.lock().may_store(clock::now(), monitor).is_ok()),
            seen,
        }
    }

    fn slices(&self, node: &Node, rereads: mpsc::UnboundedReceiver<Reread>) -> Slices {
        Slices {
            identity: node.identity.clone(),
            store: node.settings.store.clone(),
            tenure: self.tenure.clone(),
            runner: self.commands.clone(),
            rereads,
            inputs: self.inputs.clone(),
        }
    }

    fn served(&self, node: &Node, pulse: Arc<Pulse>) -> Served {
        Served {
            identity: node.identity.clone(),
            key: node.settings.key.clone(),
            tenure: self.tenure.clone(),
            pulse,
            gauges: Arc::clone(&self.gauges),
            database: DatabaseProbe::new(node.settings.store.clone()),
            inputs: self.inputs.clone(),
            runner: self.commands.clone(),
            rereads: self.rereads.clone(),
        }
    }
}

/// Drives the tenure to its end; on `shutdown` it leaves first.
async fn drive(link: Link, shutdown: CancellationToken, leave: impl Future<Output = ()>) -> ExitReason {
    let mut driven = std::pin::pin!(link.drive());
    tokio::select! {
        reason = &mut driven => return reason,
        () = shutdown.cancelled() => {}
    }
    tokio::select! {
        reason = &mut driven => return reason,
        () = leave => {}
    }
    tokio::time::timeout(RELEASE_LIMIT, driven).await.unwrap_or_else(|_| {
        tracing::warn!("the lease could not be released; it ends by itself");
        ExitReason::Stopped
    })
}

/// Ends the runs, stores what may be stored, and tells the tenure to give its row back.
async fn leave(commands: mpsc::UnboundedSender<Command>, storage: Storage, inputs: mpsc::UnboundedSender<Input>) {
    let (halted, is_halted) = oneshot::channel();
    if commands.send(Command::Halt(halted)).is_ok() {
        let _ = is_halted.await;
    }
    storage.flush(FLUSH_LIMIT).await;
    let _ = inputs.send(Input::Stop);
}

async fn serve(listener: TcpListener, served: Served, entrance: Entrance, ended: CancellationToken) {
    surface::serve(listener, server::router(Arc::new(served)), entrance, ended).await;
}

/// Each run may hold two descriptors (a connection, and one more while it follows a redirect); the rest is for the
/// database, the server and the log.
fn runs_most() -> usize {
    let others = 128 + PLACES.most;
    let files = usize::try_from(surface::descriptors()).unwrap_or(usize::MAX);
    (files.saturating_sub(others) / 2).clamp(16, RUNS_MOST)
}

#[cfg(test)]
mod tests;
