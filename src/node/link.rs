//! The node's tie to the database: drives its [`Tenure`] on a connection of its own, and decides nothing.
//!
//! Requests are made one at a time, each with a time limit. A connection that failed or did not answer in time is
//! dropped, the request reported as failed, and the next request makes a new one: at most every half second, so that a
//! database that is away is not hammered and no queue of attempts delays the first renewal after it is back. Only the
//! assignments, which may be tens of thousands of rows, are read beside that, on a second connection: no renewal waits
//! for them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId, Stamp};
use komainu_watchdogs::tenure::{ExitReason, Input, Output, Request, Tenure};
use komainu_watchdogs::time::Mono;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::runner::{Command, Gauges};
use super::storage::Storage;
use super::trace::{Event, Trace};
use crate::clock;
use crate::clock::database::DatabaseClock;
use crate::run::spec::KINDS;
use crate::store::monitors::MonitorSpec;
use crate::store::{NodeProcess, Store, StoreError, TenureConnection};

/// How long one request may take on a connection that there is: two of them fit into what a lease leaves after a renewal was
/// due.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How long reading all assignments may take.
const ASSIGNMENTS_TIMEOUT: Duration = Duration::from_secs(20);

/// Pause after a connection that could not be made or was lost.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// The tenure, asked by whoever starts a run or stores a beat.
#[derive(Clone)]
pub struct SharedTenure(Arc<Mutex<Tenure>>);

impl SharedTenure {
    /// A tenure that several tasks look at.
    pub fn new(tenure: Tenure) -> Self {
        Self(Arc::new(Mutex::new(tenure)))
    }

    /// Never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Tenure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who this process is, towards the database.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its configured name.
    pub node: NodeId,
    /// Drawn at start.
    pub incarnation: Incarnation,
    /// Where it runs.
    pub hostname: String,
    /// Where its server is reached.
    pub address: String,
    /// The database's time: its connections read it, beats are stamped with it.
    pub clock: DatabaseClock,
}

