//! A world in which several watchdogs look at a few targets, ask each other over a bad network, and share a database that
//! goes away.
//!
//! The watchdogs' machines are the product's own; so is the health of their canaries. Everything around them is here.

use std::collections::BTreeMap;

use komainu_watchdogs::check::{
    Answer, CheckName, Definition, Failure, Heard, Input, Look, Members, Outcome, Output, Policy, State, Transition,
    Trouble,
};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::io::ProbeOutcome;
use komainu_watchdogs::policy::Policy as WatchdogPolicy;
use komainu_watchdogs::time::Mono;

use super::dog::{Dog, Store, definition, identity, name, wall};
use super::judge::{Judge, Variant};
use super::plan::{Fault, Manner, Plan, SECOND, Us, Weather, draw};
use crate::simulation::counts::CheckCounts;
use crate::simulation::prng::Prng;

/// Asks that are not answered by then are given up.
const PATIENCE: Us = 5 * SECOND;

/// When a connection that nobody answers is tried again, after its beginning.
const TRIES: [Us; 3] = [SECOND, 3 * SECOND, 7 * SECOND];

#[derive(Clone, Debug)]
enum Event {
    /// A process begins, or ends.
    Begin(usize),
    /// Rows are written and read.
    Round(usize),
    /// What peers have is fetched.
    Fetch(usize),
    LookTried(Sight),
    LookEnded(Sight, Outcome),
    CanaryEnded {
        dog: usize,
        process: u64,
        began_at: Us,
        is_round: bool,
    },
    Asked {
        from: usize,
        to: usize,
        message: Message,
    },
    Answered {
        to: usize,
        process: u64,
        sent_at: Us,
        heard: Heard,
    },
}

/// A look of one process.
#[derive(Clone, Debug)]
struct Sight {
    dog: usize,
    process: u64,
    check: usize,
    number: u64,
    began_at: Us,
}

/// A request of one peer to another, and when it was sent.
#[derive(Clone, Debug)]
struct Message {
    process: u64,
    sent_at: Us,
    said_after: Mono,
    /// What is to be looked at; `None`: what is there since this number is fetched.
    checks: Option<Vec<CheckName>>,
    after: u64,
}

pub(crate) struct World {
    pub(super) now: Us,
    pub(super) rng: Prng,
    pub(super) dogs: Vec<Dog>,
    pub(super) plan: Plan,
    pub(super) definitions: Vec<Definition>,
    pub(super) counts: CheckCounts,
    pub(super) violation: Option<String>,
    pub(super) variant: Option<Variant>,
    pub(super) judge: Judge,
    pub(super) store: Store,
    looks: BTreeMap<(usize, usize), (u64, Us, Look)>,
    events: BTreeMap<(Us, u64), Event>,
    serial: u64,
    loss: u64,
    tickets: BTreeMap<u64, (usize, Message)>,
    length: Us,
    is_told: bool,
}

/// What a world is like.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(super) zones: Vec<usize>,
    /// Interval and timeout of each check, in seconds.
    pub(super) checks: Vec<(Us, Us)>,
    pub(super) plan: Option<Plan>,
    pub(super) weather: Weather,
    pub(super) length: Us,
}

impl Setup {
    fn draw(rng: &mut Prng) -> Self {
        let dogs = [2, 3, 3, 3, 4, 5, 7][rng.index(7)];
        let zones = rng.between(1, 4);
        let intervals = [(5, 3), (20, 5), (20, 10), (60, 5), (60, 20)];
        let count = rng.between(1, 3);
        Self {
            zones: (0..dogs).map(|_| usize::try_from(rng.below(zones)).unwrap()).collect(),
            checks: (0..count).map(|_| intervals[rng.index(intervals.len())]).collect(),
            plan: None,
            weather: if rng.per_mille(200) { Weather::Fair } else { Weather::Rough },
            length: rng.between(400, 1_200) * SECOND,
        }
    }
}

pub(crate) fn run(seed: u64, variant: Option<Variant>) -> (CheckCounts, Option<String>) {
    let mut rng = Prng::new(seed);
    let setup = Setup::draw(&mut rng);
    let mut world = World::new(rng, &setup, variant);
    world.run();
    (world.counts, world.violation)
}

pub(crate) fn tell(seed: u64) {
    let mut rng = Prng::new(seed);
    let setup = Setup::draw(&mut rng);
    println!("{setup:?}");
    let mut world = World::new(rng, &setup, None);
    for span in &world.plan.spans {
        println!("{:>10} to {:>10}: {:?}", span.from / 1_000, span.until / 1_000, span.fault);
    }
    world.is_told = true;
    world.run();
    println!("{:?}", world.violation);
}

