//! Reading all heartbeats into memory: everything at first, later what changed.
//!
//! A row is changed before it is committed, so each reading goes back further than the one before ended. Whether a row
//! was deleted shows in their number.

use komainu_watchdogs::heartbeat::limits::Gap;
use komainu_watchdogs::heartbeat::outage_since;
use komainu_watchdogs::time::{Mono, Wall};

use super::CachedHeartbeat;
use super::columns::{self, DEFINITION, VITALS};
use super::outage::{self, Gaps, NEWEST_GAP};
use crate::clock;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Session;
use crate::store::value::values;

const ACT: &str = "read the heartbeats";

/// The connection that all heartbeats are read on, or those that changed.
pub struct CacheReader {
    session: Session,
    gaps: Gaps,
}

/// What one reading showed.
#[derive(Clone, Debug)]
pub struct Glance {
    /// On the own clock, before the reading began.
    pub began_at: Mono,
    /// The database's clock, microseconds UTC, and the own one at that moment.
    pub database_us: i64,
    /// See `database_us`.
    pub read_at: Mono,
    /// Since when no watchdog could take a push, if none can.
    pub outage_since: Option<Wall>,
    /// The last times in which none could, in their order. They are counted in the rows.
    pub gaps: Vec<Gap>,
    /// How many heartbeats there are.
    pub count: u64,
    /// All of them, or those that changed.
    pub rows: Vec<CachedHeartbeat>,
}

impl Glance {
    /// The database's clock when the reading began.
    pub fn database_at(&self) -> Wall {
        Wall(self.database_us / 1_000)
    }
}

impl CacheReader {
    /// Connects; it never reconnects by itself.
    pub async fn connect(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { session: super::connect(store).await?, gaps: Gaps::default() })
    }

    /// Reads all rows, or those that changed at this time or later; on MariaDB in one round trip, unless there is a new gap.
    pub async fn glance(&mut self, since: Option<Wall>) -> Result<Glance, StoreError> {
        let began_at = clock::now();
        // First: rows that are read after the last proof show what was pushed before it.
        let look = format!(
            "SELECT {} AS now_ms, {} AS last_proof, (SELECT COUNT(*) FROM komainu_heartbeat) AS heartbeats, \
             {NEWEST_GAP} AS newest_gap",
            self.session.dialect().now_ms(),
            outage::last_proof(self.session.dialect()),
        );
        let (condition, values) = match since {
            Some(since) => (" WHERE changed_at >= ?", values![since]),
            None => ("", vec![]),
        };
        let sql = format!("SELECT {DEFINITION}, {VITALS} FROM komainu_heartbeat{condition}");
        let mut answers = self.session.each(ACT, vec![(look, vec![]), (sql, values)]).await?.into_iter();
        let row = answers.next().and_then(|look| look.rows.into_iter().next());
        let row = row.ok_or_else(|| StoreError::unreadable(ACT, "now_ms", "nothing"))?;
        let now = row.wall("now_ms")?;
        let outage_since = outage_since(row.maybe_wall("last_proof")?, now, outage::patience(&self.session));
        let (count, newest_gap) = (row.count("heartbeats")?, row.int("newest_gap")?);
        // The database looked at its clock somewhere in between.
        let read_at = began_at + clock::now().since(began_at) / 2;
        self.gaps.refresh(&mut self.session, newest_gap).await?;
        let gaps = self.gaps.known();
        let known = |row| {
            let mut known = columns::known(row)?;
            known.count(gaps);
            Ok(known)
        };
        let rows = answers.next().map(|answer| answer.rows).unwrap_or_default();
        let rows = rows.iter().map(known).collect::<Result<_, StoreError>>()?;
        let database_us = now.0 * 1_000;
        Ok(Glance { began_at, database_us, read_at, outage_since, gaps: gaps.to_vec(), count, rows })
    }
}
