//! A node process's own connection: its lease, its acknowledgements, its assignments.
//!
//! A failed call closes the connection; the next call opens a new one. That is safe because each statement here is
//! guarded by the process's incarnation and none rests on an earlier one.
//!
//! Where the server knows locks that end with a connection (one MariaDB; not Galera, where each server has its own) the
//! connection that renews holds one. A process that is killed loses it at that moment, and watchdogs need not watch its
//! counter for a whole lease ([`LeaseLock`](komainu_watchdogs::facts::LeaseLock)).

use std::sync::Arc;

use komainu_watchdogs::clocks::CLOCK_OFF;
use komainu_watchdogs::ids::{Incarnation, NodeId, Stamp};
use komainu_watchdogs::tenure::OwnRow;

use super::catalog::Catalog;
use super::dialect::Dialect;
use super::error::StoreError;
use super::monitors::MonitorSpec;
use super::monitors::columns::SpecColumns;
use super::nodes;
use super::pool::Store;
use super::session::Session;
use super::value::{Value, values};
use super::watch::stamp;
use crate::clock;
use crate::clock::database::DatabaseClock;

/// Rows of monitors in memory at once: undigested they take ten times the room. What is read by later statements is at
/// least as new as the stamp too.
const READ_BATCH: usize = 1_000;

/// What a node process says of itself when it registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeProcess {
    /// Its node.
    pub node: NodeId,
    /// This process.
    pub incarnation: Incarnation,
    /// The host it runs on, for people.
    pub hostname: String,
    /// Where its HTTP surface answers.
    pub address: String,
    /// Types of monitor it can run; empty: all.
    pub kinds: Vec<String>,
}

/// The connection.
pub struct TenureConnection {
    store: Store,
    session: Option<Session>,
    node: NodeId,
    incarnation: Incarnation,
    process: NodeProcess,
    clock: DatabaseClock,
    lock: Lock,
}

/// The lock on the present session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lock {
    /// It was not asked yet whether there are any.
    Unasked,
    /// There are none.
    Nothing,
    /// It is not had yet: an earlier session of this process, which the server still keeps, may have it.
    Wanted,
    Held,
}

/// The name of the lock of one process, in SQL that gives its incarnation as text.
pub(crate) fn lock_of(incarnation: &str) -> String {
    format!("CONCAT('komainu:lease:', {incarnation})")
}

impl TenureConnection {
    pub(crate) async fn connect(store: &Store, process: NodeProcess) -> Result<Self, StoreError> {
        let session = Some(Session::connect(store.url()).await?);
        let (node, incarnation) = (process.node.clone(), process.incarnation);
        Ok(Self {
            store: store.clone(),
            session,
            node,
            incarnation,
            process,
            clock: DatabaseClock::default(),
            lock: Lock::Unasked,
        })
    }

    /// Keeps this clock, which others stamp with.
    #[must_use]
    pub fn with_clock(self, clock: DatabaseClock) -> Self {
        Self { clock, ..self }
    }

    /// The own row; `None`: there is no such node.
    pub async fn read_row(&mut self) -> Result<Option<OwnRow>, StoreError> {
        let values = values![&self.node];
        let session = self.session().await?;
        let (server, dialect) = (session.server_name(), session.dialect());
        let is_free = match dialect {
            Dialect::MariaDb => format!("IS_FREE_LOCK({})", lock_of("incarnation")),
            Dialect::Sqlite => "0".to_owned(),
        };
        let sql = format!(
            "SELECT incarnation, is_released, lease_seq, hostname, address, server, \
             CASE WHEN had_lock = 1 THEN CAST({is_free} AS SIGNED) ELSE 0 END AS lock_is_free FROM node WHERE node_id = ?"
        );
        let row = session.row("read the node's row", sql, values).await?;
        row.map(|row| {
            let hostname = row.text("hostname")?;
            let is_here = hostname == self.process.hostname && row.text("address")? == self.process.address;
            // A lock says nothing on a server where it was never taken.
            let was_taken_here = server.is_some() && row.maybe_text("server")? == server;
            Ok(OwnRow {
                incarnation: row.maybe_hex("incarnation")?,
                is_released: row.flag("is_released")?,
                lease_seq: row.count("lease_seq")?,
                hostname,
                is_abandoned: is_here && was_taken_here && row.flag("lock_is_free")?,
            })
        })
        .transpose()
    }

