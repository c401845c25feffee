//! What drafts name beside their own row: nodes, groups, proxies, docker hosts, browsers, push tokens.
//!
//! Read within the transaction that writes, so that nothing is named that is gone by then.

use std::collections::{BTreeMap, BTreeSet};

use komainu_watchdogs::facts::Overlay;
use komainu_watchdogs::ids::{MonitorId, NodeId};
use serde_json::Value as Json;

use super::rows::{existing, number};
use crate::monitor::{Columns, Draft, FieldFault};
use crate::store::catalog::Catalog;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};
use crate::store::watch::{overlay, text_list};

/// Tables whose rows a column names, and what they are called.
const NAMED: [(&str, &str, &str); 3] = [
    ("docker_host", "docker_host", "docker host"),
    ("proxy_id", "proxy", "proxy"),
    ("remote_browser", "remote_browser", "remote browser"),
];

/// What a node can run, and whether it takes anything.
struct Fit {
    overlay: Overlay,
    kinds: Vec<String>,
    labels: Vec<String>,
}

/// Only what the drafts name is read.
#[derive(Default)]
pub(super) struct World {
    nodes: BTreeMap<NodeId, Fit>,
    is_observing: bool,
    /// Groups with the groups that they belong to.
    groups: BTreeMap<i64, Option<i64>>,
    rows: BTreeMap<&'static str, BTreeSet<i64>>,
    tokens: BTreeMap<String, i64>,
    /// Groups that something belongs to.
    parents: BTreeSet<i64>,
}

impl World {
    /// `locks`: what is named stays what it is until the transaction ends.
    pub(super) async fn read(
        session: &mut Session,
        catalog: &Catalog,
        drafts: &[&Draft],
        locks: bool,
    ) -> Result<Self, StoreError> {
        let mut world = Self::default();
        if drafts.iter().any(|draft| draft.node_id.is_some()) {
            world.read_nodes(session).await?;
        }
        let names_group = |draft: &&Draft| draft.columns.contains_key("parent") || draft.columns.contains_key("type");
        if drafts.iter().any(names_group) && catalog.has_column("monitor", "parent") {
            world.read_groups(session, drafts, locks).await?;
        }
        for (column, table, _) in NAMED {
            let ids: BTreeSet<i64> = drafts.iter().filter_map(|draft| number(&draft.columns, column)).collect();
            if !ids.is_empty() && catalog.has_table(table) {
                world.rows.insert(column, existing(session, table, &ids).await?);
            }
        }
        world.read_tokens(session, drafts).await?;
        Ok(world)
    }

    async fn read_nodes(&mut self, session: &mut Session) -> Result<(), StoreError> {
        let sql = "SELECT mode FROM komainu_cluster WHERE id = 1 AND mode = 'observe'";
        self.is_observing = session.row("read the cluster", sql, vec![]).await?.is_some();
        let sql = "SELECT node_id, overlay, kinds, labels FROM node";
        for row in session.rows("read the nodes", sql, vec![]).await? {
            let fit = Fit {
                overlay: overlay(&row.text("overlay")?),
                kinds: text_list(&row.text("kinds")?),
                labels: text_list(&row.maybe_text("labels")?.unwrap_or_default()),
            };
            self.nodes.insert(row.node("node_id")?, fit);
        }
        Ok(())
    }

    async fn read_groups(&mut self, session: &mut Session, drafts: &[&Draft], locks: bool) -> Result<(), StoreError> {
        let named: BTreeSet<i64> = drafts.iter().filter_map(|draft| number(&draft.columns, "parent")).collect();
        if locks && !named.is_empty() {
            // They stay groups until this transaction ends.
            let ids: Vec<i64> = named.into_iter().collect();
            let list = crate::store::decisions::id_list(&ids);
            let lock = session.dialect().in_share_mode();
            let sql = format!("SELECT id FROM monitor WHERE id IN ({list}) ORDER BY id{lock}");
            session.rows("lock groups", Sql::Once(sql), vec![]).await?;
        }
        let sql = "SELECT id, parent FROM monitor WHERE type = 'group'";
        for row in session.rows("read the groups", sql, vec![]).await? {
            self.groups.insert(row.int("id")?, row.maybe_int("parent")?);
        }
        let sql = "SELECT DISTINCT parent FROM monitor WHERE parent IS NOT NULL";
        for row in session.rows("read the groups", sql, vec![]).await? {
            self.parents.insert(row.int("parent")?);
        }
        Ok(())
    }

    async fn read_tokens(&mut self, session: &mut Session, drafts: &[&Draft]) -> Result<(), StoreError> {
        let token = |draft: &&Draft| draft.columns.get("push_token").and_then(Json::as_str).map(Value::from);
        let tokens: Vec<Value> = drafts.iter().filter_map(token).collect();
        for part in tokens.chunks(500) {
            let marks = vec!["?"; part.len()].join(", ");
            let sql = format!("SELECT id, push_token FROM monitor WHERE push_token IN ({marks})");
            for row in session.rows("look up push tokens", Sql::Once(sql), part.to_vec()).await? {
                self.tokens.insert(row.text("push_token")?, row.int("id")?);
            }
        }
        Ok(())
    }

