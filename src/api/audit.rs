//! `/api/v1/audit`: who did what. Rows are added where the deed is done, in its transaction.

use axum::Json;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::Admin;
use super::openapi::Millis;
use super::page::{Items, PageAsked};
use super::problem::ApiError;
use super::request::{Asked, Text, request};
use crate::store::audit::{self, AuditFilter, AuditRow};

#[derive(Serialize, ToSchema)]
#[schema(as = Deed)]
pub(super) struct DeedView {
    id: i64,
    #[schema(value_type = Millis)]
    at: Wall,
    who: String,
    what: String,
    subject: String,
    /// From where it was asked for; `null`: by the cluster itself, or on the database directly.
    #[schema(required)]
    address: Option<String>,
    /// As it was; `null`: it was not.
    #[schema(required)]
    before: Option<Value>,
    /// As it is; `null`: it is gone.
    #[schema(required)]
    after: Option<Value>,
}

impl From<AuditRow> for DeedView {
    fn from(row: AuditRow) -> Self {
        let parsed = |text: Option<String>| text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        Self {
            id: row.id,
            at: row.at,
            who: row.deed.who,
            what: row.deed.what,
            subject: row.deed.subject,
            address: row.address,
            before: parsed(row.deed.before),
            after: parsed(row.deed.after),
        }
    }
}

request! {
    pub(super) struct TrailAsked {
        /// `key/ops`, `cli/ada`, `w1/epoch 7`
        who: Option<Text<0, 200>>,
        /// `monitor.move`, `node.drain`, `decision` …
        what: Option<Text<0, 100>>,
        /// `monitor/7`, `node1`, `routing` …
        subject: Option<Text<0, 400>>,
        /// `192.0.2.7`
        address: Option<Text<0, 64>>,
        ..page: PageAsked,
    }
}

/// Who did what, the latest first.
#[utoipa::path(get, path = "/audit", tag = "audit", security(("key" = ["admin"])),
    params(TrailAsked),
    responses((status = 200, description = "A page of the trail", body = Items<DeedView>)))]
pub(super) async fn list(
    _: Admin,
    context: Ctx,
    Asked(TrailAsked { who, what, subject, address, page }): Asked<TrailAsked>,
) -> Result<Json<Items<DeedView>>, ApiError> {
    let filter = AuditFilter { who, what, subject, address };
    let page = audit::list(&context.reads, &filter, page.cursor.as_deref(), page.limit()).await?;
    Ok(Json(Items::of(page)))
}

#[cfg(test)]
mod tests {
    use crate::api::support::Surface;

    #[tokio::test]
    async fn the_trail_is_for_admins_and_knows_every_write() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        assert_eq!(surface.send("POST", "/api/v1/cluster/freeze", Some(&admin), "").await.code, 200);
        let trail = surface.send("GET", "/api/v1/audit", Some(&admin), "").await.json();
        assert_eq!(
            (&trail["items"][0]["what"], &trail["items"][0]["who"]),
            (&"cluster.freeze".into(), &"key/admin".into())
        );
        assert_eq!(trail["items"][0]["address"], "192.0.2.7", "the caller's");
        assert_eq!(surface.send("POST", "/api/v1/cluster/thaw", Some(&admin), "").await.code, 200);
        for (query, left) in [
            ("what=cluster.thaw", 1),
            ("subject=cluster&who=key/admin", 2),
            ("who=key/nobody", 0),
            ("address=192.0.2.7", 2),
            ("address=192.0.2.8", 0),
        ] {
            let path = format!("/api/v1/audit?{query}");
            let trail = surface.send("GET", &path, Some(&admin), "").await.json();
            assert_eq!(trail["items"].as_array().unwrap().len(), left, "{query}");
        }
        let writer = surface.key("write").await;
        assert_eq!(surface.send("GET", "/api/v1/audit", Some(&writer), "").await.code, 403);
    }
}
