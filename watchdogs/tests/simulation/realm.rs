//! Which world a seed is: what can go wrong there, and how large it is.
//!
//! Each realm has seeds of its own, so that one can grow without making other runs of the seeds of the others.

use super::prng::Prng;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Realm {
    /// The whole process, host or network fails, for a while.
    Short,
    /// The same for longer: some mistakes need several acts of operators, or several leaders, in a row.
    Long,
    /// Single queries fail, clocks jump, nodes come and go; in some seeds many nodes and watchdogs.
    Partial,
    /// A majority of watchdogs and the database are spared: what is lost must be watched elsewhere in time.
    Spared,
}

/// The first seed of each realm, and how many of them each test run takes.
const SEEDS: [(Realm, u64, u64); 4] = [
    (Realm::Short, 0, 10_000),
    (Realm::Long, 1_000_000, 500),
    (Realm::Partial, 2_000_000, 3_000),
    (Realm::Spared, 3_000_000, 800),
];

impl Realm {
    pub(crate) fn of(seed: u64) -> Self {
        SEEDS.iter().rev().find(|(_, first, _)| seed >= *first).map_or(Self::Short, |(realm, _, _)| *realm)
    }

    /// The seeds of a test run that takes so much of a hundred of them.
    pub(crate) fn seeds(self, share: u64) -> std::ops::Range<u64> {
        let (_, first, count) = SEEDS.into_iter().find(|(realm, _, _)| *realm == self).unwrap();
        first..first + (count * share).div_ceil(100)
    }

    pub(crate) fn all() -> [Self; 4] {
        SEEDS.map(|(realm, _, _)| realm)
    }

    /// Single queries, kinds of monitors, rows of nodes and clocks change too.
    pub(crate) fn has_parts(self) -> bool {
        match self {
            Self::Short | Self::Long | Self::Spared => false,
            Self::Partial => true,
        }
    }

    pub(crate) fn is_long(self) -> bool {
        matches!(self, Self::Long | Self::Spared)
    }

    pub(crate) fn spares_majority(self) -> bool {
        self == Self::Spared
    }

    /// How many watchdogs, nodes, and monitors at most.
    pub(crate) fn size(self, rng: &mut Prng) -> (usize, usize, u64) {
        if self.spares_majority() {
            let (dogs, nodes) = rng.pick(&[(3, 3), (3, 4), (3, 5), (5, 4), (5, 6), (7, 12)]).unwrap();
            return (dogs, nodes, 30);
        }
        if self.has_parts() && rng.per_mille(80) {
            return (7, 12, 40);
        }
        let dogs = rng.pick(&[1, 2, 3, 3, 3, 3, 4, 5]).unwrap();
        (dogs, rng.pick(&[1, 2, 2, 3, 3, 3, 4, 5]).unwrap(), 12)
    }
}
