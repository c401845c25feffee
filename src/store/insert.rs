//! Many rows in one INSERT.

use serde_json::Value as Json;

use super::dialect::Dialect;
use super::value::Value;

/// The statement with its values. On MariaDB the rows are written out: of an `INSERT ... SELECT` the server knows the
/// number of rows only at its end, and up to then takes twice as many numbers for the keys as it needs.
pub(super) fn inserted(dialect: Dialect, table: &str, columns: &[&str], rows: Vec<Vec<Value>>) -> (String, Vec<Value>) {
    let into = format!("INSERT INTO {table} ({})", columns.join(", "));
    match dialect {
        Dialect::MariaDb => {
            let row = format!("({})", vec!["?"; columns.len()].join(", "));
            let sql = format!("{into} VALUES {}", vec![row.as_str(); rows.len()].join(", "));
            (sql, rows.into_iter().flatten().collect())
        }
        // One text whatever the number of rows, and no limit on the number of values.
        Dialect::Sqlite => {
            let cells: Vec<_> = (0..columns.len()).map(|at| format!("value ->> {at}")).collect();
            let sql = format!("{into} SELECT {} FROM json_each(?)", cells.join(", "));
            let rows = rows.into_iter().map(|row| Json::Array(row.into_iter().map(cell).collect()));
            (sql, vec![Value::Text(Json::Array(rows.collect()).to_string())])
        }
    }
}

fn cell(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(number) => Json::from(number),
        Value::Real(number) => Json::from(number),
        Value::Text(text) => Json::from(text),
    }
}
