//! `/api/v1/incidents`.

use axum::Json;
use axum::extract::RawQuery;
use komainu_watchdogs::time::Wall;
use serde::Serialize;

use super::Ctx;
use super::auth::Reader;
use super::fields::Fields;
use super::page::{Cut, Items};
use super::problem::ApiError;
use crate::store::incidents::{self, Incident, IncidentFilter};

#[derive(Serialize)]
pub(super) struct Shown {
    id: i64,
    key: String,
    severity: String,
    summary: String,
    /// Watchdogs that see it, of how many that may vote.
    votes: (u32, u32),
    opened_at: Wall,
    last_bad_at: Wall,
    resolved_at: Option<Wall>,
    acknowledged_at: Option<Wall>,
    acknowledged_by: Option<String>,
}

impl From<Incident> for Shown {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id,
            key: incident.key,
            severity: incident.severity,
            summary: incident.summary,
            votes: (incident.votes_bad, incident.votes_of),
            opened_at: incident.opened_at,
            last_bad_at: incident.last_bad_at,
            resolved_at: incident.resolved_at,
            acknowledged_at: incident.acknowledged_at,
            acknowledged_by: incident.acknowledged_by,
        }
    }
}

/// Filters: `open` (true, false) and `key` (a kind, or kind and subject).
pub(super) async fn list(_: Reader, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Items<Shown>>, ApiError> {
    let mut fields = Fields::of_query(query.as_deref());
    let cut = Cut::take(&mut fields);
    let filter = IncidentFilter { is_open: fields.flag("open"), key: fields.text("key", 200) };
    fields.finish()?;
    let page = incidents::list(&context.state.store, &filter, cut.cursor.as_deref(), cut.limit).await?;
    Ok(Json(Items::of(page)))
}

#[cfg(test)]
mod tests {
    use crate::api::support::Surface;

    #[tokio::test]
    async fn an_unknown_filter_is_named() {
        let surface = Surface::plain().await;
        let key = surface.key("read").await;
        assert_eq!(surface.send("GET", "/api/v1/incidents?open=true&key=node", Some(&key), "").await.code, 200);
        let answer = surface.send("GET", "/api/v1/incidents?opne=true", Some(&key), "").await;
        assert_eq!((answer.code, &answer.json()["errors"][0]["field"]), (400, &"opne".into()));
    }
}
