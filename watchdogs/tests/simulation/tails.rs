//! What a database forgot that had answered, and which watchdog has to say so.
//!
//! The judge keeps its own count of the writes that each process was answered. Whoever was answered one that is gone owes a
//! word of it; whoever says so without a loss of its own row raised a false alarm.

use komainu_watchdogs::ids::{Incarnation, WatchdogId};
use komainu_watchdogs::io::{Input, Write};
use komainu_watchdogs::tail::{LostTail, Remembrance};

use super::events::{SEC, Time, Who};
use super::model_store::Database;
use super::variants::Variant;
use super::world::{Life, World};

/// Between two times that a process keeps what the next one has to know.
const KEPT_EACH: Time = 10 * SEC;

/// A loss is told so long after everything was healed: the watchdog has written its row and read it.
const TOLD_WITHIN: Time = 15 * SEC;

/// Of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnTail {
    answered: u64,
    /// Since when it has to tell of a loss.
    owes_since: Option<Time>,
    told: u64,
}

/// Of all processes of one watchdog.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tails {
    /// How often writes of its row were lost.
    losses: u64,
    remembrance: Remembrance,
    kept_at: Time,
}

impl World {
    /// What a process is started with: every other one has the folder of the one before.
    pub(crate) fn remembered(&mut self, id: usize, incarnation: Incarnation) -> Remembrance {
        let is_kept = incarnation.0 & 8 == 0;
        let remembrance = if is_kept { self.tails[id].remembrance } else { Remembrance::default() };
        self.counts.remembering += u64::from(remembrance.born.is_some());
        remembrance
    }

    /// The row was written by this process: which number it bears at least, if the write knew the row.
    pub(crate) fn note_row_written(&mut self, dog: usize, write: &Write) -> Option<u64> {
        let (id, me) = (self.dogs[dog].id, self.dogs[dog].incarnation);
        for other in self.dogs.iter_mut().filter(|other| other.id == id && other.incarnation != me) {
            // Its row is another's: it may not write any more.
            other.tail.owes_since = None;
        }
        let name = self.dogs[dog].name();
        let entry = self.database.watchdogs.iter_mut().find(|entry| entry.row.watchdog == name)?;
        if self.variant == Some(Variant::LossOverwritten) {
            entry.counter.loss.take_if(|mark| mark.answered != write.claim.answered);
        }
        let is_about_it = write.claim.born.is_some() && write.claim.born == entry.counter.born;
        is_about_it.then_some(write.claim.next)
    }

    pub(crate) fn note_answered(&mut self, dog: usize, number: Option<u64>) {
        let process = &mut self.dogs[dog];
        process.tail.answered = process.tail.answered.max(number.unwrap_or_default());
        let kept = &mut self.tails[process.id];
        if self.now >= kept.kept_at + KEPT_EACH {
            (kept.kept_at, kept.remembrance) = (self.now, process.core.remembrance());
        }
    }

    /// The database is about to become this one.
    pub(crate) fn note_lost_writes(&mut self, next: &Database) {
        for process in self.dogs.iter_mut().filter(|dog| dog.life != Life::Dead) {
            let name = process.name();
            let (Some(now), Some(kept)) = (self.database.entry_of(&name), next.entry_of(&name)) else { continue };
            let is_lost = now.counter.born == kept.counter.born && process.tail.answered > kept.counter.writes;
            if is_lost && now.row.incarnation == process.incarnation {
                process.tail.owes_since.get_or_insert(self.now);
            }
        }
        for entry in &self.database.watchdogs {
            let kept = next.entry_of(&entry.row.watchdog).map_or(0, |kept| kept.counter.writes);
            let id = super::model_store::dog_index(&entry.row.watchdog);
            self.tails[id].losses += u64::from(entry.counter.writes > kept);
        }
    }

    pub(crate) fn take_lost_tail(&mut self, dog: usize, loss: &LostTail) {
        self.trace(&(dog, "lost tail", loss));
        self.counts.found_tails += 1;
        let process = &mut self.dogs[dog];
        self.counts.remembered_tails += u64::from(process.tail.answered == 0);
        process.tail.told += 1;
        process.tail.owes_since = None;
        let found = invariant_no_false_loss(process.tail.told, &self.tails[process.id], dog);
        self.judge(found);
        self.wake_dog(dog, Input::TailEntered(loss.answered, Ok(())));
    }
}

/// Who tells of a loss has lost something.
fn invariant_no_false_loss(told: u64, tails: &Tails, dog: usize) -> Result<(), String> {
    if told <= tails.losses {
        return Ok(());
    }
    Err(format!("no_false_loss: process {dog} told of {told} lost tails, there were {}", tails.losses))
}

/// Whoever was answered what is gone has told of it.
pub(crate) fn invariant_losses_are_told(world: &World, healed_at: Time) -> Result<(), String> {
    for (dog, process) in world.dogs.iter().enumerate() {
        let is_there = world.is_running(Who::Dog(dog)) && !process.is_stopping;
        let is_due = |since: &Time| world.now.saturating_sub(healed_at.max(*since)) > world.at_most(TOLD_WITHIN);
        let since = process.tail.owes_since.filter(|since| is_there && is_due(since));
        if let Some(since) = since {
            return Err(format!("losses_are_told: process {dog} has not told of what was lost at {since}"));
        }
    }
    Ok(())
}

impl super::dog::Dog {
    pub(crate) fn name(&self) -> WatchdogId {
        WatchdogId::from(format!("w{}", self.id + 1))
    }
}
