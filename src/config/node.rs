//! `[node]`: the native node of this host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::HeaderValue;
use komainu_watchdogs::ids::NodeId;
use serde::Deserialize;
use url::Url;

use super::fault::Faults;
use super::secret::Secret;
use super::shape;
use crate::keys::NodeKey;
use crate::node::StartSpread;

/// Of one native node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name, as `komainu nodes add` entered it.
    pub id: NodeId,
    /// Where its HTTP surface listens.
    pub listen: SocketAddr,
    /// Where the watchdogs reach it; `None`: as the `node` row says.
    pub advertise: Option<Url>,
    /// Shared with the watchdogs, printed by `komainu nodes add`.
    pub key: NodeKey,
    /// Where each run's start is written, for tests of the one-owner rule.
    pub trace_file: Option<PathBuf>,
    /// How monitors start that it gains together.
    pub start_spread: StartSpread,
    /// How its HTTP monitors name themselves; `None`: `komainu/` and the version.
    pub user_agent: Option<HeaderValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    id: String,
    listen: Option<SocketAddr>,
    advertise: Option<String>,
    key: Option<String>,
    key_file: Option<PathBuf>,
    trace_file: Option<PathBuf>,
    user_agent: Option<String>,
    #[serde(default)]
    start_spread: Spread,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Spread {
    #[default]
    Soon,
    Interval,
}

impl Section {
    pub(super) fn resolve(self, (folder, scheme): (&Path, &str), faults: &mut Faults) -> Option<NodeConfig> {
        let id = faults.note("node", "id", shape::ensure_id(&self.id)).map(|()| NodeId::from(self.id.as_str()));
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8910)));
        let advertise = match self.advertise {
            Some(text) => Some(faults.note("node", "advertise", shape::parse_address(&text))?),
            None => shape::advertise_of(listen, scheme),
        };
        let is_given = self.key.is_some() || self.key_file.is_some();
        if !is_given {
            faults.add("node", "key_file", format!("a node needs its key: `komainu nodes add {}` prints it", self.id));
        }
        let secret = Secret { place: "node".into(), name: "key", inline: self.key, file: self.key_file };
        let key = secret.read(folder, faults, NodeKey::parse);
        let start_spread = match self.start_spread {
            Spread::Soon => StartSpread::Soon,
            Spread::Interval => StartSpread::OverInterval,
        };
        let trace_file = self.trace_file.map(|file| folder.join(file));
        let user_agent = match self.user_agent {
            Some(text) => Some(faults.note("node", "user_agent", parse_user_agent(&text))?),
            None => None,
        };
        Some(NodeConfig { id: id?, listen, advertise, key: key?, trace_file, start_spread, user_agent })
    }
}

fn parse_user_agent(text: &str) -> Result<HeaderValue, &'static str> {
    let value = Some(text.trim()).filter(|text| !text.is_empty()).map(HeaderValue::from_str);
    value.and_then(Result::ok).ok_or("must be a text that a header may hold; leave it out for komainu's own")
}
