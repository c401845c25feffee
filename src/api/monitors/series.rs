//! `/api/v1/monitors/{id}/series`: what was counted of it, row by row, for graphs.

use axum::Json;
use axum::extract::Path;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::parse_id;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::openapi::Millis;
use crate::api::page::Items;
use crate::api::problem::ApiError;
use crate::api::request::{Asked, Field, Shape, request};
use crate::store::monitors;
use crate::store::stats::series::{Point, Reach};

struct ReachName;

impl ReachName {
    const ALL: [(&str, Reach); 4] =
        [("24h", Reach::Day), ("7d", Reach::Week), ("30d", Reach::Month), ("90d", Reach::Quarter)];
}

impl Field for ReachName {
    type Value = Reach;

    fn read(sent: &Value) -> Result<Reach, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| sent == *name);
        found.map(|(_, reach)| reach).ok_or_else(|| "must be one of 24h, 7d, 30d, 90d".to_owned())
    }

    fn shape() -> Shape {
        Shape::words(&Self::ALL.map(|(name, _)| name))
    }
}

request! {
    pub(in crate::api) struct SeriesAsked {
        /// 24h by the minute, 7d by the hour, 30d or 90d by the day (UTC); 24h unless said
        span: Option<ReachName>,
    }
}

/// What was counted within a minute, an hour or a day.
#[derive(Serialize, ToSchema)]
#[schema(as = SeriesPoint)]
pub(in crate::api) struct PointView {
    /// When it begins.
    #[schema(value_type = Millis)]
    at: Wall,
    /// Beats that were up.
    up: u64,
    /// Beats that were down or pending.
    down: u64,
    /// Average over the beats that were up, milliseconds; `null`: none was.
    #[schema(required)]
    ping_ms: Option<f64>,
    /// The longest of them.
    #[schema(required)]
    ping_max_ms: Option<f64>,
}

impl From<Point> for PointView {
    fn from(Point { at, up, down, ping_ms, ping_max_ms }: Point) -> Self {
        Self { at, up, down, ping_ms, ping_max_ms }
    }
}

/// What was counted of a monitor, oldest first. A time in which nothing was counted has no point.
///
/// Taken from Kuma's statistics, whichever node counted them: the same rows as the percentages of `uptime`.
#[utoipa::path(get, path = "/monitors/{id}/series", tag = "monitors", security(("key" = ["read"])),
    params(SeriesAsked, ("id" = String, Path, description = "Number of the monitor")),
    responses((status = 200, description = "All points", body = Items<PointView>)))]
pub(in crate::api) async fn show(
    _: Reader,
    context: Ctx,
    Path(id): Path<String>,
    Asked(SeriesAsked { span }): Asked<SeriesAsked>,
) -> Result<Json<Items<PointView>>, ApiError> {
    let monitor = parse_id(&id)?;
    if monitors::get(&context.reads, monitor).await?.is_none() {
        return Err(ApiError::not_found("monitor", &id));
    }
    Ok(Json(Items::whole(context.reads.series(monitor, span.unwrap_or(Reach::Day)).await?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::support::Surface;

    #[tokio::test]
    async fn what_was_counted_is_shown_row_by_row_and_nothing_where_nothing_was() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let monitor = json!({"name": "web", "type": "http", "url": "https://example.com"}).to_string();
        let id = surface.send("POST", "/api/v1/monitors", Some(&key), &monitor).await.json()["id"].clone();
        let shown = async |span: &str| {
            surface.send("GET", &format!("/api/v1/monitors/{id}/series{span}"), Some(&key), "").await
        };
        assert_eq!(shown("").await.json(), json!({"items": [], "next": null}));
        let mut lease = surface.state.store.lease("test").await.unwrap();
        for (table, ago) in [("stat_minutely", 60), ("stat_hourly", 7_200), ("stat_daily", 86_400 * 40)] {
            let seconds = if table == "stat_minutely" {
                60
            } else if table == "stat_hourly" {
                3_600
            } else {
                86_400
            };
            let at = format!("(unixepoch() - {ago}) / {seconds} * {seconds}");
            let sql = format!(
                "INSERT INTO {table} (monitor_id, timestamp, ping, ping_min, ping_max, up, down) \
                 VALUES ({id}, {at}, 12.5, 10, 20, 3, 1)"
            );
            lease.execute("test", sql, vec![]).await.unwrap();
        }
        drop(lease);
        let count = async |span: &str| shown(span).await.json()["items"].as_array().unwrap().len();
        assert_eq!([count("?span=24h").await, count("?span=7d").await], [1, 1]);
        assert_eq!([count("?span=30d").await, count("?span=90d").await], [0, 1], "a day that is 40 days old");
        let point = shown("").await.json()["items"][0].clone();
        assert_eq!((&point["up"], &point["down"], &point["ping_ms"]), (&json!(3), &json!(1), &json!(12.5)));
        assert_eq!(shown("?span=1y").await.code, 400);
        let missing = surface.send("GET", "/api/v1/monitors/4711/series", Some(&key), "").await;
        assert_eq!(missing.code, 404);
    }
}
