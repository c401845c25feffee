//! A database for tests that refuses, fails, hangs, or forgets to answer, on order.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use komainu_watchdogs::beginning::Past;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;
use tokio::sync::Notify;

use super::BeatStore;
use crate::store::StoreError;
use crate::store::beats::keeper::{Attempt, Earlier, Receipt};
use crate::store::beats::{Beat, BeatStatus, LastBeat};

/// When a statement fails.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) enum Failing {
    /// Nothing is stored, and the database says so.
    Before,
    /// All is stored, and the answer is lost.
    After,
    /// Nothing is stored, and the answer is lost.
    Lost,
}

/// A table of beats in memory.
#[derive(Clone, Default)]
pub(in crate::node) struct Fake {
    pub(in crate::node) rows: Arc<Mutex<Vec<Beat>>>,
    pub(in crate::node) refused: Arc<Mutex<BTreeSet<MonitorId>>>,
    /// Somebody is changing these.
    pub(in crate::node) locked: Arc<Mutex<BTreeSet<MonitorId>>>,
    /// Beats that do not fit into the table.
    pub(in crate::node) unfit: Arc<Mutex<BTreeSet<MonitorId>>>,
    /// What each statement was told of the ones before.
    pub(in crate::node) told: Arc<Mutex<Vec<Earlier>>>,
    pub(in crate::node) failures: Arc<Mutex<Vec<Failing>>>,
    /// What was noted of monitors before they were started.
    pub(in crate::node) pasts: Arc<Mutex<Vec<(MonitorId, Past)>>>,
    pub(in crate::node) statements: Arc<AtomicUsize>,
    pub(in crate::node) began: Arc<Notify>,
    pub(in crate::node) hold: Arc<tokio::sync::Mutex<()>>,
}

impl Fake {
    /// The next statements fail.
    pub(in crate::node) fn fail_next(&self, times: usize, failing: Failing) {
        *self.failures.lock().unwrap() = vec![failing; times];
    }

    /// Waits until the next one arrives.
    pub(in crate::node) async fn wait_for_statement(&self) {
        tokio::time::timeout(Duration::from_secs(20), self.began.notified()).await.unwrap();
    }
}

impl BeatStore for Fake {
    async fn store(&self, attempts: &[Attempt]) -> Result<Vec<Receipt>, StoreError> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.began.notify_one();
        let _held = self.hold.lock().await;
        let is_in_doubt = attempts.iter().any(|attempt| attempt.earlier == Earlier::InDoubt);
        self.told.lock().unwrap().push(if is_in_doubt { Earlier::InDoubt } else { Earlier::Answered });
        let failing = self.failures.lock().unwrap().pop();
        match failing {
            Some(Failing::Before) => return Err(StoreError::PoolTimeout { act: "store beats", millis: 3_000 }),
            Some(Failing::Lost) => return Err(lost()),
            Some(Failing::After) | None => {}
        }
        if attempts.iter().any(|attempt| self.unfit.lock().unwrap().contains(&attempt.beat.monitor)) {
            return Err(StoreError::Duplicate { act: "store beats", reason: "a key".to_owned() });
        }
        let refused = self.refused.lock().unwrap().clone();
        let locked = self.locked.lock().unwrap().clone();
        let mut rows = self.rows.lock().unwrap();
        let receipts: Vec<Receipt> = attempts
            .iter()
            .map(|attempt| match attempt.earlier {
                Earlier::InDoubt if rows.contains(&attempt.beat) => Receipt::AlreadyThere,
                _ if refused.contains(&attempt.beat.monitor) => Receipt::Refused,
                _ if locked.contains(&attempt.beat.monitor) => Receipt::Later,
                Earlier::InDoubt | Earlier::Answered => Receipt::Stored,
            })
            .collect();
        let taken = attempts.iter().zip(&receipts).filter(|(_, receipt)| **receipt == Receipt::Stored);
        rows.extend(taken.map(|(attempt, _)| attempt.beat.clone()));
        if matches!(failing, Some(Failing::After)) {
            return Err(lost());
        }
        Ok(receipts)
    }

    async fn start(&self, _: &[MonitorId]) -> Result<Vec<(MonitorId, Past)>, StoreError> {
        Ok(self.pasts.lock().unwrap().clone())
    }

    async fn last_beats(&self, monitors: &[MonitorId]) -> Result<Vec<LastBeat>, StoreError> {
        let rows = self.rows.lock().unwrap();
        let of = |monitor: MonitorId| rows.iter().enumerate().rev().filter(move |(_, beat)| beat.monitor == monitor);
        let last = |monitor: &MonitorId| {
            let changed = of(*monitor).find(|(_, beat)| beat.important).map(|(_, beat)| beat.status);
            of(*monitor).next().map(|(at, beat)| LastBeat {
                settled: changed.filter(|_| beat.status == BeatStatus::Pending),
                ..as_last(at, beat)
            })
        };
        Ok(monitors.iter().filter_map(last).collect())
    }
}

fn lost() -> StoreError {
    StoreError::Lost { act: "store beats", reason: "connection reset".to_owned() }
}

/// As the `DATETIME` column keeps it: whole seconds.
fn as_last(at: usize, beat: &Beat) -> LastBeat {
    LastBeat {
        id: i64::try_from(at).unwrap() + 1,
        monitor: beat.monitor,
        status: beat.status,
        important: beat.important,
        time: Wall(beat.time.0 / 1_000 * 1_000),
        down_count: beat.down_count,
        retries: beat.retries,
        msg: beat.msg.clone(),
        ping_ms: beat.ping_ms,
        settled: None,
    }
}
