//! `/api/v1/channels`: how those that people are told by fare; and the names that a monitor or a heartbeat gives for itself.
//!
//! Each name must be one that this watchdog has, for nobody would be told through a misspelt one. One that is taken out of the
//! configuration later is no fault of what named it.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::{Reader, Writer};
use super::openapi::Millis;
use super::page::{Items, Nothing};
use super::problem::{ApiError, Problem};
use super::request::Asked;
use crate::store::outbox::{self, ChannelState};

/// A channel, and how it fares.
#[derive(Serialize, ToSchema)]
#[schema(as = Channel)]
pub(super) struct ChannelView {
    name: String,
    /// It stands in this watchdog's configuration.
    is_configured: bool,
    /// Attempts in a row that failed.
    failures: u32,
    /// When it took something last; `null`: never.
    #[schema(value_type = Option<Millis>, required)]
    last_sent_at: Option<Wall>,
    /// Why an attempt failed last.
    #[schema(required)]
    last_error: Option<String>,
    #[schema(value_type = Option<Millis>, required)]
    last_error_at: Option<Wall>,
    /// Deliveries that wait.
    waiting: u64,
    /// Deliveries that are held, because an incident explains them.
    held: u64,
    /// Deliveries that it refused for good.
    failed: u64,
    /// When the first of the waiting ones is or was due.
    #[schema(value_type = Option<Millis>, required)]
    oldest_due_at: Option<Wall>,
}

impl ChannelView {
    fn of(name: String, state: ChannelState, configured: &[String]) -> Self {
        Self {
            is_configured: configured.contains(&name),
            name,
            failures: state.failures,
            last_sent_at: state.last_sent_at,
            last_error: state.last_error,
            last_error_at: state.last_error_at,
            waiting: state.waiting,
            held: state.held,
            failed: state.failed,
            oldest_due_at: state.oldest_due_at,
        }
    }
}

/// All channels: those that this watchdog has, and those that something was given to.
#[utoipa::path(get, path = "/channels", tag = "incidents", security(("key" = ["read"])),
    responses((status = 200, description = "All of them", body = Items<ChannelView>)))]
pub(super) async fn list(_: Reader, context: Ctx, _: Asked<Nothing>) -> Result<Json<Items<ChannelView>>, ApiError> {
    let configured = &context.state.telling.routing.channels;
    let mut states = outbox::channels(&context.reads).await?;
    for name in configured {
        states.entry(name.clone()).or_default();
    }
    let shown = states.into_iter().map(|(name, state)| ChannelView::of(name, state, configured));
    Ok(Json(Items::whole(shown.collect::<Vec<_>>())))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Drill)]
pub(super) struct DrillView {
    /// `GET /api/v1/incidents/{id}` says what became of it.
    incident_id: i64,
}

/// Sends a test the whole way that an alarm goes: entered, claimed, handed over, noted; and taken back afterwards where the vendor allows. It is no
/// incident to anybody; that it fails is one, `channel/NAME`.
#[utoipa::path(post, path = "/channels/{name}/drill", tag = "incidents", security(("key" = ["write"])),
    params(("name" = String, Path, description = "As the configuration calls it")),
    responses((status = 202, description = "It is entered", body = DrillView),
        (status = 409, description = "One is on its way through this channel", body = Problem)))]
pub(super) async fn drill(
    Writer(caller): Writer,
    context: Ctx,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<DrillView>), ApiError> {
    if !context.state.telling.routing.channels.contains(&name) {
        return Err(ApiError::not_found("channel", &name));
    }
    let entered = outbox::notes::drill(&context.state.store, &name, &caller.who()).await?;
    let words = || format!("a drill is on its way through channel {name} still");
    let incident_id = entered.ok_or_else(|| ApiError::conflict("name", words()))?;
    Ok((StatusCode::ACCEPTED, Json(DrillView { incident_id })))
}

/// What is wrong with these names, if anything.
pub(super) fn fault(named: &[String], known: &[String]) -> Option<String> {
    let missing: Vec<&str> = named.iter().filter(|name| !known.contains(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return None;
    }
    let missing = missing.join(", ");
    Some(match known {
        [] => format!(
            "there is no channel {missing}: this watchdog has none; add a [[channel]] to the configuration of all"
        ),
        known => format!("there is no channel {missing}; this watchdog has {}", known.join(", ")),
    })
}
