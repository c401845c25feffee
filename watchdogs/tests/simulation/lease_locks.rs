//! Locks that end with a connection of the process that holds a lease: who has one, how it is lost, and ports that refuse
//! although their process lives.

use komainu_watchdogs::facts::LeaseLock;
use komainu_watchdogs::ids::Incarnation;
use komainu_watchdogs::tenure::Input;

use super::events::{Event, MS, Message, SEC, Time, Who};
use super::model_store::{Database, Server};
use super::node::Node;
use super::variants::Variant;
use super::world::{Life, World};

/// The server ends a connection that has been silent for so long.
const IDLE: Time = 10 * SEC;
/// No watchdog goes by what it heard so long ago.
const REMEMBERED: Time = 20 * SEC;

impl Database {
    /// What a watchdog reads of the holder's lock.
    pub(crate) fn lease_lock(&self, node: usize, server: &Server) -> LeaseLock {
        match self.nodes[node].incarnation {
            Some(holder) if self.had_lock[node] => {
                if server.lease_locks.contains(&holder) {
                    LeaseLock::Held
                } else {
                    LeaseLock::Free
                }
            }
            Some(_) | None => LeaseLock::Unknown,
        }
    }
}

impl World {
    /// The process asks for its lock until it has it.
    pub(crate) fn take_lease_lock(&mut self, node: usize) {
        let process = &self.nodes[node];
        if !self.setup.has_lease_locks || process.life == Life::Dead {
            return;
        }
        let incarnation = process.incarnation;
        let is_answered = process.life == Life::Running && !self.server.is_down && self.reaches_database(node);
        if is_answered {
            self.server.lease_locks.insert(incarnation);
            self.nodes[node].lock_life = self.server.life;
        } else {
            self.schedule(self.now + SEC, Event::TakeLeaseLock(node));
        }
    }

    /// What a process reads of who has its row: that one's lock is free, and none of the same place can be alive, since this one
    /// has the port.
    pub(crate) fn is_abandoned(&self, node: usize) -> bool {
        let process = &self.nodes[node];
        let is_free = self.database.lease_lock(process.id, &self.server) == LeaseLock::Free;
        let lives = |other: &Node| {
            other.id == process.id && other.incarnation != process.incarnation && other.life != Life::Dead
        };
        is_free && (self.variant == Some(Variant::EverywhereIsHere) || !self.nodes.iter().any(lives))
    }

    fn reaches_database(&mut self, node: usize) -> bool {
        let (me, database) = (self.end_of(Who::Node(node)), self.database_end());
        let there = self.network.route(me, database, self.now, &mut self.lock_rng);
        there.is_some() && self.network.route(database, me, self.now, &mut self.lock_rng).is_some()
    }

    /// The process is gone: its host ends its connections, and the server hears of it if it can.
    pub(crate) fn abandon_lease_lock(&mut self, node: usize) {
        if self.setup.has_lease_locks {
            let wait = if self.reaches_database(node) { MS } else { IDLE };
            self.schedule(self.now + wait, Event::FreeLeaseLock(self.nodes[node].incarnation));
        }
    }

    /// The server starts anew: nobody holds anything, and every host tells its processes so.
    pub(crate) fn drop_lease_locks(&mut self) {
        self.server.lease_locks.clear();
        for node in 0..self.nodes.len() {
            self.tell_of_lost_lock(node);
        }
    }

    /// A connection that ended is found by whoever looks at it next, and it is looked at each second.
    fn tell_of_lost_lock(&mut self, node: usize) {
        if self.setup.has_lease_locks && self.is_alive(Who::Node(node)) {
            let pause = self.lock_rng.below(SEC);
            self.schedule(self.now + pause, Event::Tell(Who::Node(node), Message::LockLost));
        }
    }

    pub(crate) fn take_lost_lock(&mut self, node: usize) {
        if self.variant != Some(Variant::LostLockIgnored) {
            self.wake_node(node, Input::LockLost);
        }
        let pause = self.lock_rng.below(SEC);
        self.schedule(self.now + pause, Event::TakeLeaseLock(node));
    }

