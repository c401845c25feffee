//! What was counted of checks: rows by the minute, folded into hours and days, from which percentages and graphs are made.
//!
//! Each watchdog counts its own looks and adds them to its minute. Beside them it notes which minute of which process that was, so that one
//! whose commit was done and not answered is not added again. How long each verdict stood every watchdog measures, and the one that
//! measured longest is believed: one that was started within the minute knows a part of it. Hours and days are made anew of what they
//! consist of, so that making them twice changes nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use komainu_watchdogs::ids::{Incarnation, WatchdogId};

use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::insert::inserted;
use crate::store::pool::{Store, in_transaction};
use crate::store::session::{Session, Sql};
use crate::store::value::{Row, Value, values};

/// Rows of one statement.
const MANY: usize = 500;

/// Minutes wait for the database for three hours at most: so much sooner than they are deleted rows count as gone.
const MARGIN: Duration = Duration::from_secs(4 * 3_600);

const ACT: &str = "count what was seen of checks";

/// How much time a row stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Span {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// A day of UTC.
    Day,
}

impl Span {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length.
    pub fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// When the one began that holds this second.
    pub fn of(self, second: i64) -> i64 {
        second.div_euclid(self.seconds()) * self.seconds()
    }

    /// How long its rows are kept: minutes for a day's graph, hours for a month's.
    pub fn kept(self) -> Duration {
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        match self {
            Self::Minute => hours(26),
            Self::Hour => hours(32 * 24),
            Self::Day => hours(400 * 24),
        }
    }
}

/// What one row counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Looks that succeeded.
    pub up: u32,
    /// Looks that failed.
    pub failed: u32,
    /// Looks that were own trouble.
    pub unable: u32,
    /// Milliseconds of those that succeeded, together.
    pub ms_sum: u64,
    /// Of the slowest of them.
    pub ms_most: u32,
    /// Seconds in which the verdict was up.
    pub up_s: u32,
    /// Partial.
    pub partial_s: u32,
    /// Down.
    pub down_s: u32,
    /// Unknown.
    pub unknown_s: u32,
}

/// In the order of [`stored`].
const COLUMNS: [&str; 12] = [
    "series_id",
    "span",
    "at",
    "up",
    "failed",
    "unable",
    "ms_sum",
    "ms_most",
    "up_s",
    "partial_s",
    "down_s",
    "unknown_s",
];

/// What is counted.
const COUNTED: [&str; 9] = ["up", "failed", "unable", "ms_sum", "ms_most", "up_s", "partial_s", "down_s", "unknown_s"];

/// One minute of one watchdog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Minute {
    /// Raised by each minute of its process: by it a minute is known that was entered already.
    pub number: u64,
    /// When it began, seconds UTC.
    pub at: i64,
    /// By check: its own looks.
    pub looks: BTreeMap<String, Counts>,
    /// By check: how long each verdict stood.
    pub verdicts: BTreeMap<String, Counts>,
}

/// Enters a minute once, however often, and makes the hour and the day anew that are over with it.
pub async fn count(
    store: &Store,
    (watchdog, process): (&WatchdogId, Incarnation),
    minute: &Minute,
) -> Result<(), StoreError> {
    in_transaction!(store, ACT, |session| count_in(session, (watchdog, process), minute).await)
}

async fn count_in(
    session: &mut Session,
    (watchdog, process): (&WatchdogId, Incarnation),
    minute: &Minute,
) -> Result<(), StoreError> {
    let Entered::Now { before } = enter(session, (watchdog, process), minute).await? else { return Ok(()) };
    for (of, counts) in [(watchdog.as_str(), &minute.looks), ("", &minute.verdicts)] {
        let names: Vec<&String> = counts.keys().collect();
        for part in names.chunks(MANY) {
            let series = series(session, of, part).await?;
            let rows = part.iter().filter_map(|name| Some((*series.get(*name)?, *counts.get(*name)?)));
            add(session, minute.at, rows.collect(), of.is_empty()).await?;
        }
    }
    let over = before.map_or_else(Vec::new, |before| over(before, minute.at));
    if over.is_empty() {
        return Ok(());
    }
    for ids in all_series(session, watchdog).await?.chunks(MANY) {
        for piece in &over {
            fold(session, *piece, ids).await?;
        }
    }
    Ok(())
}

/// What became of a minute that was to be entered.
enum Entered {
    /// It had been entered, and its answer was lost.
    Before,
    /// It is from here on; when the one began that this watchdog entered before it.
    Now { before: Option<i64> },
}

