//! The statements that lock, read and write rows of statistics.
//!
//! Rows that are there are updated by their key, rows that are not are inserted: an INSERT that may become an update
//! would use up a number of the 32-bit keys for each beat, and they would last for weeks.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;
use serde_json::{Value as Json, json};

use super::{Key, Span, Stat};
use crate::store::catalog::Catalog;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::insert::inserted;
use crate::store::value::{Row, Value, values};

/// Locks the rows of these keys, sorted as they come, and reads them: one statement for each table there is.
pub(in crate::store) fn locking(dialect: Dialect, catalog: &Catalog, keys: &[Key]) -> Vec<(String, Vec<Value>)> {
    let spans = spans(catalog);
    let statement = |span: Span| {
        let pairs = keys.iter().filter(|key| key.span == span).map(|key| json!([key.monitor.0, key.timestamp]));
        let pairs: Vec<Json> = pairs.collect();
        (!pairs.is_empty()).then(|| (lock_one(dialect, span), values![Json::Array(pairs).to_string()]))
    };
    spans.filter_map(statement).collect()
}

/// The tables of statistics that this database has.
pub(in crate::store) fn tables(catalog: &Catalog) -> impl Iterator<Item = &'static str> + Clone {
    spans(catalog).map(Span::table)
}

/// Older versions of Kuma lack tables; `extras` is the column that came last.
fn spans(catalog: &Catalog) -> impl Iterator<Item = Span> + Clone {
    Span::ALL.into_iter().filter(|span| catalog.has_column(span.table(), "extras"))
}

fn lock_one(dialect: Dialect, span: Span) -> String {
    let pairs = match dialect {
        Dialect::MariaDb => "JSON_TABLE(?, '$[*]' COLUMNS (monitor_id BIGINT PATH '$[0]', timestamp INT PATH '$[1]'))",
        Dialect::Sqlite => "(SELECT value ->> 0 AS monitor_id, value ->> 1 AS timestamp FROM json_each(?))",
    };
    // Pair by pair through the unique index: two writers lock in one order.
    format!(
        "SELECT 'stat' AS found, {} AS seconds, s.id, s.monitor_id, s.timestamp, s.up, s.down, s.ping, s.ping_min, s.ping_max, s.extras \
         FROM {pairs} b {straight} {} s ON s.monitor_id = b.monitor_id AND s.timestamp = b.timestamp{}",
        span.seconds(),
        span.table(),
        dialect.for_update(),
        straight = dialect.straight(),
    )
}

/// One row of an answer to [`locking`].
pub(in crate::store) fn read(row: &Row) -> Result<(Key, Stat), StoreError> {
    let act = "read statistics";
    let seconds = row.int("seconds")?;
    let span = Span::ALL.into_iter().find(|span| span.seconds() == seconds);
    let span = span.ok_or_else(|| StoreError::unreadable(act, "seconds", seconds))?;
    let real = |column| Ok::<_, StoreError>(row.maybe_real(column)?.unwrap_or(0.0));
    let stat = Stat {
        id: Some(row.int("id")?),
        up: row.small("up")?,
        down: row.small("down")?,
        ping: real("ping")?,
        ping_min: real("ping_min")?,
        ping_max: real("ping_max")?,
        extras: row.maybe_text("extras")?,
    };
    Ok((Key { span, monitor: MonitorId(row.int("monitor_id")?), timestamp: row.int("timestamp")? }, stat))
}

/// Writes rows that [`locking`] locked or did not find; tables that are not there are left out.
pub(in crate::store) fn writing(
    dialect: Dialect,
    catalog: &Catalog,
    rows: &BTreeMap<Key, Stat>,
) -> Vec<(String, Vec<Value>)> {
    let mut statements = Vec::new();
    for span in spans(catalog) {
        let of_span = || rows.iter().filter(|(key, _)| key.span == span);
        let there: Vec<Json> = of_span().filter_map(|(_, stat)| Some(changed_cells(stat.id?, stat))).collect();
        let new: Vec<_> = of_span().filter(|(_, stat)| stat.id.is_none()).map(new_cells).collect();
        if !there.is_empty() {
            statements.push((update(dialect, span), values![Json::Array(there).to_string()]));
        }
        if !new.is_empty() {
            let columns = ["monitor_id", "timestamp", "up", "down", "ping", "ping_min", "ping_max", "extras"];
            statements.push(inserted(dialect, span.table(), &columns, new));
        }
    }
    statements
}

fn changed_cells(id: i64, stat: &Stat) -> Json {
    let mut cells = vec![json!(id), json!(stat.up), json!(stat.down)];
    cells.extend([json!(stat.ping), json!(stat.ping_min), json!(stat.ping_max)]);
    // NULL is a cell that is missing: both databases read it alike.
    cells.extend(stat.extras.as_ref().map(|extras| json!(extras)));
    Json::Array(cells)
}

fn new_cells((key, stat): (&Key, &Stat)) -> Vec<Value> {
    values![
        key.monitor,
        key.timestamp,
        stat.up,
        stat.down,
        stat.ping,
        stat.ping_min,
        stat.ping_max,
        stat.extras.clone(),
    ]
}

fn update(dialect: Dialect, span: Span) -> String {
    let table = span.table();
    match dialect {
        Dialect::MariaDb => format!(
            "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', up INT PATH '$[1]', down INT PATH '$[2]', \
             ping DOUBLE PATH '$[3]', ping_min DOUBLE PATH '$[4]', ping_max DOUBLE PATH '$[5]', \
             extras TEXT CHARACTER SET utf8mb4 PATH '$[6]')) b STRAIGHT_JOIN {table} s ON s.id = b.id \
             SET s.up = b.up, s.down = b.down, s.ping = b.ping, s.ping_min = b.ping_min, s.ping_max = b.ping_max, \
             s.extras = b.extras"
        ),
        Dialect::Sqlite => format!(
            "UPDATE {table} SET up = b.value ->> 1, down = b.value ->> 2, ping = b.value ->> 3, \
             ping_min = b.value ->> 4, ping_max = b.value ->> 5, extras = b.value ->> 6 \
             FROM json_each(?) b WHERE {table}.id = b.value ->> 0"
        ),
    }
}
