//! What was counted of many things at once: days for the bars of pages, hours for their graphs.
//!
//! From the rows that everything else goes by: Kuma's statistics of monitors, the counts of checks' verdicts, the incidents of
//! heartbeats. Read in slices, so that no statement is long.

use std::collections::BTreeMap;

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use crate::pages::Day;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Sql;
use crate::store::value::{Row, Value, values};

/// Things of one statement.
const MANY: usize = 200;

const DAY_S: i64 = 86_400;
const HOUR_S: i64 = 3_600;

/// By the thing, by the second at which the day or hour begins.
pub type Figures<K, T> = BTreeMap<K, BTreeMap<i64, T>>;

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn count(row: &Row, column: &str) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.int(column)?).unwrap_or(0))
}

/// Beats of these monitors by day, from the one that begins at this second.
pub async fn monitor_days(
    store: &Store,
    monitors: &[MonitorId],
    (from, until): (i64, i64),
) -> Result<Figures<MonitorId, Day>, StoreError> {
    let act = "read days of monitors";
    let mut days = Figures::new();
    if !store.catalog().await?.has_table("stat_daily") {
        return Ok(days);
    }
    for part in monitors.chunks(MANY) {
        let sql = format!(
            "SELECT monitor_id, timestamp, up, down FROM stat_daily WHERE monitor_id IN ({}) AND timestamp BETWEEN ? AND ?",
            places(part.len())
        );
        let mut values: Vec<Value> = part.iter().map(|monitor| Value::from(*monitor)).collect();
        values.extend(values![from, until]);
        for row in store.lease(act).await?.rows(act, Sql::Once(sql), values).await? {
            let day = Day { good: count(&row, "up")?, bad: count(&row, "down")? };
            days.entry(MonitorId(row.int("monitor_id")?)).or_default().insert(row.int("timestamp")?, day);
        }
    }
    Ok(days)
}

/// How long answers of these monitors took by hour, milliseconds.
pub async fn hours(
    store: &Store,
    monitors: &[MonitorId],
    (from, until): (i64, i64),
) -> Result<Figures<MonitorId, f64>, StoreError> {
    let act = "read hours of monitors";
    let mut hours = Figures::new();
    if !store.catalog().await?.has_table("stat_hourly") {
        return Ok(hours);
    }
    for part in monitors.chunks(MANY) {
        let sql = format!(
            "SELECT monitor_id, timestamp, ping * 1e0 AS ping FROM stat_hourly \
             WHERE monitor_id IN ({}) AND timestamp BETWEEN ? AND ? AND up > 0",
            places(part.len())
        );
        let mut values: Vec<Value> = part.iter().map(|monitor| Value::from(*monitor)).collect();
        values.extend(values![from, until]);
        for row in store.lease(act).await?.rows(act, Sql::Once(sql), values).await? {
            let Some(ping) = row.maybe_real("ping")? else { continue };
            hours.entry(MonitorId(row.int("monitor_id")?)).or_default().insert(row.int("timestamp")?, ping);
        }
    }
    Ok(hours)
}

/// Seconds in which these checks were reached or not, by day; of the day that goes on, from its hours and minutes. Beside them, how long
/// the looks of all watchdogs took by hour.
pub async fn check_days(
    store: &Store,
    checks: &[String],
    (from, until): (i64, i64),
) -> Result<(Figures<String, Day>, Figures<String, f64>), StoreError> {
    let act = "read days of checks";
    let (mut days, mut hours) = (Figures::<String, Day>::new(), Figures::<String, f64>::new());
    let (today, hour) = (until - until.rem_euclid(DAY_S), until - until.rem_euclid(HOUR_S));
    // Days that are over; of the present one, hours that are over and the minutes since.
    let pieces = [(DAY_S, from, today), (HOUR_S, today.max(from), hour), (60, hour.max(from), until)];
    for part in checks.chunks(MANY) {
        for (span, from, to) in pieces {
            let sums = ["up_s", "partial_s", "down_s"].map(|column| sum(store.dialect(), column)).join(", ");
            let sql = format!(
                "SELECT s.name, t.at, {sums} FROM komainu_check_series s JOIN komainu_check_stat t ON t.series_id = s.id \
                 WHERE s.watchdog_id = '' AND s.name IN ({}) AND t.span = ? AND t.at >= ? AND t.at < ? GROUP BY s.name, t.at",
                places(part.len())
            );
            let mut values: Vec<Value> = part.iter().map(Value::from).collect();
            values.extend(values![span, from, to]);
            for row in store.lease(act).await?.rows(act, Sql::Once(sql), values).await? {
                let at = row.int("at")?;
                let day = days.entry(row.text("name")?).or_default().entry(at - at.rem_euclid(DAY_S)).or_default();
                day.good += count(&row, "up_s")? + count(&row, "partial_s")?;
                day.bad += count(&row, "down_s")?;
            }
        }
        let sums = ["up", "ms_sum"].map(|column| sum(store.dialect(), column)).join(", ");
        let sql = format!(
            "SELECT s.name, t.at, {sums} FROM komainu_check_series s JOIN komainu_check_stat t ON t.series_id = s.id \
             WHERE s.watchdog_id <> '' AND s.name IN ({}) AND t.span = ? AND t.at >= ? AND t.at < ? GROUP BY s.name, t.at",
            places(part.len())
        );
        let mut values: Vec<Value> = part.iter().map(Value::from).collect();
        values.extend(values![HOUR_S, until - 7 * DAY_S, until]);
        for row in store.lease(act).await?.rows(act, Sql::Once(sql), values).await? {
            let (looks, took) = (row.small("up")?, row.count("ms_sum")?);
            let took = f64::from(u32::try_from(took).unwrap_or(u32::MAX));
            if looks > 0 {
                hours.entry(row.text("name")?).or_default().insert(row.int("at")?, took / f64::from(looks));
            }
        }
    }
    Ok((days, hours))
}

