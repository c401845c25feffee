//! `/status` says 503 only with reason: not while every monitor is owned by a node that renews and is not behind.
//!
//! What a watchdog shows was read some seconds ago: only where all has been well for longer than that, and where it could
//! read all that time, is a 503 a false alarm. That monitors have no living owner is said by no watchdog then; anything
//! else by none that is spared.

use std::time::Duration;

use komainu_watchdogs::facts::NodeStatus;
use komainu_watchdogs::view::Health;

use super::events::{SEC, Time, Who};
use super::model_store::RUN_LIMIT;
use super::world::{Life, World};

/// A lease must be seen to move, and progress is read every five seconds, twice.
const LAG: Time = 15 * SEC;

/// Longer gaps between its reads are gaps in what it knows.
const STEADY: Time = 4 * SEC;

/// Three intervals without a write, and `/status` is 503 for that.
const WRITES: Duration = Duration::from_secs(15);

/// Counts are read every five seconds.
const STEADY_COUNTS: Time = 9 * SEC;

impl World {
    /// Once a second.
    pub(crate) fn check_calm(&mut self) {
        self.note_doubts();
        let found = self.invariant_no_orphans_while_owned();
        self.judge(found);
    }

    /// `/status` may be 503 while a monitor is not watched, and while no node is online.
    fn note_doubts(&mut self) {
        let runs = |node: usize| {
            let is_held = self.ledger.nodes[node].holder.is_some();
            is_held && self.database.nodes[node].status == NodeStatus::Online
        };
        let is_none_online = !(0..self.setup.nodes).any(runs);
        let watch: Vec<_> = (0..self.setup.nodes).map(|node| self.watches(node)).collect();
        let is_unwatched = |monitor: usize| {
            let row = &self.database.monitors[monitor];
            let owner = row.effective().filter(|node| self.database.nodes[*node].runs(row.kind));
            row.runs() && !owner.is_some_and(|node| watch[node])
        };
        // What was behind when that was last read is not known to have caught up.
        let is_any_stalled = self.database.nodes.iter().any(|row| row.status == NodeStatus::Stalled);
        let is_blind = self.blows.cannot_see(self.now) && is_any_stalled;
        if is_blind || (0..self.database.monitors.len()).any(is_unwatched) {
            self.blows.unowned_at = self.now;
        }
        // What is wrong can be neither entered nor called over: that is no calm either.
        let cannot_tell = self.blows.cannot_tell(self.now);
        if is_none_online || cannot_tell || self.blows.unowned_at == self.now {
            self.blows.doubt_at = self.now;
        }
    }

    /// It renews, and most of what it runs is not overdue.
    fn watches(&self, node: usize) -> bool {
        let own = self.database.monitors.iter().filter(|row| row.runs() && row.effective() == Some(node));
        let probing: Vec<_> = own.filter(|row| !row.is_push()).collect();
        let is_late = |since: Time, interval: Time| self.now.saturating_sub(since) > 2 * interval + RUN_LIMIT;
        let late = probing.iter().filter(|row| is_late(row.last_beat_at.max(row.due_since), row.interval)).count();
        let log = &self.ledger.nodes[node];
        let is_measured = !self.database.unmeasured[node] && self.now >= self.server.skewed_until;
        log.holder.is_some() && self.now - log.renewed_at < 3 * SEC && 2 * late <= probing.len() && is_measured
    }

    /// It has read and counted without a gap for long enough.
    fn is_steady(&self, dog: usize) -> bool {
        let process = &self.dogs[dog];
        let is_there = process.life == Life::Running && !process.is_stopping;
        let reads = self.now - process.read_at < STEADY && self.now - process.reads_since > LAG;
        is_there && reads && self.now - process.counted_at < STEADY_COUNTS && self.now - process.counts_since > LAG
    }

    /// No watchdog that can read says that monitors have no living owner while all have one.
    fn invariant_no_orphans_while_owned(&mut self) -> Result<(), String> {
        if self.now < self.blows.unowned_at + self.at_most(LAG) {
            return Ok(());
        }
        for dog in (0..self.dogs.len()).filter(|dog| self.is_steady(*dog)).collect::<Vec<_>>() {
            // Whoever writes nothing, superseded by a twin perhaps, is no watchdog any more and says so.
            let (core, now) = (&self.dogs[dog].core, self.local(Who::Dog(dog)));
            if core.written_at().is_none_or(|at| now.since(at) > WRITES) {
                continue;
            }
            let view = self.dogs[dog].core.view(self.local(Who::Dog(dog)));
            self.counts.owned_views += 1;
            if view.monitors.orphaned > 0 {
                let reasons = view.reasons;
                return Err(format!("no_false_alarm: watchdog {dog} misses owners while all is owned: {reasons:?}"));
            }
        }
        Ok(())
    }

    /// `/status` of a spared watchdog is not 503 while every monitor is owned and some node is online.
    pub(crate) fn invariant_no_false_alarm_in_status(&mut self) -> Result<(), String> {
        if self.now < self.blows.doubt_at + self.at_most(LAG) {
            return Ok(());
        }
        for (index, dog) in self.dogs.iter().enumerate() {
            let is_settled = self.now - dog.born_at > 30 * SEC && dog.life == Life::Running && !dog.is_stopping;
            if dog.id >= self.setup.spared() || !is_settled {
                continue;
            }
            let view = dog.core.view(self.local(Who::Dog(index)));
            self.counts.calm_views += 1;
            if view.status == Health::Down {
                return Err(format!(
                    "no_false_alarm: watchdog {index} says 503 while all is owned: {:?}",
                    view.reasons
                ));
            }
        }
        Ok(())
    }
}
