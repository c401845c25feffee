//! The loop that owns a watchdog's checks: feeds the machine, does what it orders, decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::check::{Answer, CheckName, Heard, Input, Look, Outcome, Output};
use komainu_watchdogs::facts::Target;
use komainu_watchdogs::ids::{Incarnation, WatchdogId, Zone};
use komainu_watchdogs::io::{Alarm, ProbeOutcome};
use komainu_watchdogs::time::{Mono, Wall};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::clerk::{Clerk, Order, subject};
use super::keeper::{self, Kept};
use super::peers::{LookAnswer, LookRequest, MOST_LOOKS, Peers};
use super::slow_way::SlowWay;
use super::tally::Tally;
use super::{Settings, Shared, looker};
use crate::clock;
use crate::driver::Contact;
use crate::probe::Prober;
use crate::run::Runs;
use crate::store::MonitorSpec;
use crate::store::checks::{Check, WrittenReport};

pub use self::known::LastKnown;

mod calls;
mod known;

/// Between two calls to a peer of which nothing is wanted but what it saw.
const FETCH_EACH: Duration = Duration::from_secs(2);

/// A peer that was heard so lately lives, whatever its row says: three calls.
const HEARD_FOR: Duration = Duration::from_secs(7);

/// Looks of one row for peers: of every check that there may be.
const WRITTEN_MOST: usize = 10_000;

/// Names in one question.
const ASKED_MOST: usize = 1_000;

/// What waits to be entered; more is found to be missing by the next reading.
const ORDERS_MOST: usize = 4_096;

/// What the loop is told.
pub(super) enum Event {
    /// For the machine.
    Input(Box<Input>),
    /// All checks, as just read.
    Defined(Vec<Arc<Check>>),
    /// What peers wrote that cannot be asked; when the reading was sent.
    Reports { sent_at: Mono, reports: Vec<WrittenReport> },
    /// They changed.
    Refresh,
    /// A peer asks.
    Asked { question: Box<LookRequest>, reply: oneshot::Sender<LookAnswer> },
    /// A peer answered, or did not.
    Answered { peer: WatchdogId, told: Option<Box<(LookAnswer, Heard)>>, is_fetch: bool },
}

/// What is known of a peer beside its looks.
#[derive(Debug, Default)]
struct Peer {
    /// Whose looks are known, and up to which number.
    known: Option<(Incarnation, u64)>,
    zone: Option<Zone>,
    is_isolated: bool,
    heard_at: Option<Mono>,
    fetch_at: Option<Mono>,
    is_fetching: bool,
}

impl Peer {
    fn is_heard(&self, now: Mono) -> bool {
        self.heard_at.is_some_and(|at| now.since(at) < HEARD_FOR)
    }

    /// A fetch has ended; `None`: without an answer. It goes on at once where there is more, which nobody says who brings little or
    /// nothing new: he would be asked without end.
    fn note_fetched(&mut self, now: Mono, told: Option<&LookAnswer>) {
        let before = self.known;
        if let Some(told) = told {
            let last = told.looks.iter().map(|look| look.number).max().unwrap_or(0);
            let known = before.filter(|(incarnation, _)| *incarnation == told.incarnation);
            self.known = Some((told.incarnation, known.map_or(last, |(_, number)| number.max(last))));
        }
        let is_more = told.is_some_and(|told| told.is_more && told.looks.len() >= MOST_LOOKS) && self.known != before;
        self.is_fetching = false;
        self.fetch_at = Some(if is_more { now } else { now + FETCH_EACH });
    }
}

/// Who asked, and what of this process it knows.
struct Caller {
    reply: oneshot::Sender<LookAnswer>,
    after: u64,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    peers_client: Peers,
    runs: Arc<Runs>,
    prober: Prober,
    contact: watch::Receiver<Arc<Contact>>,
    events: mpsc::Sender<Event>,
    orders: mpsc::Sender<Order>,
    checks: BTreeMap<CheckName, (Arc<Check>, Arc<MonitorSpec>)>,
    /// The look of each check that began last.
    under_way: BTreeMap<CheckName, AbortHandle>,
    peers: BTreeMap<WatchdogId, Peer>,
    callers: BTreeMap<u64, Caller>,
    last_ticket: u64,
    slow: SlowWay,
    tally: Tally,
    /// As they were before this process, until the tables are read.
    members: BTreeMap<WatchdogId, String>,
    clock_ahead_ms: i64,
    kept: watch::Sender<Kept>,
    /// End with the driver.
    _tasks: [tokio_util::task::AbortOnDropHandle<()>; 2],
}

