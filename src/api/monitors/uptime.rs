//! `/api/v1/monitors/{id}/uptime`: how much of the time it was up, in the periods and by the rules of Kuma.

use axum::Json;
use axum::extract::Path;
use serde::Serialize;
use utoipa::ToSchema;

use super::parse_id;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::page::Nothing;
use crate::api::problem::ApiError;
use crate::api::request::Asked;
use crate::store::stats::uptime::{Uptime, Uptimes};

/// The three periods that Kuma shows, each with the minute, hour or day that is not over yet.
#[derive(Serialize, ToSchema)]
#[schema(as = Uptimes)]
pub(in crate::api) struct UptimeView {
    #[serde(rename = "24h")]
    day: ShownUptime,
    #[serde(rename = "7d")]
    week: ShownUptime,
    #[serde(rename = "30d")]
    month: ShownUptime,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Uptime)]
struct ShownUptime {
    /// Share of the beats that were up, 0 to 1; `null`: none was counted. Maintenance counts neither way.
    #[schema(required)]
    uptime: Option<f64>,
    /// Beats that were up.
    up: u64,
    /// Beats that were down or pending.
    down: u64,
    /// Average over the beats that were up, milliseconds.
    #[schema(required)]
    avg_ping_ms: Option<f64>,
}

impl From<Uptimes> for UptimeView {
    fn from(uptimes: Uptimes) -> Self {
        Self { day: uptimes.day.into(), week: uptimes.week.into(), month: uptimes.month.into() }
    }
}

impl From<Uptime> for ShownUptime {
    fn from(Uptime { uptime, up, down, avg_ping_ms }: Uptime) -> Self {
        Self { uptime, up, down, avg_ping_ms }
    }
}

/// How much of the time a monitor was up: 24 hours, 7 days, 30 days.
///
/// Taken from Kuma's statistics, whichever node counted them. The 24 hours are counted by the minute, the 7 days by the
/// hour, the 30 days by the day (UTC).
#[utoipa::path(get, path = "/monitors/{id}/uptime", tag = "monitors", security(("key" = ["read"])),
    params(("id" = String, Path, description = "Number of the monitor")),
    responses((status = 200, description = "What was counted", body = UptimeView)))]
pub(in crate::api) async fn show(
    _: Reader,
    context: Ctx,
    Path(id): Path<String>,
    _: Asked<Nothing>,
) -> Result<Json<UptimeView>, ApiError> {
    let uptimes = context.reads.uptimes(parse_id(&id)?).await?;
    uptimes.map(UptimeView::from).map(Json).ok_or_else(|| ApiError::not_found("monitor", &id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::support::Surface;

    #[tokio::test]
    async fn the_uptime_of_a_monitor_is_what_its_statistics_say() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let monitor = json!({"name": "web", "type": "http", "url": "https://example.com"}).to_string();
        let made = surface.send("POST", "/api/v1/monitors", Some(&key), &monitor).await.json();
        let path = format!("/api/v1/monitors/{}/uptime", made["id"]);
        let nothing = json!({"uptime": null, "up": 0, "down": 0, "avg_ping_ms": null});
        let shown = surface.send("GET", &path, Some(&key), "").await;
        assert_eq!((shown.code, shown.json()), (200, json!({"24h": nothing, "7d": nothing, "30d": nothing})));
    }

    #[tokio::test]
    async fn there_is_no_uptime_of_a_monitor_that_is_not_there() {
        let surface = Surface::plain().await;
        let key = surface.key("read").await;
        for path in ["/api/v1/monitors/4711/uptime", "/api/v1/monitors/web/uptime"] {
            assert_eq!(surface.send("GET", path, Some(&key), "").await.code, 404);
        }
        assert_eq!(surface.send("GET", "/api/v1/monitors/1/uptime?span=1y", Some(&key), "").await.code, 400);
    }
}
