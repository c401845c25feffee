//! The leadership's own connection.

use komainu_watchdogs::decision::{Commit, Decision};
use komainu_watchdogs::facts::Shard;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::{LeadershipAct, LeadershipAnswer};

use super::error::StoreError;
use super::session::Session;
use super::url::DatabaseUrl;
use super::watch::WatchdogIdentity;

/// The connection, opened at the first attempt.
pub struct Leadership {
    url: DatabaseUrl,
    identity: WatchdogIdentity,
    incarnation: Incarnation,
    session: Option<Session>,
}

impl Leadership {
    /// Nothing is connected yet.
    pub fn new(url: DatabaseUrl, cluster_name: &str, identity: WatchdogIdentity, incarnation: Incarnation) -> Self {
        let _ = cluster_name;
        Self { url, identity, incarnation, session: None }
    }

    /// Performs one act; an error or a timeout closes the connection, which gives the lock back.
    pub async fn perform(&mut self, act: LeadershipAct) -> LeadershipAnswer {
        let _ = (&self.url, &self.identity, self.incarnation, &self.session, act);
        LeadershipAnswer::Failed(String::new())
    }

    /// Carries out a decision in one guarded transaction.
    pub async fn commit(&mut self, decision: &Decision) -> Commit {
        let _ = decision;
        Commit::Failed(String::new())
    }

    /// Reads all monitors with their assignments.
    pub async fn read_shard(&mut self) -> Result<Shard, StoreError> {
        Err(StoreError::SchemaMissing)
    }

    /// Statements sent on the present connection.
    pub fn statements(&self) -> u64 {
        self.session.as_ref().map_or(0, Session::statements)
    }
}
