//! What a node answers: its health, a hint that its assignment changed, and pushes to the push monitors it owns.
//!
//! Health says whether the node can do its work (the database answers, the loop does not lag), not whether its
//! monitors are up. A hint carries nothing: the node looks into the database and decides by what stands there. One with
//! `?reread=7` is answered once the row of monitor 7 was read, and says when.

mod pushes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use komainu_watchdogs::ids::{Generation, Incarnation, MonitorId, NodeId};
use komainu_watchdogs::tenure::Input;
use komainu_watchdogs::time::Mono;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::link::{Identity, SharedTenure};
use super::pulse::Pulse;
use super::runner::{Command, Gauges};
use super::slices::Reread;
use crate::keys::NodeKey;
use crate::store::{Store, StoreError, TenureConnection};
use crate::surface::{UNCERTIFIED, Uncertified};
use crate::{clock, final_slash, signature};

/// How long the database may take to answer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer about the database is good for so long: whoever asks often does not make the node ask often.
const CACHED: Duration = Duration::from_secs(1);

/// A loop that lags by more does not run its monitors in time.
const LAG_MOST: Duration = Duration::from_secs(2);

/// In the query of a hint whose sender waits until a monitor's row was read. It is not part of what is signed: it does no
/// harm.
pub(crate) const REREAD: &str = "reread";

/// Whoever waits longer does better to go by the time that a slice takes at most.
const REREAD_LIMIT: Duration = Duration::from_secs(2);

/// A hint has no body to speak of.
const BODY_MOST: usize = 1_024 * 1_024;

/// What the handlers share.
pub struct Served {
    /// The node that answers.
    pub identity: Identity,
    /// Signs the hints.
    pub key: NodeKey,
    /// Says what was applied.
    pub tenure: SharedTenure,
    /// Says how the loop fares.
    pub pulse: Arc<Pulse>,
    /// Says what is held.
    pub gauges: Arc<Gauges>,
    /// Says whether the database answers.
    pub database: DatabaseProbe,
    /// Hears of hints.
    pub inputs: mpsc::UnboundedSender<Input>,
    /// Hears of pushes.
    pub runner: mpsc::UnboundedSender<Command>,
    /// Reads all rows at once.
    pub rereads: mpsc::UnboundedSender<Reread>,
}

/// Every route of a node.
pub fn router(served: Arc<Served>) -> Router {
    let routes = Router::new()
        .route("/api/v1/health", get(health))
        .route("/api/v1/reconcile-monitors", post(reconcile))
        .route("/api/push/{token}", any(pushes::push))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_MOST))
        .with_state(served);
    final_slash::ignored(routes)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    node_id: NodeId,
    incarnation: Incarnation,
    running: usize,
    generation: Option<Generation>,
    lag_ms: u64,
    database: bool,
    version: &'static str,
}

async fn health(State(served): State<Arc<Served>>) -> (StatusCode, Json<Health>) {
    let database = served.database.answers(&served.identity).await;
    let lag = served.pulse.lag();
    let is_healthy = database && lag < LAG_MOST;
    let health = Health {
        status: if is_healthy { "ok" } else { "down" },
        node_id: served.identity.node.clone(),
        incarnation: served.identity.incarnation,
        running: served.gauges.held.load(Ordering::Relaxed),
        generation: served.tenure.lock().applied().map(|stamp| stamp.generation),
        lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
        database,
        version: env!("CARGO_PKG_VERSION"),
    };
    (if is_healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(health))
}

async fn reconcile(
    State(served): State<Arc<Served>>,
    method: Method,
    uri: Uri,
    (uncertified, headers): (Option<Extension<Uncertified>>, HeaderMap),
    body: Bytes,
) -> Response {
    if uncertified.is_some() {
        return problem(StatusCode::FORBIDDEN, UNCERTIFIED);
    }
    let signed = headers.get(signature::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = served.key.as_bytes();
    match signature::verify(key, signed, clock::wall(), method.as_str(), uri.path(), &body) {
        Ok(()) => {
            let _ = served.inputs.send(Input::Hint);
            let reread_ms = match reread_of(&uri) {
                Some(monitor) => reread(&served, monitor).await,
                None => None,
            };
            (StatusCode::ACCEPTED, Json(json!({ "status": "ok", "reread_ms": reread_ms }))).into_response()
        }
        Err(error) => problem(StatusCode::FORBIDDEN, &error.to_string()),
    }
}

fn reread_of(uri: &Uri) -> Option<MonitorId> {
    let id = uri.query()?.strip_prefix(REREAD)?.strip_prefix('=')?;
    id.parse().ok().map(MonitorId)
}

/// When the row was compared; `None`: not in time, or there is no lease.
async fn reread(served: &Served, monitor: MonitorId) -> Option<i64> {
    let (told, telling) = oneshot::channel();
    served.rereads.send(Reread { monitor, told }).ok()?;
    tokio::time::timeout(REREAD_LIMIT, telling).await.ok()?.ok().map(|at| at.0)
}

async fn unknown(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, &format!("a node has no {}", uri.path()))
}

/// An answer that says what is wrong, as RFC 9457 has it.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = (status, Json(body)).into_response();
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Asks the database on a connection of its own, so that neither a starved pool nor a slow statement is mistaken for a
/// dead one.
pub struct DatabaseProbe {
    store: Store,
    state: Mutex<ProbeState>,
}

#[derive(Default)]
struct ProbeState {
    connection: Option<TenureConnection>,
    /// A far database takes longer to connect to than whoever asks has time.
    connecting: Option<JoinHandle<Result<TenureConnection, StoreError>>>,
    last: Option<(Mono, bool)>,
}

impl DatabaseProbe {
    /// Not connected yet.
    pub fn new(store: Store) -> Self {
        Self { store, state: Mutex::default() }
    }

    async fn answers(&self, identity: &Identity) -> bool {
        let mut state = self.state.lock().await;
        if let Some((asked_at, answers)) = state.last
            && clock::now().since(asked_at) < CACHED
        {
            return answers;
        }
        let asked = tokio::time::timeout(DATABASE_TIMEOUT, self.ask(&mut state, identity)).await;
        let answers = asked.unwrap_or(false);
        state.last = Some((clock::now(), answers));
        answers
    }

    async fn ask(&self, state: &mut ProbeState, identity: &Identity) -> bool {
        let begin = || {
            let (identity, store) = (identity.clone(), self.store.clone());
            tokio::spawn(async move { identity.connect(&store).await })
        };
        let mut connection = if let Some(connection) = state.connection.take() {
            connection
        } else {
            let connected = state.connecting.get_or_insert_with(begin).await;
            state.connecting = None;
            let Ok(Ok(connection)) = connected else { return false };
            connection
        };
        let answers = connection.read_row().await.is_ok();
        state.connection = answers.then_some(connection);
        answers
    }
}

#[cfg(test)]
mod tests;
