//! When a silence that comes again is in force.

use std::time::Duration;

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use crate::heartbeat::schedule::Schedule;

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

    /// Whether one of its times is on. What cannot be read is not, so that people are rather told.
    pub(super) fn is_on(&self, now: Wall) -> bool {
        let lasts = Duration::from_secs(self.duration_s);
        let before = Wall(now.0.saturating_sub(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)));
        let schedule = Schedule::cron(&self.cron, &self.time_zone, before);
        schedule.ok().and_then(|schedule| schedule.next_due(before)).is_some_and(|began| began <= now)
    }
}
