//! The kinds of trouble that people are told of.

use serde::Serialize;

/// What kind of thing is wrong. Each has an anchor in `docs/runbook.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A node is offline, stalled or unreachable.
    Node,
    /// No node runs monitors.
    Nodes,
    /// A node renews its lease but does not run its monitors.
    Progress,
    /// A watchdog is silent.
    Watchdog,
    /// Nobody leads.
    Leader,
    /// No room, or no node that can run a monitor.
    Capacity,
    /// Watchdogs disagree about a node, or with it about a monitor.
    Disagreement,
    /// Too many watchdogs are cut off.
    Isolation,
    /// Another program runs monitors or writes statuses.
    ForeignRunner,
    /// The clock of a node, or of the database, is wrong.
    Clock,
    /// The database cannot be written.
    Database,
    /// Watchdogs and nodes write to several database servers.
    Servers,
    /// No watchdog can store the pushes of heartbeats.
    Pushes,
    /// Something that a watchdog does beside the watching fails.
    Upkeep,
    /// A program did not push its heartbeat in time, or said that it failed.
    Heartbeat,
    /// A monitor is down.
    Monitor,
    /// A certificate that a monitor saw expires soon.
    Certificate,
    /// Enough watchdogs see a check fail.
    Check,
    /// Some watchdogs see a check fail, and too few to call it down.
    Partial,
    /// Nobody can say how some checks are.
    Checks,
    /// Messages cannot be delivered through a channel.
    Channel,
    /// A silence ends soon, and what it holds is still wrong.
    Silence,
    /// Nodes were lost over a monitor.
    Aside,
    /// Nothing is wrong: a test of the whole way to a channel.
    Drill,
    /// Nothing is wrong: what was watched in the last days.
    Weekly,
}

impl Kind {
    /// All kinds there are.
    pub const ALL: [Self; 25] = [
        Self::Node,
        Self::Nodes,
        Self::Progress,
        Self::Watchdog,
        Self::Leader,
        Self::Capacity,
        Self::Disagreement,
        Self::Isolation,
        Self::ForeignRunner,
        Self::Clock,
        Self::Database,
        Self::Servers,
        Self::Pushes,
        Self::Upkeep,
        Self::Heartbeat,
        Self::Monitor,
        Self::Certificate,
        Self::Check,
        Self::Partial,
        Self::Checks,
        Self::Channel,
        Self::Silence,
        Self::Aside,
        Self::Drill,
        Self::Weekly,
    ];

    /// As the first part of an incident's key, and as the runbook's anchor.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Nodes => "nodes",
            Self::Progress => "progress",
            Self::Watchdog => "watchdog",
            Self::Leader => "leader",
            Self::Capacity => "capacity",
            Self::Disagreement => "disagreement",
            Self::Isolation => "isolation",
            Self::ForeignRunner => "foreign-runner",
            Self::Clock => "clock",
            Self::Database => "database",
            Self::Servers => "servers",
            Self::Pushes => "pushes",
            Self::Upkeep => "upkeep",
            Self::Heartbeat => "heartbeat",
            Self::Monitor => "monitor",
            Self::Certificate => "certificate",
            Self::Check => "check",
            Self::Partial => "partial",
            Self::Checks => "checks",
            Self::Channel => "channel",
            Self::Silence => "silence",
            Self::Aside => "aside",
            Self::Drill => "drill",
            Self::Weekly => "weekly",
        }
    }

    /// Nothing is wrong: people are told of it where a channel's calendar says so, whatever the routes say.
    #[must_use]
    pub fn is_note(self) -> bool {
        matches!(self, Self::Drill | Self::Weekly)
    }

    /// The kind of an incident with this key (`node/node1`); `None` for keys of another version.
    pub fn of_key(key: &str) -> Option<Self> {
        let kind = key.split_once('/').map_or(key, |(kind, _)| kind);
        Self::ALL.into_iter().find(|known| known.as_str() == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_anchor_in_the_runbook() {
        let runbook = include_str!("../../docs/runbook.md");
        for kind in Kind::ALL {
            let anchor = format!("<a id=\"{}\"></a>", kind.as_str());
            assert!(runbook.contains(&anchor), "docs/runbook.md lacks {anchor}");
        }
    }

    #[test]
    fn what_the_runbook_has_a_chapter_for_is_a_kind_that_routes_can_name() {
        let runbook = include_str!("../../docs/runbook.md");
        let anchors = runbook.lines().filter_map(|line| line.strip_prefix("<a id=\"")?.strip_suffix("\"></a>"));
        // One is about a key of its own, which stands below its kind.
        for chapter in anchors.filter(|anchor| *anchor != "database-lost-tail") {
            assert!(Kind::ALL.iter().any(|kind| kind.as_str() == chapter), "no kind is called {chapter}");
        }
    }
}
