//! `/api/v1/audit`: who did what. Rows are added where the deed is done, in its transaction.

use axum::Json;
use axum::extract::RawQuery;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::Admin;
use super::fields::Fields;
use super::openapi::Millis;
use super::page::{Cut, Items, PageParams};
use super::problem::ApiError;
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

/// Who did what, the latest first.
#[utoipa::path(get, path = "/audit", tag = "audit", security(("key" = ["admin"])),
    params(PageParams,
        ("who" = Option<String>, Query, max_length = 200, description = "`key/ops`, `cli/ada`, `w1/epoch 7`"),
        ("what" = Option<String>, Query, max_length = 100, description = "`monitor.move`, `node.drain`, `decision` …"),
        ("subject" = Option<String>, Query, max_length = 400, description = "`monitor/7`, `node1`, `routing` …"),
        ("address" = Option<String>, Query, max_length = 64, description = "`192.0.2.7`")),
    responses((status = 200, description = "A page of the trail", body = Items<DeedView>)))]
pub(super) async fn list(_: Admin, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Items<DeedView>>, ApiError> {
    let mut fields = Fields::of_query(query.as_deref());
    let cut = Cut::take(&mut fields);
    let filter = AuditFilter {
        who: fields.text("who", 200),
        what: fields.text("what", 100),
        subject: fields.text("subject", 400),
        address: fields.text("address", 64),
    };
    fields.finish()?;
    let page = audit::list(&context.reads, &filter, cut.cursor.as_deref(), cut.limit).await?;
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
