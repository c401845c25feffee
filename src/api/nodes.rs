//! `/api/v1/nodes`.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{Incarnation, NodeId};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use self::draft::{NewNode, NodeChange};
use super::auth::{Admin, Reader};
use super::edit::Edit;
use super::openapi::Millis;
use super::page::{DryRun, Items, Nothing};
use super::precondition;
use super::problem::{ApiError, Problem};
use super::request::{Asked, Flag, Sent, request};
use super::{Context, Ctx};
use crate::store::nodes::{self, DeletionWish, Edited, NodeInfo};

pub(super) mod acts;
mod draft;
pub(super) mod refusal;
#[cfg(test)]
mod tests;

#[derive(Serialize, ToSchema)]
#[schema(as = Node)]
pub(super) struct NodeView {
    #[schema(value_type = String)]
    node_id: NodeId,
    name: String,
    address: String,
    status: String,
    /// `none`, `draining` or `drained`.
    #[schema(value_type = String)]
    overlay: Overlay,
    /// A drain takes pinned monitors along.
    drains_pinned: bool,
    /// An operator asked to bring its monitors home now, and some are still to come.
    recover_asked: bool,
    /// The process that holds the lease.
    #[schema(value_type = Option<String>, required)]
    incarnation: Option<Incarnation>,
    hostname: String,
    /// `native` or `kuma`; `null`: it never registered.
    #[schema(required)]
    runner: Option<String>,
    /// Share of the load, relative to the others.
    weight: u32,
    /// `null`: the policy's limit.
    #[schema(required)]
    capacity: Option<u32>,
    /// Types of monitor it runs; empty: all.
    kinds: Vec<String>,
    /// What monitors may ask for by `run_on`.
    labels: Vec<String>,
    /// Active monitors it runs.
    monitors: u32,
    /// Active monitors at home on it.
    home_monitors: u32,
    #[schema(value_type = Option<Millis>, required)]
    last_seen_ms: Option<Wall>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AddedNode)]
pub(super) struct Added {
    #[schema(value_type = String)]
    node_id: NodeId,
    address: String,
    /// What the node proves itself with. Derived from the cluster's key: it can be shown again by adding it again.
    key: String,
}

impl From<NodeInfo> for NodeView {
    fn from(info: NodeInfo) -> Self {
        Self {
            node_id: info.node_id,
            name: info.name,
            address: info.address,
            status: info.status,
            overlay: info.overlay,
            drains_pinned: info.drains_pinned,
            recover_asked: info.recover_asked,
            incarnation: info.incarnation,
            hostname: info.hostname,
            runner: info.runner,
            weight: info.weight,
            capacity: info.capacity,
            kinds: info.kinds,
            labels: info.labels,
            monitors: info.monitors,
            home_monitors: info.home_monitors,
            last_seen_ms: info.last_seen,
        }
    }
}

/// All nodes.
#[utoipa::path(get, path = "/nodes", tag = "nodes", security(("key" = ["read"])),
    responses((status = 200, description = "All of them", body = Items<NodeView>)))]
pub(super) async fn list(_: Reader, context: Ctx, _: Asked<Nothing>) -> Result<Json<Items<NodeView>>, ApiError> {
    Ok(Json(Items::whole(nodes::list(&context.reads).await?)))
}

/// One node.
#[utoipa::path(get, path = "/nodes/{id}", tag = "nodes", security(("key" = ["read"])),
    params(("id" = String, Path, description = "Its name")),
    responses((status = 200, description = "As it is, with its ETag", body = NodeView)))]
pub(super) async fn show(_: Reader, context: Ctx, Path(id): Path<String>) -> Result<Response, ApiError> {
    let found = nodes::get(&context.reads, &NodeId::from(id.as_str())).await?;
    found.map(tagged).ok_or_else(|| ApiError::not_found("node", &id))
}

fn tagged(info: NodeInfo) -> Response {
    precondition::tagged(StatusCode::OK, &info.etag(), NodeView::from(info))
}

/// Enters a node, and shows its key.
#[utoipa::path(post, path = "/nodes", tag = "nodes", security(("key" = ["admin"])), request_body = NewNode,
    responses((status = 201, description = "It may register", body = Added),
        (status = 409, description = "There is one of this name", body = Problem)))]
pub(super) async fn add(
    Admin(caller): Admin,
    context: Ctx,
    Sent(new): Sent<NewNode>,
) -> Result<(StatusCode, Json<Added>), ApiError> {
    let new = nodes::NewNode::from(new);
    if !nodes::add(&context.state.store, &new, &caller.who()).await? {
        return Err(ApiError::conflict("node_id", format!("there is a node {} already", new.node_id)));
    }
    Ok((StatusCode::CREATED, Json(added(&context, new))))
}

fn added(context: &Context, new: nodes::NewNode) -> Added {
    let key = context.state.key.node_key(&new.node_id).reveal().to_owned();
    Added { node_id: new.node_id, address: new.address, key }
}

/// Changes what is named.
#[utoipa::path(patch, path = "/nodes/{id}", tag = "nodes", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "Its name"),
        DryRun,
        ("If-Match" = Option<String>, Header, description = "Only if it is still one of these ETags")),
    request_body = NodeChange,
    responses((status = 200, description = "As it is now", body = NodeView),
        (status = 204, description = "It would be changed"),
        (status = 412, description = "It was changed since", body = Problem)))]
pub(super) async fn change(
    Admin(caller): Admin,
    context: Ctx,
    edit: Edit,
    Sent(change): Sent<NodeChange>,
) -> Result<Response, ApiError> {
    let Edit { name: id, is_rehearsal, if_match, .. } = edit;
    let (store, node) = (&context.state.store, NodeId::from(id.as_str()));
    let change = change.into();
    let is_seen = |etag: &str| precondition::is_met(&if_match, etag);
    let stale = || precondition::stale(&format!("the node {id}"));
    if !is_rehearsal && nodes::edit_if(store, &node, &change, &caller.who(), is_seen).await? == Edited::Stale {
        return Err(stale());
    }
    let found = nodes::get(store, &node).await?.ok_or_else(|| ApiError::not_found("node", &id))?;
    if !is_rehearsal {
        return Ok(tagged(found));
    }
    if is_seen(&found.etag()) { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(stale()) }
}

request! {
    pub(super) struct DeletionAsked {
        /// Monitors at home on it are at home where they run
        rehome: Option<Flag>,
    }
}

/// Deletes a node that nothing depends on; with `rehome=true`, monitors that were at home on it stay where they run.
#[utoipa::path(delete, path = "/nodes/{id}", tag = "nodes", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "Its name"), DeletionAsked),
    responses((status = 204, description = "It is gone"),
        (status = 409, description = "It is alive, or monitors or traffic depend on it", body = Problem)))]
pub(super) async fn remove(
    Admin(caller): Admin,
    context: Ctx,
    Path(id): Path<String>,
    Asked(DeletionAsked { rehome }): Asked<DeletionAsked>,
) -> Result<StatusCode, ApiError> {
    let node = NodeId::from(id.as_str());
    let view = super::status::current(&context);
    let is_lease_over = view.nodes.iter().any(|one| one.node_id == node && one.lease == "ended");
    let wish = DeletionWish { rehome: rehome.unwrap_or_default(), is_lease_over };
    let deletion = nodes::delete(&context.state.store, &node, wish, &caller.who()).await?;
    refusal::not_deleted(&id, deletion).map_or(Ok(StatusCode::NO_CONTENT), Err)
}
