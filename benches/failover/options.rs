//! What is to be measured, from the command line.

use crate::it::cluster::database::Kind;

/// For people.
pub(crate) const USAGE: &str = "usage: cargo bench --bench failover [-- [--trials N] [--clusters N] [--repeats N] \
    [--only killed|vanished|handover|leader-killed|leader-vanished|decision|idle]... [--database sqlite|mariadb]]";

/// One part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    /// A node's process is killed.
    Killed,
    /// A node's host vanishes.
    Vanished,
    /// A node is stopped cleanly.
    Handover,
    /// The leader's process is killed.
    LeaderKilled,
    /// The leader's host vanishes.
    LeaderVanished,
    /// Deciding and committing alone.
    Decision,
    /// What a watchdog costs while nothing happens.
    Idle,
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Losses of each sort.
    pub(crate) trials: usize,
    /// Clusters that are tried at the same time.
    pub(crate) clusters: usize,
    /// Decisions of each size.
    pub(crate) repeats: usize,
    /// On which databases.
    pub(crate) kinds: Vec<Kind>,
    only: Vec<Section>,
}

impl Options {
    /// Reads the arguments; cargo's own are ignored.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { trials: 20, clusters: 5, repeats: 3, kinds: vec![Kind::Sqlite, Kind::MariaDb], only: Vec::new() };
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let count = || value.parse().ok().filter(|&count| count > 0).ok_or(format!("{name} {value}: not a number"));
            match name.as_str() {
                "--trials" => options.trials = count()?,
                "--clusters" => options.clusters = count()?,
                "--repeats" => options.repeats = count()?,
                "--only" => options.only.push(section(&value)?),
                "--database" => options.kinds = vec![kind(&value)?],
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        Ok(options)
    }

    /// Whether this part is to be measured.
    pub(crate) fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }
}

fn section(name: &str) -> Result<Section, String> {
    match name {
        "killed" => Ok(Section::Killed),
        "vanished" => Ok(Section::Vanished),
        "handover" => Ok(Section::Handover),
        "leader-killed" => Ok(Section::LeaderKilled),
        "leader-vanished" => Ok(Section::LeaderVanished),
        "decision" => Ok(Section::Decision),
        "idle" => Ok(Section::Idle),
        _ => Err(format!("there is no section {name}")),
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    match name {
        "sqlite" => Ok(Kind::Sqlite),
        "mariadb" => Ok(Kind::MariaDb),
        _ => Err(format!("there is no database {name}")),
    }
}
