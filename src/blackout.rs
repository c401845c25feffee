//! The driver of the blackout machine: asks peers, tells people, and enters what was told; decides nothing.
//!
//! Owned by one task per watchdog. While the database takes writes it only remembers, in memory and in `state_dir`, who
//! the members are and what waits to be told. Who speaks, and when, is [`komainu_watchdogs::blackout`]'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use komainu_notifiers::{DeliveryError, Receipt};
use komainu_watchdogs::blackout::{Blackout, DatabaseReport, Input, Line, Output, Speech, Tries};
use komainu_watchdogs::facts::{Report, Target, Vote};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::Mono;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::message::BlackoutMessage;
use self::spool::Spool;
use self::telling::Attempt;
use self::waiting::Waiting;
use crate::channels::Channels;
use crate::clock;
use crate::driver::Contact;
use crate::looks::{Looks, Quiet};
use crate::probe::Prober;
use crate::state_dir::{LastKnownCluster, StateDir};
use crate::store::Store;
use crate::store::spool as tables;

mod message;
mod spool;
mod telling;
mod waiting;

/// How often what waits is read: what opened within this time before the database went away may be missed, and is raised
/// anew when it is back.
const REMEMBER: Duration = Duration::from_secs(2);

/// How often the copy on disk is renewed although nothing changed, so that its age says something.
const RENEW: Duration = Duration::from_secs(60);

/// What waited longer ago than this, as an earlier process knew it, has been told since.
const OLD: Duration = Duration::from_secs(300);

/// While the database is not well, how checks are is looked up this often.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Whoever delivers waits for so many attempts, a second each, until what was told is entered.
const ENTER_PATIENCE: u32 = 30;

/// Everything this task is told.
pub struct Settings {
    /// Which watchdog this is.
    pub watchdog: WatchdogId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// The cluster's name.
    pub cluster: String,
    /// Where peers answer, for a watchdog that never read the database.
    pub peers: Vec<String>,
    /// Where `/runbook` is.
    pub runbook: String,
    /// How long the database takes no write, or gives no verdict, until it counts as down.
    pub limit: Duration,
    /// Asks the other watchdogs what they see.
    pub prober: Prober,
    /// Where what was told is entered.
    pub store: Store,
    /// Who is told.
    pub routing: Arc<Routing>,
    /// What survives this process.
    pub state: StateDir,
    /// The ways to people.
    pub channels: Channels,
    /// How checks are, whatever becomes of the database.
    pub looks: Looks,
}

/// What this task publishes.
#[derive(Clone, Debug)]
pub struct Published {
    /// For peers that ask.
    pub database_report: watch::Receiver<Arc<DatabaseReport>>,
    /// Something was told that stands in no table yet: whoever delivers waits until it does.
    pub is_unentered: watch::Receiver<bool>,
}

/// The task's state.
pub struct Driver {
    settings: Settings,
    core: Blackout,
    spool: Spool,
    known: LastKnownCluster,
    kept: LastKnownCluster,
    contact: watch::Receiver<Arc<Contact>>,
    report: watch::Receiver<Arc<Report>>,
    database_report: watch::Sender<Arc<DatabaseReport>>,
    is_unentered: watch::Sender<bool>,
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    attempt: Option<Attempt>,
    /// What came of each line on each channel that did not take it.
    tries: BTreeMap<(Line, String), Tries>,
    /// Messages of which nobody knows whether they arrived, by id and channel.
    unanswered: BTreeSet<(String, String)>,
    remember_at: Mono,
    look_up_at: Mono,
    /// This watchdog can say how checks are, and the database is not well.
    has_eyes: bool,
    /// Attempts in a row to enter what was told.
    refused: u32,
    /// Says in the tables that an outage lasts.
    lasting: Option<JoinHandle<()>>,
}

/// What came of something that was begun.
#[derive(Debug)]
enum Event {
    Heard { asked: WatchdogId, report: Box<Report> },
    Answered { message: Box<BlackoutMessage>, via: String, answer: Result<Receipt, DeliveryError> },
    Remembered(Option<Box<Waiting>>),
    Entered { is_done: bool },
}

