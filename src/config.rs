//! The configuration: one TOML file, overridden by environment variables.
//!
//! Owns reading, the rule that unknown keys are errors, and the way faults are told: every fault of the file in one
//! go, each with its section, its key and what to do. Each section's keys, defaults and rules live in its own file
//! below. What the settings mean is decided by those who use them.
//!
//! `KOMAINU__WATCHDOG__LISTEN=0.0.0.0:8900` overrides `listen` of `[watchdog]`. Each `x_file` names a file that holds
//! what `x` would say; relative names start at the folder of the configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::providers::{Env, Format};
use figment::{Figment, Provider};
use komainu_notifiers::Secret;
use komainu_watchdogs::policy::Policy;
use komainu_watchdogs::routing::Routing;
use serde::de::DeserializeOwned;
use thiserror::Error;

use self::fault::{Faults, describe, origin};
use crate::byte_order_mark;
use crate::keys::ClusterKey;
use crate::oncall::OnCall;
use crate::opinion::SecondOpinion;
use crate::surface::Proxies;
use crate::tls::TlsFiles;

mod active;
mod channel;
mod checks;
mod cluster;
mod database;
mod deadman;
mod duration;
mod effective;
mod entry;
mod fault;
mod heartbeat;
mod node;
mod on_call;
mod pages;
mod policy;
mod route;
mod second_opinion;
mod secret;
mod server;
mod shape;
mod status;
mod tls;
mod unmatched;
mod watchdog;

pub use self::channel::ChannelConfig;
pub use self::checks::ChecksConfig;
pub use self::cluster::ClusterConfig;
pub use self::database::DatabaseConfig;
pub use self::deadman::DeadmanConfig;
pub use self::fault::ConfigFault;
pub use self::node::NodeConfig;
pub use self::pages::PagesConfig;
pub(crate) use self::shape::{ensure_id, parse_address, without_slash};
pub use self::status::{Details, StatusConfig};
pub use self::watchdog::WatchdogConfig;

/// The sections that this version understands.
const SECTIONS: [&str; 13] = [
    "cluster",
    "watchdog",
    "node",
    "database",
    "policy",
    "checks",
    "second_opinion",
    "status",
    "server",
    "tls",
    "routing",
    "deadman",
    "pages",
];

/// The sections of which there may be several, each in double brackets.
const ENTRIES: [&str; 6] = ["channel", "route", "heartbeat", "person", "rotation", "ladder"];

/// What environment variables that override begin with.
const ENVIRONMENT: &str = "KOMAINU__";

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; `komainu init` writes a commented one", file.display())]
    Read {
        /// The file that is meant.
        file: PathBuf,
        /// What the system says of it.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}, column {column}: {problem}", file.display())]
    Syntax {
        /// The file that is meant.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// In the parser's words.
        problem: String,
    },
    /// The file is TOML, but not a configuration.
    #[error("{}", fault::list(file, faults))]
    Faults {
        /// The file that is meant.
        file: PathBuf,
        /// At least one.
        faults: Vec<ConfigFault>,
    },
}

/// Everything one process is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the cluster as a whole: the same on all its hosts.
    pub cluster: ClusterConfig,
    /// Of this host's watchdog, if it runs one.
    pub watchdog: Option<WatchdogConfig>,
    /// Of this host's node, if it runs one.
    pub node: Option<NodeConfig>,
    /// Where the truth is kept.
    pub database: DatabaseConfig,
    /// Thresholds.
    pub policy: Policy,
    /// Of what watchdogs look at themselves.
    pub checks: ChecksConfig,
    /// Of what watchdogs look at beside nodes.
    pub second_opinion: Arc<SecondOpinion>,
    /// Of the status page.
    pub status: StatusConfig,
    /// Of the subscriptions of public pages.
    pub pages: PagesConfig,
    /// Who may say whose connection it is.
    pub proxies: Proxies,
    /// Where certificates are.
    pub tls: TlsFiles,
    /// Where people are told.
    pub channels: Vec<ChannelConfig>,
    /// Who is told what.
    pub routing: Routing,
    /// Who is called when nobody takes care of something.
    pub on_call: Arc<OnCall>,
    /// What no route matches is told to nobody, and somebody said so.
    pub drops_unmatched: bool,
    /// Who notices when all watchdogs fall silent.
    pub deadman: Option<DeadmanConfig>,
    /// Secrets of heartbeats whose senders cannot change, by name.
    pub heartbeat_secrets: BTreeMap<String, Secret<String>>,
}

/// TOML by the reader that this crate uses anyway; figment's own is an older one.
struct Toml;

impl Format for Toml {
    type Error = toml::de::Error;

    const NAME: &'static str = "TOML";

    fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Self::Error> {
        toml::from_str(text)
    }
}

impl Config {
    /// Reads a file and the environment.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::load_with(file, Env::prefixed(ENVIRONMENT).split("__"))
    }

    /// Reads a file and what overrides it.
    fn load_with(file: &Path, overrides: impl Provider) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        let text = byte_order_mark::stripped(&text);
        ensure_toml(file, text)?;
        let source = Source {
            figment: Figment::from(Toml::string(text)).merge(overrides),
            folder: file.parent().map(Path::to_owned).unwrap_or_default(),
        };
        let mut faults = Faults::default();
        match source.config(&mut faults) {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError::Faults { file: file.to_owned(), faults: faults.into_found() }),
        }
    }

    /// Of which kinds nobody would hear, because no route takes them.
    pub fn unheard(&self) -> Option<String> {
        unmatched::unheard(&self.routing)
    }

    /// The settings as they are in force, one a line, secrets left out.
    pub fn effective(&self) -> String {
        effective::print(self)
    }
}

