//! The settings in force, as TOML with the secrets left out: what `komainu config check` shows.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::SpanPrinter;
use komainu_watchdogs::policy::{Policy, Recovery};
use toml::{Table, Value};

use crate::node::StartSpread;

use super::{ClusterConfig, Config, Details, NodeConfig, WatchdogConfig, shape};

pub(super) fn print(config: &Config) -> String {
    let details = match config.status.details {
        Details::Public => "public",
        Details::Key => "key",
    };
    let database = [("url", Some(config.database.url.to_string().into()))];
    let mut all = Table::new();
    all.insert("cluster".to_owned(), cluster(&config.cluster));
    if let Some(settings) = &config.watchdog {
        all.insert("watchdog".to_owned(), watchdog(settings));
    }
    if let Some(settings) = &config.node {
        all.insert("node".to_owned(), node(settings));
    }
    all.insert("database".to_owned(), section(database));
    all.insert("policy".to_owned(), policy(&config.policy));
    all.insert("status".to_owned(), section([("details", Some(details.into()))]));
    all.to_string()
}

fn cluster(config: &ClusterConfig) -> Value {
    section([
        ("name", Some(config.name.as_str().into())),
        ("key", config.key.as_ref().map(|_| "(set)".into())),
        ("canaries", Some(config.canaries.clone().into())),
    ])
}

fn watchdog(config: &WatchdogConfig) -> Value {
    let peers: Vec<String> = config.peers.iter().map(shape::without_slash).collect();
    section([
        ("id", Some(config.id.as_str().into())),
        ("zone", Some(config.zone.as_str().into())),
        ("listen", Some(config.listen.to_string().into())),
        ("advertise", Some(shape::without_slash(&config.advertise).into())),
        ("peers", Some(peers.into())),
        ("state_dir", config.state_dir.as_ref().map(|dir| dir.display().to_string().into())),
    ])
}

fn node(config: &NodeConfig) -> Value {
    let spread = match config.start_spread {
        StartSpread::Soon => "soon",
        StartSpread::OverInterval => "interval",
    };
    section([
        ("id", Some(config.id.as_str().into())),
        ("listen", Some(config.listen.to_string().into())),
        ("advertise", config.advertise.as_ref().map(|url| shape::without_slash(url).into())),
        ("key", Some("(set)".into())),
        ("start_spread", Some(spread.into())),
        ("trace_file", config.trace_file.as_ref().map(|file| file.display().to_string().into())),
    ])
}

fn policy(policy: &Policy) -> Value {
    let recovery = match policy.recovery {
        Recovery::Auto => "auto",
        Recovery::Manual => "manual",
    };
    section([
        ("probe_interval", Some(duration(policy.probe_interval))),
        ("probe_timeout", Some(duration(policy.probe_timeout))),
        ("failure_threshold", Some(i64::from(policy.failure_threshold).into())),
        ("recovery_threshold", Some(i64::from(policy.recovery_threshold).into())),
        ("stall_grace", Some(duration(policy.stall_grace))),
        ("recovery", Some(recovery.into())),
        ("monitor_limit_per_node", Some(i64::from(policy.monitor_limit_per_node).into())),
    ])
}

/// The keys that are set.
fn section<const N: usize>(keys: [(&str, Option<Value>); N]) -> Value {
    keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Table>().into()
}

fn duration(span: Duration) -> Value {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    SpanPrinter::new().duration_to_string(&span).into()
}
