//! Transactions of a connection: begun and ended in few round trips, rolled back on any error.

use std::time::Duration;

use super::bind::written_out_text;
use super::galera::packets;
use super::{BEFORE_SENDER, Purpose, Session, Sql, Statement, StatementAnswer};
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
        self.enter(act)?;
        let begun = self.batch(act, text).await;
        // SQLite refuses BEGIN IMMEDIATE while another writes: then there is no transaction.
        self.in_transaction = begun.is_ok() || self.in_flight;
        self.has_failed &= self.in_transaction;
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
                self.enter(act)?;
                // The first two answers are those of the settings, the last is that of the end.
                let text = format!("{SNAPSHOT}; {}; COMMIT", statements.join("; "));
                let answers = self.answers(act, &text).await;
                answers.map(|answers| answers.into_iter().skip(2).take(statements.len()).map(|one| one.rows).collect())
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

    /// The same for what takes longer than other statements may, here and at the server.
    pub(crate) async fn snapshot_within(
        &mut self,
        act: &'static str,
        limit: Duration,
        statements: &[&str],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let seconds = limit.saturating_sub(BEFORE_SENDER).as_secs_f64();
        let prefix = match self.dialect() {
            Dialect::MariaDb => format!("SET STATEMENT max_statement_time = {seconds} FOR "),
            Dialect::Sqlite => String::new(),
        };
        let texts: Vec<String> = statements.iter().map(|sql| format!("{prefix}{sql}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let usual = std::mem::replace(&mut self.statement_timeout, limit);
        let read = self.snapshot(act, &texts).await;
        self.statement_timeout = usual;
        read
    }

    /// Several statements, each with what it brought; on MariaDB in one round trip, where that is safe.
    pub(crate) async fn each(
        &mut self,
        act: &'static str,
        statements: Vec<Statement>,
    ) -> Result<Vec<StatementAnswer>, StoreError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_galera() {
            let mut answers = Vec::new();
            for packet in packets(statements) {
                answers.extend(if packet.len() > 1 {
                    self.each_at_once(act, packet).await?
                } else {
                    self.each_alone(act, packet).await?
                });
            }
            return Ok(answers);
        }
        match self.dialect() {
            Dialect::MariaDb => self.each_at_once(act, statements).await,
            Dialect::Sqlite => self.each_alone(act, statements).await,
        }
    }

    async fn each_at_once(
        &mut self,
        act: &'static str,
        statements: Vec<Statement>,
    ) -> Result<Vec<StatementAnswer>, StoreError> {
        let texts: Vec<_> = statements.iter().map(|(sql, values)| written_out_text(sql, values)).collect();
        let answers = self.answers(act, &texts.join("; ")).await?;
        let (found, sent) = (answers.len(), statements.len());
        if found == sent { Ok(answers) } else { Err(StoreError::unreadable(act, "answers", found)) }
    }

    async fn each_alone(
        &mut self,
        act: &'static str,
        statements: Vec<Statement>,
    ) -> Result<Vec<StatementAnswer>, StoreError> {
        let mut answers = Vec::new();
        for (sql, values) in statements {
            let is_read = is_read(&sql);
            answers.push(if is_read {
                StatementAnswer { rows: self.rows(act, Sql::Once(sql), values).await?, changed: 0 }
            } else {
                StatementAnswer { rows: Vec::new(), changed: self.execute(act, Sql::Once(sql), values).await? }
            });
        }
        Ok(answers)
    }

    /// Begins a write transaction with some statements, each with what it brought; on MariaDB in one round trip.
    pub(crate) async fn begin_each(
        &mut self,
        act: &'static str,
        statements: Vec<Statement>,
    ) -> Result<Vec<StatementAnswer>, StoreError> {
        if self.travels_singly() {
            self.begin(act, Purpose::Write).await?;
            return self.each(act, statements).await;
        }
        self.enter(act)?;
        let begin = ("START TRANSACTION".to_owned(), Vec::new());
        let answers = self.each(act, std::iter::once(begin).chain(statements).collect()).await?;
        Ok(answers.into_iter().skip(1).collect())
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
        if self.travels_singly() {
            self.begin(act, Purpose::Write).await?;
            let mut rows = Vec::new();
            for (sql, values) in statements {
                rows.extend(self.rows(act, Sql::Once(sql), values).await?);
            }
            return Ok(rows);
        }
        self.enter(act)?;
        let (texts, values): (Vec<_>, Vec<_>) = statements.into_iter().unzip();
        let text = format!("START TRANSACTION; {}", texts.join("; "));
        self.rows(act, Sql::Once(text), values.concat()).await
    }

    /// SQLite is no trip away; a Galera server must not be given more than it can say no to.
    fn travels_singly(&self) -> bool {
        self.dialect() == Dialect::Sqlite || self.is_galera()
    }

    /// Ends a write transaction with these statements; on MariaDB in one round trip. After an error nothing was kept,
    /// unless the connection was lost: then nobody knows.
    pub(crate) async fn commit_with(
        &mut self,
        act: &'static str,
        statements: Vec<(String, Vec<Value>)>,
    ) -> Result<(), StoreError> {
        let done = if self.travels_singly() {
            match self.execute_all(act, statements).await {
                Ok(()) => self.batch(act, "COMMIT").await,
                Err(error) => Err(error),
            }
        } else {
            let texts = statements.iter().map(|(sql, values)| written_out_text(sql, values));
            let text = texts.chain(["COMMIT".to_owned()]).collect::<Vec<_>>().join("; ");
            self.batch(act, &text).await
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
        if self.travels_singly() {
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
        if !self.in_transaction || self.in_flight {
            return;
        }
        // Failures are over with their transaction; that of the rollback itself is seen below.
        self.has_failed = false;
        let is_over = match self.batch("roll back", "ROLLBACK").await {
            Ok(()) => true,
            Err(error) => error.is_of_no_transaction(),
        };
        if is_over {
            (self.in_transaction, self.has_failed) = (false, false);
        }
    }
}

/// It changes nothing, and its answer has rows.
fn is_read(sql: &str) -> bool {
    sql.starts_with("SELECT") || sql.starts_with("START") || sql.starts_with("SET @")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::url::DatabaseUrl;
    use crate::store::value::values;

    const NUMBERS: &str = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers)";

    /// In an empty table, with little patience.
    async fn session(folder: &TempDir) -> Session {
        let mut session = Session::connect(&DatabaseUrl::sqlite(folder.path().join("komainu.db"))).await.unwrap();
        session.batch("make a table", "CREATE TABLE IF NOT EXISTS t (a INT)").await.unwrap();
        session.limit_statements_to(Duration::from_millis(400)).await.unwrap();
        session
    }

    async fn insert(session: &mut Session, number: i64) -> Result<u64, StoreError> {
        session.execute("insert", "INSERT INTO t VALUES (?)", values![number]).await
    }

    async fn insert_for_ever(session: &mut Session) -> Result<u64, StoreError> {
        let sql = format!("INSERT INTO t {NUMBERS} SELECT COUNT(*) FROM numbers");
        session.execute("insert for ever", sql, vec![]).await
    }

    async fn count(session: &mut Session) -> i64 {
        session.row("count", "SELECT COUNT(*) AS n FROM t", vec![]).await.unwrap().unwrap().int("n").unwrap()
    }

    #[tokio::test]
    async fn an_interrupted_write_ends_its_transaction_and_nothing_after_it_is_kept_alone() {
        let folder = TempDir::new().unwrap();
        let mut session = session(&folder).await;
        session.begin("write", Purpose::Write).await.unwrap();
        insert(&mut session, 1).await.unwrap();
        let error = insert_for_ever(&mut session).await.unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        assert!(insert(&mut session, 2).await.is_err(), "it would stand alone");
        assert!(session.end("write", Err::<(), _>(error)).await.is_err());
        assert!(session.is_clean(), "there was nothing left to roll back");
        assert_eq!(count(&mut session).await, 0);
        session.begin("write", Purpose::Write).await.unwrap();
        let inserted = insert(&mut session, 3).await;
        session.end("write", inserted).await.unwrap();
        assert_eq!(count(&mut session).await, 1);
    }

    #[tokio::test]
    async fn an_interrupted_read_leaves_its_transaction_to_be_rolled_back() {
        let folder = TempDir::new().unwrap();
        let mut session = session(&folder).await;
        session.begin("write", Purpose::Write).await.unwrap();
        insert(&mut session, 1).await.unwrap();
        let read = session.rows("read", format!("{NUMBERS} SELECT COUNT(*) FROM numbers"), vec![]).await;
        assert!(session.end("write", read).await.is_err());
        assert!(session.is_clean());
        assert_eq!(count(&mut session).await, 0);
    }

    #[tokio::test]
    async fn a_write_whose_caller_went_away_keeps_nothing_and_frees_the_writers_place() {
        let folder = TempDir::new().unwrap();
        let (mut session, mut other) = (session(&folder).await, session(&folder).await);
        session.begin("write", Purpose::Write).await.unwrap();
        insert(&mut session, 1).await.unwrap();
        let gone = tokio::time::timeout(Duration::from_millis(50), insert_for_ever(&mut session)).await;
        assert!(gone.is_err() && !session.is_clean(), "nobody may lend it again");
        drop(session);
        other.limit_statements_to(Duration::from_secs(3)).await.unwrap();
        insert(&mut other, 2).await.unwrap();
        assert_eq!(count(&mut other).await, 1);
    }
}
