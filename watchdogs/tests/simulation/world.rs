//! The simulated world: its clock, its queue of events, its processes, and the end of a run.

use std::collections::BinaryHeap;

use komainu_watchdogs::policy::Policy;

use super::bounds::{Blow, Blows};
use super::changes::{draw_kind, draw_run_on};
use super::clocks::{WallClock, draw_drift};
use super::counts::Counts;
use super::dog::Dog;
use super::events::{Answer, Event, Message, Order, Request, SEC, Scheduled, Time, Who};
use super::healing::Phase;
use super::ledger::Ledger;
use super::model_store::{Assignment, Database, Monitor, Server};
use super::network::Network;
use super::node::Node;
use super::operator::draw_hands;
use super::prng::Prng;
use super::realm::Realm;
use super::tails::Tails;
use super::variants::Variant;
use super::weather::Weather;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Running,
    Paused,
    Dead,
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) realm: Realm,
    most_monitors: u64,
    pub(crate) dogs: usize,
    pub(crate) nodes: usize,
    pub(crate) has_canaries: bool,
    pub(crate) zones: usize,
    /// Millionths by which the clock of a process may run fast or slow.
    pub(crate) drift: u64,
    /// Of a thousand decisions, how many an operator is just ahead of.
    pub(crate) quick_hands: u64,
    /// Nodes hold locks that end with their processes.
    pub(crate) has_lease_locks: bool,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) at: Time,
    pub(crate) what: String,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) rng: Prng,
    pub(crate) clock_rng: Prng,
    pub(crate) lock_rng: Prng,
    /// Until when nobody can connect to a node, although it lives.
    pub(crate) port_closed_until: Vec<Time>,
    pub(crate) variant: Option<Variant>,
    pub(crate) setup: Setup,
    pub(crate) policy: Policy,
    pub(crate) database: Database,
    pub(crate) server: Server,
    pub(crate) ledger: Ledger,
    pub(crate) network: Network,
    pub(crate) wall_clocks: Vec<WallClock>,
    /// When the clock of each host was last set.
    pub(crate) wrong_clock_at: Vec<Time>,
    pub(crate) dogs: Vec<Dog>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) weather: Weather,
    pub(crate) blows: Blows,
    pub(crate) phase: Phase,
    pub(crate) snapshot: Option<Box<(Database, Ledger)>>,
    pub(crate) tails: Vec<Tails>,
    /// Since when each monitor had no living process to run it.
    pub(crate) unowned_since: Vec<Option<Time>>,
    pub(crate) counts: Counts,
    pub(crate) violation: Option<Violation>,
    pub(crate) is_tracing: bool,
    queue: BinaryHeap<Scheduled>,
    scheduled: u64,
    /// What was scheduled up to here belongs to the time before the healing.
    healed_at: u64,
}

/// What became of a run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) violation: Option<Violation>,
}

/// One run from its beginning to its end, or to the first violation.
pub(crate) fn run(seed: u64, variant: Option<Variant>) -> Outcome {
    let mut world = World::new(seed, variant, false);
    world.run();
    Outcome { counts: world.counts, violation: world.violation }
}

impl Setup {
    fn draw(rng: &mut Prng, seed: u64) -> Self {
        let realm = Realm::of(seed);
        let (dogs, nodes, most_monitors) = realm.size(rng);
        Self {
            realm,
            most_monitors,
            dogs,
            nodes,
            has_canaries: rng.per_mille(400),
            zones: rng.pick(&[1, 2, 5]).unwrap(),
            drift: draw_drift(seed, realm),
            quick_hands: draw_hands(seed, realm),
            has_lease_locks: seed % 4 == 2,
        }
    }

    /// Watchdogs below this one are spared, where a majority is.
    pub(crate) fn spared(&self) -> usize {
        if self.realm.spares_majority() { self.dogs / 2 + 1 } else { 0 }
    }
}

