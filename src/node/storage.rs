//! Beats on their way into the database: batches, retries, and the last look before each attempt.
//!
//! Whether a beat may be stored is asked of the tenure right before each attempt, and the statement asks the database
//! once more. Beats whose right is gone are thrown away and reported, so that the shard forgets what it remembered of
//! them: the next beat is then judged against what is really stored. A beat that the database will never take goes the
//! same way, alone: batches shrink until it is found. Computes no beat.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use komainu_watchdogs::beginning::Past;
use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::trace::Trace;
use crate::store::beats::keeper::{Attempt, BeatKeeper, Earlier, Receipt};
use crate::store::beats::{Beat, LastBeat};
use crate::store::beginning::Beginnings;
use crate::store::{Store, StoreError};

/// Beats wait so long for company: a statement costs the database more than a row.
const LINGER: Duration = Duration::from_millis(100);

/// Beats in one statement.
const BATCH: usize = 500;

/// Beats that wait for a database that does not answer. The lease ends after 8 s without one, so more than that many
/// seconds of beats never wait; this bound is for a database that only crawls.
const QUEUE_MOST: usize = 50_000;

/// How long one statement may take: a lock wait of 3 s, and a little.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// A beat and how it hangs together with the ones before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queued {
    /// To be stored.
    pub beat: Beat,
    /// It was judged against a beat read from the database, not against one that this node queued before.
    pub is_fresh: bool,
}

/// What became of beats, for the shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Thrown away: what is remembered of these monitors is wrong, and they want a new run.
    Lost(Vec<MonitorId>),
    /// Perhaps refused by the database: what is remembered of these monitors may be wrong.
    Unsure(Vec<MonitorId>),
}

/// The database as the storage sees it.
pub trait BeatStore: Send + Sync {
    /// Stores the beats that the database still grants to this node; one receipt for each, in their order.
    fn store(&self, attempts: &[Attempt]) -> impl Future<Output = Result<Vec<Receipt>, StoreError>> + Send;
    /// The last beat of each of these monitors.
    fn last_beats(&self, monitors: &[MonitorId]) -> impl Future<Output = Result<Vec<LastBeat>, StoreError>> + Send;
    /// Notes that these monitors are started now; what was noted of them before.
    fn start(&self, monitors: &[MonitorId]) -> impl Future<Output = Result<Vec<(MonitorId, Past)>, StoreError>> + Send;
    /// How long an attempt may take.
    fn limit(&self) -> Duration {
        STORE_TIMEOUT
    }
}

/// The real one.
#[derive(Clone)]
pub struct Database {
    keeper: Arc<BeatKeeper>,
    beginnings: Beginnings,
}

impl Database {
    /// For one process of that name.
    pub fn new(store: Store, node: NodeId, incarnation: Incarnation) -> Self {
        let beginnings = Beginnings::new(store.clone(), node.clone(), incarnation);
        Self { keeper: Arc::new(BeatKeeper::new(store, node, incarnation)), beginnings }
    }

    /// Where it is said how monitors are begun.
    pub fn beginnings(&self) -> &Beginnings {
        &self.beginnings
    }
}

impl BeatStore for Database {
    async fn store(&self, attempts: &[Attempt]) -> Result<Vec<Receipt>, StoreError> {
        self.keeper.keep_each(attempts).await
    }

    async fn last_beats(&self, monitors: &[MonitorId]) -> Result<Vec<LastBeat>, StoreError> {
        self.keeper.store().last_beats(monitors).await
    }

    async fn start(&self, monitors: &[MonitorId]) -> Result<Vec<(MonitorId, Past)>, StoreError> {
        self.beginnings.start(monitors).await
    }

    fn limit(&self) -> Duration {
        self.keeper.store().allow(STORE_TIMEOUT)
    }
}

/// Where beats are put in; cheap to clone.
#[derive(Clone, Default)]
pub struct Storage {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Notify,
    progressed: Notify,
    is_flushing: AtomicBool,
    /// Held from the last look until the statement was answered or given up: who holds it knows that nobody of this process
    /// waits for one. What was given up may still be carried out; the database's locks hold it to its owner.
    gate: tokio::sync::Mutex<()>,
}

