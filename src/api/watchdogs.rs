//! `/api/v1/watchdogs`.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use komainu_watchdogs::ids::{Incarnation, WatchdogId, Zone};
use komainu_watchdogs::time::Wall;
use komainu_watchdogs::view::WatchdogView;
use serde::Serialize;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::{Admin, Reader};
use super::openapi::Millis;
use super::page::{Items, Nothing};
use super::problem::{ApiError, Problem};
use super::request::Asked;
use crate::store::watchdogs::{self, Stillness, WatchdogInfo};

/// A watchdog as its row says; whether it is up is a verdict, and stands in `/status`.
#[derive(Serialize, ToSchema)]
pub(super) struct Watchdog {
    #[schema(value_type = String)]
    watchdog_id: WatchdogId,
    #[schema(value_type = String)]
    incarnation: Incarnation,
    #[schema(value_type = String)]
    zone: Zone,
    advertise: String,
    hostname: String,
    version: String,
    isolated: bool,
    stopped: bool,
    #[schema(value_type = Millis)]
    last_seen_ms: Wall,
}

impl From<WatchdogInfo> for Watchdog {
    fn from(info: WatchdogInfo) -> Self {
        Self {
            watchdog_id: info.row.watchdog,
            incarnation: info.row.incarnation,
            zone: info.row.zone,
            advertise: info.row.advertise,
            hostname: info.hostname,
            version: info.version,
            isolated: info.row.isolated,
            stopped: info.row.stopped,
            last_seen_ms: info.row.last_seen,
        }
    }
}

/// All registered watchdogs.
#[utoipa::path(get, path = "/watchdogs", tag = "watchdogs", security(("key" = ["read"])),
    responses((status = 200, description = "All of them", body = Items<Watchdog>)))]
pub(super) async fn list(_: Reader, context: Ctx, _: Asked<Nothing>) -> Result<Json<Items<Watchdog>>, ApiError> {
    Ok(Json(Items::whole(watchdogs::list(&context.reads).await?)))
}

/// Forgets one that is gone for good: it no longer counts as a voter.
#[utoipa::path(delete, path = "/watchdogs/{id}", tag = "watchdogs", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is forgotten"),
        (status = 409, description = "It is alive", body = Problem)))]
pub(super) async fn remove(Admin(caller): Admin, context: Ctx, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let store = &context.state.store;
    let watchdog = WatchdogId::from(id.as_str());
    let rows = watchdogs::list(store).await?;
    let row = rows.into_iter().map(|info| info.row).find(|row| row.watchdog == watchdog);
    let row = row.ok_or_else(|| ApiError::not_found("watchdog", &id))?;
    let view = super::status::current(&context);
    let is_moving = |one: &WatchdogView| matches!(one.status, "up" | "isolated");
    let seen = Stillness { incarnation: row.incarnation, seq: row.seq };
    let lives = view.watchdogs.iter().any(|one| one.watchdog_id == watchdog && is_moving(one));
    if lives || !watchdogs::remove(store, &watchdog, seen, &caller.who()).await? {
        let detail = format!("{id} is alive: stop its process first, then remove it");
        return Err(ApiError::Conflict { detail, errors: Vec::new() });
    }
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use komainu_watchdogs::view::View;
    use serde_json::json;

    use super::*;
    use crate::api::support::{Surface, view};

    #[tokio::test]
    async fn the_list_is_for_readers() {
        let surface = Surface::plain().await;
        let key = surface.key("read").await;
        assert_eq!(
            surface.send("GET", "/api/v1/watchdogs", Some(&key), "").await.json(),
            json!({"items": [], "next": null})
        );
        assert_eq!(surface.get("/api/v1/watchdogs").await.code, 401);
    }

    #[tokio::test]
    async fn a_living_watchdog_is_kept_and_a_gone_one_is_forgotten() {
        let lively = |id: &str, status| WatchdogView {
            watchdog_id: id.into(),
            status,
            last_seen_ms: Wall(1),
            sees: BTreeMap::new(),
            advertise: String::new(),
        };
        let watchdogs = vec![lively("w1", "up"), lively("w2", "down")];
        let surface = Surface::showing(View { watchdogs, ..view() }).await;
        let admin = surface.key("admin").await;
        for id in ["w1", "w2"] {
            surface.register_watchdog(id).await;
        }
        for (id, code) in [("w1", 409), ("w2", 204), ("w2", 404)] {
            let path = format!("/api/v1/watchdogs/{id}");
            assert_eq!(surface.send("DELETE", &path, Some(&admin), "").await.code, code, "{id}");
        }
    }
}
