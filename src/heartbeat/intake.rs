//! Commits pushes in groups: while one batch is being committed, the next gathers.
//!
//! One task, one connection. A batch that met another transaction is taken again; one whose connection broke is looked
//! for in the history, because it may have been committed. What cannot be found was not acknowledged: its sender tries
//! again, and learns from the 409 if it had counted.

use std::time::Duration;

use komainu_watchdogs::heartbeat::{PushStatus, Replayed, Terms, counts_from};
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::time::Wall;
use tokio::sync::{mpsc, oneshot};

use super::cache::HeartbeatCache;
use super::refresher::WakeSignal;
use super::schedule::Schedule;
use crate::clock;
use crate::lost_tail::memory::Answered;
use crate::store::heartbeats::{Arrival, CachedHeartbeat, Definition, IntakeConnection, Judged, Vitals};
use crate::store::{Again, Store, StoreError};

/// How long the first push of a batch waits for company at most: until as many are there as the last time. Those who were
/// answered then are the ones who push again now, and waiting longer than for them would only cost time.
const LINGER: Duration = Duration::from_micros(500);

/// Enough to keep a database busy; a batch holds its locks for a few milliseconds.
const MOST_PUSHES: usize = 256;

/// A batch must fit into one packet of MariaDB (16 MiB by default), where each byte of text is written four times.
const MOST_MESSAGE_BYTES: usize = 1024 * 1024;

/// More are waiting than a working database lets wait: they are told to come back.
const MOST_WAITING: usize = 4_096;

/// Between two proofs that pushes can be taken, a third of what is called an outage.
const PROOF: Duration = Duration::from_secs(1);

/// How long somebody waits for the answer: a batch before this one may run into its own limit first.
const PATIENCE: Duration = Duration::from_secs(8);

/// What became of a push; `Err`: nobody knows, or it was not taken.
pub(super) type PushOutcome = Result<Judged, Unstored>;

/// The push was not stored, as far as this watchdog knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unstored;

pub(super) struct Job {
    arrival: Arrival,
    answer: oneshot::Sender<PushOutcome>,
}

/// Where pushes are handed in.
pub(super) struct Intake(mpsc::Sender<Job>);

pub(super) fn channel() -> (Intake, mpsc::Receiver<Job>) {
    let (sender, jobs) = mpsc::channel(MOST_WAITING);
    (Intake(sender), jobs)
}

impl Intake {
    pub(super) async fn take(&self, arrival: Arrival) -> PushOutcome {
        let (answer, outcome) = oneshot::channel();
        self.0.try_send(Job { arrival, answer }).map_err(|_| Unstored)?;
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(Unstored),
        }
    }
}

/// Works until it is dropped.
pub(super) async fn run(
    (store, watchdog): (Store, WatchdogId),
    mut jobs: mpsc::Receiver<Job>,
    (cache, answered): (HeartbeatCache, Answered),
    wake: WakeSignal,
) {
    let mut batcher = Batcher { store, watchdog, connection: None, is_failing: false };
    let mut company = 1;
    let mut proof_at = clock::now();
    loop {
        let first = tokio::select! {
            biased;
            () = clock::sleep_until(proof_at) => {
                // From its beginning: a proof that took long leaves no less to be seen.
                proof_at = clock::now() + PROOF;
                batcher.prove().await;
                continue;
            }
            first = jobs.recv() => first,
        };
        let Some(first) = first else { return };
        let (arrivals, answers): (Vec<_>, Vec<_>) =
            gather(first, &mut jobs, company).await.into_iter().map(|job| (job.arrival, job.answer)).unzip();
        company = arrivals.len();
        match batcher.take(&arrivals).await {
            Ok(judged) => {
                let accepted = judged.iter().filter_map(|judged| match judged {
                    Judged::Accepted(known) => Some(CachedHeartbeat::clone(known)),
                    Judged::Replayed(_) | Judged::Gone => None,
                });
                let is_taken = |(_, judged): &(_, &Judged)| matches!(judged, Judged::Accepted(_));
                let taken = arrivals.iter().zip(&judged).filter(is_taken).map(|(arrival, _)| arrival);
                answered.note_pushes(taken, clock::now());
                // Before anybody is told: whoever asks this watchdog next sees it.
                cache.learn(accepted.collect(), clock::now());
                for (judged, answer) in judged.into_iter().zip(answers) {
                    // Whoever hung up does not want to know any more.
                    let _ = answer.send(Ok(judged));
                }
            }
            Err(error) => {
                tracing::warn!(%error, pushes = arrivals.len(), "could not store pushes");
                wake.send();
                for answer in answers {
                    let _ = answer.send(Err(Unstored));
                }
            }
        }
    }
}

async fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>, company: usize) -> Vec<Job> {
    let mut bytes = message_bytes(&first);
    let mut batch = vec![first];
    let until = clock::now() + LINGER;
    while batch.len() < MOST_PUSHES && bytes < MOST_MESSAGE_BYTES {
        let next = if let Ok(job) = jobs.try_recv() {
            Some(job)
        } else {
            let left = until.since(clock::now());
            if left.is_zero() || batch.len() >= company {
                break;
            }
            tokio::time::timeout(left, jobs.recv()).await.ok().flatten()
        };
        let Some(job) = next else { break };
        bytes += message_bytes(&job);
        batch.push(job);
    }
    batch
}

