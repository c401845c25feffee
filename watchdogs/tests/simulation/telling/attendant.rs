//! Somebody who takes care of what opens, often within seconds: the others hear that, and nothing is lost over it.

use std::collections::BTreeSet;

use super::judge::Variant;
use super::world::{Ms, Telling};
use crate::simulation::prng::Prng;

/// It has numbers of its own, so that worlds without one are as they were.
#[derive(Debug)]
pub(crate) struct Attendant {
    rng: Prng,
    looks_at: Ms,
    /// Which return of which incident was taken care of.
    taken: BTreeSet<(usize, u32)>,
}

impl Attendant {
    pub(super) fn draw(seed: u64) -> Option<Self> {
        let mut rng = Prng::new(seed ^ 0x6174_7465_6e64);
        rng.per_mille(100).then(|| Self { rng, looks_at: 0, taken: BTreeSet::new() })
    }
}

impl Telling {
    /// A button is pressed, while the database takes it.
    pub(super) fn acknowledge_some(&mut self) {
        let (now, wall, is_up) = (self.now, self.wall(), self.is_database_up);
        let cancels = self.is_broken(Variant::AcknowledgedCancels);
        let Some(attendant) = self.attendant.as_mut().filter(|attendant| is_up && now >= attendant.looks_at) else {
            return;
        };
        attendant.looks_at = now + attendant.rng.between(1_000, 20_000);
        let mut open = self.outbox.incidents.iter().enumerate().filter(|(_, incident)| incident.is_open);
        let Some(incident) = open.find(|(at, incident)| attendant.taken.insert((*at, incident.flaps))) else { return };
        let incident = incident.0;
        self.outbox.acknowledge(wall, incident, cancels);
    }
}
