//! What befalls the database as a whole: it is down, its clock jumps, it loses the lock, or the tail of what it knew.

use std::rc::Rc;

use super::events::{Event, MS, SEC};
use super::healing::Phase;
use super::model_store::Monitor;
use super::node::BeforeLoss;
use super::world::World;

impl World {
    /// The server closes the connection that holds the lock.
    pub(crate) fn lose_lock(&mut self) {
        self.blows.leader_at = self.now;
        if let Some((dog, _)) = self.server.lock.take() {
            self.dogs[dog].leader_lock.is_closed_by_server = true;
        }
    }

    pub(crate) fn break_database(&mut self) {
        if self.server.is_down {
            return;
        }
        self.counts.outages += 1;
        self.server.is_down = true;
        self.server.life += 1;
        self.server.lock = None;
        self.drop_lease_locks();
        let span = self.rng.between(SEC / 2, 25 * SEC);
        self.schedule(self.now + span, Event::DatabaseUp);
    }

    pub(crate) fn jump_clock(&mut self) {
        self.counts.clock_jumps += 1;
        let jump = if self.setup.realm.has_parts() {
            self.draw_jump()
        } else {
            let jump = i64::try_from(self.rng.between(1_000, 40_000_000)).unwrap();
            if self.rng.per_mille(500) { jump } else { -jump }
        };
        self.server.wall_offset += jump;
        self.server.skewed_until = self.now + 2 * SEC;
    }

    pub(crate) fn plan_tail_loss(&mut self) {
        if self.snapshot.is_none() {
            let tail = self.rng.between(5 * MS, 8 * SEC);
            self.schedule(self.now, Event::Snapshot);
            self.schedule(self.now + tail, Event::LoseTail);
        }
    }

    pub(crate) fn take_snapshot(&mut self) {
        if self.phase == Phase::Chaos {
            self.snapshot = Some(Box::new((self.database.clone(), self.ledger.clone())));
        }
    }

    pub(crate) fn lose_tail(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        let (mut database, mut ledger) = *snapshot;
        // Keys are not used again.
        for lost in &self.database.monitors[database.monitors.len()..] {
            database.monitors.push(Monitor { is_deleted: true, assignment: None, ..lost.clone() });
            ledger.add_monitor(None);
        }
        let before = Rc::new(std::mem::replace(&mut self.ledger, ledger));
        self.note_lost_writes(&database);
        self.database = database;
        self.server.life += 1;
        self.server.lock = None;
        self.drop_lease_locks();
        self.counts.tail_losses += 1;
        // A lease counter that goes back has moved, too: its holder is believed alive for one lease more.
        self.unowned_since.clear();
        (self.blows.unowned_at, self.blows.doubt_at) = (self.now, self.now);
        for node in &mut self.nodes {
            node.knows_of_loss = false;
            node.before_loss.get_or_insert_with(|| BeforeLoss::new(Rc::clone(&before)));
        }
        self.trace(&("tail lost", self.database.cluster.stamp));
        self.server.is_down = true;
        let until = self.now + self.rng.between(20 * MS, 6 * SEC);
        self.schedule(until, Event::DatabaseUp);
    }
}
