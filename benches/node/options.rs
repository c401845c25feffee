//! What is to be measured, from the command line.

use std::time::Duration;

use crate::it::cluster::database::Kind;

/// For people.
pub(crate) const USAGE: &str = "usage: cargo bench --bench node [-- [--monitors N,N] [--interval SECONDS] \
    [--seconds N] [--database sqlite|mariadb]]";

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How many monitors the node has; one measurement each.
    pub(crate) monitors: Vec<u32>,
    /// Seconds between the runs of each.
    pub(crate) interval: u32,
    /// How long is watched.
    pub(crate) span: Duration,
    /// On which databases.
    pub(crate) kinds: Vec<Kind>,
}

impl Options {
    /// Reads the arguments; cargo's own are ignored.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            monitors: vec![10_000, 50_000],
            interval: 60,
            span: Duration::from_secs(120),
            kinds: vec![Kind::Sqlite, Kind::MariaDb],
        };
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let count = |text: &str| {
                text.parse::<u32>().ok().filter(|&count| count > 0).ok_or(format!("{name} {value}: not a number"))
            };
            match (name.as_str(), value.as_str()) {
                ("--monitors", list) => options.monitors = list.split(',').map(count).collect::<Result<_, _>>()?,
                ("--interval", text) => options.interval = count(text)?,
                ("--seconds", text) => options.span = Duration::from_secs(count(text)?.into()),
                ("--database", "sqlite") => options.kinds = vec![Kind::Sqlite],
                ("--database", "mariadb") => options.kinds = vec![Kind::MariaDb],
                _ => return Err(format!("unknown argument {name} {value}")),
            }
        }
        Ok(options)
    }
}
