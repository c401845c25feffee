//! Making monitors whose rows are known to be right: the demo's, and those of tests.

use komainu_watchdogs::ids::MonitorId;

use super::NewMonitor;
use super::columns::SpecColumns;
use super::rows::{NewRow, first_user, insert};
use crate::store::catalog::Catalog;
use crate::store::cluster;
use crate::store::error::StoreError;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::Session;

/// Makes all of these monitors, or none.
pub async fn create_all(store: &Store, new: &[NewMonitor]) -> Result<Vec<MonitorId>, StoreError> {
    let catalog = store.catalog().await?;
    in_transaction!(store, "make monitors", |session| create_in(session, &catalog, new).await)
}

async fn create_in(session: &mut Session, catalog: &Catalog, new: &[NewMonitor]) -> Result<Vec<MonitorId>, StoreError> {
    let columns = SpecColumns::of(catalog);
    let rows: Vec<NewRow> = new
        .iter()
        .map(|monitor| NewRow {
            columns: columns.written(&monitor.spec),
            reference: monitor.reference.clone(),
            channels: monitor.channels.clone(),
            tags: monitor.tags.clone(),
            node_id: monitor.node_id.clone(),
            pinned: monitor.pinned,
            ..NewRow::default()
        })
        .collect();
    if new.iter().any(|monitor| monitor.node_id.is_some()) {
        cluster::lock(session).await?;
    }
    for node in rows.iter().filter_map(|row| row.node_id.as_ref()).collect::<std::collections::BTreeSet<_>>() {
        cluster::ensure_node(session, node).await?;
    }
    let user = first_user(session, catalog).await?;
    insert(session, catalog, &rows, user).await
}
