//! The loop around the shard: starts runs when they are due, and hands their beats to the storage.
//!
//! Each run under way is a task; a monitor that waits is an entry of the schedule. The loop awaits no database and no
//! target, so it beats whatever these do. Whether a run may start is asked of the tenure right before it starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use komainu_watchdogs::beginning::Past;
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::tenure::Fence;
use komainu_watchdogs::time::Mono;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::command::{Command, PushAnswer, PushCall};
use self::task::Task;
use super::beginner::RunNews;
use super::canary::Canaries;
use super::certificates::Certificates;
use super::link::SharedTenure;
use super::pulse::{BEAT, Pulse};
use super::schedule::StartSpread;
use super::shard::{Launch, Next, Pushed, ReadId, RunDone, RunId, Shard};
use super::slices::Compared;
use super::storage::{BeatStore, Fate, Queued, Storage};
use super::trace::{Event, Trace};
use super::windows::Windows;
use crate::clock;
use crate::clock::database::DatabaseClock;
use crate::run::Runs;
use crate::store::StoreError;
use crate::store::beats::LastBeat;
use crate::store::families::Families;

mod command;
mod task;

/// Last beats read by one query.
const READ_MOST: usize = 1_000;

/// How long such a query may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after one that failed.
const READ_PAUSE: Duration = Duration::from_millis(500);

/// What the loop shows to the rest of the node.
#[derive(Debug, Default)]
pub struct Gauges {
    /// How many monitors this node holds.
    pub held: AtomicUsize,
    /// Beats that somebody else made of monitors held for long.
    pub foreign_beats: AtomicU64,
}

/// Everything the loop works with.
pub struct Parts<D, F> {
    /// What beats are stamped with.
    pub clock: DatabaseClock,
    /// Says whether a run may start.
    pub tenure: SharedTenure,
    /// Runs monitors.
    pub runs: Arc<Runs>,
    /// Say whether a failure is the node's own.
    pub canaries: Canaries,
    /// Says whether the process stood still.
    pub pulse: Arc<Pulse>,
    /// Takes the beats.
    pub storage: Storage,
    /// Takes what runs saw of certificates.
    pub certificates: Certificates,
    /// Hears who is to be begun apart.
    pub beginner: mpsc::UnboundedSender<RunNews>,
    /// Has the last ones.
    pub database: D,
    /// Knows the children of groups.
    pub families: F,
    /// Know which monitors are in maintenance.
    pub windows: Windows,
    /// Writes down what is run.
    pub trace: Arc<Trace>,
    /// Shows what is held.
    pub gauges: Arc<Gauges>,
    /// How monitors start.
    pub start_spread: StartSpread,
    /// Runs under way at once, at most.
    pub runs_most: usize,
}

type Reading = (ReadId, Vec<MonitorId>, Option<Read>);

/// The last beats, and what was noted of those that are new before they were started here.
type Read = (Vec<LastBeat>, Vec<(MonitorId, Past)>);

/// The loop that owns the shard: starts runs when they are due, and hands their beats on.
pub struct Runner<D, F> {
    parts: Parts<D, F>,
    commands: mpsc::UnboundedReceiver<Command>,
    shard: Shard,
    under_way: JoinSet<RunDone>,
    /// To end runs of monitors that were stopped, and to recognise a task that panicked.
    handles: HashMap<RunId, AbortHandle>,
    readings: JoinSet<Reading>,
    read_not_before: Mono,
    /// Pushes to monitors whose last beat is being read.
    early_pushes: Vec<PushCall>,
    is_halted: bool,
}

