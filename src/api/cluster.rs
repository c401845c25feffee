//! `/api/v1/cluster/freeze` and `thaw`: automatic moves stop and start again; alerts never do.

use axum::Json;
use serde::Serialize;
use serde_json::json;

use super::Ctx;
use super::audit::{self, Done};
use super::auth::{Admin, Caller};
use super::problem::ApiError;
use crate::store::cluster;

#[derive(Serialize)]
pub(super) struct Freeze {
    frozen: bool,
    /// It was otherwise before.
    changed: bool,
}

pub(super) async fn freeze(Admin(caller): Admin, context: Ctx) -> Result<Json<Freeze>, ApiError> {
    let changed = cluster::freeze(&context.state.store).await?;
    Ok(answer(&context, &caller, true, changed).await)
}

pub(super) async fn thaw(Admin(caller): Admin, context: Ctx) -> Result<Json<Freeze>, ApiError> {
    let changed = cluster::thaw(&context.state.store).await?;
    Ok(answer(&context, &caller, false, changed).await)
}

async fn answer(context: &Ctx, caller: &Caller, frozen: bool, changed: bool) -> Json<Freeze> {
    let state = &context.state;
    if changed {
        let what = if frozen { "cluster.freeze" } else { "cluster.thaw" };
        let (before, after) = (json!({"frozen": !frozen}), json!({"frozen": frozen}));
        audit::note(
            &state.store,
            caller,
            Done { what, subject: &state.cluster, before: Some(before), after: Some(after) },
        )
        .await;
    }
    Json(Freeze { frozen, changed })
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
