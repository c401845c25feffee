//! Nodes as operators see, add, change and delete them; each change with its row in the audit trail, in one
//! transaction. What an operator asks of a node is in [`super::hands`]; the leader's and the node's own writes are
//! elsewhere.

mod deletion;

use komainu_watchdogs::facts::{NodeStatus, Overlay};
use komainu_watchdogs::ids::{Incarnation, NodeId};
use komainu_watchdogs::time::Wall;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::audit;
use super::cluster;
use super::error::StoreError;
use super::hands::deed;
use super::pool::{Store, in_transaction};
use super::session::Session;
use super::value::{Row, Value, values};
use super::watch::{overlay, text_list};

pub use deletion::{Deletion, DeletionWish, delete};

/// A share of the load when nobody says otherwise.
const USUAL_WEIGHT: u32 = 100;

/// A node to be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNode {
    /// The node's id.
    pub node_id: NodeId,
    /// Its name, for people.
    pub name: String,
    /// Where its HTTP surface answers (`http://10.0.0.5:3001`).
    pub address: String,
    /// Its share of the load; 100 is usual.
    pub weight: u32,
    /// Monitors it takes at most; `None`: the policy's limit.
    pub capacity: Option<u32>,
    /// Types of monitor it can run; empty: all.
    pub kinds: Vec<String>,
    /// What monitors may ask of their node (`run_on`).
    pub labels: Vec<String>,
}

impl Default for NewNode {
    fn default() -> Self {
        Self {
            node_id: NodeId::default(),
            name: String::new(),
            address: String::new(),
            weight: USUAL_WEIGHT,
            capacity: None,
            kinds: Vec::new(),
            labels: Vec::new(),
        }
    }
}

/// What an operator may change; `None` leaves as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeChange {
    /// Its name, for people.
    pub name: Option<String>,
    /// Where its HTTP surface answers.
    pub address: Option<String>,
    /// Its share of the load.
    pub weight: Option<u32>,
    /// Monitors it takes at most; `Some(None)`: the policy's limit.
    pub capacity: Option<Option<u32>>,
    /// Types of monitor it can run. A native node says so itself whenever it starts.
    pub kinds: Option<Vec<String>>,
    /// What monitors may ask of their node (`run_on`).
    pub labels: Option<Vec<String>>,
}

/// A node as people see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// The node's id.
    pub node_id: NodeId,
    /// Its name, for people.
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
    /// What monitors may ask of their node (`run_on`).
    pub labels: Vec<String>,
    /// A drain of it takes pinned monitors along.
    pub drains_pinned: bool,
    /// An operator asked to bring its monitors home now, and some are still to come.
    pub recover_asked: bool,
    /// `native` or `kuma`; `None`: it never registered.
    pub runner: Option<String>,
    /// Active monitors it runs.
    pub monitors: u32,
    /// Active monitors at home on it.
    pub home_monitors: u32,
    /// When it last renewed.
    pub last_seen: Option<Wall>,
}

impl NodeInfo {
    /// Of what an operator may change; what automation writes does not change it. With its quotes, as in the header.
    pub fn etag(&self) -> String {
        etag(&json!([self.name, self.address, self.weight, self.capacity, self.kinds, self.labels]))
    }
}

/// Hex digits shown: 128 bits, so that two states never share one by chance.
const ETAG_DIGITS: usize = 32;

fn etag(editable: &Json) -> String {
    let digest = hex::encode(Sha256::digest(editable.to_string().as_bytes()));
    format!("\"{}\"", digest.get(..ETAG_DIGITS).unwrap_or_default())
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
         n.capacity, n.kinds, n.labels, n.drains_pinned, n.recover_asked, n.runner, n.last_seen_ms, {} AS monitors, {} AS home_monitors FROM node n ORDER BY n.node_id",
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
        kinds: text_list(&row.text("kinds")?),
        labels: text_list(&row.text("labels")?),
        drains_pinned: row.flag("drains_pinned")?,
        recover_asked: row.flag("recover_asked")?,
        runner: row.maybe_text("runner")?,
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
pub async fn add(store: &Store, new: &NewNode, by: &str) -> Result<bool, StoreError> {
    in_transaction!(store, "add a node", |session| add_in(session, new, by).await)
}

async fn add_in(session: &mut Session, new: &NewNode, by: &str) -> Result<bool, StoreError> {
    let act = "add a node";
    cluster::lock(session).await?;
    let host = new.address.split_once("://").map_or(new.address.as_str(), |(_, host)| host).trim_matches('/');
    let lock = session.dialect().for_update();
    let sql = format!("SELECT address, incarnation FROM node WHERE node_id = ?{lock}");
    match session.row(act, sql, values![&new.node_id]).await? {
        None => insert(session, new, host).await?,
        Some(row) if is_entered(&row)? => return Ok(false),
        Some(_) => enter(session, new, host).await?,
    }
    let after = json!({
        "name": new.name, "address": new.address, "weight": new.weight, "capacity": new.capacity,
        "kinds": new.kinds, "labels": new.labels,
    });
    audit::append_in(session, &deed(by, "node.add", new.node_id.as_str(), None, Some(after))).await?;
    Ok(true)
}

/// A node that stood in the fork's table has no address.
fn is_entered(row: &Row) -> Result<bool, StoreError> {
    Ok(!row.text("address")?.is_empty() || row.maybe_text("incarnation")?.is_some())
}

async fn insert(session: &mut Session, new: &NewNode, host: &str) -> Result<(), StoreError> {
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
        list_text(&new.kinds),
        list_text(&new.labels)
    ];
    // The dates and the hostname have no default in every version of the fork's table.
    let now = session.dialect().now_datetime();
    let sql = format!(
        "INSERT INTO node (node_id, node_name, host, status, komainu_status, address, weight, capacity, kinds, labels, \
         hostname, location, active, is_primary, created_date, modified_date) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 1, 0, {now}, {now})"
    );
    session.execute("add a node", sql, values).await.map(|_| ())
}

