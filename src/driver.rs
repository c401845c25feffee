//! The driver of one watchdog: feeds inputs to the core, performs its outputs; decides nothing.
//!
//! One loop owns the core. Its workers perform: the *rounds* (the connection that leases are watched on: rounds and own row),
//! the *clerk* and the *counter* (errands beside the rounds), the *leader lock* (the connection that holds the advisory lock:
//! leadership and decisions) and one task per probe or hint. Each order gets exactly one answer, an error if need be, so the core never waits for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use komainu_watchdogs::check::Members;
use komainu_watchdogs::facts::{Report, Round, Target};
use komainu_watchdogs::ids::{Incarnation, NodeId, WatchdogId};
use komainu_watchdogs::io::{Announcement, Errand, Input, Output};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::routing::Routing;
use komainu_watchdogs::tail::{LostTail, Remembrance};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::view::View;
use komainu_watchdogs::watchdog::{Identity, Watchdog};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chores::Chores;
use crate::clock;
use crate::keys::ClusterKey;
use crate::lost_tail;
use crate::probe::Prober;
use crate::store::{Share, Store, WatchdogIdentity};
use crate::tls::Credentials;

mod errands;
mod leader_lock;
mod rounds;
mod upkeep;

/// How long a stopping watchdog tries to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Everything one watchdog is told.
#[derive(Clone, Debug)]
pub struct WatchdogSettings {
    /// Who it is.
    pub identity: WatchdogIdentity,
    /// Drawn anew by each process: the same watchdog, started again, has another.
    pub incarnation: Incarnation,
    /// The cluster's name: part of the advisory lock's.
    pub cluster: String,
    /// Signs calls to peers and nodes.
    pub key: ClusterKey,
    /// Addresses of the outside world.
    pub canaries: Vec<String>,
    /// The thresholds that decisions go by.
    pub policy: Policy,
    /// The way to the database.
    pub store: Store,
    /// Who is told about what.
    pub routing: Arc<Routing>,
    /// Whom it trusts, and what it shows, when it calls peers and nodes.
    pub credentials: Arc<Credentials>,
    /// What an earlier process of this watchdog had been answered.
    pub earlier: Remembrance,
}

/// What a watchdog publishes after each round.
#[derive(Clone, Debug)]
pub struct Published {
    /// What it knows.
    pub view: watch::Receiver<Arc<View>>,
    /// What it says to its peers.
    pub report: watch::Receiver<Arc<Report>>,
    /// How the database fares.
    pub contact: watch::Receiver<Arc<Contact>>,
    /// What the next process has to know of what was answered.
    pub remembrance: watch::Receiver<Remembrance>,
}

/// What the last rounds of reads and writes brought.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contact {
    /// When the last write that was committed was ordered.
    pub written_at: Option<Mono>,
    /// When everything that `/status` vouches for was known last.
    pub verdict_at: Option<Mono>,
    /// By how much the database's clock was ahead of this host's.
    pub clock_ahead_ms: i64,
    /// Registered watchdogs that did not stop on purpose, and where they answer.
    pub members: BTreeMap<WatchdogId, String>,
    /// Kind and subject of the incidents that were open.
    pub incidents: Vec<String>,
    /// Who may vote on checks, by their rows.
    pub voters: Members,
}

/// Why a watchdog's process ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Another living process writes the row of this id.
    #[error("{0}; give each watchdog an id of its own")]
    IdInUse(String),
    /// The HTTP client for probes could not be made.
    #[error("could not set up probing")]
    Prober(#[source] reqwest::Error),
}