impl Driver {
    /// Reads what an earlier process left.
    pub async fn new(
        settings: Settings,
        contact: watch::Receiver<Arc<Contact>>,
        report: watch::Receiver<Arc<Report>>,
    ) -> (Self, Published) {
        let spool = Spool::open(settings.state.clone()).await;
        let mut known = settings.state.known().await;
        if clock::wall().since(known.at) > OLD {
            known.undelivered.clear();
        }
        if known.members.is_empty() {
            // Their ids are learnt from their answers.
            known.members = settings.peers.iter().map(|peer| (peer.as_str().into(), peer.clone())).collect();
        }
        let identity = (settings.watchdog.clone(), settings.incarnation);
        let now = clock::now();
        let mut core = Blackout::new(identity, settings.limit, now, spool.remembered());
        if !spool.is_empty() {
            core.handle(now, Input::Unentered);
        }
        if let Some(latest_event) = known.latest_event {
            core.handle(now, Input::Events(latest_event));
        }
        let (database_report, report_receiver) = watch::channel(Arc::new(core.report(now)));
        let (is_unentered, unentered_receiver) = watch::channel(core.is_unentered());
        let published = Published { database_report: report_receiver, is_unentered: unentered_receiver };
        let mut driver = Self {
            settings,
            core,
            spool,
            kept: known.clone(),
            known,
            contact,
            report,
            database_report,
            is_unentered,
            events: mpsc::unbounded_channel(),
            attempt: None,
            tries: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            remember_at: now,
            look_up_at: now,
            has_eyes: false,
            refused: 0,
            lasting: None,
        };
        driver.tell_members();
        driver.tell_wanted();
        (driver, published)
    }

    /// Works until the watchdog's driver ends.
    pub async fn run(mut self) {
        loop {
            self.perform_all().await;
            self.publish();
            tokio::select! {
                changed = self.contact.changed() => match changed {
                    Ok(()) => self.take_contact(),
                    Err(_) => return,
                },
                Some(event) = self.events.1.recv() => self.take(event).await,
                () = clock::sleep_until(self.core.poll_timeout()) => self.core.handle(clock::now(), Input::Tick),
            }
            let has_egress = has_egress(&self.report.borrow());
            self.core.handle(clock::now(), Input::Egress(has_egress));
            self.look_up_checks();
            self.remember().await;
        }
    }

    fn publish(&self) {
        self.database_report.send_replace(Arc::new(self.core.report(clock::now())));
        // Rather a second telling than silence.
        let is_unentered = self.core.is_unentered() && self.refused < ENTER_PATIENCE;
        self.is_unentered.send_if_modified(|known| std::mem::replace(known, is_unentered) != is_unentered);
    }

    fn take_contact(&mut self) {
        let contact = Arc::clone(&self.contact.borrow_and_update());
        if !contact.members.is_empty() {
            self.known.clock_ahead_ms = contact.clock_ahead_ms;
            self.known.incidents.clone_from(&contact.incidents);
            if self.known.members != contact.members {
                self.known.members.clone_from(&contact.members);
                self.tell_members();
            }
        }
        if let Some(at) = contact.written_at {
            self.core.handle(clock::now(), Input::Written(at));
        }
        if let Some(at) = contact.verdict_at {
            self.core.handle(clock::now(), Input::Judged(at));
        }
    }

    fn tell_members(&mut self) {
        let members = self.known.members.keys().cloned().collect();
        self.core.handle(clock::now(), Input::Members(members));
    }

    fn tell_wanted(&mut self) {
        let wanted = self.wanted();
        self.core.handle(clock::now(), Input::Wanted(wanted));
    }

