//! Values that go into statements, and rows that come out, alike for both databases.
//!
//! Owns conversions only. Numbers travel as `i64`; times as milliseconds UTC; incarnations and nonces as their text.

use komainu_watchdogs::ids::{Epoch, Generation, Incarnation, MonitorId, NodeId, Nonce, WatchdogId, Zone};
use komainu_watchdogs::time::Wall;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _, mysql::MySqlRow, sqlite::SqliteRow};

use super::error::StoreError;

/// Something bound to a placeholder.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

/// A list of bound values, each converted.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::value::Value::from($value)),*] };
}
pub(crate) use values;

macro_rules! from_number {
    ($($type:ty),*) => { $(impl From<$type> for Value {
        fn from(number: $type) -> Self {
            Self::Int(i64::from(number))
        }
    })* };
}
from_number!(i64, i32, u32, u16, bool);

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        // Counters start at zero and are raised by one: they do not reach 2^63.
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

macro_rules! from_text {
    ($($type:ty),*) => { $(
        impl From<&$type> for Value {
            fn from(id: &$type) -> Self {
                Self::Text(id.to_string())
            }
        }
        impl From<$type> for Value {
            fn from(id: $type) -> Self {
                Self::Text(id.to_string())
            }
        }
    )* };
}
from_text!(NodeId, WatchdogId, Zone, Incarnation, Nonce);

impl From<MonitorId> for Value {
    fn from(id: MonitorId) -> Self {
        Self::Int(id.0)
    }
}

impl From<Generation> for Value {
    fn from(id: Generation) -> Self {
        Self::from(id.0)
    }
}

impl From<Epoch> for Value {
    fn from(id: Epoch) -> Self {
        Self::from(id.0)
    }
}

impl From<Wall> for Value {
    fn from(at: Wall) -> Self {
        Self::Int(at.0)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(maybe: Option<T>) -> Self {
        maybe.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer; its columns are asked for by name.
pub(crate) struct Row {
    act: &'static str,
    cells: Cells,
}

enum Cells {
    MariaDb(MySqlRow),
    Sqlite(SqliteRow),
}

impl Row {
    pub(crate) fn mariadb(act: &'static str, row: MySqlRow) -> Self {
        Self { act, cells: Cells::MariaDb(row) }
    }

    pub(crate) fn sqlite(act: &'static str, row: SqliteRow) -> Self {
        Self { act, cells: Cells::Sqlite(row) }
    }

    /// MariaDB makes a DECIMAL of what joins unsigned and signed numbers, and of each sum, and sends it as text.
    fn decimal(&self, column: &str) -> Result<Option<String>, StoreError> {
        let Cells::MariaDb(row) = &self.cells else { return Ok(None) };
        let unreadable = |error| StoreError::unreadable(self.act, column, error);
        let is_decimal = row.try_get_raw(column).map_err(unreadable)?.type_info().name() == "DECIMAL";
        if is_decimal { row.try_get_unchecked(column).map_err(unreadable) } else { Ok(None) }
    }

    pub(crate) fn maybe_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        if let Some(text) = self.decimal(column)? {
            let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
            return whole.parse().map(Some).map_err(|_| StoreError::unreadable(self.act, column, &text));
        }
        let cell = match &self.cells {
            Cells::MariaDb(row) => row.try_get_unchecked(column),
            Cells::Sqlite(row) => row.try_get_unchecked(column),
        };
        cell.map_err(|error| StoreError::unreadable(self.act, column, error))
    }

    pub(crate) fn maybe_real(&self, column: &str) -> Result<Option<f64>, StoreError> {
        if let Some(text) = self.decimal(column)? {
            return text.parse().map(Some).map_err(|_| StoreError::unreadable(self.act, column, &text));
        }
        let cell = match &self.cells {
            Cells::MariaDb(row) => row.try_get_unchecked(column),
            Cells::Sqlite(row) => row.try_get_unchecked(column),
        };
        cell.map_err(|error| StoreError::unreadable(self.act, column, error))
    }

    pub(crate) fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        let cell = match &self.cells {
            Cells::MariaDb(row) => row.try_get_unchecked(column),
            Cells::Sqlite(row) => row.try_get_unchecked(column),
        };
        cell.map_err(|error| StoreError::unreadable(self.act, column, error))
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| StoreError::unreadable(self.act, column, "NULL"))
    }

    /// NULL reads as zero; negative numbers are refused.
    pub(crate) fn count(&self, column: &str) -> Result<u64, StoreError> {
        let number = self.maybe_int(column)?.unwrap_or(0);
        u64::try_from(number).map_err(|_| StoreError::unreadable(self.act, column, number))
    }

    /// NULL and negative numbers read as zero, too large ones as the largest: for what people entered.
    pub(crate) fn small(&self, column: &str) -> Result<u32, StoreError> {
        let number = self.maybe_int(column)?.unwrap_or(0).max(0);
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    pub(crate) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.maybe_int(column)?.unwrap_or(0) != 0)
    }

    /// NULL reads as empty.
    pub(crate) fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.maybe_text(column)?.unwrap_or_default())
    }

    pub(crate) fn wall(&self, column: &str) -> Result<Wall, StoreError> {
        Ok(Wall(self.maybe_int(column)?.unwrap_or(0)))
    }

    pub(crate) fn maybe_wall(&self, column: &str) -> Result<Option<Wall>, StoreError> {
        Ok(self.maybe_int(column)?.map(Wall))
    }

    pub(crate) fn node(&self, column: &str) -> Result<NodeId, StoreError> {
        Ok(NodeId::from(self.text(column)?))
    }

    /// NULL and '' are nobody.
    pub(crate) fn maybe_node(&self, column: &str) -> Result<Option<NodeId>, StoreError> {
        Ok(self.maybe_text(column)?.filter(|text| !text.is_empty()).map(NodeId::from))
    }

    /// Sixteen hex digits, or NULL.
    pub(crate) fn maybe_hex<T: std::str::FromStr>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let Some(text) = self.maybe_text(column)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| StoreError::unreadable(self.act, column, text))
    }

    pub(crate) fn hex<T: std::str::FromStr>(&self, column: &str) -> Result<T, StoreError> {
        self.maybe_hex(column)?.ok_or_else(|| StoreError::unreadable(self.act, column, "NULL"))
    }
}
