//! `/api/push/{token}`: what a push is answered, as Uptime Kuma 2.5.3 answers it.
//!
//! 200 `{"ok": true}` once its beat is in the database. 404 `{"ok": false, "msg": …}` for what Kuma refuses, and for a
//! monitor that another node owns: whoever passes pushes on tries the next one. 503 for trouble of this node, which Kuma
//! has no word for: the push did not count and may be sent again.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::oneshot;

use super::Served;
use crate::node::push::Report;
use crate::node::runner::{Command, PushAnswer, PushCall};

/// How long a push may take to be stored: two attempts, and a little.
const STORE_LIMIT: Duration = Duration::from_secs(8);

pub(super) async fn push(
    State(served): State<Arc<Served>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let report = match Report::read(&query.unwrap_or_default()) {
        Ok(report) => report,
        Err(msg) => return refused(&msg),
    };
    let stored = tokio::time::timeout(STORE_LIMIT, store(&served, token, report)).await;
    match stored.unwrap_or(Fate::NotStored) {
        Fate::Stored => Json(json!({ "ok": true })).into_response(),
        Fate::Unknown => refused("Monitor not found or not active."),
        Fate::NotStored => {
            let msg = "This node could not store the push: it may be sent again.";
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], Json(json!({ "ok": false, "msg": msg })))
                .into_response()
        }
    }
}

enum Fate {
    Stored,
    Unknown,
    NotStored,
}

async fn store(served: &Served, token: String, report: Report) -> Fate {
    let (answer, answered) = oneshot::channel();
    if served.runner.send(Command::Push(PushCall { token, report, answer })).is_err() {
        return Fate::NotStored;
    }
    match answered.await {
        Ok(PushAnswer::Taken(stored)) => stored.await.map_or(Fate::NotStored, |()| Fate::Stored),
        Ok(PushAnswer::Unknown) => Fate::Unknown,
        Ok(PushAnswer::Refused) | Err(_) => Fate::NotStored,
    }
}

fn refused(msg: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "ok": false, "msg": msg }))).into_response()
}
