//! Tags by name, in Kuma's own tables.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;

use super::rows::insert_rows;
use crate::store::catalog::Catalog;
use crate::store::error::StoreError;
use crate::store::session::Session;
use crate::store::value::values;

/// The colour of tags made by komainu, one of Kuma's own palette.
const COLOR: &str = "#4B5563";

/// Gives tags to monitors that do not have them; a tag that does not exist is made.
pub(super) async fn add(
    session: &mut Session,
    catalog: &Catalog,
    monitors: &[(MonitorId, &[String])],
) -> Result<(), StoreError> {
    if !catalog.has_table("monitor_tag") {
        return Ok(());
    }
    let mut known: BTreeMap<&str, i64> = BTreeMap::new();
    let mut rows = vec![];
    for (id, names) in monitors {
        for name in *names {
            let tag = match known.get(name.as_str()) {
                Some(tag) => *tag,
                None => ensure(session, name).await?,
            };
            known.insert(name, tag);
            rows.push(values![*id, tag, ""]);
        }
    }
    insert_rows(session, "INSERT INTO monitor_tag (monitor_id, tag_id, value)", "(?, ?, ?)", rows).await
}

/// Makes these the monitor's tags; one that stays keeps the value that Kuma's UI gave it.
pub(super) async fn replace(
    session: &mut Session,
    catalog: &Catalog,
    id: MonitorId,
    before: &[String],
    after: &[String],
) -> Result<(), StoreError> {
    let gone = before.iter().filter(|name| !after.contains(name));
    for name in gone {
        let sql = "DELETE FROM monitor_tag WHERE monitor_id = ? AND tag_id IN (SELECT id FROM tag WHERE name = ?)";
        session.execute("take a tag away", sql, values![id, name]).await?;
    }
    let come: Vec<String> = after.iter().filter(|name| !before.contains(name)).cloned().collect();
    add(session, catalog, &[(id, come.as_slice())]).await
}

async fn ensure(session: &mut Session, name: &str) -> Result<i64, StoreError> {
    let act = "look up a tag";
    // Kuma's tables take `Prod` for `prod`; clients do not.
    for row in session.rows(act, "SELECT id, name FROM tag WHERE name = ? ORDER BY id", values![name]).await? {
        if row.text("name")? == name {
            return row.int("id");
        }
    }
    session.insert("make a tag", "INSERT INTO tag (name, color) VALUES (?, ?)", values![name, COLOR]).await
}
