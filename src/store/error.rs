//! What can go wrong between komainu and its database, in words a person can act on.
//!
//! Owns the one error type of the store and the question "which kind of failure is this?". What to do about it is the
//! caller's business: nothing here retries.

use std::fmt::Display;

/// A failed act on the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL in the configuration is none that komainu understands.
    #[error("database url: {0}")]
    BadUrl(String),
    /// No connection could be made.
    #[error("cannot reach the database at {url}: {reason}")]
    Unreachable {
        /// Without its password.
        url: String,
        /// As the operating system or the driver says it.
        reason: String,
    },
    /// The server does not let this user in.
    #[error(
        "the database at {url} refuses the user: {reason}; check user, password and database, and what is granted (`komainu migrate --dry-run`)"
    )]
    AccessDenied {
        /// Without its password.
        url: String,
        /// As the server says it.
        reason: String,
    },
    /// The server lets this user in, but not do this.
    #[error(
        "could not {act}: the database user lacks a grant ({reason}); `komainu migrate --dry-run` prints the grants"
    )]
    MissingGrant {
        /// What was attempted.
        act: &'static str,
        /// As the server says it.
        reason: String,
    },
    /// The tables of komainu are not there.
    #[error("the database has no komainu tables: run `komainu migrate`")]
    SchemaMissing,
    /// The tables are of an older komainu.
    #[error("database has schema {found}, this komainu needs {needed}: run `komainu migrate`")]
    SchemaTooOld {
        /// In the database.
        found: u32,
        /// Needed at least.
        needed: u32,
    },
    /// The tables are of a newer komainu.
    #[error("database has schema {found}, this komainu knows up to {known}: upgrade komainu")]
    SchemaTooNew {
        /// In the database.
        found: u32,
        /// Known at most.
        known: u32,
    },
    /// There is no Kuma here, and nobody said that there shall be none.
    #[error(
        "the database has no table `monitor`: start Uptime Kuma on it once, or run `komainu migrate --without-kuma` \
         for a database that only native nodes use"
    )]
    NoKuma,
    /// All connections for this use are lent: own trouble, not the database's.
    #[error("could not {act}: no database connection was free within {millis} ms")]
    PoolTimeout {
        /// What was attempted.
        act: &'static str,
        /// How long it was waited for.
        millis: u128,
    },
    /// No answer in time; whether it was carried out is not known.
    #[error("could not {act}: no answer from the database within {millis} ms")]
    TimedOut {
        /// What was attempted.
        act: &'static str,
        /// How long it was waited for.
        millis: u128,
    },
    /// The connection broke; whether it was carried out is not known.
    #[error("could not {act}: the database connection was lost ({reason})")]
    Lost {
        /// What was attempted.
        act: &'static str,
        /// What is wrong, in words.
        reason: String,
    },
    /// Somebody else held a row too long (1205), or both waited for each other (1213).
    #[error("could not {act}: {reason}")]
    Contention {
        /// What was attempted.
        act: &'static str,
        /// Both transactions waited for each other: the server rolled this one back at once.
        is_deadlock: bool,
        /// As the server says it.
        reason: String,
    },
    /// The server is there and cannot do it now: it took too long, is read-only, out of step, full, or has too many
    /// connections. Nothing was changed, the same may succeed later.
    #[error("could not {act}: the database does not do that now ({reason})")]
    Unavailable {
        /// What was attempted.
        act: &'static str,
        /// As the server says it.
        reason: String,
    },
    /// A unique key was violated.
    #[error("could not {act}: it exists already ({reason})")]
    Duplicate {
        /// What was attempted.
        act: &'static str,
        /// As the server says it.
        reason: String,
    },
    /// The database understood and said no, for any other reason.
    #[error("could not {act}")]
    Statement {
        /// What was attempted.
        act: &'static str,
        /// As the driver says it.
        #[source]
        source: sqlx::Error,
    },
    /// A row holds something that komainu did not write.
    #[error("could not {act}: column {column} holds {found:?}")]
    Unreadable {
        /// What was attempted.
        act: &'static str,
        /// Which column.
        column: String,
        /// What stands there.
        found: String,
    },
    /// Another process with the same watchdog id keeps writing its row.
    #[error("watchdog id {id} is in use by host {hostname}")]
    IdInUse {
        /// The id.
        id: String,
        /// Where the other one runs.
        hostname: String,
    },
    /// Something asked for does not exist or is not allowed; one sentence for the person who asked.
    #[error("{0}")]
    Invalid(String),
    /// A place in a list that the list did not give.
    #[error("cursor: {0:?} is none that this list gave")]
    UnknownCursor(String),
    /// A file beside the database (the SQLite leader lock) failed.
    #[error("could not {act}")]
    File {
        /// What was attempted.
        act: &'static str,
        /// As the operating system says it.
        #[source]
        source: std::io::Error,
    },
}

/// Server codes that mean "you may not do that".
const GRANT_CODES: [u16; 6] = [1044, 1142, 1143, 1227, 1370, 1419];
/// Server codes after which the connection is of no use: shutdown, killed, server gone, idle timeout; and a commit of which
/// the server does not know what became of it (Galera: it lost the others meanwhile).
const LOST_CODES: [u16; 8] = [1053, 1152, 1158, 1180, 1927, 2006, 2013, 4031];

