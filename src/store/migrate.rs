//! Making, checking and taking away the tables of komainu.

use super::error::StoreError;
use super::pool::Store;
use super::session::Session;

/// How to migrate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MigrateOptions {
    /// Make the part of Kuma's tables that native nodes need: no Kuma will ever start on this database.
    pub without_kuma: bool,
}

/// What a migration would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MigrationPlan {
    /// The schema as it is; 0: none.
    pub from: u32,
    /// The schema afterwards.
    pub to: u32,
    /// SQL, in order; empty: nothing to do.
    pub statements: Vec<String>,
    /// The grants that the user of the URL needs, for MariaDB.
    pub grants: Vec<String>,
    /// For people: what is peculiar to this database.
    pub notes: Vec<String>,
}

/// Reads what is there and says what [`apply`] would do.
pub async fn plan(store: &Store, options: MigrateOptions) -> Result<MigrationPlan, StoreError> {
    let _ = (store, options);
    Err(StoreError::SchemaMissing)
}

/// Brings the schema up to date; does nothing when it is.
pub async fn apply(store: &Store, options: MigrateOptions) -> Result<MigrationPlan, StoreError> {
    plan(store, options).await
}

/// What [`remove`] would do.
pub async fn plan_removal(store: &Store) -> Result<MigrationPlan, StoreError> {
    let _ = store;
    Err(StoreError::SchemaMissing)
}

/// Takes everything of komainu out again. What was there before stays: Kuma's tables, and a `node` table of the fork.
pub async fn remove(store: &Store) -> Result<MigrationPlan, StoreError> {
    plan_removal(store).await
}

pub(crate) async fn check(session: &mut Session) -> Result<(), StoreError> {
    let _ = session;
    Err(StoreError::SchemaMissing)
}
