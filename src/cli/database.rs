//! `--config` or `--database`: which database a command works on.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::config::Config;
use crate::store::{DatabaseUrl, Store};

/// Where the configuration is when nobody says so.
const DEFAULT: &str = "komainu.toml";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct DatabaseArgs {
    /// Take the database from this configuration. Default: komainu.toml here.
    #[arg(long, conflicts_with = "database")]
    config: Option<PathBuf>,
    /// `mysql://user:password@host/database` or `sqlite:///path`
    #[arg(long)]
    database: Option<String>,
}

impl DatabaseArgs {
    pub(super) fn url(&self) -> anyhow::Result<DatabaseUrl> {
        match (&self.database, self.configuration()?) {
            (Some(url), _) => Ok(DatabaseUrl::parse(url)?),
            (None, Some(config)) => Ok(config.database.url),
            (None, None) => bail!("which database? There is no {DEFAULT} here; say --config F or --database URL"),
        }
    }

    /// What the database's address stands in; none where that was given.
    pub(super) fn configuration(&self) -> anyhow::Result<Option<Config>> {
        Ok(match (&self.database, &self.config) {
            (None, Some(file)) => Some(Config::load(file)?),
            (None, None) if Path::new(DEFAULT).exists() => Some(Config::load(Path::new(DEFAULT))?),
            (Some(_), _) | (None, None) => None,
        })
    }

    pub(super) async fn connect(&self) -> anyhow::Result<Store> {
        Ok(Store::connect(&self.url()?).await?)
    }
}
