//! The simulated world: its clock, its queue of events, its processes, and the end of a run.

use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::tenure::{self, Tenure};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::watchdog::{Identity, Watchdog};

use super::chaos::Weather;
use super::counts::Counts;
use super::dog::{Dog, OwnTally, local};
use super::events::{Answer, Event, MS, Message, Order, Request, SEC, Scheduled, Time, Who};
use super::healing::Phase;
use super::ledger::Ledger;
use super::model_store::{Assignment, Database, Monitor, Server, zone};
use super::network::{Line, Network};
use super::node::{BeforeLoss, Node};
use super::prng::Prng;
use super::variants::Variant;

/// A core that asks to be woken at once so often in a row makes no progress.
const MOST_SPINS: u32 = 200;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Running,
    Paused,
    Dead,
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) dogs: usize,
    pub(crate) nodes: usize,
    pub(crate) has_canaries: bool,
    pub(crate) zones: usize,
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
    pub(crate) variant: Option<Variant>,
    pub(crate) setup: Setup,
    pub(crate) policy: Policy,
    pub(crate) database: Database,
    pub(crate) server: Server,
    pub(crate) ledger: Ledger,
    pub(crate) network: Network,
    pub(crate) dogs: Vec<Dog>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) weather: Weather,
    pub(crate) phase: Phase,
    pub(crate) snapshot: Option<Box<(Database, Ledger)>>,
    /// Since when each monitor had no living process to run it.
    pub(crate) unowned_since: Vec<Option<Time>>,
    pub(crate) counts: Counts,
    pub(crate) violation: Option<Violation>,
    pub(crate) is_tracing: bool,
    queue: BinaryHeap<Scheduled>,
    scheduled: u64,
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

