//! Kuma's maintenance windows, and the monitors they cover: read only, as they stand in the database.
//!
//! When a window is on is for the nodes to say ([`crate::node::windows`]). Dates and times are handed on as texts,
//! because each is meant in the window's own time zone.

use std::time::Duration;

use komainu_watchdogs::ids::MonitorId;

use super::catalog::Catalog;
use super::decisions::id_list;
use super::error::StoreError;
use super::pool::Store;
use super::session::{Session, Sql};
use super::value::{Row, values};

/// Windows that ended so long ago are left out: dates are in zones that the database does not know.
const LONG_ENDED: Duration = Duration::from_secs(2 * 24 * 3_600);

/// A row of `maintenance` whose window is switched on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WindowRow {
    /// The key of the maintenance's row.
    pub id: i64,
    /// `manual`, `single`, `cron`, `recurring-interval`, `recurring-weekday`, `recurring-day-of-month`.
    pub strategy: String,
    /// Not before.
    pub start_date: Option<String>,
    /// Not after.
    pub end_date: Option<String>,
    /// Of the day.
    pub start_time: Option<String>,
    /// Of the day, or of the next one.
    pub end_time: Option<String>,
    /// JSON: 1 is Monday; 0 and 7 are Sunday.
    pub weekdays: Option<String>,
    /// JSON: numbers, and `"lastDay1"`.
    pub days_of_month: Option<String>,
    /// Every so many days.
    pub interval_day: Option<i64>,
    /// When it begins.
    pub cron: Option<String>,
    /// IANA name, or `SAME_AS_SERVER`.
    pub timezone: Option<String>,
    /// Seconds.
    pub duration: Option<i64>,
}

/// What is planned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The windows that are switched on.
    pub windows: Vec<WindowRow>,
    /// The time zone set in Kuma, if one is.
    pub server_zone: Option<String>,
}

/// The windows there are; none where the database has no Kuma.
pub async fn plan(store: &Store) -> Result<Plan, StoreError> {
    let act = "read the maintenance windows";
    let catalog = store.catalog().await?;
    if !catalog.has_table("maintenance") || !catalog.has_table("monitor_maintenance") {
        return Ok(Plan::default());
    }
    let mut lease = store.lease(act).await?;
    let sql = format!(
        "SELECT id, strategy, {} FROM maintenance WHERE active = 1 AND (end_date IS NULL OR end_date >= {}) ORDER BY id",
        columns(&catalog),
        lease.dialect().datetime_ago(LONG_ENDED)
    );
    let rows = lease.rows(act, sql, vec![]).await?;
    let windows = rows.iter().map(window).collect::<Result<Vec<_>, _>>()?;
    let has_zone = !windows.is_empty() && catalog.has_table("setting");
    let server_zone = if has_zone { server_zone(&mut lease).await? } else { None };
    Ok(Plan { windows, server_zone })
}

/// Kuma grew some of these columns over time.
fn columns(catalog: &Catalog) -> String {
    let texts = ["start_date", "end_date", "start_time", "end_time", "weekdays", "days_of_month", "cron", "timezone"]
        .map(|column| (column, format!("CAST({column} AS CHAR)")));
    let numbers = ["interval_day", "duration"].map(|column| (column, column.to_owned()));
    let all = texts.into_iter().chain(numbers).map(|(column, read)| {
        let read = if catalog.has_column("maintenance", column) { read } else { "NULL".to_owned() };
        format!("{read} AS {column}_")
    });
    all.collect::<Vec<_>>().join(", ")
}

fn window(row: &Row) -> Result<WindowRow, StoreError> {
    Ok(WindowRow {
        id: row.int("id")?,
        strategy: row.text("strategy")?,
        start_date: row.maybe_text("start_date_")?,
        end_date: row.maybe_text("end_date_")?,
        start_time: row.maybe_text("start_time_")?,
        end_time: row.maybe_text("end_time_")?,
        weekdays: row.maybe_text("weekdays_")?,
        days_of_month: row.maybe_text("days_of_month_")?,
        interval_day: row.maybe_int("interval_day_")?,
        cron: row.maybe_text("cron_")?,
        timezone: row.maybe_text("timezone_")?,
        duration: row.maybe_int("duration_")?,
    })
}

/// Kuma keeps settings as JSON, and reads what is none as plain text.
async fn server_zone(session: &mut Session) -> Result<Option<String>, StoreError> {
    let sql = "SELECT value FROM setting WHERE `key` = ?";
    let row = session.row("read Kuma's time zone", sql, values!["serverTimezone"]).await?;
    let text = row.map_or(Ok(None), |row| row.maybe_text("value"))?;
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or(text)).filter(|zone: &String| !zone.is_empty()))
}

/// Which monitors these windows cover: those that are named, and all below a group that is covered.
pub async fn covered(store: &Store, windows: &[i64]) -> Result<Vec<(i64, MonitorId)>, StoreError> {
    if windows.is_empty() {
        return Ok(vec![]);
    }
    let act = "read what maintenance windows cover";
    // Only groups have children, so only they are followed; UNION ends a circle of groups.
    let sql = format!(
        "WITH RECURSIVE family (window_id, id) AS ( \
           SELECT x.maintenance_id, m.id FROM monitor_maintenance x JOIN monitor m ON m.id = x.monitor_id \
           WHERE x.maintenance_id IN ({ids}) AND m.type = 'group' \
           UNION SELECT f.window_id, m.id FROM family f JOIN monitor m ON m.parent = f.id WHERE m.type = 'group') \
         SELECT x.maintenance_id AS window_id, x.monitor_id AS id FROM monitor_maintenance x \
         WHERE x.maintenance_id IN ({ids}) \
         UNION SELECT f.window_id, m.id FROM family f JOIN monitor m ON m.parent = f.id",
        ids = id_list(windows)
    );
    let rows = store.lease(act).await?.rows(act, Sql::Once(sql), vec![]).await?;
    rows.iter().map(|row| Ok((row.int("window_id")?, MonitorId(row.int("id")?)))).collect()
}
