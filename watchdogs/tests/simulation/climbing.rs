//! Incidents that climb ladders, watchdogs that enter the steps and die over them, and a database that goes away.
//!
//! What decides is the product's own ([`komainu_watchdogs::ladder`]); the table of climbs is modelled here: a read, and later a write that is
//! carried out only where the row stands as it was read. Time goes in tenths of a second, and the database's clock does not jump.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use komainu_watchdogs::io::Severity;
use komainu_watchdogs::ladder::{Climb, Facts, Ladder, Need};
use komainu_watchdogs::time::Wall;

use super::prng::Prng;

type Ms = u64;

const TICK: Ms = 100;

/// Between two looks of a watchdog.
const LOOK: Ms = 500;

/// A step is entered so soon after it fell due, while the database and a watchdog are there all the time: a look, and a slow write.
const ENTERED_WITHIN: Ms = 2_000;

/// A rule of ladders that can be broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// A step is entered whatever became of the row since it was read.
    NoGuard,
    /// The row is moved on, and the step entered in another transaction.
    MovedOnFirst,
    /// Nobody reads who took care of it.
    AcknowledgementsUnread,
    /// Nobody reads that people are told nothing of it.
    HoldsUnread,
    /// Watchdogs look seldom.
    LooksSeldom,
}

#[derive(Clone, Debug, Default)]
struct Incident {
    is_open: bool,
    opened_at: Ms,
    acknowledged_at: Option<Ms>,
    is_held: bool,
    climb: Option<Climb>,
    /// The judge's: how long a step has been due while it could have been entered.
    due_for: Ms,
}

/// What a watchdog is at: it read this, and writes then.
#[derive(Clone, Debug)]
struct Errand {
    incident: usize,
    opened_at: Ms,
    climb: Climb,
    writes_at: Ms,
    /// Of a broken one: the row was moved on already.
    is_half_done: bool,
}

#[derive(Clone, Debug, Default)]
struct Dog {
    back_at: Ms,
    look_at: Ms,
    errands: Vec<Errand>,
}

struct World {
    now: Ms,
    rng: Prng,
    variant: Option<Variant>,
    ladder: Ladder,
    incidents: Vec<Incident>,
    dogs: Vec<Dog>,
    database_back_at: Ms,
    /// Incident, opening, round and step.
    told: BTreeSet<(usize, Ms, u32, u32)>,
    counts: BTreeMap<&'static str, u64>,
}

/// One run; what happened how often, and the first violation.
pub(crate) fn run(seed: u64, variant: Option<Variant>) -> (BTreeMap<&'static str, u64>, Option<String>) {
    let mut world = World::new(seed, variant);
    let mut violation = None;
    while world.now < 1_200_000 && violation.is_none() {
        violation = world.tick().err().map(|what| format!("at {} ms: {what}", world.now));
    }
    (world.counts, violation)
}

impl World {
    fn new(seed: u64, variant: Option<Variant>) -> Self {
        let mut rng = Prng::new(seed ^ 0x6c61_6464_6572);
        let mut after = Duration::ZERO;
        let mut afters = vec![];
        for _ in 0..rng.between(1, 4) {
            after += Duration::from_secs(rng.between(0, 120));
            afters.push(after);
        }
        let maybe = |rng: &mut Prng| rng.per_mille(500).then(|| Duration::from_secs(rng.between(60, 300)));
        let ladder = Ladder { afters, repeat: maybe(&mut rng), ack_timeout: maybe(&mut rng) };
        let dogs = rng.between(1, 4);
        Self {
            now: 0,
            variant,
            ladder,
            incidents: vec![Incident::default(); 4],
            dogs: (0..dogs).map(|_| Dog::default()).collect(),
            database_back_at: 0,
            told: BTreeSet::new(),
            counts: BTreeMap::new(),
            rng,
        }
    }

    fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn tick(&mut self) -> Result<(), String> {
        self.now += TICK;
        self.happen();
        for dog in 0..self.dogs.len() {
            self.step(dog)?;
        }
        self.judge()
    }

    fn happen(&mut self) {
        if self.rng.per_mille(2) {
            let (now, pause) = (self.now, self.rng.between(100, 60_000));
            let dog = self.rng.index(self.dogs.len());
            self.dogs[dog] = Dog { back_at: now + pause, look_at: now + pause, errands: vec![] };
            // Whoever had read it may have died over it: another begins anew.
            self.incidents.iter_mut().for_each(|row| row.due_for = 0);
            self.count("deaths of watchdogs");
        }
        if self.rng.per_mille(1) {
            self.database_back_at = self.now + self.rng.between(500, 90_000);
            self.count("outages of the database");
        }
        for incident in 0..self.incidents.len() {
            self.happen_to(incident);
        }
    }

    fn happen_to(&mut self, incident: usize) {
        let (now, is_writable) = (self.now, self.now >= self.database_back_at);
        let draw = self.rng.below(10_000);
        let row = &mut self.incidents[incident];
        let what = match draw {
            // Nothing changes in tables that cannot be written.
            _ if !is_writable => return,
            0..20 if !row.is_open => {
                let climb = self.ladder.begin(wall(now));
                *row = Incident { is_open: true, opened_at: now, climb, ..Incident::default() };
                "openings"
            }
            20..22 if row.is_open => {
                row.is_open = false;
                "ends"
            }
            22..26 if row.is_open => {
                row.acknowledged_at = Some(now);
                "acknowledgements"
            }
            26..32 if row.is_open => {
                row.is_held = !row.is_held;
                "holds and releases"
            }
            _ => return,
        };
        self.count(what);
    }

