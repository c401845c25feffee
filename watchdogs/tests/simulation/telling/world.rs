//! A small world in which people are told: targets that fail, nodes that see it, watchdogs that notice and deliver,
//! programs that push heartbeats, channels that fail in every way, and a database that goes away and whose clock jumps.
//!
//! Incidents and outbox are a model of the store's tables; what decides is the product's own: `downtime`, `heartbeat`,
//! `outbox`, `queue::plan`, `attempt::next`, `routing`, `reminder`, `blackout`, `telling`. Time goes in quarters of a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::downtime::State;
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::routing::{Route, Routing};
use komainu_watchdogs::telling;
use komainu_watchdogs::time::Wall;

use super::attendant::Attendant;
use super::blind::Lasting;
use super::courier::{Courier, Mood};
use super::dark::Dark;
use super::dependencies::Dependency;
use super::eyes::Eye;
use super::hours;
use super::jobs::{Intake, Job};
use super::judge::{Arrival, Variant};
use super::outbox::{Channel, Outbox, channel_name};
use super::silences::Silence;
use crate::simulation::counts::TellingCounts;
use crate::simulation::prng::Prng;

/// Milliseconds of the world's own clock.
pub(crate) type Ms = u64;

pub(super) const TICK: Ms = 250;

/// After the last fault: long enough for a flapping incident to be believed over, and for the longest pause.
const CALM: Ms = 1_300_000;

/// A lost node's monitors run elsewhere after this.
const FAILOVER: Ms = 15_000;

#[derive(Debug)]
pub(crate) struct Dog {
    pub(crate) process: u64,
    pub(super) back_at: Ms,
    /// The reads of its rounds fail until then.
    pub(super) blind_until: Ms,
    pub(crate) has_egress: bool,
    pub(super) look_at: Ms,
    pub(crate) couriers: Vec<Courier>,
    pub(crate) dark: Dark,
    /// Whether people can be told, as it sees it.
    pub(super) voice: Option<telling::Telling>,
    /// The judge's: for how long it has been running while a critical waited that reached nobody.
    pub(super) untold_for: BTreeMap<usize, Ms>,
}

impl Dog {
    fn new(number: usize, channels: usize) -> Self {
        Self {
            process: u64::try_from(number).unwrap() + 1,
            back_at: 0,
            blind_until: 0,
            has_egress: true,
            look_at: 0,
            couriers: vec![Courier::default(); channels],
            dark: Dark::new(),
            voice: None,
            untold_for: BTreeMap::new(),
        }
    }

    pub(crate) fn is_running(&self, now: Ms) -> bool {
        now >= self.back_at
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(super) lost_at: Option<Ms>,
    pub(super) back_at: Ms,
    /// What its wall clock was set ahead by, what it gains in a million, and since when.
    clock: (i64, i64, Ms),
}

impl Node {
    pub(crate) fn is_running(&self) -> bool {
        self.lost_at.is_none()
    }

    /// Whoever notices that it is wrong sets it right.
    pub(super) fn set_clock(&mut self, now: Ms, ahead: i64, drift: i64) {
        let is_right = self.clock.0 == 0 && self.clock.1 == 0;
        self.clock = if is_right { (ahead, drift, now) } else { (0, 0, now) };
    }

    fn ahead(&self, now: Ms) -> i64 {
        self.clock.0 + i64::try_from(now - self.clock.2).unwrap() * self.clock.1 / 1_000_000
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Monitor {
    pub(crate) node: usize,
    pub(crate) down_since: Option<Ms>,
    next_run_at: Ms,
    /// Important beats in the order of storing: what, and the node's time.
    pub(super) beats: Vec<(State, Wall)>,
    pub(crate) was_up_for_owner: bool,
    pub(crate) untold_since: [Option<Ms>; 2],
}

#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) now: Ms,
    pub(crate) rng: Prng,
    pub(crate) variant: Option<Variant>,
    pub(crate) outbox: Outbox,
    pub(crate) dogs: Vec<Dog>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) monitors: Vec<Monitor>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) intake: Intake,
    pub(crate) eyes: Vec<Eye>,
    /// Whether a channel believes that a check is down.
    pub(crate) check_beliefs: BTreeMap<(usize, String), bool>,
    /// The same, told by channels that it was not meant for.
    pub(super) unsure_checks: BTreeSet<(usize, String)>,
    /// The judge's: the database was there a moment ago.
    pub(super) lasting_checks: bool,
    pub(super) silences: Vec<Silence>,
    /// Somebody who takes care of what opens, in some worlds.
    pub(super) attendant: Option<Attendant>,
    pub(crate) moods: Vec<Mood>,
    /// Nobody uses a channel until then, because of its own failures.
    pub(crate) paused_until: Vec<Ms>,
    /// One channel refuses whatever tells of this.
    pub(crate) poison: Option<(usize, String)>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) inbox: BTreeMap<(usize, usize), Vec<(bool, bool)>>,
    pub(crate) beliefs: BTreeMap<(usize, usize), (usize, Event)>,
    /// Channels that were told that the database is away, which no table knows of yet.
    pub(crate) dark_beliefs: BTreeSet<(usize, String)>,
    /// What was told by channels that it was not meant for.
    pub(crate) unsure: BTreeSet<(usize, usize)>,
    /// The same, of outages.
    pub(super) unsure_dark: BTreeSet<(usize, String)>,
    /// When it was last said in the tables that the outage lasts.
    pub(super) outage_said_at: Ms,
    pub(super) lasting: Lasting,
    pub(crate) is_database_up: bool,
    pub(super) database_back_at: Ms,
    pub(super) database_up_since: Ms,
    pub(super) offset: i64,
    chaos_until: Ms,
    fault_at: Ms,
    fault_pause: Ms,
    is_tracing: bool,
    pub(crate) counts: TellingCounts,
    pub(crate) violation: Option<String>,
}

