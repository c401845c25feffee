//! `[watchdog]`: the watchdog of this host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use komainu_watchdogs::ids::{WatchdogId, Zone};
use serde::Deserialize;
use url::Url;

use super::fault::Faults;
use super::shape;

/// Of one watchdog.
#[derive(Clone, Debug)]
pub struct WatchdogConfig {
    /// Its name, different from its peers'.
    pub id: WatchdogId,
    /// Where it stands; two zones do not fail together.
    pub zone: Zone,
    /// Where its HTTP surface listens.
    pub listen: SocketAddr,
    /// Where it answers the public: pages, and what outside services ask.
    pub public_listen: Option<SocketAddr>,
    /// Where its peers reach it.
    pub advertise: Url,
    /// Its peers' `advertise`, for speaking with them when neither the database nor what it last said can tell.
    pub peers: Vec<Url>,
    /// Where people reach the watchdogs, if that is another address than this one's: for the links of messages.
    pub public_url: Option<Url>,
    /// Where it keeps what must survive it.
    pub state_dir: Option<PathBuf>,
}

impl WatchdogConfig {
    /// Where people reach it, without a slash at its end.
    pub fn public_base(&self) -> String {
        shape::without_slash(self.public_url.as_ref().unwrap_or(&self.advertise))
    }

    /// Where people read what to do; each kind of incident has an anchor there.
    pub fn runbook_url(&self) -> String {
        format!("{}/runbook", self.public_base())
    }
}

/// As long as the column of a watchdog's row takes.
const ZONE_CHARS: usize = 190;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    id: String,
    zone: Option<String>,
    listen: Option<SocketAddr>,
    public_listen: Option<SocketAddr>,
    advertise: Option<String>,
    #[serde(default)]
    peers: Vec<String>,
    public_url: Option<String>,
    state_dir: Option<PathBuf>,
}

impl Section {
    pub(super) fn resolve(self, (folder, scheme): (&Path, &str), faults: &mut Faults) -> Option<WatchdogConfig> {
        let id = faults.note("watchdog", "id", shape::ensure_id(&self.id)).map(|()| WatchdogId::from(self.id));
        let zone = self.zone.unwrap_or_else(host_name);
        let zone = faults.note("watchdog", "zone", ensure_zone(&zone)).map(|()| Zone::from(zone));
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8900)));
        if self.public_listen == Some(listen) && listen.port() != 0 {
            let words = Err::<(), _>(format!("is {listen} as listen; the public needs a port of its own"));
            faults.note("watchdog", "public_listen", words)?;
        }
        let advertise = match &self.advertise {
            Some(text) => shape::parse_address(text),
            None => shape::advertise_of(listen, scheme).ok_or_else(|| needs_advertise(listen, scheme)),
        };
        let advertise = faults.note("watchdog", "advertise", advertise);
        let count = self.peers.len();
        let peers: Vec<Url> =
            self.peers.iter().filter_map(|peer| faults.note("watchdog", "peers", shape::parse_address(peer))).collect();
        (peers.len() == count).then_some(())?;
        let public_url = match self.public_url {
            Some(text) => Some(faults.note("watchdog", "public_url", shape::parse_web_url(&text))?),
            None => None,
        };
        Some(WatchdogConfig {
            id: id?,
            zone: zone?,
            listen,
            public_listen: self.public_listen,
            advertise: advertise?,
            peers,
            public_url,
            state_dir: self.state_dir.map(|dir| folder.join(dir)),
        })
    }
}

fn needs_advertise(listen: SocketAddr, scheme: &str) -> String {
    format!(
        "is missing: peers cannot call {listen}; write the address they reach this host at, {scheme}://host:{}",
        listen.port()
    )
}

/// It stands in a row, in lists between commas, and in messages.
fn ensure_zone(text: &str) -> Result<(), String> {
    let is_plain = !text.chars().any(|letter| letter.is_control() || letter == ',');
    if (1..=ZONE_CHARS).contains(&text.chars().count()) && is_plain {
        return Ok(());
    }
    Err(format!("must be 1 to {ZONE_CHARS} characters, without commas and line ends"))
}

/// Hosts fail one by one, so each is a zone unless told otherwise.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
