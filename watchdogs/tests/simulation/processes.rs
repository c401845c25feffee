//! Processes of either kind: their start, their clock, their inbox while they are paused, and their end.

use std::collections::VecDeque;

use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::tenure::{self, Tenure};
use komainu_watchdogs::time::Mono;
use komainu_watchdogs::watchdog::{Identity, Watchdog};

use super::bounds::Blow;
use super::dog::{Dog, OwnTally};
use super::events::{Event, MS, Message, SEC, Time, Who};
use super::model_store::zone;
use super::network::Line;
use super::node::Node;
use super::tails::OwnTail;
use super::world::{Life, World};

/// A core that asks to be woken at once so often in a row makes no progress.
const MOST_SPINS: u32 = 200;

impl World {
    pub(crate) fn start_dog(&mut self, id: usize) {
        let incarnation = Incarnation(self.rng.draw() | 2);
        let clock = self.draw_clock(false);
        let identity = Identity {
            watchdog: WatchdogId::from(format!("w{}", id + 1)),
            incarnation,
            zone: zone(id % self.setup.zones),
            canaries: if self.setup.has_canaries { vec!["tcp://1.1.1.1:443".to_owned()] } else { Vec::new() },
        };
        let earlier = self.remembered(id, incarnation);
        let core = Watchdog::after(&earlier, (identity, self.policy.clone()), clock.at(self.now), self.rng.draw());
        self.trace(&("start", "dog", self.dogs.len(), "of", id, incarnation));
        self.dogs.push(Dog {
            id,
            incarnation,
            core,
            clock,
            life: Life::Running,
            inbox: Vec::new(),
            timer_at: Time::MAX,
            rounds: Line::default(),
            side: Line::default(),
            leader_lock: Line::default(),
            is_stopping: false,
            born_at: self.now,
            in_use_since: None,
            tallies: vec![OwnTally::default(); self.setup.nodes],
            failed_at: self.now,
            written_at: 0,
            steady_since: self.now,
            spins: 0,
            has_read: false,
            read_at: 0,
            counted_at: 0,
            reads_since: 0,
            counts_since: 0,
            counts_asked_at: Mono::default(),
            decided_at: Mono::default(),
            shard_read_at: 0,
            noticed: Vec::new(),
            tail: OwnTail::default(),
        });
        self.perform_all(self.dogs.len() - 1);
    }

    pub(crate) fn start_node(&mut self, id: usize) {
        let incarnation = Incarnation(self.rng.draw() | 2);
        let clock = self.draw_clock(true);
        let tenure = Tenure::new(self.policy.clone(), incarnation, clock.at(self.now));
        self.trace(&("start", "node", self.nodes.len(), "of", id, incarnation));
        self.nodes.push(Node::new(id, incarnation, tenure, clock));
        self.perform_node(self.nodes.len() - 1);
        self.take_lease_lock(self.nodes.len() - 1);
        self.schedule(self.now + 5 * SEC, Event::Slice(self.nodes.len() - 1));
    }

    pub(crate) fn ring(&mut self, who: Who) {
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
        let (clock, timer_at, spins) = match who {
            Who::Dog(dog) => {
                let process = &mut self.dogs[dog];
                (process.clock, &mut process.timer_at, &mut process.spins)
            }
            Who::Node(node) => {
                let process = &mut self.nodes[node];
                (process.clock, &mut process.timer_at, &mut process.spins)
            }
        };
        if wakes_at.as_micros() == u64::MAX {
            *timer_at = Time::MAX;
            return;
        }
        let at = clock.when(wakes_at);
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
            Who::Dog(dog) => self.dogs[dog].clock.at(self.now),
            Who::Node(node) => self.nodes[node].clock.at(self.now),
        }
    }

    /// The process continues after a pause; what reached it meanwhile is told in order, its own timer first or last.
    pub(crate) fn resume(&mut self, who: Who) {
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
                let id = self.nodes[node].id;
                self.hit(id, Blow::Back);
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
                let connection = process.leader_lock.connection;
                let wait = if is_noticed { 10 * MS } else { self.rng.below(10 * SEC) };
                self.schedule(self.now + wait, Event::FreeLock { dog, connection });
            }
            Who::Node(node) => {
                let process = &mut self.nodes[node];
                process.life = Life::Dead;
                process.inbox.clear();
                process.jobs.clear();
                self.abandon_lease_lock(node);
            }
        }
    }

    pub(crate) fn close_idle(&mut self, dog: usize, connection: u32) {
        let process = &mut self.dogs[dog];
        if process.life == Life::Paused && process.leader_lock.connection == connection {
            process.leader_lock.is_closed_by_server = true;
            if self.server.lock == Some((dog, connection)) {
                self.server.lock = None;
            }
        }
    }
}
