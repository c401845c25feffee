//! The database: all SQL of komainu lives below this module.
//!
//! Owns the tables `komainu_*` and `node`, and reads and writes Kuma's `monitor` and `heartbeat` as Kuma itself does.
//! It decides nothing: guards and conditions of statements are the assumptions that a decision named. Everything that
//! must be quick and alone has a connection of its own ([`Watch`], [`Leadership`], [`TenureConnection`]); the rest borrows
//! from the few of its [`Share`].

mod again;
pub mod ahead;
pub mod apikeys;
pub mod aside;
pub mod audit;
pub mod beats;
pub mod beginning;
pub mod capacity;
mod catalog;
pub mod certificates;
pub mod checks;
pub mod cluster;
mod decisions;
pub mod dependencies;
mod dialect;
mod distance;
pub mod downtimes;
mod error;
pub mod explaining;
pub mod families;
pub mod hands;
pub mod heartbeats;
pub mod incidents;
mod insert;
mod leader_lock;
mod leadership;
pub mod lost_tail;
pub mod maintenances;
pub mod migrate;
mod moment;
pub mod monitors;
pub mod nodes;
mod only_kuma;
pub mod opinions;
pub mod outbox;
pub mod pages;
mod pool;
mod progress;
pub mod prune;
pub mod push_owners;
mod reach;
pub mod server;
mod servers;
mod session;
mod settling;
mod shard;
pub mod silences;
pub mod spool;
pub mod stats;
pub mod subscriptions;
mod tenure;
mod trial;
mod url;
mod value;
mod watch;
pub mod watchdogs;
pub mod windows;
pub mod writers;

pub(crate) use again::Again;
pub use beats::{Beat, BeatStatus, LastBeat};
pub use error::StoreError;
pub use leadership::Leadership;
pub use monitors::MonitorSpec;
pub use pool::{Share, Store};
pub use tenure::{NodeProcess, TenureConnection};
pub use url::DatabaseUrl;
pub(crate) use watch::MOST_OTHERS;
pub use watch::{Errands, Watch, WatchdogIdentity};

/// One page of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Pass it as `cursor` for the next page; `None`: this was the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a list that was read with one row too many, to know whether there is more.
    fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = if has_more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// A cursor is the key of the last row shown.
fn key_of_cursor(cursor: Option<&str>) -> Result<Option<i64>, StoreError> {
    cursor.map(|text| text.parse().map_err(|_| StoreError::UnknownCursor(text.to_owned()))).transpose()
}
