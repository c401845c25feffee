//! A watchdog's own connection: reads the rounds, writes the own row, and nothing else.
//!
//! Two round trips in all, so that a database a second away is still watched.
//! It never reconnects by itself: the watchdog must see each failure, for its watching of leases starts anew with it.

mod errands;
mod observations;
mod own_row;
mod round;

pub use errands::Errands;
pub(crate) use errands::MOST_OTHERS;

pub(super) use round::{applied, cluster_row, leader_row, overlay, overlay_text, stamp, text_list, watchdog_row};

use komainu_watchdogs::facts::Round;
use komainu_watchdogs::ids::{Incarnation, WatchdogId, Zone};
use komainu_watchdogs::io::Write;
use komainu_watchdogs::time::Mono;

use super::error::StoreError;
use super::pool::Store;
use super::session::Session;
use crate::clock;

/// What a watchdog says of itself in its row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchdogIdentity {
    /// Its configured id.
    pub watchdog: WatchdogId,
    /// Where it stands.
    pub zone: Zone,
    /// Where its peers reach it.
    pub advertise: String,
    /// The host it runs on, for people.
    pub hostname: String,
    /// Of this program.
    pub version: String,
}

/// The connection.
pub struct Watch {
    session: Session,
    identity: WatchdogIdentity,
    /// Another process that wrote our row, its counter, and since when it stands still.
    other: Option<(Incarnation, u64, Mono)>,
}

impl Watch {
    pub(crate) async fn connect(store: &Store, identity: WatchdogIdentity) -> Result<Self, StoreError> {
        Ok(Self { session: Session::connect_afar(store.url()).await?, identity, other: None })
    }

    pub(crate) async fn check_schema(&mut self) -> Result<(), StoreError> {
        super::migrate::check(&mut self.session).await
    }

    /// Reads what leases and leadership hang on, in one snapshot.
    pub async fn read_round(&mut self) -> Result<Round, StoreError> {
        let began_at = clock::now();
        let round = round::read(&mut self.session, &self.identity.watchdog).await?;
        Ok(Round { began_at, ended_at: clock::now(), ..round })
    }

    /// Writes the own row with everything that this watchdog sees: one statement, but for a process that has just come.
    ///
    /// [`StoreError::IdInUse`] while another living process writes this row.
    pub async fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        own_row::write(&mut self.session, &self.identity, write, &mut self.other).await
    }

    /// Round trips so far.
    pub fn trips(&self) -> u64 {
        self.session.statements()
    }

    /// Says goodbye to the server.
    pub async fn close(self) {
        self.session.close().await;
    }
}
