//! `/api/v1/nodes`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{Incarnation, NodeId};
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use serde_json::json;

use super::audit::{self, Done};
use super::auth::{Admin, Reader};
use super::body::Object;
use super::fields::Fields;
use super::page::Items;
use super::problem::ApiError;
use super::{Context, Ctx};
use crate::config;
use crate::store::nodes::{self, NewNode, NodeInfo};

/// Monitors one node can be said to take; more is a typing error.
const MOST_CAPACITY: i64 = 1_000_000;

/// A node's share when nobody says otherwise.
const USUAL_WEIGHT: u32 = 100;

#[derive(Serialize)]
pub(super) struct Shown {
    node_id: NodeId,
    name: String,
    address: String,
    status: String,
    overlay: Overlay,
    incarnation: Option<Incarnation>,
    hostname: String,
    weight: u32,
    /// `null`: the policy's limit.
    capacity: Option<u32>,
    kinds: Vec<String>,
    monitors: u32,
    home_monitors: u32,
    last_seen_ms: Option<Wall>,
}

#[derive(Serialize)]
pub(super) struct Added {
    node_id: NodeId,
    address: String,
    /// What the node proves itself with. Derived from the cluster's key: it can be shown again by adding it again.
    key: String,
}

impl From<NodeInfo> for Shown {
    fn from(info: NodeInfo) -> Self {
        Self {
            node_id: info.node_id,
            name: info.name,
            address: info.address,
            status: info.status,
            overlay: info.overlay,
            incarnation: info.incarnation,
            hostname: info.hostname,
            weight: info.weight,
            capacity: info.capacity,
            kinds: info.kinds,
            monitors: info.monitors,
            home_monitors: info.home_monitors,
            last_seen_ms: info.last_seen,
        }
    }
}

pub(super) async fn list(_: Reader, context: Ctx, RawQuery(query): RawQuery) -> Result<Json<Items<Shown>>, ApiError> {
    Fields::of_query(query.as_deref()).finish()?;
    Ok(Json(Items::whole(nodes::list(&context.state.store).await?)))
}

pub(super) async fn show(_: Reader, context: Ctx, Path(id): Path<String>) -> Result<Json<Shown>, ApiError> {
    let found = nodes::get(&context.state.store, &NodeId::from(id.as_str())).await?;
    found.map(|info| Json(info.into())).ok_or_else(|| ApiError::not_found("node", &id))
}

pub(super) async fn add(
    Admin(caller): Admin,
    context: Ctx,
    Object(fields): Object,
) -> Result<(StatusCode, Json<Added>), ApiError> {
    let new = read(fields)?;
    let store = &context.state.store;
    if !nodes::add(store, &new).await? {
        return Err(ApiError::conflict("node_id", format!("there is a node {} already", new.node_id)));
    }
    let after = json!({"address": new.address, "weight": new.weight, "capacity": new.capacity});
    let subject = new.node_id.as_str();
    audit::note(store, &caller, Done { what: "node.add", subject, before: None, after: Some(after) }).await;
    Ok((StatusCode::CREATED, Json(added(&context, new))))
}

/// Writes the wish; the leader brings the monitors home once the node is well.
pub(super) async fn recover(
    Admin(caller): Admin,
    context: Ctx,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Shown>), ApiError> {
    let (store, node) = (&context.state.store, NodeId::from(id.as_str()));
    if !nodes::ask_recover(store, &node).await? {
        return Err(ApiError::not_found("node", &id));
    }
    audit::note(store, &caller, Done { what: "node.recover", subject: &id, before: None, after: None }).await;
    let found = nodes::get(store, &node).await?;
    found.map(|info| (StatusCode::ACCEPTED, Json(info.into()))).ok_or_else(|| ApiError::not_found("node", &id))
}

fn added(context: &Arc<Context>, new: NewNode) -> Added {
    let key = context.state.key.node_key(&new.node_id).reveal().to_owned();
    Added { node_id: new.node_id, address: new.address, key }
}

fn read(mut fields: Fields) -> Result<NewNode, ApiError> {
    let id = fields.required_text("node_id", 50).unwrap_or_default();
    if let (false, Err(rule)) = (id.is_empty(), config::ensure_id(&id)) {
        fields.fault("node_id", rule);
    }
    let address = fields.required_text("address", 255).unwrap_or_default();
    let address = match (address.is_empty(), config::parse_address(&address)) {
        (true, _) => String::new(),
        (false, Ok(url)) => config::without_slash(&url),
        (false, Err(rule)) => {
            fields.fault("address", rule);
            String::new()
        }
    };
    let small = |number: i64| u32::try_from(number).ok();
    let new = NewNode {
        name: fields.text("name", 100).unwrap_or_else(|| id.clone()),
        node_id: NodeId::from(id),
        address,
        weight: fields.integer("weight", 1..=10_000).and_then(small).unwrap_or(USUAL_WEIGHT),
        capacity: fields.integer("capacity", 1..=MOST_CAPACITY).and_then(small),
        kinds: fields.texts("kinds", 100).unwrap_or_default(),
    };
    fields.finish().map(|()| new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::support::{KEY, Surface};
    use crate::keys::ClusterKey;

    #[tokio::test]
    async fn an_added_node_is_shown_and_its_key_is_derived() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let body = r#"{"node_id": "node7", "address": "http://10.0.0.7:3001/", "capacity": 500}"#;
        let added = surface.send("POST", "/api/v1/nodes", Some(&admin), body).await;
        let key = ClusterKey::parse(KEY).unwrap().node_key(&"node7".into());
        assert_eq!((added.code, &added.json()["key"]), (201, &json!(key.reveal())));
        let shown = surface.send("GET", "/api/v1/nodes/node7", Some(&admin), "").await.json();
        assert_eq!(
            (&shown["address"], &shown["capacity"], &shown["weight"], &shown["status"]),
            (&json!("http://10.0.0.7:3001"), &json!(500), &json!(100), &json!("new"))
        );
        assert_eq!(surface.send("POST", "/api/v1/nodes", Some(&admin), body).await.code, 409);
    }

    #[tokio::test]
    async fn a_wish_to_recover_is_accepted_for_a_known_node_only() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let body = r#"{"node_id": "node1", "address": "http://10.0.0.5:8910"}"#;
        surface.send("POST", "/api/v1/nodes", Some(&admin), body).await;
        for (node, status) in [("node1", 202), ("node9", 404)] {
            let path = format!("/api/v1/nodes/{node}/recover");
            assert_eq!(surface.send("POST", &path, Some(&admin), "").await.code, status);
        }
    }

    #[tokio::test]
    async fn an_unknown_node_is_404() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let answer = surface.send("GET", "/api/v1/nodes/node9", Some(&admin), "").await;
        assert_eq!((answer.code, &answer.json()["detail"]), (404, &json!("there is no node node9")));
    }

    #[tokio::test]
    async fn each_wrong_field_is_named() {
        let surface = Surface::plain().await;
        let admin = surface.key("admin").await;
        let body = r#"{"node_id": "node 7", "address": "10.0.0.7", "weight": 0, "wieght": 3}"#;
        let errors = surface.send("POST", "/api/v1/nodes", Some(&admin), body).await.json()["errors"].clone();
        let fields: Vec<&str> =
            errors.as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["node_id", "address", "weight", "wieght"]);
    }
}