    fn step(&mut self, dog: usize) -> Result<(), String> {
        let is_up = self.now >= self.database_back_at;
        if self.now < self.dogs[dog].back_at {
            return Ok(());
        }
        let (due, later): (Vec<Errand>, Vec<Errand>) =
            std::mem::take(&mut self.dogs[dog].errands).into_iter().partition(|one| one.writes_at <= self.now);
        self.dogs[dog].errands = later;
        // What meets a database that is away is rolled back, and read anew.
        for errand in due.into_iter().filter(|_| is_up) {
            self.write(dog, &errand)?;
        }
        if self.now >= self.dogs[dog].look_at && is_up {
            let pause = if self.is(Variant::LooksSeldom) { 10 * LOOK } else { LOOK };
            self.dogs[dog].look_at = self.now + pause;
            self.look(dog);
        }
        Ok(())
    }

    fn look(&mut self, dog: usize) {
        for incident in 0..self.incidents.len() {
            let row = &self.incidents[incident];
            let (opened_at, climb) = (row.opened_at, row.climb);
            if let Some(climb) = climb.filter(|climb| climb.due_at <= wall(self.now)) {
                let writes_at = self.now + self.rng.between(0, 12) * TICK;
                let errand = Errand { incident, opened_at, climb, writes_at, is_half_done: false };
                self.dogs[dog].errands.push(errand);
            }
        }
    }

    fn write(&mut self, dog: usize, errand: &Errand) -> Result<(), String> {
        let row = &self.incidents[errand.incident];
        let is_as_read = row.climb == Some(errand.climb) && row.opened_at == errand.opened_at;
        if !is_as_read && !errand.is_half_done && !self.is(Variant::NoGuard) {
            self.count("steps that another entered");
            return Ok(());
        }
        let facts = Facts {
            is_open: row.is_open,
            severity: Severity::Critical,
            acknowledged_at: row.acknowledged_at.map(wall).filter(|_| !self.is(Variant::AcknowledgementsUnread)),
            is_held: row.is_held && !self.is(Variant::HoldsUnread),
        };
        match self.ladder.need(errand.climb, facts, wall(self.now)) {
            Need::Tell { step, next } => {
                if !errand.is_half_done {
                    self.incidents[errand.incident].climb = next;
                }
                if self.is(Variant::MovedOnFirst) && !errand.is_half_done {
                    let errand = Errand { writes_at: self.now + 5 * TICK, is_half_done: true, ..errand.clone() };
                    self.dogs[dog].errands.push(errand);
                    return Ok(());
                }
                self.tell(errand.incident, (errand.climb.round, step))
            }
            Need::Wait(until, _) => {
                self.incidents[errand.incident].climb = Some(Climb { due_at: until, ..errand.climb });
                Ok(())
            }
            Need::End(_) => {
                self.incidents[errand.incident].climb = None;
                Ok(())
            }
        }
    }

    fn tell(&mut self, incident: usize, (round, step): (u32, u32)) -> Result<(), String> {
        self.count("steps told");
        self.invariant_nobody_is_called_who_need_not_be(incident)?;
        let (opened_at, now) = (self.incidents[incident].opened_at, self.now);
        let after = self.after(step);
        if round == 0 && wall(now) < wall(opened_at) + after {
            return Err(format!("not_early: step {step} of incident {incident} is told before its time"));
        }
        if !self.told.insert((incident, opened_at, round, step)) {
            return Err(format!("told_once: step {step} of incident {incident} is told twice"));
        }
        let is_before = |other: u32| self.told.contains(&(incident, opened_at, round, other));
        if (0..step).any(|other| !is_before(other)) {
            return Err(format!("none_lost: step {step} of incident {incident} is told, and one before it was not"));
        }
        Ok(())
    }

    fn after(&self, step: u32) -> Duration {
        self.ladder.afters[usize::try_from(step).unwrap()]
    }

    fn invariant_nobody_is_called_who_need_not_be(&self, incident: usize) -> Result<(), String> {
        let row = &self.incidents[incident];
        let is_fresh = |at: Ms| self.ladder.ack_timeout.is_none_or(|timeout| wall(self.now).since(wall(at)) < timeout);
        if !row.is_open || row.is_held || row.acknowledged_at.is_some_and(is_fresh) {
            return Err(format!("nobody_called_in_vain: {row:?} is told to somebody else"));
        }
        Ok(())
    }

    /// A step that is due is entered in time by whoever is there.
    fn judge(&mut self) -> Result<(), String> {
        let is_anybody =
            self.now >= self.database_back_at && self.dogs.iter().any(|dog| self.now >= dog.back_at + LOOK);
        for (number, row) in self.incidents.iter_mut().enumerate() {
            let is_acked = row.acknowledged_at.is_some_and(|at| {
                self.ladder
                    .ack_timeout
                    .is_none_or(|timeout| wall(self.now).since(wall(at)) <= timeout + Duration::from_secs(2))
            });
            let is_due = row.climb.is_some_and(|climb| climb.due_at <= wall(self.now));
            let is_owed = row.is_open && !row.is_held && !is_acked && is_due;
            row.due_for = if is_owed && is_anybody { row.due_for + TICK } else { 0 };
            if row.due_for > ENTERED_WITHIN + LOOK {
                return Err(format!("in_time: a step of incident {number} is due for {} ms", row.due_for));
            }
        }
        Ok(())
    }
}

fn wall(at: Ms) -> Wall {
    Wall(1_800_000_000_000 + i64::try_from(at).unwrap())
}
