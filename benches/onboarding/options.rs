//! What is to be measured, from the command line.

use crate::it::cluster::database::Kind;

/// For people.
pub(crate) const USAGE: &str =
    "usage: cargo bench --bench onboarding [-- [--monitors N] [--interval SECONDS] [--database sqlite|mariadb]]";

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Made in one request.
    pub(crate) monitors: i64,
    /// Seconds between the runs of each.
    pub(crate) interval: u32,
    /// On which databases.
    pub(crate) kinds: Vec<Kind>,
}

impl Options {
    /// Reads the arguments; cargo's own are ignored.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { monitors: 4_000, interval: 20, kinds: vec![Kind::Sqlite, Kind::MariaDb] };
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let count = || value.parse().ok().filter(|&count| count > 0).ok_or(format!("{name} {value}: not a number"));
            match (name.as_str(), value.as_str()) {
                ("--monitors", _) => options.monitors = i64::from(count()?),
                ("--interval", _) => options.interval = count()?,
                ("--database", "sqlite") => options.kinds = vec![Kind::Sqlite],
                ("--database", "mariadb") => options.kinds = vec![Kind::MariaDb],
                _ => return Err(format!("unknown argument {name} {value}")),
            }
        }
        Ok(options)
    }
}
