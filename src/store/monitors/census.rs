//! All monitors in brief, a slice at a time: for whoever keeps them in memory.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::{MonitorId, NodeId};

use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::{Row, values};

/// What a list shows of a monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MonitorBrief {
    /// The row's key.
    pub id: MonitorId,
    /// As its owner called it.
    pub name: String,
    /// `http`, `ping` …
    pub kind: String,
    /// Its address, or its host name; of a type that has neither, nothing.
    pub target: String,
    /// It is to run.
    pub active: bool,
    /// Who runs it.
    pub effective_node: Option<NodeId>,
    /// Bound to that node.
    pub pinned: bool,
    /// Names of its tags.
    pub tags: Vec<String>,
}

/// Monitors by rising key, behind this one.
pub async fn briefs(store: &Store, after: MonitorId, at_most: u32) -> Result<Vec<MonitorBrief>, StoreError> {
    let act = "read all monitors in brief";
    let catalog = store.catalog().await?;
    let mut lease = store.lease(act).await?;
    let sql = "SELECT m.id, m.name, m.type, m.url, m.hostname, m.active, a.effective_node, a.pinned FROM monitor m \
               LEFT JOIN komainu_assignment a ON a.monitor_id = m.id WHERE m.id > ? ORDER BY m.id LIMIT ?";
    let rows = lease.rows(act, sql, values![after, at_most]).await?;
    let mut briefs = rows.iter().map(brief).collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(last)) = (briefs.first().map(|brief| brief.id), briefs.last().map(|brief| brief.id)) else {
        return Ok(briefs);
    };
    if catalog.has_table("monitor_tag") {
        let sql = "SELECT mt.monitor_id, t.name FROM monitor_tag mt JOIN tag t ON t.id = mt.tag_id \
                   WHERE mt.monitor_id >= ? AND mt.monitor_id <= ? ORDER BY mt.monitor_id, t.name";
        let mut tags: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for row in lease.rows(act, sql, values![first, last]).await? {
            tags.entry(row.int("monitor_id")?).or_default().push(row.text("name")?);
        }
        for brief in &mut briefs {
            brief.tags = tags.remove(&brief.id.0).unwrap_or_default();
        }
    }
    Ok(briefs)
}

fn brief(row: &Row) -> Result<MonitorBrief, StoreError> {
    let text = |column: &str| Ok::<_, StoreError>(row.maybe_text(column)?.unwrap_or_default());
    let url = text("url")?;
    // What stands there until somebody writes an address.
    let has_url = !matches!(url.as_str(), "" | "https://" | "http://");
    Ok(MonitorBrief {
        id: MonitorId(row.int("id")?),
        name: text("name")?,
        kind: text("type")?,
        target: if has_url { url } else { text("hostname")? },
        active: row.flag("active")?,
        effective_node: row.maybe_node("effective_node")?,
        pinned: row.maybe_int("pinned")? == Some(1),
        tags: vec![],
    })
}