async fn enter(
    session: &mut Session,
    (watchdog, process): (&WatchdogId, Incarnation),
    minute: &Minute,
) -> Result<Entered, StoreError> {
    let (dialect, process) = (session.dialect(), process.to_string());
    let lock = dialect.for_update();
    let sql = format!("SELECT incarnation, seq, at FROM komainu_check_counted WHERE watchdog_id = ?{lock}");
    let row = session.row(ACT, sql, values![watchdog.as_str()]).await?;
    if let Some(row) = &row
        && row.text("incarnation")? == process
        && row.count("seq")? >= minute.number
    {
        return Ok(Entered::Before);
    }
    let update = dialect.or_update("watchdog_id", &["incarnation", "seq", "at"]);
    let sql =
        format!("INSERT INTO komainu_check_counted (watchdog_id, incarnation, seq, at) VALUES (?, ?, ?, ?){update}");
    session.execute(ACT, sql, values![watchdog.as_str(), process, minute.number, minute.at]).await?;
    Ok(Entered::Now { before: row.map(|row| row.int("at")).transpose()? })
}

/// The hour and the day of the minute before that are over when this one is entered, also where it was of another process, hours ago. What
/// consists of rows that may be gone in part is left as it is.
fn over(before: i64, at: i64) -> Vec<(Span, i64)> {
    let piece = |(span, parts): (Span, Span)| {
        let oldest = at - i64::try_from(parts.kept().saturating_sub(MARGIN).as_secs()).unwrap_or(i64::MAX);
        let began_at = span.of(before);
        (began_at < span.of(at) && began_at >= oldest).then_some((span, began_at))
    };
    [(Span::Hour, Span::Minute), (Span::Day, Span::Hour)].into_iter().filter_map(piece).collect()
}

/// Every series of which this watchdog makes hours and days: of its own looks, and of the verdicts. Also of checks of which this minute says
/// nothing, because they are looked at seldom or were paused.
async fn all_series(session: &mut Session, watchdog: &WatchdogId) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT id FROM komainu_check_series WHERE watchdog_id IN (?, '') AND name IS NOT NULL ORDER BY id";
    session.rows(ACT, sql, values![watchdog.as_str()]).await?.iter().map(|row| row.int("id")).collect()
}

/// The keys of these checks' series, made where there are none yet. Of a check that is gone there is none.
async fn series(session: &mut Session, of: &str, names: &[&String]) -> Result<BTreeMap<String, i64>, StoreError> {
    let found = find(session, of, names).await?;
    let missing: Vec<&String> = names.iter().copied().filter(|name| !found.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "{} INTO komainu_check_series (name, watchdog_id) SELECT name, ? FROM komainu_check WHERE name IN ({})",
        session.dialect().insert_ignore(),
        vec!["?"; missing.len()].join(", ")
    );
    let mut values = values![of];
    values.extend(missing.iter().map(|name| Value::from(name.as_str())));
    session.execute(ACT, Sql::Once(sql), values).await?;
    find(session, of, names).await
}

async fn find(session: &mut Session, of: &str, names: &[&String]) -> Result<BTreeMap<String, i64>, StoreError> {
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("SELECT id, name FROM komainu_check_series WHERE watchdog_id = ? AND name IN ({places})");
    let mut values = values![of];
    values.extend(names.iter().map(|name| Value::from(name.as_str())));
    let rows = session.rows(ACT, Sql::Once(sql), values).await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.int("id")?))).collect()
}

async fn add(session: &mut Session, at: i64, rows: Vec<(i64, Counts)>, is_verdict: bool) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let dialect = session.dialect();
    let rows = rows.into_iter().map(|(series, counts)| stored(series, at, counts)).collect();
    let (sql, values) = inserted(dialect, "komainu_check_stat", &COLUMNS, rows);
    let tail = if is_verdict { longest_wins(dialect) } else { adds_up(dialect) };
    session.execute(ACT, Sql::Once(format!("{sql}{tail}")), values).await.map(|_| ())
}

fn stored(series: i64, at: i64, counts: Counts) -> Vec<Value> {
    let Counts { up, failed, unable, ms_sum, ms_most, up_s, partial_s, down_s, unknown_s } = counts;
    values![series, Span::Minute.seconds(), at, up, failed, unable, ms_sum, ms_most, up_s, partial_s, down_s, unknown_s]
}

/// What a column holds already, and what is to be entered.
fn both(dialect: Dialect, column: &str) -> (String, String) {
    match dialect {
        Dialect::MariaDb => (column.to_owned(), format!("VALUES({column})")),
        Dialect::Sqlite => (format!("komainu_check_stat.{column}"), format!("excluded.{column}")),
    }
}

