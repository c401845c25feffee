//! What checks have to do with the database: reading them, the verdicts that stand and their incidents; entering what changed.
//!
//! One task, one act at a time. What fails is said to the machine, which orders again when its time comes; what does not fit into the
//! queue is dropped, and found to be missing by the next reading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::check::{Input, Transition};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::{Mono, Wall};
use komainu_watchdogs::upkeep::Chore;
use tokio::sync::mpsc;

use super::driver::Event;
use super::tally::Waiting;
use crate::check;
use crate::chores::Chores;
use crate::clock;
use crate::store::checks::{self, Check, CheckReader, Minute, WrittenReport};
use crate::store::{Store, StoreError};

/// Between two readings.
const PAUSE: Duration = Duration::from_secs(1);

/// For what no number shows: a database that was put back.
const EVERYTHING_AGAIN: Duration = Duration::from_secs(30);

/// What is entered in one transaction.
const MANY: usize = 200;

/// What is to be entered.
#[derive(Debug)]
pub(super) enum Order {
    /// A verdict that changed.
    Enter(Box<Transition>),
    /// An incident, and who hears of it.
    Raise(Box<(Alarm, Subject)>),
    /// The end of one.
    Resolve { key: String, last_bad_at: Wall, is_paused: bool },
    /// What this watchdog saw, for peers that do not ask it.
    Report(Box<WrittenReport>),
    /// What these peers wrote is to be read.
    ReadReports(Vec<WatchdogId>),
    /// A minute is over.
    Count(Box<Minute>),
    /// Checks changed.
    Refresh,
}

pub(super) struct Clerk {
    pub(super) watchdog: WatchdogId,
    pub(super) process: Incarnation,
    pub(super) store: Store,
    pub(super) routing: Arc<Routing>,
    pub(super) chores: Chores,
    pub(super) events: mpsc::Sender<Event>,
}

/// What was read last.
#[derive(Default)]
struct Read {
    reader: Option<CheckReader>,
    checks: BTreeMap<String, Arc<Check>>,
    verdicts: Option<u64>,
    whole_at: Option<Mono>,
}

impl Clerk {
    /// Works until nobody orders any more.
    pub(super) async fn run(self, mut orders: mpsc::Receiver<Order>) {
        let mut read = Read::default();
        let mut read_at = clock::now();
        let (mut many, mut waiting) = (Vec::new(), Waiting::default());
        loop {
            tokio::select! {
                received = orders.recv_many(&mut many, MANY) => match received {
                    0 => return,
                    _ => if self.perform(&mut many, &mut waiting).await { read_at = clock::now() },
                },
                () = clock::sleep_until(read_at) => {
                    let outcome = self.read(&mut read).await;
                    if outcome.is_err() {
                        read = Read { checks: read.checks, ..Read::default() };
                    }
                    let outcome = match outcome {
                        Ok(()) => self.count(&mut waiting).await,
                        Err(error) => Err(error),
                    };
                    self.chores.note(Chore::Checks, &outcome);
                    read_at = clock::now() + PAUSE;
                }
            }
        }
    }

    /// Says whether checks are to be read at once.
    async fn perform(&self, orders: &mut Vec<Order>, waiting: &mut Waiting) -> bool {
        let (mut entered, mut raised, mut ended, mut is_refresh) = (vec![], vec![], vec![], false);
        for order in orders.drain(..) {
            match order {
                Order::Enter(transition) => entered.push(*transition),
                Order::Raise(alarm) => raised.push(*alarm),
                Order::Resolve { key, last_bad_at, is_paused } => ended.push((key, last_bad_at, is_paused)),
                Order::Report(report) => self.write_report(&report).await,
                Order::ReadReports(of) => self.read_reports(&of).await,
                Order::Count(minute) => waiting.push(*minute),
                Order::Refresh => is_refresh = true,
            }
        }
        if !entered.is_empty() {
            self.enter(&entered).await;
        }
        if !raised.is_empty() {
            self.raise(&raised).await;
        }
        for (key, last_bad_at, is_paused) in ended {
            let why = is_paused.then_some("the check was paused");
            let outcome = checks::resolve(&self.store, &key, last_bad_at, why).await;
            if matches!(outcome, Ok(true)) {
                tracing::info!(incident.key = key, "incident resolved");
            }
            self.told(key, outcome.is_ok()).await;
        }
        is_refresh
    }

