//! When a maintenance window is on, by the rules of Uptime Kuma 2.5.3 (`server/model/maintenance.js`).
//!
//! Pure. Dates are wall-clock time in the window's zone. A cron expression says when a window begins, its duration how
//! long it lasts. Where clocks change, it begins as with Kuma's own cron library: what stands in the hour that is
//! skipped, an hour later by the clock; what stands in the hour that comes twice, the second time.
//!
//! Kuma keeps in memory when a window of `recurring-interval` began last, and counts its days from when the server was
//! started. Here they are counted from the first time it can begin, so that all nodes agree.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit, Zoned};
use komainu_watchdogs::time::Wall;
use thiserror::Error;

use crate::store::windows::WindowRow;

/// Beginnings that are looked through for one that counts.
const LOOKED_THROUGH: usize = 100;

/// A stretch of time; the end is not part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// When it begins.
    pub from: Wall,
    /// When it is over.
    pub until: Wall,
}

impl Span {
    /// Without beginning and end.
    pub const ALWAYS: Self = Self { from: Wall(i64::MIN), until: Wall(i64::MAX) };

    /// Whether this moment is part of it.
    pub fn contains(&self, at: Wall) -> bool {
        self.from <= at && at < self.until
    }

    fn within(self, other: Self) -> Option<Self> {
        let common = Self { from: self.from.max(other.from), until: self.until.min(other.until) };
        (common.from < common.until).then_some(common)
    }
}

/// Why a window never begins. Kuma logs the same, or shows the window as unknown.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WindowError {
    /// Its expression.
    #[error("its cron expression {0:?} cannot be read: {1}")]
    Cron(String, String),
    /// Its zone.
    #[error("there is no time zone {0:?}")]
    Zone(String),
    /// It recurs, and has no hour.
    #[error("it has no start time")]
    StartTime,
    /// It recurs, and has no end.
    #[error("it has no duration")]
    Duration,
    /// Its days.
    #[error("its days {0:?} are no list")]
    Days(String),
}

/// When a maintenance window is on.
#[derive(Clone, Debug)]
pub struct Window {
    /// By its dates.
    bounds: Span,
    /// `None`: all the time.
    recurring: Option<Recurring>,
}

#[derive(Clone, Debug)]
struct Recurring {
    cron: Box<Cron>,
    zone: TimeZone,
    lasts: Duration,
    /// Begins after this point only.
    after: Option<Wall>,
    /// Every so many days.
    every: Option<i64>,
}

impl Window {
    /// Of a row. `server_zone` is that of `SAME_AS_SERVER`.
    pub fn read(row: &WindowRow, server_zone: &TimeZone) -> Result<Self, WindowError> {
        if row.strategy == "manual" {
            return Ok(Self { bounds: Span::ALWAYS, recurring: None });
        }
        let zone = zone(row, server_zone)?;
        let point = |date: &Option<String>| date.as_deref().and_then(civil).and_then(|date| instant(date, &zone));
        // Kuma's window is still on at the very millisecond of its end.
        let until = point(&row.end_date).map(|end| Wall(end.0.saturating_add(1)));
        let bounds = Span {
            from: point(&row.start_date).unwrap_or(Span::ALWAYS.from),
            until: until.unwrap_or(Span::ALWAYS.until),
        };
        if row.strategy == "single" {
            return Ok(Self { bounds, recurring: None });
        }
        Ok(Self { bounds, recurring: Some(Recurring::read(row, zone, server_zone)?) })
    }

    /// When it is on between these points; of several stretches the first.
    pub fn span(&self, now: Wall, ahead: Wall) -> Option<Span> {
        let span = match &self.recurring {
            None => Some(Span::ALWAYS),
            Some(recurring) => recurring.span(now, ahead),
        };
        let span = span?.within(self.bounds)?;
        (span.from <= ahead && now < span.until).then_some(span)
    }
}

impl Recurring {
    fn read(row: &WindowRow, zone: TimeZone, server_zone: &TimeZone) -> Result<Self, WindowError> {
        // Rows of old versions have no expression; Kuma makes it when it loads them.
        let (expression, lasts) = match row.cron.as_deref().filter(|cron| !cron.is_empty()) {
            Some(cron) => (cron.to_owned(), row.duration),
            None => (made_cron(row)?, Some(made_duration(row)?)),
        };
        let cron = parse(&expression).map_err(|problem| WindowError::Cron(expression, problem))?;
        let lasts = lasts.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        let lasts = Duration::from_secs(lasts.ok_or(WindowError::Duration)?);
        let mut recurring = Self { cron: Box::new(cron), zone, lasts, after: None, every: None };
        if row.strategy == "recurring-interval" {
            let time = time_of(row.start_time.as_deref())?;
            let start = row.start_date.as_deref().and_then(civil);
            // As Kuma does, in the server's zone; its cron library begins after this point, not at it.
            recurring.after = start.and_then(|start| instant(start.date().to_datetime(time), server_zone));
            recurring.every = row.interval_day.filter(|days| *days > 1 && recurring.after.is_some());
        }
        Ok(recurring)
    }