impl World {
    pub(crate) fn new(mut rng: Prng, setup: &Setup, variant: Option<Variant>) -> Self {
        let drawn = setup.plan.is_none();
        let (zones, count) = (&setup.zones, setup.checks.len());
        let plan = setup.plan.clone();
        let plan = plan.unwrap_or_else(|| draw(&mut rng, zones, count, setup.length, setup.weather));
        let definitions = setup.checks.iter().enumerate();
        let definitions =
            definitions.map(|(number, &(interval, timeout))| definition(number, interval * SECOND, timeout * SECOND));
        let definitions: Vec<_> = definitions.collect();
        let clocks = |rng: &mut Prng| (rng.between(1, 10_000) * SECOND, i64::try_from(rng.below(201)).unwrap() - 100);
        let dogs = zones.iter().enumerate();
        let dogs: Vec<_> =
            dogs.map(|(number, &zone)| Dog::new(number, zone, clocks(&mut rng), definitions.len())).collect();
        let mut world = Self {
            now: 0,
            loss: if drawn && setup.weather == Weather::Rough { [0, 50, 200][rng.index(3)] } else { 0 },
            judge: Judge::new(dogs.len(), definitions.len()),
            rng,
            dogs,
            plan,
            definitions,
            counts: CheckCounts::default(),
            violation: None,
            variant,
            store: Store::default(),
            looks: BTreeMap::new(),
            events: BTreeMap::new(),
            serial: 0,
            tickets: BTreeMap::new(),
            length: setup.length,
            is_told: false,
        };
        world.schedule_lives();
        world
    }

    fn schedule_lives(&mut self) {
        for dog in 0..self.dogs.len() {
            let begin = self.rng.below(5 * SECOND);
            self.at(begin, Event::Begin(dog));
            self.at(begin + 1, Event::Round(dog));
            self.at(begin + 2, Event::Fetch(dog));
        }
        for span in self.plan.spans.clone() {
            if let Fault::Dead { dog } = span.fault {
                self.counts.crashes += 1;
                self.at(span.until, Event::Begin(dog));
            }
        }
    }

