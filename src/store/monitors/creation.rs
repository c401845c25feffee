//! Making and deleting monitors.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;

use super::NewMonitor;
use super::columns::SpecColumns;
use crate::store::catalog::Catalog;
use crate::store::cluster;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Value, values};

/// Beats deleted at once, so that no lock is held for long.
const BEATS_BATCH: u32 = 5_000;
/// Rows of one INSERT.
const ROWS: usize = 500;
/// The colour of tags made by komainu, one of Kuma's own palette.
const TAG_COLOR: &str = "#4B5563";

/// Makes all of these monitors, or none.
pub async fn create_all(store: &Store, new: &[NewMonitor]) -> Result<Vec<MonitorId>, StoreError> {
    let catalog = store.catalog().await?;
    in_transaction!(store, "make monitors", |session| create_in(session, &catalog, new).await)
}

async fn create_in(session: &mut Session, catalog: &Catalog, new: &[NewMonitor]) -> Result<Vec<MonitorId>, StoreError> {
    let columns = SpecColumns::of(catalog);
    let user = first_user(session, catalog).await?;
    let placed = u32::try_from(new.iter().filter(|monitor| monitor.node_id.is_some()).count()).unwrap_or(u32::MAX);
    // First: it locks the cluster's row, as every change of an assignment does.
    let generation = match placed {
        0 => None,
        _ => Some(cluster::raise_generation(session, "operator", placed).await?.generation),
    };
    let mut ids = Vec::with_capacity(new.len());
    for monitor in new {
        let (names, bound) = columns.inserted(&monitor.spec, user);
        let marks = vec!["?"; bound.len()].join(", ");
        let sql = format!("INSERT INTO monitor ({names}) VALUES ({marks})");
        ids.push(MonitorId(session.insert("make a monitor", sql, bound).await?));
    }
    let made: Vec<(MonitorId, &NewMonitor)> = ids.iter().copied().zip(new).collect();
    describe(session, &made).await?;
    tag(session, catalog, &made).await?;
    if let Some(generation) = generation {
        let homes = made.iter().filter_map(|(id, monitor)| {
            let node = monitor.node_id.as_ref()?;
            Some(values![*id, node, monitor.pinned, "operator", generation])
        });
        let head = "INSERT INTO komainu_assignment (monitor_id, node_id, pinned, reason, generation, changed_at)";
        for node in
            made.iter().filter_map(|(_, monitor)| monitor.node_id.as_ref()).collect::<std::collections::BTreeSet<_>>()
        {
            cluster::ensure_node(session, node).await?;
        }
        let now = session.dialect().now_ms();
        insert_rows(session, head, &format!("(?, ?, ?, ?, ?, {now})"), homes.collect()).await?;
    }
    Ok(ids)
}

/// Kuma's UI hides a monitor that belongs to nobody.
async fn first_user(session: &mut Session, catalog: &Catalog) -> Result<Option<i64>, StoreError> {
    if !catalog.has_table("user") {
        return Ok(None);
    }
    let row = session.row("look up Kuma's user", "SELECT MIN(id) AS id FROM `user`", vec![]).await?;
    row.map_or(Ok(None), |row| row.maybe_int("id"))
}

/// What komainu knows of a monitor beside Kuma's row.
async fn describe(session: &mut Session, made: &[(MonitorId, &NewMonitor)]) -> Result<(), StoreError> {
    let rows = made.iter().map(|(id, monitor)| {
        let channels = serde_json::to_string(&monitor.channels).unwrap_or_else(|_| "[]".to_owned());
        values![*id, monitor.reference.clone(), channels, "api"]
    });
    let head = "INSERT INTO komainu_monitor (monitor_id, ref, channels, made_by, created_at, updated_at)";
    let now = session.dialect().now_ms();
    insert_rows(session, head, &format!("(?, ?, ?, ?, {now}, {now})"), rows.collect()).await
}

/// Tags by name, in Kuma's own tables.
async fn tag(session: &mut Session, catalog: &Catalog, made: &[(MonitorId, &NewMonitor)]) -> Result<(), StoreError> {
    if !catalog.has_table("monitor_tag") {
        return Ok(());
    }
    let mut known: BTreeMap<&str, i64> = BTreeMap::new();
    let mut rows = vec![];
    for (id, monitor) in made {
        for name in &monitor.tags {
            let tag = match known.get(name.as_str()) {
                Some(tag) => *tag,
                None => ensure_tag(session, name).await?,
            };
            known.insert(name, tag);
            rows.push(values![*id, tag, ""]);
        }
    }
    insert_rows(session, "INSERT INTO monitor_tag (monitor_id, tag_id, value)", "(?, ?, ?)", rows).await
}

async fn ensure_tag(session: &mut Session, name: &str) -> Result<i64, StoreError> {
    let act = "look up a tag";
    let row = session.row(act, "SELECT MIN(id) AS id FROM tag WHERE name = ?", values![name]).await?;
    if let Some(id) = row.map_or(Ok(None), |row| row.maybe_int("id"))? {
        return Ok(id);
    }
    session.insert("make a tag", "INSERT INTO tag (name, color) VALUES (?, ?)", values![name, TAG_COLOR]).await
}

async fn insert_rows(session: &mut Session, head: &str, shape: &str, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
    for part in rows.chunks(ROWS) {
        let sql = format!("{head} VALUES {}", vec![shape; part.len()].join(", "));
        session.execute("make monitors", Sql::Once(sql), part.concat()).await?;
    }
    Ok(())
}

/// Deletes one with everything that hangs on it; `false`: there was none. Its node notices within one slice; a beat
/// that comes later is not stored.
pub async fn delete(store: &Store, id: MonitorId) -> Result<bool, StoreError> {
    let catalog = store.catalog().await?;
    let mut lease = store.lease("delete a monitor").await?;
    let sql = "UPDATE monitor SET active = 0 WHERE id = ?";
    if lease.execute("pause a monitor", sql, values![id]).await? == 0 {
        return Ok(false);
    }
    // Kuma's foreign key would delete them too, all within one transaction.
    let sql = match store.dialect() {
        // With a subquery it would read the whole table for each batch.
        Dialect::MariaDb => format!("DELETE FROM heartbeat WHERE monitor_id = ? LIMIT {BEATS_BATCH}"),
        Dialect::Sqlite => format!(
            "DELETE FROM heartbeat WHERE id IN (SELECT id FROM heartbeat WHERE monitor_id = ? LIMIT {BEATS_BATCH})"
        ),
    };
    while lease.execute("delete a monitor's beats", sql.as_str(), values![id]).await? > 0 {}
    drop(lease);
    in_transaction!(store, "delete a monitor", |session| delete_in(session, &catalog, id).await)
}

async fn delete_in(session: &mut Session, catalog: &Catalog, id: MonitorId) -> Result<bool, StoreError> {
    let act = "delete a monitor";
    for table in ["komainu_assignment", "komainu_monitor", "monitor_tag"] {
        if catalog.has_table(table) {
            session.execute(act, format!("DELETE FROM {table} WHERE monitor_id = ?"), values![id]).await?;
        }
    }
    Ok(session.execute(act, "DELETE FROM monitor WHERE id = ?", values![id]).await? == 1)
}
