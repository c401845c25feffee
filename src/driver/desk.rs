//! The desk: a watchdog's own database connection, one order at a time.
//!
//! A connection that failed once is thrown away; the order is answered with the error, and the next one connects anew.
//! Nothing is tried twice here: the core orders again when its time comes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::io::{Alarm, Input, Write};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::{Mono, Wall};
use tokio::sync::mpsc;

use super::Event;
use crate::clock;
use crate::store::{Store, StoreError, Watch, WatchdogIdentity};

/// Longer than the lock wait of our sessions (3 s), so that the server's own error comes first.
const LIMIT: Duration = Duration::from_secs(4);

/// A row that bears another process's incarnation may be a predecessor's, whose end is being watched.
const ID_IN_USE_PATIENCE: Duration = Duration::from_secs(20);

/// What the core wants from this connection.
#[derive(Debug)]
pub(super) enum Order {
    Read { with_progress: bool },
    Write(Box<Write>),
    Raise(Alarm),
    Resolve { key: String, last_bad_at: Wall },
}

struct Desk {
    store: Store,
    identity: WatchdogIdentity,
    routing: Arc<Routing>,
    watch: Option<Watch>,
    in_use_since: Option<Mono>,
}

/// Works until nobody orders any more.
pub(super) async fn run(
    (store, routing): (Store, Arc<Routing>),
    identity: WatchdogIdentity,
    mut orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut desk = Desk { store, identity, routing, watch: None, in_use_since: None };
    while let Some(order) = orders.recv().await {
        if let Some(event) = desk.perform(order).await {
            // Nobody listens any more while the process stops.
            let _ = events.send(event);
        }
    }
}

impl Desk {
    async fn perform(&mut self, order: Order) -> Option<Event> {
        let input = match order {
            Order::Read { with_progress } => {
                let read = self.with(async |watch| watch.read_round(with_progress).await).await;
                read.map_or_else(|error| Input::RoundFailed(log(&error)), |round| Input::Round(Box::new(round)))
            }
            Order::Write(write) => return Some(self.write(&write).await),
            Order::Raise(alarm) => {
                let routing = Arc::clone(&self.routing);
                let raised = self.with(async |watch| watch.raise(&alarm, &routing).await).await;
                match raised {
                    Ok(true) => tracing::warn!(
                        incident.key = alarm.key,
                        severity = alarm.severity.as_str(),
                        votes = ?alarm.votes,
                        summary = alarm.summary,
                        "incident opened"
                    ),
                    Ok(false) => {}
                    Err(error) => return Some(Event::Input(Input::DatabaseFailed(log(&error)))),
                }
                return None;
            }
            Order::Resolve { key, last_bad_at } => {
                let resolved = self.with(async |watch| watch.resolve(&key, last_bad_at).await).await;
                match resolved {
                    Ok(true) => tracing::info!(incident.key = key, "incident resolved"),
                    Ok(false) => {}
                    Err(error) => return Some(Event::Input(Input::DatabaseFailed(log(&error)))),
                }
                return None;
            }
        };
        Some(Event::Input(input))
    }

    async fn write(&mut self, write: &Write) -> Event {
        let written = self.with(async |watch| watch.write(write).await).await;
        let is_in_use = matches!(written, Err(StoreError::IdInUse { .. }));
        let since = is_in_use.then(|| self.in_use_since.unwrap_or_else(clock::now));
        self.in_use_since = since;
        match written {
            Err(error) if since.is_some_and(|since| clock::now().since(since) >= ID_IN_USE_PATIENCE) => {
                Event::IdInUse(error.to_string())
            }
            written => Event::Input(Input::Written(written.map_err(|error| log(&error)))),
        }
    }

    /// Performs one act within [`LIMIT`], connecting first if need be.
    async fn with<T>(&mut self, act: impl AsyncFnOnce(&mut Watch) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Self { store, identity, watch, .. } = self;
        let result = limited(async {
            if watch.is_none() {
                *watch = Some(store.watch(identity.clone()).await?);
            }
            act(watch.as_mut().expect("just connected")).await
        })
        .await;
        if result.as_ref().is_err_and(|error| !matches!(error, StoreError::IdInUse { .. })) {
            self.watch = None;
        }
        result
    }
}

async fn limited<T>(act: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(LIMIT, act).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::TimedOut { act: "do the round", millis: LIMIT.as_millis() }),
    }
}

fn log(error: &StoreError) -> String {
    let text = chain(error);
    tracing::warn!(error = text, "database access failed");
    text
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
