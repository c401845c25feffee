//! `GET /health`: this one process, for whoever restarts it. Whether the cluster is well is `/status`.
//!
//! 200 while its loop turns and, as long as the database answers, its verdicts are at most three probe intervals old.

use axum::Json;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::view::DatabaseView;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Context, Ctx, auth};

#[derive(Serialize, ToSchema)]
#[schema(as = InstanceHealth)]
struct Body<'a> {
    /// `ok` or `stuck`.
    #[schema(value_type = String)]
    status: &'static str,
    #[schema(value_type = String)]
    watchdog_id: &'a WatchdogId,
    #[schema(value_type = String)]
    incarnation: Incarnation,
    #[schema(value_type = String)]
    version: &'static str,
    is_leader: bool,
    /// `up`, `failing` or `down`.
    #[schema(value_type = String)]
    database: DatabaseView,
    /// Milliseconds since verdicts were last renewed; `null` before the first round.
    #[schema(required)]
    verdict_age_ms: Option<u64>,
    /// Milliseconds since the loop last turned.
    loop_age_ms: u64,
}

/// What a caller without a key sees where `[status] details = "key"`.
#[derive(Serialize, ToSchema)]
#[schema(as = ShortInstanceHealth)]
#[serde(deny_unknown_fields)]
struct Short {
    /// `ok` or `stuck`.
    #[schema(value_type = String)]
    status: &'static str,
}

/// Either of them, for the document.
#[derive(ToSchema)]
#[schema(as = InstanceHealthAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "the handler answers with one of the two; this is what the document says of it")]
enum Answered<'a> {
    Full(Body<'a>),
    Short(Short),
}

/// This one process, for whoever restarts it. HEAD answers the same status.
#[utoipa::path(get, path = "/health", tag = "watching", security((), ("key" = ["read"])),
    responses((status = 200, description = "It is well", body = Answered<'_>),
        (status = 503, description = "It is stuck: restart it", body = Answered<'_>)))]
pub(super) async fn show(context: Ctx, parts: Parts) -> Response {
    let state = &context.state;
    let view = state.view.borrow().clone();
    let loop_age_ms = u64::try_from(context.freshness.age().as_millis()).unwrap_or(u64::MAX);
    let verdict_age_ms = verdict_age_ms(&context);
    let most_ms = u64::try_from(3 * state.policy.probe_interval.as_millis()).unwrap_or(u64::MAX);
    let is_current = verdict_age_ms.is_some_and(|age| age <= most_ms);
    // Without a database there are no rounds, and that is no fault of this process: to restart it would only make it
    // forget its peers, when they need each other most.
    let is_blind = match view.database {
        DatabaseView::Up => false,
        DatabaseView::Failing | DatabaseView::Down => true,
    };
    let is_well = loop_age_ms <= most_ms && (is_current || is_blind);
    let code = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (status, no_store) = (if is_well { "ok" } else { "stuck" }, [(header::CACHE_CONTROL, "no-store")]);
    if !auth::may_see(&parts, &context).await {
        return (code, no_store, Json(Short { status })).into_response();
    }
    let body = Body {
        status,
        watchdog_id: &state.watchdog,
        incarnation: state.incarnation,
        version: env!("CARGO_PKG_VERSION"),
        is_leader: view.leader.as_ref().is_some_and(|leader| leader.incarnation == state.incarnation),
        database: view.database,
        verdict_age_ms,
        loop_age_ms,
    };
    (code, no_store, Json(body)).into_response()
}

/// The age that was published, and the time since.
pub(super) fn verdict_age_ms(context: &Context) -> Option<u64> {
    let since = u64::try_from(context.freshness.age().as_millis()).unwrap_or(u64::MAX);
    context.state.view.borrow().verdict_age_ms.map(|age| age.saturating_add(since))
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::view::{DatabaseView, Health, View};

    use crate::api::support::{Surface, view};

    #[tokio::test]
    async fn a_loop_that_turns_is_well_whatever_the_cluster_does() {
        let answer = Surface::showing(View { status: Health::Down, ..view() }).await.get("/health").await;
        assert_eq!(answer.code, 200);
        assert_eq!((&answer.json()["watchdog_id"], &answer.json()["is_leader"]), (&"w1".into(), &true.into()));
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_no_reason_to_restart() {
        let blind = View { database: DatabaseView::Down, verdict_age_ms: Some(60_000), ..view() };
        let answer = Surface::showing(blind).await.get("/health").await;
        assert_eq!((answer.code, &answer.json()["database"]), (200, &"down".into()));
    }

    #[tokio::test]
    async fn old_verdicts_or_none_are_not_well() {
        for verdict_age_ms in [None, Some(15_001)] {
            let answer = Surface::showing(View { verdict_age_ms, ..view() }).await.get("/health").await;
            assert_eq!((answer.code, &answer.json()["status"]), (503, &"stuck".into()));
        }
    }
}
