//! What people call the subjects of incidents whose keys hold a number.

use std::collections::BTreeMap;

use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::session::{Session, Sql};

/// Kinds whose subject is a monitor.
const OF_MONITORS: [&str; 3] = ["monitor", "certificate", "disagreement/monitor"];

/// The names of the monitors that these incidents are about, by key. One that is deleted has none.
pub(crate) async fn names<'a>(
    session: &mut Session,
    keys: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let monitor_of = |key: &'a str| {
        let (kind, id) = key.rsplit_once('/').filter(|(kind, _)| OF_MONITORS.contains(kind))?;
        Some((format!("{kind}/{id}"), id.parse::<i64>().ok()?))
    };
    let monitors: BTreeMap<String, i64> = keys.filter_map(monitor_of).collect();
    if monitors.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<i64> = monitors.values().copied().collect();
    let sql = format!("SELECT id, name FROM monitor WHERE id IN ({})", id_list(&ids));
    let rows = session.rows("read the names of monitors", Sql::Once(sql), vec![]).await?;
    let names = rows.iter().map(|row| Ok((row.int("id")?, row.text("name")?)));
    let names = names.collect::<Result<BTreeMap<i64, String>, StoreError>>()?;
    let subject = |(key, id)| Some((key, names.get(&id).filter(|name| !name.is_empty())?.clone()));
    Ok(monitors.into_iter().filter_map(subject).collect())
}
