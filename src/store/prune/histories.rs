//! The history of a heartbeat's pushes has a bound in number and in bytes, however much its program says.
//!
//! What a job prints is wanted when it failed, and of the last good runs; a hundred jobs that print 10 KiB each minute would
//! otherwise be 43 GB in a month. What a push said is cut to its end, never a push for what it said.

use std::time::Duration;

use komainu_watchdogs::time::Mono;

use super::BATCH;
use crate::clock;
use crate::store::decisions::id_list;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;
use crate::store::value::{Value, values};

/// What one heartbeat may leave behind. What goes first is the oldest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Pushes: a month of a job that says each minute that it began and that it ended.
    pub pushes: u32,
    /// Good runs, and starts, whose long output is kept.
    pub good_outputs: usize,
    /// Bytes of long output in all.
    pub output_bytes: i64,
}

impl Default for Share {
    fn default() -> Self {
        Self { pushes: 100_000, good_outputs: 10, output_bytes: 2 * 1024 * 1024 }
    }
}

/// Characters that are left of a long output, its last. `output_bytes` is NULL in rows that have few more.
const REMNANT: u32 = 200;

/// From the beginning of one round through all heartbeats to the next: within it a job that prints 10 KiB each second adds
/// 36 MB.
const PERIOD: Duration = Duration::from_secs(3_600);
/// Heartbeats of one look.
const PART: u32 = 200;
/// Outputs read at once of one heartbeat, the newest. More than [`Share::output_bytes`] has room for, so what is cut of
/// them makes the older ones seen.
const OUTPUTS: u32 = 20_000;

const ACT: &str = "cut the history of pushes";

/// How far it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Histories {
    /// What a heartbeat may leave behind.
    pub share: Share,
    reached: String,
    /// When this round began, or the last one if `rests`.
    began_at: Option<Mono>,
    rests: bool,
}

impl Histories {
    /// With another share than usual.
    pub fn with(share: Share) -> Self {
        Self { share, ..Self::default() }
    }

    /// Looks at the next heartbeats; says how many rows it deleted or cut. Call it again while that is not 0.
    pub async fn step(&mut self, store: &Store) -> Result<u64, StoreError> {
        let now = clock::now();
        if self.rests && self.began_at.is_some_and(|began_at| now.since(began_at) < PERIOD) {
            return Ok(0);
        }
        if self.rests || self.began_at.is_none() {
            (self.rests, self.began_at) = (false, Some(now));
        }
        let sql = "SELECT name FROM komainu_heartbeat WHERE name > ? ORDER BY name LIMIT ?";
        loop {
            let rows = store.lease(ACT).await?.rows(ACT, sql, values![&self.reached, PART]).await?;
            let names = rows.iter().map(|row| row.text("name")).collect::<Result<Vec<_>, _>>()?;
            for name in &names {
                let gone = self.delete(store, name).await? + self.cut(store, name).await?;
                if gone > 0 {
                    // There may be more of it.
                    return Ok(gone);
                }
                self.reached.clone_from(name);
            }
            if u32::try_from(names.len()).is_ok_and(|found| found < PART) {
                self.reached.clear();
                self.rests = true;
                return Ok(0);
            }
        }
    }

    /// The oldest pushes, where there are too many.
    async fn delete(&self, store: &Store, name: &str) -> Result<u64, StoreError> {
        let sql = format!(
            "SELECT id FROM komainu_push WHERE name = ? AND id <= \
             (SELECT id FROM komainu_push WHERE name = ? ORDER BY id DESC LIMIT 1 OFFSET ?) ORDER BY id LIMIT {BATCH}"
        );
        let mut lease = store.lease(ACT).await?;
        let rows = lease.rows(ACT, sql, values![name, name, self.share.pushes]).await?;
        let old = rows.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
        if old.is_empty() {
            return Ok(0);
        }
        let sql = format!("DELETE FROM komainu_push WHERE id IN ({})", id_list(&old));
        lease.execute(ACT, Sql::Once(sql), vec![]).await
    }

    async fn cut(&self, store: &Store, name: &str) -> Result<u64, StoreError> {
        let sql = "SELECT id, status, output_bytes FROM komainu_push WHERE name = ? AND output_bytes > 0 \
             ORDER BY id DESC LIMIT ?";
        let mut lease = store.lease(ACT).await?;
        let rows = lease.rows(ACT, sql, values![name, OUTPUTS]).await?;
        let said = rows.iter().map(|row| {
            let bytes = row.int("output_bytes")?;
            Ok(LongPush { id: row.int("id")?, is_bad: row.text("status")? == "fail", bytes })
        });
        let mut long = too_much(said.collect::<Result<Vec<_>, StoreError>>()?, &self.share);
        long.truncate(usize::try_from(BATCH).unwrap_or(usize::MAX));
        if long.is_empty() {
            return Ok(0);
        }
        let end = store.dialect().last_characters("message", REMNANT);
        let sql = format!("UPDATE komainu_push SET message = {end} WHERE id IN ({})", id_list(&long));
        lease.execute(ACT, Sql::Once(sql), Vec::<Value>::new()).await
    }
}

/// A push that said much.
struct LongPush {
    id: i64,
    is_bad: bool,
    bytes: i64,
}

/// Whose output is to be cut, the oldest first. `said`: the newest first.
fn too_much(said: Vec<LongPush>, share: &Share) -> Vec<i64> {
    let (mut good, mut bytes) = (0, 0);
    let mut long = vec![];
    for push in said {
        if !push.is_bad {
            good += 1;
        }
        if (!push.is_bad && good > share.good_outputs) || bytes + push.bytes > share.output_bytes {
            long.push(push.id);
        } else {
            bytes += push.bytes;
        }
    }
    long.reverse();
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pushes: &[(i64, bool, i64)]) -> Vec<LongPush> {
        pushes.iter().map(|(id, is_bad, bytes)| LongPush { id: *id, is_bad: *is_bad, bytes: *bytes }).collect()
    }

    #[test]
    fn the_output_of_good_runs_goes_before_that_of_bad_ones() {
        let share = Share { pushes: 0, good_outputs: 2, output_bytes: 1_000 };
        let pushes = said(&[(9, false, 100), (8, true, 100), (7, false, 100), (6, false, 100), (5, true, 100)]);
        assert_eq!(too_much(pushes, &share), [6]);
    }

    #[test]
    fn no_more_bytes_are_kept_than_a_heartbeat_may_have() {
        let share = Share { pushes: 0, good_outputs: 10, output_bytes: 250 };
        let pushes = said(&[(9, true, 100), (8, true, 100), (7, true, 100), (6, true, 50), (5, true, 1)]);
        assert_eq!(too_much(pushes, &share), [5, 7]);
    }
}
