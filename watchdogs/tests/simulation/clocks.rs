//! Clocks: each process's own, which begins anywhere and runs a little fast or slow, and the wall clock of each host.
//!
//! Nothing rests on a wall clock. On the own ones rests that a node's fence is over before anybody's watch of its lease
//! is: 8 s on the one, 11 s on the other, so that both may drift by a tenth, and by no third.

use komainu_watchdogs::time::Mono;

use super::events::{MS, SEC, Time};
use super::prng::Prng;
use super::realm::Realm;
use super::variants::Variant;
use super::world::World;

/// Rates are in millionths.
const WHOLE: u64 = 1_000_000;

/// What is beyond all that the design allows: a fence of 8 s is over after 13 s, a lease watched for 11 s after 8 s.
const RUN_AWAY: u64 = 400_000;

/// The clock of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What it showed when the world began.
    ahead: Time,
    /// What it counts while a second of the world passes.
    rate: u64,
}

impl Clock {
    pub(crate) fn at(self, now: Time) -> Mono {
        Mono::micros(self.ahead + now * self.rate / WHOLE)
    }

    /// The first moment at which it shows that.
    pub(crate) fn when(self, shown: Mono) -> Time {
        (shown.as_micros().saturating_sub(self.ahead) * WHOLE).div_ceil(self.rate)
    }
}

/// The wall clock of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct WallClock {
    /// Milliseconds that it was set ahead by.
    set_ahead: i64,
    /// What it gains in a second of the world.
    drift: i64,
    /// It runs since then as it runs now.
    since: Time,
}

impl WallClock {
    /// What the database's clock shows that was set ahead by so much.
    pub(crate) fn right(set_ahead: i64) -> Self {
        Self { set_ahead, ..Self::default() }
    }

    /// Milliseconds that it is ahead.
    pub(crate) fn ahead(self, now: Time) -> i64 {
        let seconds = i64::try_from((now - self.since) / MS).unwrap();
        self.set_ahead + seconds * self.drift / i64::try_from(WHOLE).unwrap()
    }
}

/// How far the clocks of this seed's processes drift; drawn beside everything else, so that a seed without drift is the
/// run that it was.
pub(crate) fn draw_drift(seed: u64, realm: Realm) -> u64 {
    let mut rng = Prng::new(seed ^ 0x636c_6f63);
    let drifts: &[u64] = if realm.spares_majority() { &[0, 500, 5_000] } else { &[0, 0, 1_000, 20_000, 100_000] };
    rng.pick(drifts).unwrap()
}

impl World {
    pub(crate) fn draw_clock(&mut self, runs_slow: bool) -> Clock {
        let ahead = self.rng.below(1_000 * SEC);
        let drift = self.setup.drift;
        self.counts.drifting_clocks += u64::from(drift > 0);
        let rate = match (self.variant, runs_slow) {
            (Some(Variant::ClocksRunAway), true) => WHOLE - RUN_AWAY,
            (Some(Variant::ClocksRunAway), false) => WHOLE + RUN_AWAY,
            (Some(_) | None, _) => WHOLE - drift + self.clock_rng.below(2 * drift + 1),
        };
        Clock { ahead, rate }
    }

    /// What lasts so long on any process's clock is over by then.
    pub(crate) fn at_most(&self, span: Time) -> Time {
        span * WHOLE / (WHOLE - self.setup.drift)
    }

    /// What lasts so long on any process's clock is not over before.
    pub(crate) fn at_least(&self, span: Time) -> Time {
        span * WHOLE / (WHOLE + self.setup.drift)
    }

    /// The clock of a node's host is set: until its next renewal nobody knows how far off it is.
    pub(crate) fn jump_node_clock(&mut self, node: usize) {
        self.counts.node_clock_jumps += 1;
        self.database.unmeasured[node] = true;
        let (jump, drift) = (self.draw_jump(), self.clock_rng.pick(&[0, 0, 1_000, 100_000, 300_000]).unwrap());
        let right = WallClock::right(self.server.wall_offset);
        let clock = &mut self.wall_clocks[node];
        let is_right = *clock == right;
        let drift = if self.clock_rng.per_mille(500) { drift } else { -drift };
        self.counts.drifting_walls += u64::from(is_right && drift != 0);
        // Whoever notices sets it right.
        *clock = if is_right { WallClock { set_ahead: right.set_ahead + jump, drift, since: self.now } } else { right };
        self.wrong_clock_at[node] = self.now;
    }

    /// What the host's clock is ahead of the database's, as a renewal measures it.
    pub(crate) fn clock_off(&self, node: usize) -> i64 {
        self.wall_clocks[node].ahead(self.now) - self.server.wall_offset
    }
}
