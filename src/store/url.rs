//! Where the database is, and how far away it was lately. Owns parsing and the form without a password; connecting is
//! [`super::session`]'s.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::dialect::Dialect;
use super::distance::Distance;
use super::error::StoreError;

/// A database: MariaDB by address, or a SQLite file.
#[derive(Clone)]
pub struct DatabaseUrl {
    place: DatabasePlace,
    /// Learned by all connections of this process.
    distance: Arc<Distance>,
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for DatabaseUrl {}

impl From<DatabasePlace> for DatabaseUrl {
    fn from(place: DatabasePlace) -> Self {
        Self { place, distance: Arc::default() }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum DatabasePlace {
    MariaDb(url::Url),
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    /// Reads `mysql://user:pass@host[:port]/database` (also `mariadb://`) or `sqlite:///path/to/file`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            return sqlite(path);
        }
        let mut url = url::Url::parse(text.trim()).map_err(|error| StoreError::BadUrl(error.to_string()))?;
        if url.scheme() == "mariadb" {
            url = url::Url::parse(&text.trim().replacen("mariadb", "mysql", 1))
                .map_err(|error| StoreError::BadUrl(error.to_string()))?;
        }
        if url.scheme() != "mysql" {
            let scheme = url.scheme();
            return Err(StoreError::BadUrl(format!("scheme `{scheme}` is not known: use mysql:// or sqlite://")));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(StoreError::BadUrl("it names no database: mysql://user:pass@host/database".to_owned()));
        }
        Ok(DatabasePlace::MariaDb(url).into())
    }

    /// The file of a SQLite database.
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        DatabasePlace::Sqlite(path.as_ref().to_owned()).into()
    }

    pub(crate) fn place(&self) -> &DatabasePlace {
        &self.place
    }

    pub(crate) fn distance(&self) -> &Arc<Distance> {
        &self.distance
    }

    /// There may be something: connecting to a file that is not there would make it.
    pub fn exists(&self) -> bool {
        match self.place() {
            DatabasePlace::MariaDb(_) => true,
            DatabasePlace::Sqlite(path) => path.exists(),
        }
    }

    /// It is on a server that may be away, not a file of this host.
    pub fn is_server(&self) -> bool {
        self.dialect() == Dialect::MariaDb
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.place {
            DatabasePlace::MariaDb(_) => Dialect::MariaDb,
            DatabasePlace::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Name of the MariaDB database, or the path of the SQLite file.
    pub fn database(&self) -> String {
        match &self.place {
            DatabasePlace::MariaDb(url) => url.path().trim_matches('/').to_owned(),
            DatabasePlace::Sqlite(path) => path.display().to_string(),
        }
    }
}

fn sqlite(path: &str) -> Result<DatabaseUrl, StoreError> {
    if path.is_empty() || path.contains(":memory:") {
        return Err(StoreError::BadUrl("it names no file: sqlite:///var/lib/komainu/komainu.db".to_owned()));
    }
    Ok(DatabasePlace::Sqlite(PathBuf::from(path)).into())
}

impl FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            DatabasePlace::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            DatabasePlace::MariaDb(url) => {
                let mut shown = url.clone();
                if shown.password().is_some() {
                    let _ = shown.set_password(Some("***"));
                }
                shown.set_query(None);
                f.write_str(shown.as_str())
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = DatabaseUrl::parse("mysql://kuma:secret@db:3306/kuma").unwrap();
        assert_eq!(url.to_string(), "mysql://kuma:***@db:3306/kuma");
        assert_eq!(format!("{url:?}"), "mysql://kuma:***@db:3306/kuma");
        assert_eq!(url.database(), "kuma");
    }

    #[test]
    fn a_url_without_a_database_says_what_is_missing() {
        let error = DatabaseUrl::parse("mysql://kuma@db").unwrap_err();
        assert!(error.to_string().contains("names no database"));
    }

    #[test]
    fn an_unknown_scheme_is_named() {
        let error = DatabaseUrl::parse("postgres://db/kuma").unwrap_err();
        assert!(error.to_string().contains("postgres"));
    }

    #[test]
    fn a_sqlite_url_is_a_path() {
        assert_eq!(DatabaseUrl::parse("sqlite:///tmp/k.db").unwrap(), DatabaseUrl::sqlite("/tmp/k.db"));
    }
}
