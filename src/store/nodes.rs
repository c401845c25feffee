//! Nodes as operators see and change them. The leader's and the node's own writes are elsewhere.

use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::ids::{Incarnation, NodeId};
use komainu_watchdogs::time::Wall;

use super::cluster;
use super::error::StoreError;
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::value::{Row, Value, values};
use super::watch::{kinds, overlay, overlay_text};

/// A node to be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNode {
    /// Its id.
    pub node_id: NodeId,
    /// For people.
    pub name: String,
    /// Where its HTTP surface answers (`http://10.0.0.5:3001`).
    pub address: String,
    /// Its share of the load; 100 is usual.
    pub weight: u32,
    /// Monitors it takes at most; `None`: the policy's limit.
    pub capacity: Option<u32>,
    /// Types of monitor it can run; empty: all.
    pub kinds: Vec<String>,
}

/// What an operator may change; `None` leaves as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeChange {
    /// For people.
    pub name: Option<String>,
    /// Where its HTTP surface answers.
    pub address: Option<String>,
    /// Its share of the load.
    pub weight: Option<u32>,
    /// Monitors it takes at most; `Some(None)`: the policy's limit.
    pub capacity: Option<Option<u32>>,
    /// Types of monitor it can run.
    pub kinds: Option<Vec<String>>,
}

/// A node as people see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// Its id.
    pub node_id: NodeId,
    /// For people.
    pub name: String,
    /// Where its HTTP surface answers.
    pub address: String,
    /// As it stands in `node.status`.
    pub status: String,
    /// Drained, being drained, or neither.
    pub overlay: Overlay,
    /// The process that holds the lease.
    pub incarnation: Option<Incarnation>,
    /// Where that process runs.
    pub hostname: String,
    /// Its share of the load.
    pub weight: u32,
    /// Monitors it takes at most.
    pub capacity: Option<u32>,
    /// Types of monitor it can run; empty: all.
    pub kinds: Vec<String>,
    /// Active monitors it runs.
    pub monitors: u32,
    /// Active monitors at home on it.
    pub home_monitors: u32,
    /// When it last renewed.
    pub last_seen: Option<Wall>,
}

/// What became of a wish to delete a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// There was none.
    Unknown,
    /// It still holds its lease: stop it first.
    Alive,
    /// So many monitors are at home on it or run by it: drain it first.
    HasMonitors(u32),
}

/// All nodes.
pub async fn list(store: &Store) -> Result<Vec<NodeInfo>, StoreError> {
    let act = "read the nodes";
    // As subqueries of their own: joined to one another they would multiply.
    let count = |column: &str| {
        format!(
            "(SELECT COUNT(*) FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
             WHERE a.{column} = n.node_id AND m.active = 1)"
        )
    };
    let sql = format!(
        "SELECT n.node_id, n.node_name, n.address, n.status, n.overlay, n.incarnation, n.hostname, n.weight, \
         n.capacity, n.kinds, n.last_seen_ms, {} AS monitors, {} AS home_monitors FROM node n ORDER BY n.node_id",
        count("effective_node"),
        count("node_id")
    );
    let rows = store.lease(act).await?.rows(act, sql, vec![]).await?;
    rows.iter().map(info).collect()
}

fn info(row: &Row) -> Result<NodeInfo, StoreError> {
    Ok(NodeInfo {
        node_id: row.node("node_id")?,
        name: row.text("node_name")?,
        address: row.text("address")?,
        status: row.text("status")?,
        overlay: overlay(&row.text("overlay")?),
        incarnation: row.maybe_hex("incarnation")?,
        hostname: row.text("hostname")?,
        weight: row.small("weight")?,
        capacity: row.maybe_int("capacity")?.map(|_| row.small("capacity")).transpose()?,
        kinds: kinds(&row.text("kinds")?),
        monitors: row.small("monitors")?,
        home_monitors: row.small("home_monitors")?,
        last_seen: row.maybe_wall("last_seen_ms")?,
    })
}

/// One node.
pub async fn get(store: &Store, node: &NodeId) -> Result<Option<NodeInfo>, StoreError> {
    Ok(list(store).await?.into_iter().find(|info| info.node_id == *node))
}

/// Adds one; `false`: there is one of this id. One of the fork's, which nobody has entered yet, becomes this one.
pub async fn add(store: &Store, new: &NewNode) -> Result<bool, StoreError> {
    let host = new.address.split_once("://").map_or(new.address.as_str(), |(_, host)| host).trim_matches('/');
    let new_status = NodeStatus::New.as_str();
    let values = values![
        &new.node_id,
        &new.name,
        host,
        new_status,
        new_status,
        &new.address,
        new.weight,
        new.capacity,
        kinds_text(&new.kinds)
    ];
    // The dates and the hostname have no default in every version of the fork's table.
    let now = store.dialect().now_datetime();
    let sql = format!(
        "INSERT INTO node (node_id, node_name, host, status, komainu_status, address, weight, capacity, kinds, \
         hostname, location, active, is_primary, created_date, modified_date) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 1, 0, {now}, {now})"
    );
    let added = store.lease("add a node").await?.execute("add a node", sql, values).await;
    match added {
        Ok(_) => Ok(true),
        Err(error) if error.is_duplicate() => enter(store, new, host).await,
        Err(error) => Err(error),
    }
}

