//! The driver of the blackout machine: asks peers, tells people, and enters what was told; decides nothing.
//!
//! Owned by one task per watchdog. While the database takes writes it only remembers, in memory and in `state_dir`, who
//! the members are and what waits to be told. Who speaks, and when, is [`komainu_watchdogs::blackout`]'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use komainu_notifiers::{DeliveryError, Receipt};
use komainu_watchdogs::blackout::{Blackout, Input, Line, Output, Said, Speech, Word};
use komainu_watchdogs::facts::{Report, Target, Vote};
use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::time::{Mono, Wall};
use tokio::sync::{mpsc, watch};

use self::letter::{Letter, Occasion};
use self::spool::Spool;
use crate::channels::Channels;
use crate::clock;
use crate::driver::Contact;
use crate::probe::Prober;
use crate::state_dir::{Known, Spooled, StateDir};
use crate::store::Store;
use crate::store::spool as tables;
use crate::store::spool::Undelivered;

mod letter;
mod spool;

/// How often what waits is read: what opened within this time before the database went away may be missed, and is raised
/// anew when it is back.
const REMEMBER: Duration = Duration::from_secs(2);

/// How often the copy on disk is renewed although nothing changed, so that its age says something.
const RENEW: Duration = Duration::from_secs(60);

/// What waited longer ago than this, as an earlier process knew it, has been told since.
const OLD: Duration = Duration::from_secs(300);

/// Attempts that got no answer from a channel before its fallback is asked.
const PATIENCE: u32 = 2;

/// Everything this task is told.
#[derive(Debug)]
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
    /// How long the database takes no write until it counts as down.
    pub limit: Duration,
    /// Asks peers.
    pub prober: Prober,
    /// Where what was told is entered.
    pub store: Store,
    /// Who is told.
    pub routing: Arc<Routing>,
    /// What survives this process.
    pub state: StateDir,
    /// The ways to people.
    pub channels: Channels,
}

/// What this task publishes.
#[derive(Clone, Debug)]
pub struct Published {
    /// For peers that ask.
    pub word: watch::Receiver<Arc<Word>>,
    /// Something was told that stands in no table yet: whoever delivers waits until it does.
    pub is_unentered: watch::Receiver<bool>,
}

/// The task's state.
pub struct Driver {
    settings: Settings,
    core: Blackout,
    spool: Spool,
    known: Known,
    kept: Known,
    contact: watch::Receiver<Arc<Contact>>,
    report: watch::Receiver<Arc<Report>>,
    word: watch::Sender<Arc<Word>>,
    is_unentered: watch::Sender<bool>,
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    attempt: Option<Attempt>,
    silent: BTreeMap<Line, u32>,
    remember_at: Mono,
}

/// A speech under way.
#[derive(Debug)]
struct Attempt {
    speech: Speech,
    letters: usize,
    is_reached: bool,
    given_up: BTreeSet<Line>,
}

