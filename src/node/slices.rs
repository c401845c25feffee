//! Reads the own monitors' rows in slices, so that edits made in Kuma's UI are noticed without a new generation; and
//! looks for beats that somebody else makes of them.
//!
//! Whoever has just edited a monitor and waits for its next beat can ask that its slice be read at once ([`Reread`]).
//!
//! On a connection of its own: neither a renewal nor a beat waits for it. What is different is for others to judge:
//! an edit for the shard, a monitor that came or went for the tenure.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::tenure::Input;
use komainu_watchdogs::time::Wall;
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

/// Wants a monitor's row read now.
#[derive(Debug)]
pub struct Reread {
    /// The monitor whose row is to be read.
    pub monitor: MonitorId,
    /// Told when the loop went by it, on this node's clock: what begins later is run as the row then said.
    pub told: oneshot::Sender<Wall>,
}

/// What the loop found by comparing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compared {
    /// Monitors came or went.
    pub differs: bool,
    /// When it was looked at.
    pub at: Wall,
}

/// Reads the rows of a node's monitors, part by part.
pub struct Slices {
    /// Who this process is.
    pub identity: Identity,
    /// Where connections come from.
    pub store: Store,
    /// Nothing is read without a lease.
    pub tenure: SharedTenure,
    /// Hears of edits.
    pub runner: mpsc::UnboundedSender<Command>,
    /// Brings those who do not want to wait for their slice.
    pub rereads: mpsc::UnboundedReceiver<Reread>,
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
            let turn_at = clock::now() + PAUSE;
            // One between two turns: however many ask, the slices go round.
            if let Ok(Some(first)) = tokio::time::timeout(PAUSE, self.rereads.recv()).await {
                self.limited(&mut connection, async |slices, connection| slices.reread(connection, first).await).await;
                tokio::time::sleep(turn_at.since(clock::now())).await;
            }
            self.limited(&mut connection, async |slices, connection| slices.turn(connection, turn).await).await;
        }
    }

    /// One look with its time limit, under a lease only.
    async fn limited(
        &mut self,
        connection: &mut Option<TenureConnection>,
        look: impl AsyncFnOnce(&mut Self, &mut Option<TenureConnection>) -> Result<(), StoreError>,
    ) {
        if self.tenure.lock().lease_left(clock::now()).is_zero() {
            return;
        }
        let limit = self.store.allow(TIMEOUT);
        match tokio::time::timeout(limit, look(self, connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "a slice could not be read");
                *connection = None;
            }
            // What was asked may still be answered: the connection is of no use any more.
            Err(_) => *connection = None,
        }
    }

    /// For all who ask by now and have not given up.
    async fn reread(&mut self, connection: &mut Option<TenureConnection>, first: Reread) -> Result<(), StoreError> {
        let mut asking: BTreeMap<u32, Vec<Reread>> = BTreeMap::new();
        let mut next = Some(first);
        while let Some(one) = next {
            asking.entry(slice_of(one.monitor)).or_default().push(one);
            next = self.rereads.try_recv().ok();
        }
        asking.retain(|_, asking| asking.iter().any(|one| !one.told.is_closed()));
        for (slice, asking) in asking {
            if let (_, Some(compared)) = self.compare(connection, (slice, SLICES)).await? {
                for one in asking {
                    let _ = one.told.send(compared.at);
                }
            }
        }
        Ok(())
    }

    async fn turn(&mut self, connection: &mut Option<TenureConnection>, turn: u32) -> Result<(), StoreError> {
        let (monitors, _) = self.compare(connection, (turn % SLICES, SLICES)).await?;
        if turn.is_multiple_of(FOREIGN_EVERY) && !monitors.is_empty() {
            let last = self.store.last_beats(&monitors).await?;
            let _ = self.runner.send(Command::LookForForeign(last));
        }
        Ok(())
    }

    /// Lets the loop compare what it holds with the rows of a slice; says which rows these are, and what it found.
    async fn compare(
        &mut self,
        connection: &mut Option<TenureConnection>,
        slice: (u32, u32),
    ) -> Result<(Vec<MonitorId>, Option<Compared>), StoreError> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => self.identity.connect(&self.store).await?,
        };
        let rows = open.read_slice(slice.0, slice.1).await?;
        *connection = Some(open);
        let monitors = rows.iter().map(|row| row.id).collect();
        let (compared, comparing) = oneshot::channel();
        let _ = self.runner.send(Command::Compare { slice, rows, compared });
        let compared = comparing.await.ok();
        if compared.is_some_and(|compared| compared.differs) {
            let _ = self.inputs.send(Input::Edited);
        }
        Ok((monitors, compared))
    }
}

fn slice_of(monitor: MonitorId) -> u32 {
    u32::try_from(monitor.0.rem_euclid(i64::from(SLICES))).unwrap_or_default()
}
