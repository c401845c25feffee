//! A world in which several watchdogs look at a few targets, ask each other over a bad network, and share a database that
//! goes away.
//!
//! The watchdogs' machines are the product's own; so is the health of their canaries. Everything around them is here.

use std::collections::BTreeMap;

use komainu_watchdogs::check::{Answer, Definition, Heard, Input, Look, Outcome, Output, Policy, State};
use komainu_watchdogs::time::Mono;

use super::dog::{Dog, Store, definition, identity, name, wall};
use super::judge::{Judge, Variant};
use super::network::Message;
use super::plan::{Fault, Plan, SECOND, Us, Weather, draw};
use super::sights::Sight;
use crate::simulation::counts::CheckCounts;
use crate::simulation::prng::Prng;

/// Asks that are not answered by then are given up.
const PATIENCE: Us = 5 * SECOND;

#[derive(Clone, Debug)]
pub(super) enum Event {
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
        /// By the machine; none: it is one of the watchdog's own rounds.
        asked_at: Option<Mono>,
        is_answered: bool,
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

pub(crate) struct World {
    pub(super) now: Us,
    pub(super) rng: Prng,
    pub(super) dogs: Vec<Dog>,
    pub(super) plan: Plan,
    pub(super) definitions: Vec<Definition>,
    pub(super) counts: CheckCounts,
    pub(super) violation: Option<String>,
    /// The first vote that was none.
    believed: Option<String>,
    pub(super) variant: Option<Variant>,
    pub(super) judge: Judge,
    pub(super) store: Store,
    pub(super) looks: BTreeMap<(usize, usize), (u64, Us, Look)>,
    events: BTreeMap<(Us, u64), Event>,
    pub(super) serial: u64,
    pub(super) loss: u64,
    pub(super) tickets: BTreeMap<u64, (usize, Message)>,
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
        let intervals = [(5, 1), (5, 3), (20, 2), (20, 5), (20, 10), (60, 5), (60, 20)];
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
            believed: None,
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

    pub(super) fn at(&mut self, at: Us, event: Event) {
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    pub(crate) fn run(&mut self) {
        while self.violation.is_none() && self.now < self.length {
            self.counts.steps += 1;
            self.step();
        }
        if self.violation.is_none() {
            self.violation = self.judge_silence().or(self.believed.take());
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

    pub(super) fn is_alive(&self, dog: usize) -> bool {
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
            self.probe_canary(dog, None);
        }
        self.tell(dog, Input::Tick);
    }

    pub(super) fn tell(&mut self, dog: usize, input: Input) {
        let is_deaf =
            self.variant == Some(Variant::NobodyHears) || self.plan.is(self.now, |fault| *fault == Fault::Deaf { dog });
        let input = if is_deaf && matches!(input, Input::Heard(_)) { Input::Tick } else { input };
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
            Output::Counted { check, outcome, .. } => {
                self.counts.abstentions += u64::from(matches!(outcome, Outcome::Unable(_)));
                let found = self.judge_vote(dog, &check);
                self.believed = self.believed.take().or(found);
            }
            Output::ProbeCanaries { asked_at } => self.probe_canary(dog, Some(asked_at)),
            Output::Changed(transition) => self.enter(dog, &transition),
            Output::Raise(_) | Output::Resolve { .. } => {}
        }
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
            Event::CanaryEnded { dog, asked_at, is_answered, .. } => self.canary_ended(dog, asked_at, is_answered),
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
}

const FAR: Mono = Mono::micros(u64::MAX);

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
