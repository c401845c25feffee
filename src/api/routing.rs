//! `/api/v1/routing/pin`: one node for all traffic of people, while an operator says so.

use axum::Json;
use komainu_watchdogs::ids::NodeId;
use serde::Serialize;
use utoipa::ToSchema;

use super::Ctx;
use super::auth::{Admin, Reader};
use super::nodes::refusal::refused;
use super::problem::ApiError;
use super::request::{Sent, Text, request};
use crate::store::hands::{self, HandOutcome};

/// Where people's traffic goes.
#[derive(Serialize, ToSchema)]
#[schema(as = RoutingPin)]
pub(super) struct Pin {
    /// `null`: the gateway chooses among the nodes that accept sessions.
    #[schema(value_type = Option<String>, required)]
    node_id: Option<NodeId>,
}

request! {
    pub(super) struct PinRouting {
        node_id: Text<1, 190>,
    }
}

/// Where people's traffic goes.
#[utoipa::path(get, path = "/routing/pin", tag = "routing", security(("key" = ["read"])),
    responses((status = 200, description = "As it is", body = Pin)))]
pub(super) async fn show(_: Reader, context: Ctx) -> Result<Json<Pin>, ApiError> {
    Ok(Json(Pin { node_id: hands::pinned_node(&context.reads).await? }))
}

/// Sends all of it to one node, whatever becomes of that node.
#[utoipa::path(put, path = "/routing/pin", tag = "routing", security(("key" = ["admin"])), request_body = PinRouting,
    responses((status = 200, description = "It goes there", body = Pin)))]
pub(super) async fn pin(
    Admin(caller): Admin,
    context: Ctx,
    Sent(asked): Sent<PinRouting>,
) -> Result<Json<Pin>, ApiError> {
    let node = NodeId::from(asked.node_id);
    match hands::pin_routing(&context.state.store, &node, &caller.who()).await? {
        HandOutcome::Done(_) => Ok(Json(Pin { node_id: Some(node) })),
        HandOutcome::Refused(refusal) => Err(refused(refusal)),
    }
}

/// Lets the gateway choose again.
#[utoipa::path(delete, path = "/routing/pin", tag = "routing", security(("key" = ["admin"])),
    responses((status = 200, description = "The gateway chooses", body = Pin)))]
pub(super) async fn unpin(Admin(caller): Admin, context: Ctx) -> Result<Json<Pin>, ApiError> {
    hands::unpin_routing(&context.state.store, &caller.who()).await?;
    Ok(Json(Pin { node_id: None }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::support::Surface;

    #[tokio::test]
    async fn all_traffic_goes_to_one_node_until_it_is_unpinned() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        surface.add_node("node1").await;
        let path = "/api/v1/routing/pin";
        let pinned = surface.send("PUT", path, Some(&admin), r#"{"node_id": "node1"}"#).await;
        assert_eq!((pinned.code, pinned.json()), (200, json!({"node_id": "node1"})));
        assert_eq!(surface.send("GET", path, Some(&admin), "").await.json(), json!({"node_id": "node1"}));
        let refused = surface.send("DELETE", "/api/v1/nodes/node1", Some(&admin), "").await;
        assert_eq!(refused.code, 409);
        assert!(refused.json()["detail"].as_str().unwrap().contains("komainu routing unpin"), "{}", refused.json());
        assert_eq!(surface.send("DELETE", path, Some(&admin), "").await.json(), json!({"node_id": null}));
        let trail = surface.send("GET", "/api/v1/audit?subject=routing", Some(&admin), "").await.json();
        assert_eq!(trail["items"][0]["before"], json!({"node_id": "node1"}));
        assert_eq!(trail["items"][1]["what"], "routing.pin");
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_refused() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let answer = surface.send("PUT", "/api/v1/routing/pin", Some(&admin), r#"{"node_id": "node9"}"#).await;
        assert_eq!((answer.code, &answer.json()["errors"][0]["field"]), (400, &json!("node_id")));
    }
}
