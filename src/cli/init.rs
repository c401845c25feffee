//! `komainu init`: a commented komainu.toml and a cluster key.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{files, print};
use crate::keys::ClusterKey;
use crate::store::DatabaseUrl;

/// The sections that say who is told what.
const TELLING: &str = include_str!("init/telling.toml");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `mysql://user:password@host/database` or `sqlite:///path`
    #[arg(long)]
    database: String,
    /// Write komainu.toml and cluster.key into this folder instead of printing.
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    DatabaseUrl::parse(&args.database)?;
    if let Some(dir) = args.dir {
        return write(&dir, &args.database);
    }
    print::line(text(&args.database));
    print::complaint("printed only; with --dir . it is written, with a cluster.key beside it");
    Ok(())
}

fn write(dir: &Path, database: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
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
    file.write_all(text(database).as_bytes()).with_context(|| format!("cannot write {}", config.display()))?;
    print::line(format!("wrote    {}", config.display()));
    print::line(format!("next     komainu migrate --config {0}; komainu watchdog --config {0}", config.display()));
    Ok(())
}

/// A configuration that works on one machine as it stands.
fn text(database: &str) -> String {
    let database = toml::Value::from(database);
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
url = {database}

# Leave this section out on a host that runs a node only.
[watchdog]
id = "w1"
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

# [status]
# details = "public"                # or "key": strangers see ok, degraded or down only
{TELLING}"#
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
        write(folder.path(), "mysql://u:p@h/kuma").unwrap();
        let file = folder.path().join("komainu.toml");
        let config = Config::load(&file).unwrap();
        assert_eq!(config.watchdog.unwrap().id.as_str(), "w1");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_existing_configuration_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("komainu.toml"), "mine").unwrap();
        assert!(write(folder.path(), "mysql://u:p@h/kuma").is_err());
        assert_eq!(std::fs::read_to_string(folder.path().join("komainu.toml")).unwrap(), "mine");
    }

    #[test]
    fn every_commented_setting_is_a_real_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cluster.key"), ClusterKey::generate().reveal()).unwrap();
        let key = ClusterKey::generate().node_key(&"node1".into());
        std::fs::write(folder.path().join("node1.key"), key.reveal()).unwrap();
        let authority = rcgen::generate_simple_self_signed(["mail.example.com".to_owned()]).unwrap().cert.pem();
        for (name, text) in [
            ("slack.url", "https://hooks.slack.com/services/T0/B0/x"),
            ("mail.password", "secret"),
            ("ca.pem", &authority),
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
        let all: Vec<String> = text("mysql://u:p@h/kuma")
            .lines()
            .map(|line| if is_setting(line) { line.trim_start_matches("# ").to_owned() } else { line.to_owned() })
            .collect();
        let file = folder.path().join("komainu.toml");
        std::fs::write(&file, all.join("\n")).unwrap();
        let config = Config::load(&file).unwrap();
        assert!(config.node.is_some() && config.cluster.canaries.len() == 2);
        assert_eq!((config.channels.len(), config.routing.routes.len(), config.heartbeat_secrets.len()), (4, 2, 1));
        assert!(config.deadman.is_some());
    }
}