/// One watchdog, ready to run.
pub struct Driver {
    core: Watchdog,
    prober: Prober,
    addresses: BTreeMap<Target, String>,
    rounds: mpsc::UnboundedSender<rounds::Order>,
    clerk: mpsc::UnboundedSender<errands::Order>,
    counter: mpsc::UnboundedSender<errands::Order>,
    leader_lock: mpsc::UnboundedSender<leader_lock::Order>,
    inputs: mpsc::UnboundedReceiver<Event>,
    events: mpsc::UnboundedSender<Event>,
    view: watch::Sender<Arc<View>>,
    report: watch::Sender<Arc<Report>>,
    contact: watch::Sender<Arc<Contact>>,
    remembrance: watch::Sender<Remembrance>,
    /// Whoever sees to what the database forgot.
    lost_tails: Option<mpsc::Sender<lost_tail::Order>>,
    /// Rounds and leader lock: awaited when stopping.
    workers: TaskTracker,
    /// Ends with the driver.
    _upkeep: tokio_util::task::AbortOnDropHandle<()>,
}

/// What workers tell the loop.
#[derive(Debug)]
enum Event {
    /// For the core.
    Input(Input),
    /// The row of this id is another process's.
    IdInUse(String),
}

impl Driver {
    /// Starts the workers; nothing is read before [`Self::run`].
    pub fn new(settings: &WatchdogSettings) -> Result<(Self, Published), DriverError> {
        let prober = Prober::new(settings.key.clone(), settings.policy.probe_timeout, &settings.credentials)
            .map_err(DriverError::Prober)?;
        let identity = Identity {
            watchdog: settings.identity.watchdog.clone(),
            incarnation: settings.incarnation,
            zone: settings.identity.zone.clone(),
            canaries: settings.canaries.clone(),
        };
        let now = clock::now();
        let policy = settings.policy.clone();
        let core = Watchdog::after(&settings.earlier, (identity, policy), now, settings.incarnation.0);
        let (events, inputs) = mpsc::unbounded_channel();
        let workers = TaskTracker::new();
        let (rounds, orders) = mpsc::unbounded_channel();
        let ways = (settings.store.clone(), settings.identity.watchdog.clone(), Arc::clone(&settings.routing));
        workers.spawn(rounds::run(settings.store.clone(), settings.identity.clone(), orders, events.clone()));
        let (clerk, orders) = mpsc::unbounded_channel();
        workers.spawn(errands::run(ways.clone(), orders, events.clone()));
        let (counter, orders) = mpsc::unbounded_channel();
        workers.spawn(errands::run(ways, orders, events.clone()));
        let (leader_lock, orders) = mpsc::unbounded_channel();
        workers.spawn(leader_lock::run(leader_lock::connection(settings), orders, events.clone()));
        let (view, view_receiver) = watch::channel(Arc::new(core.view(now)));
        let (report, report_receiver) = watch::channel(Arc::new(core.report()));
        let upkeep = settings.store.share(Share::Upkeep);
        let upkeep = upkeep::run((upkeep, chores(&events)), view_receiver.clone(), settings.incarnation);
        let upkeep = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(upkeep));
        let (contact, contact_receiver) = watch::channel(Arc::default());
        let (remembrance, remembered) = watch::channel(core.remembrance());
        let published = Published {
            view: view_receiver,
            report: report_receiver,
            contact: contact_receiver,
            remembrance: remembered,
        };
        let addresses = BTreeMap::new();
        let driver = Self {
            core,
            prober,
            addresses,
            rounds,
            clerk,
            counter,
            leader_lock,
            inputs,
            events,
            view,
            report,
            contact,
            remembrance,
            lost_tails: None,
            workers,
            _upkeep: upkeep,
        };
        Ok((driver, published))
    }

    /// Where it is said how everything else fares that this process does beside the rounds.
    pub fn chores(&self) -> Chores {
        chores(&self.events)
    }

    /// Where it is asked for what is to be done when the database forgot something.
    pub fn lost_tails(&mut self) -> mpsc::Receiver<lost_tail::Order> {
        let (orders, taken) = mpsc::channel(lost_tail::ORDERS);
        self.lost_tails = Some(orders);
        taken
    }

    /// Watches until told to stop.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), DriverError> {
        loop {
            self.perform_all();
            let wakes_at = self.core.poll_timeout();
            let input = tokio::select! {
                () = shutdown.cancelled() => break,
                () = clock::sleep_until(wakes_at) => Input::Tick,
                Some(event) = self.inputs.recv() => match event {
                    Event::Input(input) => input,
                    Event::IdInUse(reason) => return Err(DriverError::IdInUse(reason)),
                },
            };
            self.handle(input);
        }
        self.say_goodbye().await;
        Ok(())
    }

    fn handle(&mut self, input: Input) {
        let mut contact = None;
        if let Input::Round(round) = &input {
            self.addresses = addresses(round);
            contact = Some(contact_of(round));
        }
        let is_news = matches!(input, Input::Round(_) | Input::RoundFailed(_) | Input::Written(_));
        let now = clock::now();
        self.core.handle(now, input);
        if is_news {
            self.view.send_replace(Arc::new(self.core.view(now)));
        }
        self.report.send_replace(Arc::new(self.core.report()));
        self.remembrance.send_replace(self.core.remembrance());
        self.publish_contact(contact);
    }

    fn publish_contact(&self, read: Option<Contact>) {
        let (written_at, verdict_at) = (self.core.written_at(), self.core.verdict_at());
        let voters = self.core.members();
        let incidents = read.is_some().then(|| self.core.open_incidents().map(str::to_owned).collect());
        self.contact.send_if_modified(|contact| {
            let incidents = incidents.unwrap_or_else(|| contact.incidents.clone());
            let next = Contact {
                written_at,
                verdict_at,
                incidents,
                voters,
                ..read.unwrap_or_else(|| Contact::clone(contact))
            };
            let is_news = **contact != next;
            *contact = Arc::new(next);
            is_news
        });
    }

    /// Gives the leadership back and marks the own row, as far as the database lets it.
    async fn say_goodbye(mut self) {
        self.handle(Input::Stop);
        self.perform_all();
        // The workers end when nobody can order any more.
        let Self { rounds, clerk, counter, leader_lock, workers, _upkeep, .. } = self;
        drop((rounds, clerk, counter, leader_lock));
        workers.close();
        if tokio::time::timeout(GOODBYE, workers.wait()).await.is_err() {
            tracing::warn!("stopped without saying goodbye: the database did not answer");
        }
    }

    fn perform_all(&mut self) {
        while let Some(output) = self.core.poll_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::ReadRound => self.order(rounds::Order::Read),
            Output::Write(write) => self.order(rounds::Order::Write(write)),
            Output::Errand(Errand::Incidents) => send(&self.clerk, errands::Order::Errand(Errand::Incidents)),
            Output::Errand(errand @ (Errand::Counts | Errand::Progress)) => {
                send(&self.counter, errands::Order::Errand(errand));
            }
            Output::ReadProgress(looks) => send(&self.counter, errands::Order::Progress(looks)),
            Output::Raise(alarm) => send(&self.clerk, errands::Order::Raise(alarm)),
            Output::Resolve { key, last_bad_at } => send(&self.clerk, errands::Order::Resolve { key, last_bad_at }),
            Output::Leadership(act) => self.order_leader_lock(leader_lock::Order::Act(act)),
            Output::Commit(decision) => self.order_leader_lock(leader_lock::Order::Commit(decision)),
            Output::ReadShard => self.order_leader_lock(leader_lock::Order::ReadShard),
            Output::Probe(target) => self.probe(target),
            Output::Hint(nodes) => self.hint(nodes),
            Output::LostTail(loss) => self.order_salvage(loss),
            Output::Announce(announcement) => announce(&announcement),
        }
    }

    fn order(&self, order: rounds::Order) {
        self.rounds.send(order).expect("the connection of the rounds works as long as the driver");
    }

    fn order_leader_lock(&self, order: leader_lock::Order) {
        self.leader_lock.send(order).expect("the connection of the lock works as long as the driver");
    }

    /// One at a time: the core waits for the answer.
    fn order_salvage(&self, loss: LostTail) {
        let (entered, answer) = oneshot::channel();
        let order = lost_tail::Order { loss, entered };
        let is_ordered = self.lost_tails.as_ref().is_some_and(|orders| orders.try_send(order).is_ok());
        let events = self.events.clone();
        tokio::spawn(async move {
            let answer = answer.await.unwrap_or_else(|_| Err("nobody sees to it".to_owned()));
            if !is_ordered {
                tracing::error!(
                    lost.from_ms = loss.from.0,
                    lost.until_ms = loss.until.0,
                    "the database lost what it had answered"
                );
            }
            tell(&events, Input::TailEntered(loss.answered, answer));
        });
    }

    fn probe(&self, target: Target) {
        let (prober, events) = (self.prober.clone(), self.events.clone());
        let address = self.addresses.get(&target).cloned();
        tokio::spawn(async move {
            let seen = prober.probe(&target, address.as_deref()).await;
            if let Some(report) = seen.report {
                tell(&events, Input::Reported(report));
            }
            tell(&events, Input::Probed(target, seen.outcome));
        });
    }

    fn hint(&self, nodes: Vec<NodeId>) {
        for node in nodes {
            let Some(address) = self.addresses.get(&Target::Node(node.clone())).cloned() else { continue };
            let prober = self.prober.clone();
            tokio::spawn(async move { prober.hint(&node, &address).await });
        }
    }
}

