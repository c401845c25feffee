//! A node whose database is away when it starts: waits, says so, and stops when it is asked to.
//!
//! Waits only for a server that cannot be reached. What waiting does not mend (a wrong password, a missing grant, tables of
//! another version, a node that nobody entered) is the caller's to report, and ends the process.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::time::Mono;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use crate::store::StoreError;
use crate::surface::Entrance;
use crate::{clock, surface};

/// Before the second attempt; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A database that is back is found within this, also after a night.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The same reason is written down again this often.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Tries until it succeeds, waiting helps no more, or `shutdown`: then `None`. Meanwhile whoever asks at `listen` hears what
/// is waited for.
pub async fn until_reached<T>(
    (node, listen, entrance): (&NodeId, SocketAddr, &Entrance),
    shutdown: &CancellationToken,
    attempt: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<Option<T>, WaitError> {
    let mut waiting: Option<Waiting> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(tried) = unless(shutdown, attempt()).await else { return Ok(None) };
        match tried {
            Ok(reached) => {
                if let Some(waiting) = waiting {
                    waiting.end().await;
                }
                return Ok(Some(reached));
            }
            Err(error) if is_mended_by_waiting(&error) => match &mut waiting {
                Some(waiting) => waiting.say(&error),
                None => waiting = Some(Waiting::begin((node, listen, entrance), &error)?),
            },
            Err(error) => return Err(error.into()),
        }
        if unless(shutdown, tokio::time::sleep(pause)).await.is_none() {
            return Ok(None);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_mended_by_waiting(error: &StoreError) -> bool {
    error.is_lost_connection() || error.is_contention() || error.is_unavailable()
}

/// Why a node does not wait any longer.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Nothing that waiting mends.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its server cannot listen.
    #[error(transparent)]
    Node(#[from] NodeError),
}

async fn unless<T>(shutdown: &CancellationToken, act: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = shutdown.cancelled() => None,
        done = act => Some(done),
    }
}

/// What is said meanwhile, in the log and to whoever asks.
struct Waiting {
    since: Mono,
    said: (String, Mono),
    reason: watch::Sender<String>,
    ended: CancellationToken,
    server: JoinHandle<()>,
}

impl Waiting {
    fn begin(
        (node, listen, entrance): (&NodeId, SocketAddr, &Entrance),
        error: &StoreError,
    ) -> Result<Self, NodeError> {
        let listener = surface::listen(listen).map_err(|source| NodeError::Listen { listen, source })?;
        let (since, text) = (clock::now(), error.to_string());
        tracing::warn!(node.id = %node, error = text, "the node waits for its database, and runs nothing");
        let (reason, told) = watch::channel(text.clone());
        let ended = CancellationToken::new();
        let router = router(node.clone(), since, told);
        let server = tokio::spawn(surface::serve(listener, router, entrance.clone(), ended.clone()));
        Ok(Self { since, said: (text, since), reason, ended, server })
    }

    fn say(&mut self, error: &StoreError) {
        let (text, now) = (error.to_string(), clock::now());
        if text != self.said.0 || now.since(self.said.1) >= SAY_AGAIN {
            let waited_s = now.since(self.since).as_secs();
            tracing::warn!(error = text, waited_s, "the node still waits for its database");
            self.said = (text.clone(), now);
        }
        self.reason.send_replace(text);
    }

    /// The port is free again when this returns.
    async fn end(self) {
        let waited_s = clock::now().since(self.since).as_secs();
        tracing::info!(waited_s, "the database is there: the node starts");
        self.ended.cancel();
        let _ = self.server.await;
    }
}

/// Every path is answered alike: there is nothing yet that could be asked for.
fn router(node: NodeId, since: Mono, reason: watch::Receiver<String>) -> Router {
    let answer = Arc::new(move || -> Response {
        let waiting_ms = u64::try_from(clock::now().since(since).as_millis()).unwrap_or(u64::MAX);
        let body = json!({
            "status": "waiting",
            "node_id": node,
            "database": false,
            "running": 0,
            "reason": *reason.borrow(),
            "waiting_ms": waiting_ms,
            "version": env!("CARGO_PKG_VERSION"),
        });
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], Json(body)).into_response()
    });
    Router::new().fallback(move || {
        let answer = Arc::clone(&answer);
        async move { answer() }
    })
}
