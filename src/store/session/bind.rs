//! Values on their way into a statement: bound to it, or written into its text.

use sqlx::AssertSqlSafe;

use super::Sql;
use crate::store::value::Value;

pub(super) type Bound<DB> = sqlx::query::Query<'static, DB, <DB as sqlx::Database>::Arguments>;

pub(super) fn bind_mariadb(text: String, values: Vec<Value>) -> Bound<sqlx::MySql> {
    let query = sqlx::query(AssertSqlSafe(text));
    values.into_iter().fold(query, |query, value| match value {
        // A NULL of a number's type makes MariaDB compare a text beside it as a number, and fail.
        Value::Null => query.bind(None::<String>),
        Value::Int(number) => query.bind(number),
        Value::Real(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
    })
}

/// The statement with its values written into it, for the text protocol of MariaDB.
pub(super) fn written_out(text: &str, values: &[Value]) -> sqlx::RawSql {
    sqlx::raw_sql(AssertSqlSafe(written_out_text(text, values)))
}

pub(super) fn written_out_text(text: &str, values: &[Value]) -> String {
    let mut literals = values.iter().map(literal);
    let mut parts = text.split('?');
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A placeholder without a value stays one, and the server refuses the statement.
        sql.push_str(literals.next().as_deref().unwrap_or("?"));
        sql.push_str(part);
    }
    sql
}

/// Text as hex digits: nothing in it can end the literal, whatever the server's `sql_mode`.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => format!("_utf8mb4 X'{}'", hex::encode(text)),
    }
}

pub(super) fn bind_sqlite(sql: Sql, values: Vec<Value>) -> Bound<sqlx::Sqlite> {
    let (text, persistent) = match sql {
        Sql::Fixed(text) => (text, true),
        Sql::Once(text) => (text, false),
    };
    let query = sqlx::query(AssertSqlSafe(text)).persistent(persistent);
    values.into_iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Int(number) => query.bind(number),
        Value::Real(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::value::values;

    #[test]
    fn values_are_written_into_a_statement_as_literals_that_no_text_can_end() {
        let values = values![-7, None::<i64>, "a'?\\"];
        let texts: Vec<_> = values.iter().map(literal).collect();
        assert_eq!(texts, ["-7", "NULL", "_utf8mb4 X'61273f5c'"]);
    }
}
