//! A small world in which people are told: targets that fail, nodes that see it, watchdogs that notice and deliver,
//! channels that fail in every way, and a database whose clock jumps.
//!
//! Incidents and outbox are a model of the store's tables; what decides is the product's own: [`downtime`],
//! `outbox`, `queue::plan`, `routing`, `reminder`. Time goes in quarters of a second.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::downtime::{self, Facts, FoundDown, State, Verdict};
use komainu_watchdogs::ids::NodeId;
use komainu_watchdogs::io::{Alarm, Severity};
use komainu_watchdogs::outbox::Event;
use komainu_watchdogs::routing::{Matcher, Route, Routing};
use komainu_watchdogs::time::Wall;

use super::courier::{Courier, Mood};
use super::judge::{Arrival, Variant};
use super::outbox::{Channel, Outbox, channel_name};
use crate::simulation::counts::TellingCounts;
use crate::simulation::prng::Prng;

/// Milliseconds of the world's own clock.
pub(crate) type Ms = u64;

const TICK: Ms = 250;

/// After the last fault: long enough for a flapping incident to be believed over, and for the longest pause.
const CALM: Ms = 1_300_000;

/// A lost node's monitors run elsewhere after this.
const FAILOVER: Ms = 15_000;

#[derive(Debug)]
pub(crate) struct Dog {
    pub(crate) process: u64,
    back_at: Ms,
    pub(crate) has_egress: bool,
    look_at: Ms,
    pub(crate) couriers: Vec<Courier>,
}