impl World {
    pub(crate) fn new(seed: u64, variant: Option<Variant>, is_tracing: bool) -> Self {
        let mut rng = Prng::new(seed);
        let setup = Setup::draw(&mut rng, seed);
        let policy = Policy {
            batch: rng.pick(&[5_000, 1, 2, 3]).unwrap(),
            batch_living: rng.pick(&[1_000, 1, 2]).unwrap(),
            monitor_limit_per_node: rng.pick(&[1_000, 3]).unwrap(),
            ..Policy::default()
        };
        let mut network = Network::new(setup.dogs + setup.nodes + 1, setup.dogs, &mut rng);
        let realm = setup.realm;
        if realm.spares_majority() {
            network.calm();
        }
        let weather = Weather::new(&mut rng, realm);
        // A stock Kuma is paced.
        let kumas: Vec<_> = (0..setup.nodes).filter(|_| rng.per_mille(150)).collect();
        let mut world = Self {
            now: SEC,
            variant,
            policy: Variant::policy(variant, policy),
            database: Database::new(setup.nodes),
            server: Server::default(),
            ledger: Ledger::new(setup.nodes, setup.drift),
            wall_clocks: vec![WallClock::default(); setup.nodes],
            wrong_clock_at: vec![0; setup.nodes],
            clock_rng: Prng::new(seed ^ 0x6472_6966),
            lock_rng: Prng::new(seed ^ 0x6c6f_636b),
            port_closed_until: vec![0; setup.nodes],
            network,
            dogs: Vec::new(),
            nodes: Vec::new(),
            weather,
            blows: Blows::default(),
            phase: Phase::Chaos,
            snapshot: None,
            tails: vec![Tails::default(); setup.dogs],
            unowned_since: Vec::new(),
            counts: Counts::default(),
            violation: None,
            is_tracing,
            queue: BinaryHeap::new(),
            scheduled: 0,
            healed_at: 0,
            rng,
            setup,
        };
        for node in kumas {
            world.database.nodes[node].is_native = false;
        }
        world.populate();
        world
    }

    fn populate(&mut self) {
        if self.setup.realm.has_parts() {
            self.vary_nodes();
        }
        for _ in 0..self.rng.between(3, self.setup.most_monitors) {
            self.add_monitor(None);
        }
        for dog in 0..self.setup.dogs {
            self.start_dog(dog);
        }
        for node in 0..self.setup.nodes {
            self.start_node(node);
        }
        let (quiet, chaos) = (self.weather.quiet, self.weather.chaos);
        self.schedule(self.now + quiet, Event::Chaos);
        self.schedule(self.now + quiet + chaos, Event::Heal);
        self.schedule(self.now + SEC, Event::Check);
    }

    /// Some nodes are entered later, and not every node can run everything.
    fn vary_nodes(&mut self) {
        self.counts.large_worlds += u64::from(self.setup.nodes > 10);
        for node in 1..self.setup.nodes {
            if self.rng.per_mille(100) {
                self.database.is_present[node] = false;
            } else if self.rng.per_mille(250) {
                self.relabel(node, false);
            }
        }
        self.relabel(0, true);
    }

    pub(crate) fn add_monitor(&mut self, home: Option<usize>) {
        let assignment =
            home.map(|home| Assignment { home: Some(home), effective: Some(home), ..Assignment::default() });
        let (kind, run_on) = if self.setup.realm.has_parts() {
            (draw_kind(&mut self.rng), draw_run_on(&mut self.rng))
        } else {
            (if self.rng.per_mille(150) { "push" } else { "http" }, Vec::new())
        };
        self.database.monitors.push(Monitor {
            kind,
            run_on,
            interval: self.rng.between(1, 5) * SEC,
            is_active: true,
            is_deleted: false,
            assignment,
            due_since: self.now,
            last_beat_at: 0,
        });
        self.ledger.add_monitor(home);
    }

    pub(crate) fn schedule(&mut self, at: Time, event: Event) {
        self.scheduled += 1;
        self.queue.push(Scheduled { at, order: self.scheduled, event });
    }

