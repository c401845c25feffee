//! What a database server says of itself when a connection is made, and now and then.
//!
//! Owns the question, which needs no privilege, and what its answer means: whether the server takes writes, and what there
//! is to warn of. Which of several servers is used is [`super::servers`]'.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::StoreError;
use super::pool::Store;
use super::session::Session;
use super::value::Row;

const ACT: &str = "look at the database server";

/// Two answers of two columns each: a name and its value.
pub(super) const ASK: &str = "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_node_name', 'wsrep_provider_options', \
     'hostname', 'port', 'read_only', 'server_uid', 'version'); \
     SHOW STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state_comment', 'wsrep_cluster_size', \
     'wsrep_cluster_state_uuid')";

/// Galera's default: so long nobody commits when any server is gone, and a little more.
const DEFAULT_SUSPICION: &str = "PT5S";

/// One server, as it said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Server {
    /// Told from others by: its name in Galera or its host's, and its port.
    pub name: String,
    /// A number of its own, where its version has one.
    pub uid: Option<String>,
    /// Of the program.
    pub version: String,
    /// It refuses writes.
    pub is_read_only: bool,
    /// A replica: how far what it has is behind what watchdogs write each second.
    pub behind: Option<Duration>,
    /// It is one of a Galera cluster.
    pub galera: Option<Galera>,
}

/// What a server of a Galera cluster says besides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Galera {
    /// It carries statements out; one that lost the others does not.
    pub is_ready: bool,
    /// Galera's word: `Synced`, `Donor/Desynced`, `Joined`, `Initialized`.
    pub state: String,
    /// Servers that it sees, with itself.
    pub size: u32,
    /// Of the cluster: servers with another one have other data.
    pub cluster: String,
    /// How long a silent server is waited for (`evs.suspect_timeout`), in Galera's form.
    pub suspect_timeout: Option<String>,
}

/// Something about the servers that will cost dearly one night.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weakness {
    /// Of two servers neither goes on alone.
    TwoServers,
    /// Whatever server dies, nobody commits for 5 to 7 s.
    LongSuspicion,
}

impl Weakness {
    /// For people: what it costs, and what to do.
    pub fn words(self) -> &'static str {
        match self {
            Self::TwoServers => {
                "the Galera cluster has two servers: when one is gone the other takes no writes; add a third, or an arbitrator (garbd)"
            }
            Self::LongSuspicion => {
                "evs.suspect_timeout is Galera's default of 5 s: whatever server dies, nobody can commit for 5 to 7 s; \
                 PT2S is recommended (docs/database.md)"
            }
        }
    }
}

impl Server {
    /// What the answers to [`ASK`] say.
    pub(super) fn of(variables: &[Row], status: &[Row]) -> Result<Self, StoreError> {
        let mut said = BTreeMap::new();
        for row in variables.iter().chain(status) {
            said.insert(row.text("Variable_name")?.to_lowercase(), row.text("Value")?);
        }
        Ok(Self::read(&said))
    }

    fn read(said: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| said.get(name).cloned().unwrap_or_default();
        let is_on = |name: &str| is_on(&text(name));
        let galera = is_on("wsrep_on").then(|| Galera {
            is_ready: is_on("wsrep_ready"),
            state: text("wsrep_local_state_comment"),
            size: text("wsrep_cluster_size").parse().unwrap_or_default(),
            cluster: text("wsrep_cluster_state_uuid"),
            suspect_timeout: option(&text("wsrep_provider_options"), "evs.suspect_timeout"),
        });
        let host = if galera.is_some() { text("wsrep_node_name") } else { String::new() };
        let host = if host.is_empty() { text("hostname") } else { host };
        Self {
            name: format!("{host}:{}", text("port")),
            uid: Some(text("server_uid")).filter(|uid| !uid.is_empty()),
            version: text("version"),
            // Newer servers have words for more than two states.
            behind: None,
            is_read_only: !matches!(text("read_only").to_lowercase().as_str(), "off" | "0" | ""),
            galera,
        }
    }

    /// It takes writes, as far as it knows.
    pub fn is_open(&self) -> bool {
        self.shut().is_none()
    }

    /// Why it takes no writes.
    pub fn shut(&self) -> Option<String> {
        if self.is_read_only {
            return Some("it is read-only".to_owned());
        }
        let galera = self.galera.as_ref().filter(|galera| !galera.is_ready)?;
        Some(format!("its Galera is not ready ({})", galera.state))
    }

    /// With the version and the number of its own, for who looks at one server.
    pub fn in_full(&self) -> String {
        let uid = self.uid.as_ref().map(|uid| format!(" ({uid})")).unwrap_or_default();
        format!("{self}{uid}, {}", self.version)
    }

