//! `/alertmanager/api/v2`: silences and what is wrong, in the words of Alertmanager's API, so that `amtool` and what else speaks it works
//! with an API key. Its contract is Alertmanager's (`api/v2/openapi.yaml`); an incident is an alert whose `alertname` is its key.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::extract::{Path, RawQuery, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use komainu_watchdogs::time::Wall;
use serde_json::{Value, json};

use super::auth::{Reader, Writer};
use super::problem::ApiError;
use super::{Context, Ctx};
use crate::clock;
use crate::store::silences::alerts::{self, Alerts};
use crate::store::silences::{self, Made};

mod asked;
mod shown;

use self::asked::{AlertFilter, Posted, filters};
use self::shown::Shown;

/// A silence is some hundred bytes.
const LIMIT: usize = 64 * 1024;

/// Since when this process answers.
static BEGAN: LazyLock<Wall> = LazyLock::new(clock::wall);

pub(super) fn routes() -> Router<Arc<Context>> {
    LazyLock::force(&BEGAN);
    let paths = Router::new()
        .route("/status", get(status))
        .route("/receivers", get(receivers))
        .route("/silences", get(list).post(put))
        .route("/silence/{id}", get(show).delete(expire))
        .route("/alerts", get(list_alerts).post(refuse_alerts))
        .route("/alerts/groups", get(groups));
    Router::new().nest("/alertmanager/api/v2", paths).route("/alertmanager/-/healthy", get(async || "OK"))
}

/// Why not: Alertmanager's clients read a text where it names a fault of theirs.
enum Refused {
    Fault(String),
    NoSuch,
    Other(ApiError),
}

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Fault(why) => (StatusCode::BAD_REQUEST, Json(why)).into_response(),
            Self::NoSuch => StatusCode::NOT_FOUND.into_response(),
            Self::Other(error) => error.into_response(),
        }
    }
}

async fn status(_: Reader, context: Ctx) -> Json<Value> {
    let state = &context.state;
    let view = Arc::clone(&state.view.borrow());
    let peers: Vec<Value> = view
        .watchdogs
        .iter()
        .map(|watchdog| json!({"name": watchdog.watchdog_id, "address": watchdog.advertise}))
        .collect();
    Json(shown::status(&state.cluster, (&peers, &state.telling.routing.channels), *BEGAN))
}

async fn receivers(_: Reader, context: Ctx) -> Json<Vec<Value>> {
    Json(context.state.telling.routing.channels.iter().map(|name| json!({"name": name})).collect())
}

async fn list(_: Reader, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Vec<Value>>, Refused> {
    let filters = filters(query.as_deref()).map_err(Refused::Fault)?;
    let (found, now) = alerts::all_silences(&context.reads).await?;
    let fits = found.iter().filter(|silence| asked::fits(silence, &filters));
    Ok(Json(fits.map(|silence| shown::silence(silence, now)).collect()))
}

async fn show(_: Reader, context: Ctx, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let found = silences::get(&context.reads, &id).await?.ok_or(Refused::NoSuch)?;
    Ok(Json(shown::silence(&found, silences::now(&context.reads).await?)))
}

/// Makes one. With the id of another it takes that one's place: the new one stands before the other ends.
async fn put(Writer(caller): Writer, context: Ctx, request: Request) -> Result<Json<Value>, Refused> {
    let store = &context.state.store;
    let bytes = context.budgets.keyed.read(request.into_body(), LIMIT).await?;
    let posted: Posted = serde_json::from_slice(&bytes).map_err(|error| Refused::Fault(error.to_string()))?;
    let (before, new) = posted.read(silences::now(store).await?).map_err(Refused::Fault)?;
    if let Some(id) = &before {
        silences::get(store, id).await?.ok_or(Refused::NoSuch)?;
    }
    match silences::create(store, &new, &caller.who()).await? {
        Made::TooMany => Err(Refused::Fault("there are too many silences already that are not over".to_owned())),
        Made::Silence(silence) => {
            if let Some(id) = before {
                silences::expire(store, &id, &caller.who()).await?;
            }
            Ok(Json(json!({"silenceID": silence.uid})))
        }
    }
}

async fn expire(Writer(caller): Writer, context: Ctx, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    silences::expire(&context.state.store, &id, &caller.who()).await?.ok_or(Refused::NoSuch)?;
    Ok(StatusCode::OK)
}

async fn list_alerts(_: Reader, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Vec<Value>>, Refused> {
    let asked = AlertFilter::read(query.as_deref()).map_err(Refused::Fault)?;
    let shown = judged(alerts::alerts(&context.reads).await?, asked).await?;
    Ok(Json(shown.iter().map(Shown::json).collect()))
}

/// By channel and kind, as a person would sort them.
async fn groups(_: Reader, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Vec<Value>>, Refused> {
    let asked = AlertFilter::read(query.as_deref()).map_err(Refused::Fault)?;
    let shown = judged(alerts::alerts(&context.reads).await?, asked).await?;
    let mut groups: BTreeMap<(&str, &str), Vec<Value>> = BTreeMap::new();
    for alert in &shown {
        for channel in alert.channels() {
            groups.entry((channel, alert.kind())).or_default().push(alert.json());
        }
    }
    let group = |((channel, kind), alerts): ((&str, &str), Vec<Value>)| json!({"labels": {"kind": kind}, "receiver": {"name": channel}, "alerts": alerts});
    Ok(Json(groups.into_iter().map(group).collect()))
}

/// Ten thousand alerts and five hundred silences are more than a request may keep others waiting for.
async fn judged(read: Alerts, asked: AlertFilter) -> Result<Vec<Shown>, ApiError> {
    let judging = tokio::task::spawn_blocking(move || shown::alerts(read, &asked));
    judging.await.map_err(|error| ApiError::Internal(error.to_string()))
}

async fn refuse_alerts(_: Writer) -> Refused {
    let words = "komainu takes no alerts of others here: a job or a program says how it is by a heartbeat (POST /heartbeats/NAME)";
    Refused::Fault(words.to_owned())
}

#[cfg(test)]
mod tests;