    pub(crate) fn run(&mut self) {
        while let Some(Scheduled { at, event, .. }) = self.queue.pop() {
            self.now = self.now.max(at);
            self.counts.steps += 1;
            self.happen(event);
            if self.violation.is_some() || self.phase == Phase::Done {
                return;
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer(who) => self.ring(who),
            Event::Runs(node) => {
                let process = &self.nodes[node];
                if process.life == Life::Running && process.runs_at <= self.now {
                    self.run_due(node);
                }
            }
            Event::Slice(node) => self.compare_rows(node),
            Event::Arrive(request) => self.arrive(*request),
            Event::StoreBeat(beat) => self.store_beat(beat),
            Event::Tell(who, message) => self.tell(who, message),
            Event::Resume(who) => self.resume(who),
            Event::FreeLock { dog, connection } => {
                if self.server.lock == Some((dog, connection)) {
                    self.server.lock = None;
                }
            }
            Event::CloseIdle { dog, connection } => self.close_idle(dog, connection),
            Event::TakeLeaseLock(node) => self.take_lease_lock(node),
            Event::FreeLeaseLock(incarnation) => self.free_lease_lock(incarnation),
            Event::EndLeaseLock(_) | Event::CutFromDatabase(_) if self.phase != Phase::Chaos => {}
            Event::EndLeaseLock(node) => {
                self.end_lease_lock(node);
            }
            Event::CutFromDatabase(id) => self.cut_node_from_database(id),
            Event::Farewell(dog) => self.end_process(Who::Dog(dog), true),
            Event::Back(node) => self.hit(node, Blow::Back),
            Event::Chaos => self.act(),
            Event::Heal => {
                self.healed_at = self.scheduled;
                self.heal();
            }
            Event::Check => self.check(),
            Event::DatabaseUp => self.server.is_down = false,
            Event::Snapshot => self.take_snapshot(),
            Event::LoseTail => self.lose_tail(),
        }
    }

    /// Whether something of the time before the healing is still under way: a statement that was sent then (the renewal of
    /// a process counts when it arrives, although that process is dead by then), a wait for one that was lost, a run that
    /// takes very long, a vanished connection that holds the lock.
    pub(crate) fn has_aftermath(&self) -> bool {
        self.queue.iter().any(|Scheduled { order, event, .. }| match event {
            Event::Arrive(_) | Event::StoreBeat(_) => *order <= self.healed_at,
            Event::Tell(who, Message::GiveUp { .. } | Message::RunEnds { .. } | Message::Stored { .. }) => {
                *order <= self.healed_at && self.is_alive(*who)
            }
            Event::FreeLock { dog, connection } => self.server.lock == Some((*dog, *connection)),
            Event::Timer(_)
            | Event::Runs(_)
            | Event::Slice(_)
            | Event::Tell(..)
            | Event::Resume(_)
            | Event::CloseIdle { .. }
            | Event::Farewell(_)
            | Event::TakeLeaseLock(_)
            | Event::FreeLeaseLock(_)
            | Event::EndLeaseLock(_)
            | Event::CutFromDatabase(_)
            | Event::Back(_)
            | Event::Chaos
            | Event::Heal
            | Event::Check
            | Event::DatabaseUp
            | Event::Snapshot
            | Event::LoseTail => false,
        })
    }

    pub(crate) fn execute(&mut self, request: &Request) -> Answer {
        match (request.who, &request.order) {
            (Who::Dog(dog), _) => self.execute_for_dog(dog, request),
            (Who::Node(node), Order::ReadAssignments { .. } | _) => self.execute_for_node(node, request),
        }
    }

    /// Keeps the first violation.
    pub(crate) fn judge(&mut self, found: Result<(), String>) {
        if let (Err(what), None) = (found, &self.violation) {
            self.violation = Some(Violation { at: self.now, what });
        }
    }
}
