//! One database connection with the settings that safety rests on.
//!
//! Owns: connecting ([`connecting`]), the session settings, the time limit of each statement, transactions that roll back on any error,
//! and knowing when a connection is of no use any more. It never reconnects, and repeats nothing but a statement
//! that stood alone and met others.
//!
//! A statement that will not be seen again is not prepared on MariaDB: closing it sends a packet without an answer, and
//! the packet after that waits 40 ms for the acknowledgement of the first (the driver leaves Nagle's algorithm on).

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use komainu_watchdogs::time::Mono;
use sqlx::mysql::MySqlConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Either};

use self::bind::{bind_mariadb, bind_sqlite, written_out};
use self::deadline::Deadline;
use super::dialect::Dialect;
use super::distance::Distance;
use super::error::StoreError;
use super::server::Server;
use super::servers;
use super::url::DatabaseUrl;
use super::value::{Row, Value};
use crate::clock;

mod alone;
mod bind;
mod connecting;
mod deadline;
mod galera;
mod transaction;

/// Longer than the server's own lock wait (3 s), so that its answer comes first and says which lock it was.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_millis(3_500);

/// The database gives a statement up before its sender does: nothing that was abandoned goes on there.
const BEFORE_SENDER: Duration = Duration::from_millis(100);

/// A statement's text.
#[derive(Clone)]
pub(crate) enum Sql {
    /// One of a bounded set: prepared once per connection.
    Fixed(String),
    /// Holds a list of numbers and will not be seen again.
    Once(String),
}

impl From<&str> for Sql {
    fn from(text: &str) -> Self {
        Self::Fixed(text.to_owned())
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self::Fixed(text)
    }
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads that must fit together: one snapshot.
    Snapshot,
    /// Writes. On SQLite the one writer's place is taken at once, not in the middle.
    Write,
}

/// A statement and its values.
pub(crate) type Statement = (String, Vec<Value>);

/// What one of several statements brought.
pub(crate) struct StatementAnswer {
    pub(crate) rows: Vec<Row>,
    /// Rows that its WHERE clause found, if it changes any.
    pub(crate) changed: u64,
}

enum Wire {
    MariaDb(Box<MySqlConnection>),
    Sqlite(Box<SqliteConnection>),
}

/// What a statement changed.
#[derive(Clone, Copy)]
struct Changed {
    /// Rows that the WHERE clause found, whether or not they looked different afterwards.
    rows: u64,
    last_id: i64,
}

/// A connection.
#[expect(clippy::struct_excessive_bools, reason = "each says another thing of the connection, and any may go together")]
pub(crate) struct Session {
    wire: Wire,
    statement_timeout: Duration,
    deadline: Deadline,
    in_transaction: bool,
    /// A statement was sent and its answer not yet seen: dropped in between, the connection is of no use.
    in_flight: bool,
    /// A statement of the open transaction failed. The database may have rolled back all of it: what came after would then
    /// be kept at once, and alone.
    has_failed: bool,
    statements: u64,
    /// A statement named an index, a column or a table that is not there any more.
    found_misfit: bool,
    distance: Arc<Distance>,
    /// When the last statement left.
    sent_at: Mono,
    /// As it said when the connection was made; a SQLite file says nothing.
    server: Server,
    /// Where it was connected to; which server all connections of this process use.
    url: DatabaseUrl,
    /// The choice of a server that this connection was made for, or that was seen to be its own.
    era: u64,
}

impl Session {
    /// One of several servers that certify each other's writes: locks hold on this one alone.
    pub(crate) fn is_galera(&self) -> bool {
        self.server.galera.is_some()
    }

    /// What the server said of itself when the connection was made.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// For the leader's row: none for a file.
    pub(crate) fn server_name(&self) -> Option<String> {
        (self.dialect() == Dialect::MariaDb).then(|| self.server.name.clone())
    }