impl World {
    pub(crate) fn new(seed: u64, variant: Option<Variant>, is_tracing: bool) -> Self {
        let mut rng = Prng::new(seed);
        let setup = Setup {
            dogs: rng.pick(&[1, 2, 3, 3, 3, 3, 4, 5]).unwrap(),
            nodes: rng.pick(&[1, 2, 2, 3, 3, 3, 4, 5]).unwrap(),
            has_canaries: rng.per_mille(400),
            zones: rng.pick(&[1, 2, 5]).unwrap(),
        };
        let policy = Policy {
            batch: rng.pick(&[5_000, 1, 2, 3]).unwrap(),
            batch_living: rng.pick(&[1_000, 1, 2]).unwrap(),
            monitor_limit_per_node: rng.pick(&[1_000, 3]).unwrap(),
            ..Policy::default()
        };
        let network = Network::new(setup.dogs + setup.nodes + 1, setup.dogs, &mut rng);
        let weather = Weather::new(&mut rng);
        let mut world = Self {
            now: SEC,
            variant,
            policy: Variant::policy(variant, policy),
            database: Database::new(setup.nodes),
            server: Server::default(),
            ledger: Ledger::new(setup.nodes),
            network,
            dogs: Vec::new(),
            nodes: Vec::new(),
            weather,
            phase: Phase::Chaos,
            snapshot: None,
            unowned_since: Vec::new(),
            counts: Counts::default(),
            violation: None,
            is_tracing,
            queue: BinaryHeap::new(),
            scheduled: 0,
            rng,
            setup,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        for _ in 0..self.rng.between(3, 12) {
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

    pub(crate) fn add_monitor(&mut self, home: Option<usize>) {
        let assignment =
            home.map(|home| Assignment { home: Some(home), effective: Some(home), ..Assignment::default() });
        self.database.monitors.push(Monitor {
            is_push: self.rng.per_mille(150),
            interval: self.rng.between(1, 5) * SEC,
            is_active: true,
            is_deleted: false,
            assignment,
            due_since: self.now,
            last_beat_at: 0,
        });
        self.ledger.add_monitor(home);
    }

    pub(crate) fn start_dog(&mut self, id: usize) {
        let incarnation = Incarnation(self.rng.draw() | 2);
        let ahead = self.rng.below(1_000 * SEC);
        let identity = Identity {
            watchdog: WatchdogId::from(format!("w{}", id + 1)),
            incarnation,
            zone: zone(id % self.setup.zones),
            canaries: if self.setup.has_canaries { vec!["tcp://1.1.1.1:443".to_owned()] } else { Vec::new() },
        };
        let core = Watchdog::new(identity, self.policy.clone(), local(self.now, ahead), self.rng.draw());
        self.trace(&("start", "dog", self.dogs.len(), "of", id, incarnation));
        self.dogs.push(Dog {
            id,
            incarnation,
            core,
            ahead,
            life: Life::Running,
            inbox: Vec::new(),
            timer_at: Time::MAX,
            desk: Line::default(),
            chair: Line::default(),
            is_stopping: false,
            born_at: self.now,
            in_use_since: None,
            tallies: vec![OwnTally::default(); self.setup.nodes],
            failed_at: self.now,
            written_at: 0,
            steady_since: self.now,
            spins: 0,
            has_read: false,
        });
        self.perform_all(self.dogs.len() - 1);
    }

    pub(crate) fn start_node(&mut self, id: usize) {
        let incarnation = Incarnation(self.rng.draw() | 2);
        let ahead = self.rng.below(1_000 * SEC);
        let tenure = Tenure::new(self.policy.clone(), incarnation, local(self.now, ahead));
        self.trace(&("start", "node", self.nodes.len(), "of", id, incarnation));
        self.nodes.push(Node::new(id, incarnation, tenure, ahead));
        self.perform_node(self.nodes.len() - 1);
        self.schedule(self.now + 5 * SEC, Event::Slice(self.nodes.len() - 1));
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
            Event::Farewell(dog) => self.end_process(Who::Dog(dog), true),
            Event::Chaos => self.act(),
            Event::Heal => self.heal(),
            Event::Check => self.check(),
            Event::DatabaseUp => self.server.is_down = false,
            Event::Snapshot => self.take_snapshot(),
            Event::LoseTail => self.lose_tail(),
        }
    }

    fn ring(&mut self, who: Who) {
        let (life, timer_at) = match who {
            Who::Dog(dog) => (self.dogs[dog].life, self.dogs[dog].timer_at),
            Who::Node(node) => (self.nodes[node].life, self.nodes[node].timer_at),
        };
        if life != Life::Running || timer_at > self.now {
            return;
        }
        self.tick(who);
    }

    fn tick(&mut self, who: Who) {
        match who {
            Who::Dog(dog) => {
                self.dogs[dog].timer_at = Time::MAX;
                self.wake_dog(dog, komainu_watchdogs::io::Input::Tick);
            }
            Who::Node(node) => {
                self.nodes[node].timer_at = Time::MAX;
                self.wake_node(node, tenure::Input::Tick);
            }
        }
    }

    /// The core wants to be woken then, and is woken by nothing else but what it is told.
    pub(crate) fn set_timer(&mut self, who: Who, wakes_at: Mono) {
        let now = self.now;
        let (ahead, timer_at, spins) = match who {
            Who::Dog(dog) => {
                let process = &mut self.dogs[dog];
                (process.ahead, &mut process.timer_at, &mut process.spins)
            }
            Who::Node(node) => {
                let process = &mut self.nodes[node];
                (process.ahead, &mut process.timer_at, &mut process.spins)
            }
        };
        let micros = wakes_at.as_micros();
        if micros == u64::MAX {
            *timer_at = Time::MAX;
            return;
        }
        let at = micros.saturating_sub(ahead);
        *spins = if at <= now { *spins + 1 } else { 0 };
        let spins = *spins;
        if at != *timer_at {
            *timer_at = at;
            self.schedule(at.max(now), Event::Timer(who));
        }
        if spins > MOST_SPINS {
            self.judge(Err(format!("poll_timeout: {who:?} asks to be woken again and again without a pause")));
        }
    }

    pub(crate) fn execute(&mut self, request: &Request) -> Answer {
        match (request.who, &request.order) {
            (Who::Dog(dog), _) => self.execute_for_dog(dog, request),
            (Who::Node(node), Order::ReadAssignments { .. } | _) => self.execute_for_node(node, request),
        }
    }

    pub(crate) fn tell(&mut self, who: Who, message: Message) {
        match self.life(who) {
            Life::Dead => {}
            Life::Paused => match who {
                Who::Dog(dog) => self.dogs[dog].inbox.push(message),
                Who::Node(node) => self.nodes[node].inbox.push(message),
            },
            Life::Running => match who {
                Who::Dog(dog) => self.tell_dog(dog, message),
                Who::Node(node) => self.tell_node(node, message),
            },
        }
    }

    pub(crate) fn life(&self, who: Who) -> Life {
        match who {
            Who::Dog(dog) => self.dogs[dog].life,
            Who::Node(node) => self.nodes[node].life,
        }
    }

    pub(crate) fn is_running(&self, who: Who) -> bool {
        self.life(who) == Life::Running
    }

    pub(crate) fn is_alive(&self, who: Who) -> bool {
        self.life(who) != Life::Dead
    }

    /// A living process that fits, a running one before a paused one.
    pub(crate) fn living(&self, fits: impl Fn(&Self, Who) -> bool) -> Option<Who> {
        let everybody = (0..self.dogs.len()).map(Who::Dog).chain((0..self.nodes.len()).map(Who::Node));
        let mut living = everybody.filter(|who| self.is_alive(*who) && fits(self, *who));
        let first = living.next()?;
        if self.is_running(first) { Some(first) } else { living.find(|who| self.is_running(*who)).or(Some(first)) }
    }

    pub(crate) fn local(&self, who: Who) -> Mono {
        match who {
            Who::Dog(dog) => local(self.now, self.dogs[dog].ahead),
            Who::Node(node) => local(self.now, self.nodes[node].ahead),
        }
    }

    /// The process continues after a pause; what reached it meanwhile is told in order, its own timer first or last.
    fn resume(&mut self, who: Who) {
        if self.life(who) != Life::Paused {
            return;
        }
        self.trace(&("resume", who));
        let inbox = match who {
            Who::Dog(dog) => {
                self.dogs[dog].life = Life::Running;
                // It has seen nothing for as long: its watches begin anew.
                self.dogs[dog].failed_at = self.now;
                std::mem::take(&mut self.dogs[dog].inbox)
            }
            Who::Node(node) => {
                self.nodes[node].life = Life::Running;
                self.nodes[node].runs_at = self.now;
                std::mem::take(&mut self.nodes[node].inbox)
            }
        };
        let is_timer_first = self.rng.per_mille(500);
        if is_timer_first {
            self.wake_up(who);
        }
        let mut inbox = VecDeque::from(inbox);
        while let Some(message) = inbox.pop_front() {
            self.tell(who, message);
        }
        if !is_timer_first {
            self.wake_up(who);
        }
    }

    fn wake_up(&mut self, who: Who) {
        if !self.is_running(who) {
            return;
        }
        if let Who::Node(node) = who {
            self.run_due(node);
        }
        self.tick(who);
    }

    /// The process is gone; what it sent is on its way all the same.
    pub(crate) fn end_process(&mut self, who: Who, is_noticed: bool) {
        self.trace(&("end", who));
        match who {
            Who::Dog(dog) => {
                let process = &mut self.dogs[dog];
                process.life = Life::Dead;
                process.inbox.clear();
                let connection = process.chair.connection;
                let wait = if is_noticed { 10 * MS } else { self.rng.below(10 * SEC) };
                self.schedule(self.now + wait, Event::FreeLock { dog, connection });
            }
            Who::Node(node) => {
                let process = &mut self.nodes[node];
                process.life = Life::Dead;
                process.inbox.clear();
                process.jobs.clear();
            }
        }
    }

    fn close_idle(&mut self, dog: usize, connection: u32) {
        let process = &mut self.dogs[dog];
        if process.life == Life::Paused && process.chair.connection == connection {
            process.chair.is_closed_by_server = true;
            if self.server.lock == Some((dog, connection)) {
                self.server.lock = None;
            }
        }
    }

    fn take_snapshot(&mut self) {
        if self.phase == Phase::Chaos {
            self.snapshot = Some(Box::new((self.database.clone(), self.ledger.clone())));
        }
    }

    fn lose_tail(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        let (mut database, mut ledger) = *snapshot;
        // Keys are not used again.
        for lost in &self.database.monitors[database.monitors.len()..] {
            database.monitors.push(Monitor { is_deleted: true, assignment: None, ..lost.clone() });
            ledger.add_monitor(None);
        }
        let before = Rc::new(std::mem::replace(&mut self.ledger, ledger));
        self.database = database;
        self.server.life += 1;
        self.server.lock = None;
        self.counts.tail_losses += 1;
        for node in &mut self.nodes {
            node.before_loss.get_or_insert_with(|| BeforeLoss::new(Rc::clone(&before)));
        }
        self.trace(&("tail lost", self.database.cluster.stamp));
        self.server.is_down = true;
        let until = self.now + self.rng.between(20 * MS, 6 * SEC);
        self.schedule(until, Event::DatabaseUp);
    }

    /// Keeps the first violation.
    pub(crate) fn judge(&mut self, found: Result<(), String>) {
        if let (Err(what), None) = (found, &self.violation) {
            self.violation = Some(Violation { at: self.now, what });
        }
    }
}