pub(crate) fn monitor_key(monitor: usize) -> String {
    format!("monitor/{}", monitor + 1)
}

pub(crate) fn node_name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// One run from its beginning to its end, or to the first violation.
pub(crate) fn run(seed: u64, variant: Option<Variant>) -> (TellingCounts, Option<String>) {
    let mut world = Telling::new(seed, variant);
    world.run();
    (world.counts, world.violation)
}

/// A run told in full.
pub(crate) fn tell(seed: u64) {
    let mut world = Telling::new(seed, None);
    world.is_tracing = true;
    world.run();
    for (at, row) in world.outbox.deliveries.iter().enumerate() {
        let incident = &world.outbox.incidents[row.incident];
        println!("{at} {} {:?} {row:?}", incident.key, world.outbox.events[row.event]);
    }
    println!("{:?} {:?}", world.outbox.incidents, world.violation);
}

/// Everything is told to all, or to the first, some of it at certain hours, whose fallback is the last.
fn draw_outbox((rng, seed): (&mut Prng, u64), channels: usize, variant: Option<Variant>) -> Outbox {
    let names: Vec<_> = (0..channels).map(channel_name).collect();
    let has_route = rng.per_mille(500);
    let route = Route { channels: names[..1].to_vec(), group_wait: Duration::from_secs(5), ..Route::default() };
    let routes = if has_route { hours::draw(route, seed) } else { Vec::new() };
    let fallbacks = (0..channels).map(|channel| (has_route && channel == 0).then_some(channels - 1)).collect();
    Outbox {
        channels: vec![Channel::default(); channels],
        routing: Routing { channels: names, routes },
        fallbacks,
        variant,
        ..Outbox::default()
    }
}

impl Telling {
    fn run(&mut self) {
        let world = self;
        let ends_at = world.chaos_until + CALM;
        while world.now < ends_at && world.violation.is_none() {
            world.tick();
        }
        let found = world.invariant_every_incident_ends();
        world.judge(found);
        let found = world.invariant_news_of_checks_end();
        world.judge(found);
        let found = world.invariant_no_false_alarm_of_telling();
        world.judge(found);
    }

    fn new(seed: u64, variant: Option<Variant>) -> Self {
        let mut rng = Prng::new(seed ^ 0x7465_6c6c);
        let channels = rng.pick(&[2, 3, 3]).unwrap();
        let outbox = draw_outbox((&mut rng, seed), channels, variant);
        let dogs = rng.pick(&[1, 3, 3]).unwrap();
        let nodes = rng.pick(&[2, 3]).unwrap();
        let monitors: Vec<_> = (0..rng.between(1, 8)).map(|_| Monitor::default()).collect();
        let mut world = Self {
            now: 0,
            variant,
            outbox: Outbox { dependencies: Dependency::draw(seed, monitors.len()), ..outbox },
            dogs: (0..dogs).map(|number| Dog::new(number, channels)).collect(),
            nodes: vec![Node::default(); nodes],
            attendant: Attendant::draw(seed),
            silences: Silence::draw(seed, monitors.len()).into_iter().collect(),
            monitors,
            moods: vec![Mood::Works; channels],
            paused_until: vec![0; channels],
            poison: None,
            arrivals: Vec::new(),
            inbox: BTreeMap::new(),
            beliefs: BTreeMap::new(),
            dark_beliefs: BTreeSet::new(),
            unsure: BTreeSet::new(),
            unsure_dark: BTreeSet::new(),
            outage_said_at: 0,
            lasting: Lasting::default(),
            jobs: Vec::new(),
            intake: Intake::default(),
            eyes: Vec::new(),
            check_beliefs: BTreeMap::new(),
            unsure_checks: BTreeSet::new(),
            lasting_checks: true,
            is_database_up: true,
            database_back_at: 0,
            database_up_since: 0,
            offset: 1_800_000_000_000,
            chaos_until: rng.between(200, 900) * 1_000,
            fault_at: 10_000,
            fault_pause: rng.pick(&[5_000, 15_000, 40_000]).unwrap(),
            is_tracing: false,
            counts: TellingCounts::default(),
            violation: None,
            rng,
        };
        for monitor in 0..world.monitors.len() {
            world.monitors[monitor].node = world.rng.index(world.nodes.len());
        }
        for _ in 0..world.rng.between(1, 3) {
            let job = Job::draw(&mut world.rng);
            world.jobs.push(job);
        }
        world.eyes = vec![Eye::default(); world.rng.pick(&[1, 2, 3]).unwrap()];
        world
    }

