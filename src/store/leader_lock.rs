//! The advisory lock of the leadership: `GET_LOCK` on MariaDB, an OS file lock beside a SQLite database, none on Galera.
//!
//! Owns taking, checking and giving back. That the lock is only half of a leadership is [`super::leadership`]'s.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::session::{Session, Statement};
use super::url::{DatabasePlace, DatabaseUrl};
use super::value::{Row, Value, values};

/// MariaDB takes 192 bytes.
const LONGEST_NAME: usize = 190;

/// The lock, held or not.
pub(crate) enum LeaderLock {
    /// On the connection itself.
    Server { name: String, held: bool },
    /// On an open file; `None`: not held.
    File { beside: String, held: Option<File> },
    /// Galera: `GET_LOCK` is local to one server, so only the row counts.
    Nothing,
}

impl LeaderLock {
    pub(crate) fn of(session: &Session, url: &DatabaseUrl, cluster: &str) -> Self {
        match url.place() {
            DatabasePlace::Sqlite(path) => Self::File { beside: format!("{}.leader.lock", path.display()), held: None },
            DatabasePlace::MariaDb(_) if session.is_galera() => Self::Nothing,
            DatabasePlace::MariaDb(_) => Self::Server { name: lock_name(&url.database(), cluster), held: false },
        }
    }

    /// What takes the lock without waiting, to be handed to [`Self::take`]. Held already: what makes sure that it still is,
    /// for `GET_LOCK` would stack.
    pub(crate) fn attempt(&self) -> Statement {
        match self {
            Self::Server { name, held: false } => {
                ("SELECT CAST(GET_LOCK(?, 0) AS SIGNED) AS locked".to_owned(), values![name])
            }
            Self::Nothing | Self::File { .. } | Self::Server { held: true, .. } => {
                let (mine, values) = self.is_held();
                (format!("SELECT {mine} AS locked"), values)
            }
        }
    }

    /// What the answer to [`Self::attempt`] means.
    pub(crate) fn take(&mut self, answer: Option<&Row>) -> Result<bool, StoreError> {
        let locked = || answer.map_or(Ok(0), |row| row.small("locked")).map(|locked| locked == 1);
        match self {
            Self::Nothing => Ok(false),
            Self::File { held: Some(_), .. } => Ok(true),
            Self::File { beside, held } => {
                *held = try_file(Path::new(beside))?;
                Ok(held.is_some())
            }
            Self::Server { held: true, .. } => {
                if locked()? {
                    Ok(true)
                } else {
                    Err(lost("the advisory lock is not held any more"))
                }
            }
            Self::Server { held, .. } => {
                *held = locked()?;
                Ok(*held)
            }
        }
    }

    /// Galera: the row alone says who leads, on whichever connection.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// An expression: 1 when it is held, by the word of who keeps it, or where there is none.
    pub(crate) fn is_held(&self) -> (String, Vec<Value>) {
        match self {
            Self::Nothing => ("1".to_owned(), vec![]),
            Self::Server { held: false, .. } => ("0".to_owned(), vec![]),
            Self::File { held, .. } => (u8::from(held.is_some()).to_string(), vec![]),
            Self::Server { name, held: true } => {
                ("CAST(COALESCE(IS_USED_LOCK(?) = CONNECTION_ID(), 0) AS SIGNED)".to_owned(), values![name])
            }
        }
    }

    /// Gives it back.
    pub(crate) async fn release(&mut self, session: &mut Session) -> Result<(), StoreError> {
        match self {
            Self::Nothing => {}
            Self::File { held, .. } => *held = None,
            Self::Server { name, held } => {
                if *held {
                    session.row("give the leader lock back", "SELECT RELEASE_LOCK(?) AS done", values![&*name]).await?;
                }
                *held = false;
            }
        }
        Ok(())
    }
}

fn lost(reason: &str) -> StoreError {
    StoreError::Lost { act: "check the leader lock", reason: reason.to_owned() }
}

/// `None`: another process holds it.
fn try_file(path: &Path) -> Result<Option<File>, StoreError> {
    let act = "take the leader lock";
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|source| StoreError::File { act, source })?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(StoreError::File { act, source }),
    }
}

fn lock_name(database: &str, cluster: &str) -> String {
    let name = format!("komainu:{database}:{cluster}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    format!("komainu:{}", hex::encode(Sha256::digest(name.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_lock_name_is_hashed() {
        assert_eq!(lock_name("kuma", "prod"), "komainu:kuma:prod");
        let long = lock_name("kuma", &"x".repeat(200));
        assert!(long.len() <= LONGEST_NAME);
        assert_ne!(long, lock_name("kuma", &"x".repeat(201)));
    }
}