/// A beat on its way, and what is known of it.
#[derive(Clone)]
struct Waiting {
    queued: Queued,
    earlier: Earlier,
}

#[derive(Default)]
struct Queue {
    beats: VecDeque<Waiting>,
    /// Monitors of which a beat was thrown away: what follows was judged against it and goes the same way.
    broken: HashSet<MonitorId>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage {
    /// Takes a beat. `false`: it is thrown away, because too many wait already.
    #[must_use]
    pub fn push(&self, queued: Queued) -> bool {
        let mut queue = self.shared.queue();
        if queue.beats.len() >= QUEUE_MOST {
            queue.broken.insert(queued.beat.monitor);
            return false;
        }
        queue.beats.push_back(Waiting { queued, earlier: Earlier::Answered });
        drop(queue);
        self.shared.filled.notify_one();
        true
    }

    /// Throws away what waits of these monitors. When this returns, no beat of them can be stored any more; the
    /// caller puts in none meanwhile.
    pub async fn forget(&self, monitors: &BTreeSet<MonitorId>) {
        let _nothing_under_way = self.shared.gate.lock().await;
        let mut queue = self.shared.queue();
        queue.beats.retain(|waiting| !monitors.contains(&waiting.queued.beat.monitor));
        queue.broken.retain(|monitor| !monitors.contains(monitor));
    }

    /// Waits until all that waits is stored or thrown away, at most so long.
    pub async fn flush(&self, limit: Duration) {
        self.shared.is_flushing.store(true, Ordering::Relaxed);
        self.shared.filled.notify_one();
        let emptied = async {
            loop {
                let progressed = self.shared.progressed.notified();
                let is_idle = self.shared.gate.try_lock().is_ok();
                if is_idle && self.shared.queue().beats.is_empty() {
                    return;
                }
                progressed.await;
            }
        };
        if tokio::time::timeout(limit, emptied).await.is_err() {
            tracing::warn!("beats were left unstored");
        }
    }
}

/// The one who stores.
pub struct Writer<D> {
    /// Where beats wait.
    pub storage: Storage,
    /// Where they go.
    pub database: D,
    /// Whether a beat of a monitor may be stored now.
    pub may_store: Box<dyn Fn(MonitorId) -> bool + Send + Sync>,
    /// Who hears what became of them.
    pub report: Box<dyn Fn(Fate) + Send + Sync>,
    /// Who writes down what is stored.
    pub trace: Arc<Trace>,
}

impl<D: BeatStore> Writer<D> {
    /// Stores until `ended`.
    pub async fn run(self, ended: CancellationToken) {
        ended.run_until_cancelled(self.write()).await;
    }