fn on_duplicate(dialect: Dialect, sets: &[String]) -> String {
    let sets = sets.join(", ");
    match dialect {
        Dialect::MariaDb => format!(" ON DUPLICATE KEY UPDATE {sets}"),
        // Without a condition the word ON would be read as that of a join.
        Dialect::Sqlite => format!(" WHERE true ON CONFLICT (series_id, span, at) DO UPDATE SET {sets}"),
    }
}

/// Two processes of one watchdog may have counted within one minute.
fn adds_up(dialect: Dialect) -> String {
    let sums = ["up", "failed", "unable", "ms_sum"].map(|column| {
        let (old, new) = both(dialect, column);
        format!("{column} = {old} + {new}")
    });
    let (old, new) = both(dialect, "ms_most");
    let most = format!("ms_most = {}({old}, {new})", dialect.greatest());
    on_duplicate(dialect, &sums.into_iter().chain([most]).collect::<Vec<_>>())
}

/// Columns are set one after another on MariaDB: the sum must be that of before until the last is set.
fn longest_wins(dialect: Dialect) -> String {
    let columns = ["up_s", "partial_s", "down_s", "unknown_s"];
    let total = |is_new: bool| {
        let sides = columns.map(|column| {
            let (old, new) = both(dialect, column);
            if is_new { new } else { old }
        });
        sides.join(" + ")
    };
    let is_longer = format!("({}) > ({})", total(true), total(false));
    match dialect {
        // `up` of a verdict's row counts nothing else: it remembers which of the two is longer.
        Dialect::MariaDb => {
            let mut sets = vec![format!("up = IF({is_longer}, 1, 0)")];
            sets.extend(columns.map(|column| format!("{column} = IF(up = 1, VALUES({column}), {column})")));
            sets.push("up = 0".to_owned());
            on_duplicate(dialect, &sets)
        }
        Dialect::Sqlite => {
            let sets = columns.map(|column| {
                let (old, new) = both(dialect, column);
                format!("{column} = CASE WHEN {is_longer} THEN {new} ELSE {old} END")
            });
            on_duplicate(dialect, &sets)
        }
    }
}

/// Makes an hour of its minutes, or a day of its hours.
async fn fold(session: &mut Session, (span, at): (Span, i64), series: &[i64]) -> Result<(), StoreError> {
    let parts = match span {
        Span::Minute => return Ok(()),
        Span::Hour => Span::Minute,
        Span::Day => Span::Hour,
    };
    let sums = ["up", "failed", "unable", "ms_sum"].map(|column| format!("SUM({column})")).join(", ");
    let seconds = ["up_s", "partial_s", "down_s", "unknown_s"].map(|column| format!("SUM({column})")).join(", ");
    let ids = series.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let columns = COLUMNS.join(", ");
    let sql = format!(
        "INSERT INTO komainu_check_stat ({columns}) SELECT series_id, ?, ?, {sums}, MAX(ms_most), {seconds} \
         FROM komainu_check_stat WHERE series_id IN ({ids}) AND span = ? AND at >= ? AND at < ? GROUP BY series_id{}",
        session.dialect().or_update("series_id, span, at", &COUNTED)
    );
    let values = values![span.seconds(), at, parts.seconds(), at, at + span.seconds()];
    session.execute(ACT, Sql::Once(sql), values).await.map(|_| ())
}

/// How much of the time a check was reached.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Availability {
    /// What was counted: of the verdict, and of all watchdogs' looks.
    pub counts: Counts,
}

impl Availability {
    /// Share of the time in which anybody could say anything; `None`: there was none.
    pub fn share(&self) -> Option<f64> {
        let reached = f64::from(self.counts.up_s) + f64::from(self.counts.partial_s);
        let all = reached + f64::from(self.counts.down_s);
        (all > 0.0).then(|| reached / all)
    }

    /// Milliseconds that a look took that succeeded, on average.
    pub fn avg_ms(&self) -> Option<f64> {
        let (sum, count) = (self.counts.ms_sum, u64::from(self.counts.up));
        // Nobody waits for a look that took weeks: the whole part fits.
        let whole = u32::try_from(sum.checked_div(count)?).map_or(f64::from(u32::MAX), f64::from);
        let rest = u32::try_from(sum % count).map_or(0.0, f64::from);
        Some(whole + rest / f64::from(self.counts.up))
    }
}

