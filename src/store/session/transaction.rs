//! Transactions of a connection: begun and ended in few round trips, rolled back on any error.

use super::bind::written_out_text;
use super::{Purpose, Session, Sql};
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::value::{Row, Value};

/// Statements of one round trip: together they take milliseconds, and their text stays far below a packet.
const MANY: usize = 250;
const MANY_BYTES: usize = 1024 * 1024;

/// READ COMMITTED would give each statement a view of its own.
const SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
     START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

impl Session {
    pub(crate) async fn begin(&mut self, act: &'static str, purpose: Purpose) -> Result<(), StoreError> {
        let text = match (self.dialect(), purpose) {
            (Dialect::MariaDb, Purpose::Snapshot) => SNAPSHOT,
            (Dialect::MariaDb, Purpose::Write) => "START TRANSACTION",
            (Dialect::Sqlite, Purpose::Snapshot) => "BEGIN",
            (Dialect::Sqlite, Purpose::Write) => "BEGIN IMMEDIATE",
        };
        self.in_transaction = true;
        let begun = self.batch(act, text).await;
        // SQLite refuses BEGIN IMMEDIATE while another writes: then there is no transaction.
        self.in_transaction = begun.is_ok() || self.in_flight;
        begun
    }

    /// Reads that must fit together, each with its own rows; on MariaDB in one round trip.
    pub(crate) async fn snapshot(
        &mut self,
        act: &'static str,
        statements: &[&str],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let answer = match self.dialect() {
            Dialect::MariaDb => {
                self.in_transaction = true;
                // The first two answers are those of the settings, the last is that of the end.
                let text = format!("{SNAPSHOT}; {}; COMMIT", statements.join("; "));
                let sets = self.answers(act, &text).await;
                sets.map(|sets| sets.into_iter().skip(2).take(statements.len()).collect())
            }
            Dialect::Sqlite => {
                self.begin(act, Purpose::Snapshot).await?;
                let read = self.read_each(act, statements).await;
                return self.end(act, read).await;
            }
        };
        if answer.is_err() {
            self.roll_back().await;
        } else {
            self.in_transaction = false;
        }
        answer
    }

    async fn read_each(&mut self, act: &'static str, statements: &[&str]) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut sets = Vec::new();
        for sql in statements {
            sets.push(self.rows(act, *sql, vec![]).await?);
        }
        Ok(sets)
    }

    /// Begins a write transaction with one read; on MariaDB in one round trip.
    pub(crate) async fn begin_with(
        &mut self,
        act: &'static str,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.begin_with_all(act, vec![(sql.to_owned(), values)]).await
    }

    /// Begins a write transaction with some reads, whose rows come one after another; on MariaDB in one round trip.
    pub(crate) async fn begin_with_all(
        &mut self,
        act: &'static str,
        statements: Vec<(String, Vec<Value>)>,
    ) -> Result<Vec<Row>, StoreError> {
        match self.dialect() {
            Dialect::MariaDb => {
                self.in_transaction = true;
                let (texts, values): (Vec<_>, Vec<_>) = statements.into_iter().unzip();
                let text = format!("START TRANSACTION; {}", texts.join("; "));
                self.rows(act, Sql::Once(text), values.concat()).await
            }
            Dialect::Sqlite => {
                self.begin(act, Purpose::Write).await?;
                let mut rows = Vec::new();
                for (sql, values) in statements {
                    rows.extend(self.rows(act, Sql::Once(sql), values).await?);
                }
                Ok(rows)
            }
        }
    }

    /// Ends a write transaction with these statements; on MariaDB in one round trip. After an error nothing was kept,
    /// unless the connection was lost: then nobody knows.
    pub(crate) async fn commit_with(
        &mut self,
        act: &'static str,
        statements: Vec<(String, Vec<Value>)>,
    ) -> Result<(), StoreError> {
        let done = match self.dialect() {
            Dialect::MariaDb => {
                let texts = statements.iter().map(|(sql, values)| written_out_text(sql, values));
                let text = texts.chain(["COMMIT".to_owned()]).collect::<Vec<_>>().join("; ");
                self.batch(act, &text).await
            }
            Dialect::Sqlite => match self.execute_all(act, statements).await {
                Ok(()) => self.batch(act, "COMMIT").await,
                Err(error) => Err(error),
            },
        };
        if done.is_err() {
            self.roll_back().await;
            return done;
        }
        self.in_transaction = false;
        Ok(())
    }

    /// Many statements within a transaction; on MariaDB some hundred in one round trip.
    pub(crate) async fn execute_many(
        &mut self,
        act: &'static str,
        statements: Vec<(String, Vec<Value>)>,
    ) -> Result<(), StoreError> {
        if self.dialect() == Dialect::Sqlite {
            return self.execute_all(act, statements).await;
        }
        let mut text = String::new();
        for (at, (sql, values)) in statements.iter().enumerate() {
            text.push_str(&written_out_text(sql, values));
            text.push(';');
            if text.len() >= MANY_BYTES || at % MANY == MANY - 1 {
                self.batch(act, &std::mem::take(&mut text)).await?;
            }
        }
        if text.is_empty() { Ok(()) } else { self.batch(act, &text).await }
    }

    async fn execute_all(
        &mut self,
        act: &'static str,
        statements: Vec<(String, Vec<Value>)>,
    ) -> Result<(), StoreError> {
        for (sql, values) in statements {
            self.execute(act, Sql::Once(sql), values).await?;
        }
        Ok(())
    }

    /// Commits what went well, rolls back everything else: after a lock wait that timed out the server would
    /// otherwise keep what the earlier statements changed.
    pub(crate) async fn end<T>(&mut self, act: &'static str, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        match outcome {
            Ok(value) => {
                let committed = self.batch(act, "COMMIT").await;
                if let Err(error) = committed {
                    self.roll_back().await;
                    return Err(error);
                }
                self.in_transaction = false;
                Ok(value)
            }
            Err(error) => {
                self.roll_back().await;
                Err(error)
            }
        }
    }

    /// Rolls back; a connection on which even that fails stays unclean and is closed by its owner.
    pub(crate) async fn roll_back(&mut self) {
        if self.in_transaction && !self.in_flight && self.batch("roll back", "ROLLBACK").await.is_ok() {
            self.in_transaction = false;
        }
    }
}
