//! When a silence that comes again is in force.

use std::time::Duration;

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use crate::heartbeat::schedule::Schedule;

/// As many times are looked at to tell whether one runs into the next.
const LOOKED_AT: usize = 400;

/// Begins by a cron expression in a time zone, and lasts so long each time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recurrence {
    /// Five fields as in crontab(5).
    pub cron: String,
    /// How long each time.
    pub duration_s: u64,
    /// IANA name.
    pub time_zone: String,
}

impl Recurrence {
    /// Why it could not be used, with the field to blame.
    pub fn check(&self, now: Wall) -> Result<(), (&'static str, String)> {
        let schedule = Schedule::cron(&self.cron, &self.time_zone, now);
        schedule.map(|_| ()).map_err(|error| (error.field(), error.to_string()))
    }

    /// The first of its times that is not over by then, from when until when.
    pub fn time_from(&self, now: Wall) -> Option<(Wall, Wall)> {
        let before = Wall(now.0.saturating_sub(i64::try_from(self.lasts().as_millis()).unwrap_or(i64::MAX)));
        let schedule = Schedule::cron(&self.cron, &self.time_zone, before).ok()?;
        schedule.next_due(before).map(|began| (began, began + self.lasts()))
    }

    /// Whether, of the times that come next, one begins before the one before it is over.
    pub fn overlaps(&self, now: Wall) -> bool {
        let Ok(schedule) = Schedule::cron(&self.cron, &self.time_zone, now) else { return false };
        let begins = std::iter::successors(schedule.next_due(now), |began| schedule.next_due(*began));
        let begins: Vec<Wall> = begins.take(LOOKED_AT).collect();
        begins.windows(2).any(|pair| matches!(pair, [one, next] if *next < *one + self.lasts()))
    }

    /// Whether one of its times is on. What cannot be read is not, so that people are rather told.
    pub(super) fn is_on(&self, now: Wall) -> bool {
        self.time_from(now).is_some_and(|(began, _)| began <= now)
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(self.duration_s)
    }
}