impl Dog {
    pub(crate) fn is_running(&self, now: Ms) -> bool {
        now >= self.back_at
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    lost_at: Option<Ms>,
    back_at: Ms,
    /// What its wall clock is ahead.
    clock: i64,
}

impl Node {
    pub(crate) fn is_running(&self) -> bool {
        self.lost_at.is_none()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(crate) node: usize,
    pub(crate) down_since: Option<Ms>,
    next_run_at: Ms,
    /// Important beats in the order of storing: what, and the node's time.
    beats: Vec<(State, Wall)>,
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
    pub(crate) moods: Vec<Mood>,
    /// Nobody uses a channel until then, because of its own failures.
    pub(crate) paused_until: Vec<Ms>,
    /// One channel refuses whatever tells of this.
    pub(crate) poison: Option<(usize, String)>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) inbox: BTreeMap<(usize, usize), Vec<bool>>,
    pub(crate) beliefs: BTreeMap<(usize, usize), (usize, Event)>,
    pub(crate) is_database_up: bool,
    database_back_at: Ms,
    offset: i64,
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

/// Everything is told to all, or to the first, whose fallback is the last.
fn draw_outbox(rng: &mut Prng, channels: usize, variant: Option<Variant>) -> Outbox {
    let names: Vec<_> = (0..channels).map(channel_name).collect();
    let has_route = rng.per_mille(500);
    let route = Route {
        matcher: Matcher::default(),
        channels: names[..1].to_vec(),
        group_wait: Duration::from_secs(5),
        repeat: None,
    };
    let routes = if has_route { vec![route] } else { Vec::new() };
    let fallbacks = (0..channels).map(|channel| (has_route && channel == 0).then_some(channels - 1)).collect();
    Outbox {
        channels: vec![Channel::default(); channels],
        routing: Routing { channels: names, routes },
        fallbacks,
        copies_overtaken: variant == Some(Variant::OvertakenCopied),
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
    }

    fn new(seed: u64, variant: Option<Variant>) -> Self {
        let mut rng = Prng::new(seed ^ 0x7465_6c6c);
        let channels = rng.pick(&[2, 3, 3]).unwrap();
        let outbox = draw_outbox(&mut rng, channels, variant);
        let dogs = rng.pick(&[1, 3, 3]).unwrap();
        let nodes = rng.pick(&[2, 3]).unwrap();
        let monitors = (0..rng.between(1, 8)).map(|_| Monitor {
            node: 0,
            down_since: None,
            next_run_at: 0,
            beats: Vec::new(),
            was_up_for_owner: false,
            untold_since: [None, None],
        });
        let monitors: Vec<_> = monitors.collect();
        let dog = |number: usize| Dog {
            process: u64::try_from(number).unwrap() + 1,
            back_at: 0,
            has_egress: true,
            look_at: 0,
            couriers: vec![Courier::default(); channels],
        };
        let mut world = Self {
            now: 0,
            variant,
            outbox,
            dogs: (0..dogs).map(dog).collect(),
            nodes: vec![Node::default(); nodes],
            monitors,
            moods: vec![Mood::Works; channels],
            paused_until: vec![0; channels],
            poison: None,
            arrivals: Vec::new(),
            inbox: BTreeMap::new(),
            beliefs: BTreeMap::new(),
            is_database_up: true,
            database_back_at: 0,
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
        self.is_database_up = self.now >= self.database_back_at;
        if self.now >= self.fault_at && self.now < self.chaos_until {
            self.fault_at = self.now + self.rng.between(self.fault_pause / 5, 2 * self.fault_pause);
            self.go_wrong();
        }
        if self.now >= self.chaos_until && self.now < self.chaos_until + TICK {
            self.heal();
        }
        for node in 0..self.nodes.len() {
            self.watch_node(node);
        }
        for monitor in 0..self.monitors.len() {
            self.run_monitor(monitor);
        }
        for dog in 0..self.dogs.len() {
            if self.dogs[dog].is_running(self.now) {
                self.look(dog);
                for channel in 0..self.moods.len() {
                    self.step_courier(dog, channel);
                }
            }
        }
        self.arrive();
        let found = self.invariant_no_silence();
        self.judge(found);
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
        }
    }

    pub(crate) fn trace(&self, what: &impl std::fmt::Debug) {
        if self.is_tracing {
            println!("{:>9} {what:?}", self.now);
        }
    }

    fn go_wrong(&mut self) {
        let (monitor, node) = (self.rng.index(self.monitors.len()), self.rng.index(self.nodes.len()));
        let (dog, channel) = (self.rng.index(self.dogs.len()), self.rng.index(self.moods.len()));
        let fault = self.rng.below(14);
        self.trace(&("fault", fault, monitor, node, dog, channel, &self.moods));
        match fault {
            0..=3 => {
                let row = &mut self.monitors[monitor];
                row.down_since = if row.down_since.is_some() { None } else { Some(self.now) };
                self.counts.target_changes += 1;
            }
            4 => self.lose_node(node),
            5 => {
                self.counts.node_clock_jumps += 1;
                let jump = self.draw_jump();
                self.nodes[node].clock = if self.nodes[node].clock == 0 { jump } else { 0 };
            }
            6 => {
                let jump = self.draw_jump();
                self.jump_database_clock(jump);
            }
            7 => {
                self.counts.outages += 1;
                self.database_back_at = self.now + self.rng.between(1_000, 40_000);
            }
            8 | 9 => self.hit_dog(dog),
            10 => {
                self.counts.egress_losses += 1;
                self.dogs[dog].has_egress = !self.dogs[dog].has_egress;
            }
            11 if self.rng.per_mille(300) => {
                self.poison = if self.poison.is_some() { None } else { Some((channel, monitor_key(monitor))) };
            }
            _ => {
                let all = [
                    Mood::Works,
                    Mood::Works,
                    Mood::Works,
                    Mood::Slow,
                    Mood::Permanent,
                    Mood::Retryable,
                    Mood::Unreached,
                    Mood::Unanswered,
                    Mood::Silent,
                ];
                self.moods[channel] = self.rng.pick(&all).unwrap();
            }
        }
    }

    /// What was stored before a step back may last for as long as its own rule allows, from then on.
    fn jump_database_clock(&mut self, jump: i64) {
        self.counts.clock_jumps += 1;
        self.offset += jump;
        let lasts = u64::try_from(-jump).unwrap_or(0).min(300_000);
        for until in &mut self.paused_until {
            *until = (*until).max(self.now + lasts);
        }
        for monitor in &mut self.monitors {
            monitor.untold_since = [None, None];
        }
    }

    fn draw_jump(&mut self) -> i64 {
        let most = self.rng.pick(&[10_000, 3_600_000, 86_400_000]).unwrap();
        let jump = i64::try_from(self.rng.between(500, most)).unwrap();
        if self.rng.per_mille(500) { jump } else { -jump }
    }

    /// Killed and started anew, or stopped for a while.
    fn hit_dog(&mut self, dog: usize) {
        let is_kill = self.rng.per_mille(600);
        self.dogs[dog].back_at = self.now + self.rng.between(1_000, 60_000);
        if is_kill {
            self.counts.crashes += 1;
            self.dogs[dog].process += 100;
            self.dogs[dog].couriers.iter_mut().for_each(Courier::reset);
        } else {
            self.counts.pauses += 1;
        }
    }

    fn lose_node(&mut self, node: usize) {
        let others = (0..self.nodes.len()).any(|other| other != node && self.nodes[other].is_running());
        if others && self.nodes[node].is_running() {
            self.counts.node_losses += 1;
            self.nodes[node].lost_at = Some(self.now);
            self.nodes[node].back_at = self.now + self.rng.between(5_000, 200_000);
        }
    }

    fn heal(&mut self) {
        self.moods.fill(Mood::Works);
        self.poison = None;
        self.database_back_at = 0;
        for dog in &mut self.dogs {
            (dog.has_egress, dog.back_at) = (true, self.now);
        }
        for node in &mut self.nodes {
            node.back_at = node.back_at.min(self.now + 5_000);
        }
        for monitor in &mut self.monitors {
            monitor.down_since = None;
        }
    }

    /// A node that was lost comes back, or its monitors move.
    fn watch_node(&mut self, node: usize) {
        let Some(lost_at) = self.nodes[node].lost_at else { return };
        if self.now >= self.nodes[node].back_at {
            self.nodes[node].lost_at = None;
        } else if self.now >= lost_at + FAILOVER && self.is_database_up {
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
        let time = Wall(i64::try_from(self.now).unwrap() + 1_800_000_000_000 + self.nodes[node].clock);
        row.was_up_for_owner = state == State::Up;
        if row.beats.last().is_none_or(|(last, _)| *last != state) {
            row.beats.push((state, time));
            self.counts.important_beats += 1;
        }
    }

    /// What a watchdog looks at each second.
    fn look(&mut self, dog: usize) {
        if self.now < self.dogs[dog].look_at || !self.is_database_up {
            return;
        }
        self.dogs[dog].look_at = self.now + 1_000;
        let now = self.wall();
        if !self.is_broken(Variant::ClocksBelieved) {
            self.outbox.put_right(now);
        }
        for node in 0..self.nodes.len() {
            self.look_at_node(node);
        }
        for monitor in 0..self.monitors.len() {
            self.look_at_monitor(monitor);
        }
        if !self.is_broken(Variant::NoRescue) {
            self.counts.rescues += self.outbox.rescue(now);
        }
        self.counts.reminders += self.outbox.remind(now, Duration::from_secs(240));
    }

    fn look_at_node(&mut self, node: usize) {
        let (key, now) = (format!("node/{}", node_name(node)), self.wall());
        let open = self.outbox.is_open(&key);
        match (self.nodes[node].lost_at, open) {
            (Some(lost_at), _) if self.now >= lost_at + 5_000 => {
                // First it is only not reached; then its lease is over.
                let is_over = self.now >= lost_at + 12_000;
                let severity = if is_over { Severity::Critical } else { Severity::Warning };
                self.raise(&key, severity, None);
            }
            (None, Some(incident)) => self.outbox.resolve(now, incident),
            (Some(_), _) | (None, None) => {}
        }
    }

    fn look_at_monitor(&mut self, monitor: usize) {
        let (row, key) = (&self.monitors[monitor], monitor_key(monitor));
        let latest = if self.is_broken(Variant::ByWallClock) {
            row.beats.iter().max_by_key(|(_, time)| *time)
        } else {
            row.beats.last()
        };
        let facts = Facts {
            is_active: true,
            is_api_made: true,
            by_native: FoundDown::Noted,
            state: latest.map(|(state, _)| *state),
        };
        let node = NodeId::from(node_name(row.node));
        let open = self.outbox.is_open(&key);
        if let Some(incident) = open.filter(|_| !self.is_broken(Variant::NodeOfOpening)) {
            // What explains it is judged by who runs it now.
            self.outbox.incidents[incident].node = Some(node.clone());
        }
        match (downtime::decide(Some(&facts), open.is_some()), open) {
            (Verdict::Open, _) => {
                let found = self.invariant_no_false_alarm(monitor);
                self.judge(found);
                self.raise(&key, Severity::Critical, Some(node));
            }
            (Verdict::Resolve(_), Some(incident)) => {
                let now = self.wall();
                self.outbox.resolve(now, incident);
            }
            (Verdict::Leave | Verdict::Resolve(_), _) => {}
        }
    }

    fn raise(&mut self, key: &str, severity: Severity, node: Option<NodeId>) {
        let alarm = Alarm { key: key.to_owned(), severity, summary: String::new(), votes: (1, 1) };
        let now = self.wall();
        self.counts.incidents += u64::from(self.outbox.open(now, &alarm, node));
    }
}
