//! The way of this process's own pages into its API: the same handlers, guards, refusals and audit trail, without a socket between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Extensions, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use komainu_watchdogs::view::View;
use serde_json::Value;
use tower::ServiceExt;

use super::auth::{self, Caller, Holding, Origin, SignedIn};
use super::{ApiError, Context, State, status};
use crate::store::Store;

/// No answer that a page shows is longer.
const MOST_BYTES: usize = 4 * 1_024 * 1_024;

/// How long somebody who signed in waits for a reading of the keys.
const KEYS_PATIENCE: Duration = Duration::from_millis(500);

/// The API, for pages.
#[derive(Clone)]
pub(crate) struct Inside {
    routes: Router,
    context: Arc<Context>,
}

/// What the API answered.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Answer {
    /// As it came.
    pub(crate) status: StatusCode,
    /// The body; `null` where there is none.
    pub(crate) body: Value,
}

impl Inside {
    pub(super) fn new(routes: Router, context: Arc<Context>) -> Self {
        Self { routes, context }
    }

    /// What the surface shows and writes to.
    pub(crate) fn state(&self) -> &State {
        &self.context.state
    }

    /// As `/status` shows it now.
    pub(crate) fn view(&self) -> View {
        status::current(&self.context)
    }

    /// Connections that give way before those of wishes do.
    pub(crate) fn reads(&self) -> &Store {
        &self.context.reads
    }

    /// The database server that is used, with its name; `None`: a file.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.context.reads.server().map(|server| server.name.clone())
    }

    /// Whose key this is. A stranger's try is counted against the address.
    pub(crate) async fn of_key(&self, key: &str, extensions: &Extensions) -> Result<Caller, ApiError> {
        let caller = auth::of_key(key, extensions, &self.context).await?;
        Ok(Caller { from: Origin::Page, ..caller })
    }

    /// Whether somebody who signed in with the key of that row is still to be let in.
    pub(crate) async fn holding(&self, key_id: i64) -> Holding {
        if !self.context.known_keys.is_fresh() {
            self.read_keys().await;
        }
        match self.context.known_keys.holding(key_id) {
            Holding::Holds(caller) => Holding::Holds(Caller { from: Origin::Page, ..caller }),
            other @ (Holding::Gone | Holding::NotAmong { .. } | Holding::NeverRead) => other,
        }
    }

    /// Counts a page that this key opens as a request of its own; `Err`: one too many, and how many seconds until another is taken.
    pub(crate) fn count(&self, caller: &Caller) -> Result<(), u64> {
        self.context.rates.count(&caller.name).map_err(|too_many| too_many.retry_after_s)
    }

    /// Waits for a reading of the keys, for a moment: whoever signed in goes on while the database is away, and a reading that takes
    /// longer is there for the next request.
    async fn read_keys(&self) {
        let context = Arc::clone(&self.context);
        let reading = self.context.known_keys.under_way(move || {
            tokio::spawn(async move {
                if let Err(error) = context.known_keys.read(&context.state.store).await {
                    tracing::debug!(%error, "the API keys are read again later");
                }
            })
        });
        let _too_late = tokio::time::timeout(KEYS_PATIENCE, reading).await;
    }

    /// Asks the API as that caller, from that address.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        address: Option<SocketAddr>,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(SignedIn(caller.clone()));
        if let Some(address) = address {
            request = request.extension(ConnectInfo(address));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let Ok(request) = request.header(header::CONTENT_TYPE, "application/json").body(body) else {
            return Answer { status: StatusCode::BAD_REQUEST, body: Value::Null };
        };
        let response = self.routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = response.status();
        let read = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let bytes = read.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }
}
