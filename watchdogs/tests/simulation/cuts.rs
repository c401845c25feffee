//! What is cut off from what: single ways, a node's, a watchdog's, and the world outside.

use super::bounds::Blow;
use super::events::{Event, SEC, Who};
use super::world::World;

impl World {
    /// All of a node's network, or only its way to the database.
    pub(crate) fn cut_node(&mut self, is_only_database: bool) {
        self.counts.partitions += 1;
        let node = self.rng.index(self.setup.nodes);
        let (one, until) = (self.setup.dogs + node, self.now + self.rng.between(5, 120) * SEC);
        let first = if is_only_database { self.database_end() } else { 0 };
        for other in first..=self.database_end() {
            self.network.cut(one, other, until);
            self.network.cut(other, one, until);
        }
        self.hit(node, if is_only_database { Blow::Mute } else { Blow::Vanished });
        self.schedule(until, Event::Back(node));
    }

    /// A watchdog that is not spared loses everything.
    pub(crate) fn cut_dog(&mut self) {
        let (spared, dogs) = (self.setup.spared(), self.setup.dogs);
        let dog = spared + self.rng.index(dogs - spared);
        let until = self.now + self.rng.between(5, 60) * SEC;
        if let Some(Who::Dog(leader)) = self.leader()
            && self.dogs[leader].id == dog
        {
            self.blows.leader_at = self.now;
        }
        for other in 0..=self.database_end() {
            self.network.cut(dog, other, until);
            self.network.cut(other, dog, until);
        }
    }

    /// No watchdog reaches a node, nor it them.
    pub(crate) fn cut_node_from_watchdogs(&mut self, node: usize) {
        let (one, until) = (self.setup.dogs + node, self.now + 40 * SEC);
        for dog in 0..self.setup.dogs {
            self.network.cut(one, dog, until);
            self.network.cut(dog, one, until);
        }
    }

    /// A node loses its way to the database, and nothing else.
    pub(crate) fn cut_node_from_database(&mut self, node: usize) {
        let (one, database) = (self.setup.dogs + node, self.database_end());
        let until = self.now + self.lock_rng.between(5, 30) * SEC;
        self.network.cut(one, database, until);
        self.network.cut(database, one, until);
        self.hit(node, Blow::Mute);
        self.schedule(until, Event::Back(node));
    }

    pub(crate) fn cut_two(&mut self) {
        let ends = self.database_end();
        let (one, other) = (self.rng.index(ends), self.rng.index(ends));
        self.cut_between(one, other);
    }

    pub(crate) fn cut_from_database(&mut self) {
        let (one, database) = (self.rng.index(self.database_end()), self.database_end());
        self.cut_between(one, database);
    }

    /// One way, or both.
    fn cut_between(&mut self, one: usize, other: usize) {
        self.counts.partitions += 1;
        let until = self.now + self.rng.between(1, 45) * SEC;
        let ways = self.rng.below(4);
        if ways != 0 {
            self.network.cut(one, other, until);
        }
        if ways != 1 {
            self.network.cut(other, one, until);
        }
    }

    pub(crate) fn cut_off(&mut self) {
        self.counts.partitions += 1;
        let one = self.rng.index(self.database_end());
        let until = self.now + self.rng.between(1, 40) * SEC;
        let spares_database = self.rng.per_mille(500);
        for other in 0..=self.database_end() {
            if other < self.database_end() || !spares_database {
                self.network.cut(one, other, until);
                self.network.cut(other, one, until);
            }
        }
    }

    pub(crate) fn lose_world(&mut self) {
        let dog = self.rng.index(self.setup.dogs);
        self.network.worldless_until[dog] = self.now + self.rng.between(5, 40) * SEC;
    }
}
