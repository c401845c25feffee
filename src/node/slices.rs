//! Reads the own monitors' rows in slices, so that edits made in Kuma's UI are noticed without a new generation; and
//! looks for beats that somebody else makes of them. Also notes in the database what was started.
//!
//! On a connection of its own: neither a renewal nor a beat waits for it. What is different is for others to judge:
//! an edit for the shard, a monitor that came or went for the tenure.

use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::tenure::Input;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::link::{Identity, SharedTenure};
use super::runner::Command;
use crate::clock;
use crate::store::{Store, StoreError, TenureConnection};

/// A slice a second: an edit is noticed within 5 s.
const SLICES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// One slice in seven is also looked at for foreign beats: seven and five share no factor, so all come up in 35 s.
const FOREIGN_EVERY: u32 = 7;

/// How long one turn may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Reads slices.
pub struct Slices {
    /// Who this process is.
    pub identity: Identity,
    /// Where connections come from.
    pub store: Store,
    /// Nothing is read without a lease.
    pub tenure: SharedTenure,
    /// Hears of edits.
    pub runner: mpsc::UnboundedSender<Command>,
    /// Tells what was started, to be noted in the database.
    pub started: mpsc::UnboundedReceiver<Vec<MonitorId>>,
    /// Hears of monitors that came or went.
    pub inputs: mpsc::UnboundedSender<Input>,
}

impl Slices {
    /// Reads until `ended`.
    pub async fn run(mut self, ended: CancellationToken) {
        ended.run_until_cancelled(self.read()).await;
    }

    async fn read(&mut self) {
        let mut connection = None;
        for turn in (0..SLICES * FOREIGN_EVERY).cycle() {
            tokio::time::sleep(PAUSE).await;
            if self.tenure.lock().lease_left(clock::now()).is_zero() {
                continue;
            }
            match tokio::time::timeout(TIMEOUT, self.turn(&mut connection, turn)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a slice could not be read");
                    connection = None;
                }
                // What was asked may still be answered: the connection is of no use any more.
                Err(_) => connection = None,
            }
        }
    }

    async fn turn(&mut self, connection: &mut Option<TenureConnection>, turn: u32) -> Result<(), StoreError> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => self.identity.connect(&self.store).await?,
        };
        while let Ok(started) = self.started.try_recv() {
            open.started(&started).await?;
        }
        let slice = (turn % SLICES, SLICES);
        let rows = open.read_slice(slice.0, slice.1).await?;
        *connection = Some(open);
        let monitors: Vec<_> = rows.iter().map(|row| row.id).collect();
        let (differs, is_different) = oneshot::channel();
        let _ = self.runner.send(Command::Compare { slice, rows, differs });
        if is_different.await.unwrap_or(false) {
            let _ = self.inputs.send(Input::Edited);
        }
        if turn.is_multiple_of(FOREIGN_EVERY) && !monitors.is_empty() {
            let last = self.store.last_beats(&monitors).await?;
            let _ = self.runner.send(Command::LookForForeign(last));
        }
        Ok(())
    }
}