impl Driver {
    pub(super) fn new(
        settings: Settings,
        (shared, peers_client, runs): (Arc<Shared>, Peers, Arc<Runs>),
        events: mpsc::Sender<Event>,
    ) -> Self {
        let Settings { store, routing, chores, prober, contact, state, .. } = settings;
        let (orders, received) = mpsc::channel(ORDERS_MOST);
        let (watchdog, process) = (shared.identity.watchdog.clone(), shared.identity.incarnation);
        let clerk = Clerk { watchdog, process, store, routing, chores, events: events.clone() };
        let (kept, to_keep) = watch::channel(Kept::default());
        let tasks = [tokio::spawn(clerk.run(received)), tokio::spawn(keeper::run(state, to_keep))];
        Self {
            shared,
            peers_client,
            runs,
            prober,
            contact,
            events,
            orders,
            checks: BTreeMap::new(),
            under_way: BTreeMap::new(),
            peers: BTreeMap::new(),
            callers: BTreeMap::new(),
            last_ticket: 0,
            slow: SlowWay::new(clock::now()),
            tally: Tally::new(clock::now(), clock::wall()),
            members: BTreeMap::new(),
            clock_ahead_ms: 0,
            kept,
            _tasks: tasks.map(tokio_util::task::AbortOnDropHandle::new),
        }
    }

    /// Looks until it is dropped.
    pub(super) async fn run(mut self, mut received: mpsc::Receiver<Event>) {
        self.take_contact();
        loop {
            self.fetch_due();
            self.go_the_slow_way();
            self.sample();
            self.perform_all();
            let wakes_at = self.wakes_at();
            tokio::select! {
                Some(event) = received.recv() => self.take(event),
                changed = self.contact.changed() => match changed {
                    Ok(()) => self.take_contact(),
                    Err(_) => return,
                },
                () = clock::sleep_until(wakes_at) => self.handle(Input::Tick),
            }
        }
    }

    fn wakes_at(&self) -> Mono {
        let machine = self.shared.machine().poll_timeout();
        let fetches = self.peers.values().filter(|peer| !peer.is_fetching).filter_map(|peer| peer.fetch_at);
        fetches.fold(machine.min(self.slow.due_at()).min(self.tally.due_at()), Mono::min)
    }

    fn handle(&self, input: Input) {
        self.shared.machine().handle(clock::now(), self.wall(), input);
    }

    /// The database's time, as far as it is known.
    fn wall(&self) -> Wall {
        Wall(clock::wall().0.saturating_add(self.clock_ahead_ms()))
    }

    fn sample(&mut self) {
        let now = clock::now();
        if now < self.tally.due_at() {
            return;
        }
        let at = (now, self.wall());
        let machine = self.shared.machine();
        let verdicts = machine.all().filter(|(definition, _)| !definition.paused);
        let verdicts = verdicts.map(|(definition, standing)| (&definition.name, standing.state));
        let minute = self.tally.sample(at, verdicts);
        drop(machine);
        if let Some(minute) = minute {
            self.order(Order::Count(Box::new(minute)));
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Input(input) => {
                self.note_tables(&input);
                self.handle(*input);
            }
            Event::Defined(checks) => {
                let all = Arc::new(checks.clone());
                self.kept.send_modify(|kept| kept.checks = all);
                self.define(checks);
            }
            Event::Reports { sent_at, reports } => self.take_reports(sent_at, reports),
            Event::Refresh => self.order(Order::Refresh),
            Event::Asked { question, reply } => self.take_question(*question, reply),
            Event::Answered { peer, told, is_fetch } => self.take_answer(&peer, told.map(|told| *told), is_fetch),
        }
    }

    /// Where a living peer does not ask, or cannot be asked, the tables carry the votes.
    fn go_the_slow_way(&mut self) {
        let now = clock::now();
        if !self.slow.is_due(now) {
            return;
        }
        let contact = Arc::clone(&self.contact.borrow());
        let me = &self.shared.identity;
        let living = contact.voters.living.iter().map(|(id, _, _)| id).filter(|id| **id != me.watchdog);
        let is_heard = |id: &WatchdogId| self.peers.get(id).is_some_and(|peer| peer.is_heard(now));
        let unheard: Vec<_> = living.clone().filter(|id| !is_heard(id)).cloned().collect();
        if let Some(seq) = self.slow.needs_writing(now, living) {
            let looks = self.shared.machine().report(now, 0, WRITTEN_MOST).into_iter().map(in_short).collect();
            let (watchdog, incarnation) = (me.watchdog.clone(), me.incarnation);
            self.order(Order::Report(Box::new(WrittenReport { watchdog, incarnation, seq, looks })));
        }
        if !unheard.is_empty() {
            self.order(Order::ReadReports(unheard));
        }
    }

    fn take_reports(&mut self, sent_at: Mono, reports: Vec<WrittenReport>) {
        for report in reports {
            if let Some(heard) = self.slow.hear(sent_at, report) {
                self.handle(Input::Heard(heard));
            }
        }
    }