    async fn enter(&self, entered: &[Transition]) {
        let outcome = checks::enter(&self.store, entered).await;
        let lost = match &outcome {
            Ok(lost) => lost.as_slice(),
            Err(_) => return self.chores.note(Chore::Checks, &outcome),
        };
        for transition in entered.iter().filter(|transition| !lost.contains(&transition.check)) {
            let Transition { check, from, to, reason, .. } = transition;
            tracing::info!(check = %check, check.from = %from, check.to = %to, %reason, "a check's verdict changed");
        }
    }

    async fn raise(&self, raised: &[(Alarm, Subject)]) {
        let outcome = checks::raise(&self.store, raised, &self.routing).await;
        if let Ok(opened @ 1..) = &outcome {
            let keys: Vec<_> = raised.iter().map(|(alarm, _)| alarm.key.as_str()).take(10).collect();
            tracing::warn!(incidents = opened, keys = keys.join(" "), "incidents of checks opened");
        }
        if let Err(error) = &outcome {
            tracing::debug!(%error, "incidents of checks could not be entered");
        }
        for (alarm, _) in raised {
            self.told(alarm.key.clone(), outcome.is_ok()).await;
        }
    }

    /// Enters the minutes that are over, one after another.
    async fn count(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        while let Some(minute) = waiting.next() {
            checks::count(&self.store, (&self.watchdog, self.process), minute).await?;
            waiting.done();
        }
        Ok(())
    }

    async fn write_report(&self, report: &WrittenReport) {
        if let Err(error) = checks::write_report(&self.store, report).await {
            tracing::debug!(%error, "what was seen of checks could not be written for peers");
        }
    }

    async fn read_reports(&self, of: &[WatchdogId]) {
        let sent_at = clock::now();
        match checks::reports(&self.store, of).await {
            Ok(reports) => drop(self.events.send(Event::Reports { sent_at, reports }).await),
            Err(error) => tracing::debug!(%error, "what peers saw of checks could not be read"),
        }
    }

    async fn told(&self, key: String, is_done: bool) {
        self.say(Input::Told { key, is_done }).await;
    }

    async fn say(&self, input: Input) {
        // Nobody listens any more while the process stops.
        let _ = self.events.send(Event::Input(Box::new(input))).await;
    }

    async fn read(&self, read: &mut Read) -> Result<(), StoreError> {
        let now = clock::now();
        if read.whole_at.is_none_or(|at| now.since(at) >= EVERYTHING_AGAIN) {
            (read.reader, read.verdicts, read.whole_at) = (None, None, Some(now));
        }
        let reader = match &mut read.reader {
            Some(reader) => reader,
            None => read.reader.insert(CheckReader::connect(&self.store).await?),
        };
        if let Some(changes) = reader.changes().await? {
            read.checks.retain(|name, _| changes.names.contains(name));
            for check in changes.changed {
                read.checks.insert(check.definition.name.clone(), Arc::new(check));
            }
            let all = read.checks.values().cloned().collect();
            let _ = self.events.send(Event::Defined(all)).await;
        }
        if let Some((revision, known)) = checks::verdicts(&self.store, read.verdicts).await? {
            read.verdicts = Some(revision);
            self.say(Input::Stored(known)).await;
        }
        self.say(Input::Incidents(checks::incidents(&self.store).await?)).await;
        Ok(())
    }
}

/// Who hears of a check's incident: the check says so itself, if it says anything.
pub(super) fn subject(alarm: &Alarm, definition: Option<&check::Definition>) -> Subject {
    let own = Subject::of(alarm);
    match definition {
        Some(definition) => Subject { tags: definition.tags.clone(), channels: definition.channels.clone(), ..own },
        None => own,
    }
}
