//! Reading what changed of all checks, as often as one likes: while nothing does, one row is read.

use std::collections::BTreeSet;

use super::{Check, columns};
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Session;
use crate::store::value::values;

const ACT: &str = "read the checks";

/// The connection on which changes are read; it never reconnects by itself.
pub struct CheckReader {
    session: Session,
}

/// What changed since a revision.
#[derive(Clone, PartialEq, Debug)]
pub struct Changes {
    /// What to ask with the next time.
    pub revision: u64,
    /// Those that were written since, or all.
    pub changed: Vec<Check>,
    /// The names of all that there are: what is not among them was deleted.
    pub names: BTreeSet<String>,
}

impl CheckReader {
    /// Connects.
    pub async fn connect(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { session: Session::connect(store.url()).await? })
    }

    /// What was written since this revision; `since`: none, everything. `None`: nothing was.
    pub async fn changes(&mut self, since: Option<u64>) -> Result<Option<Changes>, StoreError> {
        let sql = "SELECT revision FROM komainu_check_revision WHERE id = 1";
        let row = self.session.row(ACT, sql, vec![]).await?;
        // Read first: what is written after it is read again the next time.
        let revision = row.ok_or_else(|| StoreError::unreadable(ACT, "revision", "nothing"))?.count("revision")?;
        if since == Some(revision) {
            return Ok(None);
        }
        // A database that was restored has gone back: then everything is read.
        let after = since.filter(|since| *since < revision).unwrap_or_default();
        let sql = format!("{} WHERE c.revision > ? ORDER BY c.name", columns::SELECT);
        let rows = self.session.rows(ACT, sql, values![after]).await?;
        let changed = rows.iter().map(columns::check).collect::<Result<_, _>>()?;
        // Last: what is named here and was not read yet has a higher revision.
        let rows = self.session.rows(ACT, "SELECT name FROM komainu_check", vec![]).await?;
        let names = rows.iter().map(|row| row.text("name")).collect::<Result<_, _>>()?;
        Ok(Some(Changes { revision, changed, names }))
    }
}