    /// What this transaction makes of groups, before anything is judged: whatever the order of the request.
    /// `before`: the group that it belongs to now.
    pub(super) fn foresee(&mut self, id: MonitorId, before: Option<i64>, changes: &Columns) {
        if changes.get("type").and_then(Json::as_str) == Some("group") {
            self.groups.entry(id.0).or_insert(before);
        }
        let Some(parent) = changes.get("parent").map(Json::as_i64) else { return };
        self.parents.extend(parent);
        if let Some(group) = self.groups.get_mut(&id.0) {
            *group = parent;
        }
    }

    /// What is wrong with what these columns name; `id`: of the monitor that is made or changed.
    pub(super) fn judge(&mut self, id: MonitorId, changes: &Columns) -> Vec<FieldFault> {
        let mut faults = vec![];
        for (column, _, called) in NAMED {
            let unknown = number(changes, column)
                .filter(|named| self.rows.get(column).is_none_or(|known| !known.contains(named)));
            faults.extend(unknown.map(|named| FieldFault::new(column, format!("there is no {called} {named}"))));
        }
        faults.extend(number(changes, "parent").and_then(|parent| self.parent_fault(id, parent)));
        let leaves = changes.get("type").is_some_and(|kind| kind.as_str() != Some("group"));
        if leaves && self.groups.contains_key(&id.0) && self.parents.contains(&id.0) {
            let fault = format!("monitor {id} is a group with members; give them another parent first");
            faults.push(FieldFault::conflict("type", fault));
        }
        if let Some(token) = changes.get("push_token").and_then(Json::as_str) {
            // Also among the monitors of this request.
            let owner = self.tokens.insert(token.to_owned(), id.0);
            if owner.is_some_and(|owner| owner != id.0) {
                faults.push(FieldFault::conflict(
                    "push_token",
                    "another monitor has it; leave it out to get a fresh one",
                ));
            }
        }
        faults
    }

    fn parent_fault(&self, id: MonitorId, parent: i64) -> Option<FieldFault> {
        if !self.groups.contains_key(&parent) {
            let message = format!("must be the id of a monitor of type group; {parent} is none");
            return Some(FieldFault::new("parent", message));
        }
        let (mut at, mut steps) = (Some(parent), 0);
        while let Some(group) = at {
            if id.0 == group || steps > self.groups.len() {
                let message = format!("group {parent} belongs to this monitor: it would be its own parent");
                return Some(FieldFault::conflict("parent", message));
            }
            steps += 1;
            at = self.groups.get(&group).copied().flatten();
        }
        None
    }

    /// What is wrong with this home for something new.
    pub(super) fn home_fault(&self, node: &NodeId, kind: &str, run_on: &[String]) -> Option<FieldFault> {
        if self.is_observing {
            let message = "the cluster only observes and gives nobody a home; `komainu adopt` starts automation";
            return Some(FieldFault::conflict("node_id", message));
        }
        let message = match self.nodes.get(node) {
            None => {
                format!("there is no node {node}; `komainu nodes list` shows them, without node_id the leader chooses")
            }
            Some(fit) if fit.overlay != Overlay::None => {
                let message = format!("{node} is to be empty; `komainu nodes resume {node}` ends that");
                return Some(FieldFault::conflict("node_id", message));
            }
            Some(fit) if !fit.kinds.is_empty() && !fit.kinds.iter().any(|known| known == kind) => {
                format!("{node} does not run monitors of type {kind}; it runs {}", fit.kinds.join(", "))
            }
            Some(fit) => {
                let lacking = run_on.iter().find(|label| !fit.labels.contains(label))?;
                format!("{node} does not bear the label {lacking} that run_on asks for")
            }
        };
        Some(FieldFault::new("node_id", message))
    }
}

/// The monitors to which clients gave these names.
pub(super) async fn by_refs(
    session: &mut Session,
    refs: &BTreeSet<&str>,
) -> Result<BTreeMap<String, MonitorId>, StoreError> {
    let refs: Vec<Value> = refs.iter().map(|reference| Value::from(*reference)).collect();
    let mut known = BTreeMap::new();
    for part in refs.chunks(500) {
        let marks = vec!["?"; part.len()].join(", ");
        let sql = format!("SELECT monitor_id, ref FROM komainu_monitor WHERE ref IN ({marks})");
        for row in session.rows("look up refs", Sql::Once(sql), part.to_vec()).await? {
            known.insert(row.text("ref")?, MonitorId(row.int("monitor_id")?));
        }
    }
    Ok(known)
}

/// Locks these monitors in the order of their keys, as everybody does who locks several.
pub(super) async fn lock(session: &mut Session, ids: &BTreeSet<MonitorId>) -> Result<(), StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let (by_primary, for_update) = (session.dialect().by_primary(), session.dialect().for_update());
    for part in ids.chunks(1_000) {
        let list = crate::store::decisions::id_list(part);
        let sql = format!("SELECT id FROM monitor{by_primary} WHERE id IN ({list}) ORDER BY id{for_update}");
        session.rows("lock monitors", Sql::Once(sql), values![]).await?;
    }
    Ok(())
}