/// The name and the status of a node of the fork's are left to the fork.
async fn enter(session: &mut Session, new: &NewNode, host: &str) -> Result<(), StoreError> {
    let (kinds, labels) = (list_text(&new.kinds), list_text(&new.labels));
    let values = values![host, &new.address, new.weight, new.capacity, kinds, labels, &new.node_id];
    let sql =
        "UPDATE node SET host = ?, address = ?, weight = ?, capacity = ?, kinds = ?, labels = ? WHERE node_id = ?";
    session.execute("enter a node of the fork", sql, values).await.map(|_| ())
}

/// Changes one, only what is named; `false`: there is none.
pub async fn edit(store: &Store, node: &NodeId, change: &NodeChange, by: &str) -> Result<bool, StoreError> {
    Ok(edit_if(store, node, change, by, |_| true).await? != Edited::Unknown)
}

/// What became of an edit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edited {
    /// It is as wished.
    Done,
    /// There is no such node.
    Unknown,
    /// It is not what the client had seen.
    Stale,
}

/// The same, only if the caller had seen it as it is: `is_seen` is given its [`NodeInfo::etag`].
pub async fn edit_if(
    store: &Store,
    node: &NodeId,
    change: &NodeChange,
    by: &str,
    is_seen: impl Fn(&str) -> bool,
) -> Result<Edited, StoreError> {
    in_transaction!(store, "edit a node", |session| edit_in(session, node, change, by, &is_seen).await)
}

async fn edit_in(
    session: &mut Session,
    node: &NodeId,
    change: &NodeChange,
    by: &str,
    is_seen: impl Fn(&str) -> bool,
) -> Result<Edited, StoreError> {
    let act = "edit a node";
    cluster::lock(session).await?;
    // It takes the row's lock, and needs the same grant as a change.
    let now = session.dialect().now_datetime();
    let touch = format!("UPDATE node SET modified_date = {now} WHERE node_id = ?");
    if session.execute(act, touch, values![node]).await? == 0 {
        return Ok(Edited::Unknown);
    }
    let sql = "SELECT node_name, address, weight, capacity, kinds, labels FROM node WHERE node_id = ?";
    let row = session.row(act, sql, values![node]).await?.ok_or(StoreError::SchemaMissing)?;
    if !is_seen(&etag_of(&row)?) {
        return Ok(Edited::Stale);
    }
    let edits = edits(&row, change)?;
    if edits.is_empty() {
        return Ok(Edited::Done);
    }
    let sets: Vec<String> = edits.iter().map(|edit| format!("{} = ?", edit.column)).collect();
    let sql = format!("UPDATE node SET {} WHERE node_id = ?", sets.join(", "));
    let values: Vec<Value> = edits.iter().map(|edit| edit.value.clone()).chain(values![node]).collect();
    session.execute(act, sql, values).await?;
    // What was planned for the node as it was is planned anew.
    if edits.iter().any(|edit| edit.is_planned_with) {
        cluster::raise_generation(session, "operator", 0).await?;
    }
    let shown = |of: fn(&Edit) -> &Json| -> Json {
        edits.iter().map(|edit| (edit.name.to_owned(), of(edit).clone())).collect::<Map<_, _>>().into()
    };
    let (before, after) = (shown(|edit| &edit.before), shown(|edit| &edit.after));
    audit::append_in(session, &deed(by, "node.edit", node.as_str(), Some(before), Some(after))).await?;
    Ok(Edited::Done)
}

fn etag_of(row: &Row) -> Result<String, StoreError> {
    let (kinds, labels) = (text_list(&row.text("kinds")?), text_list(&row.text("labels")?));
    let capacity = row.maybe_int("capacity")?;
    let weight: u32 = row.small("weight")?;
    Ok(etag(&json!([row.text("node_name")?, row.text("address")?, weight, capacity, kinds, labels])))
}

/// A column that gets another value.
struct Edit {
    name: &'static str,
    column: &'static str,
    value: Value,
    before: Json,
    after: Json,
    is_planned_with: bool,
}

/// What differs from what stands there.
fn edits(row: &Row, change: &NodeChange) -> Result<Vec<Edit>, StoreError> {
    let text = |text: &Option<String>| text.as_ref().map(|text| (Value::from(text), json!(text)));
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| (Value::from(list_text(list)), json!(list)));
    let capacity = row.maybe_int("capacity")?;
    let all = [
        ("name", "node_name", json!(row.text("node_name")?), text(&change.name), false),
        ("address", "address", json!(row.text("address")?), text(&change.address), false),
        ("weight", "weight", json!(row.small("weight")?), change.weight.map(|it| (it.into(), json!(it))), true),
        ("capacity", "capacity", json!(capacity), change.capacity.map(|it| (it.into(), json!(it))), true),
        ("kinds", "kinds", json!(text_list(&row.text("kinds")?)), list(&change.kinds), true),
        ("labels", "labels", json!(text_list(&row.text("labels")?)), list(&change.labels), true),
    ];
    let edits = all.into_iter().filter_map(|(name, column, before, change, is_planned_with)| {
        let (value, after) = change.filter(|(_, after)| *after != before)?;
        Some(Edit { name, column, value, before, after, is_planned_with })
    });
    Ok(edits.collect())
}

/// As it stands in the column; NULL: none said, which for types means all.
pub(super) fn list_text(list: &[String]) -> Option<String> {
    if list.is_empty() { None } else { serde_json::to_string(list).ok() }
}
