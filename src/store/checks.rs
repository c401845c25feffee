//! Checks: what people chose, and the number by which watchdogs know that something of it changed.
//!
//! What a check may be is decided by [`crate::check`]; here its rows are locked, handed to that judgement, and written,
//! each with its row of the audit trail. Every writer locks the row of `komainu_check_revision` first and raises it, so
//! that writers come one after another: the bound on how many checks there are holds, and whoever knows the number knows all
//! rows up to it. How a check is, is in `komainu_check_state`, which goes with its check.

mod columns;
mod history;
mod reader;
mod reports;
mod trail;
mod verdicts;
mod writing;

use komainu_watchdogs::time::Wall;
use serde::{Deserialize, Serialize};

use super::Page;
use super::error::StoreError;
use super::pool::Store;
use super::value::{Value, values};
use crate::check::Definition;

pub use super::monitors::{Change, Refusal};
pub use history::{Availability, Counted, Counts, Minute, Span, availability, count, history};
pub use reader::{Changes, CheckReader};
pub use reports::{WrittenReport, reports, write_report};
pub use trail::note_trial;
pub use verdicts::{ShownTransition, enter, incidents, open_incidents, raise, resolve, transitions, verdicts};
pub use writing::{MOST_CHECKS, Target, Wish, Written, delete, rehearse, write};

/// A check as it is stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What people chose.
    pub definition: Definition,
    /// The number of the write that made it so.
    pub revision: u64,
    /// By the database's clock.
    pub created_at: Wall,
    /// As the audit trail names who made it.
    pub created_by: String,
    /// By the database's clock.
    pub changed_at: Wall,
    /// Who changed it last.
    pub changed_by: String,
    /// What the watchdogs said of it last; `None`: nothing yet.
    pub state: Option<State>,
}

/// What the watchdogs said of a check last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// `up`, `down`, `partial`, `unknown`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Wall,
}

impl Check {
    /// Another one after each edit. With its quotes, as it stands in the header.
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.created_at.0, self.revision)
    }
}

/// Which checks; `None`: whatever it says there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckFilter {
    /// Of this type.
    pub kind: Option<String>,
    /// Bearing this tag.
    pub tag: Option<String>,
    /// Of this set.
    pub managed_by: Option<String>,
    /// Paused, or not.
    pub is_paused: Option<bool>,
}

/// One of them.
pub async fn get(store: &Store, name: &str) -> Result<Option<Check>, StoreError> {
    let act = "read a check";
    let sql = format!("{} WHERE c.name = ?", columns::SELECT);
    let row = store.lease(act).await?.row(act, sql, values![name]).await?;
    row.as_ref().map(columns::check).transpose()
}

/// A page of the checks in the order of their names; all filters must hold.
pub async fn list(
    store: &Store,
    filter: &CheckFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Check>, StoreError> {
    let act = "read checks";
    let CheckFilter { kind, tag, managed_by, is_paused } = filter;
    // The list is JSON: a name within its quotes, written as it is written there, is that name and no part of one.
    let tag = tag.as_ref().map(|tag| Value::from(columns::quoted(tag)));
    let conditions = [
        (" AND c.type = ?", kind.as_ref().map(Value::from)),
        (" AND INSTR(c.tags, ?) > 0", tag),
        (" AND c.managed_by = ?", managed_by.as_ref().map(Value::from)),
        (" AND c.is_paused = ?", is_paused.map(Value::from)),
    ];
    let mut values = values![cursor.unwrap_or_default()];
    let mut condition = String::new();
    for (sql, value) in conditions {
        let Some(value) = value else { continue };
        condition.push_str(sql);
        values.push(value);
    }
    values.push(Value::from(limit.saturating_add(1)));
    let sql = format!("{} WHERE c.name > ?{condition} ORDER BY c.name LIMIT ?", columns::SELECT);
    let rows = store.lease(act).await?.rows(act, sql, values).await?;
    let items = rows.iter().map(columns::check).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(items, limit, |check| check.definition.name.clone()))
}
