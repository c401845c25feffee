//! Everything that goes wrong in a run, drawn before it begins: so what was true at any moment can be looked up.

use crate::simulation::prng::Prng;

/// Microseconds of the world's own clock.
pub(crate) type Us = u64;

pub(super) const SECOND: Us = 1_000_000;

/// What a target does to those it fails for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    Refuses,
    Hangs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// A target fails for everybody (`None`), or for one zone or one watchdog; with a period it does so every other time.
    Target { check: usize, whom: Whom, manner: Manner, period: Option<Us> },
    /// A target answers late, and well.
    Slow { check: usize, takes: Us },
    /// A watchdog reaches nothing outside; its peers neither, perhaps.
    Uplink { dog: usize, takes_peers: bool },
    /// Nothing gets from one watchdog to another.
    OneWay { from: usize, to: usize },
    /// A watchdog's process is gone.
    Dead { dog: usize },
    /// It stands still.
    Frozen { dog: usize },
    /// It has no descriptor free.
    Trouble { dog: usize },
    /// It takes in nothing of what others saw, whatever way it comes.
    Deaf { dog: usize },
    /// It takes every question of its peers and answers none.
    Mute { dog: usize },
    /// The database does not answer.
    Database,
    /// A wall clock is off.
    Clock { dog: usize, by_ms: i64 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whom {
    All,
    Zone(usize),
    One(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) fault: Fault,
    pub(super) from: Us,
    pub(super) until: Us,
}

impl Span {
    fn overlaps(&self, from: Us, until: Us) -> bool {
        self.from < until && self.until > from
    }

    fn holds(&self, at: Us) -> bool {
        self.from <= at && at < self.until
    }
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) zones: Vec<usize>,
    pub(super) spans: Vec<Span>,
}

impl Plan {
    pub(super) fn is(&self, at: Us, is_meant: impl Fn(&Fault) -> bool) -> bool {
        self.spans.iter().any(|span| span.holds(at) && is_meant(&span.fault))
    }

    pub(super) fn was(&self, from: Us, until: Us, is_meant: impl Fn(&Fault) -> bool) -> bool {
        self.spans.iter().any(|span| span.overlaps(from, until) && is_meant(&span.fault))
    }

    fn concerns(&self, whom: Whom, dog: usize) -> bool {
        match whom {
            Whom::All => true,
            Whom::Zone(zone) => self.zones[dog] == zone,
            Whom::One(one) => one == dog,
        }
    }

    /// What a look of this watchdog at this target meets now.
    pub(super) fn manner(&self, check: usize, dog: usize, at: Us) -> Option<Manner> {
        if self.is_cut_off(dog, at) {
            return Some(Manner::Hangs);
        }
        self.spans.iter().filter(|span| span.holds(at)).find_map(|span| {
            let Fault::Target { check: one, whom, manner, period } = span.fault else {
                return None;
            };
            if one == check && self.concerns(whom, dog) {
                let is_bad = period.is_none_or(|period| ((at - span.from) / period).is_multiple_of(2));
                is_bad.then_some(manner)
            } else {
                None
            }
        })
    }

    /// Nothing gets from this watchdog to the outside world.
    pub(super) fn is_cut_off(&self, dog: usize, at: Us) -> bool {
        self.is(at, |fault| matches!(fault, Fault::Uplink { dog: cut, .. } if *cut == dog))
    }

    /// When an answer arrives that leaves its target at `at`, to a question of `asked_at`. One that is lost is sent again, each
    /// time after twice as long.
    pub(super) fn gets_through(&self, dog: usize, asked_at: Us, at: Us) -> Us {
        let (mut arrives_at, mut pause) = (at, SECOND / 5);
        while self.is_cut_off(dog, arrives_at) && arrives_at < asked_at + 300 * SECOND {
            (arrives_at, pause) = (arrives_at + pause, 2 * pause);
        }
        arrives_at
    }

    pub(super) fn takes(&self, check: usize, at: Us) -> Us {
        let slow = self.spans.iter().filter(|span| span.holds(at)).find_map(|span| {
            let Fault::Slow { check: one, takes } = span.fault else {
                return None;
            };
            (one == check).then_some(takes)
        });
        slow.unwrap_or(30_000)
    }

    /// When the target failed for this watchdog, its own troubles aside: pieces of the time asked for.
    pub(super) fn bad(&self, check: usize, dog: usize, from: Us, until: Us) -> Vec<(Us, Us)> {
        let mut pieces = Vec::new();
        for span in self.spans.iter().filter(|span| span.overlaps(from, until)) {
            let Fault::Target { check: one, whom, period, .. } = span.fault else {
                continue;
            };
            if one != check || !self.concerns(whom, dog) {
                continue;
            }
            let length = period.unwrap_or(span.until - span.from);
            let mut begin = span.from;
            while begin < span.until.min(until) {
                let end = (begin + length).min(span.until);
                if end > from {
                    pieces.push((begin.max(from), end.min(until)));
                }
                begin += 2 * length;
            }
        }
        pieces
    }

