//! `/api/v1/watchdogs`.

use axum::Json;
use axum::extract::RawQuery;
use komainu_watchdogs::ids::{Incarnation, WatchdogId, Zone};
use komainu_watchdogs::time::Wall;
use serde::Serialize;

use super::Ctx;
use super::auth::Reader;
use super::fields::Fields;
use super::page::Items;
use super::problem::ApiError;
use crate::store::watchdogs::{self, WatchdogInfo};

/// A watchdog as its row says; whether it is up is a verdict, and stands in `/status`.
#[derive(Serialize)]
pub(super) struct Watchdog {
    watchdog_id: WatchdogId,
    incarnation: Incarnation,
    zone: Zone,
    advertise: String,
    hostname: String,
    version: String,
    isolated: bool,
    stopped: bool,
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

pub(super) async fn list(
    _: Reader,
    context: Ctx,
    RawQuery(query): RawQuery,
) -> Result<Json<Items<Watchdog>>, ApiError> {
    Fields::of_query(query.as_deref()).finish()?;
    Ok(Json(Items::whole(watchdogs::list(&context.state.store).await?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::support::Surface;

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
}