/// Server codes that mean "not now": no memory, disk full, too many connections, no thread, table full, WSREP not ready,
/// too many connections of this user, over a user's limit, read-only, in read-only mode, the
/// statement's limit, the same as other servers number it.
const NOT_NOW_CODES: [u16; 13] =
    [1021, 1037, 1040, 1041, 1047, 1114, 1135, 1203, 1226, 1290, 1836, STATEMENT_LIMIT_CODE, 3024];
/// The server ended a statement that ran longer than `max_statement_time`.
const STATEMENT_LIMIT_CODE: u16 = 1969;
/// What SQLite cannot do now: read-only, interrupted at the statement's limit, an error of the disk, full.
const SQLITE_NOT_NOW_CODES: [i32; 4] = [8, 9, 10, 13];

impl StoreError {
    /// The connection is gone or was given up: connect anew.
    pub fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::TimedOut { .. } | Self::Unreachable { .. })
    }

    /// What was sent last may have been carried out, or may be yet.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::TimedOut { .. })
    }

    /// What was to be written is the reason: the same will be refused again.
    pub fn is_of_content(&self) -> bool {
        self.is_duplicate() || matches!(self, Self::Statement { source, .. } if is_of_content(source))
    }

    /// Nothing was sent: all connections for this use are lent.
    pub fn is_own_crowd(&self) -> bool {
        matches!(self, Self::PoolTimeout { .. })
    }

    /// It names an index, a column or a table that is not there any more: what was known of the tables is out of date.
    pub(crate) fn is_of_catalog(&self) -> bool {
        // Unknown column, no such table, key does not exist (dropped and hinted).
        let Self::Statement { source, .. } = self else { return false };
        matches!(server_code(source), Some(1054 | 1146 | 1176)) || is_of_sqlite_catalog(source)
    }

    /// Lock wait or deadlock: nothing was changed, the same may succeed later.
    pub fn is_contention(&self) -> bool {
        matches!(self, Self::Contention { .. })
    }

    /// The server is there and cannot do it now: nothing was changed, the same may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// There was nothing to roll back: SQLite ends the whole transaction of a write that it interrupts.
    pub(crate) fn is_of_no_transaction(&self) -> bool {
        matches!(self, Self::Statement { source, .. } if source.to_string().contains("no transaction is active"))
    }

    /// The same thing exists already.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate { .. })
    }

    pub(crate) fn unreadable(act: &'static str, column: &str, found: impl Display) -> Self {
        Self::Unreadable { act, column: column.to_owned(), found: found.to_string() }
    }

    /// Sorts an error of the driver.
    pub(crate) fn of(act: &'static str, source: sqlx::Error) -> Self {
        if let Some(database) = source.as_database_error() {
            let reason = database.message().to_owned();
            return Self::of_server(act, reason, source);
        }
        if matches!(
            source,
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed
        ) {
            return Self::Lost { act, reason: source.to_string() };
        }
        Self::Statement { act, source }
    }

    fn of_server(act: &'static str, reason: String, source: sqlx::Error) -> Self {
        let is_duplicate = source.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
        match server_code(&source) {
            Some(code) if GRANT_CODES.contains(&code) => Self::MissingGrant { act, reason },
            Some(code) if LOST_CODES.contains(&code) => Self::Lost { act, reason },
            Some(code @ (1205 | 1213)) => Self::Contention { act, is_deadlock: code == 1213, reason },
            Some(code) if NOT_NOW_CODES.contains(&code) => Self::Unavailable { act, reason },
            Some(1146) if reason.contains("komainu_") => Self::SchemaMissing,
            None if reason.contains("no such table: komainu_") => Self::SchemaMissing,
            None if reason.contains("database is locked") => Self::Contention { act, is_deadlock: false, reason },
            None if sqlite_code(&source).is_some_and(|code| SQLITE_NOT_NOW_CODES.contains(&code)) => {
                Self::Unavailable { act, reason }
            }
            _ if is_duplicate => Self::Duplicate { act, reason },
            _ => Self::Statement { act, source },
        }
    }
}

/// Server codes that mean "this value does not fit": NULL, too large, not of the type or the character set, too long, a
/// row that it names is missing.
const CONTENT_CODES: [u16; 8] = [1048, 1264, 1265, 1292, 1366, 1406, 1452, 4025];

fn is_of_content(source: &sqlx::Error) -> bool {
    use sqlx::error::ErrorKind;
    let kind = source.as_database_error().map(sqlx::error::DatabaseError::kind);
    let is_constraint =
        matches!(kind, Some(ErrorKind::ForeignKeyViolation | ErrorKind::NotNullViolation | ErrorKind::CheckViolation));
    is_constraint || server_code(source).is_some_and(|code| CONTENT_CODES.contains(&code))
}

fn is_of_sqlite_catalog(source: &sqlx::Error) -> bool {
    let text = source.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default();
    text.contains("no such column") || text.contains("no such table")
}

/// MariaDB's error number; `None` for SQLite.
pub(crate) fn server_code(source: &sqlx::Error) -> Option<u16> {
    let database = source.as_database_error()?;
    database.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number)
}

/// SQLite's primary result code, without what extends it; `None` for MariaDB.
fn sqlite_code(source: &sqlx::Error) -> Option<i32> {
    let database = source.as_database_error()?;
    let error = database.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    let code: i32 = sqlx::error::DatabaseError::code(error)?.parse().ok()?;
    Some(code & 0xff)
}
