//! Which tables and columns a database has: Kuma's differ from version to version.

use std::collections::{BTreeMap, BTreeSet};

use super::dialect::Dialect;
use super::error::StoreError;
use super::session::Session;

/// Tables with their columns, by lower-case name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Catalog {
    tables: BTreeMap<String, BTreeSet<String>>,
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
        Ok(Self { tables })
    }

    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub(crate) fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.contains(column))
    }
}