fn send(worker: &mpsc::UnboundedSender<errands::Order>, order: errands::Order) {
    worker.send(order).expect("the workers work as long as the driver");
}

/// What is worth remembering of a round.
fn contact_of(round: &Round) -> Contact {
    let living = round.watchdogs.iter().filter(|row| !row.stopped);
    Contact {
        clock_ahead_ms: round.database_time.0.saturating_sub(clock::wall().0),
        members: living.map(|row| (row.watchdog.clone(), row.advertise.clone())).collect(),
        ..Contact::default()
    }
}

/// Where nodes and peers say they are.
fn addresses(round: &Round) -> BTreeMap<Target, String> {
    let nodes = round.nodes.iter().map(|row| (Target::Node(row.node.clone()), row.address.clone()));
    let peers = round.watchdogs.iter().map(|row| (Target::Watchdog(row.watchdog.clone()), row.advertise.clone()));
    nodes.chain(peers).collect()
}

/// Nobody listens any more while the process stops: then there is nothing to tell.
fn chores(events: &mpsc::UnboundedSender<Event>) -> Chores {
    let events = events.clone();
    Chores::new(move |chore, outcome| tell(&events, Input::Chore(chore, outcome)))
}

fn tell(events: &mpsc::UnboundedSender<Event>, input: Input) {
    let _ = events.send(Event::Input(input));
}

