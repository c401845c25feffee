//! What would be told if the database went away now, read while it is there.

use crate::silence::NewSilence;
use crate::store::dependencies::{self, Remembered};
use crate::store::spool::{self, Undelivered};
use crate::store::{Store, StoreError, silences};

/// All of it, as it was read last.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) undelivered: Vec<Undelivered>,
    /// Those that are not over.
    pub(super) silences: Vec<NewSilence>,
    /// What checks depend on, and what of that is bad.
    pub(super) dependencies: Remembered,
    /// How far the incidents' events had come.
    pub(super) latest_event: i64,
}

impl Waiting {
    pub(super) async fn read(store: &Store) -> Result<Self, StoreError> {
        let (undelivered, latest_event) = spool::undelivered(store).await?;
        let silences = silences::remembered(store).await?;
        Ok(Self { undelivered, silences, dependencies: dependencies::remembered(store).await?, latest_event })
    }
}
