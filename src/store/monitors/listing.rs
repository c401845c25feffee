//! Reading monitors for people and the API.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::{MonitorId, NodeId};
use komainu_watchdogs::opinion::Wish;

use super::columns::{SpecColumns, all_selected, read_all};
use super::{MonitorFilter, MonitorState, MonitorView};
use crate::store::catalog::Catalog;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::opinions::{RECORD, record};
use crate::store::pool::Store;
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};
use crate::store::watch::text_list;
use crate::store::{Page, key_of_cursor};

const ACT: &str = "read monitors";

/// One monitor.
pub async fn get(store: &Store, id: MonitorId) -> Result<Option<MonitorView>, StoreError> {
    Ok(select(store, " AND m.id = ?", values![id], 1).await?.into_iter().next())
}

/// The monitor to which a client gave this name.
pub async fn find_by_ref(store: &Store, reference: &str) -> Result<Option<MonitorView>, StoreError> {
    Ok(select(store, " AND k.ref = ?", values![reference], 1).await?.into_iter().next())
}

/// Monitors by rising key.
pub async fn list(
    store: &Store,
    filter: &MonitorFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<MonitorView>, StoreError> {
    let catalog = store.catalog().await?;
    let (mut condition, mut values) = conditions(filter, &catalog.stored_hint());
    if let Some(after) = key_of_cursor(cursor)? {
        condition.push_str(" AND m.id > ?");
        values.push(Value::Int(after));
    }
    let items = select(store, &condition, values, limit.saturating_add(1)).await?;
    Ok(Page::cut(items, limit, |view| view.spec.id.to_string()))
}

fn conditions(filter: &MonitorFilter, hint: &str) -> (String, Vec<Value>) {
    let by_tag = " AND EXISTS (SELECT 1 FROM monitor_tag mt JOIN tag t ON t.id = mt.tag_id \
         WHERE mt.monitor_id = m.id AND t.name = ?)";
    let search = filter.search.as_ref().map(|text| {
        let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
        Value::from(format!("%{escaped}%"))
    });
    let last = format!("(SELECT h.status FROM heartbeat h{hint} WHERE h.monitor_id = m.id ORDER BY h.id DESC LIMIT 1)");
    let state = match filter.state {
        None => String::new(),
        Some(MonitorState::Paused) => " AND m.active = 0".to_owned(),
        Some(MonitorState::Unknown) => format!(" AND m.active = 1 AND {last} IS NULL"),
        Some(MonitorState::Beat(status)) => format!(" AND m.active = 1 AND {last} = {}", status.code()),
    };
    let all = [
        (" AND a.effective_node = ?", filter.effective_node.as_ref().map(Value::from)),
        (" AND a.node_id = ?", filter.home.as_ref().map(Value::from)),
        (" AND m.active = ?", filter.active.map(Value::from)),
        (" AND m.type = ?", filter.kind.as_ref().map(Value::from)),
        (by_tag, filter.tag.as_ref().map(Value::from)),
        (" AND k.ref = ?", filter.reference.as_ref().map(Value::from)),
        (" AND k.managed_by = ?", filter.managed_by.as_ref().map(Value::from)),
        (" AND (m.name LIKE ? ESCAPE '!'", search.clone()),
        (" OR m.url LIKE ? ESCAPE '!'", search.clone()),
        (" OR m.hostname LIKE ? ESCAPE '!')", search),
    ];
    let (texts, values): (Vec<&str>, Vec<Value>) =
        all.into_iter().filter_map(|(text, value)| value.map(|value| (text, value))).unzip();
    (texts.concat() + &state, values)
}

async fn select(
    store: &Store,
    condition: &str,
    values: Vec<Value>,
    limit: u32,
) -> Result<Vec<MonitorView>, StoreError> {
    let catalog = store.catalog().await?;
    select_on(&mut *store.lease(ACT).await?, &catalog, condition, values, limit).await
}

/// The same within a transaction: what is committed, and what the transaction itself wrote.
pub(super) async fn select_on(
    session: &mut Session,
    catalog: &Catalog,
    condition: &str,
    values: Vec<Value>,
    limit: u32,
) -> Result<Vec<MonitorView>, StoreError> {
    let sql = format!(
        "SELECT {}{}, a.node_id AS home, a.assigned_node, a.effective_node, a.pinned, a.reason, k.ref, k.channels, \
         k.run_on, k.second_opinion, k.managed_by, k.made_by, k.created_at, k.updated_at, {RECORD} FROM monitor m \
         LEFT JOIN komainu_assignment a ON a.monitor_id = m.id LEFT JOIN komainu_monitor k ON k.monitor_id = m.id \
         LEFT JOIN komainu_opinion o ON o.monitor_id = m.id WHERE 1 = 1{condition} ORDER BY m.id LIMIT {limit}",
        SpecColumns::of(catalog).selected(),
        all_selected(catalog.monitor())
    );
    let rows = session.rows(ACT, Sql::Once(sql), values).await?;
    let mut views = rows.iter().map(|row| view(catalog, row)).collect::<Result<Vec<_>, _>>()?;
    if catalog.has_table("monitor_tag") {
        add_tags(session, &mut views).await?;
    }
    Ok(views)
}

fn view(catalog: &Catalog, row: &Row) -> Result<MonitorView, StoreError> {
    let made_by = row.maybe_text("made_by")?;
    Ok(MonitorView {
        spec: SpecColumns::read(row)?,
        columns: read_all(catalog.monitor(), row)?,
        node_id: row.maybe_node("home")?,
        assigned_node: row.maybe_text("assigned_node")?.map(NodeId::from),
        effective_node: row.maybe_node("effective_node")?,
        pinned: row.flag("pinned")?,
        reason: row.maybe_text("reason")?,
        reference: row.maybe_text("ref")?,
        tags: vec![],
        channels: text_list(&row.text("channels")?),
        run_on: text_list(&row.maybe_text("run_on")?.unwrap_or_default()),
        second_opinion: row.maybe_text("second_opinion")?.and_then(|text| Wish::parse(&text)),
        tag_values: vec![],
        opinion: record(row)?,
        managed_by: row.maybe_text("managed_by")?,
        created_at: if made_by.is_some() { row.maybe_wall("created_at")? } else { None },
        updated_at: row.maybe_wall("updated_at")?,
        made_by,
    })
}

async fn add_tags(session: &mut Session, views: &mut [MonitorView]) -> Result<(), StoreError> {
    if views.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = views.iter().map(|view| view.spec.id.0).collect();
    let sql = format!(
        "SELECT mt.monitor_id, t.name, mt.value FROM monitor_tag mt JOIN tag t ON t.id = mt.tag_id \
         WHERE mt.monitor_id IN ({}) ORDER BY mt.monitor_id, t.name",
        id_list(&ids)
    );
    let mut tags: BTreeMap<i64, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for row in session.rows("read tags", Sql::Once(sql), vec![]).await? {
        let (name, value) = (row.text("name")?, row.maybe_text("value")?.unwrap_or_default());
        let (names, values) = tags.entry(row.int("monitor_id")?).or_default();
        if !value.is_empty() {
            values.push(format!("{name}:{value}"));
        }
        values.push(name.clone());
        names.push(name);
    }
    for view in views {
        (view.tags, view.tag_values) = tags.remove(&view.spec.id.0).unwrap_or_default();
    }
    Ok(())
}
