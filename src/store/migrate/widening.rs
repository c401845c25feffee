//! Ids of 64 bits for those of Kuma's tables that komainu made, and that grow with every beat.
//!
//! `INT UNSIGNED` ends after 4.3 billion rows: thirty days of 100,000 monitors each minute. A table that is empty or small
//! is simply altered, with the rest of the migration. A large one is widened beside the work on it, as online schema
//! changes are done everywhere: a copy with wide ids, three triggers that keep it true, the rows in batches, and one
//! rename. Whatever ends it half-way leaves the table as it was; the next migration begins anew. Kuma's own tables are
//! never touched: [`crate::store::capacity`] tells when theirs run out.

use std::time::Duration;

use super::found::Found;
use crate::clock;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::pool::ATTEMPTS;
use crate::store::session::{Session, Sql};
use crate::store::value::values;

/// Tables of which every beat may need a new id.
const GROWING: [&str; 4] = ["heartbeat", "stat_minutely", "stat_hourly", "stat_daily"];

/// Rows up to which a table is rewritten while its writers wait: about a second.
const SMALL: u64 = 100_000;

/// Rows copied at once: some tens of milliseconds of shared locks.
const BATCH: u32 = 2_000;

const ACT: &str = "widen the ids";

/// A growing table with ids of 32 bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Narrow {
    table: &'static str,
    is_small: bool,
}

/// Those of a database, whoever made them.
pub(super) async fn narrow(session: &mut Session) -> Result<Vec<Narrow>, StoreError> {
    if session.dialect() == Dialect::Sqlite {
        // Its row ids have 64 bits.
        return Ok(vec![]);
    }
    let sql = "SELECT table_name AS t FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND column_name = 'id' AND data_type = 'int'";
    let rows = session.rows("read the schema", sql, vec![]).await?;
    let names = rows.iter().map(|row| row.text("t")).collect::<Result<Vec<_>, _>>()?;
    let mut narrow = vec![];
    for table in GROWING.into_iter().filter(|table| names.iter().any(|name| name == table)) {
        narrow.push(Narrow { table, is_small: is_small(session, table).await? });
    }
    Ok(narrow)
}

/// What widens the small ones, among those that this migration makes and those that an earlier one made.
pub(super) fn of_small(dialect: Dialect, found: &Found, makes_kuma: bool) -> Vec<String> {
    if dialect == Dialect::Sqlite {
        return vec![];
    }
    let is_new = |table: &str| makes_kuma && !found.catalog.has_table(table);
    let is_small = |table: &str| ours(found).any(|narrow| narrow.table == table && narrow.is_small);
    GROWING.iter().filter(|table| is_new(table) || is_small(table)).map(|table| widen(table)).collect()
}

/// What a plan says of the large ones, and the right that they need.
pub(super) fn notes(found: &Found) -> impl Iterator<Item = String> {
    large(found).map(|table| {
        format!(
            "before the statements, the ids of `{table}` become 64 bits beside the work on it, through a copy `{}` and \
             three triggers: the user of the URL needs the right TRIGGER, and the server room for a second `{table}`",
            wide(table)
        )
    })
}

/// Widens the large ones, one after the other; nobody who writes waits longer than for one batch.
pub(super) async fn widen_large(session: &mut Session) -> Result<(), StoreError> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let found = Found::read(session).await?;
    // A migration that was killed right after a rename left what the table was; its successor is in place by then.
    for table in GROWING.iter().filter(|table| found.kuma_tables.iter().any(|made| made == *table)) {
        session.batch(ACT, &format!("DROP TABLE IF EXISTS {}", narrow_name(table))).await?;
    }
    for table in large(&found) {
        tracing::info!(table, "widening its ids to 64 bits, beside the work on it");
        forget_earlier(session, table).await?;
        let columns = columns(session, table).await?;
        for statement in begin(table, &columns) {
            session.batch(ACT, &statement).await?;
        }
        copy(session, table).await?;
        for statement in end(table) {
            session.batch(ACT, &statement).await?;
        }
    }
    Ok(())
}