/// Says where a text stops being TOML, without quoting it: the line may hold a secret.
fn ensure_toml(file: &Path, text: &str) -> Result<(), ConfigError> {
    let Err(error) = toml::from_str::<toml::Table>(text) else { return Ok(()) };
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Err(ConfigError::Syntax {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
        problem: error.message().to_owned(),
    })
}

/// The merged file and environment, and the folder that relative names start at.
struct Source {
    figment: Figment,
    folder: PathBuf,
}

impl Source {
    /// `None`, or faults: what a faulty section resolves to is never used.
    fn config(&self, faults: &mut Faults) -> Option<Config> {
        self.look_for_unknown_sections(faults);
        let folder = self.folder.as_path();
        let cluster: Option<cluster::Section> = self.section("cluster", faults);
        let cluster = cluster.and_then(|section| section.resolve(folder, faults));
        let tls: Option<tls::Section> = self.section("tls", faults);
        let tls = tls.and_then(|section| section.resolve(folder, faults));
        let scheme = if tls.as_ref().is_some_and(TlsFiles::serves) { "https" } else { "http" };
        let watchdog: Option<watchdog::Section> = self.optional("watchdog", faults);
        let watchdog = watchdog.and_then(|section| section.resolve((folder, scheme), faults));
        let node: Option<node::Section> = self.optional("node", faults);
        let node = node.and_then(|section| section.resolve((folder, scheme), faults));
        let database: Option<database::Section> = self.section("database", faults);
        let database = database.and_then(|section| section.resolve(folder, faults));
        let policy: Option<policy::Section> = self.section("policy", faults);
        let policy = policy.and_then(|section| section.resolve(faults));
        let checks: Option<checks::Section> = self.section("checks", faults);
        let checks = checks.and_then(|section| section.resolve(faults));
        let second_opinion: Option<second_opinion::Section> = self.section("second_opinion", faults);
        let status: Option<status::Section> = self.section("status", faults);
        let proxies: Option<server::Section> = self.section("server", faults);
        let proxies = proxies.and_then(|section| section.resolve(faults));
        if watchdog.is_some() {
            ensure_cluster_key(cluster.as_ref().and_then(|cluster| cluster.key.as_ref()), faults);
        }
        let deadman: Option<deadman::Section> = self.optional("deadman", faults);
        let deadman = deadman.and_then(|section| section.resolve(folder, faults));
        let channels = channel::resolve(entry::read(&self.figment, "channel", faults), folder, faults);
        let pages: Option<pages::Section> = self.section("pages", faults);
        let pages = pages.and_then(|section| section.resolve(&channels, faults));
        let (routing, of_routes) = route::resolve(entry::read(&self.figment, "route", faults), &channels, faults);
        let on_call = on_call::Entries::read(&self.figment, faults).resolve(&channels, of_routes, faults);
        let unmatched: Option<unmatched::Section> = self.section("routing", faults);
        let drops_unmatched = unmatched.is_some_and(|section| section.resolve(&routing, faults));
        let heartbeat_secrets = heartbeat::resolve(entry::read(&self.figment, "heartbeat", faults), folder, faults);
        Some(Config {
            cluster: cluster?,
            watchdog,
            node,
            database: database?,
            policy: policy?,
            second_opinion: Arc::new(second_opinion?.resolve(checks.as_ref()?.guard.clone(), faults)),
            checks: checks?,
            status: StatusConfig { details: status?.details },
            pages: pages?,
            proxies: proxies?,
            tls: tls?,
            channels,
            routing,
            on_call: Arc::new(on_call),
            drops_unmatched,
            deadman,
            heartbeat_secrets,
        })
    }

    /// A section of which every key has a default or a message of its own when it is missing.
    fn section<T: DeserializeOwned + Default>(&self, name: &str, faults: &mut Faults) -> Option<T> {
        if self.figment.contains(name) { self.optional(name, faults) } else { Some(T::default()) }
    }

    fn optional<T: DeserializeOwned>(&self, name: &str, faults: &mut Faults) -> Option<T> {
        if !self.figment.contains(name) {
            return None;
        }
        match self.figment.extract_inner(name) {
            Ok(section) => Some(section),
            Err(error) => {
                faults.extend(error.into_iter().map(|error| describe(name.into(), &[], &error)));
                None
            }
        }
    }

    fn look_for_unknown_sections(&self, faults: &mut Faults) {
        let Ok(all) = self.figment.extract::<figment::value::Dict>() else { return };
        let is_known = |name: &str| SECTIONS.contains(&name) || ENTRIES.contains(&name);
        for name in all.keys().filter(|name| !is_known(name)) {
            let known = SECTIONS.iter().map(|name| format!("[{name}]"));
            let known: Vec<String> = known.chain(ENTRIES.iter().map(|name| format!("[[{name}]]"))).collect();
            let problem = format!("unknown section; this version knows {}", known.join(", "));
            faults.push(ConfigFault {
                section: name.clone(),
                entry: None,
                key: None,
                origin: origin(self.figment.find_metadata(name)),
                problem,
            });
        }
    }
}

fn ensure_cluster_key(key: Option<&ClusterKey>, faults: &mut Faults) {
    if key.is_none() && !faults.concern("cluster") {
        faults.add(
            "cluster",
            "key_file",
            "a watchdog needs the cluster's key: `komainu keygen > cluster.key`, then key_file = \"cluster.key\"",
        );
    }
}

#[cfg(test)]
mod tests;
