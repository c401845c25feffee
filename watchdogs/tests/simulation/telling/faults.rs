//! What goes wrong in the world in which people are told, and how it is healed.

use std::collections::BTreeMap;

use super::courier::{Courier, Mood};
use super::world::{Telling, monitor_key};

impl Telling {
    pub(super) fn go_wrong(&mut self) {
        let (monitor, node) = (self.rng.index(self.monitors.len()), self.rng.index(self.nodes.len()));
        let (dog, channel) = (self.rng.index(self.dogs.len()), self.rng.index(self.moods.len()));
        let fault = self.rng.below(21);
        self.trace(&("fault", fault, monitor, node, dog, channel, &self.moods));
        match fault {
            0..=3 => {
                let row = &mut self.monitors[monitor];
                row.down_since = if row.down_since.is_some() { None } else { Some(self.now) };
                self.counts.target_changes += 1;
            }
            4 => self.lose_node(node),
            5 => {
                self.counts.node_clock_jumps += 1;
                let jump = self.draw_jump();
                self.nodes[node].set_clock(self.now, jump, 0);
            }
            6 => {
                let jump = self.draw_jump();
                self.jump_database_clock(jump);
            }
            7 => {
                self.counts.outages += 1;
                // Most outages are short; some are told.
                let most = if self.rng.per_mille(400) { 400_000 } else { 40_000 };
                self.database_back_at = self.now + self.rng.between(1_000, most);
            }
            14 | 15 => self.turn_job(),
            16 => self.drift_node_clock(node),
            17 => self.blind_some(),
            18..=20 => self.turn_check(),
            8 | 9 => self.hit_dog(dog),
            10 => {
                self.counts.egress_losses += 1;
                self.dogs[dog].has_egress = !self.dogs[dog].has_egress;
            }
            11 if self.rng.per_mille(300) => {
                self.poison = if self.poison.is_some() { None } else { Some((channel, monitor_key(monitor))) };
            }
            _ => {
                self.moods[channel] = self.rng.pick(&Mood::ALL).unwrap();
            }
        }
    }

    /// What was stored before a step back may last for as long as its own rule allows, from then on.
    fn jump_database_clock(&mut self, jump: i64) {
        self.counts.clock_jumps += 1;
        self.offset += jump;
        let lasts = u64::try_from(-jump).unwrap_or(0).min(600_000);
        for until in &mut self.paused_until {
            *until = (*until).max(self.now + lasts);
        }
        for monitor in &mut self.monitors {
            monitor.untold_since = [None, None];
        }
        // What lies ahead is pulled in, and counts from now on.
        for job in &mut self.jobs {
            job.silent_for = 0;
        }
    }

    fn draw_jump(&mut self) -> i64 {
        let most = self.rng.pick(&[10_000, 3_600_000, 86_400_000]).unwrap();
        let jump = i64::try_from(self.rng.between(500, most)).unwrap();
        if self.rng.per_mille(500) { jump } else { -jump }
    }

    /// It dies, or its host is back.
    fn turn_job(&mut self) {
        let job = self.rng.index(self.jobs.len());
        self.jobs[job].is_dead = !self.jobs[job].is_dead;
        self.counts.job_turns += 1;
    }

    /// Up to a second in ten, or right again.
    fn drift_node_clock(&mut self, node: usize) {
        self.counts.drifting_walls += 1;
        let drift = i64::try_from(self.rng.below(200_001)).unwrap() - 100_000;
        self.nodes[node].set_clock(self.now, 0, drift);
    }

    /// Killed and started anew, or stopped for a while.
    fn hit_dog(&mut self, dog: usize) {
        let is_kill = self.rng.per_mille(600);
        self.dogs[dog].back_at = self.now + self.rng.between(1_000, 60_000);
        if is_kill {
            self.counts.crashes += 1;
            self.dogs[dog].process += 100;
            self.dogs[dog].couriers.iter_mut().for_each(Courier::reset);
            self.dogs[dog].dark.reset();
            (self.dogs[dog].voice, self.dogs[dog].untold_for) = (None, BTreeMap::new());
        } else {
            self.counts.pauses += 1;
        }
    }

    fn lose_node(&mut self, node: usize) {
        let others = (0..self.nodes.len()).any(|other| other != node && self.nodes[other].is_running());
        if others && self.nodes[node].is_running() {
            self.counts.node_losses += 1;
            self.nodes[node].lost_at = Some(self.now);
            self.nodes[node].back_at = self.now + self.rng.between(5_000, 200_000);
        }
    }

    pub(super) fn heal(&mut self) {
        self.moods.fill(Mood::Works);
        self.poison = None;
        self.database_back_at = 0;
        for dog in &mut self.dogs {
            (dog.has_egress, dog.back_at) = (true, self.now);
            dog.blind_until = dog.blind_until.min(self.now);
        }
        for node in &mut self.nodes {
            node.back_at = node.back_at.min(self.now + 5_000);
        }
        for monitor in &mut self.monitors {
            monitor.down_since = None;
        }
        for job in &mut self.jobs {
            job.is_dead = false;
        }
        for eye in &mut self.eyes {
            (eye.down_since, eye.up_since) = (None, self.now);
        }
    }
}
