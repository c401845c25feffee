//! What watchdogs say to each other, over a network that loses it.

use komainu_watchdogs::check::{CheckName, Heard, Input, Look};
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::time::Mono;

use super::dog::name;
use super::plan::{Fault, SECOND, Us};
use super::world::{Event, World};

/// A request of one peer to another, and when it was sent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) process: u64,
    pub(super) sent_at: Us,
    pub(super) said_after: Mono,
    /// What is to be looked at; `None`: what is there since this number is fetched.
    pub(super) checks: Option<Vec<CheckName>>,
    pub(super) after: u64,
}

impl World {
    /// A request goes out; it may be lost, and its answer too.
    pub(super) fn send(&mut self, from: usize, to: usize, checks: Option<Vec<CheckName>>, after: u64) {
        let (process, said_after) = (self.dogs[from].process, self.dogs[from].mono(self.now));
        let message = Message { process, sent_at: self.now, said_after, checks, after };
        if self.is_through(from, to) {
            let delay = self.rng.between(1_000, 40_000);
            self.at(self.now + delay, Event::Asked { from, to, message });
        }
    }

    pub(super) fn is_through(&mut self, from: usize, to: usize) -> bool {
        let is_cut = self.plan.is(self.now, |fault| match fault {
            Fault::OneWay { from: one, to: other } => (*one, *other) == (from, to),
            Fault::Uplink { dog, takes_peers } => *takes_peers && (*dog == from || *dog == to),
            Fault::Target { .. }
            | Fault::Slow { .. }
            | Fault::Dead { .. }
            | Fault::Frozen { .. }
            | Fault::Trouble { .. }
            | Fault::Deaf { .. }
            | Fault::Mute { .. }
            | Fault::Database
            | Fault::Clock { .. } => false,
        });
        let is_lost = self.rng.per_mille(self.loss);
        self.counts.lost += u64::from(is_cut || is_lost);
        !is_cut && !is_lost
    }

    pub(super) fn answer(&mut self, dog: usize, to: usize, message: &Message, said: (Vec<Look>, Vec<CheckName>)) {
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

    pub(super) fn asked(&mut self, from: usize, to: usize, message: Message) {
        if self.plan.is(self.now, |fault| *fault == Fault::Mute { dog: to }) {
            self.counts.unanswered += 1;
            return;
        }
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
    pub(super) fn fetch(&mut self, dog: usize) {
        if self.is_alive(dog) {
            for to in (0..self.dogs.len()).filter(|to| *to != dog) {
                self.send(dog, to, None, 0);
            }
        }
        self.at(self.now + 5 * SECOND, Event::Fetch(dog));
    }
}