    async fn write(&self) {
        let mut attempts = Attempts::default();
        loop {
            let filled = self.storage.shared.filled.notified();
            let waiting = self.storage.shared.queue().beats.len();
            if waiting == 0 {
                self.storage.shared.progressed.notify_waiters();
                filled.await;
                continue;
            }
            if waiting < BATCH && !self.storage.shared.is_flushing.load(Ordering::Relaxed) {
                tokio::time::sleep(LINGER).await;
            }
            match self.store_batch(attempts.most).await {
                Ok(done) => {
                    if attempts.has_failed {
                        tracing::info!("beats are stored again");
                    }
                    attempts = attempts.after_success();
                    if done == BatchDone::WithoutSome {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
                Err(failed) => {
                    if !attempts.has_failed {
                        let error = &failed.error;
                        tracing::warn!(%error, "beats could not be stored; they wait while the lease holds");
                    }
                    attempts = attempts.after(&failed);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Stores what waits longest. On an error it waits on, in its old order.
    async fn store_batch(&self, most: usize) -> Result<BatchDone, Failed> {
        let _gate = self.storage.shared.gate.lock().await;
        let mut batch = self.take_batch(most);
        if batch.is_empty() {
            return Ok(BatchDone::Whole);
        }
        let outcome = tokio::time::timeout(self.database.limit(), self.attempt(&batch)).await;
        match (outcome.unwrap_or(Err(AttemptError::Timeout)), batch.as_slice()) {
            (Ok(later), _) if later.is_empty() => Ok(BatchDone::Whole),
            (Ok(later), _) => {
                self.put_back(later);
                Ok(BatchDone::WithoutSome)
            }
            (Err(error), [only]) if error.is_of_content() => {
                let monitor = only.queued.beat.monitor;
                tracing::warn!(monitor.id = monitor.0, %error, "the database takes no such beat: thrown away");
                self.storage.shared.queue().broken.insert(monitor);
                (self.report)(Fate::Lost(vec![monitor]));
                Ok(BatchDone::Whole)
            }
            (Err(error), _) => {
                let beats = batch.len();
                if error.is_in_doubt() {
                    for waiting in &mut batch {
                        waiting.earlier = Earlier::InDoubt;
                    }
                }
                self.put_back(batch);
                Err(Failed { error, beats })
            }
        }
    }

    fn put_back(&self, beats: Vec<Waiting>) {
        let mut queue = self.storage.shared.queue();
        beats.into_iter().rev().for_each(|waiting| queue.beats.push_front(waiting));
    }

    /// Takes up to so many beats that may be stored; the others among them are thrown away.
    fn take_batch(&self, most: usize) -> Vec<Waiting> {
        let mut queue = self.storage.shared.queue();
        let mut batch = Vec::new();
        let mut lost = BTreeSet::new();
        while batch.len() < most
            && let Some(waiting) = queue.beats.pop_front()
        {
            let monitor = waiting.queued.beat.monitor;
            if waiting.queued.is_fresh {
                queue.broken.remove(&monitor);
            }
            if queue.broken.contains(&monitor) {
                continue;
            }
            if (self.may_store)(monitor) {
                batch.push(waiting);
            } else {
                queue.broken.insert(monitor);
                lost.insert(monitor);
            }
        }
        drop(queue);
        if !lost.is_empty() {
            (self.report)(Fate::Lost(lost.into_iter().collect()));
        }
        batch
    }

    /// Those that are to be tried again.
    async fn attempt(&self, batch: &[Waiting]) -> Result<Vec<Waiting>, AttemptError> {
        let attempt = |waiting: &Waiting| Attempt { beat: waiting.queued.beat.clone(), earlier: waiting.earlier };
        let attempts: Vec<Attempt> = batch.iter().map(attempt).collect();
        let receipts = self.database.store(&attempts).await?;
        let (mut refused, mut later) = (Vec::new(), Vec::new());
        for (waiting, receipt) in batch.iter().zip(receipts) {
            let beat = &waiting.queued.beat;
            match receipt {
                Receipt::Stored | Receipt::AlreadyThere => self.trace.stored(beat.monitor, beat.time.0),
                Receipt::Refused => refused.push(beat.monitor),
                Receipt::Later => later.push(waiting.clone()),
            }
        }
        if !refused.is_empty() {
            self.storage.shared.queue().broken.extend(&refused);
            tracing::info!(
                refused = refused.len(),
                "the database refused beats of monitors that are not this node's now"
            );
            (self.report)(Fate::Unsure(refused));
        }
        Ok(later)
    }
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BatchDone {
    Whole,
    /// Some wait on, for somebody who is changing their monitors.
    WithoutSome,
}

/// What the attempts before say of the next one.
#[derive(Clone, Copy, Debug)]
struct Attempts {
    /// Beats of the next batch.
    most: usize,
    has_failed: bool,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { most: BATCH, has_failed: false }
    }
}

impl Attempts {
    fn after_success(self) -> Self {
        Self { most: (self.most * 2).min(BATCH), has_failed: false }
    }

    fn after(self, failed: &Failed) -> Self {
        let most = if failed.error.is_of_content() { (failed.beats / 2).max(1) } else { self.most };
        Self { most, has_failed: true }
    }
}

/// A batch that was not stored, or of which nobody knows.
struct Failed {
    error: AttemptError,
    beats: usize,
}

#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database did not answer in time")]
    Timeout,
}

impl AttemptError {
    fn is_in_doubt(&self) -> bool {
        match self {
            Self::Store(error) => error.is_in_doubt(),
            Self::Timeout => true,
        }
    }

    fn is_of_content(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_of_content())
    }
}

#[cfg(test)]
pub(in crate::node) mod fake;
#[cfg(test)]
mod tests;
