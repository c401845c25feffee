//! One node for all traffic of people, where an operator says so. Monitors are not concerned.

use komainu_watchdogs::ids::NodeId;
use serde_json::json;

use super::{HandOutcome, Refusal, deed, lock};
use crate::store::audit;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;
use crate::store::value::values;

/// The node that takes all traffic of people, if an operator chose one.
pub async fn pinned_node(store: &Store) -> Result<Option<NodeId>, StoreError> {
    read(&mut *store.lease("read the cluster").await?).await
}

async fn read(session: &mut Session) -> Result<Option<NodeId>, StoreError> {
    let sql = "SELECT pinned_node FROM komainu_cluster WHERE id = 1";
    let row = session.row("read the cluster", sql, vec![]).await?.ok_or(StoreError::SchemaMissing)?;
    row.maybe_node("pinned_node")
}

/// Sends all traffic of people to this node. Where it is drained or lost, people go there all the same: an operator
/// said so. `false`: it was so already.
pub async fn pin_routing(store: &Store, node: &NodeId, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    in_transaction!(store, "pin the routing", |session| pin_in(session, node, by).await)
}

async fn pin_in(session: &mut Session, node: &NodeId, by: &str) -> Result<HandOutcome<bool>, StoreError> {
    lock(session).await?;
    let sql = "SELECT 1 AS one FROM node WHERE node_id = ?";
    if session.row("look up a node", sql, values![node]).await?.is_none() {
        return Ok(HandOutcome::Refused(Refusal::NoSuchNode(node.clone())));
    }
    set(session, Some(node), "routing.pin", by).await.map(HandOutcome::Done)
}

/// Lets the gateway choose again; `false`: it did already.
pub async fn unpin_routing(store: &Store, by: &str) -> Result<bool, StoreError> {
    in_transaction!(store, "unpin the routing", |session| unpin_in(session, by).await)
}

async fn unpin_in(session: &mut Session, by: &str) -> Result<bool, StoreError> {
    lock(session).await?;
    set(session, None, "routing.unpin", by).await
}

async fn set(session: &mut Session, node: Option<&NodeId>, what: &str, by: &str) -> Result<bool, StoreError> {
    let stood = read(session).await?;
    if stood.as_ref() == node {
        return Ok(false);
    }
    let sql = "UPDATE komainu_cluster SET pinned_node = ? WHERE id = 1";
    session.execute("pin the routing", sql, values![node]).await?;
    let (before, after) = (json!({"node_id": stood}), json!({"node_id": node}));
    audit::append_in(session, &deed(by, what, "routing", Some(before), Some(after))).await?;
    Ok(true)
}