    /// While the tables take what happens to them, nothing of it is this task's business.
    fn look_up_checks(&mut self) {
        let now = clock::now();
        if now < self.look_up_at {
            return;
        }
        self.look_up_at = now + LOOK_UP;
        let is_ours = !self.core.is_well(now);
        let looks = &self.settings.looks;
        let picture = is_ours
            .then(|| {
                let quiet = Quiet { silences: &self.known.silences, dependencies: &self.known.dependencies };
                looks.picture(&self.settings.routing, &self.known.undelivered, quiet)
            })
            .flatten();
        let has_eyes = picture.is_some();
        if has_eyes || self.has_eyes {
            self.core.handle(now, Input::Checks(picture));
        }
        // Where nobody can see them, what waited of them is told as it was known last; but not after others told more.
        let has_eyes = has_eyes || (is_ours && self.core.has_told_of_checks());
        if std::mem::replace(&mut self.has_eyes, has_eyes) != has_eyes {
            self.tell_wanted();
        }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Heard { asked, report } => self.take_report(&asked, *report),
            Event::Answered { message, via, answer } => self.take_answer(*message, via, answer).await,
            Event::Remembered(Some(waiting)) => {
                let Waiting { undelivered, silences, dependencies, latest_event } = *waiting;
                self.known.dependencies = dependencies;
                self.known.undelivered = undelivered;
                self.known.silences = silences;
                // An outage in which the tables can be read began before that, and nothing is repeated more often for it.
                if self.core.is_between_outages(clock::now()) {
                    self.known.latest_event = Some(latest_event);
                    self.core.handle(clock::now(), Input::Events(latest_event));
                    self.tries.clear();
                    if self.spool.is_empty() {
                        self.unanswered.clear();
                    }
                }
                self.tell_wanted();
            }
            Event::Remembered(None) => {}
            Event::Entered { is_done } => {
                self.refused = if is_done { 0 } else { self.refused + 1 };
                if is_done {
                    self.spool.clear().await;
                } else {
                    self.spool.give_back();
                }
                self.core.handle(clock::now(), Input::Entered(is_done && self.spool.is_empty()));
            }
        }
    }

    fn take_report(&mut self, asked: &WatchdogId, report: Report) {
        if *asked != report.watchdog {
            // Only an address was known; or somebody else answers there, who is not the one that was asked.
            let Some(address) = self.known.members.get(asked).filter(|address| *address == asked.as_str()).cloned()
            else {
                return;
            };
            self.known.members.remove(asked);
            self.known.members.insert(report.watchdog.clone(), address);
            self.tell_members();
        }
        if let Some(said) = report.database_report {
            self.core.handle(clock::now(), Input::Heard(report.watchdog, said));
        }
    }

    async fn perform_all(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Ask(peer) => self.ask(peer),
                Output::Speak(speech) => self.speak(speech).await,
                Output::Keep(said) => self.keep(said).await,
                Output::Note(speech) => self.note(&speech).await,
                Output::Withdraw => self.spool.withdraw().await,
                Output::Enter => self.enter(),
                Output::Lasts(speech) => self.say_that_it_lasts(&speech),
            }
        }
    }

    fn ask(&self, peer: WatchdogId) {
        let Some(address) = self.known.members.get(&peer).cloned() else { return };
        let (prober, events) = (self.settings.prober.clone(), self.events.0.clone());
        tokio::spawn(async move {
            match prober.ask(&address).await {
                Ok(report) => drop(events.send(Event::Heard { asked: peer, report: Box::new(report) })),
                Err(error) => tracing::debug!(watchdog.id = %peer, %error, "a peer does not answer"),
            }
        });
    }

    fn enter(&mut self) {
        let (outages, news) = self.spool.take(self.known.clock_ahead_ms, clock::wall());
        let (store, routing) = (self.settings.store.clone(), Arc::clone(&self.settings.routing));
        let changes = news.iter().flat_map(|news| &news.changes);
        let subjects = changes.map(|change| (change.key.clone(), self.settings.looks.subject(change))).collect();
        let events = self.events.0.clone();
        tokio::spawn(async move {
            let mut is_done = true;
            for outage in &outages {
                match tables::enter(&store, &routing, outage).await {
                    Ok(()) => tracing::info!(lines = outage.told.len(), "entered what was told during an outage"),
                    Err(error) => {
                        tracing::warn!(%error, "could not enter what was told during an outage yet");
                        is_done = false;
                    }
                }
            }
            if let Err(error) = tables::enter_news(&store, &routing, (&news, &subjects)).await {
                tracing::warn!(%error, "could not enter what was told of checks yet");
                is_done = false;
            }
            drop(events.send(Event::Entered { is_done }));
        });
    }

    /// One after the other: what hangs is not repeated.
    fn say_that_it_lasts(&mut self, speech: &Speech) {
        if self.lasting.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (store, routing) = (self.settings.store.clone(), Arc::clone(&self.settings.routing));
        let (summary, votes) = (message::summary(speech.trouble, speech.votes), speech.votes);
        self.lasting = Some(tokio::spawn(async move {
            if let Err(error) = tables::lasts(&store, &routing, (summary, votes)).await {
                tracing::warn!(%error, "could not enter that an outage lasts");
            }
        }));
    }

    /// While the database is there: what waits, and a copy of it all on disk.
    async fn remember(&mut self) {
        let now = clock::now();
        let is_there = self.contact.borrow().written_at.is_some_and(|at| now.since(at) < REMEMBER);
        if !is_there || now < self.remember_at || self.core.is_unentered() {
            return;
        }
        self.remember_at = now + REMEMBER;
        self.known.at = clock::wall();
        if !self.known.is_like(&self.kept) || self.known.at.since(self.kept.at) >= RENEW {
            self.kept = self.known.clone();
            self.settings.state.keep_known(&self.known).await;
        }
        let (store, events) = (self.settings.store.clone(), self.events.0.clone());
        tokio::spawn(async move {
            drop(events.send(Event::Remembered(Waiting::read(&store).await.ok().map(Box::new))));
        });
    }
}

/// One canary at least is not known to be out of reach; without any, the channels themselves will tell.
fn has_egress(report: &Report) -> bool {
    let mut canaries = report.observations.iter().filter(|seen| matches!(seen.target, Target::Canary(_))).peekable();
    canaries.peek().is_none() || canaries.any(|seen| seen.vote != Vote::Down)
}
