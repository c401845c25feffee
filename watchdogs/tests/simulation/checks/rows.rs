//! The database: rows of watchdogs and of what they saw, and the verdicts that stand.

use komainu_watchdogs::check::{Heard, Input, Members, State, Transition};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Mono;

use super::dog::{name, wall};
use super::judge::Variant;
use super::plan::{Fault, SECOND};
use super::world::{Event, World};

impl World {
    pub(super) fn enter(&mut self, dog: usize, transition: &Transition) {
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

    /// Every second rows are written and read.
    pub(super) fn round(&mut self, dog: usize) {
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

    pub(super) fn read(&mut self, dog: usize, now: Mono, is_isolated: bool) {
        let last = self.dogs[dog].read_at.replace((now, self.now));
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
        let mut known = self.store.known();
        if self.variant == Some(Variant::UnknownIsNotRead) && dog == 0 {
            known.iter_mut().filter(|known| known.state == State::Unknown).for_each(|known| known.state = State::Up);
        }
        self.tell(dog, Input::Stored(known));
        let Some((said_after, seen_at)) = last else {
            return;
        };
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
