//! Looking in turn at monitors that their nodes call up: each once a round, and never more looks a second than the cluster is allowed.
//!
//! Rounds are numbered, and each monitor has its place in them, by the database's clock and the monitor's key alone. So all watchdogs agree
//! whose turn it is without a word, and one that is started anew goes on where the others are. Of each monitor one watchdog looks, another
//! one in the next round ([`crate::rota::Rota`]); only if that look fails all are asked.
//!
//! A round is shorter than the time within which each monitor is promised a look. Whoever begins, or finds that others live than before,
//! goes back by the difference: what would have been the turn of one that was killed is then somebody else's. Where there are too many
//! monitors for the time a watchdog falls behind, and says by how much ([`Rounds::lateness`]).

use std::time::Duration;

use crate::ids::MonitorId;
use crate::rota::Rota;
use crate::time::{Mono, Wall};

/// Looks a second, of all watchdogs together.
const LOOKS_A_SECOND: u32 = 50;

/// What was due and not done in so long is not made up for: no burst after a standstill.
const CATCHES_UP: Duration = Duration::from_secs(1);

/// The part of the promised time that is kept for going back: of ten minutes one, in which a watchdog that was killed is missed or is there
/// again.
const KEPT_BACK: u32 = 10;

/// And never less, or half of it where all is less: whoever looks wakes each second.
const KEPT_AT_LEAST: Duration = Duration::from_secs(3);

/// Where one watchdog is in the rounds.
#[derive(Debug)]
pub struct Rounds {
    length: Duration,
    back: Duration,
    reached: Option<Place>,
    /// By whom the work was shared out last.
    rota: Option<Rota>,
    ends: Ends,
    free_at: Mono,
}

/// The lowest and the highest key of a monitor; keys in between may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    /// The lowest.
    pub first: MonitorId,
    /// The highest.
    pub last: MonitorId,
}

/// In this round all monitors up to this one have had their turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    round: i64,
    upto: i64,
}

/// Monitors whose turn it is: those after `after`, up to `upto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Which round it is.
    pub round: i64,
    /// The last one that had its turn before.
    pub after: MonitorId,
    /// The last of these.
    pub upto: MonitorId,
}

impl Turn {
    /// Whether the watchdog at this place looks at this one of them.
    pub fn is_mine(&self, rota: Rota, monitor: MonitorId) -> bool {
        rota.before_me(monitor.0.wrapping_add(self.round)) == 0
    }
}

impl Rounds {
    /// `each`: within how long each monitor is to be looked at.
    pub fn new(each: Duration, now: Mono) -> Self {
        let back = (each / KEPT_BACK).max(KEPT_AT_LEAST.min(each / 2));
        Self { length: each.saturating_sub(back), back, reached: None, rota: None, ends: Ends::default(), free_at: now }
    }

    /// Whose turn it is now, by the database's clock; what it was before is over with [`Rounds::note_drawn`].
    pub fn next(&mut self, now: Wall, rota: Rota, ends: Ends) -> Option<Turn> {
        self.ends = ends;
        let (due, back) = (self.place(now.0), self.place(now.0.saturating_sub(millis(self.back))));
        let ahead = self.place(now.0.saturating_add(millis(self.back)));
        let mut reached = match self.reached {
            // The clock was set back.
            Some(reached) if reached > ahead => back,
            Some(reached) if self.rota != Some(rota) => reached.min(back),
            Some(reached) => reached,
            None => back,
        };
        self.rota = Some(rota);
        if reached.round < due.round && reached.upto >= ends.last.0 {
            let begin = Place { round: due.round, upto: ends.first.0.saturating_sub(1) };
            // Whoever needed several rounds for one does not make up for those in between, but for what others may count on.
            reached = if reached.round < due.round - 1 { begin.min(back) } else { begin };
        }
        self.reached = Some(reached);
        let upto = if reached.round < due.round { ends.last.0 } else { due.upto };
        let turn = Turn { round: reached.round, after: MonitorId(reached.upto), upto: MonitorId(upto) };
        (turn.after < turn.upto).then_some(turn)
    }

    /// Those of this turn up to this one have had it.
    pub fn note_drawn(&mut self, turn: Turn, upto: MonitorId) {
        self.reached = Some(Place { round: turn.round, upto: upto.0 });
    }

    /// Others have looked meanwhile: whoever was cut off begins anew.
    pub fn forget(&mut self) {
        (self.reached, self.rota) = (None, None);
    }

    /// How many looks may begin now, of this watchdog's share among so many; each of them is then taken.
    pub fn leave(&self, now: Mono, living: u32) -> u32 {
        let free = now.since(self.free_at.max(now - CATCHES_UP)).as_micros();
        let share = share(living).as_micros().max(1);
        if now < self.free_at { 0 } else { u32::try_from(free / share).unwrap_or(u32::MAX).saturating_add(1) }
    }

    /// So many looks begin.
    pub fn take(&mut self, now: Mono, looks: u32, living: u32) {
        self.free_at = self.free_at.max(now - CATCHES_UP) + share(living) * looks;
    }

    /// Takes leave for one look; `false`: not yet.
    pub fn try_take(&mut self, now: Mono, living: u32) -> bool {
        let is_free = self.leave(now, living) > 0;
        if is_free {
            self.take(now, 1, living);
        }
        is_free
    }

    /// How long ago it was the turn of the monitors that come next here.
    pub fn lateness(&self, now: Wall) -> Duration {
        self.reached.map_or(Duration::ZERO, |reached| now.since(self.time_of(reached)))
    }

    /// By how much the promise is not kept; `None`: it is. Each monitor is looked at within the promised time while nobody is later than what is
    /// kept back.
    pub fn broken_by(&self, now: Wall) -> Option<Duration> {
        let lateness = self.lateness(now);
        (lateness > self.back + CATCHES_UP).then(|| lateness.saturating_sub(self.back))
    }

    fn place(&self, at: i64) -> Place {
        let length = millis(self.length).max(1);
        let passed = i128::from(self.keys()) * i128::from(at.rem_euclid(length)) / i128::from(length);
        let before = self.ends.first.0.saturating_sub(1);
        let upto = before.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
        Place { round: at.div_euclid(length), upto }
    }

    /// When it is the turn of the next one after this place.
    fn time_of(&self, place: Place) -> Wall {
        let length = i128::from(millis(self.length));
        let passed = i128::from(place.upto.saturating_sub(self.ends.first.0.saturating_sub(1)).max(0));
        let into = length * (passed + 1) / i128::from(self.keys());
        let begins_at = i128::from(place.round) * length;
        Wall(i64::try_from(begins_at + into.min(length)).unwrap_or(i64::MAX))
    }

    /// How many monitors there are at most.
    fn keys(&self) -> i64 {
        self.ends.last.0.saturating_sub(self.ends.first.0).saturating_add(1).max(1)
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn share(living: u32) -> Duration {
    Duration::from_secs(1) * living.max(1) / LOOKS_A_SECOND
}
