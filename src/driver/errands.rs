//! Errands: what a watchdog reads and writes beside its rounds, each kind on a connection of its own, one order at a time.
//!
//! The *clerk* reads, opens and resolves incidents; the *counter* reads Kuma's tables. Neither waits for the other, and no
//! lease waits for either. A connection that failed once is thrown away; the core orders again when its time comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::ids::{NodeId, WatchdogId};
use komainu_watchdogs::io::{Alarm, Errand, Found, Input};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::sampling::Look;
use komainu_watchdogs::time::Wall;
use tokio::sync::mpsc;

use super::Event;
use super::rounds::log;
use crate::store::{Errands, Store, StoreError};

/// Some statements, each with a limit of its own at the server, and a new connection; a second away too.
const LIMIT: Duration = Duration::from_secs(20);

/// What the core wants from such a connection.
#[derive(Debug)]
pub(super) enum Order {
    Errand(Errand),
    Progress(BTreeMap<NodeId, Look>),
    Raise(Alarm),
    Resolve { key: String, last_bad_at: Wall },
}

struct Worker {
    store: Store,
    watchdog: WatchdogId,
    routing: Arc<Routing>,
    connection: Option<Errands>,
}

/// Works until nobody orders any more.
pub(super) async fn run(
    (store, watchdog, routing): (Store, WatchdogId, Arc<Routing>),
    mut orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut worker = Worker { store, watchdog, routing, connection: None };
    while let Some(order) = orders.recv().await {
        // Nobody listens any more while the process stops.
        let _ = events.send(Event::Input(worker.perform(order).await));
    }
}

impl Worker {
    async fn perform(&mut self, order: Order) -> Input {
        let text = |error: StoreError| log(&error);
        match order {
            Order::Errand(Errand::Counts) => {
                let counts = self.with(async |errands| errands.counts().await).await;
                Input::Errand(Errand::Counts, counts.map(|counts| Found::Counts(Box::new(counts))).map_err(text))
            }
            Order::Errand(Errand::Incidents) => {
                let incidents = self.with(async |errands| errands.incidents().await).await;
                Input::Errand(Errand::Incidents, incidents.map(Found::Incidents).map_err(text))
            }
            Order::Errand(Errand::Progress) => self.progress(&BTreeMap::new()).await,
            Order::Progress(looks) => self.progress(&looks).await,
            Order::Raise(alarm) => self.raise(alarm).await,
            Order::Resolve { key, last_bad_at } => {
                let resolved = self.with(async |errands| errands.resolve(&key, last_bad_at).await).await;
                if matches!(resolved, Ok(true)) {
                    tracing::info!(incident.key = key, "incident resolved");
                }
                Input::Told(key, resolved.map(|_| ()).map_err(text))
            }
        }
    }

    async fn progress(&mut self, looks: &BTreeMap<NodeId, Look>) -> Input {
        let rows = self.with(async |errands| errands.progress(looks).await).await;
        Input::Errand(Errand::Progress, rows.map(Found::Progress).map_err(|error| log(&error)))
    }

    async fn raise(&mut self, alarm: Alarm) -> Input {
        let routing = Arc::clone(&self.routing);
        let raised = self.with(async |errands| errands.raise(&alarm, &routing).await).await;
        if matches!(raised, Ok(true)) {
            tracing::warn!(
                incident.key = alarm.key,
                severity = alarm.severity.as_str(),
                votes = ?alarm.votes,
                summary = alarm.summary,
                "incident opened"
            );
        }
        Input::Told(alarm.key, raised.map(|_| ()).map_err(|error| log(&error)))
    }

    /// Performs one act within [`LIMIT`], connecting first if need be.
    async fn with<T>(&mut self, act: impl AsyncFnOnce(&mut Errands) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Self { store, watchdog, connection, .. } = self;
        let performing = async {
            if connection.is_none() {
                *connection = Some(store.errands(watchdog).await?);
            }
            act(connection.as_mut().expect("just connected")).await
        };
        let result = match tokio::time::timeout(LIMIT, performing).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::TimedOut { act: "do an errand", millis: LIMIT.as_millis() }),
        };
        if result.is_err() {
            self.connection = None;
        }
        result
    }
}
