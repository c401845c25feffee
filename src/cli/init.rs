//! `komainu init`: a commented komainu.toml, a cluster key and, where wished, certificates.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use self::authority::Subject;
use super::{files, print};
use crate::keys::ClusterKey;
use crate::store::DatabaseUrl;

mod authority;

/// The sections that say who is told what.
const TELLING: &str = include_str!("init/telling.toml");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `mysql://user:password@host/database` or `sqlite:///path`. Without it only certificates are made.
    #[arg(long, required_unless_present = "tls")]
    database: Option<String>,
    /// Write komainu.toml and cluster.key into this folder instead of printing.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also make a CA and a certificate for this watchdog or node, called by these names and addresses; several times for
    /// several. Default: w1. In a folder that has them already only what is missing is made.
    #[arg(long, num_args = 0..=1, default_missing_value = "w1", value_name = "NAME=HOST,…", requires = "dir")]
    tls: Vec<Subject>,
    /// With --tls: make these certificates anew. Processes take them up by themselves.
    #[arg(long, requires = "tls")]
    renew: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Args { database, dir, tls, renew } = args;
    let Some(dir) = dir else {
        let database = database.context("--database is missing")?;
        DatabaseUrl::parse(&database)?;
        print::line(text(&database, None));
        print::complaint("printed only; with --dir . it is written, with a cluster.key beside it");
        return Ok(());
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    if !tls.is_empty() {
        authority::write(&dir, &tls, renew)?;
    }
    database.map_or(Ok(()), |database| write(&dir, &database, tls.first()))
}

fn write(dir: &Path, database: &str, tls: Option<&Subject>) -> anyhow::Result<()> {
    DatabaseUrl::parse(database)?;
    let (config, key) = (dir.join("komainu.toml"), dir.join("cluster.key"));
    if config.exists() {
        bail!("{} exists already; move it away or choose another --dir", config.display());
    }
    if key.exists() {
        print::line(format!("kept     {}", key.display()));
    } else {
        files::write_secret(&key, ClusterKey::generate().reveal())?;
        print::line(format!("wrote    {} (copy it to every watchdog, and to nobody else)", key.display()));
    }
    // The URL may hold a password.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&config)
        .with_context(|| format!("cannot create {}", config.display()))?;
    file.write_all(text(database, tls).as_bytes()).with_context(|| format!("cannot write {}", config.display()))?;
    print::line(format!("wrote    {}", config.display()));
    print::line(format!("next     komainu migrate --config {0}; komainu watchdog --config {0}", config.display()));
    Ok(())
}

/// A configuration that works on one machine as it stands.
fn text(database: &str, tls: Option<&Subject>) -> String {
    let database = toml::Value::from(database);
    let name = tls.map_or("w1", |subject| subject.name.as_str());
    let serving = serving(name, tls.is_some());
    format!(
        r#"# komainu: one file per host. Unknown keys are errors; `komainu config check --config F` looks at all of it.
# Every key of a section in single brackets can be overridden: KOMAINU__WATCHDOG__LISTEN=0.0.0.0:8900. Every secret may
# stand here or in a file of its own: url or url_file, token or token_file.

[cluster]
name = "komainu"
# The secret that the watchdogs share; at least 32 characters. Nodes have keys of their own.
key_file = "cluster.key"
# Addresses of the outside world. A watchdog that reaches none of them knows that it is cut off, and abstains.
# canaries = ["tcp://1.1.1.1:443", "https://example.com"]

[database]
# Several servers of one database, in one order for all: mysql://user:password@db1,db2:3307,db3/kuma
url = {database}

# Leave this section out on a host that runs a node only.
[watchdog]
id = "{name}"
# Two zones do not fail together. Default: the host's name.
# zone = "rack-a"
listen = "127.0.0.1:8900"
# Where the peers reach this one; needed when listen is 0.0.0.0.
# advertise = "http://w1:8900"
# peers = ["http://w2:8900", "http://w3:8900"]
# Where it keeps what it must know when it starts while the database is down, and what it said meanwhile. Without it
# both are lost with the process: what waited to be told waits until the database is back, an outage may be told twice.
# state_dir = "/var/lib/komainu"
# Where people reach the watchdogs, if elsewhere: the links in messages begin so.
# public_url = "https://komainu.example.com"

# A native node: it runs monitors itself. `komainu nodes add node1 --address http://127.0.0.1:8910` prints its key.
# [node]
# id = "node1"
# listen = "127.0.0.1:8910"
# key_file = "node1.key"
# user_agent = "komainu"              # how HTTP monitors name themselves, the same on all nodes; usually with the version
# start_spread = "soon"             # or "interval": monitors gained together start spread over their interval

# [policy]
# probe_interval = "5s"
# probe_timeout = "3s"
# failure_threshold = 3
# recovery_threshold = 3
# stall_grace = "30s"
# recovery = "auto"                 # or "manual": monitors go home after `komainu nodes recover NODE`
# monitor_limit_per_node = 1000
# mute_limit = "15m"                # while nobody can be told anything for so long, /status is down

# What watchdogs look at themselves: docs/checks.md. Link-local addresses, where clouds answer with secrets, are never looked at.
# [checks]
# allow_link_local = false
# deny = ["10.0.0.0/8"]             # networks where no check may look
# looks_at_once = 200

# Whether watchdogs look at a monitor's target before people are told that it is down: docs/second-opinion.md.
# [second_opinion]
# default = "off"                   # or "note", "require"
# sample_each = "10m"               # how often each is looked at that its node calls up
# rules = [{{ tag = "shop", second_opinion = "require" }}]

# [status]
# details = "public"                # or "key": strangers see ok, degraded or down only

{serving}{TELLING}"#
    )
}

