//! Monitors that are not begun with all others: what [`komainu_watchdogs::beginning`] says of each, and what came of it.
//!
//! Life: *unknown* until its last beat and its past are read; then *free*, or it *wants* a turn as soon as it is due, *waits* for
//! it, and is *begun*; when that run is over it is free.

use komainu_watchdogs::beginning::{Beginning, Past};
use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Mono;

use super::Shard;
use super::memory::HeldMonitor;
use crate::node::beginner::RunNews;

/// Where a monitor stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// What is noted of it.
    Unknown(Past),
    /// It runs when it is due.
    Free,
    /// When it is due it is to be said that it wants this.
    Wants(Beginning),
    /// That is said.
    Waits,
    /// Its first run, by itself or with few others.
    Begun,
}

impl HeldMonitor {
    /// Its last beat is known.
    pub(super) fn decide_turn(&mut self, last_beat: Option<i64>) {
        let Turn::Unknown(past) = self.turn else { return };
        // Nothing is asked of a target for these.
        let is_idle = matches!(self.spec.kind.as_str(), "push" | "manual");
        self.turn = match (Past { last_beat, ..past }).beginning() {
            Beginning::AtOnce => Turn::Free,
            _ if is_idle => Turn::Free,
            beginning @ (Beginning::Apart | Beginning::Alone | Beginning::PutAside) => Turn::Wants(beginning),
        };
    }
}

impl Shard {
    /// Which of these were never asked for their past.
    pub fn unknown(&self, monitors: &[MonitorId]) -> Vec<MonitorId> {
        let is_unknown =
            |monitor: &&MonitorId| self.held.get(monitor).is_some_and(|held| matches!(held.turn, Turn::Unknown(_)));
        monitors.iter().filter(is_unknown).copied().collect()
    }

    /// What was noted of them before they were started here.
    pub fn recall(&mut self, pasts: &[(MonitorId, Past)]) {
        for (monitor, past) in pasts {
            if let Some(held) = self.held.get_mut(monitor)
                && let Turn::Unknown(known) = &mut held.turn
            {
                *known = *past;
            }
        }
    }

    /// It is their turn.
    pub fn begin_apart(&mut self, now: Mono, monitors: impl IntoIterator<Item = MonitorId>) {
        for monitor in monitors {
            if let Some(held) = self.held.get_mut(&monitor)
                && held.turn == Turn::Waits
            {
                held.turn = Turn::Begun;
                self.schedule.set(monitor, now);
            }
        }
    }

    /// What there is to say of turns since the last time.
    pub fn said(&mut self) -> Vec<RunNews> {
        std::mem::take(&mut self.said)
    }

    /// Whether it may run now that it is due; otherwise what it wants is said.
    pub(super) fn is_its_turn((monitor, turn): (MonitorId, &mut Turn), said: &mut Vec<RunNews>) -> bool {
        match *turn {
            Turn::Free | Turn::Begun => true,
            Turn::Unknown(_) | Turn::Waits => false,
            Turn::Wants(beginning) => {
                said.push(RunNews::Wants(monitor, beginning));
                *turn = Turn::Waits;
                false
            }
        }
    }

    /// Its run is over, and this process lives; or it is not to run here.
    pub(super) fn end_turn(held: &mut HeldMonitor, said: &mut Vec<RunNews>) {
        if matches!(held.turn, Turn::Waits | Turn::Begun) {
            said.push(RunNews::Over(held.spec.id));
            held.turn = Turn::Free;
        }
    }
}