    /// The leader uses this server, its row says: whoever can goes there, too.
    pub(crate) fn follow(&self, leaders: Option<&str>) {
        servers::follow(&self.url, leaders);
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.wire {
            Wire::MariaDb(_) => Dialect::MariaDb,
            Wire::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Nothing is open or half done on it.
    pub(crate) fn is_clean(&self) -> bool {
        !self.in_transaction && !self.in_flight
    }

    /// An answer is missing: only closing it is safe.
    pub(crate) fn is_broken(&self) -> bool {
        self.in_flight
    }

    /// Statements sent so far.
    pub(crate) fn statements(&self) -> u64 {
        self.statements
    }

    /// Here and at the server.
    pub(crate) async fn limit_statements_to(&mut self, limit: Duration) -> Result<(), StoreError> {
        if self.dialect() == Dialect::MariaDb {
            let seconds = limit.saturating_sub(BEFORE_SENDER).as_secs_f64();
            self.batch("set up the session", &format!("SET SESSION max_statement_time = {seconds}")).await?;
        }
        self.statement_timeout = limit;
        Ok(())
    }

    /// On this side alone: the server goes on ending by its own limit what runs or waits for a lock. Only an answer that is
    /// late for another reason is waited for so long, as that to a commit while a Galera cluster finds out who is gone.
    pub(crate) fn wait_for_answers(&mut self, limit: Duration) {
        self.statement_timeout = limit;
    }

    /// Changes rows; says how many the WHERE clause found.
    pub(crate) async fn execute(
        &mut self,
        act: &'static str,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        Ok(self.change(act, sql.into(), values).await?.rows)
    }

    /// Inserts one row; says which key it got.
    pub(crate) async fn insert(
        &mut self,
        act: &'static str,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<i64, StoreError> {
        Ok(self.change(act, sql.into(), values).await?.last_id)
    }

    /// The first row of an answer.
    pub(crate) async fn row(
        &mut self,
        act: &'static str,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(act, sql, values).await?.into_iter().next())
    }

    pub(crate) async fn rows(
        &mut self,
        act: &'static str,
        sql: impl Into<Sql>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.depart(act)?;
        let limit = self.limit();
        let answer = match &mut self.wire {
            Wire::MariaDb(wire) => {
                let rows = match sql.into() {
                    Sql::Fixed(text) => within(act, limit, bind_mariadb(text, values).fetch_all(&mut **wire)).await?,
                    Sql::Once(text) => within(act, limit, written_out(&text, &values).fetch_all(&mut **wire)).await?,
                };
                rows.map(|rows| rows.into_iter().map(|row| Row::mariadb(act, row)).collect())
            }
            Wire::Sqlite(wire) => {
                let query = bind_sqlite(sql.into(), values);
                let rows = within(act, limit, query.fetch_all(&mut **wire)).await?;
                rows.map(|rows| rows.into_iter().map(|row| Row::sqlite(act, row)).collect())
            }
        };
        self.arrive(act, answer)
    }

    /// Several statements without values, sent as one text to MariaDB: what each brought.
    async fn answers(&mut self, act: &'static str, text: &str) -> Result<Vec<StatementAnswer>, StoreError> {
        self.depart(act)?;
        let limit = self.limit();
        let Wire::MariaDb(wire) = &mut self.wire else { return Ok(Vec::new()) };
        let reading = async {
            let (mut answers, mut rows) = (Vec::new(), Vec::new());
            let mut coming = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).fetch_many(&mut **wire);
            while let Some(come) = coming.try_next().await? {
                match come {
                    Either::Right(row) => rows.push(Row::mariadb(act, row)),
                    Either::Left(end) => {
                        answers.push(StatementAnswer { rows: std::mem::take(&mut rows), changed: end.rows_affected() });
                    }
                }
            }
            Ok(answers)
        };
        let answer = within(act, limit, reading).await?;
        self.arrive(act, answer)
    }

    /// Several statements without values, sent as one text.
    pub(crate) async fn batch(&mut self, act: &'static str, text: &str) -> Result<(), StoreError> {
        self.depart(act)?;
        let limit = self.limit();
        let statement = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        let answer = match &mut self.wire {
            Wire::MariaDb(wire) => within(act, limit, statement.execute(&mut **wire)).await?.map(|_| ()),
            Wire::Sqlite(wire) => within(act, limit, statement.execute(&mut **wire)).await?.map(|_| ()),
        };
        self.arrive(act, answer)
    }

    /// Says goodbye to the server; errors do not matter any more.
    pub(crate) async fn close(self) {
        let closing = async {
            match self.wire {
                Wire::MariaDb(wire) => wire.close().await,
                Wire::Sqlite(wire) => wire.close().await,
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
    }

    async fn change_once(&mut self, act: &'static str, sql: Sql, values: Vec<Value>) -> Result<Changed, StoreError> {
        self.depart(act)?;
        let limit = self.limit();
        let answer = match &mut self.wire {
            Wire::MariaDb(wire) => {
                let done = match sql {
                    Sql::Fixed(text) => within(act, limit, bind_mariadb(text, values).execute(&mut **wire)).await?,
                    Sql::Once(text) => within(act, limit, written_out(&text, &values).execute(&mut **wire)).await?,
                };
                done.map(|done| Changed {
                    rows: done.rows_affected(),
                    last_id: i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX),
                })
            }
            Wire::Sqlite(wire) => {
                let query = bind_sqlite(sql, values);
                let done = within(act, limit, query.execute(&mut **wire)).await?;
                done.map(|done| Changed { rows: done.rows_affected(), last_id: done.last_insert_rowid() })
            }
        };
        self.arrive(act, answer)
    }

    /// Whether what is known of the tables was seen to be out of date, since this was asked last.
    pub(crate) fn take_misfit(&mut self) -> bool {
        std::mem::take(&mut self.found_misfit)
    }

    fn depart(&mut self, act: &'static str) -> Result<(), StoreError> {
        if self.in_flight {
            return Err(StoreError::Lost { act, reason: "an earlier statement was never answered".to_owned() });
        }
        if self.has_failed {
            return Err(StoreError::Lost { act, reason: "an earlier statement of its transaction failed".to_owned() });
        }
        if !self.in_transaction {
            self.ensure_here(act)?;
        }
        self.in_flight = true;
        self.statements += 1;
        self.sent_at = clock::now();
        self.deadline.set(self.sent_at + self.limit().saturating_sub(BEFORE_SENDER));
        Ok(())
    }

    /// All connections of this process go to one server; one to another is of no use once nothing is open on it.
    fn ensure_here(&mut self, act: &'static str) -> Result<(), StoreError> {
        let servers = self.url.servers();
        if servers.is_still(self.era) {
            return Ok(());
        }
        let Some(used) = servers.other_than(&self.server.name) else {
            self.era = servers.era();
            return Ok(());
        };
        self.in_flight = true;
        Err(StoreError::Lost {
            act,
            reason: format!("the database server is {used} now, this was one to {}", self.server.name),
        })
    }

    /// Within a transaction from here on.
    fn enter(&mut self, act: &'static str) -> Result<(), StoreError> {
        if !self.in_flight {
            self.ensure_here(act)?;
        }
        self.in_transaction = true;
        Ok(())
    }

    /// A limit that was chosen for a near database, with room for so many trips to this one.
    pub(crate) fn allow_trips(&self, near: Duration, trips: u32) -> Duration {
        self.distance.allow_trips(near, trips)
    }

    /// There and back twice: the first use of a prepared statement is two trips.
    fn limit(&self) -> Duration {
        self.distance.allow_trips(self.statement_timeout, 2)
    }

    fn arrive<T>(&mut self, act: &'static str, answer: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        let answer = answer.map_err(|error| StoreError::of(act, error));
        if self.dialect() == Dialect::MariaDb && answer.is_ok() {
            self.distance.note(clock::now().since(self.sent_at));
        }
        self.in_flight = answer.as_ref().is_err_and(StoreError::is_lost_connection);
        self.has_failed = self.in_transaction && answer.is_err();
        if answer.as_ref().is_err_and(StoreError::is_unavailable) {
            servers::suspect(&self.url);
        }
        self.found_misfit |= answer.as_ref().is_err_and(StoreError::is_of_catalog);
        answer
    }
}

/// The outer error leaves the connection marked as in flight: its answer never came.
async fn within<T>(act: &'static str, limit: Duration, answer: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, answer).await.map_err(|_| StoreError::TimedOut { act, millis: limit.as_millis() })
}
