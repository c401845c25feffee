//! A plain connection for tests, without any of the store's settings: to look at tables, and to play other programs.

use sqlx::{AssertSqlSafe, Connection, Row as _};

/// A connection to either database.
pub(crate) enum Raw {
    MariaDb(sqlx::MySqlConnection),
    Sqlite(sqlx::SqliteConnection),
}

impl Raw {
    pub(crate) async fn connect(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let url = format!("{url}?mode=rwc");
            return Self::Sqlite(sqlx::SqliteConnection::connect(&url).await.unwrap());
        }
        Self::MariaDb(sqlx::MySqlConnection::connect(url).await.unwrap())
    }

    /// Runs one or more statements.
    pub(crate) async fn execute(&mut self, sql: &str) {
        self.try_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn try_execute(&mut self, sql: &str) -> Result<u64, sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::MariaDb(wire) => sql.execute(wire).await.map(|done| done.rows_affected()),
            Self::Sqlite(wire) => sql.execute(wire).await.map(|done| done.rows_affected()),
        }
    }

    /// All rows, each column as text; NULL as `-`.
    pub(crate) async fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::MariaDb(wire) => {
                let rows = text.fetch_all(wire).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                rows.iter().map(|row| (0..row.len()).map(|at| shown(row.get_unchecked(at))).collect()).collect()
            }
            Self::Sqlite(wire) => {
                let rows = text.fetch_all(wire).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                rows.iter().map(|row| (0..row.len()).map(|at| shown(row.get_unchecked(at))).collect()).collect()
            }
        }
    }

    /// The first column of the first row.
    pub(crate) async fn one(&mut self, sql: &str) -> String {
        self.rows(sql).await.first().and_then(|row| row.first().cloned()).unwrap_or_else(|| panic!("no row: {sql}"))
    }

    /// What InnoDB says of itself: its transactions, and who of them waits.
    pub(crate) async fn engine_report(&mut self) -> String {
        let rows = self.rows("SHOW ENGINE INNODB STATUS").await;
        rows.first().and_then(|row| row.get(2).cloned()).expect("type, name and status of the engine")
    }

    pub(crate) async fn count(&mut self, sql: &str) -> i64 {
        self.one(sql).await.parse().unwrap()
    }
}

fn shown(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}
