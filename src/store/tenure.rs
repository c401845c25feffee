//! A node process's own connection: its lease, its acknowledgements, its assignments.
//!
//! A failed call closes the connection; the next call opens a new one. That is safe because each statement here is
//! guarded by the process's incarnation and none rests on an earlier one.

use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId, Stamp};
use komainu_watchdogs::tenure::OwnRow;

use super::error::StoreError;
use super::monitors::MonitorSpec;
use super::pool::Store;
use super::session::Session;

/// The connection.
pub struct TenureConnection {
    store: Store,
    session: Option<Session>,
    node: NodeId,
    incarnation: Incarnation,
    hostname: String,
    address: String,
}

impl TenureConnection {
    pub(crate) async fn connect(
        store: &Store,
        node: NodeId,
        incarnation: Incarnation,
        (hostname, address): (&str, &str),
    ) -> Result<Self, StoreError> {
        let session = Some(Session::connect(store.url()).await?);
        let (hostname, address) = (hostname.to_owned(), address.to_owned());
        Ok(Self { store: store.clone(), session, node, incarnation, hostname, address })
    }

    /// The own row; `None`: there is no such node.
    pub async fn read_row(&mut self) -> Result<Option<OwnRow>, StoreError> {
        let _ = (&self.store, &self.session, &self.node, self.incarnation, &self.hostname, &self.address);
        Err(StoreError::SchemaMissing)
    }

    /// Takes the row, guarded by the incarnation and the counter that were read. Never touches the status.
    pub async fn register(&mut self, seen: Option<Incarnation>, lease_seq: u64) -> Result<bool, StoreError> {
        let _ = (seen, lease_seq);
        Err(StoreError::SchemaMissing)
    }

    /// Raises the counter; `false`: the row is another's.
    pub async fn renew(&mut self, applied: Option<Stamp>, foreign_beats: u64) -> Result<bool, StoreError> {
        let _ = (applied, foreign_beats);
        Err(StoreError::SchemaMissing)
    }

    /// Writes the acknowledgement at once; it counts as a renewal.
    pub async fn acknowledge(&mut self, stamp: Stamp) -> Result<bool, StoreError> {
        let _ = stamp;
        Err(StoreError::SchemaMissing)
    }

    /// The cluster's stamp, and whether the history knows `applied` (true if there is none).
    pub async fn read_stamp(&mut self, applied: Option<Stamp>) -> Result<(Stamp, bool), StoreError> {
        let _ = applied;
        Err(StoreError::SchemaMissing)
    }

    /// The stamp, read first, then the active monitors whose effective node this is.
    pub async fn read_assignments(&mut self) -> Result<(Stamp, Vec<MonitorSpec>), StoreError> {
        Err(StoreError::SchemaMissing)
    }

    /// The own active monitors whose id leaves the rest `slice` when divided by `of`.
    pub async fn read_slice(&mut self, slice: u32, of: u32) -> Result<Vec<MonitorSpec>, StoreError> {
        let _ = (slice, of);
        Err(StoreError::SchemaMissing)
    }

    /// Notes that these monitors were started just now, so that a monitor which was paused for months does not count
    /// as overdue at once.
    pub async fn started(&mut self, monitors: &[MonitorId]) -> Result<(), StoreError> {
        let _ = monitors;
        Err(StoreError::SchemaMissing)
    }

    /// Gives the row back: nothing of this process runs any more.
    pub async fn release(&mut self) -> Result<bool, StoreError> {
        Err(StoreError::SchemaMissing)
    }
}