fn message_bytes(job: &Job) -> usize {
    job.arrival.told.message.as_ref().map_or(0, String::len)
}

struct Batcher {
    store: Store,
    watchdog: WatchdogId,
    connection: Option<IntakeConnection>,
    /// The last batch, or the last proof, could not be stored.
    is_failing: bool,
}

impl Batcher {
    /// Shows the others that pushes can be taken here, by the way that they take.
    async fn prove(&mut self) {
        let is_failing = self.is_failing;
        let proved = match (has_descriptor_left(), self.connected().await) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(()), Err(error)) => Err(error.to_string()),
            (Ok(()), Ok(connection)) => connection.prove(is_failing).await.map_err(|error| error.to_string()),
        };
        if !self.connection.as_ref().is_some_and(IntakeConnection::is_usable) {
            self.connection = None;
        }
        self.is_failing = proved.is_err();
        match proved {
            Err(error) if !is_failing => tracing::warn!(error, "pushes cannot be taken here"),
            Err(error) => tracing::debug!(error, "pushes cannot be taken here"),
            Ok(()) if is_failing => tracing::info!("pushes can be taken here again"),
            Ok(()) => {}
        }
    }

    async fn take(&mut self, batch: &[Arrival]) -> Result<Vec<Judged>, StoreError> {
        let taken = self.try_to_take(batch).await;
        self.is_failing = taken.is_err();
        taken
    }

    async fn try_to_take(&mut self, batch: &[Arrival]) -> Result<Vec<Judged>, StoreError> {
        let mut again = Again::default();
        loop {
            let taken = self.connected().await?.take(batch, judge).await;
            if !self.connection.as_ref().is_some_and(IntakeConnection::is_usable) {
                self.connection = None;
            }
            match taken {
                Err(error) if error.is_lost_connection() => return self.look_for(batch, error).await,
                Err(error) => {
                    if !again.after(&error).await {
                        return Err(error);
                    }
                }
                taken => return taken,
            }
        }
    }

    /// The answer to a commit was lost: the history knows. Partly found is not possible, a batch is one transaction.
    async fn look_for(&mut self, batch: &[Arrival], lost: StoreError) -> Result<Vec<Judged>, StoreError> {
        let Ok(found) = self.connected().await?.find(batch).await else { return Err(lost) };
        if found.is_empty() {
            return Err(lost);
        }
        let connection = self.connected().await?;
        connection.judge_found(batch, &found).await
    }

    async fn connected(&mut self) -> Result<&mut IntakeConnection, StoreError> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(IntakeConnection::connect(&self.store, self.watchdog.clone()).await?)),
        }
    }
}

/// A process without descriptors accepts nobody, whatever the database says.
fn has_descriptor_left() -> std::io::Result<()> {
    std::fs::File::open("/dev/null").map(drop)
}

/// What a push that arrives now makes of a heartbeat.
fn judge(known: &CachedHeartbeat, push: &komainu_watchdogs::heartbeat::Push, now: Wall) -> Result<Vitals, Replayed> {
    let definition = &known.definition;
    let next_due = next_due(definition, counts_from(push, now));
    let terms = Terms { next_due, grace: definition.grace(), max_runtime: definition.max_runtime() };
    let record = known.vitals.record.after(push, now, terms)?;
    let last_ok_at = match push.status {
        PushStatus::Ok => Some(now),
        PushStatus::Start | PushStatus::Fail => known.vitals.last_ok_at,
    };
    Ok(Vitals { record, last_ok_at, last_at: Some(now), ..known.vitals.clone() })
}

/// The next due time after this moment.
pub(super) fn next_due(definition: &Definition, after: Wall) -> Option<Wall> {
    let schedule = match Schedule::of(definition, after) {
        Ok(schedule) => schedule,
        Err(error) => {
            // Only a database that somebody else wrote to. Late is louder than silent.
            tracing::error!(heartbeat.name = definition.name, %error, "a heartbeat's schedule cannot be read");
            return Some(after);
        }
    };
    schedule.next_due(after)
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::heartbeat::Push;

    use super::*;

    fn deadline_after(time_us: i64, now: Wall) -> Option<Wall> {
        let cron = Some("0 2 * * *".to_owned());
        let definition = Definition { cron, grace_s: 600, ..Definition::default() };
        let known = CachedHeartbeat { definition, vitals: Vitals::default() };
        let push = Push { time_us, status: PushStatus::Ok, run_id: None };
        judge(&known, &push, now).unwrap().record.deadline()
    }

    #[test]
    fn a_nightly_job_whose_host_is_a_second_ahead_is_next_due_tomorrow() {
        // 2025-11-23 02:00:00 UTC.
        let due_ms = 1_763_863_200_000;
        let tomorrow = Some(Wall(due_ms + 86_400_000 + 600_000));
        assert_eq!(deadline_after(due_ms * 1_000 + 200_000, Wall(due_ms - 800)), tomorrow);
        assert_eq!(deadline_after((due_ms - 800) * 1_000, Wall(due_ms + 200)), tomorrow, "and one that is behind, too");
        assert_eq!(deadline_after((due_ms - 5_000) * 1_000, Wall(due_ms - 5_000)), Some(Wall(due_ms + 600_000)));
    }
}
