//! What may depend and be depended on: which of the names that people say are there.

use std::collections::{BTreeMap, BTreeSet};

use super::{TOGETHER, places};
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};
use crate::store::value::Value;

const ACT: &str = "look for what is depended on";

/// Of these, those that are there, each with the key of its incidents. A monitor may be named by its `ref`.
pub(in crate::store) async fn found(
    session: &mut Session,
    said: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut by_kind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (kind, name) in said.iter().filter_map(|one| one.split_once('/')) {
        by_kind.entry(kind).or_default().push(name);
    }
    let mut found = BTreeMap::new();
    for (kind, names) in by_kind {
        let is_there = match kind {
            "monitor" => monitors(session, &names).await?,
            "check" => named(session, ("komainu_check", "name"), &names).await?,
            "heartbeat" => named(session, ("komainu_heartbeat", "name"), &names).await?,
            "node" => named(session, ("node", "node_id"), &names).await?,
            _ => BTreeMap::new(),
        };
        found.extend(is_there.into_iter().map(|(name, key)| (format!("{kind}/{name}"), format!("{kind}/{key}"))));
    }
    Ok(found)
}

async fn named(
    session: &mut Session,
    (table, column): (&str, &str),
    names: &[&str],
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut found = BTreeMap::new();
    for part in names.chunks(TOGETHER) {
        let sql = format!("SELECT {column} AS name FROM {table} WHERE {column} IN ({})", places(part.len()));
        let values = part.iter().copied().map(Value::from).collect();
        for row in session.rows(ACT, Sql::Once(sql), values).await? {
            let name = row.text("name")?;
            found.insert(name.clone(), name);
        }
    }
    // Kuma's tables compare without regard to case; keys of incidents do not.
    found.retain(|name, _| names.contains(&name.as_str()));
    Ok(found)
}

async fn monitors(session: &mut Session, names: &[&str]) -> Result<BTreeMap<String, String>, StoreError> {
    let is_id = |name: &&str| name.parse::<i64>().is_ok_and(|id| id.to_string() == *name);
    let (ids, refs): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(|name| is_id(name));
    let ids: Vec<i64> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let mut found = BTreeMap::new();
    for part in ids.chunks(TOGETHER) {
        let sql = format!("SELECT id FROM monitor WHERE id IN ({})", id_list(part));
        for row in session.rows(ACT, Sql::Once(sql), vec![]).await? {
            let id = row.int("id")?.to_string();
            found.insert(id.clone(), id);
        }
    }
    for part in refs.chunks(TOGETHER) {
        let sql = format!("SELECT monitor_id, ref FROM komainu_monitor WHERE ref IN ({})", places(part.len()));
        let values = part.iter().copied().map(Value::from).collect();
        for row in session.rows(ACT, Sql::Once(sql), values).await? {
            found.insert(row.text("ref")?, row.int("monitor_id")?.to_string());
        }
    }
    Ok(found)
}