    pub(crate) fn wall(&self) -> Wall {
        Wall(i64::try_from(self.now).unwrap() + self.offset)
    }

    pub(crate) fn is_broken(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    pub(crate) fn is_first_choice(&self, channel: usize) -> bool {
        self.outbox.routing.routes.first().is_none_or(|route| route.channels.contains(&channel_name(channel)))
    }

    pub(crate) fn judge(&mut self, found: Result<(), String>) {
        if let (Err(what), None) = (found, &self.violation) {
            self.violation = Some(format!("at {} s: {what}", self.now / 1_000));
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.counts.ticks += 1;
        self.note_database();
        self.note_silences();
        self.note_dependencies();
        self.acknowledge_some();
        if self.now >= self.fault_at && self.now < self.chaos_until {
            self.fault_at = self.now + self.rng.between(self.fault_pause / 5, 2 * self.fault_pause);
            self.go_wrong();
        }
        if self.now >= self.chaos_until && self.now < self.chaos_until + TICK {
            self.heal();
        }
        // Before their answers: nobody enters what nobody has read.
        self.arrive();
        for node in 0..self.nodes.len() {
            self.watch_node(node);
        }
        for monitor in 0..self.monitors.len() {
            self.run_monitor(monitor);
        }
        for job in 0..self.jobs.len() {
            self.run_job(job);
        }
        for dog in 0..self.dogs.len() {
            if self.dogs[dog].is_running(self.now) {
                self.step_dark(dog);
                self.look(dog);
                for channel in 0..self.moods.len() {
                    self.step_courier(dog, channel);
                }
            }
        }
        let found = self.invariant_no_silence();
        self.judge(found);
        let found = self.invariant_no_silence_of_jobs();
        self.judge(found);
        let found = self.invariant_no_false_calm_of_telling();
        self.judge(found);
        let found = self.invariant_no_silence_of_checks();
        self.judge(found);
        let found = self.invariant_no_silence_in_the_dark();
        self.judge(found);
    }

    fn note_database(&mut self) {
        let was_up = std::mem::replace(&mut self.is_database_up, self.now >= self.database_back_at);
        if self.is_database_up && !was_up {
            self.database_up_since = self.now;
        }
    }

    fn arrive(&mut self) {
        let (here, later) = std::mem::take(&mut self.arrivals).into_iter().partition(|one| one.at <= self.now);
        self.arrivals = later;
        let here: Vec<Arrival> = here;
        for arrival in here {
            self.trace(&arrival);
            self.hear(&arrival);
            let found = self.invariant_told_once_or_marked(&arrival);
            self.judge(found);
            let found = self.invariant_silences_hold(&arrival);
            self.judge(found);
            let found = self.invariant_dependencies_hold(&arrival);
            self.judge(found);
        }
    }

    pub(crate) fn trace(&self, what: &impl std::fmt::Debug) {
        if self.is_tracing {
            println!("{:>9} {what:?}", self.now);
        }
    }

    /// A node that was lost comes back, or its monitors move.
    fn watch_node(&mut self, node: usize) {
        let Some(lost_at) = self.nodes[node].lost_at else { return };
        if self.now >= self.nodes[node].back_at {
            self.nodes[node].lost_at = None;
        } else if self.now >= lost_at + FAILOVER && self.anybody_judges() {
            let takers: Vec<_> = (0..self.nodes.len()).filter(|other| self.nodes[*other].is_running()).collect();
            let Some(taker) = self.rng.pick(&takers) else { return };
            for monitor in self.monitors.iter_mut().filter(|monitor| monitor.node == node) {
                (monitor.node, monitor.was_up_for_owner) = (taker, false);
            }
        }
    }

    /// A run, and its beat if it is a change: what counts as one is judged against what was stored last.
    fn run_monitor(&mut self, monitor: usize) {
        let is_due = self.now >= self.monitors[monitor].next_run_at;
        let node = self.monitors[monitor].node;
        if !is_due || !self.nodes[node].is_running() || !self.is_database_up {
            return;
        }
        let pause = self.rng.between(2_000, 4_000);
        let row = &mut self.monitors[monitor];
        row.next_run_at = self.now + pause;
        let state = if row.down_since.is_some() { State::Down } else { State::Up };
        let time = Wall(i64::try_from(self.now).unwrap() + 1_800_000_000_000 + self.nodes[node].ahead(self.now));
        row.was_up_for_owner = state == State::Up;
        if row.beats.last().is_none_or(|(last, _)| *last != state) {
            row.beats.push((state, time));
            self.counts.important_beats += 1;
        }
    }
}
