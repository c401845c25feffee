//! `komainu config check`: looks at a configuration and at the database that it names.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use komainu_notifiers::with_causes;
use komainu_watchdogs::ids::{Incarnation, MonitorId, NodeId, WatchdogId};
use url::Url;

use super::adopt::who;
use super::print;
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::store::migrate::{self, MigrateOptions};
use crate::store::nodes::{self, NodeChange};
use crate::store::watchdogs::Stillness;
use crate::store::{Store, StoreError, monitors, watchdogs};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print OK and the effective settings, or each fault with its remedy.
    Check {
        /// The file.
        #[arg(long, default_value = "komainu.toml")]
        config: PathBuf,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Check { config: file } = command;
    let config = Config::load(&file).map_err(with_supplies)?;
    print::line(config.effective());
    if config.watchdog.is_some() && config.channels.is_empty() {
        print::line("No [[channel]]: nobody is told of anything.");
    }
    if let Some(unheard) = config.unheard() {
        print::line(format!(
            "No route takes {unheard}: nobody is told of it, unless it bears a tag or names channels."
        ));
    }
    let names: Vec<&Url> = [config.watchdog.as_ref().map(|watchdog| &watchdog.advertise)]
        .into_iter()
        .chain([config.node.as_ref().and_then(|node| node.advertise.as_ref())])
        .flatten()
        .collect();
    for remark in config.tls.check(&names, clock::wall())? {
        print::line(format!("[tls] {remark}."));
    }
    for plain in names.iter().filter(|url| config.tls.serves() && url.scheme() == "http") {
        print::line(format!("[tls] This process speaks TLS, but advertises {plain}: write https://."));
    }
    let faults = look_at_database(&config).await;
    if faults.is_empty() {
        print::line("OK");
        return Ok(());
    }
    for fault in &faults {
        print::complaint(format!("{}: [database] {fault}", file.display()));
    }
    bail!("{} {} to mend", faults.len(), if faults.len() == 1 { "fault" } else { "faults" })
}

/// The files that komainu ships are whole only with what a unit or a container adds.
fn with_supplies(error: ConfigError) -> anyhow::Error {
    match supplies(&error) {
        Some(variables) => {
            anyhow!("{error}\nWhat a unit or a container supplies stands in its environment: {variables}")
        }
        None => error.into(),
    }
}

/// The variables that would say what is missing, or name the files that cannot be read.
fn supplies(error: &ConfigError) -> Option<String> {
    let ConfigError::Faults { faults, .. } = error else { return None };
    let is_lacking = |problem: &str| problem == "is missing" || problem.starts_with("cannot read");
    let lacking = faults.iter().filter(|fault| fault.entry.is_none() && is_lacking(&fault.problem));
    let variable = |section: &str, key: &str| format!("KOMAINU__{section}__{key}").to_uppercase();
    let variables: Vec<_> = lacking.filter_map(|fault| Some(variable(&fault.section, fault.key.as_deref()?))).collect();
    (!variables.is_empty()).then(|| variables.join(", "))
}

/// What is wrong with the database, in the store's words, which say what to do.
async fn look_at_database(config: &Config) -> Vec<String> {
    let store = match Store::connect(&config.database.url).await {
        Ok(store) => store,
        Err(error) => return vec![with_causes(&error)],
    };
    if let Some(server) = store.server() {
        print::line(format!("[database] server: {}", server.in_full()));
        for weakness in server.weaknesses() {
            print::line(format!("[database] warning: {}.", weakness.words()));
        }
    }
    if let Err(error) = store.check_schema().await {
        return vec![with_causes(&error)];
    }
    // A node and a watchdog have each a database user of their own, as a rule; one file may describe both.
    let is_node = config.node.is_some();
    let mut faults = vec![];
    if is_node {
        faults.extend(store.try_as_node().await.err());
    }
    if config.watchdog.is_some() || !is_node {
        faults.extend(try_as_watchdog(&store).await);
    }
    faults.iter().map(|error| with_causes(error)).collect()
}

/// Reads and writes that find no row: the server looks at the grants before it looks for rows.
async fn try_as_watchdog(store: &Store) -> Vec<StoreError> {
    let nobody = NodeId::from("");
    let change = NodeChange { name: Some(String::new()), ..NodeChange::default() };
    let still = Stillness { incarnation: Incarnation(0), seq: 0 };
    let tried = [
        migrate::plan(store, MigrateOptions::default()).await.err(),
        nodes::edit(store, &nobody, &change, &who()).await.err(),
        watchdogs::remove(store, &WatchdogId::from(""), still, &who()).await.err(),
        monitors::delete(store, "", MonitorId(-1), &[]).await.err(),
    ];
    tried.into_iter().flatten().filter(|error| !matches!(error, StoreError::NoKuma)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_shipped_configuration_of_a_watchdog_names_what_its_unit_supplies() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/config/watchdog.toml");
        let error = Config::load(&shipped).unwrap_err();
        assert!(supplies(&error).unwrap().contains("KOMAINU__WATCHDOG__ID"), "{error}");
        let nowhere = Config::load(Path::new("/nowhere/komainu.toml")).unwrap_err();
        assert_eq!(supplies(&nowhere), None);
    }
}