    /// Nothing kept this watchdog from its work in all of this time.
    pub(super) fn is_well(&self, dog: usize, from: Us, until: Us) -> bool {
        !self.was(from, until, |fault| match fault {
            Fault::Uplink { dog: one, .. }
            | Fault::Dead { dog: one }
            | Fault::Frozen { dog: one }
            | Fault::Trouble { dog: one }
            | Fault::Deaf { dog: one }
            | Fault::Mute { dog: one } => *one == dog,
            Fault::Target { .. }
            | Fault::Slow { .. }
            | Fault::OneWay { .. }
            | Fault::Database
            | Fault::Clock { .. } => false,
        })
    }

    /// It could have reached the target in all of this time.
    pub(super) fn could_reach(&self, check: usize, dog: usize, from: Us, until: Us) -> bool {
        self.is_well(dog, from, until) && self.bad(check, dog, from, until).is_empty()
    }

    pub(super) fn clock_off_ms(&self, dog: usize, at: Us) -> i64 {
        let off = self.spans.iter().filter(|span| span.holds(at)).filter_map(|span| {
            let Fault::Clock { dog: one, by_ms } = span.fault else {
                return None;
            };
            (one == dog).then_some(by_ms)
        });
        off.sum()
    }
}

/// How rough a world is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weather {
    /// Targets fail; everything else works.
    Fair,
    /// Everything may fail.
    Rough,
}

pub(super) fn draw(rng: &mut Prng, zones: &[usize], checks: usize, length: Us, weather: Weather) -> Plan {
    let mut spans = Vec::new();
    let mut at = 90 * SECOND;
    while at < length {
        let lasts = [rng.between(100_000, 3 * SECOND), rng.between(3, 60) * SECOND, rng.between(60, 300) * SECOND];
        let until = at + lasts[rng.index(3)];
        spans.extend(faults(rng, zones, checks, weather).into_iter().map(|fault| Span { fault, from: at, until }));
        at += rng.between(1, 90) * SECOND;
    }
    Plan { zones: zones.to_vec(), spans }
}

fn faults(rng: &mut Prng, zones: &[usize], checks: usize, weather: Weather) -> Vec<Fault> {
    let dogs = zones.len();
    let (dog, check) = (rng.index(dogs), rng.index(checks));
    let manner = if rng.per_mille(500) { Manner::Refuses } else { Manner::Hangs };
    let target = |whom, period| vec![Fault::Target { check, whom, manner, period }];
    let kinds = if weather == Weather::Fair { 6 } else { 15 };
    match rng.below(kinds) {
        0 | 1 => target(Whom::All, None),
        2 => target(Whom::Zone(zones[dog]), None),
        3 => target(Whom::One(dog), None),
        4 => {
            let whom = [Whom::All, Whom::Zone(zones[dog]), Whom::One(dog)][rng.index(3)];
            target(whom, Some(rng.between(200_000, 40 * SECOND)))
        }
        5 => vec![Fault::Slow { check, takes: rng.between(SECOND, 2_900_000) }],
        6 | 7 => {
            let takes_peers = rng.per_mille(500);
            let is_zone = rng.per_mille(400);
            let cut = (0..dogs).filter(|one| *one == dog || is_zone && (zones[*one] == zones[dog] || *one + 1 < dogs));
            cut.map(|dog| Fault::Uplink { dog, takes_peers }).collect()
        }
        8 => {
            (0..dogs).filter(|to| *to != dog && rng.per_mille(600)).map(|to| Fault::OneWay { from: dog, to }).collect()
        }
        9 => vec![Fault::Dead { dog }],
        10 => vec![Fault::Frozen { dog }],
        11 => {
            let is_most = rng.per_mille(500);
            (0..dogs)
                .filter(|one| *one == dog || is_most && *one + 1 < dogs)
                .map(|dog| Fault::Trouble { dog })
                .collect()
        }
        12 => {
            // Where one is not heard meanwhile, all that is known of it is old.
            let unheard = (0..dogs).filter(|to| *to != dog && rng.per_mille(500));
            std::iter::once(Fault::Database).chain(unheard.map(|to| Fault::OneWay { from: dog, to })).collect()
        }
        13 => vec![Fault::Mute { dog }],
        _ => vec![Fault::Clock { dog, by_ms: i64::try_from(rng.below(120_000)).unwrap() - 60_000 }],
    }
}