impl<D: BeatStore + Clone + 'static, F: Families + Clone + 'static> Runner<D, F> {
    /// A loop without monitors.
    pub fn new(parts: Parts<D, F>, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            shard: Shard::new(parts.start_spread),
            parts,
            commands,
            under_way: JoinSet::new(),
            handles: HashMap::new(),
            readings: JoinSet::new(),
            read_not_before: Mono::default(),
            early_pushes: Vec::new(),
            is_halted: false,
        }
    }

    /// Runs monitors until `ended`.
    pub async fn run(mut self, ended: CancellationToken) {
        ended.run_until_cancelled(self.turn()).await;
    }

    async fn turn(&mut self) {
        let mut next_beat_at = clock::now();
        loop {
            let now = clock::now();
            if now >= next_beat_at {
                self.parts.pulse.beat(now);
                self.look_at_lease(now);
                next_beat_at = now + BEAT;
            }
            self.read_last_beats(now);
            let due_at = self.launch_due();
            for said in self.shard.said() {
                let _ = self.parts.beginner.send(said);
            }
            let wake_at = due_at.map_or(next_beat_at, |due_at| due_at.min(next_beat_at));
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(done) = self.under_way.join_next(), if !self.under_way.is_empty() => self.finish(done),
                Some(read) = self.readings.join_next(), if !self.readings.is_empty() => self.remember(read),
                () = clock::sleep_until(wake_at) => {}
            }
        }
    }

    /// Starts what is due. Returns when more is.
    fn launch_due(&mut self) -> Option<Mono> {
        if self.is_halted || self.shard.is_fenced() || !self.parts.windows.are_known() {
            return None;
        }
        let now = clock::now();
        while self.under_way.len() < self.parts.runs_most {
            let tenure = &self.parts.tenure;
            // The clock is read anew for each: a process may be stopped between any two lines.
            match self.shard.next(now, |monitor| tenure.lock().may_run(clock::now(), monitor)) {
                Next::Run(launch) => self.launch(launch),
                Next::Wait(due_at) => return due_at,
                Next::Fenced => {
                    self.fence();
                    return None;
                }
            }
        }
        // The next run starts when one of those under way ends.
        None
    }

    fn launch(&mut self, launch: Launch) {
        let run = launch.run;
        let task = Task {
            clock: self.parts.clock.clone(),
            tenure: self.parts.tenure.clone(),
            runs: Arc::clone(&self.parts.runs),
            families: self.parts.families.clone(),
            canaries: self.parts.canaries.clone(),
            pulse: Arc::clone(&self.parts.pulse),
            windows: self.parts.windows.clone(),
            trace: Arc::clone(&self.parts.trace),
        };
        let handle = self.under_way.spawn(task.run(launch));
        self.handles.insert(run, handle);
    }

    fn finish(&mut self, done: Result<RunDone, JoinError>) {
        match done {
            Ok(mut done) => {
                self.handles.remove(&done.run);
                let certificate = done.certificate();
                let monitor = done.monitor;
                if let Some(queued) = self.shard.finish(clock::now(), done) {
                    if let Some(certificate) = certificate {
                        self.parts.certificates.note(monitor, certificate);
                    }
                    self.store(queued);
                }
            }
            Err(error) => {
                let run = self.handles.iter().find(|(_, handle)| handle.id() == error.id()).map(|(&run, _)| run);
                let Some(run) = run else { return };
                self.handles.remove(&run);
                tracing::error!(%error, "a run ended without a result");
                self.shard.abandon(clock::now(), run);
            }
        }
    }

    fn store(&mut self, queued: Queued) {
        let monitor = queued.beat.monitor;
        if !self.parts.storage.push(queued) {
            self.shard.forget(&[monitor]);
            self.parts.trace.receipts().refuse([monitor]);
        }
    }

    fn push(&mut self, call: PushCall) {
        let Some(monitor) = self.shard.pushed_to(&call.token).map(|spec| spec.id) else {
            let _ = call.answer.send(PushAnswer::Unknown);
            return;
        };
        let fence = self.parts.tenure.lock().may_run(clock::now(), monitor).err();
        if self.is_halted || fence.is_some() {
            let is_elsewhere = fence == Some(Fence::NotMine);
            let _ = call.answer.send(if is_elsewhere { PushAnswer::Unknown } else { PushAnswer::Refused });
            return;
        }
        let at = self.parts.clock.stamp();
        let is_maintained = self.parts.windows.cover(monitor, at);
        match self.shard.push((clock::now(), at), &call.token, call.report.clone(), is_maintained) {
            Pushed::Beat(queued) => {
                let stored = self.parts.trace.receipts().expect(monitor, queued.beat.time);
                self.store(*queued);
                let _ = call.answer.send(PushAnswer::Taken(stored));
            }
            Pushed::Unknown => {
                let _ = call.answer.send(PushAnswer::Unknown);
            }
            // Who gave up waiting makes room.
            Pushed::Unread => {
                self.early_pushes.retain(|early| !early.answer.is_closed());
                self.early_pushes.push(call);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = clock::now();
        match command {
            Command::Start(specs) => {
                for spec in &specs {
                    self.parts.trace.monitor(Event::Start, spec.id);
                }
                self.shard.start(now, specs);
            }
            Command::Stop(monitors, stopped) => {
                let ended = self.shard.stop(&monitors);
                self.end_runs(&ended);
                self.parts.trace.receipts().refuse(monitors);
                let _ = stopped.send(());
            }
            Command::Compare { slice, rows, compared } => {
                // Read before: what is restarted now begins later.
                let at = self.parts.clock.stamp();
                let (ended, differs) = self.shard.compare(now, slice, rows);
                self.end_runs(&ended);
                let _ = compared.send(Compared { differs, at });
            }
            Command::Begin(monitors) => self.shard.begin_apart(now, monitors),
            Command::Push(call) => self.push(call),
            Command::Fate(Fate::Lost(monitors)) => {
                self.shard.redo(now, &monitors);
                self.parts.trace.receipts().refuse(monitors);
            }
            Command::Fate(Fate::Unsure(monitors)) => {
                self.shard.forget(&monitors);
                self.parts.trace.receipts().refuse(monitors);
            }
            Command::LookForForeign(last) => {
                let foreign = self.shard.count_foreign(now, &last);
                self.parts.gauges.foreign_beats.fetch_add(foreign, Ordering::Relaxed);
            }
            Command::Halt(halted) => {
                self.is_halted = true;
                self.under_way.abort_all();
                self.under_way.detach_all();
                let _ = halted.send(());
            }
        }
        self.parts.gauges.held.store(self.shard.len(), Ordering::Relaxed);
    }

    fn end_runs(&mut self, runs: &[RunId]) {
        for run in runs {
            if let Some(handle) = self.handles.remove(run) {
                handle.abort();
            }
        }
    }

    /// Notices that the lease ended although nothing was due, and that it is back.
    fn look_at_lease(&mut self, now: Mono) {
        let Some(sample) = self.shard.any() else { return };
        let fence = self.parts.tenure.lock().may_run(now, sample).err();
        let is_fenced = matches!(fence, Some(Fence::LeaseTooOld | Fence::NotReconciled | Fence::NotRegistered));
        if is_fenced && !self.shard.is_fenced() {
            self.fence();
        } else if !is_fenced && self.shard.is_fenced() {
            tracing::info!(monitors = self.shard.len(), "the lease is back: all monitors go on");
            self.shard.resume(now);
        }
    }

    fn fence(&mut self) {
        tracing::warn!("the lease is too old: no monitor runs until it is renewed");
        self.parts.trace.node(Event::Fenced);
        let ended = self.shard.fence();
        self.end_runs(&ended);
    }

    fn read_last_beats(&mut self, now: Mono) {
        if !self.readings.is_empty() || now < self.read_not_before || self.shard.is_fenced() {
            return;
        }
        let Some((read, monitors)) = self.shard.unread(READ_MOST) else { return };
        let database = self.parts.database.clone();
        let unknown = self.shard.unknown(&monitors);
        self.readings.spawn(async move {
            // That they are started is noted before they run: their first run may be this process's end.
            let reading = async {
                let last = database.last_beats(&monitors).await?;
                Ok::<Read, StoreError>((last, database.start(&unknown).await?))
            };
            let last = match tokio::time::timeout(READ_TIMEOUT, reading).await {
                Ok(Ok(read)) => Some(read),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "last beats could not be read");
                    None
                }
                Err(_) => {
                    tracing::warn!("last beats could not be read in time");
                    None
                }
            };
            (read, monitors, last)
        });
    }

    fn remember(&mut self, read: Result<Reading, JoinError>) {
        let now = clock::now();
        match read {
            Ok((read, asked, Some((last, pasts)))) => {
                self.shard.recall(&pasts);
                self.shard.remember(now, read, &asked, &last);
                for early in std::mem::take(&mut self.early_pushes) {
                    self.push(early);
                }
            }
            Ok((read, asked, None)) => {
                self.shard.remember_failed(read, &asked);
                self.read_not_before = now + READ_PAUSE;
            }
            Err(error) => tracing::error!(%error, "reading last beats ended without a result"),
        }
    }
}

#[cfg(test)]
mod tests;