/// The sections that say how those who connect are served; in force where the files were made.
fn serving(name: &str, is_made: bool) -> String {
    let is = if is_made { "" } else { "# " };
    format!(
        r#"# TLS for whoever connects, and trust for calls to peers and nodes; docs/tls.md. `komainu init --dir . --tls w1 --tls w2`
# makes the files. They are read again when they change.
{is}[tls]
{is}cert = "{name}.crt"
{is}key = "{name}.key"
{is}ca = "ca.crt"                     # trusted beside whom the host trusts
# client_ca = "ca.crt"              # peers must show a certificate that it signed

# Proxies in front, which say whose connection it is. Nobody else is believed.
# [server]
# trusted_proxies = ["10.0.0.0/8"]
# proxy_protocol = false            # true: their connections begin with a PROXY header
# client_header = "X-Forwarded-For" # or "Forwarded"
"#
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;

    #[test]
    fn what_init_writes_is_a_configuration_that_loads() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "mysql://u:p@h/kuma", None).unwrap();
        let file = folder.path().join("komainu.toml");
        let config = Config::load(&file).unwrap();
        assert_eq!(config.watchdog.unwrap().id.as_str(), "w1");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_existing_configuration_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("komainu.toml"), "mine").unwrap();
        assert!(write(folder.path(), "mysql://u:p@h/kuma", None).is_err());
        assert_eq!(std::fs::read_to_string(folder.path().join("komainu.toml")).unwrap(), "mine");
    }

    #[test]
    fn with_tls_a_ca_and_a_certificate_for_each_is_made_and_what_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let subject = |text: &str| text.parse::<Subject>().unwrap();
        let make = |database: Option<&str>, names: &[&str], renew| {
            let tls = names.iter().map(|name| subject(name)).collect();
            run(Args { database: database.map(str::to_owned), dir: Some(folder.path().to_owned()), tls, renew })
                .unwrap();
        };
        make(Some("mysql://u:p@h/kuma"), &["w1=w1.example.com,10.0.0.1", "w2", "node1"], false);
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        for name in ["ca.crt", "ca.key", "w1.crt", "w1.key", "w2.crt", "w2.key", "node1.crt", "node1.key"] {
            let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let file = folder.path().join("komainu.toml");
        let config = Config::load(&file).unwrap();
        assert_eq!(config.watchdog.unwrap().advertise.as_str(), "https://127.0.0.1:8900/");
        let urls = ["https://w1.example.com", "https://10.0.0.1", "https://w1", "https://localhost", "https://[::1]"];
        let urls = urls.map(|url| url.parse().unwrap());
        assert_eq!(config.tls.check(&urls.each_ref(), crate::clock::wall()).unwrap(), [""; 0]);

        let before = ["ca.crt", "ca.key", "w1.crt", "w1.key"].map(text);
        make(None, &["w1", "w3"], false);
        assert_eq!(["ca.crt", "ca.key", "w1.crt", "w1.key"].map(text), before);
        assert!(text("w3.crt").contains("BEGIN CERTIFICATE"));
        make(None, &["w1"], true);
        assert_ne!(text("w1.crt"), before[2], "made anew");
        assert_eq!(text("w1.key"), before[3], "the key stays, so that one file changes");
        assert!(Config::load(&file).is_ok());
        assert!("ca".parse::<Subject>().is_err() && "w/1".parse::<Subject>().is_err());
    }

    #[test]
    fn every_commented_setting_is_a_real_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cluster.key"), ClusterKey::generate().reveal()).unwrap();
        let key = ClusterKey::generate().node_key(&"node1".into());
        std::fs::write(folder.path().join("node1.key"), key.reveal()).unwrap();
        let authority = rcgen::generate_simple_self_signed(["mail.example.com".to_owned()]).unwrap().cert.pem();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for (name, text) in [
            ("slack.url", "https://hooks.slack.com/services/T0/B0/x"),
            ("mail.password", "secret"),
            ("ca.pem", &authority),
            ("ca.crt", &authority),
            ("w1.crt", &own.cert.pem()),
            ("w1.key", &own.signing_key.serialize_pem()),
            ("pushbullet.token", "o.abc"),
            ("hook.url", "https://example.com/hook"),
            ("hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("deadman.url", "https://hc-ping.com/x"),
            ("legacy-backup.secret", "long-enough"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let is_setting = |line: &str| {
            line.starts_with("# [")
                || line.split_once(" = ").is_some_and(|(key, _)| !key.trim_start_matches("# ").contains(' '))
        };
        let all: Vec<String> = text("mysql://u:p@h/kuma", None)
            .lines()
            .map(|line| if is_setting(line) { line.trim_start_matches("# ").to_owned() } else { line.to_owned() })
            .collect();
        let file = folder.path().join("komainu.toml");
        std::fs::write(&file, all.join("\n")).unwrap();
        let config = Config::load(&file).unwrap();
        assert!(config.node.is_some() && config.cluster.canaries.len() == 2);
        assert_eq!((config.channels.len(), config.routing.routes.len(), config.heartbeat_secrets.len()), (5, 2, 1));
        assert!(config.deadman.is_some() && config.tls.client_ca.is_some() && config.proxies.trusted.len() == 1);
    }
}
