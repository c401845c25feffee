//! Statistics of checks: each span has its time, and what was counted of a check that is gone goes with it.

use std::time::Duration;

use komainu_watchdogs::time::Mono;

use crate::clock;
use crate::store::checks::Span;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;
use crate::store::value::values;

/// From the beginning of one round through all series to the next: ten more rows of each.
const PERIOD: Duration = Duration::from_secs(600);

/// Series of one step.
const PART: u32 = 200;

/// How far it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckStatistics {
    reached: i64,
    rests_until: Option<Mono>,
}

impl CheckStatistics {
    /// Looks at the next series; 0: it is through, and rests.
    pub async fn step(&mut self, store: &Store) -> Result<u64, StoreError> {
        if self.rests_until.is_some_and(|until| clock::now() < until) {
            return Ok(0);
        }
        let next = sweep(store, self.reached).await?;
        self.reached = next.unwrap_or(0);
        self.rests_until = next.is_none().then(|| clock::now() + PERIOD);
        Ok(u64::from(next.is_some()))
    }
}

/// Deletes what is too old of some series, and all of checks that are gone. Says where to go on; `None`: it was through.
async fn sweep(store: &Store, after: i64) -> Result<Option<i64>, StoreError> {
    let act = "delete old statistics of checks";
    let mut lease = store.lease(act).await?;
    let sql = format!(
        "SELECT id, name, {} AS now_ms FROM komainu_check_series WHERE id > ? ORDER BY id LIMIT ?",
        lease.dialect().now_ms()
    );
    let rows = lease.rows(act, sql, values![after, PART]).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let (last, now) = (last.int("id")?, last.wall("now_ms")?);
    let (mut kept, mut gone) = (vec![], vec![]);
    for row in &rows {
        let of = if row.maybe_text("name")?.is_some() { &mut kept } else { &mut gone };
        of.push(row.int("id")?.to_string());
    }
    for span in Span::ALL {
        let before = now.0 / 1_000 - i64::try_from(span.kept().as_secs()).unwrap_or(i64::MAX);
        let sql = "DELETE FROM komainu_check_stat WHERE series_id IN ({}) AND span = ? AND at < ?";
        if !kept.is_empty() {
            let sql = sql.replace("{}", &kept.join(", "));
            lease.execute(act, Sql::Once(sql), values![span.seconds(), before]).await?;
        }
    }
    for id in gone {
        lease.execute(act, "DELETE FROM komainu_check_stat WHERE series_id = ?", values![&id]).await?;
        lease.execute(act, "DELETE FROM komainu_check_series WHERE id = ? AND name IS NULL", values![&id]).await?;
    }
    Ok(u32::try_from(rows.len()).is_ok_and(|count| count == PART).then_some(last))
}