    fn perform_all(&mut self) {
        loop {
            let output = self.shared.machine().poll_output();
            let Some(output) = output else { return };
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Look { check, number } => self.look(check, number),
            Output::AskPeers { peers, checks } => {
                for peer in peers {
                    self.ask(&peer, checks.clone(), false);
                }
            }
            Output::Answer { ticket, looks, pending } => {
                if let Some(caller) = self.callers.remove(&ticket) {
                    self.reply(caller, looks, pending);
                }
            }
            Output::Counted { check, outcome, ms } => self.tally.note_look(&check, outcome, ms),
            Output::ProbeCanaries { asked_at } => self.probe_canaries(asked_at),
            Output::Changed(transition) => self.order(Order::Enter(transition)),
            Output::Raise(alarm) => self.raise(alarm),
            Output::Resolve { key, last_bad_at } => {
                let is_paused = self.named_by(&key).is_some_and(|check| check.definition.is_paused);
                if !self.order_told(Order::Resolve { key: key.clone(), last_bad_at, is_paused }) {
                    self.handle(Input::Told { key, is_done: false });
                }
            }
        }
    }

    /// Nobody waits any more for the look before it, at what the check was before an edit: it is broken off, for its place was given away.
    fn look(&mut self, name: CheckName, number: u64) {
        let Some((_, spec)) = self.checks.get(&name) else { return };
        let (runs, spec, events) = (Arc::clone(&self.runs), Arc::clone(spec), self.events.clone());
        let check = name.clone();
        let look = tokio::spawn(async move {
            let (outcome, answer) = looker::look(&runs, &spec).await;
            let input = Input::Looked { check, number, outcome, answer };
            let _ = events.send(Event::Input(Box::new(input))).await;
        });
        if let Some(earlier) = self.under_way.insert(name, look.abort_handle()) {
            earlier.abort();
        }
    }

    fn probe_canaries(&self, asked_at: Mono) {
        for canary in self.shared.identity.canaries.clone() {
            let (prober, events) = (self.prober.clone(), self.events.clone());
            tokio::spawn(async move {
                let seen = prober.probe(&Target::Canary(canary), None).await;
                let is_answered = matches!(seen.outcome, ProbeOutcome::Answered);
                let _ = events.send(Event::Input(Box::new(Input::Canary { asked_at, is_answered }))).await;
            });
        }
    }

    fn raise(&self, alarm: Alarm) {
        let subject = subject(&alarm, self.named_by(&alarm.key).map(|check| &check.definition));
        let key = alarm.key.clone();
        if !self.order_told(Order::Raise(Box::new((alarm, subject)))) {
            self.handle(Input::Told { key, is_done: false });
        }
    }

    /// The check that an incident is about.
    fn named_by(&self, key: &str) -> Option<&Check> {
        let (_, name) = key.split_once('/')?;
        self.checks.get(&CheckName::from(name)).map(|(check, _)| &**check)
    }

    fn order(&self, order: Order) {
        let _ = self.order_told(order);
    }

    /// Whether the clerk will do it.
    fn order_told(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }
}

/// What a target answered in detail is wanted of those that fail.
fn in_short(look: Look) -> Look {
    match look.outcome {
        Outcome::Up => Look { answer: Answer::default(), ..look },
        Outcome::Failed(_) | Outcome::Unable(_) => look,
    }
}

#[cfg(test)]
mod tests {
    use komainu_watchdogs::check::Failure;

    use super::*;

    fn told(numbers: std::ops::Range<u64>, is_more: bool) -> LookAnswer {
        let look = |number| Look {
            check: CheckName::from("shop"),
            version: 1,
            number,
            outcome: Outcome::Failed(Failure::Refused),
            failures: 1,
            successes: 0,
            age_ms: 0,
            answer: Answer::default(),
        };
        LookAnswer {
            watchdog: "w2".into(),
            incarnation: Incarnation(7),
            zone: "a".into(),
            is_isolated: false,
            looks: numbers.map(look).collect(),
            pending: vec![],
            is_more,
        }
    }

    #[test]
    fn a_peer_that_has_more_is_asked_at_once_and_one_that_only_says_so_is_not() {
        let mut peer = Peer::default();
        let mut asked_at = |told: Option<LookAnswer>| {
            peer.note_fetched(Mono::secs(10), told.as_ref());
            peer.fetch_at
        };
        let (at_once, later) = (Some(Mono::secs(10)), Some(Mono::secs(10) + FETCH_EACH));
        assert_eq!(asked_at(Some(told(1..201, true))), at_once);
        assert_eq!(asked_at(Some(told(1..201, true))), later, "it says what it said before");
        assert_eq!(asked_at(Some(told(201..210, true))), later, "so little is all that there is");
        assert_eq!(asked_at(Some(told(210..410, false))), later);
        assert_eq!(asked_at(None), later);
        assert_eq!(peer.known, Some((Incarnation(7), 409)));
    }
}
