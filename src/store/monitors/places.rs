//! Where a monitor is and was before: a few lines beside its assignment, written by whatever moves it, in the same statement.

use komainu_watchdogs::ids::{Generation, MonitorId, NodeId};
use komainu_watchdogs::time::Wall;

use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::values;

/// Characters that are kept of what was: some eight moves between nodes with short names.
const MOST_CHARS: u32 = 400;

/// A node that runs a monitor, or ran it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which.
    pub node: NodeId,
    /// Why it was given to that one.
    pub reason: String,
    /// By which decision or hand.
    pub generation: Generation,
    /// Since when, by the database's clock.
    pub since: Wall,
}

/// What an `UPDATE` of assignments assigns before anything else, so that what stood is not forgotten.
pub(in crate::store) fn kept(dialect: Dialect) -> String {
    let node = "COALESCE(assigned_node, node_id, '')";
    let parts = ["changed_at", "' '", "generation", "' '", "reason", "' '", node, "'\n'", "places"];
    let line = match dialect {
        Dialect::MariaDb => format!("LEFT(CONCAT({}), {MOST_CHARS})", parts.join(", ")),
        Dialect::Sqlite => format!("SUBSTR({}, 1, {MOST_CHARS})", parts.join(" || ")),
    };
    // While nobody runs it, it is on its way: that is no place.
    format!("places = CASE WHEN {node} = '' THEN places ELSE {line} END")
}

/// Where it is and was, the latest first; `None`: nobody knows of such a monitor.
pub async fn places(store: &Store, monitor: MonitorId) -> Result<Option<Vec<Place>>, StoreError> {
    let act = "read where a monitor was";
    let sql = "SELECT m.id, COALESCE(a.effective_node, '') AS node, COALESCE(a.reason, '') AS reason, \
         COALESCE(a.generation, 0) AS generation, COALESCE(a.changed_at, 0) AS since, COALESCE(a.places, '') AS places \
         FROM monitor m LEFT JOIN komainu_assignment a ON a.monitor_id = m.id WHERE m.id = ?";
    let Some(row) = store.lease(act).await?.row(act, sql, values![monitor]).await? else { return Ok(None) };
    let now = Place {
        node: row.text("node")?.as_str().into(),
        reason: row.text("reason")?,
        generation: Generation(row.count("generation")?),
        since: row.wall("since")?,
    };
    let before = row.text("places")?;
    let all = std::iter::once(now).filter(|place| !place.node.as_str().is_empty()).chain(read(&before));
    Ok(Some(without_stays(all)))
}

/// What was cut off at the end says nothing.
fn read(lines: &str) -> impl Iterator<Item = Place> {
    lines.split_inclusive('\n').filter_map(|line| {
        let mut parts = line.strip_suffix('\n')?.splitn(4, ' ');
        let since = Wall(parts.next()?.parse().ok()?);
        let generation = Generation(parts.next()?.parse().ok()?);
        let reason = parts.next()?.to_owned();
        Some(Place { node: parts.next()?.into(), reason, generation, since })
    })
}

/// A pin, or a new home that is where it runs already, moves nothing.
fn without_stays(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut all: Vec<Place> = vec![];
    for place in places {
        match all.last_mut() {
            Some(later) if later.node == place.node => *later = place,
            Some(_) | None => all.push(place),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stayed_where_it_was_is_one_place_and_what_was_cut_off_is_none() {
        let lines = "9 4 operator node 2\n7 3 node_offline node 2\n5 2 operator node1\n3 1 new_monitor node1\n1 0  nod";
        let places = without_stays(read(lines));
        let told: Vec<_> =
            places.iter().map(|place| (place.node.as_str(), place.reason.as_str(), place.since.0)).collect();
        assert_eq!(told, [("node 2", "node_offline", 7), ("node1", "new_monitor", 3)]);
    }
}