    fn at(&mut self, at: Us, event: Event) {
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    pub(crate) fn run(&mut self) {
        while self.violation.is_none() && self.now < self.length {
            self.counts.steps += 1;
            self.step();
        }
        if self.violation.is_none() {
            self.violation = self.judge_silence();
        }
    }

    fn step(&mut self) {
        let tick = (0..self.dogs.len()).filter(|dog| self.is_alive(*dog)).map(|dog| {
            let due = self.dogs[dog].machine.poll_timeout().min(self.dogs[dog].canary.due_at().unwrap_or(FAR));
            (self.awake_at(dog, self.dogs[dog].world(self.now, due)), dog)
        });
        let tick = tick.min();
        let event_at = self.events.first_key_value().map(|((at, _), _)| *at);
        match (tick, event_at) {
            (Some((at, dog)), event) if event.is_none_or(|event| at < event) => {
                self.now = self.now.max(at);
                self.tick(dog);
            }
            (_, Some(_)) => {
                let ((at, _), event) = self.events.pop_first().unwrap();
                self.now = self.now.max(at);
                self.happen(event);
            }
            (_, None) => self.now = self.length,
        }
    }

    fn is_alive(&self, dog: usize) -> bool {
        self.dogs[dog].process > 0 && !self.plan.is(self.now, |fault| *fault == Fault::Dead { dog })
    }

    /// When a watchdog that may stand still gets to do what was due.
    fn awake_at(&self, dog: usize, at: Us) -> Us {
        let asleep = |at: Us| {
            self.plan
                .spans
                .iter()
                .find(|span| span.fault == Fault::Frozen { dog } && span.from <= at && at < span.until)
        };
        let mut at = at;
        while let Some(span) = asleep(at) {
            at = span.until;
        }
        at
    }

    fn tick(&mut self, dog: usize) {
        let now = self.dogs[dog].mono(self.now);
        if self.dogs[dog].canary.try_begin(now) {
            self.probe_canary(dog, true);
        }
        self.tell(dog, Input::Tick);
    }

    fn tell(&mut self, dog: usize, input: Input) {
        let is_deaf = self.variant == Some(Variant::NobodyHears) && matches!(input, Input::Heard(_));
        let input = if is_deaf { Input::Tick } else { input };
        let (now, off) = (self.dogs[dog].mono(self.now), self.plan.clock_off_ms(dog, self.now));
        let wall = wall(self.now, off);
        self.dogs[dog].machine.handle(now, wall, input);
        while let Some(output) = self.dogs[dog].machine.poll_output() {
            self.perform(dog, output);
        }
        self.watch(dog);
    }

    /// Verdicts that changed are judged by what was true.
    fn watch(&mut self, dog: usize) {
        for check in 0..self.definitions.len() {
            let name = &self.definitions[check].name;
            let state = self.dogs[dog].machine.standing(name).map_or(State::Unknown, |standing| standing.state);
            let before = std::mem::replace(&mut self.dogs[dog].states[check], state);
            if before == state {
                continue;
            }
            if self.is_told {
                let verdict = self.dogs[dog].machine.verdict(self.dogs[dog].mono(self.now), name).unwrap();
                println!("{:>10} w{dog} c{check}: {before} -> {state}: {}", self.now / 1_000, verdict.reason);
            }
            self.count_state(state);
            self.judge.note(dog, check, self.now, state);
            if state == State::Down {
                let found = self.judge_down(dog, check);
                self.violation = self.violation.take().or(found);
            }
        }
    }

    fn count_state(&mut self, state: State) {
        match state {
            State::Up => self.counts.up += 1,
            State::Down => self.counts.down += 1,
            State::Partial => self.counts.partial += 1,
            State::Unknown => self.counts.unknown += 1,
        }
    }

    fn perform(&mut self, dog: usize, output: Output) {
        match output {
            Output::Look { check, number } => self.look(dog, &check, number),
            Output::AskPeers { peers, checks } => {
                self.counts.asks += 1;
                for to in 0..self.dogs.len() {
                    if peers.contains(&name(to).as_str().into()) {
                        self.send(dog, to, Some(checks.clone()), 0);
                    }
                }
            }
            Output::Answer { ticket, looks, pending } => {
                if let Some((to, message)) = self.tickets.remove(&ticket) {
                    self.answer(dog, to, &message, (looks, pending));
                }
            }
            Output::ProbeCanaries => self.probe_canary(dog, false),
            Output::Changed(transition) => self.enter(dog, &transition),
            Output::Raise(_) | Output::Resolve { .. } => {}
        }
    }

    fn enter(&mut self, dog: usize, transition: &Transition) {
        if self.plan.is(self.now, |fault| *fault == Fault::Database) {
            return;
        }
        let name = transition.check.to_string();
        let stands = self.store.verdicts.get(&name).map_or(State::Unknown, |(state, _)| *state);
        if stands != transition.from {
            self.counts.entered_by_others += 1;
            return;
        }
        self.counts.entered += 1;
        self.store.verdicts.insert(name, (transition.to, wall(self.now, self.plan.clock_off_ms(dog, self.now))));
    }

    fn look(&mut self, dog: usize, check: &CheckName, number: u64) {
        self.counts.looks += 1;
        let check = self.definitions.iter().position(|definition| definition.name == *check).unwrap();
        let sight = Sight { dog, process: self.dogs[dog].process, check, number, began_at: self.now };
        if self.plan.is(self.now, |fault| *fault == Fault::Trouble { dog }) {
            self.counts.abstentions += 1;
            let own = Outcome::Unable(Trouble::Descriptors);
            let own = if self.variant == Some(Variant::OwnTroubleVotes) { REFUSED } else { own };
            self.at(self.now + 1_000, Event::LookEnded(sight, own));
            return;
        }
        self.try_look(sight);
    }

    fn try_look(&mut self, sight: Sight) {
        let definition = &self.definitions[sight.check];
        let over_at = sight.began_at + Us::try_from(definition.timeout.as_micros()).unwrap();
        match self.plan.manner(sight.check, sight.dog, self.now) {
            None => {
                let ends_at = self.now + self.plan.takes(sight.check, self.now);
                let outcome = if ends_at <= over_at { Outcome::Up } else { HANGS };
                self.at(ends_at.min(over_at), Event::LookEnded(sight, outcome));
            }
            Some(Manner::Refuses) => self.at(self.now + 30_000, Event::LookEnded(sight, REFUSED)),
            Some(Manner::Hangs) => {
                let tries = TRIES.iter().map(|after| sight.began_at + after);
                match tries.filter(|at| *at > self.now && *at < over_at).min() {
                    Some(at) => self.at(at, Event::LookTried(sight)),
                    None => self.at(over_at, Event::LookEnded(sight, HANGS)),
                }
            }
        }
    }

    fn probe_canary(&mut self, dog: usize, is_round: bool) {
        let is_cut = self.plan.is(self.now, |fault| matches!(fault, Fault::Uplink { dog: cut, .. } if *cut == dog));
        let takes = if is_cut { 3 * SECOND } else { 20_000 };
        let process = self.dogs[dog].process;
        self.at(self.now + takes, Event::CanaryEnded { dog, process, began_at: self.now, is_round });
    }

    /// A request goes out; it may be lost, and its answer too.
    fn send(&mut self, from: usize, to: usize, checks: Option<Vec<CheckName>>, after: u64) {
        let (process, said_after) = (self.dogs[from].process, self.dogs[from].mono(self.now));
        let message = Message { process, sent_at: self.now, said_after, checks, after };
        if self.is_through(from, to) {
            let delay = self.rng.between(1_000, 40_000);
            self.at(self.now + delay, Event::Asked { from, to, message });
        }
    }

    fn is_through(&mut self, from: usize, to: usize) -> bool {
        let is_cut = self.plan.is(self.now, |fault| match fault {
            Fault::OneWay { from: one, to: other } => (*one, *other) == (from, to),
            Fault::Uplink { dog, takes_peers } => *takes_peers && (*dog == from || *dog == to),
            Fault::Target { .. }
            | Fault::Slow { .. }
            | Fault::Dead { .. }
            | Fault::Frozen { .. }
            | Fault::Trouble { .. }
            | Fault::Database
            | Fault::Clock { .. } => false,
        });
        let is_lost = self.rng.per_mille(self.loss);
        self.counts.lost += u64::from(is_cut || is_lost);
        !is_cut && !is_lost
    }

    fn answer(&mut self, dog: usize, to: usize, message: &Message, said: (Vec<Look>, Vec<CheckName>)) {
        if !self.is_through(dog, to) {
            return;
        }
        let delay = self.rng.between(1_000, 40_000);
        let heard = Heard {
            watchdog: name(dog).as_str().into(),
            incarnation: Incarnation(self.dogs[dog].process),
            said_after: message.said_after,
            looks: said.0,
            pending: said.1,
        };
        let (process, sent_at) = (message.process, message.sent_at);
        self.at(self.now + delay, Event::Answered { to, process, sent_at, heard });
    }

    fn happen(&mut self, event: Event) {
        if let Some((dog, process)) = event.of() {
            let is_gone = !self.is_alive(dog) || process.is_some_and(|process| process != self.dogs[dog].process);
            let awake_at = self.awake_at(dog, self.now);
            if is_gone && !event.is_timer() {
                return;
            }
            if awake_at > self.now {
                self.counts.slept += 1;
                self.at(awake_at, event);
                return;
            }
        }
        match event {
            Event::Begin(dog) => self.begin(dog),
            Event::Round(dog) => self.round(dog),
            Event::Fetch(dog) => self.fetch(dog),
            Event::LookTried(sight) => self.try_look(sight),
            Event::LookEnded(sight, outcome) => {
                let answer =
                    Answer { ms: u32::try_from((self.now - sight.began_at) / 1_000).unwrap(), ..Answer::default() };
                let check = self.definitions[sight.check].name.clone();
                self.tell(sight.dog, Input::Looked { check, number: sight.number, outcome, answer });
            }
            Event::CanaryEnded { dog, began_at, is_round, .. } => self.canary_ended(dog, began_at, is_round),
            Event::Asked { from, to, message } => self.asked(from, to, message),
            Event::Answered { to, sent_at, heard, .. } => {
                if self.now < sent_at + PATIENCE {
                    self.tell(to, Input::Heard(heard));
                }
            }
        }
    }

    fn begin(&mut self, dog: usize) {
        if self.plan.is(self.now, |fault| *fault == Fault::Dead { dog }) {
            return;
        }
        self.serial += 1;
        let has_canaries = self.variant != Some(Variant::IsolatedVote);
        let identity = identity(dog, self.plan.zones[dog], self.serial, has_canaries);
        let policy = Variant::policy(self.variant, Policy::default());
        self.dogs[dog].begin(self.now, identity, policy);
        let definitions = Variant::define(self.variant, &self.definitions, self.dogs.len());
        self.tell(dog, Input::Defined(definitions));
    }

    fn canary_ended(&mut self, dog: usize, began_at: Us, is_round: bool) {
        let is_answered = self.now - began_at < SECOND
            || !self.plan.was(
                began_at,
                self.now,
                |fault| matches!(fault, Fault::Uplink { dog: cut, .. } if *cut == dog),
            );
        let now = self.dogs[dog].mono(self.now);
        if is_round {
            let outcome = if is_answered { ProbeOutcome::Answered } else { ProbeOutcome::Failed(String::new()) };
            self.dogs[dog].canary.handle(now, &outcome, &WatchdogPolicy::default());
        }
        let began_at = self.dogs[dog].mono(began_at);
        self.tell(dog, Input::Canary { began_at, is_answered });
    }

    fn asked(&mut self, from: usize, to: usize, message: Message) {
        if let Some(checks) = message.checks.clone() {
            self.serial += 1;
            let ticket = self.serial;
            self.tickets.insert(ticket, (from, message));
            self.tell(to, Input::Asked { ticket, checks });
        } else {
            let now = self.dogs[to].mono(self.now);
            let looks = self.dogs[to].machine.report(now, message.after, 100);
            self.answer(to, from, &message, (looks, Vec::new()));
        }
    }

    /// Every 5 s what peers have is fetched, whatever the database does.
    fn fetch(&mut self, dog: usize) {
        if self.is_alive(dog) {
            for to in (0..self.dogs.len()).filter(|to| *to != dog) {
                self.send(dog, to, None, 0);
            }
        }
        self.at(self.now + 5 * SECOND, Event::Fetch(dog));
    }

    /// Every second rows are written and read.
    fn round(&mut self, dog: usize) {
        self.at(self.now + SECOND, Event::Round(dog));
        if !self.is_alive(dog) || self.plan.is(self.now, |fault| *fault == Fault::Database) {
            return;
        }
        let now = self.dogs[dog].mono(self.now);
        let takes_peers = self
            .plan
            .is(self.now, |fault| matches!(fault, Fault::Uplink { dog: cut, takes_peers: true } if *cut == dog));
        let is_isolated = self.dogs[dog].is_cut_off() && takes_peers;
        self.counts.isolations += u64::from(is_isolated);
        self.store.rows.insert(dog, (self.now, is_isolated));
        for look in self.dogs[dog].machine.report(now, self.dogs[dog].written, 100) {
            self.dogs[dog].written = look.number;
            let check = self.definitions.iter().position(|definition| definition.name == look.check).unwrap();
            self.looks.insert((dog, check), (self.dogs[dog].process, self.now, look));
        }
        self.read(dog, now, is_isolated);
    }

    fn read(&mut self, dog: usize, now: Mono, is_isolated: bool) {
        let last = self.dogs[dog].read_at.replace(now);
        let living = self.store.rows.iter().filter(|(_, (at, _))| *at + 6 * SECOND > self.now);
        let living = living.map(|(dog, (_, isolated))| (*dog, !isolated));
        let living: Vec<_> = living.collect();
        let members = Members {
            is_isolated,
            living: living
                .iter()
                .map(|(dog, votes)| {
                    (name(*dog).as_str().into(), format!("z{}", self.plan.zones[*dog]).as_str().into(), *votes)
                })
                .collect(),
            registered: self.dogs.len(),
        };
        self.dogs[dog].members = members.clone();
        self.tell(dog, Input::Members(Variant::distort(self.variant, members)));
        let known = self.store.known();
        self.tell(dog, Input::Stored(known));
        let Some(said_after) = last else {
            return;
        };
        let seen_at = self.dogs[dog].world(0, said_after).min(self.now);
        let fresh: Vec<_> = self.looks.iter().filter(|((of, _), (_, at, _))| *of != dog && *at >= seen_at).collect();
        let heard: Vec<_> = fresh
            .into_iter()
            .map(|((of, _), (process, _, look))| Heard {
                watchdog: name(*of).as_str().into(),
                incarnation: Incarnation(*process),
                said_after,
                looks: vec![look.clone()],
                pending: Vec::new(),
            })
            .collect();
        for heard in heard {
            self.tell(dog, Input::Heard(heard));
        }
    }
}

const FAR: Mono = Mono::micros(u64::MAX);
const REFUSED: Outcome = Outcome::Failed(Failure::Refused);
const HANGS: Outcome = Outcome::Failed(Failure::ConnectTimeout);

impl Event {
    /// Whose it is, and of which process.
    fn of(&self) -> Option<(usize, Option<u64>)> {
        match self {
            Self::Begin(_) => None,
            Self::Round(dog) | Self::Fetch(dog) => Some((*dog, None)),
            Self::LookTried(sight) | Self::LookEnded(sight, _) => Some((sight.dog, Some(sight.process))),
            Self::CanaryEnded { dog, process, .. } => Some((*dog, Some(*process))),
            Self::Asked { to, .. } => Some((*to, None)),
            Self::Answered { to, process, .. } => Some((*to, Some(*process))),
        }
    }

    fn is_timer(&self) -> bool {
        matches!(self, Self::Round(_) | Self::Fetch(_))
    }
}