    /// Somebody ends the connection that holds a node's lock; at times nobody can connect to the node any more besides, or
    /// its way to the database is lost right afterwards.
    pub(crate) fn meddle_with_locks(&mut self) {
        // Where the bounds are looked at during faults, nodes have locks, and nobody meddles with them.
        let is_meddled_with = self.setup.has_lease_locks && !self.setup.realm.spares_majority();
        if !is_meddled_with || !self.lock_rng.per_mille(40) {
            return;
        }
        if self.server.is_down {
            return;
        }
        let running: Vec<_> = (0..self.nodes.len()).filter(|node| self.is_running(Who::Node(*node))).collect();
        let cut_off: Vec<_> = running.iter().copied().filter(|node| !self.reaches_database(*node)).collect();
        let is_cut = !cut_off.is_empty() && self.lock_rng.per_mille(600);
        let Some(node) = self.lock_rng.pick(if is_cut { &cut_off } else { &running }) else { return };
        if self.lock_rng.per_mille(200) {
            return self.lose_step_by_step(node);
        }
        if !is_cut && self.lock_rng.per_mille(200) {
            return self.replace_frozen(node);
        }
        let id = self.nodes[node].id;
        if !self.end_lease_lock(node) {
            return;
        }
        // That one of its node is frozen as well is more than the design is proof against.
        let is_frozen = self.nodes.iter().any(|other| other.id == id && other.life == Life::Paused);
        if self.lock_rng.per_mille(600) && !is_frozen {
            self.counts.closed_ports += 1;
            self.port_closed_until[id] = self.now + self.lock_rng.between(2, 25) * SEC;
            self.trace(&("port closed", id));
        }
        if self.lock_rng.per_mille(400) {
            self.schedule(self.now + SEC, Event::CutFromDatabase(id));
        }
    }

    /// Somebody ends it. Whose packets are lost is not told, and goes on until its lease is too old: `false`.
    pub(crate) fn end_lease_lock(&mut self, node: usize) -> bool {
        if !self.is_alive(Who::Node(node)) {
            return false;
        }
        let is_told = self.reaches_database(node);
        let incarnation = self.nodes[node].incarnation;
        if self.server.lease_locks.remove(&incarnation) {
            self.counts.ended_locks += 1;
            self.trace(&("lock ended", node, is_told));
        }
        if is_told {
            self.tell_of_lost_lock(node);
        } else {
            // All three at once (packets lost one way, the connection ended the other way, and a port that refuses) is more than
            // the design is proof against: such a node runs on for up to its fence, and stores nothing.
            self.open_port(self.nodes[node].id);
        }
        is_told
    }

    /// It is frozen, its connection is ended meanwhile, and somebody starts another process for its node elsewhere. Not while
    /// watchdogs may remember that its port refused: that is all three at once.
    fn replace_frozen(&mut self, node: usize) {
        if self.now < self.port_closed_until[self.nodes[node].id] + REMEMBERED {
            return;
        }
        self.pause(Some(Who::Node(node)), 9);
        if self.end_lease_lock(node) {
            self.counts.replaced_frozen += 1;
            self.start_node(self.nodes[node].id);
        }
    }

    /// First no watchdog reaches it, then it does not reach the database, and then its connection there is ended.
    fn lose_step_by_step(&mut self, node: usize) {
        let id = self.nodes[node].id;
        self.cut_node_from_watchdogs(id);
        let at = self.now + self.lock_rng.between(11, 18) * SEC;
        self.schedule(at, Event::CutFromDatabase(id));
        let pause = self.lock_rng.below(SEC);
        self.schedule(at + pause, Event::EndLeaseLock(node));
    }

    pub(crate) fn open_port(&mut self, id: usize) {
        self.port_closed_until[id] = self.port_closed_until[id].min(self.now);
    }

    pub(crate) fn is_port_closed(&self, id: usize) -> bool {
        self.now < self.port_closed_until[id]
    }

    pub(crate) fn free_lease_lock(&mut self, incarnation: Incarnation) {
        self.server.lease_locks.remove(&incarnation);
    }
}