    /// Takes the row, guarded by the incarnation and the counter that were read. Never touches the status.
    pub async fn register(&mut self, seen: Option<Incarnation>, lease_seq: u64) -> Result<bool, StoreError> {
        let NodeProcess { hostname, address, kinds, .. } = &self.process;
        let host = address.split_once("://").map_or(address.as_str(), |(_, host)| host).trim_matches('/');
        let kinds = nodes::list_text(kinds);
        let values = [
            values![self.incarnation, host, hostname, address, kinds, self.incarnation],
            values![self.clock.stamp(), self.clock.off_ms()],
            values![&self.node, seen, lease_seq],
        ];
        let values = values.concat();
        let session = self.session().await?;
        let dialect = session.dialect();
        let sql = format!(
            "UPDATE node SET incarnation = ?, lease_seq = lease_seq + 1, is_released = 0, applied_generation = NULL, \
             applied_nonce = NULL, foreign_beats = 0, had_lock = 0, host = ?, hostname = ?, address = ?, kinds = ?, runner = 'native', \
             noting_incarnation = ?, clock_ms = ?, clock_off_ms = ?, last_seen_ms = {}, last_seen = {} \
             WHERE node_id = ? AND incarnation {} ? AND lease_seq = ?",
            dialect.now_ms(),
            dialect.now_datetime(),
            dialect.is_same()
        );
        Ok(session.execute("register the node", sql, values).await? == 1)
    }

    /// Raises the counter; `false`: the row is another's.
    pub async fn renew(&mut self, applied: Option<Stamp>, foreign_beats: u64) -> Result<bool, StoreError> {
        self.raise("renew the lease", applied, Some(foreign_beats)).await
    }

    /// Writes the acknowledgement at once; it counts as a renewal.
    pub async fn acknowledge(&mut self, stamp: Stamp) -> Result<bool, StoreError> {
        self.raise("acknowledge the assignment", Some(stamp), None).await
    }

    /// Whether the present connection holds this process' lock.
    pub fn has_lock(&self) -> bool {
        self.lock == Lock::Held && self.session.is_some()
    }

