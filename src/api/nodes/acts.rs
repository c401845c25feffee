//! What is asked of a node: to be emptied, to take monitors again, to get its own back.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use komainu_watchdogs::ids::NodeId;

use super::NodeView;
use super::refusal::refused;
use crate::api::Ctx;
use crate::api::auth::Admin;
use crate::api::problem::{ApiError, Problem};
use crate::api::request::{Flag, SentOrNot, request};
use crate::store::hands::{self, Drain, HandOutcome, Refusal};
use crate::store::nodes;

request! {
    pub(in crate::api) struct DrainNode {
        /// Pinned monitors go along, and return with the others.
        move_pinned: Option<Flag> = false,
    }
}

type Accepted = Result<(StatusCode, Json<NodeView>), ApiError>;

/// Empties a node; `overlay` becomes `drained` once its process said that it runs nothing any more.
#[utoipa::path(post, path = "/nodes/{id}/drain", tag = "nodes", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "Its name")), request_body = Option<DrainNode>,
    responses((status = 202, description = "It is being emptied", body = NodeView),
        (status = 409, description = "Pinned monitors are there; `pinned` lists them", body = Problem)))]
pub(in crate::api) async fn drain(
    Admin(caller): Admin,
    context: Ctx,
    Path(id): Path<String>,
    SentOrNot(DrainNode { move_pinned }): SentOrNot<DrainNode>,
) -> Accepted {
    let how = Drain { move_pinned: move_pinned.unwrap_or_default() };
    let node = NodeId::from(id.as_str());
    let done = hands::drain(&context.state.store, &node, how, &caller.who()).await?;
    accepted(&context, &node, done).await
}

/// Lets a node have monitors again; those at home on it return.
#[utoipa::path(post, path = "/nodes/{id}/resume", tag = "nodes", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "Its name")),
    responses((status = 202, description = "It takes monitors again", body = NodeView)))]
pub(in crate::api) async fn resume(Admin(caller): Admin, context: Ctx, Path(id): Path<String>) -> Accepted {
    let node = NodeId::from(id.as_str());
    let done = hands::resume(&context.state.store, &node, &caller.who()).await?;
    accepted(&context, &node, done).await
}

/// Brings a node's monitors home as soon as it is well, whatever the cool-off says.
#[utoipa::path(post, path = "/nodes/{id}/recover", tag = "nodes", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "Its name")),
    responses((status = 202, description = "Its monitors come home", body = NodeView)))]
pub(in crate::api) async fn recover(Admin(caller): Admin, context: Ctx, Path(id): Path<String>) -> Accepted {
    let node = NodeId::from(id.as_str());
    let done = hands::ask_recover(&context.state.store, &node, &caller.who()).await?;
    accepted(&context, &node, done).await
}

async fn accepted(context: &Ctx, node: &NodeId, done: HandOutcome<bool>) -> Accepted {
    let unknown = || ApiError::not_found("node", node.as_str());
    match done {
        HandOutcome::Done(_) => {
            let found = nodes::get(&context.state.store, node).await?;
            found.map(|info| (StatusCode::ACCEPTED, Json(info.into()))).ok_or_else(unknown)
        }
        HandOutcome::Refused(Refusal::NoSuchNode(_)) => Err(unknown()),
        HandOutcome::Refused(refusal) => Err(refused(refusal)),
    }
}
