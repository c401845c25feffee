//! How much of the time a monitor was up, as Kuma computes it from its statistics.
//!
//! Kuma takes 24 hours from the minutes, 7 days from the hours, 30 days from the days, each with the row that is being
//! counted now as its last. Where nothing was counted it shows the last row that its process remembers; here there is
//! nothing to show then.

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use super::Span;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::{Purpose, Session};
use crate::store::value::values;

/// What was counted in one period.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Uptime {
    /// Share of the beats that were up, 0 to 1; `None`: there was no beat.
    pub uptime: Option<f64>,
    /// Beats that were up.
    pub up: u64,
    /// Beats that were down or pending.
    pub down: u64,
    /// Milliseconds; `None`: none was up.
    pub avg_ping_ms: Option<f64>,
}

/// The three periods that Kuma shows.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Uptimes {
    /// The last 1,440 minutes.
    pub day: Uptime,
    /// The last 168 hours.
    pub week: Uptime,
    /// The last 30 days.
    pub month: Uptime,
}

const ACT: &str = "read uptimes";

impl Store {
    /// Up to the database's present moment; `None`: this database keeps no statistics.
    pub async fn uptimes(&self, monitor: MonitorId) -> Result<Option<Uptimes>, StoreError> {
        let sql = format!("SELECT {} AS now_ms", self.dialect().now_ms());
        let row = self.lease(ACT).await?.row(ACT, sql, vec![]).await?;
        let now = row.map_or(Ok(Wall(0)), |row| row.wall("now_ms"))?;
        self.uptimes_at(monitor, now).await
    }

    /// Up to this moment.
    pub async fn uptimes_at(&self, monitor: MonitorId, now: Wall) -> Result<Option<Uptimes>, StoreError> {
        let catalog = self.catalog().await?;
        if super::tables(&catalog).count() < Span::ALL.len() {
            return Ok(None);
        }
        let mut lease = self.lease(ACT).await?;
        lease.begin(ACT, Purpose::Snapshot).await?;
        let read = read_all(&mut lease, monitor, now).await;
        lease.end(ACT, read).await.map(Some)
    }
}

async fn read_all(session: &mut Session, monitor: MonitorId, now: Wall) -> Result<Uptimes, StoreError> {
    Ok(Uptimes {
        day: read(session, monitor, Period { span: Span::Minute, rows: 1_440, now }).await?,
        week: read(session, monitor, Period { span: Span::Hour, rows: 168, now }).await?,
        month: read(session, monitor, Period { span: Span::Day, rows: 30, now }).await?,
    })
}

struct Period {
    span: Span,
    rows: i64,
    now: Wall,
}

async fn read(session: &mut Session, monitor: MonitorId, period: Period) -> Result<Uptime, StoreError> {
    let last = period.span.begin(period.now);
    let first = last - (period.rows - 1) * period.span.seconds();
    // SUM of whole numbers is a DECIMAL on MariaDB.
    let sql = format!(
        "SELECT SUM(up) * 1e0 AS up, SUM(down) * 1e0 AS down, SUM(ping * up) / NULLIF(SUM(up), 0) * 1e0 AS ping \
         FROM {} WHERE monitor_id = ? AND timestamp BETWEEN ? AND ?",
        period.span.table()
    );
    let Some(row) = session.row(ACT, sql, values![monitor, first, last]).await? else { return Ok(Uptime::default()) };
    let (up, down) = (row.maybe_real("up")?.unwrap_or(0.0), row.maybe_real("down")?.unwrap_or(0.0));
    let counted = up + down;
    Ok(Uptime {
        uptime: (counted > 0.0).then(|| up / counted),
        up: whole(up),
        down: whole(down),
        avg_ping_ms: row.maybe_real("ping")?,
    })
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of beats: not negative, and far below 2^53"
)]
fn whole(count: f64) -> u64 {
    count as u64
}
