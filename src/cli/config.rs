//! `komainu config check`: looks at a configuration and at the database that it names.

use std::path::PathBuf;

use anyhow::bail;

use super::print;
use crate::config::Config;
use crate::store::migrate::{self, MigrateOptions};
use crate::store::{DatabaseUrl, Store, StoreError};

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
    let config = Config::load(&file)?;
    print::line(config.effective());
    let faults = look_at_database(&config.database.url).await;
    if faults.is_empty() {
        print::line("OK");
        return Ok(());
    }
    for fault in &faults {
        print::complaint(format!("{}: [database] {fault}", file.display()));
    }
    bail!("{} {} to mend", faults.len(), if faults.len() == 1 { "fault" } else { "faults" })
}

/// What is wrong with the database, in the store's words, which say what to do.
async fn look_at_database(url: &DatabaseUrl) -> Vec<String> {
    let store = match Store::connect(url).await {
        Ok(store) => store,
        Err(error) => return vec![tell(&error)],
    };
    match store.check_schema().await {
        Ok(()) => {}
        Err(error) => return vec![tell(&error)],
    }
    // Planning reads every table that komainu works on: a missing grant shows here.
    match migrate::plan(&store, MigrateOptions::default()).await {
        Ok(_) | Err(StoreError::NoKuma) => Vec::new(),
        Err(error) => vec![tell(&error)],
    }
}

fn tell(error: &StoreError) -> String {
    let source = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{source}")
}
