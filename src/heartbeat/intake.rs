//! Commits pushes in groups: while one batch is being committed, the next gathers.
//!
//! One task, one connection. A batch that met another transaction is taken again; one whose connection broke is looked
//! for in the history, because it may have been committed. What cannot be found was not acknowledged: its sender tries
//! again, and learns from the 409 if it had counted.

use std::time::Duration;

use komainu_watchdogs::heartbeat::{PushStatus, Replayed, Terms};
use komainu_watchdogs::ids::WatchdogId;
use komainu_watchdogs::time::Wall;
use tokio::sync::{mpsc, oneshot};

use super::picture::Picture;
use super::refresher::Bell;
use super::schedule::Schedule;
use crate::clock;
use crate::store::heartbeats::{Arrival, Definition, IntakeConnection, Judged, Known, Vitals};
use crate::store::{Store, StoreError};

/// How long the first push of a batch waits for company at most: until as many are there as the last time. Those who were
/// answered then are the ones who push again now, and waiting longer than for them would only cost time.
const LINGER: Duration = Duration::from_micros(500);

/// Enough to keep a database busy; a batch holds its locks for a few milliseconds.
const MOST_PUSHES: usize = 256;

/// A batch must fit into one packet of MariaDB (16 MiB by default), where each byte of text is written four times.
const MOST_MESSAGE_BYTES: usize = 1024 * 1024;

/// More are waiting than a working database lets wait: they are told to come back.
const MOST_WAITING: usize = 4_096;

/// How often a batch is tried that met another transaction.
const ATTEMPTS: u32 = 3;

/// How long somebody waits for the answer: a batch before this one may run into its own limit first.
const PATIENCE: Duration = Duration::from_secs(8);

/// What became of a push; `Err`: nobody knows, or it was not taken.
pub(super) type Outcome = Result<Judged, Unstored>;

/// The push was not stored, as far as this watchdog knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unstored;

pub(super) struct Job {
    arrival: Arrival,
    answer: oneshot::Sender<Outcome>,
}

/// Where pushes are handed in.
pub(super) struct Intake(mpsc::Sender<Job>);

pub(super) fn channel() -> (Intake, mpsc::Receiver<Job>) {
    let (sender, jobs) = mpsc::channel(MOST_WAITING);
    (Intake(sender), jobs)
}

impl Intake {
    pub(super) async fn take(&self, arrival: Arrival) -> Outcome {
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
    store: Store,
    watchdog: WatchdogId,
    mut jobs: mpsc::Receiver<Job>,
    picture: Picture,
    bell: Bell,
) {
    let mut desk = Desk { store, watchdog, connection: None };
    let mut company = 1;
    while let Some(first) = jobs.recv().await {
        let (arrivals, answers): (Vec<_>, Vec<_>) =
            gather(first, &mut jobs, company).await.into_iter().map(|job| (job.arrival, job.answer)).unzip();
        company = arrivals.len();
        match desk.take(&arrivals).await {
            Ok(judged) => {
                let accepted = judged.iter().filter_map(|judged| match judged {
                    Judged::Accepted(known) => Some(Known::clone(known)),
                    Judged::Replayed(_) | Judged::Gone => None,
                });
                // Before anybody is told: whoever asks this watchdog next sees it.
                picture.learn(accepted.collect(), clock::now());
                for (judged, answer) in judged.into_iter().zip(answers) {
                    // Whoever hung up does not want to know any more.
                    let _ = answer.send(Ok(judged));
                }
            }
            Err(error) => {
                tracing::warn!(%error, pushes = arrivals.len(), "could not store pushes");
                bell.ring();
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

struct Desk {
    store: Store,
    watchdog: WatchdogId,
    connection: Option<IntakeConnection>,
}

impl Desk {
    async fn take(&mut self, batch: &[Arrival]) -> Result<Vec<Judged>, StoreError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let taken = self.connected().await?.take(batch, judge).await;
            if !self.connection.as_ref().is_some_and(IntakeConnection::is_usable) {
                self.connection = None;
            }
            match taken {
                Err(error) if error.is_contention() && attempt < ATTEMPTS => {}
                Err(error) if error.is_lost_connection() => return self.look_for(batch, error).await,
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

/// What a push that arrives now makes of a heartbeat.
fn judge(known: &Known, push: &komainu_watchdogs::heartbeat::Push, now: Wall) -> Result<Vitals, Replayed> {
    let definition = &known.definition;
    let terms = Terms { next_deadline: next_deadline(definition, now), max_runtime: definition.max_runtime() };
    let record = known.vitals.record.after(push, now, terms)?;
    let last_ok_at = match push.status {
        PushStatus::Ok => Some(now),
        PushStatus::Start | PushStatus::Fail => known.vitals.last_ok_at,
    };
    Ok(Vitals { record, last_ok_at, last_at: Some(now), ..known.vitals.clone() })
}

/// The next due time after this moment, and grace.
pub(super) fn next_deadline(definition: &Definition, after: Wall) -> Option<Wall> {
    let schedule = match Schedule::of(definition, after) {
        Ok(schedule) => schedule,
        Err(error) => {
            // Only a database that somebody else wrote to. Late is louder than silent.
            tracing::error!(heartbeat.name = definition.name, %error, "a heartbeat's schedule cannot be read");
            return Some(after + definition.grace());
        }
    };
    schedule.next_due(after).map(|due| due + definition.grace())
}
