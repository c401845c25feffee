//! Reading what changed of all checks, as often as one likes: while nothing does, one row is read.

use std::collections::BTreeSet;

use super::{Check, columns};
use crate::store::error::StoreError;
use crate::store::pool::Store;
use crate::store::session::Session;
use crate::store::value::values;

const ACT: &str = "read the checks";

/// The connection on which changes are read; it never reconnects by itself. What it knows goes with it: a database that was
/// restored is a new connection, and is read as a whole.
pub struct CheckReader {
    session: Session,
    known: Option<u64>,
}

/// What changed since the last reading.
#[derive(Clone, PartialEq, Debug)]
pub struct Changes {
    /// Of the last write that is surely among them.
    pub revision: u64,
    /// Those that were written since; the first time, all.
    pub changed: Vec<Check>,
    /// The names of all that there are: what is not among them was deleted.
    pub names: BTreeSet<String>,
}

impl CheckReader {
    /// Connects.
    pub async fn connect(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { session: Session::connect(store.url()).await?, known: None })
    }

    /// What was written since the last reading on this connection. `None`: nothing was.
    pub async fn changes(&mut self) -> Result<Option<Changes>, StoreError> {
        let sql = "SELECT revision FROM komainu_check_revision WHERE id = 1";
        let row = self.session.row(ACT, sql, vec![]).await?;
        // Read first: what is written after it is read again the next time.
        let revision = row.ok_or_else(|| StoreError::unreadable(ACT, "revision", "nothing"))?.count("revision")?;
        if self.known == Some(revision) {
            return Ok(None);
        }
        // Somebody may have put an older table in its place: then everything is read.
        let (condition, values) = match self.known.filter(|known| *known < revision) {
            Some(known) => (" WHERE c.revision > ?", values![known]),
            None => ("", vec![]),
        };
        let rows = self.session.rows(ACT, format!("{}{condition}", columns::SELECT), values).await?;
        let changed = rows.iter().map(columns::check).collect::<Result<_, _>>()?;
        // Last: what is named here and was not read yet has a higher revision.
        let rows = self.session.rows(ACT, "SELECT name FROM komainu_check", vec![]).await?;
        let names = rows.iter().map(|row| row.text("name")).collect::<Result<_, _>>()?;
        self.known = Some(revision);
        Ok(Some(Changes { revision, changed, names }))
    }
}