/// A node that stood in the fork's table has no address; its name and status are left to the fork.
async fn enter(store: &Store, new: &NewNode, host: &str) -> Result<bool, StoreError> {
    let act = "enter a node of the fork";
    let values = values![host, &new.address, new.weight, new.capacity, kinds_text(&new.kinds), &new.node_id];
    let sql = "UPDATE node SET host = ?, address = ?, weight = ?, capacity = ?, kinds = ? \
         WHERE node_id = ? AND address = '' AND incarnation IS NULL";
    Ok(store.lease(act).await?.execute(act, sql, values).await? == 1)
}

/// Changes one; `false`: there is none.
pub async fn edit(store: &Store, node: &NodeId, change: &NodeChange) -> Result<bool, StoreError> {
    let all = [
        ("node_name", change.name.as_ref().map(Value::from)),
        ("address", change.address.as_ref().map(Value::from)),
        ("weight", change.weight.map(Value::from)),
        ("capacity", change.capacity.map(Value::from)),
        ("kinds", change.kinds.as_ref().map(|kinds| Value::from(kinds_text(kinds)))),
    ];
    let (columns, values): (Vec<String>, Vec<Value>) =
        all.into_iter().filter_map(|(column, value)| value.map(|value| (format!(", {column} = ?"), value))).unzip();
    let now = store.dialect().now_datetime();
    let sql = format!("UPDATE node SET modified_date = {now}{} WHERE node_id = ?", columns.concat());
    let values = [values, values![node]].concat();
    Ok(store.lease("edit a node").await?.execute("edit a node", sql, values).await? == 1)
}

/// Deletes one that is neither alive nor at home to anything.
pub async fn delete(store: &Store, node: &NodeId) -> Result<Deletion, StoreError> {
    in_transaction!(store, "delete a node", |session| delete_in(session, node).await)
}

async fn delete_in(session: &mut Session, node: &NodeId) -> Result<Deletion, StoreError> {
    let act = "delete a node";
    cluster::lock(session).await?;
    let lock = session.dialect().for_update();
    let sql = format!("SELECT incarnation FROM node WHERE node_id = ?{lock}");
    let Some(row) = session.row(act, sql, values![node]).await? else { return Ok(Deletion::Unknown) };
    if row.maybe_text("incarnation")?.is_some() {
        return Ok(Deletion::Alive);
    }
    let sql = "SELECT COUNT(*) AS bound FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
         WHERE a.node_id = ? OR a.effective_node = ? OR a.source_node = ?";
    let bound = session.row(act, sql, values![node, node, node]).await?.map_or(Ok(0), |row| row.small("bound"))?;
    if bound > 0 {
        return Ok(Deletion::HasMonitors(bound));
    }
    session.execute(act, "DELETE FROM node WHERE node_id = ?", values![node]).await?;
    cluster::raise_generation(session, "node_deleted", 0).await?;
    Ok(Deletion::Deleted)
}

/// Lays an overlay over its status (drain: `Draining`, resume: `None`); `false`: there is none.
pub async fn set_overlay(store: &Store, node: &NodeId, overlay: Overlay) -> Result<bool, StoreError> {
    let text = overlay_text(overlay);
    wish(store, node, "overlay = ?", values![text]).await
}

/// Asks the leader to bring its monitors home now; `false`: there is none.
pub async fn ask_recover(store: &Store, node: &NodeId) -> Result<bool, StoreError> {
    wish(store, node, "recover_asked = ?", values![true]).await
}

/// Writes what an operator wants of a node, and refuses decisions that were planned before.
async fn wish(store: &Store, node: &NodeId, set: &str, values: Vec<Value>) -> Result<bool, StoreError> {
    in_transaction!(store, "write a wish", |session| wish_in(session, node, set, values.clone()).await)
}

async fn wish_in(session: &mut Session, node: &NodeId, set: &str, values: Vec<Value>) -> Result<bool, StoreError> {
    cluster::lock(session).await?;
    let now = session.dialect().now_datetime();
    let sql = format!("UPDATE node SET {set}, modified_date = {now} WHERE node_id = ?");
    let found = session.execute("write a wish", sql, [values, values![node]].concat()).await? == 1;
    if found {
        cluster::raise_generation(session, "operator", 0).await?;
    }
    Ok(found)
}

/// As it stands in the column; NULL: all.
pub(super) fn kinds_text(kinds: &[String]) -> Option<String> {
    if kinds.is_empty() { None } else { serde_json::to_string(kinds).ok() }
}