fn announce(announcement: &Announcement) {
    match announcement {
        Announcement::BecameLeader { epoch } => tracing::info!(lease.epoch = epoch.0, "became leader"),
        Announcement::SteppedDown { epoch, reason } => {
            tracing::warn!(lease.epoch = epoch.0, %reason, "stepped down");
        }
        Announcement::StatusChanged { node, from, to, reason, votes, epoch } => tracing::warn!(
            node.id = %node,
            node.from = from.as_str(),
            node.to = to.as_str(),
            reason = ?reason,
            votes.down = votes.0,
            votes.of = votes.1,
            lease.epoch = epoch.0,
            "node status changed"
        ),
        Announcement::Moved { from, to, monitors, reason, epoch } => tracing::info!(
            moved.from = from.as_ref().map_or("", NodeId::as_str),
            moved.to = to.as_ref().map_or("", NodeId::as_str),
            monitors,
            reason = reason.as_str(),
            lease.epoch = epoch.0,
            "monitors moved"
        ),
        Announcement::WouldMove { from, monitors, reason } => tracing::warn!(
            moved.from = from.as_ref().map_or("", NodeId::as_str),
            monitors,
            reason = reason.as_str(),
            "would move monitors, but automation is held"
        ),
        Announcement::Refused { epoch, reason } => {
            tracing::info!(lease.epoch = epoch.0, %reason, "decision refused by the database");
        }
    }
}
