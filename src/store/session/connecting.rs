//! Making a connection, and the settings that it has from then on.

use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::time::Mono;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::deadline::Deadline;
use super::{STATEMENT_TIMEOUT, Session, Wire};
use crate::store::error::{StoreError, server_code};
use crate::store::server::{self, Server};
use crate::store::url::{DatabasePlace, DatabaseUrl};
use crate::store::{reach, servers};

/// For connections that leases hang on. A second away, a connection takes five trips and more.
const FAR_CONNECT_TIMEOUT: Duration = Duration::from_secs(9);
/// What a lock wait may take; the same in both databases.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// Without these a vanished leader's open transaction blocks its successors for hours.
const MARIADB_SETTINGS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
     SET SESSION idle_transaction_timeout = 5, SESSION innodb_lock_wait_timeout = 3, SESSION autocommit = 1, \
     SESSION max_statement_time = 3.4";

impl Session {
    /// For what leases hang on: patient with a database that is a second away.
    pub(crate) async fn connect_afar(url: &DatabaseUrl) -> Result<Self, StoreError> {
        Self::connect_within(FAR_CONNECT_TIMEOUT, url).await
    }

    /// Waited for by how far away the database was lately.
    pub(crate) async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        Self::connect_within(url.distance().patience(), url).await
    }

    async fn connect_within(limit: Duration, url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url.place() {
            DatabasePlace::MariaDb(addresses) if addresses.are_several() => {
                Box::pin(servers::connect(limit, (url, addresses))).await
            }
            DatabasePlace::MariaDb(addresses) => {
                let session = Box::pin(Self::connect_to(limit, (url, addresses.first()))).await?;
                url.servers().note(session.server());
                Ok(session)
            }
            DatabasePlace::Sqlite(path) => {
                let wire = connected(limit, url, connect_sqlite(path)).await?;
                let mut session = Self::over(wire, url);
                session.set_up().await?;
                Ok(session)
            }
        }
    }

    /// To this one of its servers.
    pub(in crate::store) async fn connect_to(
        limit: Duration,
        (url, address): (&DatabaseUrl, &url::Url),
    ) -> Result<Self, StoreError> {
        let connecting = async { reach::connect(address).await.map(|wire| Wire::MariaDb(Box::new(wire))) };
        let wire = connected(limit, url, connecting).await?;
        let mut session = Self::over(wire, url);
        session.set_up().await?;
        Ok(session)
    }

    fn over(wire: Wire, url: &DatabaseUrl) -> Self {
        Self {
            wire,
            statement_timeout: STATEMENT_TIMEOUT,
            deadline: Deadline::default(),
            in_transaction: false,
            in_flight: false,
            has_failed: false,
            statements: 0,
            found_misfit: false,
            distance: Arc::clone(url.distance()),
            sent_at: Mono::default(),
            server: Server::default(),
            url: url.clone(),
            era: url.servers().era(),
        }
    }

    async fn set_up(&mut self) -> Result<(), StoreError> {
        let act = "set up the session";
        match &mut self.wire {
            Wire::MariaDb(_) => {
                // Not to be asked which server is used: that is being found out.
                self.in_transaction = true;
                let asked = self.ask(act, &format!("{MARIADB_SETTINGS}; {}", server::ASK)).await;
                (self.in_transaction, self.has_failed) = (false, false);
                self.server = asked?;
                Ok(())
            }
            Wire::Sqlite(wire) => self.deadline.keep_on(wire).await.map_err(|error| StoreError::of(act, error)),
        }
    }

    /// What the server says of itself now.
    pub(in crate::store) async fn ask_server(&mut self, act: &'static str) -> Result<Server, StoreError> {
        self.ask(act, server::ASK).await
    }

    async fn ask(&mut self, act: &'static str, text: &str) -> Result<Server, StoreError> {
        let answers = self.answers(act, text).await?;
        let [.., variables, status] = answers.as_slice() else {
            return Err(StoreError::unreadable(act, "answers", answers.len()));
        };
        Server::of(&variables.rows, &status.rows)
    }

    /// It is one to the server that is used from here on.
    pub(in crate::store) fn settle(&mut self) {
        self.era = self.url.servers().era();
    }
}

async fn connected(
    limit: Duration,
    url: &DatabaseUrl,
    connecting: impl Future<Output = Result<Wire, sqlx::Error>>,
) -> Result<Wire, StoreError> {
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(wire)) => Ok(wire),
        Ok(Err(error)) => Err(not_connected(url, &error)),
        Err(_) => {
            let reason = format!("no answer within {} s", limit.as_secs_f64());
            Err(StoreError::Unreachable { url: url.to_string(), reason })
        }
    }
}

async fn connect_sqlite(path: &std::path::Path) -> Result<Wire, sqlx::Error> {
    // Push tokens and headers with passwords are in it: a new one is nobody's business but its owner's and group's. The files
    // beside it get the same mode. If it cannot be made, SQLite says why.
    let _made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o660).open(path);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Survives the death of any process; the last commits may go with the power.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(LOCK_WAIT)
        .foreign_keys(true)
        .disable_statement_logging();
    Ok(Wire::Sqlite(Box::new(options.connect().await?)))
}

fn not_connected(url: &DatabaseUrl, error: &sqlx::Error) -> StoreError {
    let reason = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    let url = url.to_string();
    match server_code(error) {
        // Access denied for user, for database, unknown database, host not allowed.
        Some(1045 | 1044 | 1049 | 1130 | 1698) => StoreError::AccessDenied { url, reason },
        _ => StoreError::Unreachable { url, reason },
    }
}
