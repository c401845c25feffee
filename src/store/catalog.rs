//! Which tables and columns a database has: Kuma's differ from version to version.

use std::collections::{BTreeMap, BTreeSet};

use super::dialect::Dialect;
use super::error::StoreError;
use super::session::Session;
use super::value::values;
use crate::monitor::Table;

/// Which of Kuma's notifications tell of which monitors.
const NOTIFICATIONS: &str = "monitor_notification";

/// Tables with their columns, by lower-case name.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Catalog {
    tables: BTreeMap<String, BTreeSet<String>>,
    /// MariaDB: an index of `heartbeat` on (`monitor_id`, `time`), by which the last beat of a monitor is one jump.
    beat_index: Option<String>,
    /// MariaDB: an index of `heartbeat` on `monitor_id` alone, by which the beat stored last is one jump.
    stored_index: Option<String>,
    /// MariaDB: one on (`monitor_id`, `important`, `time`), the same for the last change of state.
    change_index: Option<String>,
    important_index: Option<String>,
    /// The columns of `monitor` that clients read and write.
    monitor: Table,
}

impl Catalog {
    pub(crate) async fn read(session: &mut Session) -> Result<Self, StoreError> {
        let sql = match session.dialect() {
            Dialect::MariaDb => {
                "SELECT table_name AS t, column_name AS c FROM information_schema.columns \
                 WHERE table_schema = DATABASE()"
            }
            Dialect::Sqlite => {
                "SELECT m.name AS t, p.name AS c FROM sqlite_master m JOIN pragma_table_xinfo(m.name) p \
                 WHERE m.type = 'table'"
            }
        };
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in session.rows("read the catalog", sql, vec![]).await? {
            let columns = tables.entry(row.text("t")?.to_lowercase()).or_default();
            columns.insert(row.text("c")?.to_lowercase());
        }
        let beat_index = index_on(session, &["monitor_id", "time"]).await?;
        let change_index = index_on(session, &["monitor_id", "important", "time"]).await?;
        let stored_index = index_of(session, "monitor_id").await?;
        let important_index = index_of(session, "important").await?;
        let monitor = monitor_table(session).await?;
        Ok(Self { tables, beat_index, stored_index, change_index, important_index, monitor })
    }

    /// For MariaDB, whose optimizer takes the index on `monitor_id` alone while it has no statistics, and then reads
    /// every beat there is: measured 3 s instead of 50 ms with two million.
    pub(crate) fn beat_hint(&self) -> String {
        self.beat_index.as_ref().map(|index| format!(" FORCE INDEX (`{index}`)")).unwrap_or_default()
    }

    /// The same for the beat of a monitor that was stored last, whatever its time says: clocks of nodes step. Where
    /// somebody dropped that index, at least the beats of other monitors are not read.
    pub(crate) fn stored_hint(&self) -> String {
        let index = self.stored_index.as_ref().or(self.beat_index.as_ref());
        index.map(|index| format!(" FORCE INDEX (`{index}`)")).unwrap_or_default()
    }

    /// The same for the last change of a monitor's state.
    pub(crate) fn change_hint(&self) -> String {
        self.change_index.as_ref().map(|index| format!(" FORCE INDEX (`{index}`)")).unwrap_or_default()
    }

    /// The same for the changes of any monitor's state that were stored last: through this index none of the other beats
    /// is read, of which there are thousands a second. Without it, none of what is older.
    pub(crate) fn tail_hint(&self, dialect: Dialect) -> String {
        let by_index = self.important_index.as_ref().map(|index| format!(" FORCE INDEX (`{index}`)"));
        by_index.unwrap_or_else(|| dialect.by_primary().to_owned())
    }

    /// The columns of `monitor`.
    pub(crate) fn monitor(&self) -> &Table {
        &self.monitor
    }

    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Kuma's own notifications are of this database.
    pub(crate) fn has_notifications(&self) -> bool {
        self.has_table(NOTIFICATIONS)
    }

    pub(crate) fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.contains(column))
    }
}

async fn monitor_table(session: &mut Session) -> Result<Table, StoreError> {
    let sql = match session.dialect() {
        Dialect::MariaDb => {
            "SELECT column_name AS name, CAST(column_type AS CHAR) AS declared, is_nullable = 'YES' AS nullable, \
             CAST(column_default AS CHAR) AS preset FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = 'monitor'"
        }
        Dialect::Sqlite => {
            "SELECT name, type AS declared, `notnull` = 0 AS nullable, dflt_value AS preset \
             FROM pragma_table_xinfo('monitor')"
        }
    };
    let mut table = Table::default();
    for row in session.rows("read the catalog", sql, vec![]).await? {
        let preset = row.maybe_text("preset")?;
        table.add(&row.text("name")?, &row.text("declared")?, row.flag("nullable")?, preset.as_deref());
    }
    Ok(table)
}

/// An index of `heartbeat` on this column and no other: by it, rows of equal value stand in the order of their ids.
async fn index_of(session: &mut Session, column: &str) -> Result<Option<String>, StoreError> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let sql = "SELECT index_name AS name FROM information_schema.statistics \
         WHERE table_schema = DATABASE() AND table_name = 'heartbeat' \
         GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(column_name) = ? LIMIT 1";
    let row = session.row("read the catalog", sql, values![column]).await?;
    row.map_or(Ok(None), |row| row.maybe_text("name"))
}

/// [`Catalog::has_notifications`], for who needs to know nothing else.
pub(crate) async fn has_notifications(session: &mut Session) -> Result<bool, StoreError> {
    let sql = match session.dialect() {
        Dialect::MariaDb => {
            "SELECT COUNT(*) AS found FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?"
        }
        Dialect::Sqlite => "SELECT COUNT(*) AS found FROM sqlite_master WHERE type = 'table' AND name = ?",
    };
    let row = session.row("read the catalog", sql, values![NOTIFICATIONS]).await?;
    row.map_or(Ok(false), |row| row.flag("found"))
}

/// An index of `heartbeat` that begins with these columns in this order.
async fn index_on(session: &mut Session, columns: &[&str]) -> Result<Option<String>, StoreError> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let places: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("(seq_in_index = {} AND column_name = '{column}')", at + 1))
        .collect();
    let sql = format!(
        "SELECT index_name AS name FROM information_schema.statistics \
         WHERE table_schema = DATABASE() AND table_name = 'heartbeat' AND ({}) \
         GROUP BY index_name HAVING COUNT(*) = {} LIMIT 1",
        places.join(" OR "),
        columns.len()
    );
    let row = session.row("read the catalog", sql, vec![]).await?;
    row.map_or(Ok(None), |row| row.maybe_text("name"))
}
