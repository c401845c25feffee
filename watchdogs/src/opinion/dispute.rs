//! Whether the watchdogs and a node contradict each other so that people are to hear of it, and when that is over.
//!
//! Begins where a node says down and no majority of the watchdogs does, if a second opinion is required or Kuma itself tells what the
//! node says; and where a node says up and a majority has seen it down for three intervals. Ends when they agree, when the node is
//! believed all the same, or when nobody asks any more. A monitor in maintenance, or one that is being tried again (PENDING), neither begins
//! nor ends anything. Whatever it is, it is a warning: nobody gets up for it unless a route says so.

use std::time::Duration;

use super::{Record, Seen, Wish};
use crate::time::Wall;

/// A node that says up is contradicted once the watchdogs have seen the monitor down for so many of its intervals.
const INTERVALS: u32 = 3;

/// What its node says of a monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// Down, by the change with this number.
    Down(i64),
    /// Up.
    Up,
    /// Neither: in maintenance, being tried again, or nothing yet.
    Neither,
    /// Nobody looks: it was paused.
    Paused,
    /// There is no such monitor.
    Gone,
}

/// Who tells people that a monitor is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Teller {
    /// komainu, and has not.
    Komainu,
    /// komainu, and has.
    Told,
    /// Kuma's own notifications, or nobody: komainu holds nothing back.
    Kuma,
}

/// All that decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case<'a> {
    /// By the database's clock.
    pub now: Wall,
    /// Off where it is left out.
    pub wish: Wish,
    /// What the node says.
    pub said: Said,
    /// Who tells it.
    pub teller: Teller,
    /// From one run of the monitor to the next.
    pub interval: Duration,
    /// What the watchdogs say.
    pub record: Option<&'a Record>,
    /// The disagreement is told already.
    pub is_open: bool,
}

/// Who stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dissent {
    /// The node: it says down.
    Node,
    /// The watchdogs: they see it down, and the node says up.
    Watchdogs,
}

/// Why a disagreement is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// The watchdogs see it down too.
    Agreed,
    /// The monitor is told as its node says it.
    Told,
    /// The node says that it is up.
    Up,
    /// The watchdogs see it up again.
    SeenUp,
    /// It was paused.
    Paused,
    /// It was deleted.
    Deleted,
    /// Nobody asks for a second opinion any more.
    Unwished,
    /// The watchdogs could not look for long.
    Unseen,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing.
    Leave,
    /// The watchdogs are to be asked, about this change.
    Ask(i64),
    /// People are told that they contradict each other.
    Open(Dissent),
    /// And that it is over.
    End(Over),
    /// What the watchdogs said matters no more.
    Forget,
}

impl Step {
    /// The record goes with it.
    pub fn forgets(self) -> bool {
        match self {
            Self::Leave | Self::Ask(_) | Self::Open(_) | Self::End(Over::Agreed | Over::Told) => false,
            Self::Forget | Self::End(_) => true,
        }
    }
}

/// Decides.
pub fn dispute(case: &Case<'_>) -> Step {
    match case.said {
        Said::Gone => case.over(Over::Deleted),
        Said::Paused => case.over(Over::Paused),
        Said::Down(_) | Said::Up | Said::Neither if case.wish == Wish::Off => case.over(Over::Unwished),
        Said::Neither => Step::Leave,
        Said::Down(change) => case.down(change),
        Said::Up => case.up(),
    }
}

/// Whether the watchdogs go on looking, after what they saw last: for as long as it may change what people are told.
pub fn looks_on(case: &Case<'_>) -> bool {
    let Some(record) = case.record else { return false };
    match (record.change, record.seen) {
        // Of what is up by its node: until it is forgotten.
        (_, None) | (0, _) => true,
        (_, Some(Seen::Down)) => false,
        (_, Some(Seen::Nothing)) => case.teller == Teller::Kuma,
        (_, Some(Seen::Up | Seen::Split)) => match case.teller {
            Teller::Kuma => true,
            Teller::Komainu => case.wish == Wish::Require,
            Teller::Told => false,
        },
    }
}

impl Case<'_> {
    fn over(&self, why: Over) -> Step {
        match (self.is_open, self.record) {
            (true, _) => Step::End(why),
            (false, Some(_)) => Step::Forget,
            (false, None) => Step::Leave,
        }
    }

    fn end(&self, why: Over) -> Step {
        if self.is_open { Step::End(why) } else { Step::Leave }
    }

    fn open(&self, dissent: Dissent) -> Step {
        if self.is_open { Step::Leave } else { Step::Open(dissent) }
    }

    fn down(&self, change: i64) -> Step {
        let record = self.record.filter(|record| record.change == change);
        match (self.teller, record) {
            (Teller::Told, _) => {
                let is_agreed = record.is_some_and(|record| record.seen == Some(Seen::Down));
                self.end(if is_agreed { Over::Agreed } else { Over::Told })
            }
            // Whoever is about to tell it asks.
            (Teller::Komainu, None) => Step::Leave,
            (Teller::Kuma, None) => Step::Ask(change),
            (Teller::Komainu, Some(record)) => match record.seen {
                Some(seen) if seen.denies_down() && self.wish == Wish::Require && !record.is_stale(self.now) => {
                    self.open(Dissent::Node)
                }
                // It is told with the next look at the monitor, which ends this.
                Some(Seen::Down | Seen::Up | Seen::Split | Seen::Nothing) | None => Step::Leave,
            },
            (Teller::Kuma, Some(record)) => match record.seen {
                Some(seen) if seen.denies_down() && record.is_stale(self.now) => self.end(Over::Unseen),
                Some(seen) if seen.denies_down() => self.open(Dissent::Node),
                Some(Seen::Down) => self.end(Over::Agreed),
                Some(Seen::Up | Seen::Split | Seen::Nothing) | None => Step::Leave,
            },
        }
    }

    fn up(&self) -> Step {
        let Some(record) = self.record.filter(|record| record.change == 0) else { return self.over(Over::Up) };
        match record.seen {
            Some(seen) if seen.denies_down() => self.over(Over::SeenUp),
            Some(_) if record.clear_at.is_some() && record.is_stale(self.now) => self.over(Over::Unseen),
            Some(Seen::Down) if record.is_down_for(self.now, self.interval * INTERVALS) => {
                self.open(Dissent::Watchdogs)
            }
            // Those who look next may be able to say more.
            Some(Seen::Nothing) if !self.is_open => Step::Forget,
            Some(Seen::Down | Seen::Up | Seen::Split | Seen::Nothing) | None => Step::Leave,
        }
    }
}
