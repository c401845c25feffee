//! Whether the ids of a table that grows will end, and when.
//!
//! Kuma's tables have ids of 32 bits. At their end the database refuses every new row: no beat of the whole cluster is
//! stored any more. That is known months before, so people are told months before: a warning at half, critical at four
//! fifths, with the date at which the ids end if rows come as they came in the last day.

use std::time::Duration;

use crate::io::{Alarm, Severity};
use crate::time::Wall;

/// The incident's key.
pub const KEY: &str = "capacity/ids";

/// In percent: time to plan.
const WARNING: u64 = 50;

/// In percent: time to act.
const CRITICAL: u64 = 80;

const DAY: Duration = Duration::from_secs(86_400);

/// A date further away than this is no date to plan by.
const FAR: u64 = 100 * 365;

/// The ids of one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdRange {
    /// The table's name.
    pub table: String,
    /// The last id that its column takes.
    pub limit: u64,
    /// The last id that was given.
    pub last: u64,
    /// Ids given in a day, as in the last one; `None`: there are too few rows to tell.
    pub per_day: Option<u64>,
}

impl IdRange {
    /// How much of the range is used.
    pub fn percent(&self) -> u64 {
        u64::try_from(u128::from(self.last) * 100 / u128::from(self.limit.max(1))).unwrap_or(100)
    }

    /// When the last id is given if all goes on as in the last day; `None`: not within a hundred years, or unknown.
    pub fn ends_at(&self, now: Wall) -> Option<Wall> {
        let per_day = self.per_day.filter(|ids| *ids > 0)?;
        let days = self.limit.saturating_sub(self.last) / per_day;
        let days = u32::try_from(days).ok().filter(|days| u64::from(*days) <= FAR)?;
        Some(now + DAY * days)
    }

    fn severity(&self) -> Option<Severity> {
        match self.percent() {
            CRITICAL.. => Some(Severity::Critical),
            WARNING.. => Some(Severity::Warning),
            _ => None,
        }
    }
}

/// What is wrong with them all; `date` says a point in time as people say it.
pub fn alarm(ranges: &[IdRange], now: Wall, date: impl Fn(Wall) -> String) -> Option<Alarm> {
    let severity = ranges.iter().filter_map(IdRange::severity).max()?;
    let words = ranges.iter().filter(|range| range.severity().is_some()).map(|range| {
        let end = range.ends_at(now).map(|at| format!(", at today's rate they end on {}", date(at)));
        format!("{} % of the ids of `{}` are used{}", range.percent(), range.table, end.unwrap_or_default())
    });
    let summary = format!("{}; then no beat can be stored", words.collect::<Vec<_>>().join("; "));
    Some(Alarm { key: KEY.to_owned(), severity, summary, votes: (0, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 4_294_967_295;

    fn beats(last: u64, per_day: Option<u64>) -> IdRange {
        IdRange { table: "heartbeat".to_owned(), limit: LIMIT, last, per_day }
    }

    fn told(range: IdRange) -> Option<(Severity, String)> {
        alarm(&[range], Wall(0), |at| format!("day {}", at.0 / 86_400_000)).map(|alarm| (alarm.severity, alarm.summary))
    }

    #[test]
    fn nobody_is_told_while_half_of_the_ids_are_left() {
        assert_eq!(told(beats(LIMIT / 2 - 1, Some(144_000_000))), None);
    }

    #[test]
    fn half_is_a_warning_that_names_the_date() {
        let (severity, summary) = told(beats(LIMIT / 2 + LIMIT / 100, Some(144_000_000))).unwrap();
        assert_eq!(severity, Severity::Warning);
        assert_eq!(
            summary,
            "50 % of the ids of `heartbeat` are used, at today's rate they end on day 14; then no beat can be stored"
        );
    }

    #[test]
    fn four_fifths_are_critical_also_where_no_rate_is_known() {
        let (severity, summary) = told(beats(LIMIT / 5 * 4 + LIMIT / 50, None)).unwrap();
        assert_eq!(severity, Severity::Critical);
        assert_eq!(summary, "81 % of the ids of `heartbeat` are used; then no beat can be stored");
    }

    #[test]
    fn a_table_of_64_bits_never_ends() {
        let wide = IdRange { limit: u64::MAX, ..beats(LIMIT, Some(144_000_000)) };
        assert_eq!((wide.percent(), wide.ends_at(Wall(0))), (0, None));
    }
}