/// How a check was in the last `days` days, up to the last minute that was counted; `now`: seconds UTC.
///
/// The last 24 hours are counted by their minutes, whatever is asked for: so nobody has to have made an hour or a day of them yet.
pub async fn availability(store: &Store, name: &str, days: i64, now: i64) -> Result<Availability, StoreError> {
    let act = "read how a check was";
    let from = now - days * Span::Day.seconds();
    let hour = Span::Hour.of(now - Span::Day.seconds());
    let day = Span::Day.of(hour);
    // Before them hours of a week, and days of what is longer. What a clock dated ahead is left out.
    let pieces = match days {
        ..=1 => vec![(Span::Minute, from, now)],
        2..=7 => vec![(Span::Hour, Span::Hour.of(from), hour), (Span::Minute, hour, now)],
        _ => vec![(Span::Day, Span::Day.of(from), day), (Span::Hour, day, hour), (Span::Minute, hour, now)],
    };
    let mut lease = store.lease(act).await?;
    let mut counts = Counts::default();
    for (span, from, to) in pieces {
        let sums = COUNTED.map(|column| {
            let of = if column == "ms_most" { "MAX" } else { "SUM" };
            format!("{} AS {column}", lease.dialect().int(&format!("COALESCE({of}(t.{column}), 0)")))
        });
        let sql = format!(
            "SELECT {} FROM komainu_check_series s JOIN komainu_check_stat t ON t.series_id = s.id \
             WHERE s.name = ? AND t.span = ? AND t.at >= ? AND t.at < ?",
            sums.join(", ")
        );
        let row = lease.row(act, sql, values![name, span.seconds(), from, to]).await?;
        if let Some(row) = row {
            counts = counts.with(counts_of(&row)?);
        }
    }
    Ok(Availability { counts })
}

impl Counts {
    fn with(self, more: Self) -> Self {
        Self {
            up: self.up.saturating_add(more.up),
            failed: self.failed.saturating_add(more.failed),
            unable: self.unable.saturating_add(more.unable),
            ms_sum: self.ms_sum.saturating_add(more.ms_sum),
            ms_most: self.ms_most.max(more.ms_most),
            up_s: self.up_s.saturating_add(more.up_s),
            partial_s: self.partial_s.saturating_add(more.partial_s),
            down_s: self.down_s.saturating_add(more.down_s),
            unknown_s: self.unknown_s.saturating_add(more.unknown_s),
        }
    }
}

fn counts_of(row: &Row) -> Result<Counts, StoreError> {
    Ok(Counts {
        up: row.small("up")?,
        failed: row.small("failed")?,
        unable: row.small("unable")?,
        ms_sum: row.count("ms_sum")?,
        ms_most: row.small("ms_most")?,
        up_s: row.small("up_s")?,
        partial_s: row.small("partial_s")?,
        down_s: row.small("down_s")?,
        unknown_s: row.small("unknown_s")?,
    })
}

/// One row of a check's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// When it began, seconds UTC.
    pub at: i64,
    /// Whose looks; `None`: of the verdict.
    pub watchdog: Option<WatchdogId>,
    /// What was counted.
    pub counts: Counts,
}

/// Rows of a check that began in these seconds, the oldest first: those of the verdict and of every watchdog.
pub async fn history(store: &Store, name: &str, span: Span, within: Range<i64>) -> Result<Vec<Counted>, StoreError> {
    let act = "read the history of a check";
    let sql = "SELECT s.watchdog_id, t.at, t.up, t.failed, t.unable, t.ms_sum, t.ms_most, t.up_s, t.partial_s, t.down_s, t.unknown_s \
         FROM komainu_check_series s JOIN komainu_check_stat t ON t.series_id = s.id \
         WHERE s.name = ? AND t.span = ? AND t.at >= ? AND t.at < ? ORDER BY t.at, s.watchdog_id LIMIT 20000";
    let rows = store.lease(act).await?.rows(act, sql, values![name, span.seconds(), within.start, within.end]).await?;
    let counted = |row: &Row| {
        let watchdog = row.text("watchdog_id")?;
        let watchdog = (!watchdog.is_empty()).then(|| WatchdogId::from(watchdog));
        Ok(Counted { at: row.int("at")?, watchdog, counts: counts_of(row)? })
    };
    rows.iter().map(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_that_of_as_many_looks_as_there_may_be() {
        let of = |up, ms_sum| Availability { counts: Counts { up, ms_sum, ..Counts::default() } }.avg_ms();
        assert_eq!(of(0, 0), None);
        assert_eq!(of(4, 10), Some(2.5));
        // Seven watchdogs each five seconds for 90 days, a second each.
        assert_eq!(of(10_886_400, 10_886_400_000), Some(1_000.0));
    }
}
