//! Which channels and tags the subjects of incidents have now: people change them while an incident is open.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::routing::Subject;

use crate::store::Store;
use crate::store::decisions::id_list;
use crate::store::downtimes::tags;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};
use crate::store::value::Value;
use crate::store::watch::text_list;

/// Brings these up to date; what is gone keeps what it had.
pub(in crate::store) async fn renew(store: &Store, mut subjects: Vec<&mut Subject>) -> Result<(), StoreError> {
    let monitors: Vec<_> = subjects.iter().filter_map(|subject| monitor(&subject.key)).collect();
    let heartbeats: Vec<_> = subjects.iter().filter_map(|subject| heartbeat(&subject.key)).map(str::to_owned).collect();
    let catalog = store.catalog().await?;
    let mut lease = store.lease("look for reminders").await?;
    let tags = tags(&mut lease, &catalog, &monitors).await?;
    let of_monitors = of_monitors(&mut lease, &monitors).await?;
    let of_heartbeats = of_heartbeats(&mut lease, &heartbeats).await?;
    for subject in &mut subjects {
        if let Some(monitor) = monitor(&subject.key) {
            if let Some(channels) = of_monitors.get(&monitor) {
                subject.channels.clone_from(channels);
                subject.tags = tags.get(&monitor).cloned().unwrap_or_default();
            }
        } else if let Some((channels, tags)) = heartbeat(&subject.key).and_then(|name| of_heartbeats.get(name)) {
            subject.channels.clone_from(channels);
            subject.tags.clone_from(tags);
        }
    }
    Ok(())
}

fn monitor(key: &str) -> Option<MonitorId> {
    let id = key.strip_prefix("monitor/").or_else(|| key.strip_prefix("certificate/"))?;
    id.parse().ok().map(MonitorId)
}

fn heartbeat(key: &str) -> Option<&str> {
    key.strip_prefix("heartbeat/")
}

async fn of_monitors(
    session: &mut Session,
    monitors: &[MonitorId],
) -> Result<BTreeMap<MonitorId, Vec<String>>, StoreError> {
    let mut found = BTreeMap::new();
    if monitors.is_empty() {
        return Ok(found);
    }
    let ids: Vec<i64> = monitors.iter().map(|monitor| monitor.0).collect();
    let sql = format!("SELECT monitor_id, channels FROM komainu_monitor WHERE monitor_id IN ({})", id_list(&ids));
    for row in session.rows("read the channels of monitors", Sql::Once(sql), vec![]).await? {
        found.insert(MonitorId(row.int("monitor_id")?), text_list(&row.text("channels")?));
    }
    Ok(found)
}

async fn of_heartbeats(
    session: &mut Session,
    names: &[String],
) -> Result<BTreeMap<String, (Vec<String>, Vec<String>)>, StoreError> {
    let mut found = BTreeMap::new();
    if names.is_empty() {
        return Ok(found);
    }
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("SELECT name, channels, tags FROM komainu_heartbeat WHERE name IN ({places})");
    let names = names.iter().map(|name| Value::from(name.as_str())).collect();
    for row in session.rows("read the channels of heartbeats", Sql::Once(sql), names).await? {
        found.insert(row.text("name")?, (text_list(&row.text("channels")?), text_list(&row.text("tags")?)));
    }
    Ok(found)
}
