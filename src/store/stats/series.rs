//! What was counted of a monitor, row by row, for whoever draws it.

use komainu_watchdogs::ids::MonitorId;
use komainu_watchdogs::time::Wall;

use super::Span;
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::value::{Row, values};

/// How far back, and so how fine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// 24 hours by the minute.
    Day,
    /// 7 days by the hour.
    Week,
    /// 30 days by the day.
    Month,
    /// 90 days by the day.
    Quarter,
}

impl Reach {
    fn span(self) -> Span {
        match self {
            Self::Day => Span::Minute,
            Self::Week => Span::Hour,
            Self::Month | Self::Quarter => Span::Day,
        }
    }

    fn rows(self) -> i64 {
        match self {
            Self::Day => 1_440,
            Self::Week => 168,
            Self::Month => 30,
            Self::Quarter => 90,
        }
    }

    /// How much time a point stands for, in seconds.
    pub fn seconds(self) -> i64 {
        self.span().seconds()
    }
}

/// What was counted within a minute, an hour or a day.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// When it begins.
    pub at: Wall,
    /// Beats that were up.
    pub up: u64,
    /// Beats that were down or pending.
    pub down: u64,
    /// Average of the beats that were up, milliseconds; `None`: none was.
    pub ping_ms: Option<f64>,
    /// The longest of them.
    pub ping_max_ms: Option<f64>,
}

impl Store {
    /// What was counted, oldest first; a time in which nothing was counted has no point. Up to the database's present moment.
    pub async fn series(&self, monitor: MonitorId, reach: Reach) -> Result<Vec<Point>, StoreError> {
        let act = "read what was counted";
        let catalog = self.catalog().await?;
        if super::tables(&catalog).count() < Span::ALL.len() {
            return Ok(vec![]);
        }
        let mut lease = self.lease(act).await?;
        let now = lease.row(act, format!("SELECT {} AS now_ms", self.dialect().now_ms()), vec![]).await?;
        let now = now.map_or(Ok(Wall(0)), |row| row.wall("now_ms"))?;
        let span = reach.span();
        let last = span.begin(now);
        let first = last - (reach.rows() - 1) * span.seconds();
        let sql = format!(
            "SELECT timestamp, up, down, ping * 1e0 AS ping, ping_max * 1e0 AS ping_max FROM {} \
             WHERE monitor_id = ? AND timestamp BETWEEN ? AND ? ORDER BY timestamp",
            span.table()
        );
        lease.rows(act, sql, values![monitor, first, last]).await?.iter().map(point).collect()
    }
}

fn point(row: &Row) -> Result<Point, StoreError> {
    let count = |column: &str| Ok::<_, StoreError>(u64::try_from(row.int(column)?).unwrap_or(0));
    let up = count("up")?;
    let ping = |value: Option<f64>| value.filter(|_| up > 0);
    Ok(Point {
        at: Wall(row.int("timestamp")?.saturating_mul(1_000)),
        up,
        down: count("down")?,
        ping_ms: ping(row.maybe_real("ping")?),
        ping_max_ms: ping(row.maybe_real("ping_max")?),
    })
}
