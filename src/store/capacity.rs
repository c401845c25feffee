//! How far the ids of Kuma's growing tables are used up, and the incident of it.
//!
//! Reads a handful of rows by their primary key. When it is time to tell is [`komainu_watchdogs::capacity`]'s to say. On
//! SQLite, and where komainu made the tables, ids have 64 bits and nothing is to be told.

use std::time::Duration;

use jiff::Timestamp;
use komainu_watchdogs::capacity::{self, IdRange};
use komainu_watchdogs::io::Alarm;
use komainu_watchdogs::routing::{Routing, Subject};
use komainu_watchdogs::time::Wall;

use super::dialect::Dialect;
use super::error::StoreError;
use super::incidents::opening::{open_on, resolve_on};
use super::pool::{Store, in_transaction};
use super::session::{Session, Sql};
use super::value::values;

const ACT: &str = "look how far ids are used up";

/// The rate is that of so long.
const SPAN: Duration = Duration::from_secs(86_400);

/// Rows of less time say nothing of a day.
const SPAN_LEAST: Duration = Duration::from_secs(600);

/// What the ids are like, at this moment of the database's clock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ids {
    /// When this was read.
    pub at: Wall,
    /// Tables whose ids have fewer than 64 bits.
    pub ranges: Vec<IdRange>,
}

/// Looks at the tables that grow with every beat.
pub async fn read(store: &Store) -> Result<Ids, StoreError> {
    let mut session = store.lease(ACT).await?;
    let dialect = session.dialect();
    let now = session.row(ACT, format!("SELECT {} AS now", dialect.now_ms()), vec![]).await?;
    let at = now.map_or(Ok(Wall(0)), |row| row.wall("now"))?;
    if dialect == Dialect::Sqlite {
        return Ok(Ids { at, ranges: vec![] });
    }
    let sql = "SELECT table_name AS t, LOCATE('unsigned', column_type) > 0 AS is_unsigned \
         FROM information_schema.columns WHERE table_schema = DATABASE() AND column_name = 'id' AND data_type = 'int' \
         AND table_name IN ('heartbeat', 'stat_minutely', 'stat_hourly', 'stat_daily') ORDER BY table_name";
    let mut ranges = vec![];
    for row in session.rows(ACT, sql, vec![]).await? {
        let table = row.text("t")?;
        let limit = if row.flag("is_unsigned")? { u64::from(u32::MAX) } else { 0x7fff_ffff };
        let last = last_id(&mut session, &table).await?;
        let per_day = per_day(&mut session, &table, (last, at)).await?;
        ranges.push(IdRange { table, limit, last, per_day });
    }
    Ok(Ids { at, ranges })
}

/// The last id that was given. Asked for one table by name: in a join with the columns, the server opens every table of
/// every database that it has.
async fn last_id(session: &mut Session, table: &str) -> Result<u64, StoreError> {
    let sql = format!(
        "SELECT CAST(COALESCE(auto_increment, 1) AS SIGNED) AS next FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name = '{table}'"
    );
    let row = session.row(ACT, sql, vec![]).await?;
    Ok(row.map_or(Ok(1), |row| row.count("next"))?.saturating_sub(1))
}

/// Ids given in a day: rows come in the order of their ids, so the first row of the last day is found by halving.
async fn per_day(session: &mut Session, table: &str, (last, now): (u64, Wall)) -> Result<Option<u64>, StoreError> {
    let written =
        if table == "heartbeat" { session.dialect().datetime_ms("time") } else { "timestamp * 1000".to_owned() };
    let since = now.0 - i64::try_from(SPAN.as_millis()).unwrap_or(i64::MAX);
    let sql = format!("SELECT id, {written} AS written FROM {table} WHERE id >= ? ORDER BY id LIMIT 1");
    let (mut low, mut high) = (0, i64::try_from(last).unwrap_or(i64::MAX));
    let mut first = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        let row = session.row(ACT, Sql::Once(sql.clone()), values![middle]).await?;
        let Some(row) = row else {
            // Ids that were given and whose rows are gone.
            high = middle - 1;
            continue;
        };
        let (id, at) = (row.int("id")?, row.int("written")?);
        if at >= since {
            first = Some((id, at));
            high = middle - 1;
        } else {
            low = id + 1;
        }
    }
    let Some((id, at)) = first else { return Ok(None) };
    let passed = u128::try_from(now.0 - at).unwrap_or(0);
    if passed < SPAN_LEAST.as_millis() {
        return Ok(None);
    }
    let given = u128::from(last.saturating_sub(u64::try_from(id).unwrap_or(0)));
    Ok(u64::try_from(given * SPAN.as_millis() / passed).ok())
}

/// Opens the incident, says that it is worse, or ends it. Says whether people are told something new.
pub async fn settle(store: &Store, ids: &Ids, routing: &Routing) -> Result<bool, StoreError> {
    match capacity::alarm(&ids.ranges, ids.at, date) {
        Some(alarm) => open(store, &alarm, routing).await,
        None => close(store).await,
    }
}

/// The day, in UTC.
pub fn date(at: Wall) -> String {
    let stamp = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::MAX);
    stamp.strftime("%Y-%m-%d").to_string()
}

async fn open(store: &Store, alarm: &Alarm, routing: &Routing) -> Result<bool, StoreError> {
    let opened =
        in_transaction!(store, ACT, |session| { open_on(session, alarm, &Subject::of(alarm), routing).await })?;
    Ok(opened.is_news)
}

async fn close(store: &Store) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM komainu_incident WHERE resolved_at IS NULL AND k = ?";
    let open = store.lease(ACT).await?.row(ACT, sql, values![capacity::KEY]).await?;
    let Some(row) = open else { return Ok(false) };
    let id = row.int("id")?;
    in_transaction!(store, ACT, |session| resolve_on(session, id, "the ids of Kuma's tables have room again").await)
}