    /// What there is to warn of.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        let Some(galera) = &self.galera else { return Vec::new() };
        let is_default = galera.suspect_timeout.as_deref() == Some(DEFAULT_SUSPICION);
        let two = (galera.size == 2).then_some(Weakness::TwoServers);
        two.into_iter().chain(is_default.then_some(Weakness::LongSuspicion)).collect()
    }
}

/// Asks the server that is used how it is; `None`: a file is no server.
pub async fn look(store: &Store) -> Result<Option<Server>, StoreError> {
    if !store.url().is_server() {
        return Ok(None);
    }
    let mut session = store.lease(ACT).await?;
    let mut server = session.ask_server(ACT).await?;
    if server.is_read_only {
        server.behind = behind(&mut session).await?;
    }
    store.url().servers().refresh(&server);
    Ok(Some(server))
}

/// By the newest of the rows that watchdogs write each second: that needs no privilege, and no look at how it replicates.
async fn behind(session: &mut Session) -> Result<Option<Duration>, StoreError> {
    let sql = format!("SELECT {} - MAX(last_seen) AS behind_ms FROM komainu_watchdog", session.dialect().now_ms());
    let row = session.row(ACT, sql, vec![]).await?;
    let ms = row.map_or(Ok(None), |row| row.maybe_int("behind_ms"))?;
    Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())))
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(galera) = &self.galera {
            write!(f, ", Galera, {}, {} servers", galera.state, galera.size)?;
        }
        if self.is_read_only {
            f.write_str(", read-only")?;
        }
        match self.behind {
            Some(behind) => write!(f, ", {:.1} s behind", behind.as_secs_f64()),
            None => Ok(()),
        }
    }
}

fn is_on(value: &str) -> bool {
    value.eq_ignore_ascii_case("on") || value == "1"
}

/// One of `a = b; c = d`.
fn option(options: &str, name: &str) -> Option<String> {
    let mut pairs = options.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[(&str, &str)]) -> Server {
        Server::read(&words.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_single_server_is_named_by_its_host_and_port_and_is_open_unless_read_only() {
        let server = said(&[("hostname", "db1"), ("port", "3306"), ("wsrep_on", "OFF"), ("read_only", "OFF")]);
        assert_eq!((server.name.as_str(), server.galera.is_none(), server.is_open()), ("db1:3306", true, true));
        assert_eq!(server.weaknesses(), []);
        for read_only in ["ON", "1", "NO_LOCK_NO_ADMIN"] {
            assert_eq!(said(&[("read_only", read_only)]).shut().as_deref(), Some("it is read-only"), "{read_only}");
        }
    }

    #[test]
    fn a_server_is_shown_with_what_is_peculiar_to_it() {
        let behind = Some(Duration::from_millis(1_500));
        let replica = Server { name: "db2:3306".to_owned(), is_read_only: true, behind, ..Server::default() };
        assert_eq!(replica.to_string(), "db2:3306, read-only, 1.5 s behind");
        let galera = Some(Galera { state: "Synced".to_owned(), size: 3, ..Galera::default() });
        let (uid, version) = (Some("abc=".to_owned()), "10.11.14-MariaDB".to_owned());
        let server = Server { name: "g1:3306".to_owned(), uid, version, galera, ..Server::default() };
        assert_eq!(server.in_full(), "g1:3306, Galera, Synced, 3 servers (abc=), 10.11.14-MariaDB");
    }

    #[test]
    fn a_galera_server_is_open_while_it_is_ready_and_warned_of_for_what_is_dear() {
        let options = "base_port = 4567; evs.suspect_timeout = PT5S; gcache.size = 128M; ";
        let words = [("wsrep_on", "ON"), ("wsrep_node_name", "g1"), ("port", "3306"), ("hostname", "h")];
        let more = [("wsrep_cluster_size", "2"), ("wsrep_ready", "ON"), ("wsrep_provider_options", options)];
        let server = said(&[&words[..], &more[..]].concat());
        assert_eq!((server.name.as_str(), server.is_open()), ("g1:3306", true));
        assert_eq!(server.weaknesses(), [Weakness::TwoServers, Weakness::LongSuspicion]);
        let alone = [("wsrep_ready", "OFF"), ("wsrep_local_state_comment", "Initialized"), ("wsrep_cluster_size", "3")];
        let server = said(&[&words[..], &alone[..]].concat());
        assert_eq!(server.shut().as_deref(), Some("its Galera is not ready (Initialized)"));
        assert_eq!(server.weaknesses(), []);
    }
}
