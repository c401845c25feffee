//! What is to be measured, from the command line.

use std::time::Duration;

use crate::it::cluster::database::Kind;

/// For people.
pub(crate) const USAGE: &str = "usage: cargo bench --bench heartbeats [-- [--seconds N] [--connections N] [--names N] \
    [--database sqlite|mariadb]]";

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How long.
    pub(crate) time: Duration,
    /// Each sends one push after the other.
    pub(crate) connections: usize,
    /// Heartbeats that are pushed in turn.
    pub(crate) names: usize,
    /// On which databases.
    pub(crate) kinds: &'static [Kind],
}

impl Options {
    /// Reads the arguments; cargo's own are ignored.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            time: Duration::from_secs(10),
            connections: 32,
            names: 1_000,
            kinds: &[Kind::Sqlite, Kind::MariaDb],
        };
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let count = || value.parse().ok().filter(|&count| count > 0).ok_or(format!("{name} {value}: not a number"));
            match name.as_str() {
                "--seconds" => options.time = Duration::from_secs(u64::try_from(count()?).unwrap_or(u64::MAX)),
                "--connections" => options.connections = count()?,
                "--names" => options.names = count()?,
                "--database" => options.kinds = kind(&value)?,
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        Ok(options)
    }
}

fn kind(name: &str) -> Result<&'static [Kind], String> {
    match name {
        "sqlite" => Ok(&[Kind::Sqlite]),
        "mariadb" => Ok(&[Kind::MariaDb]),
        _ => Err(format!("there is no database {name}")),
    }
}
