//! Where monitors with an open incident stand with regard to maintenance; what follows from it is
//! [`komainu_watchdogs::reminder`]'s to say.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::reminder::Spell;

use crate::store::beats::BeatStatus;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;
use crate::store::value::Row;

/// Of those of these monitors that are, or just were, in maintenance.
pub(in crate::store) async fn spells(
    store: &Store,
    monitors: &[MonitorId],
) -> Result<BTreeMap<MonitorId, Spell>, StoreError> {
    let act = "look for monitors in maintenance";
    let hint = store.catalog().await?.change_hint();
    let change = |nth: u32| {
        format!(
            "(SELECT l.id FROM heartbeat l{hint} WHERE l.monitor_id = m.id AND l.important = 1 \
             ORDER BY l.id DESC LIMIT 1 OFFSET {nth})"
        )
    };
    let mut spells = BTreeMap::new();
    for part in monitors.chunks(1_000) {
        let ids: Vec<i64> = part.iter().map(|monitor| monitor.0).collect();
        let mut lease = store.lease(act).await?;
        let dialect = lease.dialect();
        // As the database's clock showed it: beats bear their node's time.
        let time = |beat: &str| {
            format!("{} - COALESCE(n.clock_ms - n.last_seen_ms, 0)", dialect.datetime_ms(&format!("{beat}.time")))
        };
        let sql = format!(
            "SELECT m.id, h.status, {} AS at, b.status AS status_before, {} AS before_at FROM monitor m \
             JOIN heartbeat h ON h.id = {} LEFT JOIN heartbeat b ON b.id = {} \
             LEFT JOIN komainu_assignment a ON a.monitor_id = m.id LEFT JOIN node n ON n.node_id = a.effective_node \
             WHERE m.id IN ({})",
            time("h"),
            time("b"),
            change(0),
            change(1),
            id_list(&ids)
        );
        for row in lease.rows(act, Sql::Once(sql), vec![]).await? {
            if let Some(spell) = spell(&row)? {
                spells.insert(MonitorId(row.int("id")?), spell);
            }
        }
    }
    Ok(spells)
}

fn spell(row: &Row) -> Result<Option<Spell>, StoreError> {
    let status = |column| Ok::<_, StoreError>(row.maybe_int(column)?.and_then(BeatStatus::from_code));
    Ok(match (status("status_before")?, status("status")?) {
        (_, Some(BeatStatus::Maintenance)) => Some(Spell::Present),
        (Some(BeatStatus::Maintenance), Some(BeatStatus::Down)) => {
            Some(Spell::Survived { from: row.wall("before_at")?, down_at: row.wall("at")? })
        }
        _ => None,
    })
}