impl Identity {
    /// A connection of its own.
    pub async fn connect(&self, store: &Store) -> Result<TenureConnection, StoreError> {
        let process = NodeProcess {
            node: self.node.clone(),
            incarnation: self.incarnation,
            hostname: self.hostname.clone(),
            address: self.address.clone(),
            kinds: KINDS.iter().map(|&kind| kind.to_owned()).collect(),
        };
        Ok(store.tenure(process).await?.with_clock(self.clock.clone()))
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the database is away; the next attempt follows shortly")]
    Away,
}

/// Everything the link works with.
pub struct Parts {
    /// Driven here, and asked by others.
    pub tenure: SharedTenure,
    /// Who this process is.
    pub identity: Identity,
    /// Where connections come from.
    pub store: Store,
    /// Starts and stops monitors.
    pub runner: mpsc::UnboundedSender<Command>,
    /// Forgets the beats of stopped ones.
    pub storage: Storage,
    /// Writes down what is acknowledged.
    pub trace: Arc<Trace>,
    /// Has the number that goes with each renewal.
    pub gauges: Arc<Gauges>,
    /// For inputs that come back from tasks of the link itself.
    pub inputs: mpsc::UnboundedSender<Input>,
}

/// The driver of one tenure.
pub struct Link {
    parts: Parts,
    inputs: mpsc::UnboundedReceiver<Input>,
    connection: Option<TenureConnection>,
    /// One that failed, or did not answer in time, and has this process' lock: kept until a renewal has said that there is none any more.
    parked: Option<TenureConnection>,
    connect_not_before: Mono,
    is_failing: bool,
    assignments: Arc<Assignments>,
    readings: JoinSet<Result<(Stamp, Vec<MonitorSpec>), RequestError>>,
    /// Rows of monitors that may have to be started: what the last reading of the assignments showed beyond `held`.
    come: BTreeMap<MonitorId, MonitorSpec>,
    held: BTreeSet<MonitorId>,
}

impl Link {
    /// Not connected yet.
    pub fn new(parts: Parts, inputs: mpsc::UnboundedReceiver<Input>) -> Self {
        Self {
            parts,
            inputs,
            connection: None,
            parked: None,
            connect_not_before: Mono::default(),
            is_failing: false,
            assignments: Arc::default(),
            readings: JoinSet::new(),
            come: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    /// Drives the tenure to its end.
    pub async fn drive(mut self) -> ExitReason {
        loop {
            while let Some(output) = self.next_output() {
                if let Some(reason) = self.perform(output).await {
                    return reason;
                }
                // Far from the database the next request is always due: what came meanwhile is not to wait for a pause.
                while let Some(input) = self.come() {
                    self.handle(input);
                }
            }
            let wake_at = self.parts.tenure.lock().poll_timeout();
            let input = tokio::select! {
                Some(input) = self.inputs.recv() => input,
                Some(read) = self.readings.join_next(), if !self.readings.is_empty() => self.take_assignments(read),
                () = clock::sleep_until(wake_at) => Input::Tick,
            };
            self.handle(input);
        }
    }

    /// What waits to be taken in.
    fn come(&mut self) -> Option<Input> {
        if let Ok(input) = self.inputs.try_recv() {
            return Some(input);
        }
        let read = self.readings.try_join_next()?;
        Some(self.take_assignments(read))
    }

    fn next_output(&self) -> Option<Output> {
        self.parts.tenure.lock().poll_output()
    }

    fn handle(&self, input: Input) {
        self.parts.tenure.lock().handle(clock::now(), input);
    }

    async fn perform(&mut self, output: Output) -> Option<ExitReason> {
        let input = match output {
            Output::ReadRow => self.ask(Request::ReadRow, async |c, _| Ok(Input::Row(c.read_row().await?))).await,
            Output::Register { seen, lease_seq } => {
                self.ask(Request::Register, async move |c, began_at| {
                    Ok(Input::Registered { began_at, won: c.register(seen, lease_seq).await? })
                })
                .await
            }
            Output::Renew { applied } => {
                let foreign_beats = self.parts.gauges.foreign_beats.load(Ordering::Relaxed);
                self.ask(Request::Renew, async move |c, began_at| {
                    Ok(Input::Renewed { began_at, ours: c.renew(applied, foreign_beats).await? })
                })
                .await
            }
            Output::ReadStamp { applied } => {
                self.ask(Request::ReadStamp, async move |c, began_at| {
                    let (stamp, applied_is_known) = c.read_stamp(applied).await?;
                    Ok(Input::StampRead { began_at, stamp, applied_is_known })
                })
                .await
            }
            Output::ReadAssignments => {
                let reading = Arc::clone(&self.assignments);
                self.readings.spawn(reading.read(self.parts.identity.clone(), self.parts.store.clone()));
                return None;
            }
            Output::Acknowledge(stamp) => self.acknowledge(stamp).await,
            Output::Release => {
                self.ask(Request::Release, async |c, _| c.release().await.map(|_| Input::Released)).await
            }
            Output::Stop(monitors) => {
                self.stop(monitors);
                return None;
            }
            Output::Start(monitors) => {
                self.start(&monitors);
                return None;
            }
            Output::Exit(reason) => return Some(reason),
        };
        self.handle(input);
        None
    }

    fn take_assignments(&mut self, read: Result<Result<(Stamp, Vec<MonitorSpec>), RequestError>, JoinError>) -> Input {
        match read {
            Ok(Ok((stamp, rows))) => {
                let monitors = rows.iter().map(|row| row.id).collect();
                let come = rows.into_iter().filter(|row| !self.held.contains(&row.id));
                self.come = come.map(|row| (row.id, row)).collect();
                return Input::Assigned { stamp, monitors };
            }
            Ok(Err(error)) => tracing::warn!(%error, "the assignments could not be read"),
            Err(error) => tracing::error!(%error, "reading the assignments ended without a result"),
        }
        Input::Failed(Request::ReadAssignments)
    }

    async fn acknowledge(&mut self, stamp: Stamp) -> Input {
        let input = self
            .ask(Request::Acknowledge, async move |c, began_at| {
                Ok(Input::Acknowledged { began_at, ours: c.acknowledge(stamp).await? })
            })
            .await;
        if matches!(input, Input::Acknowledged { ours: true, .. }) {
            self.parts.trace.acknowledged(stamp);
        }
        input
    }

    /// Makes one request, on a new connection if there is none.
    async fn ask<F>(&mut self, request: Request, act: F) -> Input
    where
        F: AsyncFnOnce(&mut TenureConnection, Mono) -> Result<Input, StoreError>,
    {
        match self.try_ask(act).await {
            Ok(input) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the database answers again");
                }
                input
            }
            Err(error) => {
                if !matches!(error, RequestError::Away) {
                    self.connection = None;
                    self.connect_not_before = clock::now() + RECONNECT_PAUSE;
                }
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, ?request, "the database does not answer; runs go on while the lease holds");
                }
                Input::Failed(request)
            }
        }
    }

    async fn try_ask<F>(&mut self, act: F) -> Result<Input, RequestError>
    where
        F: AsyncFnOnce(&mut TenureConnection, Mono) -> Result<Input, StoreError>,
    {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        // The lease counts from before the request was sent.
        let began_at = clock::now();
        match within(REQUEST_TIMEOUT, act(&mut connection, began_at)).await {
            Ok(input) => {
                if matches!(input, Input::Renewed { ours: true, .. }) {
                    self.parked = None;
                }
                self.connection = Some(connection);
                Ok(input)
            }
            // Asked afterwards: the request itself may have taken the lock.
            Err(error) if !connection.has_lock() => Err(error),
            Err(error) => {
                let is_lost = connection.is_broken() && !matches!(error, RequestError::Timeout(_));
                if is_lost {
                    self.handle(Input::LockLost);
                } else {
                    // Whoever closes it frees the lock, and may be taken for killed.
                    self.parked = Some(connection);
                }
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<TenureConnection, RequestError> {
        if clock::now() < self.connect_not_before {
            return Err(RequestError::Away);
        }
        // It has a limit of its own, by how far away the database is.
        Ok(self.parts.identity.connect(&self.parts.store).await?)
    }

    /// Orders the stop, and tells the tenure once nothing of these monitors can be stored any more.
    fn stop(&mut self, monitors: BTreeSet<MonitorId>) {
        self.held.retain(|monitor| !monitors.contains(monitor));
        let runner = self.parts.runner.clone();
        let storage = self.parts.storage.clone();
        let trace = Arc::clone(&self.parts.trace);
        let inputs = self.parts.inputs.clone();
        tokio::spawn(async move {
            let (stopped, is_stopped) = oneshot::channel();
            if runner.send(Command::Stop(monitors.clone(), stopped)).is_ok() {
                let _ = is_stopped.await;
            }
            storage.forget(&monitors).await;
            for &monitor in &monitors {
                trace.monitor(Event::Stop, monitor);
            }
            let _ = inputs.send(Input::Stopped);
        });
    }

    fn start(&mut self, monitors: &BTreeSet<MonitorId>) {
        let specs: Vec<_> = monitors.iter().filter_map(|monitor| self.come.remove(monitor)).collect();
        if specs.len() < monitors.len() {
            tracing::error!(missing = monitors.len() - specs.len(), "monitors to start were not among those read");
        }
        self.held.extend(specs.iter().map(|spec| spec.id));
        let _ = self.parts.runner.send(Command::Start(specs));
    }
}

/// The connection on which assignments are read.
#[derive(Default)]
struct Assignments {
    connection: tokio::sync::Mutex<Option<TenureConnection>>,
}

impl Assignments {
    async fn read(
        self: Arc<Self>,
        identity: Identity,
        store: Store,
    ) -> Result<(Stamp, Vec<MonitorSpec>), RequestError> {
        let mut slot = self.connection.lock().await;
        let kept = slot.take();
        let read = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => identity.connect(&store).await?,
            };
            Ok::<_, StoreError>((connection.read_assignments().await?, connection))
        };
        let (read, connection) = within(ASSIGNMENTS_TIMEOUT, read).await?;
        *slot = Some(connection);
        Ok(read)
    }
}

async fn within<T, E>(limit: Duration, act: impl Future<Output = Result<T, E>>) -> Result<T, RequestError>
where
    RequestError: From<E>,
{
    match tokio::time::timeout(limit, act).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(RequestError::Timeout(limit)),
    }
}
