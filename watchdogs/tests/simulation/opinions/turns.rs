//! Whose turn it is to look at monitors that are up: watchdogs that die, freeze, are cut off and are started anew, and that learn of each other
//! a while later.

use std::collections::VecDeque;
use std::time::Duration;

use komainu_watchdogs::ids::{MonitorId, WatchdogId};
use komainu_watchdogs::opinion::{Ends, Rounds, Turn};
use komainu_watchdogs::rota::Rota;
use komainu_watchdogs::time::{Mono, Wall};

use crate::simulation::prng::Prng;

pub(crate) const SEEDS: u64 = 100;
const EACH: i64 = 600_000;
const TICK: i64 = 1_000;
const LASTS: i64 = 2 * 3_600_000;
/// Looks that wait for leave to begin.
const SLACK: i64 = 5_000;

/// A rule that is broken, on this side of the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    CountedPerProcess,
    NobodyGoesBack,
}

#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) looks: u64,
    pub(crate) restarts: u64,
    pub(crate) longest: i64,
}

#[derive(Debug)]
struct Dog {
    name: WatchdogId,
    rounds: Rounds,
    first_round: Option<i64>,
    queue: VecDeque<usize>,
    away_until: i64,
    is_killed: bool,
    /// When its row moved last.
    moved_at: i64,
    /// Cut off from the world or not, since when.
    isolated: (bool, i64),
    /// So much later it learns how the others are.
    lag: i64,
}

struct World {
    now: i64,
    clock_off: i64,
    dogs: Vec<Dog>,
    monitors: Vec<MonitorId>,
    looked_at: Vec<i64>,
    is_database_up: bool,
    rng: Prng,
    broken: Option<Variant>,
    found: Found,
}

/// The first monitor that was not looked at in time.
pub(crate) fn run(seed: u64, broken: Option<Variant>) -> Result<Found, String> {
    let mut world = World::new(seed, broken);
    while world.now < LASTS {
        world.weather();
        for at in 0..world.dogs.len() {
            if world.is_database_up && world.is_running(at) {
                world.turn(at);
            }
        }
        world.judge()?;
        world.now += TICK;
    }
    Ok(world.found)
}

fn begun(now: i64) -> Rounds {
    Rounds::new(Duration::from_millis(EACH.unsigned_abs()), Mono::millis(now.unsigned_abs()))
}

impl World {
    fn new(seed: u64, broken: Option<Variant>) -> Self {
        let mut rng = Prng::new(seed);
        let count = rng.between(1, 5);
        let dog = |at: u64, rng: &mut Prng| Dog {
            name: WatchdogId::from(format!("w{at}").as_str()),
            rounds: begun(0),
            first_round: None,
            queue: VecDeque::new(),
            away_until: 0,
            is_killed: false,
            moved_at: 0,
            isolated: (false, -60_000),
            lag: i64::try_from(rng.between(8_000, 15_000)).unwrap(),
        };
        let dogs = (0..count).map(|at| dog(at, &mut rng)).collect();
        let mut key = 0;
        let monitors: Vec<_> = (0..60)
            .map(|_| {
                key += i64::try_from(rng.between(1, 90)).unwrap();
                MonitorId(key)
            })
            .collect();
        let looked_at = vec![0; monitors.len()];
        let found = Found::default();
        Self { now: 0, clock_off: 0, dogs, monitors, looked_at, is_database_up: true, rng, broken, found }
    }

    fn is_running(&self, dog: usize) -> bool {
        self.now >= self.dogs[dog].away_until
    }

    fn weather(&mut self) {
        let now = self.now;
        for at in 0..self.dogs.len() {
            let dog = &mut self.dogs[at];
            if dog.is_killed && now >= dog.away_until {
                (dog.is_killed, dog.rounds, dog.first_round) = (false, begun(now), None);
                dog.queue.clear();
                self.found.restarts += 1;
            }
            if now >= dog.away_until && self.rng.per_mille(2) {
                dog.is_killed = self.rng.per_mille(700);
                let longest = if self.rng.per_mille(300) { 900_000 } else { 40_000 };
                dog.away_until = now + i64::try_from(self.rng.between(2_000, longest)).unwrap();
            }
            if self.rng.per_mille(1) {
                dog.isolated = (!dog.isolated.0, now);
            }
        }
        if self.rng.below(20_000) < if self.is_database_up { 1 } else { 1_000 } {
            self.is_database_up = !self.is_database_up;
        }
        if self.rng.below(10_000) < 1 {
            let jump = i64::try_from(self.rng.between(0, 240_000)).unwrap() - 120_000;
            self.clock_off += jump;
            // A clock that was set back says the same times again: every turn is later by so much, once.
            self.looked_at.fill(now + (-jump).max(0));
        }
    }

    /// Who lives and may vote, as this one knows it.
    fn rota(&self, me: usize) -> Option<Rota> {
        let viewer = &self.dogs[me];
        if viewer.isolated.0 {
            return None;
        }
        let is_living = |dog: &&Dog| {
            let is_moving = self.now - dog.moved_at < viewer.lag;
            let is_known = self.now - dog.isolated.1 >= viewer.lag / 2;
            dog.name == viewer.name || (is_moving && dog.isolated.0 != is_known)
        };
        Some(Rota::of(&viewer.name, self.dogs.iter().filter(is_living).map(|dog| &dog.name)))
    }

    fn turn(&mut self, me: usize) {
        let (now, wall) = (self.now, Wall(10_000_000_000 + self.now + self.clock_off));
        let ends = Ends { first: self.monitors[0], last: *self.monitors.last().unwrap() };
        let (rota, broken) = (self.rota(me), self.broken);
        let dog = &mut self.dogs[me];
        dog.moved_at = now;
        let Some(rota) = rota else { return dog.rounds.forget() };
        let shared_out = if broken == Some(Variant::NobodyGoesBack) { Rota::alone() } else { rota };
        for _ in 0..2 {
            let Some(turn) = dog.rounds.next(wall, shared_out, ends) else { break };
            dog.rounds.note_drawn(turn, turn.upto);
            let first = *dog.first_round.get_or_insert(turn.round);
            let own = if broken == Some(Variant::CountedPerProcess) { turn.round - first } else { turn.round };
            let counted = Turn { round: own, ..turn };
            let is_mine = |(_, monitor): &(usize, &MonitorId)| {
                turn.after < **monitor && **monitor <= turn.upto && counted.is_mine(rota, **monitor)
            };
            dog.queue.extend(self.monitors.iter().enumerate().filter(is_mine).map(|(at, _)| at));
        }
        while !dog.queue.is_empty() && dog.rounds.try_take(Mono::millis(now.unsigned_abs()), 5) {
            let at = dog.queue.pop_front().unwrap();
            self.found.looks += 1;
            self.found.longest = self.found.longest.max(now - self.looked_at[at]);
            self.looked_at[at] = now;
        }
    }

    fn judge(&mut self) -> Result<(), String> {
        let is_watched =
            self.is_database_up && (0..self.dogs.len()).any(|dog| self.is_running(dog) && !self.dogs[dog].isolated.0);
        if !is_watched {
            self.looked_at.fill(self.now);
        }
        let late = self.looked_at.iter().position(|at| self.now - at > EACH + SLACK);
        late.map_or(Ok(()), |at| {
            Err(format!(
                "monitor {} was not looked at for {} ms at {}",
                self.monitors[at],
                self.now - self.looked_at[at],
                self.now
            ))
        })
    }
}
