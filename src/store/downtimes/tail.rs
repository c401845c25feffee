//! The beats that were stored last: which monitors changed their state in them.

use komainu_watchdogs::downtime::State;
use komainu_watchdogs::ids::MonitorId;

use super::state_of;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::{Row, Value, values};

/// A change of a monitor's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Of which monitor.
    pub monitor: MonitorId,
    /// The beat that stored it.
    pub beat: i64,
    /// To which state; `None`: a code that stands for none.
    pub state: Option<State>,
}

/// The beats with an id above `after`, up to `upto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// The last id before it.
    pub after: i64,
    /// The last id in it.
    pub upto: i64,
}

/// What a span holds, short enough to be asked each second: another change in it shows here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// How many changes.
    pub changes: i64,
    /// The sum of their distances from the span's begin.
    pub distances: i64,
}

impl Mark {
    /// Of a span with these changes.
    pub fn of(span: Span, changes: &[Change]) -> Self {
        let distances = changes.iter().map(|change| change.beat.saturating_sub(span.after)).sum();
        Self { changes: i64::try_from(changes.len()).unwrap_or(i64::MAX), distances }
    }
}

/// The largest id of a beat, and what these spans hold now.
pub async fn ends(store: &Store, spans: &[Span]) -> Result<(i64, Vec<Mark>), StoreError> {
    let act = "look where the beats end";
    let hint = store.catalog().await?.tail_hint(store.dialect());
    let columns = |number: usize| {
        let of =
            |what: &str| format!("(SELECT {what} FROM heartbeat{hint} WHERE important = 1 AND id > ? AND id <= ?)");
        let (count, sum) = (of("COUNT(*)"), of("CAST(COALESCE(SUM(id - ?), 0) AS SIGNED)"));
        format!(", {count} AS changes_{number}, {sum} AS distances_{number}")
    };
    let columns: String = (0..spans.len()).map(columns).collect();
    let sql = format!("SELECT (SELECT COALESCE(MAX(id), 0) FROM heartbeat) AS last{columns}");
    let bound = |span: &Span| values![span.after, span.upto, span.after, span.after, span.upto];
    let bounds: Vec<Value> = spans.iter().flat_map(bound).collect();
    let row = store.lease(act).await?.row(act, sql, bounds).await?;
    let row = row.ok_or_else(|| StoreError::unreadable(act, "last", "no row"))?;
    let mark = |number: usize| {
        let (changes, distances) = (format!("changes_{number}"), format!("distances_{number}"));
        Ok::<_, StoreError>(Mark { changes: row.int(&changes)?, distances: row.int(&distances)? })
    };
    Ok((row.int("last")?, (0..spans.len()).map(mark).collect::<Result<_, _>>()?))
}

/// The changes among the beats of a span, in the order of storing.
pub async fn changes(store: &Store, span: Span) -> Result<Vec<Change>, StoreError> {
    let act = "read the latest changes";
    let hint = store.catalog().await?.tail_hint(store.dialect());
    let sql = format!(
        "SELECT monitor_id, id, status FROM heartbeat{hint} WHERE important = 1 AND id > ? AND id <= ? ORDER BY id"
    );
    let rows = store.lease(act).await?.rows(act, sql, values![span.after, span.upto]).await?;
    rows.iter().map(change).collect()
}

fn change(row: &Row) -> Result<Change, StoreError> {
    Ok(Change { monitor: MonitorId(row.int("monitor_id")?), beat: row.int("id")?, state: state_of(row)? })
}
