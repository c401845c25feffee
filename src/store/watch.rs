//! A watchdog's own connection: reads the rounds, writes the own row and observations, raises and resolves incidents.
//!
//! It never reconnects by itself: the watchdog must see each failure, for its watching of leases starts anew with it.

use komainu_watchdogs::facts::Round;
use komainu_watchdogs::ids::{WatchdogId, Zone};
use komainu_watchdogs::io::{Alarm, Write};
use komainu_watchdogs::time::Wall;

use super::error::StoreError;
use super::session::Session;
use super::url::DatabaseUrl;

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
}

impl Watch {
    pub(crate) async fn connect(url: &DatabaseUrl, identity: WatchdogIdentity) -> Result<Self, StoreError> {
        Ok(Self { session: Session::connect(url).await?, identity })
    }

    /// Reads the small tables in one snapshot.
    pub async fn read_round(&mut self, with_progress: bool) -> Result<Round, StoreError> {
        let _ = (&mut self.session, &self.identity, with_progress);
        Err(StoreError::SchemaMissing)
    }

    /// Writes the own row and the observations that changed, in one transaction.
    ///
    /// [`StoreError::IdInUse`] while another living process writes this row.
    pub async fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        let _ = write;
        Err(StoreError::SchemaMissing)
    }

    /// Opens this incident, or notes that it is still bad. Says whether it was opened by this call.
    pub async fn raise(&mut self, alarm: &Alarm) -> Result<bool, StoreError> {
        let _ = alarm;
        Err(StoreError::SchemaMissing)
    }

    /// Resolves this incident unless somebody saw it bad after `last_bad_at`. Says whether it did.
    pub async fn resolve(&mut self, key: &str, last_bad_at: Wall) -> Result<bool, StoreError> {
        let _ = (key, last_bad_at);
        Err(StoreError::SchemaMissing)
    }
}
