//! Beats on their way to the database: sent, stored behind the guard, answered or given up, tried again.

use super::events::{BeatRequest, Event, Message, SEC, Time, Who};
use super::invariants;
use super::model_store::monitor_id;
use super::troubles::Manner;
use super::world::World;

/// How long a beat's statement may take.
const STORE_LIMIT: Time = 4 * SEC;

impl World {
    pub(crate) fn send_beat(&mut self, node: usize, monitor: usize) {
        let process = &mut self.nodes[node];
        process.run_number += 1;
        let number = process.run_number;
        process.stores.push((number, monitor));
        let (from, to) = (self.setup.dogs + process.id, self.database_end());
        let beat = BeatRequest { node, number, monitor, sent_at: self.now, server_life: self.server.life };
        let takes = self.network.route(from, to, self.now, &mut self.rng).map(|takes| takes + self.distance());
        if takes.is_none_or(|takes| takes >= STORE_LIMIT) {
            let message = Message::Stored { number, is_answered: false };
            self.schedule(self.now + STORE_LIMIT, Event::Tell(Who::Node(node), message));
        }
        if let Some(takes) = takes {
            self.schedule(self.now + takes, Event::StoreBeat(beat));
        }
    }

    /// A beat's statement reached the database.
    pub(crate) fn store_beat(&mut self, beat: BeatRequest) {
        let is_dead = self.server.is_down || beat.server_life != self.server.life;
        let manner = self.beat_manner(beat.node);
        let is_done = !is_dead && !matches!(manner, Some(Manner::Fails | Manner::Hangs));
        if is_done {
            self.execute_beat(beat);
        }
        let ends_at = beat.sent_at + STORE_LIMIT;
        if self.now >= ends_at {
            return;
        }
        let (from, to) = (self.database_end(), self.setup.dogs + self.nodes[beat.node].id);
        let takes = self.network.route(from, to, self.now, &mut self.rng);
        let takes = takes.filter(|_| !matches!(manner, Some(Manner::Hangs | Manner::Late)));
        // Whoever is refused tries again after a while.
        let pause = if manner == Some(Manner::Fails) { SEC } else { 0 };
        let takes = takes.map(|takes| takes + pause);
        let at = takes.map_or(ends_at, |takes| (self.now + takes + self.distance()).min(ends_at));
        let message = Message::Stored { number: beat.number, is_answered: at < ends_at && is_done };
        self.schedule(at, Event::Tell(Who::Node(beat.node), message));
    }

    fn execute_beat(&mut self, beat: BeatRequest) {
        let BeatRequest { node, monitor, .. } = beat;
        let is_taken = self.statement(node).takes_beat(monitor);
        if !is_taken {
            self.counts.refused_beats += 1;
            return;
        }
        self.counts.beats += 1;
        self.database.monitors[monitor].last_beat_at = self.now;
        let found = invariants::invariant_one_owner_stores(self, node, monitor);
        self.judge(found);
    }

    pub(crate) fn take_stored(&mut self, node: usize, number: u32, is_answered: bool) {
        let local = self.local(Who::Node(node));
        let process = &mut self.nodes[node];
        let Some(at) = process.stores.iter().position(|(other, _)| *other == number) else { return };
        let (_, monitor) = process.stores.swap_remove(at);
        let is_waited_for = process.stops.iter().any(|stop| stop.contains(&number));
        let retries = !is_answered && !is_waited_for && process.tenure.may_store(local, monitor_id(monitor)).is_ok();
        let mut done = 0;
        process.stops.retain_mut(|stop| {
            stop.retain(|other| *other != number);
            done += usize::from(stop.is_empty());
            !stop.is_empty()
        });
        if retries {
            self.send_beat(node, monitor);
        }
        for _ in 0..done {
            self.take_stopped(node);
        }
    }
}
