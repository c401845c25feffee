//! A node that calls hundreds of monitors down at once, rightly or not, while others go down of which people only want to know what the
//! watchdogs see: who is asked about, who is held, who is told.

use std::collections::BTreeMap;
use std::time::Duration;

use komainu_watchdogs::opinion::{
    AT_ONCE, Admission, Asked, Crowd, Line, Opinion, Record, Remark, Seen, Telling, Wish, before_telling, crowd,
    patience, room,
};
use komainu_watchdogs::time::Wall;

use crate::simulation::prng::Prng;

pub(crate) const SEEDS: u64 = 200;
const TICK: i64 = 500;
const TIMEOUT: Duration = Duration::from_secs(5);
const LASTS: i64 = 150_000;
/// Patience, and some turns.
const LONGEST: i64 = 22_000;
/// The same for a crowd that is denied.
const LONGEST_HELD: i64 = 122_000;

/// A rule that is broken, on this side of the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    NoRoomIsTold,
    HeldForEver,
    NotesFirst,
}

/// What is so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Case {
    /// The node's network is gone.
    Lie,
    /// They are down.
    Real,
    /// One of ten is.
    Mixed,
    /// The watchdogs go on denying what they looked at, and come to nothing else.
    Starved,
}

#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) asked: usize,
    pub(crate) held: usize,
    pub(crate) told: usize,
}

#[derive(Clone, Debug)]
struct Monitor {
    wish: Wish,
    node: u8,
    is_down: bool,
    falls_at: i64,
    record: Option<Record>,
    /// Until then a watchdog looks.
    asked_until: Option<(usize, i64)>,
    told: Option<Remark>,
}

struct World {
    now: i64,
    case: Case,
    dogs: usize,
    is_hanging: bool,
    monitors: Vec<Monitor>,
    rng: Prng,
    broken: Option<Variant>,
    found: Found,
}

pub(crate) fn run(seed: u64, broken: Option<Variant>) -> Result<Found, String> {
    let mut world = World::new(seed, broken);
    while world.now < LASTS {
        world.settle();
        world.leave_line();
        world.claim();
        world.take_answers();
        world.judge()?;
        world.now += TICK;
    }
    let (held, told): (Vec<_>, Vec<_>) = world.required().partition(|monitor| monitor.told.is_none());
    (world.found.held, world.found.told) = (held.len(), told.len());
    Ok(world.found)
}

impl World {
    fn new(seed: u64, broken: Option<Variant>) -> Self {
        let mut rng = Prng::new(seed);
        let case = [Case::Lie, Case::Real, Case::Mixed, Case::Starved][usize::try_from(seed % 4).unwrap()];
        let dogs = usize::try_from(rng.between(1, 5)).unwrap();
        let is_small = rng.per_mille(300);
        let required = if is_small { rng.between(5, 20) } else { rng.between(150, 500) };
        let noted = if rng.per_mille(500) { rng.between(0, 1_200) } else { 0 };
        let monitor = |wish, node, is_down, falls_at| Monitor {
            wish,
            node,
            is_down,
            falls_at,
            record: None,
            asked_until: None,
            told: None,
        };
        let is_down = |at: u64| match case {
            Case::Lie | Case::Starved => false,
            Case::Real => true,
            Case::Mixed => at.is_multiple_of(10),
        };
        let required = (0..required).map(|at| monitor(Wish::Require, 0, is_down(at), 2_000));
        let noted = (0..noted).map(|at| monitor(Wish::Note, 1, true, i64::try_from(at).unwrap() * 25));
        let monitors = required.chain(noted).collect();
        Self { now: 0, case, dogs, is_hanging: rng.per_mille(500), monitors, rng, broken, found: Found::default() }
    }

    fn wall(&self) -> Wall {
        Wall(10_000_000 + self.now)
    }

    fn required(&self) -> impl Iterator<Item = &Monitor> {
        self.monitors.iter().filter(|monitor| monitor.wish == Wish::Require)
    }

    /// What is known of each node's crowd.
    fn crowds(&self) -> BTreeMap<u8, Crowd> {
        let mut counts: BTreeMap<u8, (u32, u32)> = BTreeMap::new();
        for monitor in &self.monitors {
            let counts = counts.entry(monitor.node).or_default();
            match monitor.record.as_ref().and_then(|record| record.seen) {
                Some(Seen::Down) => counts.0 += 1,
                Some(Seen::Up | Seen::Split) => counts.1 += 1,
                Some(Seen::Nothing) | None => {}
            }
        }
        if self.case == Case::Starved && self.now > 5_000 {
            counts.insert(0, (0, 20));
        }
        counts.into_iter().map(|(node, (confirmed, denied))| (node, crowd(confirmed, denied))).collect()
    }

