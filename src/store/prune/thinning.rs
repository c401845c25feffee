//! Beats that changed nothing go after a day, as Kuma's nightly job does it: statistics tell what they told.
//!
//! Goes through the monitors part by part. Where Kuma made the tables, Kuma's job cleans them, whoever wrote the beats.

use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;

use super::BATCH;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;
use crate::store::value::values;

/// Kuma keeps them for so long,
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// and of each monitor the last so many beats, however old.
const LAST: u32 = 100;

/// Monitors of one look: 10,000 are gone through in ten minutes.
const PART: u32 = 1_000;
/// Monitors of one statement: some milliseconds.
const TOGETHER: usize = 50;

const ACT: &str = "thin out beats";

/// How far it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thinning {
    reached: MonitorId,
}

impl Default for Thinning {
    fn default() -> Self {
        Self { reached: MonitorId(0) }
    }
}

impl Thinning {
    /// Looks at the next monitors and deletes at most about one batch of beats; says how many. Call it again while it is
    /// not 0.
    pub async fn step(&mut self, store: &Store) -> Result<u64, StoreError> {
        if !store.made_here("heartbeat").await? {
            return Ok(0);
        }
        let sql = "SELECT id FROM monitor WHERE id > ? ORDER BY id LIMIT ?";
        let rows = store.lease(ACT).await?.rows(ACT, sql, values![self.reached, PART]).await?;
        let monitors = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
        let mut deleted = 0;
        for part in monitors.chunks(TOGETHER) {
            deleted += thin(store, part).await?;
            if deleted >= u64::from(BATCH) {
                // There may be more of this part.
                return Ok(deleted);
            }
            self.reached = part.last().map_or(self.reached, |last| MonitorId(*last));
        }
        if u32::try_from(monitors.len()).is_ok_and(|found| found < PART) {
            *self = Self::default();
        }
        Ok(deleted)
    }
}

async fn thin(store: &Store, monitors: &[i64]) -> Result<u64, StoreError> {
    let catalog = store.catalog().await?;
    let old = store.dialect().datetime_ago(KEPT);
    // One monitor after the other, each by its index: a join would read all its beats.
    let of_one = |id: &i64| {
        format!(
            "SELECT * FROM (SELECT id FROM heartbeat{change_hint} WHERE monitor_id = {id} AND important = 0 \
             AND time < {old} AND time < (SELECT l.time FROM heartbeat l{beat_hint} WHERE l.monitor_id = {id} \
             ORDER BY l.time DESC LIMIT 1 OFFSET {last}) ORDER BY time LIMIT {BATCH}) m{id}",
            change_hint = catalog.change_hint(),
            beat_hint = catalog.beat_hint(),
            last = LAST - 1,
        )
    };
    let sql = monitors.iter().map(of_one).collect::<Vec<_>>().join(" UNION ALL ");
    let sql = format!("{sql} LIMIT {BATCH}");
    let mut lease = store.lease(ACT).await?;
    let rows = lease.rows(ACT, Sql::Once(sql), vec![]).await?;
    let old = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    if old.is_empty() {
        return Ok(0);
    }
    let sql = format!("DELETE FROM heartbeat WHERE id IN ({})", id_list(&old));
    lease.execute(ACT, Sql::Once(sql), vec![]).await
}