/// Those that komainu made.
fn ours(found: &Found) -> impl Iterator<Item = &Narrow> {
    found.narrow.iter().filter(|narrow| found.kuma_tables.iter().any(|made| made == narrow.table))
}

fn large(found: &Found) -> impl Iterator<Item = &'static str> {
    ours(found).filter(|narrow| !narrow.is_small).map(|narrow| narrow.table)
}

async fn is_small(session: &mut Session, table: &str) -> Result<bool, StoreError> {
    let sql = format!("SELECT COUNT(*) AS found FROM (SELECT id FROM {table} LIMIT {}) some", SMALL + 1);
    let row = session.row("count the rows", sql, vec![]).await?;
    Ok(row.map_or(Ok(0), |row| row.count("found"))? <= SMALL)
}

fn wide(table: &str) -> String {
    format!("komainu_wide_{table}")
}

/// What a table is called between the rename and its end.
fn narrow_name(table: &str) -> String {
    format!("komainu_narrow_{table}")
}

fn widen(table: &str) -> String {
    format!("ALTER TABLE {table} MODIFY COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT")
}

/// What a migration that was killed left behind.
async fn forget_earlier(session: &mut Session, table: &str) -> Result<(), StoreError> {
    for event in ["insert", "update", "delete"] {
        session.batch(ACT, &format!("DROP TRIGGER IF EXISTS {}_{event}", wide(table))).await?;
    }
    session.batch(ACT, &format!("DROP TABLE IF EXISTS {}", wide(table))).await
}

async fn columns(session: &mut Session, table: &str) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT column_name AS c FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position";
    session.rows(ACT, sql, values![table]).await?.iter().map(|row| row.text("c")).collect()
}

/// The copy, and what keeps it true from now on.
fn begin(table: &str, columns: &[String]) -> [String; 5] {
    let wide = wide(table);
    let names = columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
    let news = columns.iter().map(|column| format!("NEW.`{column}`")).collect::<Vec<_>>().join(", ");
    let put = format!("REPLACE INTO {wide} ({names}) VALUES ({news})");
    let trigger =
        |event: &str, deed: &str| format!("CREATE TRIGGER {wide}_{event} AFTER {event} ON {table} FOR EACH ROW {deed}");
    [
        format!("CREATE TABLE {wide} LIKE {table}"),
        widen(&wide),
        trigger("insert", &put),
        trigger("update", &put),
        trigger("delete", &format!("DELETE FROM {wide} WHERE id = OLD.id")),
    ]
}

/// The rows that were there before the triggers; as much time passes between two batches as one takes.
async fn copy(session: &mut Session, table: &str) -> Result<(), StoreError> {
    let mut copied: i64 = -1;
    loop {
        let began_at = clock::now();
        let sql =
            format!("SELECT MAX(id) AS last FROM (SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT {BATCH}) part");
        let last = session.row(ACT, sql, values![copied]).await?.map_or(Ok(None), |row| row.maybe_int("last"))?;
        let Some(last) = last else { return Ok(()) };
        // The shared locks keep a row that is being deleted from being copied after its trigger ran.
        let sql = format!(
            "INSERT IGNORE INTO {} SELECT * FROM {table} WHERE id > ? AND id <= ? LOCK IN SHARE MODE",
            wide(table)
        );
        patiently(session, &sql, [copied, last]).await?;
        copied = last;
        tokio::time::sleep(clock::now().since(began_at).min(Duration::from_secs(1))).await;
    }
}

/// Somebody who writes may hold a row, or win a deadlock; a batch can be repeated.
async fn patiently(session: &mut Session, sql: &str, [after, last]: [i64; 2]) -> Result<(), StoreError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match session.execute(ACT, Sql::Once(sql.to_owned()), values![after, last]).await {
            Err(error) if error.is_contention() && attempt < 10 * ATTEMPTS => {}
            outcome => return outcome.map(|_| ()),
        }
    }
}

/// Nobody sees a moment without the table; its triggers go with what it was.
fn end(table: &str) -> [String; 2] {
    let (wide, narrow) = (wide(table), narrow_name(table));
    [format!("RENAME TABLE {table} TO {narrow}, {wide} TO {table}"), format!("DROP TABLE {narrow}")]
}
