//! The few places where MariaDB and SQLite say the same thing differently.
//!
//! Owns words, no statements: each aggregate's SQL is written once, and asks here for what differs.

use std::time::Duration;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    MariaDb,
    Sqlite,
}

impl Dialect {
    fn pick(self, mariadb: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::MariaDb => mariadb,
            Self::Sqlite => sqlite,
        }
    }

    /// The database's clock, in milliseconds UTC.
    pub(crate) fn now_ms(self) -> &'static str {
        self.pick("CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)", "CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER)")
    }

    /// The database's clock, as Kuma writes a date.
    pub(crate) fn now_datetime(self) -> &'static str {
        self.pick("UTC_TIMESTAMP(3)", "strftime('%Y-%m-%d %H:%M:%f', 'now')")
    }

    /// So long before the database's present moment, as Kuma writes a date.
    pub(crate) fn datetime_ago(self, span: Duration) -> String {
        match self {
            Self::MariaDb => format!("UTC_TIMESTAMP() - INTERVAL {} SECOND", span.as_secs()),
            Self::Sqlite => format!("strftime('%Y-%m-%d %H:%M:%f', 'now', '-{} seconds')", span.as_secs()),
        }
    }

    /// A DATETIME in UTC as milliseconds; every session of ours has the time zone UTC.
    pub(crate) fn datetime_ms(self, column: &str) -> String {
        match self {
            Self::MariaDb => format!("CAST(UNIX_TIMESTAMP({column}) * 1000 AS SIGNED)"),
            Self::Sqlite => format!("CAST(ROUND(unixepoch({column}, 'subsec') * 1000) AS INTEGER)"),
        }
    }

    /// A text that is a number.
    pub(crate) fn int(self, text: &str) -> String {
        format!("CAST({text} AS {})", self.pick("SIGNED", "INTEGER"))
    }

    /// SQLite has one writer at a time: who writes holds all locks.
    pub(crate) fn for_update(self) -> &'static str {
        self.pick(" FOR UPDATE", "")
    }

    pub(crate) fn in_share_mode(self) -> &'static str {
        self.pick(" LOCK IN SHARE MODE", "")
    }

    /// The same, without waiting for whoever holds a row: it is left out.
    pub(crate) fn in_share_mode_skipping(self) -> &'static str {
        self.pick(" LOCK IN SHARE MODE SKIP LOCKED", "")
    }

    /// What somebody else holds is left out instead of waited for.
    pub(crate) fn for_update_skipping(self) -> &'static str {
        self.pick(" FOR UPDATE SKIP LOCKED", "")
    }

    /// Equality that takes NULL for a value.
    pub(crate) fn is_same(self) -> &'static str {
        self.pick("<=>", "IS")
    }

    /// Locks rows in the order of their key, whatever the optimizer thinks of it: two writers then wait, and never
    /// for each other.
    pub(crate) fn by_primary(self) -> &'static str {
        self.pick(" FORCE INDEX (PRIMARY)", "")
    }

    /// MariaDB: by this index and no other; SQLite finds its own way.
    pub(crate) fn by_index(self, index: &str) -> String {
        match self {
            Self::MariaDb => format!(" FORCE INDEX ({index})"),
            Self::Sqlite => String::new(),
        }
    }

    /// The optimizer keeps the order in which the tables are written.
    pub(crate) fn straight(self) -> &'static str {
        self.pick("STRAIGHT_JOIN", "CROSS JOIN")
    }

    /// A text within a column of JSON; NULL where there is none, or no JSON.
    pub(crate) fn json_text(self, column: &str, path: &str) -> String {
        match self {
            Self::MariaDb => format!("JSON_VALUE({column}, '{path}')"),
            Self::Sqlite => format!("CASE WHEN json_valid({column}) THEN json_extract({column}, '{path}') END"),
        }
    }

    /// The end of a text, marked as such.
    pub(crate) fn last_characters(self, column: &str, characters: u32) -> String {
        match self {
            Self::MariaDb => format!("CONCAT('… ', RIGHT({column}, {characters}))"),
            Self::Sqlite => format!("'… ' || SUBSTR({column}, -{characters})"),
        }
    }

    pub(crate) fn greatest(self) -> &'static str {
        self.pick("GREATEST", "MAX")
    }

    pub(crate) fn least(self) -> &'static str {
        self.pick("LEAST", "MIN")
    }

    /// The beginning of an INSERT that leaves rows alone whose key is there already.
    pub(crate) fn insert_ignore(self) -> &'static str {
        self.pick("INSERT IGNORE", "INSERT OR IGNORE")
    }

    /// The tail of an INSERT that replaces the `columns` of a row whose `key` is there already.
    pub(crate) fn or_update(self, key: &str, columns: &[&str]) -> String {
        let sets = |wrap: &dyn Fn(&str) -> String| {
            columns.iter().map(|column| format!("{column} = {}", wrap(column))).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::MariaDb => format!(" ON DUPLICATE KEY UPDATE {}", sets(&|column| format!("VALUES({column})"))),
            Self::Sqlite => {
                format!(" ON CONFLICT ({key}) DO UPDATE SET {}", sets(&|column| format!("excluded.{column}")))
            }
        }
    }
}