/// What came of something that was begun.
#[derive(Debug)]
enum Event {
    Heard { asked: WatchdogId, report: Box<Report> },
    Answered { letter: Box<Letter>, via: String, answer: Result<Receipt, DeliveryError> },
    Remembered(Option<Vec<Undelivered>>),
    Entered { count: usize, is_done: bool },
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
        let (word, word_receiver) = watch::channel(Arc::new(core.word(now)));
        let (is_unentered, unentered_receiver) = watch::channel(core.is_unentered());
        let published = Published { word: word_receiver, is_unentered: unentered_receiver };
        let mut driver = Self {
            settings,
            core,
            spool,
            kept: known.clone(),
            known,
            contact,
            report,
            word,
            is_unentered,
            events: mpsc::unbounded_channel(),
            attempt: None,
            silent: BTreeMap::new(),
            remember_at: now,
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
            self.remember().await;
        }
    }

    fn publish(&self) {
        self.word.send_replace(Arc::new(self.core.word(clock::now())));
        let is_unentered = self.core.is_unentered();
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
    }

    fn tell_members(&mut self) {
        let members = self.known.members.keys().cloned().collect();
        self.core.handle(clock::now(), Input::Members(members));
    }

    fn tell_wanted(&mut self) {
        let wanted = letter::wanted(&self.settings.routing, &self.known.undelivered);
        self.core.handle(clock::now(), Input::Wanted(wanted));
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Heard { asked, report } => self.take_report(&asked, *report),
            Event::Answered { letter, via, answer } => self.take_answer(*letter, via, answer).await,
            Event::Remembered(Some(undelivered)) => {
                self.known.undelivered = undelivered;
                self.silent.clear();
                self.tell_wanted();
            }
            Event::Remembered(None) => {}
            Event::Entered { count, is_done } => {
                if is_done {
                    self.spool.clear(count).await;
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
        if let Some(word) = report.word {
            self.core.handle(clock::now(), Input::Heard(report.watchdog, word));
        }
    }

    async fn perform_all(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Ask(peer) => self.ask(peer),
                Output::Speak(speech) => self.speak(speech).await,
                Output::Keep(said) => self.keep(said).await,
                Output::Enter => self.enter(),
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

    /// When the database stopped taking writes, by its own clock.
    fn began_at(&self) -> Wall {
        let failing_ms = i64::try_from(self.core.word(clock::now()).failing_ms).unwrap_or(i64::MAX);
        Wall(clock::wall().0.saturating_sub(failing_ms).saturating_add(self.known.clock_ahead_ms))
    }

    async fn speak(&mut self, speech: Speech) {
        tracing::warn!(
            votes = ?speech.votes,
            failing_s = speech.failing_for.as_secs(),
            doubt = ?speech.doubt,
            outage = speech.outage,
            lines = speech.lines.len(),
            "the database is down: telling people"
        );
        let now = Wall(clock::wall().0.saturating_add(self.known.clock_ahead_ms));
        let occasion = Occasion {
            cluster: &self.settings.cluster,
            runbook: &self.settings.runbook,
            undelivered: &self.known.undelivered,
            began_at: self.began_at(),
            now,
        };
        let letters = letter::letters(&speech, &occasion);
        let told: BTreeSet<_> = letters.iter().flat_map(|letter| letter.lines.clone()).collect();
        let given_up = speech.lines.difference(&told).cloned().collect();
        self.attempt = Some(Attempt { speech, letters: letters.len(), is_reached: false, given_up });
        for letter in letters {
            let via = letter.channel.clone();
            self.send(letter, via).await;
        }
        self.end_attempt();
    }

    /// Spools, then sends.
    async fn send(&mut self, letter: Letter, via: String) {
        let Some(attempt) = &self.attempt else { return };
        let entry = |said| Spooled {
            said,
            is_sent: false,
            outage: attempt.speech.outage.clone(),
            began_at: self.began_at(),
            summary: letter::summary(attempt.speech.votes),
            votes: attempt.speech.votes,
            doubt: attempt.speech.doubt,
        };
        let entries = said(&letter, &via, None).into_iter().map(entry).collect();
        self.spool.keep(entries).await;
        let (ready, events) = (self.settings.channels.named(&via).cloned(), self.events.0.clone());
        tokio::spawn(async move {
            let answer = match ready {
                Some(ready) => ready.channel.send(&letter.notice).await,
                None => Err(DeliveryError::Permanent { reason: "it is not configured here".to_owned() }),
            };
            drop(events.send(Event::Answered { letter: Box::new(letter), via, answer }));
        });
    }

    async fn take_answer(&mut self, letter: Letter, via: String, answer: Result<Receipt, DeliveryError>) {
        let Some(attempt) = &mut self.attempt else { return };
        let error = match answer {
            Ok(receipt) => {
                attempt.is_reached = true;
                attempt.letters -= 1;
                let said = said(&letter, &via, receipt.vendor_ref);
                self.spool.mark_sent(&said).await;
                tracing::info!(channel = via, notice.id = letter.notice.id, "told while the database is down");
                for said in said {
                    self.core.handle(clock::now(), Input::Told(said));
                }
                self.end_attempt();
                return;
            }
            Err(error) => error,
        };
        tracing::warn!(channel = via, %error, "could not tell while the database is down");
        let (is_reached, is_final) = match error {
            DeliveryError::Permanent { .. } => (true, true),
            DeliveryError::Retryable { .. } => (true, false),
            DeliveryError::Unanswered { .. } | DeliveryError::Unreached { .. } => (false, false),
        };
        attempt.is_reached |= is_reached;
        let mut failures = 0;
        for line in &letter.lines {
            let count = self.silent.entry(line.clone()).or_default();
            *count += 1;
            failures = failures.max(*count);
        }
        if is_reached {
            self.spool.forget(&letter.notice.id, &letter.lines).await;
        }
        let is_first = via == letter.channel;
        let ready = self.settings.channels.named(&letter.channel);
        let fallback = ready.and_then(|ready| ready.fallback.clone()).filter(|_| is_first);
        match fallback {
            Some(fallback) if is_final || failures >= PATIENCE => self.send(letter, fallback).await,
            _ => self.end_letter(letter, is_final),
        }
    }

    fn end_letter(&mut self, letter: Letter, is_given_up: bool) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.letters -= 1;
        if is_given_up {
            attempt.given_up.extend(letter.lines);
        }
        self.end_attempt();
    }

    fn end_attempt(&mut self) {
        if let Some(Attempt { is_reached, given_up, .. }) = self.attempt.take_if(|attempt| attempt.letters == 0) {
            self.core.handle(clock::now(), Input::Spoke { is_reached, given_up });
        }
    }

    /// Told by a peer, as far as this one knows.
    async fn keep(&mut self, said: Said) {
        let word = self.core.word(clock::now());
        let votes = self.core.tally(clock::now());
        let outage = word.outage.map_or_else(|| said.notice_id.clone(), |outage| outage.name);
        let age = i64::try_from(said.age_ms).unwrap_or(i64::MAX);
        let entry = Spooled {
            // The peer's clock is not this host's.
            said: Said { at: Wall(clock::wall().0.saturating_sub(age)), ..said },
            is_sent: true,
            outage,
            began_at: self.began_at(),
            summary: letter::summary(votes),
            votes,
            doubt: komainu_watchdogs::blackout::Doubt::DatabaseUnreachable,
        };
        self.spool.keep(vec![entry]).await;
    }

    fn enter(&self) {
        let (count, outages) = self.spool.outages(self.known.clock_ahead_ms);
        let (store, routing) = (self.settings.store.clone(), Arc::clone(&self.settings.routing));
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
            drop(events.send(Event::Entered { count, is_done }));
        });
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
            let undelivered = tables::undelivered(&store).await;
            drop(events.send(Event::Remembered(undelivered.ok())));
        });
    }
}

fn said(letter: &Letter, via: &str, vendor_ref: Option<String>) -> Vec<Said> {
    let said = |line: &Line| Said {
        line: line.clone(),
        via: via.to_owned(),
        notice_id: letter.notice.id.clone(),
        vendor_ref: vendor_ref.clone(),
        at: clock::wall(),
        age_ms: 0,
    };
    letter.lines.iter().map(said).collect()
}

/// One canary at least is not known to be out of reach; without any, the channels themselves will tell.
fn has_egress(report: &Report) -> bool {
    let mut canaries = report.observations.iter().filter(|seen| matches!(seen.target, Target::Canary(_))).peekable();
    canaries.peek().is_none() || canaries.any(|seen| seen.vote != Vote::Down)
}
