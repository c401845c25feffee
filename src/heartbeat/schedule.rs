//! When a heartbeat is due: every so often, or by a cron expression in a time zone.
//!
//! Cron as Vixie's: where one of the two day fields begins with a star, both must hold, else either is enough. A job set for an hour that the clock skips in spring is due right after the gap, one that stands in
//! the hour that comes twice in autumn is due once, and one that runs every so many minutes is due in both.

use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use komainu_watchdogs::time::Wall;
use thiserror::Error;

use crate::store::heartbeats::Definition;

/// A schedule, without its grace.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// So long after the last push.
    Period(Duration),
    /// At the next time that matches.
    Cron(Box<Cron>, TimeZone),
}

/// Why a text is no schedule.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ScheduleError {
    /// The expression.
    #[error("{0}; five fields as in crontab(5), or @daily and its kin")]
    Cron(String),
    /// An expression such as 30 February.
    #[error("it never comes true")]
    Never,
    /// The zone.
    #[error("there is no time zone {0:?}; names are those of the IANA database, such as Europe/Berlin")]
    Zone(String),
}

impl ScheduleError {
    /// Whose fault it is.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Cron(_) | Self::Never => "cron",
            Self::Zone(_) => "time_zone",
        }
    }
}

impl Schedule {
    /// Of a heartbeat, as it is kept.
    pub fn of(definition: &Definition, now: Wall) -> Result<Self, ScheduleError> {
        let Definition { period_s, cron, time_zone, .. } = definition;
        match (period_s, cron) {
            (Some(period), _) => Ok(Self::Period(Duration::from_secs(u64::from(*period)))),
            (None, Some(cron)) => Self::cron(cron, time_zone.as_deref().unwrap_or("UTC"), now),
            (None, None) => Err(ScheduleError::Cron("neither period_s nor cron is given".to_owned())),
        }
    }

    /// A cron schedule that is due at some time after `now`.
    pub fn cron(expression: &str, zone: &str, now: Wall) -> Result<Self, ScheduleError> {
        let cron = parse(expression).map_err(|error| ScheduleError::Cron(error.to_string()))?;
        let zone = TimeZone::get(zone).map_err(|_| ScheduleError::Zone(zone.to_owned()))?;
        let schedule = Self::Cron(Box::new(cron), zone);
        if schedule.next_due(now).is_none() {
            return Err(ScheduleError::Never);
        }
        Ok(schedule)
    }

    /// When it is due next, after this moment; `None`: never again.
    #[must_use]
    pub fn next_due(&self, after: Wall) -> Option<Wall> {
        match self {
            Self::Period(period) => Some(after + *period),
            Self::Cron(cron, zone) => {
                let after = Timestamp::from_millisecond(after.0).ok()?.to_zoned(zone.clone());
                let due = cron.find_next_occurrence(&after, false).ok()?;
                Some(Wall(due.timestamp().as_millisecond()))
            }
        }
    }
}

fn parse(expression: &str) -> Result<Cron, CronError> {
    // The one name of crontab(5) that the library does not know.
    let is_midnight = expression.trim().eq_ignore_ascii_case("@midnight");
    let expression = if is_midnight { "@daily" } else { expression };
    let mut fields = expression.split_ascii_whitespace().skip(2);
    let (days, weekdays) = (fields.next(), fields.nth(1));
    // The library lets a lone star alone mean both; to cron it is the first character that says so: `*/2`, too.
    let do_both_hold = [days, weekdays].into_iter().flatten().any(|field| field.starts_with('*'));
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
    parser.dom_and_dow(do_both_hold).build().parse(expression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn due(expression: &str, zone: &str, after: &str) -> Vec<String> {
        let mut at = wall(after);
        let schedule = Schedule::cron(expression, zone, at).unwrap();
        let next = (0..3).map(|_| {
            at = schedule.next_due(at).unwrap();
            Timestamp::from_millisecond(at.0).unwrap().to_string()
        });
        next.collect()
    }

    #[test]
    fn a_period_counts_from_the_push() {
        assert_eq!(Schedule::Period(Duration::from_secs(60)).next_due(Wall(5_000)), Some(Wall(65_000)));
    }

    #[test]
    fn an_hour_that_the_clock_skips_is_due_right_after_the_gap() {
        // 02:30 does not exist in Berlin on 29 March 2026: the clock goes from 02:00 +01 to 03:00 +02.
        assert_eq!(
            due("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
        );
    }

    #[test]
    fn an_hour_that_comes_twice_is_due_once_unless_the_job_runs_all_the_time() {
        assert_eq!(
            due("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z"),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]
        );
        assert_eq!(
            due("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z"),
            ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]
        );
    }

    #[test]
    fn a_midnight_that_does_not_exist_loses_no_day() {
        assert_eq!(
            due("0 0 * * *", "America/Santiago", "2026-09-05T10:00:00Z"),
            ["2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z", "2026-09-08T03:00:00Z"]
        );
    }

    #[test]
    fn both_day_fields_hold_where_one_begins_with_a_star_and_either_where_none_does() {
        // The first Sunday of a month, as crontab(5) would have it.
        assert_eq!(
            due("0 9 1-7 * */7", "UTC", "2026-01-01T00:00:00Z"),
            ["2026-01-04T09:00:00Z", "2026-02-01T09:00:00Z", "2026-03-01T09:00:00Z"]
        );
        // Mondays that are odd days of the month.
        assert_eq!(
            due("0 9 */2 * 1", "UTC", "2026-01-01T00:00:00Z"),
            ["2026-01-05T09:00:00Z", "2026-01-19T09:00:00Z", "2026-02-09T09:00:00Z"]
        );
        assert_eq!(
            due("0 9 1 * 1", "UTC", "2026-01-01T10:00:00Z"),
            ["2026-01-05T09:00:00Z", "2026-01-12T09:00:00Z", "2026-01-19T09:00:00Z"]
        );
        assert_eq!(due("0 9 * * 1", "UTC", "2026-01-01T10:00:00Z")[0], "2026-01-05T09:00:00Z");
    }

    #[test]
    fn midnight_is_every_day() {
        assert_eq!(due("@midnight", "UTC", "2026-01-01T10:00:00Z"), due("@daily", "UTC", "2026-01-01T10:00:00Z"));
        assert_eq!(due(" @Midnight ", "UTC", "2026-01-01T10:00:00Z")[0], "2026-01-02T00:00:00Z");
    }

    #[test]
    fn what_is_no_schedule_names_its_field() {
        let fault = |expression: &str, zone: &str| {
            let error = Schedule::cron(expression, zone, wall("2026-01-01T00:00:00Z")).unwrap_err();
            (error.field(), error.to_string())
        };
        for expression in ["", "0 2 * *", "61 * * * *", "*/5 * * * * *", "nightly"] {
            let (field, problem) = fault(expression, "UTC");
            assert_eq!((field, problem.contains("five fields as in crontab(5)")), ("cron", true), "{expression}");
        }
        assert_eq!(fault("0 0 30 2 *", "UTC"), ("cron", "it never comes true".to_owned()));
        let named = "there is no time zone \"Berlin\"; names are those of the IANA database, such as Europe/Berlin";
        assert_eq!(fault("@daily", "Berlin"), ("time_zone", named.to_owned()));
    }
}