    /// Its connection has ended, and with it all that rests on it.
    pub fn is_broken(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_broken)
    }

    /// Takes the lock, if there is one to take and nobody has it. A server that refuses has none.
    async fn take_lock(&mut self) -> Result<(), StoreError> {
        match self.try_lock().await {
            Err(StoreError::Statement { .. } | StoreError::MissingGrant { .. }) => {
                self.lock = Lock::Nothing;
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn try_lock(&mut self) -> Result<(), StoreError> {
        let incarnation = self.incarnation;
        if self.lock == Lock::Unasked {
            let session = self.session().await?;
            let is_there = session.dialect() == Dialect::MariaDb && !session.is_galera();
            self.lock = if is_there { Lock::Wanted } else { Lock::Nothing };
        }
        if self.lock == Lock::Wanted {
            let sql = format!("SELECT CAST(GET_LOCK({}, 0) AS SIGNED) AS locked", lock_of("?"));
            let row = self.session().await?.row("take the lock of the lease", sql, values![incarnation]).await?;
            if row.map_or(Ok(0), |row| row.small("locked"))? == 1 {
                self.lock = Lock::Held;
            }
        }
        Ok(())
    }

    async fn raise(
        &mut self,
        act: &'static str,
        applied: Option<Stamp>,
        foreign_beats: Option<u64>,
    ) -> Result<bool, StoreError> {
        self.session().await?;
        if matches!(self.lock, Lock::Unasked | Lock::Wanted) {
            self.take_lock().await?;
        }
        let off_ms = self.clock.off_ms();
        let server = self.session().await?.server_name();
        let values = values![
            applied.map(|stamp| stamp.generation),
            applied.map(|stamp| stamp.nonce),
            foreign_beats,
            i64::from(self.has_lock()),
            server,
            off_ms,
            self.clock.stamp(),
            off_ms,
            &self.node,
            self.incarnation,
        ];
        let session = self.session().await?;
        let dialect = session.dialect();
        let sql = format!(
            "UPDATE node SET lease_seq = lease_seq + 1, applied_generation = ?, applied_nonce = ?, \
             foreign_beats = COALESCE(?, foreign_beats), had_lock = ?, server = ?, clock_stepped_ms = CASE WHEN ABS(? - clock_off_ms) > {step} \
             THEN {now} ELSE clock_stepped_ms END, clock_ms = ?, clock_off_ms = ?, last_seen_ms = {now}, \
             last_seen = {} WHERE node_id = ? AND incarnation = ?",
            dialect.now_datetime(),
            step = CLOCK_OFF.as_millis(),
            now = dialect.now_ms(),
        );
        Ok(session.execute(act, sql, values).await? == 1)
    }

    /// The cluster's stamp, and whether the history knows `applied` (true if there is none).
    pub async fn read_stamp(&mut self, applied: Option<Stamp>) -> Result<(Stamp, bool), StoreError> {
        let values = values![applied.map(|stamp| stamp.generation), applied.map(|stamp| stamp.nonce)];
        let sql = format!(
            "SELECT c.generation, c.nonce, (SELECT COUNT(*) FROM komainu_generation g \
             WHERE g.generation = ? AND g.nonce = ?) AS known, \
             (SELECT l.server FROM komainu_leader l WHERE l.id = 1) AS server, {} AS now FROM komainu_cluster c WHERE c.id = 1",
            self.store.dialect().now_ms()
        );
        let session = self.session().await?;
        let sent_at = clock::now();
        let row = session.row("read the generation", sql, values).await?.ok_or(StoreError::SchemaMissing)?;
        session.follow(row.maybe_text("server")?.as_deref());
        self.clock.note(row.wall("now")?, sent_at, clock::now());
        Ok((stamp(&row)?, applied.is_none() || row.flag("known")?))
    }

    /// The stamp, read first, then the active monitors whose effective node this is: they are at least as new.
    pub async fn read_assignments(&mut self) -> Result<(Stamp, Vec<MonitorSpec>), StoreError> {
        let (stamp, _) = self.read_stamp(None).await?;
        Ok((stamp, self.read_own("", vec![]).await?))
    }

    /// The own active monitors whose id leaves the rest `slice` when divided by `of`.
    pub async fn read_slice(&mut self, slice: u32, of: u32) -> Result<Vec<MonitorSpec>, StoreError> {
        self.read_own(" AND a.monitor_id % ? = ?", values![of.max(1), slice]).await
    }

    async fn read_own(&mut self, condition: &str, values: Vec<Value>) -> Result<Vec<MonitorSpec>, StoreError> {
        let columns = SpecColumns::of(&*self.catalog().await?);
        let sql = format!(
            "SELECT {} FROM komainu_assignment a JOIN monitor m ON m.id = a.monitor_id \
             WHERE a.effective_node = ? AND a.monitor_id > ? AND m.active = 1{condition} \
             ORDER BY a.monitor_id LIMIT {READ_BATCH}",
            columns.selected()
        );
        let mut monitors: Vec<MonitorSpec> = Vec::new();
        loop {
            let last = monitors.last().map_or(0, |monitor| monitor.id.0);
            let values = [values![&self.node, last], values.clone()].concat();
            let rows = self.session().await?.rows("read the own monitors", sql.clone(), values).await?;
            for row in &rows {
                monitors.push(SpecColumns::read(row)?);
            }
            if rows.len() < READ_BATCH {
                return Ok(monitors);
            }
        }
    }

    /// Gives the row back: nothing of this process runs any more. `false`: it was another's already.
    pub async fn release(&mut self) -> Result<bool, StoreError> {
        // Whoever ends in order was ended by no monitor.
        let sql = "UPDATE komainu_assignment SET begun_by = NULL, begun_with = NULL \
             WHERE effective_node = ? AND begun_by = ?";
        let values = values![&self.node, self.incarnation];
        self.session().await?.execute("take back what was begun", sql, values.clone()).await?;
        let sql = "UPDATE node SET incarnation = NULL, is_released = 1 WHERE node_id = ? AND incarnation = ?";
        Ok(self.session().await?.execute("release the lease", sql, values).await? == 1)
    }

    /// Read on this connection, unless it is known.
    async fn catalog(&mut self) -> Result<Arc<Catalog>, StoreError> {
        if let Some(catalog) = self.store.known_catalog() {
            return Ok(catalog);
        }
        let catalog = Catalog::read(self.session().await?).await?;
        Ok(self.store.keep_catalog(catalog))
    }

    async fn session(&mut self) -> Result<&mut Session, StoreError> {
        if self.session.as_ref().is_none_or(Session::is_broken) {
            self.session = None;
        }
        match &mut self.session {
            Some(session) => Ok(session),
            empty => {
                self.lock = Lock::Unasked;
                Ok(empty.insert(Session::connect(self.store.url()).await?))
            }
        }
    }
}
