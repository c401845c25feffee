//! Where the database is, and how far away it was lately. Owns parsing and the form without a password; connecting is
//! [`super::session`]'s.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::dialect::Dialect;
use super::distance::Distance;
use super::error::StoreError;
use super::servers::Servers;

/// A database: MariaDB by the address of its server, or of several, or a SQLite file.
#[derive(Clone)]
pub struct DatabaseUrl {
    place: DatabasePlace,
    /// Learned by all connections of this process.
    distance: Arc<Distance>,
    /// Which server it is, where there are several; the same for all connections of this process.
    servers: Arc<Servers>,
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for DatabaseUrl {}

impl From<DatabasePlace> for DatabaseUrl {
    fn from(place: DatabasePlace) -> Self {
        Self { place, distance: Arc::default(), servers: Arc::default() }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum DatabasePlace {
    MariaDb(Addresses),
    Sqlite(PathBuf),
}

/// Of the servers that have one database, in the order in which they are tried.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Addresses {
    first: url::Url,
    others: Vec<url::Url>,
}

impl Addresses {
    /// As whom, and which database: the same at all of them.
    pub(crate) fn first(&self) -> &url::Url {
        &self.first
    }

    pub(crate) fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &url::Url> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl DatabaseUrl {
    /// Reads `mysql://user:pass@host[:port][,host[:port]…]/database` (also `mariadb://`) or `sqlite:///path/to/file`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        Self::parse_all(&[text])
    }

    /// Reads several, which name the servers of one database in the order in which they are tried.
    pub fn parse_all(texts: &[impl AsRef<str>]) -> Result<Self, StoreError> {
        if let [only] = texts
            && let Some(path) = only.as_ref().trim().strip_prefix("sqlite://")
        {
            return sqlite(path);
        }
        let mut all: Vec<url::Url> = Vec::new();
        for text in texts {
            for one in split(text.as_ref().trim())? {
                all.push(address(&one)?);
            }
        }
        let mut all = all.into_iter();
        let first = all.next().ok_or_else(|| StoreError::BadUrl("it names no server".to_owned()))?;
        let others: Vec<url::Url> = all.collect();
        ensure_servers(&first, &others)?;
        Ok(DatabasePlace::MariaDb(Addresses { first, others }).into())
    }

    /// The file of a SQLite database.
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        DatabasePlace::Sqlite(path.as_ref().to_owned()).into()
    }

    pub(crate) fn place(&self) -> &DatabasePlace {
        &self.place
    }

    pub(crate) fn servers(&self) -> &Arc<Servers> {
        &self.servers
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
            DatabasePlace::MariaDb(addresses) => database_of(addresses.first()).to_owned(),
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

/// One URL for each of the servers that this one names.
fn split(text: &str) -> Result<Vec<String>, StoreError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(vec![text.to_owned()]) };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A password may hold an `@` by mistake; a host cannot.
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    if !hosts.contains(',') {
        return Ok(vec![text.to_owned()]);
    }
    if hosts.split(',').any(|host| host.trim().is_empty() || host.starts_with(':')) {
        return Err(StoreError::BadUrl(
            "one of its servers has no name: mysql://user:pass@db1,db2/database".to_owned(),
        ));
    }
    Ok(hosts.split(',').map(|host| format!("{scheme}://{user}{}{tail}", host.trim())).collect())
}

fn address(text: &str) -> Result<url::Url, StoreError> {
    let bad = |error: url::ParseError| StoreError::BadUrl(error.to_string());
    let mut url = url::Url::parse(text).map_err(bad)?;
    if url.scheme() == "mariadb" {
        url = url::Url::parse(&text.replacen("mariadb", "mysql", 1)).map_err(bad)?;
    }
    if url.scheme() != "mysql" {
        let scheme = url.scheme();
        return Err(StoreError::BadUrl(format!("scheme `{scheme}` is not known: use mysql:// or sqlite://")));
    }
    if database_of(&url).is_empty() {
        return Err(StoreError::BadUrl("it names no database: mysql://user:pass@host/database".to_owned()));
    }
    Ok(url)
}

fn database_of(url: &url::Url) -> &str {
    url.path().trim_matches('/')
}

/// Several servers have the same database, and each is named once.
fn ensure_servers(first: &url::Url, others: &[url::Url]) -> Result<(), StoreError> {
    let mut named = vec![host_of(first)];
    for other in others {
        if database_of(other) != database_of(first) {
            let (one, two) = (database_of(first), database_of(other));
            return Err(StoreError::BadUrl(format!("its servers have one database, not {one} and {two}")));
        }
        let host = host_of(other);
        if named.contains(&host) {
            return Err(StoreError::BadUrl(format!("it names {host} twice")));
        }
        named.push(host);
    }
    Ok(())
}

/// With its port.
pub(crate) fn host_of(url: &url::Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or("localhost"), url.port().unwrap_or(3306))
}

fn shown(url: &url::Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        let _ = shown.set_password(Some("***"));
    }
    shown.set_query(None);
    shown.into()
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
            DatabasePlace::MariaDb(addresses) => {
                let all: Vec<String> = addresses.all().map(shown).collect();
                f.write_str(&all.join(", "))
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

    fn shown_of(texts: &[&str]) -> Result<String, String> {
        DatabaseUrl::parse_all(texts).map(|url| url.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn one_url_may_name_several_servers_and_so_may_several_urls() {
        let each = "mysql://k:***@db1/kuma, mysql://k:***@db2:3307/kuma, mysql://k:***@[::1]:3306/kuma";
        assert_eq!(shown_of(&["mysql://k:a,b@db1,db2:3307,[::1]:3306/kuma"]).as_deref(), Ok(each));
        let urls = ["mariadb://k:x@db1/kuma", "mysql://k:y@db2:3307,[::1]:3306/kuma?charset=utf8mb4"];
        assert_eq!(shown_of(&urls).as_deref(), Ok(each));
        assert_eq!(DatabaseUrl::parse(&format!("{}\n", urls[1])).unwrap().database(), "kuma");
    }

    #[test]
    fn servers_without_a_name_named_twice_or_of_other_databases_are_refused() {
        for (texts, word) in [
            (&["mysql://k@db1,,db2/kuma"][..], "no name"),
            (&["mysql://k@db1,:3307/kuma"], "no name"),
            (&["mysql://k@db1,db2,db1:3306/kuma"], "db1:3306 twice"),
            (&["mysql://k@db1/kuma", "mysql://k@db2/other"], "not kuma and other"),
            (&["mysql://k@db1/kuma", "sqlite:///k.db"], "scheme"),
            (&[], "no server"),
        ] {
            let refused = shown_of(texts).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_sqlite_url_is_a_path() {
        assert_eq!(DatabaseUrl::parse("sqlite:///tmp/k.db").unwrap(), DatabaseUrl::sqlite("/tmp/k.db"));
    }
}
