//! Who of several equal watchdogs does a piece of work first.
//!
//! All of them may do it, and none depends on another: each piece goes round among those that live, the first does it at
//! once, and each of the others looks a little later whether it is still to be done. What seven would do at the same time
//! costs the database seven times as much.

use std::collections::BTreeSet;

use crate::ids::{WatchdogId, Zone};

/// One watchdog's place among those that live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rota {
    place: u64,
    of: u64,
}

impl Rota {
    /// Who does not know of itself, or of nobody else, waits for nobody.
    pub fn of<'a>(me: &WatchdogId, living: impl IntoIterator<Item = &'a WatchdogId>) -> Self {
        let mut living: Vec<_> = living.into_iter().collect();
        living.sort();
        living.dedup();
        let place = living.iter().position(|watchdog| *watchdog == me).and_then(|place| u64::try_from(place).ok());
        let of = u64::try_from(living.len()).unwrap_or(1);
        place.map_or(Self::alone(), |place| Self { place, of })
    }

    /// One watchdog's place among those of these zones, of all where none is named; `None`: it stands elsewhere. `living`: with
    /// whether it may vote, as [`crate::check::Members`] has it.
    pub fn among(
        (me, zone): (&WatchdogId, &Zone),
        living: &[(WatchdogId, Zone, bool)],
        zones: &BTreeSet<Zone>,
    ) -> Option<Self> {
        let is_near = |zone: &Zone| zones.is_empty() || zones.contains(zone);
        let near = living.iter().filter(|(_, zone, may_vote)| *may_vote && is_near(zone));
        is_near(zone).then(|| Self::of(me, near.map(|(watchdog, _, _)| watchdog)))
    }

    /// Of a watchdog that knows of no other.
    pub fn alone() -> Self {
        Self { place: 0, of: 1 }
    }

    /// How many live.
    pub fn living(self) -> u32 {
        u32::try_from(self.of).unwrap_or(u32::MAX)
    }

    /// How many others do this piece of work before this watchdog.
    pub fn before_me(self, piece: i64) -> u64 {
        let first = u64::try_from(piece).unwrap_or(0) % self.of;
        (self.place + self.of - first) % self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_of_work_goes_round_among_all_that_live() {
        let all = ["w1", "w2", "w3"].map(WatchdogId::from);
        for piece in [0, 1, 2, 100_001] {
            let places: BTreeSet<_> = all.iter().map(|me| Rota::of(me, &all).before_me(piece)).collect();
            assert_eq!(places, [0, 1, 2].into());
        }
        let firsts = |me| (0..300).filter(|piece| Rota::of(me, &all).before_me(*piece) == 0).count();
        assert!(all.iter().all(|me| firsts(me) == 100));
    }

    #[test]
    fn who_does_not_stand_among_those_that_live_waits_for_nobody() {
        let (me, others) = (WatchdogId::from("w9"), ["w1", "w2"].map(WatchdogId::from));
        assert!((0..10).all(|piece| Rota::of(&me, &others).before_me(piece) == 0));
        assert!((0..10).all(|piece| Rota::of(&me, []).before_me(piece) == 0));
    }
}
