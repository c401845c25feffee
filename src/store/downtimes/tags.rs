//! What people have tagged monitors with, in Kuma's pages or through the API.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;

use crate::store::catalog::Catalog;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};

/// Of each of these monitors that has any: by name, and as `name:value` where Kuma's tag has a value.
pub(in crate::store) async fn tags(
    session: &mut Session,
    catalog: &Catalog,
    monitors: &[MonitorId],
) -> Result<BTreeMap<MonitorId, Vec<String>>, StoreError> {
    let mut tags: BTreeMap<MonitorId, Vec<String>> = BTreeMap::new();
    if monitors.is_empty() || !catalog.has_table("monitor_tag") {
        return Ok(tags);
    }
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    let sql = format!(
        "SELECT x.monitor_id, t.name, x.value FROM monitor_tag x JOIN tag t ON t.id = x.tag_id \
         WHERE x.monitor_id IN ({})",
        id_list(&ids)
    );
    for row in session.rows("read the tags of monitors", Sql::Once(sql), vec![]).await? {
        let (name, value) = (row.text("name")?, row.text("value")?);
        let tags = tags.entry(MonitorId(row.int("monitor_id")?)).or_default();
        if !value.is_empty() {
            tags.push(format!("{name}:{value}"));
        }
        tags.push(name);
    }
    Ok(tags)
}