    fn settle(&mut self) {
        let (now, crowds) = (self.wall(), self.crowds());
        for at in 0..self.monitors.len() {
            let monitor = &self.monitors[at];
            if self.now < monitor.falls_at || monitor.told.is_some() {
                continue;
            }
            let known = crowds.get(&monitor.node).copied().unwrap_or_default();
            let about = (1, monitor.record.as_ref());
            match before_telling(now, monitor.wish, about, (patience(TIMEOUT), known)) {
                Telling::Ask => self.ask(at),
                Telling::Wait | Telling::Withhold => {}
                Telling::Tell(Remark::Crowded)
                    if self.broken == Some(Variant::HeldForEver) && known == Crowd::Denied => {}
                Telling::Tell(remark) => self.monitors[at].told = Some(remark),
            }
        }
    }

    fn asked(&self) -> Asked {
        let is_asked = |monitor: &&Monitor| {
            let record = monitor.record.as_ref();
            record.is_some_and(|record| record.seen.is_none() && record.line != Line::Waits)
        };
        let asked: Vec<_> = self.monitors.iter().filter(is_asked).collect();
        let holding = asked.iter().filter(|monitor| monitor.wish == Wish::Require).count();
        let holding = if self.broken == Some(Variant::NotesFirst) { asked.len() } else { holding };
        Asked { holding, all: asked.len() }
    }

    fn ask(&mut self, at: usize) {
        let admission = self.asked().admit(self.monitors[at].wish, self.dogs);
        let asked = Record::asked(1, self.wall());
        self.found.asked += 1;
        match admission {
            Admission::Asked => self.monitors[at].record = Some(asked),
            Admission::Waits if self.broken != Some(Variant::NoRoomIsTold) => {
                self.monitors[at].record = Some(Record { line: Line::Waits, ..asked });
            }
            Admission::Dropped | Admission::Waits => self.monitors[at].told = Some(Remark::Crowded),
        }
    }

    fn leave_line(&mut self) {
        let mut left = room(self.dogs, self.asked().holding);
        for monitor in &mut self.monitors {
            let waiting = monitor.record.as_mut().filter(|record| record.line == Line::Waits && monitor.told.is_none());
            if let Some(record) = waiting.filter(|_| left > 0) {
                record.line = Line::Left;
                left -= 1;
            }
        }
    }

    fn claim(&mut self) {
        let is_free = |monitor: &Monitor| {
            let record = monitor.record.as_ref();
            record.is_some_and(|record| record.seen.is_none() && record.line != Line::Waits)
                && monitor.asked_until.is_none()
        };
        let mut due: Vec<_> = (0..self.monitors.len()).filter(|at| is_free(&self.monitors[*at])).collect();
        let is_ranked = self.broken != Some(Variant::NotesFirst);
        due.sort_by_key(|at| (is_ranked && self.monitors[*at].wish == Wish::Note, self.monitors[*at].falls_at));
        let mut due = due.into_iter();
        for dog in 0..self.dogs {
            let is_by = |monitor: &&Monitor| monitor.asked_until.is_some_and(|(by, _)| by == dog);
            let busy = self.monitors.iter().filter(is_by).count();
            for at in due.by_ref().take(AT_ONCE.saturating_sub(busy)) {
                let is_hanging = self.is_hanging && self.monitors[at].is_down;
                let quick = i64::try_from(self.rng.between(100, 1_000)).unwrap();
                let takes = if is_hanging { 5_000 } else { quick };
                self.monitors[at].asked_until = Some((dog, self.now + takes));
            }
        }
    }

    fn take_answers(&mut self) {
        let (now, wall) = (self.now, self.wall());
        let is_starved = self.case == Case::Starved;
        for monitor in &mut self.monitors {
            let is_over = monitor.asked_until.is_some_and(|(_, ends_at)| ends_at <= now);
            if !is_over || (is_starved && monitor.wish == Wish::Require) {
                continue;
            }
            let seen = if monitor.is_down { Seen::Down } else { Seen::Up };
            let opinion = Opinion { seen, votes: (0, 0), words: String::new(), unheard: 0 };
            monitor.record = monitor.record.as_ref().map(|record| record.after(wall, opinion));
            monitor.asked_until = None;
        }
    }

    fn judge(&self) -> Result<(), String> {
        let is_few = self.required().count() <= room(self.dogs, 0);
        for monitor in self.required() {
            let waits = self.now - monitor.falls_at;
            match monitor.told {
                Some(remark) if !monitor.is_down && self.case != Case::Starved => {
                    return Err(format!("told as {remark:?}, and nobody asked about it"));
                }
                Some(remark) if is_few && remark != Remark::Seen && self.case == Case::Real => {
                    return Err(format!("told as {remark:?}, behind notes"));
                }
                None if self.case == Case::Real && waits > LONGEST => {
                    return Err(format!("nobody is told for {waits} ms"));
                }
                None if waits > LONGEST_HELD && (monitor.is_down || self.case == Case::Starved) => {
                    return Err(format!("nobody is told of what may be down for {waits} ms"));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}
