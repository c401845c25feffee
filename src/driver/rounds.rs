//! The connection of the rounds, on which leases are watched: one order at a time, and nothing else.
//!
//! A connection that failed once is thrown away; the order is answered with the error, and the next one connects anew.
//! Nothing is tried twice here: the core orders again when its time comes.

use std::future::Future;
use std::time::Duration;

use komainu_notifiers::with_causes;
use komainu_watchdogs::io::{Input, Write};
use komainu_watchdogs::time::Mono;
use tokio::sync::mpsc;

use super::Event;
use crate::clock;
use crate::store::{Store, StoreError, Watch, WatchdogIdentity};

/// Longer than the limit of a statement, so that the server's own error comes first; and long enough to connect to a
/// database that is a second away.
const LIMIT: Duration = Duration::from_secs(10);

/// A row that bears another process's incarnation may be a predecessor's, whose end is being watched.
const ID_IN_USE_PATIENCE: Duration = Duration::from_secs(20);

/// What the core wants from this connection.
#[derive(Debug)]
pub(super) enum Order {
    Read,
    Write(Box<Write>),
}

struct RoundsConnection {
    store: Store,
    identity: WatchdogIdentity,
    watch: Option<Watch>,
    in_use_since: Option<Mono>,
}

/// Works until nobody orders any more.
pub(super) async fn run(
    store: Store,
    identity: WatchdogIdentity,
    mut orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut rounds = RoundsConnection { store, identity, watch: None, in_use_since: None };
    while let Some(order) = orders.recv().await {
        // Nobody listens any more while the process stops.
        let _ = events.send(rounds.perform(order).await);
    }
}

impl RoundsConnection {
    async fn perform(&mut self, order: Order) -> Event {
        match order {
            Order::Read => {
                let read = self.with(async |watch| watch.read_round().await).await;
                let input =
                    read.map_or_else(|error| Input::RoundFailed(log(&error)), |round| Input::Round(Box::new(round)));
                Event::Input(input)
            }
            Order::Write(write) => self.write(&write).await,
        }
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

pub(super) fn log(error: &StoreError) -> String {
    let text = with_causes(error);
    if error.is_contention() {
        tracing::warn!(error = text, "a write met others at each of its tries");
    } else {
        tracing::warn!(error = text, "database access failed");
    }
    text
}