fn sum(dialect: Dialect, column: &str) -> String {
    format!("{} AS {column}", dialect.int(&format!("COALESCE(SUM(t.{column}), 0)")))
}

/// Seconds in which these heartbeats were late or failed, by day, from their incidents; and the others, since each was made.
pub async fn heartbeat_days(
    store: &Store,
    heartbeats: &[String],
    (from, until): (i64, i64),
) -> Result<Figures<String, Day>, StoreError> {
    let act = "read days of heartbeats";
    let mut days = Figures::<String, Day>::new();
    for part in heartbeats.chunks(MANY) {
        let places = places(part.len());
        let names: Vec<Value> = part.iter().map(Value::from).collect();
        let sql = format!("SELECT name, created_at FROM komainu_heartbeat WHERE name IN ({places})");
        let mut lease = store.lease(act).await?;
        for row in lease.rows(act, Sql::Once(sql), names).await? {
            let made_at = row.wall("created_at")?.0.div_euclid(1_000).max(from);
            let of_name = days.entry(row.text("name")?).or_default();
            spread(made_at, until, |day, seconds| of_name.entry(day).or_default().good += seconds);
        }
        let keys: Vec<Value> = part.iter().map(|name| Value::from(format!("heartbeat/{name}"))).collect();
        let sql = format!(
            "SELECT k, first_opened_at, resolved_at FROM komainu_incident WHERE k IN ({places}) \
             AND (resolved_at IS NULL OR resolved_at >= ?)"
        );
        let mut values = keys;
        values.push(Value::from(from.saturating_mul(1_000)));
        for row in lease.rows(act, Sql::Once(sql), values).await? {
            let key = row.text("k")?;
            let name = key.strip_prefix("heartbeat/").unwrap_or_default();
            let Some(of_name) = days.get_mut(name) else { continue };
            let began = row.wall("first_opened_at")?.0.div_euclid(1_000).max(from);
            let ended = row.maybe_wall("resolved_at")?.map_or(until, |at: Wall| at.0.div_euclid(1_000)).min(until);
            spread(began, ended, |day, seconds| {
                if let Some(day) = of_name.get_mut(&day) {
                    let bad = seconds.min(day.good);
                    *day = Day { good: day.good - bad, bad: day.bad + bad };
                }
            });
        }
    }
    Ok(days)
}

/// Seconds of a span, day by day.
fn spread(from: i64, until: i64, mut each: impl FnMut(i64, u64)) {
    let mut at = from;
    while at < until {
        let day = at - at.rem_euclid(DAY_S);
        let next = (day + DAY_S).min(until);
        each(day, u64::try_from(next - at).unwrap_or(0));
        at = next;
    }
}

/// Which of these monitors are to run.
pub async fn monitors_of(store: &Store, monitors: &[MonitorId]) -> Result<BTreeMap<MonitorId, bool>, StoreError> {
    let act = "read monitors of pages";
    let mut found = BTreeMap::new();
    for part in monitors.chunks(MANY) {
        let sql = format!("SELECT id, active FROM monitor WHERE id IN ({})", places(part.len()));
        let values = part.iter().map(|monitor| Value::from(*monitor)).collect();
        for row in store.lease(act).await?.rows(act, Sql::Once(sql), values).await? {
            found.insert(MonitorId(row.int("id")?), row.flag("active")?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_spread_over_its_days() {
        let mut days = vec![];
        spread(DAY_S - 10, 2 * DAY_S + 5, |day, seconds| days.push((day, seconds)));
        assert_eq!(days, [(0, 10), (DAY_S, 86_400), (2 * DAY_S, 5)]);
        spread(5, 5, |_, _| panic!("nothing"));
    }
}