    fn span(&self, now: Wall, ahead: Wall) -> Option<Span> {
        let lasts_ms = i64::try_from(self.lasts.as_millis()).unwrap_or(i64::MAX);
        let from = self.first_after(Wall(now.0.saturating_sub(lasts_ms)), ahead)?;
        let mut until = from + self.lasts;
        // One that begins before the last is over prolongs it.
        while until < ahead {
            let Some(next) = self.first_after(Wall(until.0.saturating_sub(lasts_ms)), until) else { break };
            until = next + self.lasts;
        }
        Some(Span { from, until })
    }

    /// The first beginning that counts after one point, up to another.
    fn first_after(&self, after: Wall, up_to: Wall) -> Option<Wall> {
        let mut at = self.after.map_or(after, |start| after.max(start));
        for _ in 0..LOOKED_THROUGH {
            at = self.next(at)?;
            if at > up_to {
                return None;
            }
            if self.counts(at) {
                return Some(at);
            }
        }
        None
    }

    fn counts(&self, at: Wall) -> bool {
        let (Some(every), Some(start)) = (self.every, self.after) else { return true };
        let days = || {
            let first = zoned(self.next(start)?, &self.zone)?;
            let days = first.date().until((Unit::Day, zoned(at, &self.zone)?.date())).ok()?;
            Some(i64::from(days.get_days()))
        };
        days().is_some_and(|days| days % every == 0)
    }

    /// By the clock on the wall, as if it never changed; where it does, [`instant`] says which moment is meant.
    fn next(&self, after: Wall) -> Option<Wall> {
        let mut civil = zoned(after, &self.zone)?.datetime();
        for _ in 0..LOOKED_THROUGH {
            let carrier = civil.to_zoned(TimeZone::UTC).ok()?;
            civil = self.cron.find_next_occurrence(&carrier, false).ok()?.datetime();
            let next = instant(civil, &self.zone)?;
            if next > after {
                return Some(next);
            }
        }
        None
    }
}

fn parse(expression: &str) -> Result<Cron, String> {
    // What Kuma's library takes: five or six fields, `0/10`, no years.
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).sloppy_ranges(true).build();
    parser.parse(expression).map_err(|error| error.to_string())
}

/// A row without expression and zone is of a version that knew UTC only.
fn zone(row: &WindowRow, server_zone: &TimeZone) -> Result<TimeZone, WindowError> {
    let name = row.timezone.as_deref().filter(|name| !name.is_empty());
    match name {
        None if row.cron.as_deref().unwrap_or_default().is_empty() => Ok(TimeZone::UTC),
        None | Some("SAME_AS_SERVER") => Ok(server_zone.clone()),
        Some(name) => TimeZone::get(name).map_err(|_| WindowError::Zone(name.to_owned())),
    }
}

fn made_cron(row: &WindowRow) -> Result<String, WindowError> {
    if !row.strategy.starts_with("recurring-") {
        return Err(WindowError::Cron(String::new(), "there is none".to_owned()));
    }
    let time = time_of(row.start_time.as_deref())?;
    let (minute, hour) = (time.minute(), time.hour());
    Ok(match row.strategy.as_str() {
        "recurring-weekday" => format!("{minute} {hour} * * {}", days(row.weekdays.as_deref())?),
        "recurring-day-of-month" => format!("{minute} {hour} {} * *", days(row.days_of_month.as_deref())?),
        "recurring-interval" => format!("{minute} {hour} * * *"),
        _ => String::new(),
    })
}

fn made_duration(row: &WindowRow) -> Result<i64, WindowError> {
    let seconds_of = |time: Time| i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60;
    let (start, end) = (seconds_of(time_of(row.start_time.as_deref())?), seconds_of(time_of(row.end_time.as_deref())?));
    Ok((end - start).rem_euclid(24 * 3_600))
}

/// As cron writes them. Of the days before the last one cron knows none, and Kuma leaves them out too.
fn days(list: Option<&str>) -> Result<String, WindowError> {
    let text = list.unwrap_or_default();
    let list: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| WindowError::Days(text.to_owned()))?;
    let one = |day: serde_json::Value| match day.as_str() {
        Some("lastDay1") => Some("L".to_owned()),
        Some(day) if day.starts_with("lastDay") => None,
        Some(day) => Some(day.to_owned()),
        None => Some(day.to_string()),
    };
    Ok(list.into_iter().filter_map(one).collect::<Vec<_>>().join(","))
}

fn time_of(text: Option<&str>) -> Result<Time, WindowError> {
    text.and_then(|text| text.trim().parse().ok()).ok_or(WindowError::StartTime)
}

/// A date as Kuma's UI stores it; whatever is no date counts as none.
fn civil(text: &str) -> Option<DateTime> {
    text.trim().trim_end_matches('Z').parse().ok()
}

/// Skipped: later by what is skipped. Twice: the second time.
fn instant(civil: DateTime, zone: &TimeZone) -> Option<Wall> {
    let zoned = zone.to_ambiguous_zoned(civil).later().ok()?;
    Some(Wall(zoned.timestamp().as_millisecond()))
}

fn zoned(at: Wall, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests;
