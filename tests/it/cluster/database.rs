//! The cluster's database as the test sees it: on a connection of the test's own, never through komainu's code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::mysql::{MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row, SqliteConnection};

use super::server::MariaDb;
use super::wait::wait_until;

/// On which database a story plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The embedded default.
    Sqlite,
    /// A server of the test's own.
    MariaDb,
}

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// This file.
    Sqlite(PathBuf),
    /// This URL, past any proxy.
    MariaDb(String),
}

/// A change of a monitor's effective node, or of a node's incarnation, as a trigger of the test wrote it down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// Microseconds UTC, when the statement ran.
    pub(crate) at_us: i64,
    /// Which monitor.
    pub(crate) monitor: i64,
    /// Who may run it afterwards: its effective node, or its source until it arrives elsewhere.
    pub(crate) node: String,
}

/// A row of the table `heartbeat`, with the moment at which it was inserted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredBeat {
    /// Which monitor.
    pub(crate) monitor: i64,
    /// Kuma's status: 0 down, 1 up, 2 pending.
    pub(crate) status: i64,
    /// Microseconds UTC, when the statement ran.
    pub(crate) at_us: i64,
    /// The beat's own time, milliseconds UTC.
    pub(crate) beat_ms: i64,
}

/// A fresh one in this folder, or on a server of its own: the server, the database, and its URL for komainu.
pub(crate) async fn fresh(kind: Kind, folder: &Path) -> (Option<MariaDb>, Database, String) {
    match kind {
        Kind::Sqlite => {
            let path = folder.join("komainu.sqlite");
            let url = format!("sqlite://{}", path.display());
            (None, Database::Sqlite(path), url)
        }
        Kind::MariaDb => {
            let server = MariaDb::start();
            Database::MariaDb(server.url("mysql")).execute("CREATE DATABASE kuma").await;
            let url = server.url("kuma");
            (Some(server), Database::MariaDb(url.clone()), url)
        }
    }
}

const SQLITE_NOW: &str = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)";
const MARIADB_NOW: &str = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";

const SQLITE_BEAT: &str = "CAST(ROUND((julianday(NEW.time) - 2440587.5) * 86400000) AS INTEGER)";
const MARIADB_BEAT: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', NEW.time) DIV 1000";

impl Database {
    /// Writes every change of an effective node and every beat down, by triggers that only tests have.
    pub(crate) async fn watch_history(&self) {
        let (now, beat, key) = match self {
            Self::Sqlite(_) => (SQLITE_NOW, SQLITE_BEAT, "INTEGER PRIMARY KEY AUTOINCREMENT"),
            Self::MariaDb(_) => (MARIADB_NOW, MARIADB_BEAT, "BIGINT AUTO_INCREMENT PRIMARY KEY"),
        };
        let effective = "CASE WHEN COALESCE(NEW.assigned_node, NEW.node_id, '') <> '' \
             THEN COALESCE(NEW.assigned_node, NEW.node_id, '') ELSE COALESCE(NEW.source_node, '') END";
        let note = format!(
            "INSERT INTO test_history (monitor_id, node_id, at_us) VALUES (NEW.monitor_id, {effective}, {now});"
        );
        let beat = format!(
            "INSERT INTO test_beats (monitor_id, status, at_us, beat_ms) \
             VALUES (NEW.monitor_id, NEW.status, {now}, {beat});"
        );
        for statement in [
            format!("CREATE TABLE test_history (id {key}, monitor_id BIGINT, node_id VARCHAR(190), at_us BIGINT)"),
            format!("CREATE TABLE test_beats (id {key}, monitor_id BIGINT, status INT, at_us BIGINT, beat_ms BIGINT)"),
            format!("CREATE TRIGGER test_made AFTER INSERT ON komainu_assignment FOR EACH ROW BEGIN {note} END"),
            format!("CREATE TRIGGER test_moved AFTER UPDATE ON komainu_assignment FOR EACH ROW BEGIN {note} END"),
            format!("CREATE TRIGGER test_beat AFTER INSERT ON heartbeat FOR EACH ROW BEGIN {beat} END"),
        ] {
            self.execute(&statement).await;
        }
    }

    /// Every change so far, in order; rows that repeat the node are left out.
    pub(crate) async fn history(&self) -> Vec<Change> {
        let rows = self.rows("SELECT monitor_id, node_id, at_us FROM test_history ORDER BY id").await;
        let mut changes: Vec<Change> = Vec::new();
        for row in rows {
            let change = Change { monitor: number(&row[0]), node: row[1].clone(), at_us: number(&row[2]) };
            let last = changes.iter().rev().find(|earlier| earlier.monitor == change.monitor);
            if last.is_none_or(|last| last.node != change.node) {
                changes.push(change);
            }
        }
        changes
    }

    /// Every beat so far, in order.
    pub(crate) async fn beats(&self) -> Vec<StoredBeat> {
        let rows = self.rows("SELECT monitor_id, status, at_us, beat_ms FROM test_beats ORDER BY id").await;
        let beat = |row: &Vec<String>| StoredBeat {
            monitor: number(&row[0]),
            status: number(&row[1]),
            at_us: number(&row[2]),
            beat_ms: number(&row[3]),
        };
        rows.iter().map(beat).collect()
    }

    /// One statement.
    pub(crate) async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(path) => {
                let mut connection = sqlite(path).await;
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            }
            Self::MariaDb(url) => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            }
        }
    }

    /// Whether nobody holds the one writer's place of SQLite for long. MariaDB has none.
    pub(crate) async fn takes_writes(&self) -> bool {
        let Self::Sqlite(path) = self else { return true };
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let options = options.busy_timeout(Duration::from_secs(1));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await.is_ok()
    }

    /// All columns as text; NULL is empty.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(path) => {
                let mut connection = sqlite(path).await;
                let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| sqlite_text(row, at)).collect()).collect()
            }
            Self::MariaDb(url) => {
                let rows = mariadb_rows(url, sql).await;
                rows.iter().map(|row| (0..row.len()).map(|at| mariadb_text(row, at)).collect()).collect()
            }
        }
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

async fn sqlite(path: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let options = options.busy_timeout(Duration::from_secs(20));
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// One of several servers that got no time to speak is taken for dead by the others, and refuses until they have it back.
async fn mariadb_rows(url: &str, sql: &str) -> Vec<MySqlRow> {
    let mut rows = Vec::new();
    wait_until("the server is one of several again", Duration::from_secs(60), async || {
        let mut connection = MySqlConnection::connect(url).await.unwrap();
        let asked = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
        if asked.as_ref().is_err_and(is_alone) {
            return false;
        }
        rows = asked.unwrap();
        true
    })
    .await;
    rows
}

/// 1047: "WSREP has not yet prepared node for application use".
fn is_alone(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| error.number() == 1047)
}

fn sqlite_text(row: &sqlx::sqlite::SqliteRow, at: usize) -> String {
    let text: Option<String> = row.try_get_unchecked(at).unwrap_or_default();
    text.unwrap_or_default()
}

/// The text protocol sends every value as text.
fn mariadb_text(row: &MySqlRow, at: usize) -> String {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap_or_default();
    String::from_utf8(bytes.unwrap_or_default()).unwrap()
}
