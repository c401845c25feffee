//! Somebody silences a monitor for a while: nothing new is told of it meanwhile, and what is still bad then is told.

use std::collections::BTreeSet;

use komainu_watchdogs::outbox::Event;

use super::judge::{Arrival, Variant};
use super::world::{Ms, Telling, monitor_key};
use crate::simulation::prng::Prng;

/// What was under way when it began has arrived by then.
const SETTLED: Ms = 150_000;

/// One silence.
#[derive(Clone, Debug)]
pub(crate) struct Silence {
    key: String,
    from: Ms,
    until: Ms,
}

impl Silence {
    /// In some worlds, by numbers of its own: those without one are as they were.
    pub(super) fn draw(seed: u64, monitors: usize) -> Option<Self> {
        let mut rng = Prng::new(seed ^ 0x0073_696c_656e_6365);
        if !rng.per_mille(400) {
            return None;
        }
        let (key, from) = (monitor_key(rng.index(monitors)), rng.between(20_000, 400_000));
        Some(Self { key, from, until: from + rng.between(60_000, 900_000) })
    }

    fn is_in_force(&self, now: Ms) -> bool {
        (self.from..self.until).contains(&now)
    }
}

impl Telling {
    /// As every courier reads it beside its queue.
    pub(super) fn note_silences(&mut self) {
        let in_force = self.silences.iter().filter(|silence| silence.is_in_force(self.now));
        let keys: BTreeSet<String> = in_force.map(|silence| silence.key.clone()).collect();
        self.outbox.silenced = if self.is_broken(Variant::SilencesIgnored) { BTreeSet::new() } else { keys };
    }

    pub(super) fn is_silenced(&self, key: &str) -> bool {
        self.silences.iter().any(|silence| silence.key == key && silence.is_in_force(self.now))
    }

    /// Nothing new is told of what somebody silenced; what may have been read before goes on.
    pub(super) fn invariant_silences_hold(&mut self, arrival: &Arrival) -> Result<(), String> {
        let is_settled = |silence: &&Silence| silence.is_in_force(self.now) && self.now >= silence.from + SETTLED;
        let keys: BTreeSet<&str> =
            self.silences.iter().filter(is_settled).map(|silence| silence.key.as_str()).collect();
        for item in arrival.items.iter().filter(|item| item.what != Event::Resolved && !arrival.is_dark) {
            let key = self.outbox.incidents[item.incident].key.as_str();
            let was_tried = self
                .outbox
                .deliveries
                .iter()
                .any(|row| row.event == item.event && row.channel == arrival.channel && row.attempts > 1);
            // It may have been read before, also while the database was away: this repeats it.
            let copies = self.inbox.get(&(arrival.channel, item.event)).map_or(0, Vec::len);
            if keys.contains(key) && !was_tried && copies < 2 {
                return Err(format!("silences_hold: {key} is silenced, and {item:?} is told"));
            }
        }
        Ok(())
    }
}
