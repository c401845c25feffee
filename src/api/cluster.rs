//! `/api/v1/cluster/freeze` and `thaw`: automatic moves stop and start again; alerts never do.

use axum::Json;
use serde::Serialize;

use super::Ctx;
use super::auth::Admin;
use super::problem::ApiError;
use crate::store::hands;

#[derive(Serialize)]
pub(super) struct Freeze {
    frozen: bool,
    /// It was otherwise before.
    changed: bool,
}

pub(super) async fn freeze(Admin(caller): Admin, context: Ctx) -> Result<Json<Freeze>, ApiError> {
    let changed = hands::freeze(&context.state.store, &caller.who()).await?;
    Ok(Json(Freeze { frozen: true, changed }))
}

pub(super) async fn thaw(Admin(caller): Admin, context: Ctx) -> Result<Json<Freeze>, ApiError> {
    let changed = hands::thaw(&context.state.store, &caller.who()).await?;
    Ok(Json(Freeze { frozen: false, changed }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::support::Surface;

    #[tokio::test]
    async fn freezing_twice_changes_once() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        for (act, frozen, changed) in [("freeze", true, true), ("freeze", true, false), ("thaw", false, true)] {
            let answer = surface.send("POST", &format!("/api/v1/cluster/{act}"), Some(&admin), "").await;
            assert_eq!(answer.json(), json!({"frozen": frozen, "changed": changed}));
        }
    }

    #[tokio::test]
    async fn a_writer_may_not_freeze() {
        let surface = Surface::plain().await;
        let writer = surface.key("write").await;
        assert_eq!(surface.send("POST", "/api/v1/cluster/freeze", Some(&writer), "").await.code, 403);
    }
}
